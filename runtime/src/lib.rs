//! Isolith's runtime: isolates, shards, messages, the call path, ingress and control plane.
//!
//! The `isolith` binary is [`cli::main`]. A binary that serves services of its own, written in Rust,
//! links this crate and runs [`Isolith`] with them: see [`native`].

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
mod message;
pub mod native;
mod outbound;
mod overrides;
mod park;
mod pin_token;
mod platform;
mod program;
mod rpc;
mod sample;
mod script;
mod shard;
mod state;
mod tls;
mod trace;

pub use app::Isolith;
/// The crates whose types services are written with, in the versions that fit.
pub use {capnp, capnp_rpc};
