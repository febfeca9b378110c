@0xb5d3c0a4e1f29a67;
# A ledger of accounts. The service is written in Rust: tests/native/main.rs.

interface Ledger {
  open @0 (account :Text) -> (account :Account);
  audit @1 (accounts :List(Text), auditor :Auditor) -> (notes :List(Text));
  # Shows the auditor each account, one after the other.

  convert @2 (account :Text, currency :Text) -> (amount :Float64, by :Text);
  # At the rate of the service `rates`, whose version is `by`.

  refuse @3 (kind :Text) -> ();
  # Fails with this kind.

  panic @4 () -> ();
  stamp @5 (document :Data) -> (document :Data, length :UInt64);
  # The same bytes, each one larger by one.

  wait @6 () -> ();
  # Does not return.

  waiting @7 () -> (calls :UInt32, givenUp :UInt32);
  # Calls of `wait` so far, and those that nobody waits for any more.

  journal @8 (lines :Lines) -> (lines :Lines);
  # What is written to the result is written on to the argument.
}

interface Account {
  name @0 () -> (name :Text);
  balance @1 () -> (balance :Int64);
  book @2 (amount :Int64) -> (balance :Int64);
  transfer @3 (to :Account, amount :Int64) -> ();
  # The other account may be anybody's.
}

interface Auditor {
  check @0 (account :Account) -> (note :Text);
}

interface Lines {
  write @0 (bytes :Data) -> stream;
  end @1 ();
}
