@0xe6a5c91f2b7d0483;

interface Keeper {
  times @0 () -> (times :UInt32);
  # How often this isolate was asked.
}
