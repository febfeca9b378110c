//! Resolution: from entry services and a world of bundles to a version set.

use crate::{BundleFacts, Range, ServiceName, VersionSet, World};

/// A service that requests enter by, and the versions of it that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The service.
    pub service: ServiceName,
    /// Its versions.
    pub range: Range,
}

/// An edge that the solver considers: may `caller`'s import be served by `callee`'s export?
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The bundle that asks.
    pub caller: &'a BundleFacts,
    /// The place of its import in [`BundleFacts::imports`].
    pub import: usize,
    /// The bundle that would serve it.
    pub callee: &'a BundleFacts,
    /// The place of the export in [`BundleFacts::exports`].
    pub export: usize,
}

/// Decides whether an edge's schemas fit together. On `Err` the edge is not selectable, and the
/// text, which completes the sentence "auth@2.0.0 ...", becomes part of the explanation: say "dropped
/// the method `check`".
pub type Compatible<'a> = &'a dyn Fn(Candidate<'_>) -> Result<(), String>;

/// No version set exists; shows why, for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsolvable(String);

/// Resolves every edge reachable from `entries`.
///
/// # Errors
/// [`Unsolvable`] with an explanation.
pub fn solve(
    world: &World,
    entries: &[Entry],
    compatible: Compatible<'_>,
) -> Result<VersionSet, Unsolvable> {
    let _ = (world, entries, compatible);
    Err(Unsolvable("resolution is not there yet".to_owned()))
}
