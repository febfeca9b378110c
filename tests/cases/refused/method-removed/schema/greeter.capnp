@0xb5d1c0a7e3f24961;

interface Greeter {
  greet @0 (name :Text) -> (greeting :Greeting);
}

struct Greeting {
  text @0 :Text;
  servedBy @1 :Text;
  length @2 :UInt32;
}
