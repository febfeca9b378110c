//! Cap'n Proto for Isolith.

/// The bundle file: `schema/bundle.capnp`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::unwrap_used)]
pub mod bundle_capnp {
    include!(concat!(env!("OUT_DIR"), "/bundle_capnp.rs"));
}

/// The control plane: `schema/control.capnp`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::unwrap_used)]
pub mod control_capnp {
    include!(concat!(env!("OUT_DIR"), "/control_capnp.rs"));
}

/// An error that crosses from one service to another: `schema/error.capnp`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::unwrap_used)]
pub mod error_capnp {
    include!(concat!(env!("OUT_DIR"), "/error_capnp.rs"));
}
