//! What is deployed, and how it changes.
//!
//! A change is planned, made ready on every shard, written down, and only then published, as one
//! value. Whatever goes wrong on the way is a refusal with its reason; nothing that runs was touched
//! then. What was written down lives on: a restarted process comes back to it ([`start`]).

mod catalog;
mod load;
mod overrides;
mod start;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use isolith_services::bundle::Bundle;
use isolith_services::store::BundleStore;
use isolith_versions::{
    Combinations, Digest, RoutingTable, ServiceName, Version, VersionSet, World,
};
use tokio::sync::Mutex;

pub(crate) use catalog::{Catalog, Plan, Pool};
pub(crate) use start::Stores;

use crate::config::Given;
use crate::error::CallError;
use crate::limits::Limits;
use crate::program::Program;
use crate::shard::{JsonCall, JsonReply, ShardHandle, ShardStats};
use crate::state::{Author, Change, Entry, Head, StateStore};

/// Sets that are no longer in force and that a status can still describe, if they are pinned.
const MAX_FORMER_SETS: usize = 64;

/// What the application gives its services.
pub(crate) type AllGiven = BTreeMap<ServiceName, Given>;

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
    pub(crate) set: Digest,
    /// As [`Plan::wiring`].
    pub(crate) wiring: Vec<String>,
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
    /// Held through a whole change: one deploys after the other.
    state: Mutex<State>,
}

struct State {
    catalog: Catalog,
    /// As it was written down.
    head: Head,
    /// Of the newest entry in the history.
    number: u64,
    /// Those of the set in force, by bundle.
    programs: BTreeMap<Digest, Arc<Program>>,
    /// The newest last.
    former: VecDeque<Arc<VersionSet>>,
}

/// What runs at one moment.
pub(crate) struct Snapshot {
    /// Of the newest change in the history.
    pub(crate) number: u64,
    pub(crate) table: Arc<RoutingTable>,
    pub(crate) world: World,
    /// Sets that were in force, the newest last.
    pub(crate) former: Vec<Arc<VersionSet>>,
    pub(crate) shards: Vec<ShardStats>,
}

impl Deployment {
    /// Adds `bundles` to what requests may be wired from and publishes the wiring that results.
    ///
    /// If it is the one in force already, the routing table stays as it is.
    ///
    /// # Errors
    /// Why not; nothing has changed for any request then.
    ///
    /// # Cancel safety
    /// Not cancel safe halfway: spawn it. Dropped, it leaves loaded what no set names, until the
    /// next change.
    pub(crate) async fn deploy(
        &self,
        bundles: Vec<Bundle>,
        author: Author,
    ) -> Result<Accepted, Refused> {
        let mut state = self.state.lock().await;
        let (catalog, pool) = (state.catalog.clone(), state.head.pool.clone());
        let (plan, bundles) = blocking(move || {
            let plan = catalog.plan(&pool, &bundles)?;
            Ok((plan, bundles))
        })
        .await?;
        let names: Vec<_> = bundles
            .iter()
            .map(|bundle| bundle.id().to_string())
            .collect();
        let action = format!("deploy {}", names.join(" "));
        let head = Head {
            pool: plan.pool.clone(),
            ..state.head.clone()
        };
        self.carry_out(&mut state, head, plan, bundles, (action, author))
            .await
    }

    /// Wires later requests from the bundles that change number `number` of the history left.
    /// Requests that are open finish as they began.
    ///
    /// # Errors
    /// If there is no such change, or its bundles cannot be wired or loaded any more.
    ///
    /// # Cancel safety
    /// As [`deploy`](Self::deploy).
    pub(crate) async fn rollback(&self, number: u64, author: Author) -> Result<Accepted, Refused> {
        let mut state = self.state.lock().await;
        let (catalog, history) = (state.catalog.clone(), Arc::clone(&self.history));
        let store = self.store.clone();
        let (plan, bundles) = blocking(move || {
            let entry = history.entry(number).map_err(refused)?;
            let entry = entry.ok_or_else(|| {
                Refused(format!(
                    "the history has no change {number}: `isolith history` lists those it has"
                ))
            })?;
            let mut bundles = Vec::new();
            for digest in &entry.pool {
                if catalog.find(digest).is_none() {
                    bundles.push(store.get(digest).map_err(refused)?);
                }
            }
            let plan = catalog.with(&bundles)?.rewire(entry.pool)?;
            Ok((plan, bundles))
        })
        .await?;
        let head = Head {
            pool: plan.pool.clone(),
            ..state.head.clone()
        };
        let action = format!("rollback {number}");
        self.carry_out(&mut state, head, plan, bundles, (action, author))
            .await
    }

    /// The newest `most` changes, newest first.
    ///
    /// # Errors
    /// If the state file cannot be read.
    pub(crate) async fn history(&self, most: usize) -> Result<Vec<Entry>, Refused> {
        let history = Arc::clone(&self.history);
        blocking(move || history.history(most).map_err(refused)).await
    }

    /// Makes a plan's set ready on every shard, writes the change down and publishes it.
    async fn carry_out(
        &self,
        state: &mut State,
        mut head: Head,
        plan: Plan,
        bundles: Vec<Bundle>,
        (action, author): (String, Author),
    ) -> Result<Accepted, Refused> {
        plan.require_http(&self.entry)?;
        let wiring = plan.wiring();
        let table = self.routing.load_full();
        let (current, digest) = (table.combinations().base(), plan.set.digest());
        let next = match current.digest() == digest {
            true => None,
            false => {
                let next = table.next(vec![], Combinations::single(Arc::clone(&plan.set)));
                Some(next.map_err(refused)?)
            }
        };
        head.epoch = next.as_ref().map_or(table.epoch(), RoutingTable::epoch);
        let ready = match self.prepare(&plan, bundles, &state.programs).await {
            Ok(programs) if head == state.head => Ok((programs, state.number)),
            Ok(programs) => {
                let entry = entry(&head, &plan.set, action, author);
                let number = self.write_down(head.clone(), Some(entry)).await;
                number.map(|number| (programs, number))
            }
            Err(reason) => Err(reason),
        };
        let (programs, number) = match ready {
            Ok(ready) => ready,
            Err(reason) => {
                self.sweep().await;
                return Err(reason);
            }
        };
        if let Some(next) = next {
            let epoch = next.epoch();
            self.routing.store(Arc::new(next));
            tracing::info!(epoch, set = %digest.short(), "a new version set is in force");
            state.former.retain(|former| former.digest() != digest);
            state.former.push_back(Arc::clone(current));
            if state.former.len() > MAX_FORMER_SETS {
                state.former.pop_front();
            }
        }
        let epoch = head.epoch;
        state.catalog = plan.catalog;
        state.head = head;
        state.number = number;
        state.programs = programs;
        self.sweep().await;
        Ok(Accepted {
            number,
            epoch,
            set: digest,
            wiring,
        })
    }

    /// Makes a change last; from then on a restart comes back to it. Returns its number.
    async fn write_down(&self, head: Head, entry: Option<Entry>) -> Result<u64, Refused> {
        let history = Arc::clone(&self.history);
        blocking(move || {
            let change = Change { head: &head, entry };
            history.commit(change).map_err(refused)
        })
        .await
    }

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
            world: state.catalog.world().clone(),
            former: state.former.iter().cloned().collect(),
            shards,
        }
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

    async fn sweep(&self) {
        join_all(self.shards.iter().map(ShardHandle::sweep)).await;
    }
}

/// What the history tells of a change that is about to be carried out.
fn entry(head: &Head, set: &VersionSet, action: String, author: Author) -> Entry {
    let bundles = set.bundles().iter();
    Entry {
        number: 0,
        at_ms: now_ms(),
        who: author.who,
        action,
        message: author.message,
        epoch: head.epoch,
        set: set.digest().to_string(),
        bundles: bundles.map(|bundle| bundle.id.to_string()).collect(),
        pool: head.pool.clone(),
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
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
