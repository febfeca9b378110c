//! What is deployed, and how it changes.
//!
//! A deployment adds bundles to those known, wires everything anew, loads what the new wiring
//! needs on every shard and only then publishes it, as one value. Whatever goes wrong on the way
//! is a refusal with its reason; nothing that runs was touched then.
//!
//! What was deployed lives as long as the process: `serve` begins with the bundles that its
//! application file names. Bundles are kept on disk by digest; the history of deployments, which
//! will let a restarted process come back to where it was, belongs beside [`BundleStore::put`] in
//! [`Deployment::deploy`].

mod catalog;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use isolith_services::bundle::Bundle;
use isolith_services::store::BundleStore;
use isolith_versions::{Digest, RoutingTable, ServiceName, Version, VersionSet, Weight, World};
use tokio::sync::Mutex;

pub(crate) use catalog::{Catalog, Plan};

use crate::config::AppConfig;
use crate::error::{CallError, LoadError};
use crate::limits::Limits;
use crate::program::Program;
use crate::shard::{JsonCall, JsonReply, ShardHandle, ShardStats};

/// Sets that are no longer in force and that a status can still describe, if they are pinned.
const MAX_FORMER_SETS: usize = 64;

/// What a shard may take on top of evaluating bundles: it may be in the middle of a long turn.
const LOAD_GRACE: Duration = Duration::from_secs(10);

/// Values of variables, by service.
pub(crate) type Vars = BTreeMap<ServiceName, BTreeMap<String, String>>;

/// Why a change was not carried out: lines for a person.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

/// A change that was carried out.
pub(crate) struct Accepted {
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
    entry: ServiceName,
    vars: Vars,
    limits: Limits,
    /// Held through a whole change: one deploys after the other.
    state: Mutex<State>,
}

struct State {
    catalog: Catalog,
    /// Those of the set in force, by bundle.
    programs: BTreeMap<Digest, Arc<Program>>,
    /// The newest last.
    former: VecDeque<Arc<VersionSet>>,
}

/// What runs at one moment.
pub(crate) struct Snapshot {
    pub(crate) table: Arc<RoutingTable>,
    pub(crate) world: World,
    /// Sets that were in force, the newest last.
    pub(crate) former: Vec<Arc<VersionSet>>,
    pub(crate) shards: Vec<ShardStats>,
}

impl Deployment {
    /// Plans the first deployment, has `spawn` start the shards on its routing table, and carries
    /// it out.
    ///
    /// # Errors
    /// Why the bundles cannot be served.
    pub(crate) async fn start(
        config: &AppConfig,
        limits: Limits,
        store: BundleStore,
        bundles: Vec<Bundle>,
        spawn: impl FnOnce(&Arc<ArcSwap<RoutingTable>>) -> std::io::Result<Vec<ShardHandle>>,
    ) -> Result<Self, Refused> {
        let entry = config.app.entry.clone();
        let plan = Catalog::new([entry.clone()])?.plan(&bundles)?;
        plan.require_http(&entry)?;
        let services: BTreeSet<_> = bundles.iter().map(|bundle| &bundle.id().service).collect();
        for service in config
            .vars
            .keys()
            .filter(|service| !services.contains(service))
        {
            tracing::warn!("[vars.{service}] names a service that is not deployed");
        }
        // No request is admitted yet: nothing accepts connections before this returns.
        let table = RoutingTable::single(1, Arc::clone(&plan.set));
        let routing = Arc::new(ArcSwap::from_pointee(table));
        let shards = spawn(&routing)
            .map_err(|error| Refused(format!("cannot start the shards' threads: {error}")))?;
        let state = State {
            catalog: plan.catalog.clone(),
            programs: BTreeMap::new(),
            former: VecDeque::new(),
        };
        let deployment = Deployment {
            routing,
            shards,
            store,
            entry,
            vars: config.vars.clone(),
            limits,
            state: Mutex::new(state),
        };
        let ready = deployment.prepare(&plan, bundles, &BTreeMap::new()).await;
        match ready {
            Ok(programs) => deployment.state.lock().await.programs = programs,
            Err(reason) => {
                deployment.drain().await;
                return Err(reason);
            }
        }
        Ok(deployment)
    }

    /// Adds `bundles` to what is deployed and publishes the wiring that results.
    ///
    /// If it is the one in force already, the routing table stays as it is.
    ///
    /// # Errors
    /// Why not; nothing has changed for any request then.
    ///
    /// # Cancel safety
    /// Not cancel safe halfway: spawn it. Dropped, it leaves loaded what no set names, until the
    /// next change.
    pub(crate) async fn deploy(&self, bundles: Vec<Bundle>) -> Result<Accepted, Refused> {
        let mut state = self.state.lock().await;
        let catalog = state.catalog.clone();
        let (plan, bundles) = blocking(move || {
            let plan = catalog.plan(&bundles)?;
            Ok((plan, bundles))
        })
        .await?;
        plan.require_http(&self.entry)?;
        let wiring = plan.wiring();
        let table = self.routing.load_full();
        let (current, digest) = (table.admit(0).set, plan.set.digest());
        let programs = match self.prepare(&plan, bundles, &state.programs).await {
            Ok(programs) => programs,
            Err(reason) => {
                self.sweep().await;
                return Err(reason);
            }
        };
        let mut epoch = table.epoch();
        if current.digest() != digest {
            let next = table.next(vec![(Arc::clone(&plan.set), Weight::WHOLE)]);
            let next = next.map_err(|error| Refused(error.to_string()))?;
            epoch = next.epoch();
            self.routing.store(Arc::new(next));
            tracing::info!(epoch, set = %digest.short(), "a new version set is in force");
            state.former.retain(|former| former.digest() != digest);
            state.former.push_back(Arc::clone(current));
            if state.former.len() > MAX_FORMER_SETS {
                state.former.pop_front();
            }
        }
        state.catalog = plan.catalog;
        state.programs = programs;
        self.sweep().await;
        Ok(Accepted {
            epoch,
            set: digest,
            wiring,
        })
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

    /// Makes everything ready that the plan's set needs: programs, isolates on every shard, the
    /// compiled set, and last the bundles' files. Returns the set's programs.
    async fn prepare(
        &self,
        plan: &Plan,
        bundles: Vec<Bundle>,
        running: &BTreeMap<Digest, Arc<Program>>,
    ) -> Result<BTreeMap<Digest, Arc<Program>>, Refused> {
        let programs = self.programs(plan, bundles.clone(), running).await?;
        let fresh: Vec<_> = programs
            .values()
            .filter(|program| !running.contains_key(&program.id().digest))
            .collect();
        let count = u32::try_from(fresh.len()).unwrap_or(u32::MAX);
        let bound = self
            .limits
            .load
            .saturating_mul(count)
            .saturating_add(LOAD_GRACE);
        let load = join_all(self.shards.iter().map(|shard| async {
            let mut failures = Vec::new();
            for program in &fresh {
                if let Err(error) = shard.load(Arc::clone(program)).await {
                    failures.push(error);
                }
            }
            if failures.is_empty() {
                failures.extend(shard.wire(Arc::clone(&plan.set)).await.err());
            }
            failures
        }));
        let failures = tokio::time::timeout(bound, load).await.map_err(|_| {
            Refused(format!(
                "loading did not end within {} s: the shards are busy, or a bundle takes too long; \
                 try again",
                bound.as_secs()
            ))
        })?;
        if let Some(reason) = report(failures.into_iter().flatten()) {
            return Err(reason);
        }
        let store = self.store.clone();
        blocking(move || {
            let stored = bundles.iter().try_for_each(|bundle| store.put(bundle));
            stored.map_err(|error| Refused(error.to_string()))
        })
        .await?;
        Ok(programs)
    }

    /// The programs of the plan's set: those that run, and new ones made from the given bundles
    /// or, for what was deployed earlier, from the store.
    async fn programs(
        &self,
        plan: &Plan,
        bundles: Vec<Bundle>,
        running: &BTreeMap<Digest, Arc<Program>>,
    ) -> Result<BTreeMap<Digest, Arc<Program>>, Refused> {
        let (store, vars, set) = (self.store.clone(), self.vars.clone(), Arc::clone(&plan.set));
        let running = running.clone();
        blocking(move || {
            let none = BTreeMap::new();
            let mut programs = BTreeMap::new();
            let mut failures = Vec::new();
            for facts in set.bundles() {
                let digest = facts.id.digest;
                if let Some(program) = running.get(&digest) {
                    programs.insert(digest, Arc::clone(program));
                    continue;
                }
                let given = bundles.iter().find(|bundle| bundle.digest() == digest);
                let bundle = match given {
                    Some(bundle) => bundle.clone(),
                    None => store
                        .get(&digest)
                        .map_err(|error| Refused(error.to_string()))?,
                };
                let vars = vars.get(&facts.id.service).unwrap_or(&none);
                match Program::new(&bundle, vars) {
                    Ok(program) => drop(programs.insert(digest, Arc::new(program))),
                    Err(error) => failures.push(error),
                }
            }
            match report(failures) {
                Some(reason) => Err(reason),
                None => Ok(programs),
            }
        })
        .await
    }

    async fn sweep(&self) {
        join_all(self.shards.iter().map(ShardHandle::sweep)).await;
    }
}

/// All failures as one refusal, each text once: shards mostly fail alike.
fn report(failures: impl IntoIterator<Item = LoadError>) -> Option<Refused> {
    let lines: BTreeSet<_> = failures
        .into_iter()
        .map(|error| error.to_string())
        .collect();
    let lines: Vec<_> = lines.into_iter().collect();
    (!lines.is_empty()).then(|| Refused(lines.join("\n")))
}

/// Runs `work`, which computes or uses the disk, away from the thread that accepts connections.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Refused(format!("internal error: {error}; see the log"))))
}
