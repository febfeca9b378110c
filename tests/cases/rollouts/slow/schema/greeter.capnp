@0xb5d1c0a7e3f24961;

interface Greeter {
  greet @0 (name :Text) -> (greeting :Greeting);
  # An empty name is an error.

  count @1 (from :UInt32) -> (to :UInt32);
}

struct Greeting {
  text @0 :Text;
  servedBy @1 :Text;
  length @2 :UInt32;
}
