//! What a bundle brings to a runtime, made ready once and shared by all shards.

use std::sync::Arc;

use isolith_versions::{BundleFacts, BundleId};

/// A bundle as an isolate loads it: code, generated bindings, variables and limits.
pub(crate) struct Program {
    /// Who it is, what it exports and imports.
    pub(crate) facts: Arc<BundleFacts>,
    /// The main module, ECMAScript.
    pub(crate) source: String,
    /// Maps positions in `source` to the files it was built from.
    pub(crate) source_map: Option<sourcemap::SourceMap>,
    /// JavaScript that reads and encodes the messages of its interfaces; `None` if it has none.
    pub(crate) bindings: Option<String>,
    /// For each export of `facts`, in order, the class that serves it.
    pub(crate) classes: Vec<String>,
    /// Variables and their values: strings on `env`.
    pub(crate) vars: Vec<(String, String)>,
    /// The bundle's own heap limit, in MiB.
    pub(crate) heap_mib: Option<u32>,
}

impl Program {
    pub(crate) fn id(&self) -> &BundleId {
        &self.facts.id
    }

    /// `source:line:column` for a position in the main module (both counted from 1), if its
    /// source map knows it.
    pub(crate) fn position(&self, line: u32, column: u32) -> Option<String> {
        let map = self.source_map.as_ref()?;
        let token = map.lookup_token(line.checked_sub(1)?, column.checked_sub(1)?)?;
        let source = token.get_source()?;
        let (line, column) = (token.get_src_line() + 1, token.get_src_col() + 1);
        Some(format!("{source}:{line}:{column}"))
    }
}
