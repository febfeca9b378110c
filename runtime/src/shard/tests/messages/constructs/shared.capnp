@0xb4a1c27f0d3e5a91;
# What constructs.capnp imports.

annotation note(*) :Text;
const most :UInt16 = 40000;
const someone :User = (id = 7, name = "someone");

enum Color { red @0; green @1; blue @2; }
struct User { id @0 :UInt64; name @1 :Text = "nobody"; }
interface Store(V) {
  put @0 (key :Text, value :V) -> (old :V);
  as @1 [T] (value :T, more :V) -> ();
}
