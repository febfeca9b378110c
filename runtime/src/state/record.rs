//! What the state file holds, as values.

use std::collections::BTreeSet;

use isolith_versions::{Digest, Rollout};
use serde::{Deserialize, Serialize};

/// Where things stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The application's name: another application does not take over its state.
    pub(crate) app: String,
    /// Of the routing table that was published last.
    pub(crate) epoch: u64,
    /// The bundles that requests outside of every rollout are wired from.
    pub(crate) pool: BTreeSet<Digest>,
    /// The bundles that the application file named when it was last put into force.
    pub(crate) declared: BTreeSet<Digest>,
    /// When this was written, by the clock that rollouts wait by. 0 of a version that did not say:
    /// their steps wait anew then.
    #[serde(default)]
    pub(crate) at_ms: u64,
}

/// Who wants a change, and why.
#[derive(Clone, Debug, Default)]
pub(crate) struct Author {
    /// A user's name.
    pub(crate) who: String,
    /// May be empty.
    pub(crate) message: String,
}

/// One change, as the history tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Counts changes from 1.
    pub(crate) number: u64,
    /// Milliseconds since 1970, by the system's clock.
    pub(crate) at_ms: u64,
    /// The user who asked for it, or `isolith`.
    pub(crate) who: String,
    /// What was asked for, such as `deploy auth@2.0.0`.
    pub(crate) action: String,
    /// Why, in the words of who asked; may be empty.
    pub(crate) message: String,
    /// From which requests see it.
    pub(crate) epoch: u64,
    /// The digest of the set in force outside of every rollout, `sha256:...`.
    pub(crate) set: String,
    /// That set's bundles, `service@version`.
    pub(crate) bundles: Vec<String>,
    /// As [`Head::pool`].
    pub(crate) pool: BTreeSet<Digest>,
}

/// A rollout, under way or over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Later ones have higher numbers.
    pub(crate) order: u64,
    pub(crate) rollout: Rollout,
}
