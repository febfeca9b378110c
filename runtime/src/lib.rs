//! Isolith's runtime: isolates, shards, messages, the call path, ingress and control plane.

mod error;
mod host;
mod isolate;
mod limits;
mod platform;
mod program;
mod shard;
