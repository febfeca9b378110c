@0x8e7b5b37c2770433;
# Writes to customers.

interface Email {
  confirm @0 (to :Text, order :Order) -> (messageId :Text, subject :Text, characters :UInt32);
  # Writes the confirmation of an order, and says how long it became.
}

struct Order {
  id @0 :Text;
  tracking @1 :Text;
  name @2 :Text;
  lines @3 :List(Line);
  shipping @4 :Money;
  total @5 :Money;
}

struct Line {
  name @0 :Text;
  quantity @1 :UInt16;
  amount @2 :Money;
}

struct Money {
  currency @0 :Text;
  # ISO 4217
  minor @1 :Float64;
  # A whole number of the currency's smallest units.
  digits @2 :UInt8;
  # How many decimal places those units have.
}
