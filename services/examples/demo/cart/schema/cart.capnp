@0xa4e81f3c6b90d257;
# Shopping carts. The service keeps none: a caller passes the lines of a cart in and gets the new
# ones back, so it does not matter which instance answers.

interface Cart {
  price @0 (token :Text, lines :List(Line)) -> (outcome :Outcome);
  # Puts today's names and prices on a cart. Lines whose product is gone are left out.

  change @1 (token :Text, lines :List(Line), change :Change) -> (outcome :Outcome);
  # The cart with one thing changed, priced.
}

struct Line {
  productId @0 :Text;
  quantity @1 :UInt32;
}

struct Change {
  union {
    add @0 :Line;
    # More of a product.

    set @1 :Line;
    # Exactly so many of a product; 0 removes it.
  }
}

struct Outcome {
  checkedBy @0 :Text;
  # The version of the auth service that checked the token.

  union {
    cart @1 :Contents;
    refused @2 :Refusal;
  }
}

struct Contents {
  lines @0 :List(PricedLine);
  items @1 :UInt32;
  # Sum of the quantities.

  subtotalCents @2 :UInt32;
  shippingCents @3 :UInt32;
  totalCents @4 :UInt32;
}

struct PricedLine {
  productId @0 :Text;
  name @1 :Text;
  quantity @2 :UInt32;
  unitCents @3 :UInt32;
  totalCents @4 :UInt32;
}

struct Refusal {
  reason @0 :Reason;
  productId @1 :Text;
  # The product that the reason is about, if it is about one.

  limit @2 :UInt32;
  # The limit that was passed, if one was.

  enum Reason {
    notSignedIn @0;
    unknownProduct @1;
    tooManyOfOne @2;
    tooManyLines @3;
  }
}
