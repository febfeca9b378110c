//! The bundle: how a service's folder becomes one file, and how that file is read.
//!
//! [`build`](build::build) reads a manifest ([`manifest`]), installs the npm packages that the
//! lock file names if they are not there ([`install`]), compiles the schemas, bundles the code,
//! holds what was inlined against the lock file, and writes one [`bundle`]. [`store`] keeps
//! bundles by digest, [`inspect`] prints them. No V8, no Node, no capnp compiler, no clock.

pub mod build;
pub mod bundle;
mod bundler;
pub mod inspect;
pub mod install;
pub mod lock;
pub mod manifest;
pub mod origin;
mod package;
mod problem;
pub mod store;

pub use problem::{Problem, Problems};
