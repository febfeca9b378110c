@0xf1feede9a24e15c6;
# Takes money from cards.

interface Payment {
  charge @0 (card :Card, currency :Text, minor :Float64) -> (transaction :Text, refused :Text);
  # One of the two is empty. Refusals: "amount", "number", "brand", "expired", "code".
}

struct Card {
  number @0 :Text;
  # Spaces and hyphens are ignored.
  expiryYear @1 :UInt16;
  expiryMonth @2 :UInt8;
  code @3 :Text;
  # The three or four digits beside the number.
}
