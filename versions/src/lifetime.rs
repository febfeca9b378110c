//! Lifetimes: what a bundle is to requests, and when it may be unloaded.
//!
//! ```text
//!             a set in force names it
//! Deployed ───────────────────────────▶ Serving ◀──────────────┐
//!    │                                   │   │                 │
//!    │                    no set does,   │   │ no set does,    │ it is in force
//!    │                    leases remain  │   │ nor any lease   │ again
//!    │                                   ▼   │                 │
//!    │                               Draining┼─────────────────┤
//!    │ withdrawn         last lease ends │   │                 │
//!    └──────────────────────────────────▶▼   ▼                 │
//!                                        Retired ──────────────┘
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Digest, RoutingTable, Weight, seeded};

/// What a bundle is to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BundleState {
    /// Known, and never yet named by a set in force.
    Deployed,
    /// A new request can reach it, be its set's share of keys nothing at the moment.
    Serving,
    /// No new request reaches it, and something still holds it.
    Draining,
    /// Nothing reaches or holds it: it may be unloaded.
    Retired,
}

/// What keeps a bundle loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseKind {
    /// A request that is not answered yet.
    Request,
    /// Work given to `waitUntil`.
    Background,
    /// A capability that somebody holds.
    Capability,
    /// A stream that is not at its end, a response's body too.
    Stream,
    /// A call that is not answered yet.
    Call,
}

/// Something that keeps a version set, and so its bundles, loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// What it is.
    pub kind: LeaseKind,
    /// The set that is pinned.
    pub set: Digest,
    /// Since when, in milliseconds since the epoch of 1970.
    pub since_ms: u64,
}

/// What reaches and holds a bundle at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Whether a request admitted from now on could get it: a set in force names it, or one that is
    /// kept for overrides or pin tokens.
    pub admissible: bool,
    /// Leases on sets that name it.
    pub leases: u64,
}

impl BundleState {
    /// The state that follows from how the bundle is used now; the same one if nothing changed.
    pub fn next(self, used: Use) -> Self {
        match (self, used) {
            (
                _,
                Use {
                    admissible: true, ..
                },
            ) => Self::Serving,
            (Self::Deployed, Use { leases: 0, .. }) => Self::Deployed,
            (_, Use { leases: 0, .. }) => Self::Retired,
            _ if seeded("unload-under-a-lease") => Self::Retired,
            _ => Self::Draining,
        }
    }

    /// Whether the bundle may be unloaded: no admission can reach it and no lease names it (P5).
    pub fn may_unload(self) -> bool {
        match self {
            Self::Retired => true,
            Self::Deployed | Self::Serving | Self::Draining => false,
        }
    }
}

/// Whether a request admitted by `table` could get the bundle. A set whose share of keys is nothing
/// counts: a rule may choose it.
pub fn is_admissible(table: &RoutingTable, bundle: Digest) -> bool {
    let mut sets = table.sets().iter();
    sets.any(|(set, weight)| {
        let in_force = *weight > Weight::ZERO || !seeded("unload-on-weight-zero");
        in_force && set.find(bundle).is_some()
    })
}

impl fmt::Display for BundleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Deployed => "deployed",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Retired => "retired",
        })
    }
}

impl fmt::Display for LeaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Request => "request",
            Self::Background => "background",
            Self::Capability => "capability",
            Self::Stream => "stream",
            Self::Call => "call",
        })
    }
}
