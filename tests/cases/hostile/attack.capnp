@0xd1f0a52be7c94e36;

interface Attack {
  run @0 (how :Text, data :Data) -> (text :Text, number :Int32, big :Int64, data :Data, items :List(Text), inner :Inner);
}

struct Inner {
  name @0 :Text;
  next @1 :Inner;
}
