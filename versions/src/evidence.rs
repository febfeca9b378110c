//! Evidence: what a trace records of routing tables, sets, admissions and calls, and the checker
//! that finds from it alone whether requests were kept what they are promised.
//!
//! A trace is a sequence of [`Record`]s, as lines of JSON. A table and its sets stand before the
//! first admission that names them.

#[cfg(test)]
mod tests;
mod verify;

use serde::{Deserialize, Serialize};

use crate::{BundleId, Digest, Mask, Range, RoutingTable, ServiceName, VersionSet};

pub use verify::{Promise, Report, Verifier, Violation, verify};

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case", deny_unknown_fields)]
pub enum Record {
    /// A routing table was published.
    Table {
        /// Its epoch.
        epoch: u64,
        /// Its usable combinations of rollouts, and the set of each.
        sets: Vec<(Mask, Digest)>,
    },
    /// A version set was wired. Boxed, because it is rare and large.
    Set(Box<SetRecord>),
    /// A request was admitted.
    Admit {
        /// Names the root; unique among those that have not ended.
        root: RootId,
        /// The epoch of the table that decided, or was in force.
        epoch: u64,
        /// The set that the root is pinned to.
        set: Digest,
        /// How the set was chosen.
        by: Choice,
    },
    /// A bundle called another on behalf of a root.
    Call {
        /// The root.
        root: RootId,
        /// The set that the call ran under.
        set: Digest,
        /// The digest of the bundle that called.
        caller: Digest,
        /// The digest of the bundle that was called.
        callee: Digest,
        /// The caller's binding.
        import: String,
    },
    /// The root has ended: its last work is done.
    End {
        /// The root.
        root: RootId,
    },
    /// Records could not be written. Only whole requests and single calls are left out, so what is
    /// there can be checked all the same.
    Dropped {
        /// How many.
        records: u64,
    },
}

/// Names one admitted request in a trace.
pub type RootId = String;

/// How a request's set was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// By the routing table: the set of this combination of rollouts.
    Table(Mask),
    /// By an override in the request.
    Override,
    /// By a pin token in the request.
    Token,
}

/// A version set and the facts that show it to be closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRecord {
    /// Its digest.
    pub digest: Digest,
    /// Its text, whose digest that is.
    pub text: String,
    /// The bundles, by number.
    pub bundles: Vec<BundleRecord>,
    /// The entry services and the numbers of their bundles.
    pub entries: Vec<(ServiceName, usize)>,
}

/// A bundle of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleRecord {
    /// Its name.
    pub id: BundleId,
    /// Its exports: name and type id of the interface.
    pub exports: Vec<(String, u64)>,
    /// Its imports, and where each leads.
    pub imports: Vec<ImportRecord>,
}

/// An import of a bundle of a set, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRecord {
    /// The binding's name.
    pub name: String,
    /// The service asked for.
    pub service: ServiceName,
    /// The versions that will do.
    pub range: Range,
    /// The type id of the interface asked for.
    pub interface: u64,
    /// The number of the bundle that serves it.
    pub callee: usize,
    /// The number of that bundle's export.
    pub export: usize,
}

impl Record {
    /// The record of a published table.
    pub fn table(table: &RoutingTable) -> Self {
        let usable = table.combinations().usable();
        Self::Table {
            epoch: table.epoch(),
            sets: usable.map(|(mask, set)| (mask, set.digest())).collect(),
        }
    }

    /// The record of a set.
    pub fn set(set: &VersionSet) -> Self {
        let bundles = set.bundles().iter().enumerate().map(|(number, bundle)| {
            let imports = bundle.imports.iter().zip(set.edges(number));
            BundleRecord {
                id: bundle.id.clone(),
                exports: bundle
                    .exports
                    .iter()
                    .map(|export| (export.name.to_string(), export.interface))
                    .collect(),
                imports: imports
                    .map(|(import, edge)| ImportRecord {
                        name: import.name.to_string(),
                        service: import.service.clone(),
                        range: import.range.clone(),
                        interface: import.interface,
                        callee: edge.callee,
                        export: edge.export,
                    })
                    .collect(),
            }
        });
        Self::Set(Box::new(SetRecord {
            digest: set.digest(),
            text: set.to_string(),
            bundles: bundles.collect(),
            entries: set.entries().to_vec(),
        }))
    }
}
