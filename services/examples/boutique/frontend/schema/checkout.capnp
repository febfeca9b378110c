@0x89c44c720d7f8eed;
# Turns a cart into an order.

interface Checkout {
  place @0 (visitor :Text, cart :Text, currency :Text, email :Text, address :Address, card :Card)
      -> (order :Order, cart :Text, refused :Text);
  # refused: empty, "empty" if there is nothing in the cart, or the payment's refusal.
}

struct Address {
  name @0 :Text;
  street @1 :Text;
  city @2 :Text;
  postcode @3 :Text;
  country @4 :Text;
}

struct Card {
  number @0 :Text;
  expiryYear @1 :UInt16;
  expiryMonth @2 :UInt8;
  code @3 :Text;
}

struct Order {
  id @0 :Text;
  tracking @1 :Text;
  messageId @2 :Text;
  lines @3 :List(Line);
  shipping @4 :Money;
  total @5 :Money;
}

struct Line {
  productId @0 :Text;
  name @1 :Text;
  quantity @2 :UInt16;
  amount @3 :Money;
}

struct Money {
  currency @0 :Text;
  # ISO 4217
  minor @1 :Float64;
  # A whole number of the currency's smallest units.
  digits @2 :UInt8;
  # How many decimal places those units have.
}
