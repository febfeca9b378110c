//! Loading bundles, compiling sets, and unloading both.

use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use isolith_versions::{Digest, Use, VersionSet, seeded};

use super::Shard;
use super::cpu::OPTIMISING;
use super::party::Party;
use super::thread_cpu_time;
use super::watchdog::Leash;
use super::wiring::{SetLife, ShardSet};
use crate::error::LoadError;
use crate::isolate::{Evaluation, Home, Isolate, Life};
use crate::program::Program;

impl Shard {
    /// Makes an isolate for the bundle and evaluates it. Does nothing if it is loaded already.
    ///
    /// Other isolates go on meanwhile: only the evaluation itself holds the thread.
    ///
    /// # Cancel safety
    /// Dropping the future drops the isolate that it was loading.
    pub(crate) async fn load(self: &Rc<Self>, program: Arc<Program>) -> Result<(), LoadError> {
        if let Some(isolate) = self.loaded(program.id().digest) {
            // It may serve a set that drains; it is needed whenever that ends.
            isolate.life.set(Life::Ready);
            return Ok(());
        }
        if let Some(native) = &program.native {
            return self.load_native(&program, native);
        }
        let slot = self.take_slot();
        let home: Weak<dyn Home> = Rc::downgrade(self) as _;
        let tasks = self.tasks.clone();
        let spare = self.take_spare(program.heap_mib.unwrap_or(self.limits.heap_mib));
        let isolate = Isolate::new(home, slot, Arc::clone(&program), &self.limits, tasks, spare)?;
        self.place(slot, Some(Rc::clone(&isolate)));
        let guard = SlotGuard { shard: self, slot };
        let limit = self.limits.load;
        match tokio::time::timeout(limit, self.evaluate(&isolate)).await {
            Ok(result) => result?,
            Err(_) => {
                return Err(LoadError::TooSlow {
                    bundle: program.id().to_string(),
                    limit_ms: limit.as_millis(),
                });
            }
        }
        isolate.life.set(Life::Ready);
        self.leash(&isolate);
        std::mem::forget(guard);
        Ok(())
    }

    /// Evaluates the modules, waits for top-level awaits, and constructs the exports.
    pub(super) async fn evaluate(&self, isolate: &Rc<Isolate>) -> Result<(), LoadError> {
        let before = thread_cpu_time();
        self.watched(isolate.slot, || isolate.evaluate())?;
        loop {
            self.collect(isolate);
            match isolate.evaluation()? {
                Evaluation::Done => break,
                Evaluation::Pending => {
                    isolate.loads_at_once.set(false);
                    isolate.progress().await;
                }
            }
        }
        self.watched(isolate.slot, || isolate.start())?;
        let budget_ms = isolate.cpu_ms_per_request(&self.limits);
        if thread_cpu_time() - before > Duration::from_millis(budget_ms.into()) {
            isolate.loads_at_once.set(false);
        }
        Ok(())
    }

    /// Compiles a set for this shard, so that the routing table may name it.
    ///
    /// # Errors
    /// The digest of a bundle that is not loaded here.
    pub(crate) fn wire(&self, set: Arc<VersionSet>) -> Result<(), Digest> {
        let known = self.sets.borrow();
        if let Some(known) = known
            .iter()
            .find(|known| known.set.digest() == set.digest())
        {
            // It may drain, and its last pin may end before the table names it again.
            known.life.set(SetLife::Wired);
            for isolate in known.isolates() {
                isolate.life.set(Life::Serving);
            }
            return Ok(());
        }
        drop(known);
        let mut members = Vec::with_capacity(set.bundles().len());
        for facts in set.bundles() {
            let digest = facts.id.digest;
            let isolate = self.loaded(digest).map(Party::Isolate);
            let member = isolate.or_else(|| self.native(digest).map(Party::Outside));
            members.push(member.ok_or(digest)?);
        }
        for isolate in members.iter().filter_map(Party::isolate) {
            isolate.life.set(Life::Serving);
        }
        self.sets
            .borrow_mut()
            .push(Rc::new(ShardSet::new(set, members)));
        Ok(())
    }

    /// The compiled form of a set that the routing table names.
    pub(super) fn find_set(&self, set: &Arc<VersionSet>) -> Option<Rc<ShardSet>> {
        let sets = self.sets.borrow();
        sets.iter()
            .find(|known| Arc::ptr_eq(&known.set, set))
            .or_else(|| sets.iter().find(|known| known.set.digest() == set.digest()))
            .map(Rc::clone)
    }

    /// Keeps sets with these digests, and no others, though nothing names them.
    pub(crate) fn keep(&self, kept: Arc<[Digest]>) {
        self.kept.replace(kept);
    }

    /// P5: unloads each set that the routing table has named, names no more, is not kept, and no root
    /// is pinned to, and each isolate that served such sets only.
    pub(crate) fn sweep(self: &Rc<Self>) {
        self.retire(SetLife::Published);
    }

    /// Like [`sweep`](Self::sweep), and unloads what was made ready for a deployment that came to
    /// nothing, too. Only between deployments.
    pub(crate) fn sweep_all(self: &Rc<Self>) {
        self.retire(SetLife::Wired);
        self.unload(Life::Ready);
    }

    /// Unloads unpinned sets that are not in force and have come at least as far as `least`.
    fn retire(self: &Rc<Self>, least: SetLife) {
        let retired: Vec<Rc<ShardSet>> = {
            let table = self.routing.load();
            let kept = self.kept.borrow();
            let mut sets = self.sets.borrow_mut();
            let (held, retired) = std::mem::take(&mut *sets).into_iter().partition(|set| {
                let in_force =
                    |(named, _): &(Arc<VersionSet>, _)| named.digest() == set.set.digest();
                if table.sets().iter().any(in_force) {
                    set.set_in_force();
                    return true;
                }
                if least == SetLife::Wired {
                    // Nobody is about to publish it.
                    set.life.set(SetLife::Published);
                }
                set.set_out_of_force();
                // Besides this list, only roots hold a set.
                let pinned = Rc::strong_count(set) > 1 && !seeded("unload-while-pinned");
                pinned || set.life.get() == SetLife::Wired || kept.contains(&set.set.digest())
            });
            *sets = held;
            retired
        };
        self.watch_drains();
        let unload = !retired.is_empty();
        drop(retired);
        self.follow_states();
        if unload {
            self.unload(Life::Serving);
        }
    }

    /// Brings the bundles' states up to date, and logs those that changed.
    fn follow_states(&self) {
        let sets = self.sets.borrow();
        for isolate in self.isolates.borrow().iter().flatten() {
            let mut used = Use::default();
            for set in sets.iter().filter(|set| set.has(isolate)) {
                used.admissible |= set.is_in_force();
                // What is about to be published is held by its deployment; else only roots hold a
                // set, besides this list.
                let held = set.life.get() == SetLife::Wired || Rc::strong_count(set) > 1;
                used.leases += u64::from(held);
            }
            let (from, to) = (isolate.state.get(), isolate.state.get().next(used));
            if from != to {
                isolate.state.set(to);
                tracing::info!(shard = self.index, bundle = %isolate.program.id(), "{from} -> {to}");
            }
        }
    }

    /// Drops the isolates in this stage of their life that no compiled set has.
    fn unload(&self, life: Life) {
        let sets = self.sets.borrow();
        let mut isolates = self.isolates.borrow_mut();
        let mut dropped = Vec::new();
        for place in isolates.iter_mut() {
            let Some(isolate) = place.as_ref().filter(|of| of.life.get() == life) else {
                continue;
            };
            match sets.iter().any(|set| set.has(isolate)) {
                true => isolate.life.set(Life::Serving),
                false => dropped.extend(place.take()),
            }
        }
        drop((sets, isolates));
        if dropped.is_empty() {
            return;
        }
        for isolate in dropped {
            tracing::info!(shard = self.index, bundle = %isolate.program.id(), "unloaded");
        }
        self.freed();
    }

    fn loaded(&self, digest: Digest) -> Option<Rc<Isolate>> {
        let isolates = self.isolates.borrow();
        let ready = |isolate: &&Rc<Isolate>| {
            isolate.life.get() != Life::Loading && isolate.program.id().digest == digest
        };
        isolates.iter().flatten().find(ready).map(Rc::clone)
    }

    fn take_slot(&self) -> usize {
        let mut isolates = self.isolates.borrow_mut();
        match isolates.iter().position(Option::is_none) {
            Some(slot) => slot,
            None => {
                isolates.push(None);
                isolates.len() - 1
            }
        }
    }

    fn place(&self, slot: usize, isolate: Option<Rc<Isolate>>) {
        match &isolate {
            Some(isolate) => {
                self.leash(isolate);
                self.ready.borrow_mut().reset(slot);
            }
            None => self.watch.set_leash(slot, None),
        }
        let former = match self.isolates.borrow_mut().get_mut(slot) {
            Some(place) => std::mem::replace(place, isolate),
            None => None,
        };
        drop(former);
    }
}

impl Shard {
    /// Tells the watchdog how to interrupt `isolate`, and after how long at the latest.
    pub(super) fn leash(&self, isolate: &Isolate) {
        let patience = self.budget(isolate) + OPTIMISING;
        let leash = isolate
            .thread_safe_handle()
            .map(|handle| Leash { handle, patience });
        self.watch.set_leash(isolate.slot, leash);
    }
}

/// Empties a slot unless its isolate became ready.
struct SlotGuard<'a> {
    shard: &'a Rc<Shard>,
    slot: usize,
}

impl Drop for SlotGuard<'_> {
    fn drop(&mut self) {
        self.shard.place(self.slot, None);
    }
}
