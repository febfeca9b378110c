//! Cap'n Proto for Isolith.
pub mod compat;
pub mod javascript;
pub mod model;
pub mod schema;
pub mod typescript;

#[doc(hidden)]
pub mod fixtures;

/// Reading and building messages in JavaScript: the text of a function expression that takes the
/// host's help and returns what [`javascript::generate`]'s output stands on. See its head comment.
pub const MESSAGE_JS: &str = include_str!("../js/message.js");

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
