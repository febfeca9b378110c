@0xa9c7be3d5f1e8b42;
# Sessions as objects, and files as streams.

interface Auth {
  session @0 (token :Text) -> (session :Session);
  files @1 () -> (source :Source);
  store @2 () -> (into :Sink);
  stored @3 () -> (bytes :Float64);
}

interface Named {
  name @0 () -> (name :Text);
}

interface User extends(Named) {
  visit @0 (guest :User) -> (greeting :Text);
}

interface Session {
  user @0 () -> (user :User);
}

interface Sink {
  write @0 (bytes :Data) -> stream;
  end @1 ();
}

interface Source {
  pipe @0 (into :Sink) -> ();
}
