@0xd41c9a6fb3e20857;

interface Echo {
  echo @0 (data :Data) -> (data :Data);
}
