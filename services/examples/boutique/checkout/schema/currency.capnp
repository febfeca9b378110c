@0xffdafb27fd235785;
# What money is worth elsewhere.

interface Currency {
  list @0 () -> (codes :List(Text));
  convert @1 (currency :Text, minor :Float64, to :Text) -> (amount :Money);
  # An unknown currency is an error.
}

struct Money {
  currency @0 :Text;
  # ISO 4217
  minor @1 :Float64;
  # A whole number of the currency's smallest units.
  digits @2 :UInt8;
  # How many decimal places those units have.
}
