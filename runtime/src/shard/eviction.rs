//! Keeps what a shard's isolates hold within `memory_budget_mib_per_shard`.
//!
//! While more is held, idle isolates are evicted, whoever has rested longest first: V8's isolate
//! goes, with all that its modules kept; the place that sets are wired to stays. What comes next for
//! the service finds nobody there and loads it again, from code that is compiled already.
//!
//! Nothing is noted on the call path. About once a second, as long as anything happens, the shard
//! looks at what each isolate has handled: who has handled nothing since the last look, rests.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use isolith_capnp::error_capnp::call_error::Kind;

use super::Shard;
use crate::error::CallError;
use crate::isolate::{Isolate, Life};

/// How often the isolates are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long an isolate must have rested to be evicted. Who is called now and then is no idler.
const REST: Duration = Duration::from_secs(1);
/// An eviction takes up to a millisecond: after so many, others get their turns.
const EVICTIONS_PER_LOOK: usize = 4;
/// Then it goes on.
const PAUSE: Duration = Duration::from_millis(10);

/// When a shard looks at its isolates.
#[derive(Default)]
pub(super) struct Looks {
    /// `None` if nothing has happened since the last one.
    pub(super) due: Cell<Option<Instant>>,
}

impl Shard {
    /// Evicts idle isolates, if it is time to look and they hold too much. Call it whenever
    /// something may have happened, with no isolate entered.
    pub(super) fn keep_to_budget(&self, now: Instant) {
        let Some(mib) = self.limits.memory_budget_mib_per_shard else {
            return;
        };
        match self.looks.due.get() {
            None => self.looks.due.set(Some(now + LOOK)),
            Some(due) if now < due => {}
            Some(_) => {
                let next = self.look_at_budget(u64::from(mib) << 20, now);
                self.looks.due.set(next.map(|pause| now + pause));
            }
        }
    }

    /// Looks once; says when to look again, if that need not wait until something happens.
    fn look_at_budget(&self, budget_bytes: u64, now: Instant) -> Option<Duration> {
        let isolates: Vec<Rc<Isolate>> = self.isolates.borrow().iter().flatten().cloned().collect();
        let mut held_bytes = 0;
        let mut is_settled = true;
        let mut resting = Vec::new();
        for isolate in isolates.into_iter().filter(|isolate| !isolate.is_evicted()) {
            let rest = isolate.look_at_rest(now);
            held_bytes += rest.held_bytes;
            is_settled &= rest.is_settled(now);
            if rest.time(now) >= REST {
                resting.push((rest, isolate));
            }
        }
        if held_bytes <= budget_bytes {
            return (!is_settled).then_some(LOOK);
        }
        let concerned = self.concerned();
        resting.retain(|(_, isolate)| isolate.is_idle() && !concerned.contains(&isolate.slot));
        resting.sort_by_key(|(rest, _)| rest.since);
        let mut excess_bytes = held_bytes - budget_bytes;
        let mut evicted = 0;
        for (rest, isolate) in resting {
            if excess_bytes == 0 || evicted == EVICTIONS_PER_LOOK {
                break;
            }
            excess_bytes = excess_bytes.saturating_sub(rest.held_bytes);
            // Perhaps it holds little more than garbage: the next look will tell.
            if !isolate.collect_garbage() {
                self.evict_idle(&isolate);
                held_bytes -= rest.held_bytes;
                evicted += 1;
            }
        }
        if evicted > 0 {
            let held_mib = held_bytes >> 20;
            tracing::info!(
                shard = self.index,
                evicted,
                held_mib,
                "idle isolates were evicted"
            );
        }
        match evicted == EVICTIONS_PER_LOOK {
            true => Some(PAUSE),
            false => Some(LOOK),
        }
    }

    /// Slots of all that somebody else still counts on: who makes or serves a call, has passed or
    /// was given a capability of a request that is not over, or has work that outlives a response.
    fn concerned(&self) -> HashSet<usize> {
        let (calls, roots) = (self.calls.borrow(), self.roots.borrow());
        let capabilities = self.capabilities.borrow();
        let of_calls = calls
            .iter()
            .flat_map(|(_, call)| [&call.caller, &call.callee]);
        let parties = of_calls.chain(capabilities.parties());
        let slots = parties.map(|party| party.slot());
        slots
            .chain(roots.iter().flat_map(|root| root.background_slots()))
            .collect()
    }

    fn evict_idle(&self, isolate: &Isolate) {
        self.watch.set_leash(isolate.slot, None);
        isolate.evict();
        self.freed();
        let bundle = isolate.program.id();
        tracing::debug!(shard = self.index, %bundle, "evicted: it was idle");
    }

    /// Loads an isolate again that was evicted, for its turn. If it does not load at once, those who
    /// wait for it are told, and it is replaced like one that failed.
    #[cold]
    pub(super) fn bring_back(&self, isolate: &Rc<Isolate>) {
        let life = isolate.life.replace(Life::Loading);
        let loaded = self.load_into(isolate).now_or_never();
        isolate.life.set(life);
        let bundle = isolate.program.id();
        let reason = match loaded {
            Some(Ok(())) => {
                isolate.returned();
                self.leash(isolate);
                return tracing::debug!(shard = self.index, %bundle, "loaded again");
            }
            Some(Err(error)) => error.to_string(),
            None => "its modules await something".to_owned(),
        };
        tracing::error!(%bundle, reason, "it was evicted and cannot be loaded again at once");
        let text = format!("it was evicted while it was idle and is not loaded yet: {reason}");
        let error = CallError::host(Kind::Disconnected, text).in_bundle(bundle);
        self.fail_in(isolate, |_| true, &error);
        self.renew(isolate);
    }
}
