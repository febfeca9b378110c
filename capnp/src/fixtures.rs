//! For tests, here and in the runtime: a schema with every kind of field, and a script that tries
//! the generated code in an isolate.

use std::path::Path;

use crate::schema::{SchemaError, compile};

/// The text of `js/fixture.capnp`, whose interface is `fixture.capnp:Fixture`.
pub const FIXTURE_CAPNP: &str = include_str!("../js/fixture.capnp");

/// `(function (rt, generated, host) { ... })`: throws if something is wrong. `rt` is what
/// [`MESSAGE_JS`](crate::MESSAGE_JS) returned for `host`, `generated` what the code generated for
/// [`FIXTURE_CAPNP`] returned for `rt`. It patches built-ins of its context: give it one of its own.
pub const MESSAGE_TEST_JS: &str = include_str!("../js/message.test.js");

/// [`FIXTURE_CAPNP`], compiled.
///
/// # Errors
/// When no temporary file can be written.
pub fn compile_fixture() -> Result<Vec<u8>, SchemaError> {
    let failed = |e: std::io::Error| SchemaError::Compiler(e.to_string());
    let folder = tempfile::tempdir().map_err(failed)?;
    std::fs::write(folder.path().join("fixture.capnp"), FIXTURE_CAPNP).map_err(failed)?;
    compile(folder.path(), &["fixture.capnp"], &[] as &[&Path])
}

#[cfg(test)]
pub(crate) fn compiled() -> Vec<u8> {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES.get_or_init(|| compile_fixture().unwrap()).clone()
}

#[cfg(test)]
pub(crate) fn schema() -> crate::model::Schema {
    crate::model::Schema::read(&compiled()).unwrap()
}
