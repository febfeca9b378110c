@0xe90b3a5c74d1286f;

interface Weather {
  now @0 () -> (celsius :Float32);
}
