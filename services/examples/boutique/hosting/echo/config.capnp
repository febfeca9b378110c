# A worker that calls another one over workerd's RPC.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "caller", worker = .caller), (name = "echo", worker = .echo)],
  sockets = [(name = "http", address = "127.0.0.1:8080", http = (), service = "caller")],
);

const date :Text = "2026-11-01";

const caller :Workerd.Worker = (
  compatibilityDate = .date,
  modules = [(name = "main", esModule = embed "../dist/echo/worker-caller.js")],
  bindings = [(name = "ECHO", service = (name = "echo", entrypoint = "EchoService"))],
);

const echo :Workerd.Worker = (
  compatibilityDate = .date,
  modules = [(name = "main", esModule = embed "../dist/echo/worker-echo.js")],
);
