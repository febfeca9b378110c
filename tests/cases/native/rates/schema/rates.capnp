@0xd81f7e6a90b3c524;

interface Rates {
  of @0 (currency :Text) -> (rate :Float64, by :Text);
}
