@0xaccc3ba5d1b10cb9;
# What else a visitor may like.

interface Recommendation {
  list @0 (productIds :List(Text)) -> (productIds :List(Text));
  # At most four products that go with these and are none of them, the best first.
}
