//! The beginning: the application file's bundles, or what an earlier process acknowledged.
//!
//! The application file is the declared start. Once something was put into force, the state file
//! has it, and a restarted process comes back to that, whatever the application file says by then:
//! a crash must not undo a deployment. The log says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use arc_swap::ArcSwap;
use isolith_services::bundle::Bundle;
use isolith_services::store::BundleStore;
use isolith_versions::RoutingTable;
use tokio::sync::Mutex;

use super::{Catalog, Deployment, Plan, Pool, Refused, State, entry, refused};
use crate::config::AppConfig;
use crate::limits::Limits;
use crate::shard::ShardHandle;
use crate::state::{Author, Entry, Head, Remembered, StateStore};

/// Where a deployment is kept.
pub(crate) struct Stores {
    pub(crate) bundles: BundleStore,
    pub(crate) state: StateStore,
}

/// What is to be served first.
struct Beginning {
    plan: Plan,
    /// Not in the store yet.
    bundles: Vec<Bundle>,
    head: Head,
    /// The newest entry of the history, if there is one.
    last: Option<Entry>,
}

impl Deployment {
    /// Plans what is served first, has `spawn` start the shards on its routing table, makes it
    /// ready on them and writes it down.
    ///
    /// # Errors
    /// Why it cannot be served.
    pub(crate) async fn start(
        config: &AppConfig,
        limits: Limits,
        stores: Stores,
        author: Author,
        spawn: impl FnOnce(&Arc<ArcSwap<RoutingTable>>) -> std::io::Result<Vec<ShardHandle>>,
    ) -> Result<Self, Refused> {
        let name = config.app.entry.clone();
        let remembered = stores.state.load().map_err(refused)?;
        let beginning = match remembered {
            None => declared(config)?,
            Some(remembered) => remembered_by(config, &stores.bundles, remembered)?,
        };
        let Beginning {
            plan,
            bundles,
            head,
            last,
        } = beginning;
        plan.require_http(&name)?;
        let known = plan.catalog.world().bundles().iter();
        let services: BTreeSet<_> = known.map(|bundle| &bundle.id.service).collect();
        let given = config.given().map_err(|error| Refused(error.to_string()))?;
        for service in given.keys().filter(|name| !services.contains(name)) {
            tracing::warn!(
                "[vars.{service}], [secrets.{service}] or [grants.{service}] names a service that \
                 is not deployed"
            );
        }
        // No request is admitted yet: nothing accepts connections before this returns.
        let table = RoutingTable::single(head.epoch, Arc::clone(&plan.set));
        let routing = Arc::new(ArcSwap::from_pointee(table));
        let shards = spawn(&routing)
            .map_err(|error| Refused(format!("cannot start the shards' threads: {error}")))?;
        let state = State {
            catalog: plan.catalog.clone(),
            head: head.clone(),
            number: last.as_ref().map_or(0, |last| last.number),
            programs: BTreeMap::new(),
            former: VecDeque::new(),
        };
        let deployment = Deployment {
            routing,
            shards,
            store: stores.bundles,
            history: Arc::new(stores.state),
            entry: name,
            given,
            limits,
            state: Mutex::new(state),
        };
        let change = match last {
            Some(_) => None,
            None => Some(entry(&head, &plan.set, "start".to_owned(), author)),
        };
        let first = async {
            let programs = deployment.prepare(&plan, bundles, &BTreeMap::new()).await?;
            Ok((programs, deployment.write_down(head, change).await?))
        };
        match first.await {
            Ok((programs, number)) => {
                let mut state = deployment.state.lock().await;
                state.programs = programs;
                state.number = state.number.max(number);
            }
            Err(reason) => {
                deployment.drain().await;
                return Err(reason);
            }
        }
        Ok(deployment)
    }
}

/// The bundles that the application file names.
///
/// # Errors
/// If a file cannot be read.
pub(crate) fn read_bundles(config: &AppConfig) -> Result<Vec<Bundle>, Refused> {
    let files = config.bundle_files().map_err(refused)?;
    let open = |file: &std::path::PathBuf| {
        Bundle::open(file).map_err(|error| Refused(format!("{}: {error}", file.display())))
    };
    files.iter().map(open).collect()
}

fn declared(config: &AppConfig) -> Result<Beginning, Refused> {
    let bundles = read_bundles(config)?;
    let catalog = Catalog::new([config.app.entry.clone()])?;
    let plan = catalog.plan(&Pool::new(), &bundles)?;
    let head = Head {
        app: config.app.name.clone(),
        epoch: 1,
        pool: plan.pool.clone(),
        declared: plan.pool.clone(),
    };
    Ok(Beginning {
        plan,
        bundles,
        head,
        last: None,
    })
}

fn remembered_by(
    config: &AppConfig,
    store: &BundleStore,
    Remembered { head, known, last }: Remembered,
) -> Result<Beginning, Refused> {
    if head.app != config.app.name {
        return Err(Refused(format!(
            "the data directory belongs to the application {}, and this one is {}: name another \
             directory with --data-dir or [app] data_dir",
            head.app, config.app.name
        )));
    }
    let mut bundles = Vec::new();
    for digest in known.union(&head.pool) {
        match store.get(digest) {
            Ok(bundle) => bundles.push(bundle),
            Err(error) if head.pool.contains(digest) => {
                return Err(Refused(format!(
                    "a bundle of change {}, which is in force, is lost: {error}\n  hint: put the \
                     file back, or move state.redb away to begin anew with the bundles that the \
                     application file names",
                    last.number
                )));
            }
            Err(error) => tracing::warn!("a bundle that is not in force is lost: {error}"),
        }
    }
    let catalog = Catalog::new([config.app.entry.clone()])?.with(&bundles)?;
    let plan = catalog.rewire(head.pool.clone())?;
    tracing::info!(
        change = last.number,
        action = last.action,
        who = last.who,
        "came back to what was in force"
    );
    if plan.set.digest().to_string() != last.set {
        tracing::warn!(set = %plan.set.digest().short(), "its bundles are wired differently now");
    }
    match read_bundles(config) {
        Ok(files) => {
            let files: Pool = files.iter().map(Bundle::digest).collect();
            if files != head.declared {
                tracing::warn!(
                    "the application file names other bundles than when it was last put into \
                     force; they are not: run `isolith apply` with it"
                );
            }
        }
        Err(reason) => tracing::info!("the application file's bundles are not needed: {reason}"),
    }
    // The number of an epoch that was published is never used again.
    let epoch = head.epoch.saturating_add(1);
    Ok(Beginning {
        plan,
        bundles: Vec::new(),
        head: Head { epoch, ..head },
        last: Some(last),
    })
}
