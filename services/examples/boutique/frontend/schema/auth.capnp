@0xe2c9fa986e221635;
# Who is shopping, and small texts that a browser may keep and not change.

interface Auth {
  open @0 () -> (token :Text, visitor :Text);
  # Begins a visit.

  check @1 (token :Text) -> (visitor :Text);
  # Whose visit a token is; empty if it is nobody's.

  seal @2 (purpose :Text, payload :Text) -> (sealed :Text);
  # Signs a text. At most 3,000 characters.

  unseal @3 (purpose :Text, sealed :Text) -> (payload :Text);
  # Gives back what was sealed for the same purpose; empty if the seal does not fit.
}
