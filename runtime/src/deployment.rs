//! What is deployed, and how it changes.
//!
//! A change is planned, made ready on every shard, written down, and only then published, as one
//! value. Whatever goes wrong on the way is a refusal with its reason; nothing that runs was touched
//! then. What was written down lives on: a restarted process comes back to it ([`start`]).

mod apply;
mod catalog;
mod change;
mod clock;
mod holders;
mod layout;
mod load;
mod overrides;
mod rollouts;
mod start;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use isolith_services::store::BundleStore;
use isolith_versions::{
    Digest, Rollout, RolloutName, RoutingTable, ServiceName, Version, VersionSet,
};
use tokio::sync::Mutex;

pub(crate) use apply::{Declared, DeclaredRollout};
pub(crate) use catalog::{Catalog, Plan, Pool, require_http};
use change::Next;
use clock::{now_ms, system_ms};
pub(crate) use holders::BundleHolders;
pub(crate) use layout::Layout;
use overrides::OverrideSets;
pub(crate) use rollouts::Steer;
use rollouts::Watch;
pub(crate) use start::Stores;

use crate::config::AllGiven;
use crate::error::CallError;
use crate::limits::Limits;
use crate::program::Program;
use crate::shard::{EntrySample, JsonCall, JsonReply, ShardHandle, ShardStats};
use crate::state::{Entry, Head, Kept, StateStore};

/// Sets that are no longer in force and that a status can still describe, if they are pinned.
const MAX_FORMER_SETS: usize = 64;

/// Why a change was not carried out: lines for a person.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

/// A change that was carried out.
pub(crate) struct Accepted {
    /// Of its entry in the history.
    pub(crate) number: u64,
    /// From which requests use the set.
    pub(crate) epoch: u64,
    /// In force outside of every rollout.
    pub(crate) set: Digest,
    /// What it comes to, for a person.
    pub(crate) lines: Vec<String>,
}

/// The shards, what they run, and what they could run.
pub(crate) struct Deployment {
    routing: Arc<ArcSwap<RoutingTable>>,
    shards: Vec<ShardHandle>,
    store: BundleStore,
    history: Arc<StateStore>,
    entry: ServiceName,
    given: AllGiven,
    limits: Limits,
    /// Shards whose thread was parked for good.
    parked: AtomicU32,
    /// Held through a whole change: one deploys after the other.
    state: Mutex<State>,
}

struct State {
    layout: Layout,
    /// As it was written down.
    head: Head,
    /// Rollouts under way and over, as they were written down.
    kept: BTreeMap<RolloutName, Kept>,
    /// Of the newest entry in the history.
    number: u64,
    watch: Watch,
    overrides: OverrideSets,
    /// Those of the sets in force, by bundle.
    programs: BTreeMap<Digest, Arc<Program>>,
    /// The newest last.
    former: VecDeque<Arc<VersionSet>>,
}

/// What runs at one moment.
pub(crate) struct Snapshot {
    /// Of the newest change in the history.
    pub(crate) number: u64,
    pub(crate) table: Arc<RoutingTable>,
    /// What is in force and under way.
    pub(crate) layout: Layout,
    /// Rollouts that are over, the newest last.
    pub(crate) over: Vec<Rollout>,
    /// Why rollouts that should go on do not.
    pub(crate) stalled: BTreeMap<RolloutName, String>,
    /// Sets that were in force, the newest last.
    pub(crate) former: Vec<Arc<VersionSet>>,
    pub(crate) shards: Vec<ShardStats>,
}

impl Deployment {
    /// Calls one method on the first shard; the bundle is chosen as for a new request.
    ///
    /// # Errors
    /// As the call's.
    pub(crate) async fn call(
        &self,
        (service, version): (String, Option<Version>),
        (export, method): (Option<String>, String),
        argument: String,
        deadline: Instant,
    ) -> Result<JsonReply, CallError> {
        let Some(shard) = self.shards.first() else {
            let kind = crate::error::ErrorKind::Disconnected;
            return Err(CallError::host(kind, "no shard runs; restart the process"));
        };
        shard
            .call(JsonCall {
                service,
                version,
                export,
                method,
                argument,
                deadline,
            })
            .await
    }

    /// What runs now. Waits for a deployment under way.
    pub(crate) async fn snapshot(&self) -> Snapshot {
        let shards = join_all(self.shards.iter().map(ShardHandle::stats)).await;
        let state = self.state.lock().await;
        Snapshot {
            number: state.number,
            table: self.routing.load_full(),
            layout: state.layout.clone(),
            over: state.over(),
            stalled: state.watch.stalled.clone(),
            former: state.former.iter().cloned().collect(),
            shards,
        }
    }

    /// The newest `most` changes, newest first.
    ///
    /// # Errors
    /// If the state file cannot be read.
    pub(crate) async fn history(&self, most: usize) -> Result<Vec<Entry>, Refused> {
        let history = Arc::clone(&self.history);
        blocking(move || history.history(most).map_err(refused)).await
    }

    /// What requests were like since the last time, by what they were admitted to.
    async fn take_samples(&self) -> Vec<EntrySample> {
        let samples = join_all(self.shards.iter().map(ShardHandle::take_samples)).await;
        samples.into_iter().flatten().collect()
    }

    /// Puts a new thread in the place of a shard's that is parked, loaded with what is in force.
    /// Waits for a deployment under way.
    ///
    /// # Errors
    /// Why it cannot be started or loaded.
    pub(crate) async fn revive(&self, shard: &ShardHandle) -> Result<(), Refused> {
        let state = self.state.lock().await;
        let successor = shard.successor().map_err(refused)?;
        for program in state.programs.values() {
            let loaded = successor.load(Arc::clone(program)).await;
            loaded.map_err(refused)?;
        }
        for (set, _) in self.routing.load_full().sets() {
            successor.wire(Arc::clone(set)).await.map_err(refused)?;
        }
        shard.replace(&successor);
        Ok(())
    }

    /// Counts a shard whose thread was parked. Returns how many there are.
    pub(crate) fn count_parked(&self) -> u32 {
        self.parked.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Shards whose thread was parked for good, since the start.
    pub(crate) fn parked(&self) -> u32 {
        self.parked.load(Ordering::Relaxed)
    }

    /// The shards, by number.
    pub(crate) fn shards(&self) -> &[ShardHandle] {
        &self.shards
    }

    /// Ends the shards, gracefully, and waits for that.
    pub(crate) async fn drain(&self) {
        self.shards.iter().for_each(ShardHandle::drain);
        join_all(self.shards.iter().map(ShardHandle::ended)).await;
    }

    /// Has the shards unload what nothing names.
    async fn sweep(&self) {
        join_all(self.shards.iter().map(ShardHandle::sweep)).await;
    }
}

fn refused(error: impl std::fmt::Display) -> Refused {
    Refused(error.to_string())
}

/// Runs `work`, which computes or uses the disk, away from the thread that accepts connections.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Refused(format!("internal error: {error}; see the log"))))
}
