@0xd41c9a6fb3e20857;

interface Echo {
  echo @0 (data :Data) -> (data :Data);
  check @1 (token :Text) -> (user :User);
}

struct User {
  id @0 :UInt32;
  name @1 :Text;
}
