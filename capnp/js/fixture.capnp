@0xd1f2a85b60c943e7;
# Every kind of field that the generators support, for message.test.js and the crate's tests.

interface Fixture {
  kinds @0 (kinds :Kinds) -> (kinds :Kinds);
  small @1 (id :Int32, name :Text, ok :Bool, score :Float64, color :Color) -> (user :User);
  blob @2 (data :Data, more :List(Data)) -> (data :Data);
  evolve @3 Old -> New;
  then @4 () -> ();
  open @5 (watcher :Watcher, others :List(Watcher)) -> (session :Session);
  lookup @6 () -> Lookup;
  push @7 (chunk :Data) -> stream;
  taken @8 Taken -> ();
}

interface Watcher { seen @0 (name :Text); }
interface Named { name @0 () -> (name :Text); }
interface Closing extends(Named) { close @0 (); }
interface Session extends(Closing, Named, Watcher) { user @0 () -> (user :User); session @1 () -> (session :Session); }

struct Lookup {
  entry @0 :Entry;
  near :group { watcher @1 :Watcher; }
  id @2 :Int32;
}

struct Entry {
  name @0 :Text;
  owner @1 :Session;
  next @2 :Entry;
  union { nothing @3 :Void; watcher @4 :Watcher; }
}

enum Color { red @0; green @1; blue @2; }

struct User {
  id @0 :UInt64;
  name @1 :Text;
  tags @2 :List(Text);
  friend @3 :User;
}

struct Kinds {
  void @0 :Void;
  bool @1 :Bool = true;
  int8 @2 :Int8 = -3;
  int16 @3 :Int16;
  int32 @4 :Int32 = -7;
  int64 @5 :Int64 = -5000000000;
  uint8 @6 :UInt8;
  uint16 @7 :UInt16;
  uint32 @8 :UInt32 = 4000000000;
  uint64 @9 :UInt64;
  float32 @10 :Float32 = 1.5;
  float64 @11 :Float64 = -2.25;
  text @12 :Text = "default";
  data @13 :Data = 0x"010203";
  color @14 :Color = green;
  user @15 :User;

  voids @16 :List(Void);
  bools @17 :List(Bool);
  int8s @18 :List(Int8);
  uint16s @19 :List(UInt16);
  int32s @20 :List(Int32);
  int64s @21 :List(Int64);
  float64s @22 :List(Float64);
  texts @23 :List(Text);
  datas @24 :List(Data);
  colors @25 :List(Color);
  users @26 :List(User);
  matrix @27 :List(List(Int32));

  union {
    none @28 :Void;
    number @29 :Int32;
    word @30 :Text;
    pair :group { left @31 :Int16; right @32 :Text; }
  }

  place :group { x @33 :Float32; y @34 :Float32; label @35 :Text; }

  contact :union {
    email @36 :Text;
    phone @37 :UInt32;
    nobody @38 :Void;
  }

  constructor @39 :Bool;
}

struct Old {
  id @0 :Int32;
  sizes @1 :List(UInt16);
}

struct New {
  id @0 :Int32;
  sizes @1 :List(Size);
  note @2 :Text = "new";
  count @3 :UInt16 = 9;
}

struct Size {
  const most :Int64 = -9000000000;
  value @0 :UInt16;
  unit @1 :Text;
}

# Names that readers have for themselves.
struct Taken {
  toJSON @0 :Text;
  union { which @1 :Int32; toObject :group { which @2 :Text; } }
}

# Generics, types that are left open, defaults of lists and structs.

interface Store(V) {
  put @0 (key :Text, value :V) -> (old :V);
  pairs @1 () -> (pairs :List(Pair(Text, V)), tree :Tree(V));
  as @2 [T] (value :T) -> (value :T);
}
struct Pair(A, B) { a @0 :A; b @1 :B; }
struct Tree(T) {
  value @0 :T;
  children @1 :List(Tree(T));
  union { leaf @2 :Void; node :group { weight @3 :Int32; next @4 :Tree(Pair(T, Text)); } }
  struct Inner { t @0 :T; }
  inner @5 :Inner;
}

interface Open {
  open @0 Opened -> Opened;
  users @1 () -> (store :Store(User), numbers :Store(List(Int32)));
}
struct Opened {
  any @0 :AnyPointer;
  struct @1 :AnyStruct;
  list @2 :AnyList;
  cap @3 :Capability;
  anys @4 :List(Pair);
  pair @5 :Pair(User, List(Color));
  box @6 :Pair;
  int32s @7 :List(Int32) = [1, -2, 3];
  users @8 :List(User) = [(id = 7, name = "seven"), (name = "x", tags = ["t", "u"])];
  user @9 :User = (id = 9, friend = (name = "f"));
  bools @10 :List(Bool) = [true, false, true];
  matrix @11 :List(List(Text)) = [["a"], [], ["b", "c"]];
  tree @12 :Tree(User);
}
const limit :UInt16 = 500;
const delete :List(Text) = ["a", "b\n"];
const deep :Opened = (pair = (a = (id = 2), b = [blue]), tree = (children = [(value = (name = "c"), node = (weight = -4))]));
const odds :Kinds = (int64 = 0, uint32 = 1, float32 = nan, float64 = -0.5, bool = false, color = blue, data = 0x"ff 00", bools = [true, false, true],
  int8s = [-1], float64s = [inf, 1e300], matrix = [[1], [2, 3]], voids = [void], pair = (left = -2), contact = (phone = 9), user = (friend = ()));
const admin :User = (id = 1, name = "admin", tags = ["root"]);
