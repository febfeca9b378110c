//! The control plane: what the command line asks a running process.
//!
//! The interface is `capnp/schema/control.capnp`, served over a Unix socket in the data
//! directory, and over the network by mutual TLS if `[control.listen]` says so. Who asks is known
//! either way: by the user whom the client's process runs as, or by its certificate.

mod client;
mod describe;
mod history;
mod holders;
mod rollouts;
mod server;
mod service;
mod status;

use std::time::Duration;

use capnp::message::ReaderOptions;

pub(crate) use client::{Changed, Client, NetworkEnd};
pub(crate) use holders::BundleHolders;
pub(crate) use rollouts::{RolloutSpec, RolloutStatus, Rollouts};
pub(crate) use server::ControlServer;
pub(crate) use service::{Service, user_name};
pub(crate) use status::Status;

/// Bundle files in one deployment, together.
const MAX_DEPLOY_BYTES: usize = 500 << 20;

/// Bundle files in one deployment.
const MAX_DEPLOY_BUNDLES: u32 = 1024;

/// Connections at once; the command line opens one for each command.
const MAX_CONNECTIONS: usize = 16;

/// How long a new client may take to be heard before the next ones are.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes messages as large as a deployment may be.
fn reader_options() -> ReaderOptions {
    let mut options = ReaderOptions::new();
    let words = (MAX_DEPLOY_BYTES + (1 << 20)) / 8;
    options
        .traversal_limit_in_words(Some(words))
        .nesting_limit(32);
    options
}
