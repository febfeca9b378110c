@0x9d25caa9f691be8e;
# What it costs to send things, and sending them.

interface Shipping {
  quote @0 (country :Text, pieces :UInt32) -> (cents :UInt32, days :UInt8);
  # In US cents, and within how many days it arrives. No pieces cost nothing.

  ship @1 (address :Address, pieces :UInt32) -> (tracking :Text);
}

struct Address {
  name @0 :Text;
  street @1 :Text;
  city @2 :Text;
  postcode @3 :Text;
  country @4 :Text;
  # ISO 3166-1, two letters
}
