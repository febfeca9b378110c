@0xe02ba6d4916f3c75;
# An error as it crosses from one service to another, or to a client.

struct CallError {
  kind @0 :Kind;

  name @1 :Text;
  # The JavaScript error's `name`: "TypeError"; empty if the host made the error.

  message @2 :Text;
  # What went wrong, where, and what to do.

  service @3 :Text;
  version @4 :Text;
  # Where it arose: the callee's name and version. Empty if no bundle was reached.

  stack @5 :Text;
  # The callee's stack, mapped to its source files; empty if there is none.

  enum Kind {
    failed @0;
    # The service's own code threw or rejected.

    overloaded @1;
    # A queue or a bound on calls in flight is full; trying again later may help.

    disconnected @2;
    # The callee's isolate, shard or process went away during the call.

    unimplemented @3;
    # The callee does not have this method.

    badArgument @4;
    # The params do not fit the schema.

    requestEnded @5;
    # The call belongs to a request that is over.

    deadlineExceeded @6;
    # The root's deadline passed before the call was done.

    cpuExceeded @7;
    # The callee used more CPU time than it may.

    memoryExceeded @8;
    # The callee used more memory than it may.

    pinnedVersionGone @9;
    # The version that the request is pinned to is no longer loaded.

    tooLarge @10;
    # A message is larger than the bound.

    badMessage @11;
    # The message is malformed: a pointer out of bounds, too deep, over the traversal budget.

    notFound @12;
    # No such service, version or method.

    notSettled @13;
    # The handler's promise can no longer settle: nothing is left that could do it.

    evicted @14;
    # An operator, or the end of a drain, ended the request.

    notGranted @15;
    # The service reached for what its manifest does not ask for or its deployment does not grant.

    revoked @16;
    # The capability was revoked by whoever serves it, or disposed of by its holder.

    otherVersionSet @17;
    # The capability belongs to a request that is pinned to another version set.

    cancelled @18;
    # The caller has given the call up.
  }
}
