//! Changes: planned, made ready, written down, published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use isolith_services::bundle::Bundle;
use isolith_versions::{Digest, Rollout, RolloutName, RoutingTable, VersionSet};

use super::layout::Layout;
use super::rollouts::{MAX_FINISHED_ROLLOUTS, is_over};
use super::{
    Accepted, Deployment, MAX_FORMER_SETS, Plan, Pool, Refused, State, blocking, now_ms, refused,
    require_http, system_ms,
};
use crate::state::{Author, Change, Entry, Head, Kept};

/// A change that is about to be carried out.
pub(super) struct Next {
    pub(super) layout: Layout,
    /// Rollouts that end with it.
    pub(super) over: Vec<Rollout>,
    /// What the application file names, if the change comes from one.
    pub(super) declared: Option<Pool>,
    /// Those that may not be in the store yet.
    pub(super) bundles: Vec<Bundle>,
    /// For the history.
    pub(super) action: String,
    /// For whoever asked; how everything is wired if it is empty.
    pub(super) lines: Vec<String>,
}

impl Next {
    pub(super) fn new(layout: Layout, action: String) -> Self {
        Next {
            layout,
            over: Vec::new(),
            declared: None,
            bundles: Vec::new(),
            action,
            lines: Vec::new(),
        }
    }
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
        let layout = state.layout.clone();
        let next = blocking(move || {
            let plan = layout.catalog.plan(&layout.pool, &bundles)?;
            let layout = goes_on(plan, layout.live)?;
            let names: Vec<_> = bundles
                .iter()
                .map(|bundle| bundle.id().to_string())
                .collect();
            Ok(Next {
                bundles,
                ..Next::new(layout, format!("deploy {}", names.join(" ")))
            })
        });
        let next = next.await?;
        self.carry_out(&mut state, next, author).await
    }

    /// Wires later requests from the bundles that change number `number` of the history left.
    /// Requests that are open finish as they began. A rollout that cannot go on with these bundles
    /// is aborted.
    ///
    /// # Errors
    /// If there is no such change, or its bundles cannot be wired or loaded any more.
    ///
    /// # Cancel safety
    /// As [`deploy`](Self::deploy).
    pub(crate) async fn rollback(&self, number: u64, author: Author) -> Result<Accepted, Refused> {
        let mut state = self.state.lock().await;
        let (layout, history) = (state.layout.clone(), Arc::clone(&self.history));
        let store = self.store.clone();
        let next = blocking(move || {
            let entry = history.entry(number).map_err(refused)?;
            let entry = entry.ok_or_else(|| {
                Refused(format!(
                    "the history has no change {number}: `isolith history` lists those it has"
                ))
            })?;
            let mut bundles = Vec::new();
            for digest in &entry.pool {
                if layout.catalog.find(digest).is_none() {
                    bundles.push(store.get(digest).map_err(refused)?);
                }
            }
            let plan = layout.catalog.with(&bundles)?.rewire(entry.pool)?;
            let reason = format!("it could not go on after the rollback to {number}");
            let (layout, over) = settled(plan, layout.live, &reason)?;
            Ok(Next {
                over,
                bundles,
                ..Next::new(layout, format!("rollback {number}"))
            })
        });
        let next = next.await?;
        self.carry_out(&mut state, next, author).await
    }

    /// Makes the sets of a change ready on every shard, writes it down and publishes it.
    pub(super) async fn carry_out(
        &self,
        state: &mut State,
        next: Next,
        author: Author,
    ) -> Result<Accepted, Refused> {
        let Next {
            layout,
            over,
            declared,
            bundles,
            action,
            lines,
        } = next;
        for (_, set) in layout.combinations.usable() {
            require_http(set, &self.entry)?;
        }
        let current = self.routing.load_full();
        let table = layout.table(current.epoch().saturating_add(1))?;
        let publish = !same_routing(&current, &table);
        let head = Head {
            app: state.head.app.clone(),
            epoch: if publish {
                table.epoch()
            } else {
                current.epoch()
            },
            pool: layout.pool.clone(),
            declared: declared.unwrap_or_else(|| state.head.declared.clone()),
            at_ms: state.head.at_ms,
        };
        let kept = state.kept_with(&layout.live, &over);
        let (epoch, set) = (head.epoch, layout.base().digest());
        let changed = head != state.head || !same_rollouts(&kept, &state.kept);
        let sets: Vec<_> = table
            .sets()
            .iter()
            .map(|(set, _)| Arc::clone(set))
            .collect();
        let ready = async {
            let programs = self.prepare(&sets, bundles, &state.programs).await?;
            if changed {
                let entry = entry(&head, layout.base(), action, author);
                self.write_down(state, head, kept, Some(entry)).await?;
            }
            Ok(programs)
        };
        let programs = match ready.await {
            Ok(programs) => programs,
            Err(reason) => {
                self.sweep().await;
                return Err(reason);
            }
        };
        let lines = match lines.is_empty() {
            true => layout.plan().wiring(),
            false => lines,
        };
        if publish {
            state.watch.bits.remember(epoch, &layout.live);
            state.retire(&current, &table);
            tracing::info!(epoch, set = %set.short(), rollouts = layout.live.len(), "in force");
            self.routing.store(Arc::new(table));
        }
        state.layout = layout;
        state.programs = programs;
        if publish {
            // Solved beside what was in force before.
            self.forget_overrides(state).await;
        }
        self.sweep().await;
        Ok(Accepted {
            number: state.number,
            epoch,
            set,
            lines,
        })
    }

    /// Makes a change last; from then on a restart comes back to it.
    pub(super) async fn write_down(
        &self,
        state: &mut State,
        head: Head,
        kept: BTreeMap<RolloutName, Kept>,
        entry: Option<Entry>,
    ) -> Result<(), Refused> {
        let differs = |(name, kept): &(&RolloutName, &Kept)| state.kept.get(*name) != Some(*kept);
        let rollouts: Vec<_> = kept
            .iter()
            .filter(differs)
            .map(|(_, kept)| kept.clone())
            .collect();
        let names = state.kept.keys().filter(|name| !kept.contains_key(*name));
        let forgotten: Vec<_> = names.cloned().collect();
        let head = Head {
            at_ms: now_ms(),
            ..head
        };
        let (history, written) = (Arc::clone(&self.history), head.clone());
        let number = blocking(move || {
            let change = Change {
                head: &written,
                rollouts: &rollouts,
                forgotten: &forgotten,
                entry,
            };
            history.commit(change).map_err(refused)
        })
        .await?;
        state.number = state.number.max(number);
        state.head = head;
        state.kept = kept;
        Ok(())
    }
}

impl State {
    /// Rollouts that are over, the newest last.
    pub(super) fn over(&self) -> Vec<Rollout> {
        let mut over: Vec<_> = self
            .kept
            .values()
            .filter(|kept| is_over(&kept.rollout))
            .collect();
        over.sort_by_key(|kept| kept.order);
        over.into_iter().map(|kept| kept.rollout.clone()).collect()
    }

    /// Rollouts as they are to be written down, once `live` are under way and `over` have ended.
    pub(super) fn kept_with(
        &self,
        live: &[Rollout],
        over: &[Rollout],
    ) -> BTreeMap<RolloutName, Kept> {
        let mut kept = self.kept.clone();
        let mut order = kept.values().map(|kept| kept.order).max().unwrap_or(0);
        for rollout in over.iter().chain(live) {
            // A name may be used again once its rollout is over.
            let same = |known: &&Kept| known.rollout.plan().salt == rollout.plan().salt;
            let known = kept
                .get(rollout.name())
                .filter(same)
                .map(|known| known.order);
            let order = known.unwrap_or_else(|| {
                order += 1;
                order
            });
            let rollout = rollout.clone();
            kept.insert(rollout.name().clone(), Kept { order, rollout });
        }
        let over = kept.values().filter(|kept| is_over(&kept.rollout));
        let orders: BTreeSet<_> = over.map(|kept| kept.order).collect();
        let oldest = orders.iter().rev().nth(MAX_FINISHED_ROLLOUTS - 1).copied();
        let oldest = oldest.unwrap_or(0);
        kept.retain(|_, kept| kept.order >= oldest || !is_over(&kept.rollout));
        kept
    }

    /// Remembers the sets that a new table has no more.
    fn retire(&mut self, current: &RoutingTable, table: &RoutingTable) {
        let has = |sets: &[(Arc<VersionSet>, _)], digest: Digest| {
            sets.iter().any(|(set, _)| set.digest() == digest)
        };
        self.former
            .retain(|former| !has(table.sets(), former.digest()));
        for (set, _) in current.sets() {
            if !has(table.sets(), set.digest()) {
                self.former.push_back(Arc::clone(set));
            }
        }
        let excess = self.former.len().saturating_sub(MAX_FORMER_SETS);
        self.former.drain(..excess);
    }
}

/// The plan, with the same rollouts under way.
pub(super) fn goes_on(plan: Plan, live: Vec<Rollout>) -> Result<Layout, Refused> {
    let names: Vec<_> = live.iter().map(|rollout| rollout.name().clone()).collect();
    Layout::new(plan, live).map_err(|misfit| {
        let name = names.get(misfit.place).map_or("", |name| name.as_str());
        Refused(format!(
            "the rollout {name} could not go on with it: promote or abort {name} first\n{}",
            misfit.reason
        ))
    })
}

/// The plan, with those rollouts under way that can go on with it, and the others, aborted.
///
/// # Errors
/// Never in practice: without rollouts every plan is a layout.
pub(super) fn settled(
    plan: Plan,
    mut live: Vec<Rollout>,
    reason: &str,
) -> Result<(Layout, Vec<Rollout>), Refused> {
    let mut over = Vec::new();
    loop {
        let misfit = match Layout::new(plan.clone(), live.clone()) {
            Ok(layout) => return Ok((layout, over)),
            Err(misfit) if misfit.place < live.len() => misfit,
            Err(misfit) => return Err(Refused(misfit.reason)),
        };
        let mut rollout = live.remove(misfit.place);
        let reason = format!("{reason}: {}", misfit.reason);
        let transition = rollout.abort(now_ms(), &reason).map_err(refused)?;
        tracing::warn!("{transition}");
        over.push(rollout);
    }
}

/// Whether two tables admit every request alike.
fn same_routing(one: &RoutingTable, other: &RoutingTable) -> bool {
    let sets = |table: &RoutingTable| -> Vec<_> {
        let usable = table.combinations().usable();
        usable.map(|(mask, set)| (mask, set.digest())).collect()
    };
    one.splits().len() == other.splits().len()
        && one.splits().iter().zip(other.splits()).all(|(one, other)| {
            one.rollout == other.rollout
                && one.buckets == other.buckets
                && one.matches == other.matches
                && one.shadow == other.shadow
        })
        && sets(one) == sets(other)
}

/// Whether the rollouts are equally far; what was gathered against them apart.
fn same_rollouts(one: &BTreeMap<RolloutName, Kept>, other: &BTreeMap<RolloutName, Kept>) -> bool {
    one.len() == other.len()
        && one.values().zip(other.values()).all(|(one, other)| {
            let (one, other) = (&one.rollout, &other.rollout);
            one.plan() == other.plan()
                && one.state() == other.state()
                && one.buckets() == other.buckets()
        })
}

/// What the history tells of a change that is about to be carried out.
pub(super) fn entry(head: &Head, set: &VersionSet, action: String, author: Author) -> Entry {
    let bundles = set.bundles().iter();
    Entry {
        number: 0,
        at_ms: system_ms(),
        who: author.who,
        action,
        message: author.message,
        epoch: head.epoch,
        set: set.digest().to_string(),
        bundles: bundles.map(|bundle| bundle.id.to_string()).collect(),
        pool: head.pool.clone(),
    }
}
