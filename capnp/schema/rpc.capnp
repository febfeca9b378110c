@0xc2a8f0b5d7316e94;
# What a client outside asks first: the bootstrap interface of the listener under [rpc].

interface Isolith {
  open @0 (service :Text, export :Text, stickyKey :Text, override :Text, pinToken :Text) ->
      (capability :Capability, pinToken :Text, version :Text, set :Text, epoch :UInt64,
       session :Text);
  # Begins a session: a request that lasts as long as one of its capabilities is held. It is
  # admitted once, like an HTTP request, and pinned to one version set from then on.
  #
  # service, export: as `exports` under [rpc] lists them. `export` may be empty where only one of
  # the service's is listed.
  # stickyKey: what a rollout recognises the client by; empty if it is to be drawn.
  # override: versions that the session wants, as the header isolith-override has them, such as
  # `auth="2.1.0-rc.1"`; empty if none.
  # pinToken: what an earlier session or an HTTP response (isolith-pin) was given; empty if none.
  #
  # capability: the export; cast it to its interface.
  # pinToken: for a later session with the same set; empty if tokens are off.
  # version: of the service.
  # set, epoch: as the headers isolith-set and isolith-epoch of an HTTP response.
  # session: names the session in the log and in `isolith holders`.
}
