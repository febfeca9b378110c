@0x9a4d1f6be02c7358;
# What a service can use of a schema: constants, type ids, names that readers use themselves.

interface Shop {
  find @0 (id :UInt64) -> (item :Item);
  constants @1 () -> (text :Text);
  any @2 (value :AnyPointer) -> (text :Text);
  cart @3 () -> (cart :Cart);
}
interface Cart { add @0 (item :Item, count :UInt8 = 1) -> (total :UInt32); }
struct Item {
  id @0 :UInt64;
  name @1 :Text;
  tags @2 :List(Text);
  kind @3 :Kind;
  union { which @4 :Void; price @5 :UInt32; }
  toJSON @6 :Text;
  const first :Item = (id = 1, name = "first", tags = ["a", "b"], kind = used, price = 5, toJSON = "j");
}
enum Kind { new @0; used @1; }
const most :UInt16 = 500;
const far :Float64 = inf;
const delete :List(Kind) = [new, used];
const logo :Data = 0x"01 ff";
const large :Int64 = -9000000000000000000;
