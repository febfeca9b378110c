@0x9d57c1b83e0fa246;
# What the command line tool asks a running process, over its Unix socket.

interface Control {
  deploy @0 (bundles :List(Data), message :Text) -> (result :ChangeResult);
  # Loads the bundle files (each one an `Envelope` message, at most 500 MiB together), solves
  # the wiring with everything in force so far, and makes it the one for new requests. All or
  # nothing; what runs is not touched by a refusal.
  #
  # message: why, for the history; may be empty, as in all changes.

  status @1 () -> (status :Status);

  call @2 (service :Text, version :Text, method :Text, argument :Text) -> (reply :CallReply);
  # Calls one method with an argument in JSON.
  #
  # version: empty for the one that new requests are routed to.
  # method: "EXPORT.method", or "method" where only one export has it.
  # argument: a JSON object that fits the method's params; empty stands for {}. 64-bit integers
  # are JSON numbers; Data cannot be given.

  history @3 (most :UInt32) -> (entries :List(HistoryEntry));
  # The newest changes, newest first.

  rollback @4 (number :UInt64, message :Text) -> (result :ChangeResult);
  # Wires new requests from the bundles that the history's change of this number left. Requests
  # that are open finish as they began.

  startRollout @5 (spec :RolloutSpec, message :Text) -> (result :ChangeResult);
  # Begins to shift requests to the spec's bundles.

  steerRollout @6 (name :Text, steering :Steering, message :Text) -> (result :ChangeResult);

  rollouts @7 () -> (rollouts :List(RolloutStatus), unsolved :List(Unsolved));
  # Those under way, in the order they were started, then those that are over.

  apply @8 (bundles :List(Data), rollouts :List(RolloutSpec), app :Text, dryRun :Bool,
      message :Text) -> (result :ChangeResult);
  # Makes what is in force what an application file says: exactly these bundles, and these
  # rollouts. Applied twice, it changes nothing the second time. All or nothing.
  #
  # app: the application's name, which must be the process's.
  # dryRun: only says what would be done.

  holders @9 (service :Text, version :Text) -> (bundles :List(BundleHolders));
  # What keeps bundles loaded. An empty version stands for all versions.

  evict @10 (service :Text, version :Text, reason :Text) -> (count :UInt64, inForce :Bool);
  # Cancels every request and all background work that is pinned to a set with this bundle.
  #
  # count: how many that were.
  # inForce: whether new requests can get the bundle still.
}

struct BundleHolders {
  bundle @0 :Text;
  # "service@version"

  inForce @1 :Bool;
  # Whether new requests can get it.

  total @2 :UInt64;
  # All that hold it.

  holders @3 :List(Holder);
  # Some of them, the oldest first.
}

struct Holder {
  kind @0 :Text;
  # "request", "background", "capability", "stream" or "call".

  count @1 :UInt32;
  # How many of the kind this request has.

  ageMs @2 :UInt64;
  # Of the oldest of them.

  request @3 :Text;
  # The request's id, as in the log.

  shard @4 :UInt16;

  set @5 :Text;
  # The set that is pinned, "sha256:...".
}

struct RolloutSpec {
  name @0 :Text;

  bundles @1 :List(Data);
  # Bundle files of the new versions.

  steps @2 :List(RolloutStep);
  # None: it holds the weights that it is given.

  matches @3 :List(MatchRule);
  # Requests that one of them fits see the new versions whatever their key.

  shadow @4 :UInt16;
  # The share of requests of which the new versions get a copy, in ten-thousandths.

  alpha @5 :Float64;
  # The highest probability of aborting a version that is not worse.

  minRequests @6 :UInt64;
  # Requests that each version must have had before it can be judged.
}

struct RolloutStep {
  weight @0 :UInt16;
  # Share of keys, in ten-thousandths.

  waitMs @1 :UInt64;
  # The least time that the step takes.

  minRequests @2 :UInt64;
  # The fewest requests to the new version in the step.
}

struct MatchRule {
  # All conditions that are given must hold.

  headerName @0 :Text;
  headerValue @1 :Text;
  # Given if the name is not empty.

  pathPrefix @2 :Text;
  method @3 :Text;
}

struct Steering {
  union {
    set @0 :UInt16;
    # A weight in ten-thousandths, which is held.

    pause @1 :Void;
    resume @2 :Void;
    promote @3 :Void;
    abort @4 :Void;
  }
}

struct RolloutStatus {
  name @0 :Text;

  state @1 :Text;
  # "running", "paused", "holding", "promoted" or "aborted".

  detail @2 :Text;
  # The state in words: "running in step 2".

  weight @3 :UInt32;
  # Share of keys that see the new versions, in ten-thousandths.

  steps @4 :List(RolloutStep);

  step @5 :UInt32;
  # The number of the step it is in, from 1; 0 if it is in none.

  candidates @6 :List(Text);
  # "service@version"

  set @7 :Text;
  # The set of requests that see these candidates and no other rollout's, "sha256:...".

  waits @8 :Text;
  # What it waits for, for people.

  shadows @9 :ShadowCounts;
}

struct ShadowCounts {
  # Copies of requests that the new versions got, by what became of them.

  alike @0 :UInt64;
  # Answered as the client was.

  different @1 :UInt64;

  failed @2 :UInt64;
  # Not answered.

  skipped @3 :UInt64;
  # Not sent: too many were under way, or the body was too long.
}

struct Unsolved {
  # Rollouts that no request sees together.

  rollouts @0 :List(Text);

  reason @1 :Text;
  # For people.
}

struct CallReply {
  union {
    ok :group {
      json @0 :Text;
      # The results as JSON. 64-bit integers are strings, Data is base64.

      bundle @1 :Text;
      # Who answered: "auth@2.0.0".

      setDigest @2 :Data;
      # The version set that the call was pinned to, 32 bytes.
    }
    error @3 :import "error.capnp".CallError;
  }
}

struct ChangeResult {
  union {
    accepted :group {
      epoch @0 :UInt64;
      # The routing table's epoch from which new requests use the set.

      setDigest @1 :Data;
      # The new version set, 32 bytes.

      wiring @2 :List(Text);
      # One line per bundle and edge, for people.

      number @4 :UInt64;
      # Of the change in the history. If there was nothing to change, that of the last one.
    }
    refused :group {
      reason @3 :Text;
      # Several lines, for people: what does not fit, and what to do.
    }
  }
}

struct HistoryEntry {
  number @0 :UInt64;
  # Counts changes from 1.

  atMs @1 :UInt64;
  # Milliseconds since 1970.

  who @2 :Text;
  # The user who asked for it; "isolith" for what the process did by itself.

  action @3 :Text;
  # "deploy auth@2.0.0"

  message @4 :Text;
  # Why, in the words of who asked.

  epoch @5 :UInt64;
  # From which requests see it.

  set @6 :Text;
  # The set in force outside of every rollout, "sha256:...".

  bundles @7 :List(Text);
  # Those of the set: "service@version".

  pool @8 :List(Text);
  # The digests of all bundles that the set was chosen from.
}

struct Status {
  epoch @0 :UInt64;
  # Rises by one with each change of the routing table.

  app @1 :Text;
  # The application's name.

  entry @2 :Text;
  # The service that handles HTTP.

  pid @3 :UInt32;

  uptimeMs @4 :UInt64;
  # Milliseconds since the process began to serve.

  shards @5 :UInt16;
  # Threads that run isolates.

  listen @6 :Text;
  # Where HTTP is served: "127.0.0.1:8080".

  sets @7 :List(SetStatus);
  # Those in force first, by weight; then those that drain.

  bundles @8 :List(BundleStatus);
  # By service, then version.

  requests @9 :UInt64;
  # HTTP requests admitted since the start.

  requestsInFlight @10 :UInt32;

  version @11 :Text;
  # Of the runtime.

  change @12 :UInt64;
  # The number of the newest change in the history.

  parkedShards @13 :UInt32;
  # Shards that were lost to memory since the start, with what they hold, and replaced.
}

struct SetStatus {
  digest @0 :Data;
  # 32 bytes.

  weight @1 :UInt32;
  # Share of new requests, in ten-thousandths; 0 if the set drains.

  state @2 :State;

  pins @3 :UInt64;
  # Requests and background work that hold the set now.

  bundles @4 :List(Text);
  # "service@version", by name.

  edges @5 :List(Edge);

  enum State {
    serving @0;
    # New requests are admitted to it.

    draining @1;
    # No new requests; some hold it still.
  }
}

struct Edge {
  caller @0 :Text;
  # "frontend@3.2.0"

  import @1 :Text;
  # The caller's name for the binding: "AUTH".

  callee @2 :Text;
  # "auth@2.0.0"

  range @3 :Text;
  # What the caller asks for: "^2.0".

  export @4 :Text;
  # The callee's name for it.
}

struct ErrorCount {
  kind @0 :Text;
  # As in `CallError.Kind`.

  count @1 :UInt64;
}

struct BundleStatus {
  service @0 :Text;
  version @1 :Text;

  digest @2 :Data;
  # 32 bytes.

  state @3 :State;

  heapBytes @4 :UInt64;
  # JavaScript heap in use, all shards together, as of the last garbage collection or sample.

  externalBytes @5 :UInt64;
  # Array buffers and message memory, all shards together.

  isolates @6 :UInt32;
  # How many shards hold one now.

  requests @7 :UInt64;
  # Calls and HTTP requests handled since the bundle was loaded.

  errors @8 :UInt64;
  # Those of them that ended in an error.

  leases @9 :UInt64;
  # What keeps the bundle loaded now.

  errorKinds @10 :List(ErrorCount);
  # The errors by kind.

  p50Micros @11 :UInt64;
  p99Micros @12 :UInt64;
  # How long it took to handle HTTP requests and a sample of the calls; 0 if there were none.

  cpuUs @13 :UInt64;
  # CPU time that its code has used, all shards together, in microseconds.

  ended @14 :UInt64;
  # How often its code had to be ended: for its CPU time, its memory, or a deadline.

  heldBack @15 :UInt32;
  # How many of its isolates take no work now, because that happened too often.

  native @16 :Bool;
  # Its code is part of the process. It has no isolate: `isolates` counts the shards that have its
  # exports, and `ended` the methods that panicked.

  idleEvictions @17 :UInt64;
  # How often an isolate of it was evicted while it was idle, to stay within the memory budget.

  enum State {
    loaded @0;
    # Deployed; no isolate yet.

    running @1;
    # At least one shard holds an isolate, or loads it again when it is called: see `idleEvictions`.

    draining @2;
    # No set in force names it; leases keep it loaded.

    failed @3;
    # Its isolate could not be made or was ended; the next call tries again.
  }
}
