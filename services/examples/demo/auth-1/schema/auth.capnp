@0xc1d2b7a04f5e8396;
# Who a request comes from, and small signed values.

interface Auth {
  login @0 (user :Text, password :Text) -> (login :Login);
  # Exchanges a password for a session token.

  check @1 (token :Text) -> (session :Session);
  # Says whose session a token is. An unknown or expired token is an answer, not an error.

  seal @2 (purpose :Text, payload :Data) -> (sealed :Text);
  # Signs a value, so that a client may keep it and not change it. At most 3 KiB.

  unseal @3 (purpose :Text, sealed :Text) -> (unsealed :Unsealed);
  # Gives back what `seal` was given with the same purpose.
}

struct Login {
  servedBy @0 :Text;
  # The version of this service that answered.

  union {
    granted @1 :Grant;
    refused @2 :Refusal;
  }
}

struct Grant {
  token @0 :Text;
  expiresInSeconds @1 :UInt32;
  user @2 :User;
}

struct Session {
  servedBy @0 :Text;
  # The version of this service that answered.

  union {
    user @1 :User;
    refused @2 :Refusal;
  }
}

struct Unsealed {
  union {
    payload @0 :Data;
    refused @1 :Refusal;
  }
}

struct User {
  id @0 :Text;
  name @1 :Text;
  role @2 :Role;
}

enum Role {
  customer @0;
  staff @1;
}

enum Refusal {
  missing @0;
  # There is no token or password.

  malformed @1;
  # This is no token of ours, or its signature does not fit.

  expired @2;

  wrongCredentials @3;
  # The user or the password is wrong; it is not said which.

  unknownUser @4;
  # The token is good, but its user is no longer known.
}
