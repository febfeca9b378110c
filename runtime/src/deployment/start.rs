//! The beginning: the application file's bundles, or what an earlier process acknowledged.
//!
//! The application file is the declared start. Once something was put into force, the state file
//! has it, and a restarted process comes back to that, whatever the application file says by then:
//! a crash must not undo a deployment. The log says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use arc_swap::ArcSwap;
use isolith_services::bundle::Bundle;
use isolith_services::store::BundleStore;
use isolith_versions::{Digest, Rollout, RolloutName, RoutingTable};
use tokio::sync::Mutex;

use super::change::{entry, settled};
use super::overrides::OverrideSets;
use super::rollouts::{Watch, is_over};
use super::{
    Catalog, Declared, DeclaredRollout, Deployment, Layout, Pool, Refused, State, now_ms, refused,
    require_http,
};
use crate::config::AppConfig;
use crate::limits::Limits;
use crate::shard::ShardHandle;
use crate::state::{Author, Entry, Head, Kept, Remembered, StateStore};

/// Where a deployment is kept.
pub(crate) struct Stores {
    pub(crate) bundles: BundleStore,
    pub(crate) state: StateStore,
}

/// What is to be served first.
struct Beginning {
    layout: Layout,
    /// Rollouts that were under way and cannot go on.
    over: Vec<Rollout>,
    kept: BTreeMap<RolloutName, Kept>,
    /// Not in the store yet.
    bundles: Vec<Bundle>,
    head: Head,
    /// The newest entry of the history, if there is one.
    last: Option<Entry>,
    /// What the history is to say of it, if that is something new.
    action: Option<&'static str>,
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
            layout,
            over,
            kept,
            bundles,
            head,
            last,
            action,
        } = beginning;
        for (_, set) in layout.combinations.usable() {
            require_http(set, &name)?;
        }
        let known = layout.catalog.world().bundles().iter();
        let services: BTreeSet<_> = known.map(|bundle| &bundle.id.service).collect();
        let given = config.given().map_err(|error| Refused(error.to_string()))?;
        for service in given
            .services
            .keys()
            .filter(|name| !services.contains(name))
        {
            tracing::warn!(
                "[vars.{service}], [secrets.{service}] or [grants.{service}] names a service that \
                 is not deployed"
            );
        }
        // No request is admitted yet: nothing accepts connections before this returns.
        let table = layout.table(head.epoch)?;
        let sets: Vec<_> = table
            .sets()
            .iter()
            .map(|(set, _)| Arc::clone(set))
            .collect();
        let routing = Arc::new(ArcSwap::from_pointee(table));
        let shards = spawn(&routing)
            .map_err(|error| Refused(format!("cannot start the shards' threads: {error}")))?;
        let mut watch = Watch::default();
        watch.bits.remember(head.epoch, &layout.live);
        let begins = last.is_none();
        let change =
            action.map(|action| entry(&head, layout.base(), action.to_owned(), author.clone()));
        let state = State {
            layout,
            head: head.clone(),
            kept,
            number: last.as_ref().map_or(0, |last| last.number),
            watch,
            overrides: OverrideSets::default(),
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
            parked: AtomicU32::new(0),
            state: Mutex::new(state),
        };
        let first = async {
            let mut state = deployment.state.lock().await;
            let none = BTreeMap::new();
            state.programs = deployment.prepare(&sets, bundles, &none).await?;
            let kept = state.kept_with(&state.layout.live, &over);
            deployment.write_down(&mut state, head, kept, change).await
        };
        let ready = match first.await {
            Ok(()) if begins && !config.rollouts.is_empty() => {
                let declared = declare(config)?;
                deployment.apply(declared, false, author).await.map(drop)
            }
            ready => ready,
        };
        if let Err(reason) = ready {
            deployment.drain().await;
            return Err(reason);
        }
        Ok(deployment)
    }
}

fn read_bundles(config: &AppConfig) -> Result<Vec<Bundle>, Refused> {
    read_files(&config.bundle_files().map_err(refused)?)
}

fn read_files(files: &[PathBuf]) -> Result<Vec<Bundle>, Refused> {
    let open = |file: &PathBuf| {
        Bundle::open(file).map_err(|error| Refused(format!("{}: {error}", file.display())))
    };
    files.iter().map(open).collect()
}

/// What the application file says.
fn declare(config: &AppConfig) -> Result<Declared, Refused> {
    let mut rollouts = Vec::new();
    for (name, table) in &config.rollouts {
        rollouts.push(DeclaredRollout {
            name: name.clone(),
            settings: table.settings.clone(),
            bundles: read_files(&config.rollout_files(name).map_err(refused)?)?,
        });
    }
    Ok(Declared {
        app: config.app.name.clone(),
        bundles: read_bundles(config)?,
        rollouts,
    })
}

fn declared(config: &AppConfig) -> Result<Beginning, Refused> {
    let mut bundles = read_bundles(config)?;
    bundles.extend(config.natives.bundles().cloned());
    let catalog = Catalog::new([config.app.entry.clone()])?;
    let plan = catalog.plan(&Pool::new(), &bundles)?;
    let head = Head {
        app: config.app.name.clone(),
        epoch: 1,
        pool: plan.pool.clone(),
        declared: plan.pool.clone(),
        at_ms: 0,
    };
    Ok(Beginning {
        layout: Layout::of(plan),
        over: Vec::new(),
        kept: BTreeMap::new(),
        bundles,
        head,
        last: None,
        action: Some("start"),
    })
}

fn remembered_by(
    config: &AppConfig,
    store: &BundleStore,
    remembered: Remembered,
) -> Result<Beginning, Refused> {
    let Remembered {
        head,
        mut known,
        last,
        mut rollouts,
    } = remembered;
    if head.app != config.app.name {
        return Err(Refused(format!(
            "the data directory belongs to the application {}, and this one is {}: name another \
             directory with --data-dir or [app] data_dir",
            head.app, config.app.name
        )));
    }
    rollouts.sort_by_key(|kept| kept.order);
    let live: Vec<_> = rollouts.iter().map(|kept| kept.rollout.clone()).collect();
    let mut live: Vec<_> = live.into_iter().filter(|live| !is_over(live)).collect();
    for live in &mut live {
        live.change_clock(head.at_ms, now_ms());
    }
    let candidates = rollouts
        .iter()
        .flat_map(|kept| &kept.rollout.plan().candidates);
    known.extend(candidates.map(|id| id.digest));
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
    let natives: Vec<_> = config.natives.bundles().cloned().collect();
    let pool = without_former_natives(&catalog, &head.pool, &natives);
    let is_new = pool != head.pool || natives.iter().any(|one| !pool.contains(&one.digest()));
    // The process has others than its predecessor had, which nobody deploys.
    let plan = match is_new {
        true => {
            let gone = names_of(&catalog, head.pool.difference(&pool));
            let plan = catalog.plan(&pool, &natives);
            plan.map_err(|Refused(reason)| match gone.is_empty() {
                true => Refused(reason),
                false => Refused(format!(
                    "{reason}\n  hint: the process before this one was built with {gone}, and \
                     this one is not"
                )),
            })?
        }
        false => catalog.rewire(pool)?,
    };
    tracing::info!(
        change = last.number,
        action = last.action,
        who = last.who,
        "came back to what was in force"
    );
    let base = plan.set.digest();
    let (layout, over) = settled(plan, live, "it could not go on after a restart")?;
    if base.to_string() != last.set {
        tracing::warn!(set = %base.short(), "its bundles are wired differently now");
    }
    match read_bundles(config) {
        Ok(files) => {
            let files = files.iter().chain(&natives).map(Bundle::digest);
            let declared = without_former_natives(&layout.catalog, &head.declared, &natives);
            if !is_new && files.collect::<Pool>() != declared {
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
    let kept = rollouts
        .into_iter()
        .map(|kept| (kept.rollout.name().clone(), kept));
    Ok(Beginning {
        over,
        kept: kept.collect(),
        bundles: natives,
        head: Head {
            epoch,
            pool: layout.pool.clone(),
            ..head
        },
        layout,
        last: Some(last),
        action: is_new.then_some("start with other native services"),
    })
}

fn names_of<'a>(catalog: &Catalog, digests: impl Iterator<Item = &'a Digest>) -> String {
    let known = digests.filter_map(|digest| catalog.find(digest));
    let names: Vec<_> = known.map(|bundle| bundle.id.to_string()).collect();
    names.join(", ")
}

/// The pool without native services that are not part of this process.
fn without_former_natives(catalog: &Catalog, pool: &Pool, natives: &[Bundle]) -> Pool {
    let is_former = |digest: &Digest| {
        catalog.find(digest).is_some_and(|bundle| bundle.native)
            && natives.iter().all(|native| native.digest() != *digest)
    };
    let stays = pool.iter().filter(|digest| !is_former(digest));
    stays.copied().collect()
}
