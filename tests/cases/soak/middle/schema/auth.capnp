@0xf2a6c51b8d90e473;

interface Auth {
  who @0 (pauseMs :UInt32) -> (who :Text);
  # "service@version digest" of the bundle that answers, after a pause.
}
