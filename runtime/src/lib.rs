//! Isolith's runtime: isolates, shards, messages, the call path, ingress and control plane.

mod app;
pub mod bench;
mod capacity;
pub mod cli;
mod config;
mod control;
mod data_dir;
mod deployment;
mod error;
mod host;
mod http;
mod http_error;
mod ingress;
mod isolate;
mod limits;
mod outbound;
mod overrides;
mod park;
mod pin_token;
mod platform;
mod program;
mod sample;
mod script;
mod shard;
mod state;
mod tls;
mod trace;
