@0xf2b8ae047593a510;
# What the shop sells.

interface Catalogue {
  list @0 () -> (products :List(Product));
  get @1 (id :Text) -> (product :Product);
  # An unknown product has an empty id.

  search @2 (query :Text) -> (products :List(Product));
  # The products that have every word of the query in their name, description or categories.
}

struct Product {
  id @0 :Text;
  name @1 :Text;
  description @2 :Text;
  picture @3 :Text;
  priceCents @4 :UInt32;
  # In US cents.
  categories @5 :List(Text);
}
