@0xd3f6208bb1c94e75;

interface Probe {
  probe @0 (json :Text) -> (report :Report);
  # Parses a list of numbers and doubles each.
}

struct Report {
  doubled @0 :List(Float64);
  complaint @1 :Text;
  # What the service's zod says of a number where a text belongs.
  nativeMap @2 :Bool;
  nativeParse @3 :Bool;
}
