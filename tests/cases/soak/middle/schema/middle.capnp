@0xe94b07d36fa1c285;

interface Middle {
  ask @0 (pauseMs :UInt32) -> (who :Text, met :List(Text));
  # who: the bundle that answers. met: every auth that it met.
}
