@0xe3f0a8d91c7b2465;
# Whatever a schema can say: each method's params are a row, or several, of constructs.js.
using Shared = import "shared.capnp";
using User = Shared.User;
using Color = import "/shared.capnp".Color;
$Shared.note("of the file");

interface Constructs extends(Users) $Shared.note("of an interface") {
  numbers @0 Numbers -> ();
  defaults @1 Defaults -> ();
  texts @2 Texts -> ();
  lists @3 Lists -> ();
  nested @4 Nested -> ();
  groups @5 Groups -> ();
  unions @6 Unions -> ();
  older @7 Older -> ();
  newer @8 Newer -> ();
  open @9 Open -> ();
  generic @10 Tree(User, List(Color)) -> ();
  loose @11 Tree -> ();
  pointers @12 Pointers -> ();
  annotated @13 Annotated -> ();
}
interface Users extends(Shared.Store(User)) { count @0 () -> (count :UInt32); }

struct Numbers {
  void @0 :Void; bool @1 :Bool;
  int8 @2 :Int8; int16 @3 :Int16; int32 @4 :Int32; int64 @5 :Int64;
  uint8 @6 :UInt8; uint16 @7 :UInt16; uint32 @8 :UInt32; uint64 @9 :UInt64;
  float32 @10 :Float32; float64 @11 :Float64; color @12 :Color;
}
struct Defaults {
  bool @0 :Bool = true;
  int8 @1 :Int8 = -3; int16 @2 :Int16 = -300; int32 @3 :Int32 = -70000; int64 @4 :Int64 = -5000000000;
  uint8 @5 :UInt8 = 200; uint16 @6 :UInt16 = Shared.most; uint32 @7 :UInt32 = 4000000000;
  uint64 @8 :UInt64 = 18446744073709551615;
  float32 @9 :Float32 = 1.5; float64 @10 :Float64 = -inf; color @11 :Color = blue;
}
struct Texts { text @0 :Text; data @1 :Data; greeting @2 :Text = "héllo"; bytes @3 :Data = 0x"c0 ff ee"; }
struct Lists {
  voids @0 :List(Void); bools @1 :List(Bool);
  int8s @2 :List(Int8); int16s @3 :List(Int16); int32s @4 :List(Int32); int64s @5 :List(Int64);
  uint8s @6 :List(UInt8); uint16s @7 :List(UInt16); uint32s @8 :List(UInt32); uint64s @9 :List(UInt64);
  float32s @10 :List(Float32); float64s @11 :List(Float64); colors @12 :List(Color);
  texts @13 :List(Text); datas @14 :List(Data); users @15 :List(User);
  primes @16 :List(UInt8) = [2, 3, 5];
}
struct Nested {
  numbers @0 :List(List(Int32)); texts @1 :List(List(List(Text))); users @2 :List(List(User));
  bools @3 :List(List(Bool)) = [[true], [], [false, true]];
}
struct Groups {
  place :group { x @0 :Float32; label @3 :Text; deep :group { on @1 :Bool = true; user @2 :User; } }
}
struct Unions {
  before @0 :Int8;
  union { nothing @1 :Void; number @2 :Int64; pair :group { left @3 :Text; right @4 :UInt8 = 9; } user @5 :User; }
  contact :union { email @6 :Text; phone @7 :UInt32; colors @8 :List(Color); }
  choice :group { union { a @9 :Bool; b @10 :Bool; } }
}
struct Older { id @0 :Int32; sizes @1 :List(UInt16); names @2 :List(Text); flag @3 :Void; }
struct Newer {
  id @0 :Int32; sizes @1 :List(Size); names @2 :List(Name); flag @3 :Void;
  added @4 :UInt32 = 12; note @5 :Text = "new";
  struct Size { value @0 :UInt16; unit @1 :Text = "m"; }
  struct Name { name @0 :Text; rank @1 :Int8 = -1; }
}
struct Open { any @0 :AnyPointer; struct @1 :AnyStruct; list @2 :AnyList; text @3 :AnyPointer; users @4 :AnyPointer; }
struct Closed { any @0 :User; struct @1 :User; list @2 :List(Int16); text @3 :Text; users @4 :List(User); }
struct Tree(T, E) {
  value @0 :T;
  children @1 :List(Tree(T, E));
  union { leaf @2 :Void; branch :group { kinds @3 :E; next @4 :Tree(E, Text); } }
  inner @5 :Inner;
  struct Inner { value @0 :T; pairs @1 :List(Pair(Text, T)); }
}
struct Pair(A, B) { a @0 :A; b @1 :B; }
struct Pointers {
  user @0 :User; owner @1 :User = Shared.someone; users @2 :List(User) = [(id = 1), (name = "two")];
  self @3 :Pointers;
}
struct Annotated $Shared.note("of a struct") {
  field @0 :Int8 $Shared.note("of a field");
  kind :union $Shared.note("of a union") { a @1 :Void $Shared.note("of a member"); b @2 :Void; }
}
struct Put { key @0 :Text; value @1 :User; }
struct As { value @0 :List(Color); more @1 :User; }
