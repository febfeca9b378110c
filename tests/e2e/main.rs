//! End-to-end tests, on what users have: the `isolith` binary, real sockets on loopback, real
//! files and real npm packages.
//!
//! Inputs and expected output are folders under `tests/cases`; expected texts are rewritten by
//! `UPDATE_EXPECT=1`. Nothing here asserts how long something takes: waits only have bounds.
//!
//! Run them with `make test`, or with `cargo test --release -p isolith-tests` after
//! `make build`: the binary is looked for beside the test's own executable.

// The attributes tell clippy what the whole program is: tests, which may panic.
#[cfg(test)]
mod bad_bundles;
#[cfg(test)]
mod bad_sources;
#[cfg(test)]
mod boutique;
#[cfg(test)]
mod build;
#[cfg(test)]
mod capabilities;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod control;
#[cfg(test)]
mod deploys;
#[cfg(test)]
mod eviction;
#[cfg(test)]
mod failing_handlers;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod history;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod hostile_reach;
#[cfg(test)]
mod http_limits;
#[cfg(test)]
mod http_streams;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod lifetimes;
#[cfg(test)]
mod native;
#[cfg(test)]
mod pins;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod rollouts;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod rpc;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod trace;
#[cfg(test)]
mod types;

#[cfg(test)]
mod support;

/// The schema of the case `rpc`.
#[cfg(test)]
#[allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    clippy::unwrap_used
)]
mod auth_capnp {
    include!(concat!(env!("OUT_DIR"), "/auth_capnp.rs"));
}
