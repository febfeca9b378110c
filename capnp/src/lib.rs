//! Cap'n Proto for Isolith: the project's own schemas, and everything that can be done with a
//! user's schema without running it.
//!
//! ```text
//! schema files ──schema::compile──▶ bytes (CodeGeneratorRequest; what a bundle carries)
//! bytes ──model::Schema::read──▶ Schema ──javascript::generate──▶ readers and encoders
//!                                       ──typescript::generate──▶ declarations
//!                              two of them ──compat::check──▶ reasons why not
//! ```
//!
//! - [`bundle_capnp`], [`control_capnp`], [`error_capnp`], [`rpc_capnp`]: the Rust code of `schema/*.capnp`.
//! - [`schema`] runs the Cap'n Proto compiler, a wasm module inside a crate: no `capnp` is needed on
//!   the machine, here or in a user's project.
//! - [`model`] is the only reader of compiled schemas; the others stand on it.
//! - [`MESSAGE_JS`] and [`javascript`] make messages in JavaScript; [`typescript`] describes the
//!   result to an editor.
//! - [`compat`] decides whether a caller and a service fit.
//!
//! # Invariants
//!
//! - No V8 here: JavaScript is text. The runtime evaluates it and runs
//!   [`fixtures::MESSAGE_TEST_JS`].
//! - Compiled schemas and messages may be hostile. Reading a schema checks all that generated code
//!   relies on (names are identifiers, slots lie inside their structs), and never panics. Reading a
//!   message never leaves the message's own segments.
//! - Reading a message never writes to it.
//! - Services hold readers, never the memory: a reader's fields are private, its prototype frozen,
//!   and inline `Data` is copied. The support code uses no built-in that a service could replace.
//! - Equal schema files give equal bytes, equal schemas give equal text.
//!
//! # How a message travels
//!
//! ```text
//! const builder = new rt.Builder(scratch, scratch.byteLength, { blobThreshold, maxBytes });
//! builder.begin(offset);                    // a multiple of 8
//! method.encodeParams(builder, value);      // throws TypeError or MessageError: builder.abort()
//! builder.end();                            // [offset, offset + length) of builder.buffer
//!
//! const chunk = new rt.Chunk(inbox);        // once per buffer, whatever number of messages
//! const message = rt.Message(chunk, base, end, segments);
//! const params = method.readParams(message);
//! ```
//!
//! Segment 0 is small and is copied or written where it is read. It lies in the scratch buffer, or
//! when that was too small (`builder.isOwn`) in a larger one of its own, to be sealed and moved.
//! `builder.blobs`, null or a list of `{ buffer, base, end }`, are segments 1 and up: large `Data`,
//! sealed, moved as they are and handed to [`MESSAGE_JS`]'s `Message` as `segments`. Their length
//! need not be whole words; on a wire they are padded.

pub mod compat;
#[doc(hidden)]
pub mod fixtures;
pub mod javascript;
pub mod model;
pub mod schema;
#[cfg(test)]
mod tests;
pub mod typescript;

/// Reading and building messages in JavaScript: a function expression `(function (host) { ... })`
/// that returns what [`javascript::generate`]'s text stands on.
///
/// Evaluate it in each context before any service's code runs. `host` has `utf8Decode`,
/// `utf8Encode`, `seal` and `isImmutable`; `js/message/primordials.js` describes them.
pub const MESSAGE_JS: &str = concat!(
    "(function (host) {\n'use strict';\n",
    include_str!("../js/message/primordials.js"),
    include_str!("../js/message/read.js"),
    include_str!("../js/message/readers.js"),
    include_str!("../js/message/build.js"),
    include_str!("../js/message/any.js"),
    include_str!("../js/message/values.js"),
    "return rt;\n})\n",
);

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

/// What clients outside ask first: `schema/rpc.capnp`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::unwrap_used)]
pub mod rpc_capnp {
    include!(concat!(env!("OUT_DIR"), "/rpc_capnp.rs"));
}
