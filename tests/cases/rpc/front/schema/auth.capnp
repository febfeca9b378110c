@0xb8d06c2f9a41e375;
# What clients outside call: data, objects both ways, and streams.

interface Auth {
  login @0 (user :Text) -> (session :Session);
  version @1 () -> (version :Text);
  echo @2 (blob :Data, text :Text) -> (blob :Data, text :Text);
  introduce @3 (guest :Named) -> (greeting :Text);
  remember @4 (guest :Named) -> (guest :Named);
  wait @5 () -> ();
  fail @6 () -> ();
  upload @7 () -> (sink :Sink);
  chain @8 (registry :Registry) -> (name :Text);
  download @9 (into :Sink, mib :UInt32) -> ();
}

interface Named {
  name @0 () -> (name :Text);
}

interface Session extends(Named) {
  version @0 () -> (version :Text);
}

interface Registry {
  find @0 (name :Text) -> (found :Named);
}

interface Sink {
  write @0 (bytes :Data) -> stream;
  end @1 () -> (total :UInt64, ordered :Bool);
}
