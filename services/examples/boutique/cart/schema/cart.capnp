@0x9deffce831466f49;
# Shopping carts. A cart is a sealed text that its visitor's browser keeps; an empty one is "".

interface Cart {
  get @0 (visitor :Text, cart :Text) -> (lines :List(Line));
  # A cart whose seal does not fit is empty.

  add @1 (visitor :Text, cart :Text, productId :Text, quantity :UInt16) -> (cart :Text, lines :List(Line));
  empty @2 (visitor :Text) -> (cart :Text);
}

struct Line {
  productId @0 :Text;
  quantity @1 :UInt16;
}
