@0xf0a3c95b1d7e2846;
# The products that the shop sells.

interface Catalog {
  search @0 (query :Text, category :Text, sort :Sort, page :UInt32, pageSize :UInt32) -> (results :Page);
  # Products that match every word of the query, or all products if it is empty.
  # category: its key, or empty for all.
  # page: from 1; 0 means 1. pageSize: at most 100; 0 means the service's default.

  product @1 (id :Text) -> (lookup :Lookup);

  prices @2 (ids :List(Text)) -> (lookups :List(Lookup));
  # Looks up several products, in the order of the ids. At most 100.

  categories @3 () -> (categories :List(Category));

  exportCsv @4 () -> (csv :Data);
  # All products, as UTF-8 text in CSV (RFC 4180) with a header line.

  statistics @5 () -> (statistics :Statistics);
}

enum Sort {
  relevance @0;
  name @1;
  cheapestFirst @2;
  dearestFirst @3;
}

struct Product {
  id @0 :Text;
  name @1 :Text;
  category @2 :Text;
  priceCents @3 :UInt32;
  description @4 :Text;
  tags @5 :List(Text);
}

struct Lookup {
  union {
    missing @0 :Void;
    product @1 :Product;
  }
}

struct Page {
  products @0 :List(Product);
  total @1 :UInt32;
  # Products that match, on all pages together.

  page @2 :UInt32;
  pages @3 :UInt32;
}

struct Category {
  key @0 :Text;
  products @1 :UInt32;
}

struct Statistics {
  products @0 :UInt32;
  searches @1 :UInt64;
  builtins @2 :List(BuiltinUse);
  # How often the built-in functions that the service measures were called.
}

struct BuiltinUse {
  name @0 :Text;
  calls @1 :UInt64;
}
