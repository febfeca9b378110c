@0xaa2b374392b9e289;
# A line that points to a product.

interface Ads {
  pick @0 (categories :List(Text)) -> (text :Text, productId :Text);
  # One that fits one of the categories, or any.
}
