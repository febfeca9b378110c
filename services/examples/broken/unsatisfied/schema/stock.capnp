@0xd4c7a19e60b3f582;
# How many pieces of a product there are.

interface Stock {
  count @0 (productId :Text) -> (pieces :UInt32);
}
