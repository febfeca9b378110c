//! What becomes of an isolate whose code had to be ended.

use std::rc::Rc;
use std::time::{Duration, Instant};

use isolith_capnp::error_capnp::call_error::Kind;

use super::Shard;
use super::calls::Call;
use super::party::Party;
use super::passing::abandon;
use crate::error::{CallError, LoadError};
use crate::isolate::keys::RootKey;
use crate::isolate::{Cut, GateState, Isolate, Reach};

/// Times that an isolate's code may be ended before it is replaced: whatever state it is left in
/// does not get better.
const ENDED_PER_ISOLATE: u64 = 16;
/// Calls of one request from one caller to one callee, at once: what they cost together is the
/// caller's doing.
const FLOOD_CALLS: usize = 64;
/// An overrun is noticed late, by less than half a budget.
const FORGIVEN_OVERRUN: f64 = 1.5;
/// How long to wait before another attempt to load a bundle that would not load again.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);
/// It doubles up to this: an attempt may hold the shard for as long as loading may take.
const LONGEST_RELOAD_PAUSE: Duration = Duration::from_secs(120);

impl Shard {
    /// Tells everybody whose work was lost, holds the isolate back if that happens often, and
    /// replaces it if it can no longer be trusted.
    pub(super) fn after_cut(&self, isolate: &Rc<Isolate>, cut: &Cut) {
        let (bundle, error) = (isolate.program.id(), &cut.error);
        tracing::warn!(%bundle, %error, "code was ended");
        let turn = self.watch.turn();
        let flooder = cut.root.and_then(|root| self.ledger.flooder(turn, root));
        // It may have come together in many turns.
        let of_request = |isolate: &Isolate| {
            let used = cut.root.map(|root| isolate.usage.borrow().of(root));
            used.unwrap_or_default()
        };
        let in_turn = self.turn_used();
        let mut used = in_turn.max(of_request(isolate));
        if let Some(Party::Isolate(caller)) = &flooder {
            used = used.max(of_request(caller));
        }
        // One call that takes long is no flood of short ones.
        let flooder = flooder.filter(|_| in_turn <= used / 2);
        if let Reach::Requests(lost) = &cut.reach {
            // Of those that are lost with it another one may have been as bad.
            let usage = isolate.usage.borrow();
            let of_lost = lost.iter().map(|root| usage.of(*root)).max();
            used += of_lost.unwrap_or_default();
        }
        let most = self.most_wasted(isolate);
        match flooder {
            None => strike(isolate, used, most),
            Some(caller) => {
                isolate.gate.excuse();
                // Without the entry nothing is served; a client outside is no service to hold back.
                if let Party::Isolate(caller) = caller
                    && caller.program.id().service != self.entry
                {
                    strike(&caller, used, most.max(self.most_wasted(&caller)));
                }
            }
        }
        match &cut.reach {
            Reach::Isolate => {
                self.fail_in(isolate, |_| true, error);
                return self.renew(isolate);
            }
            Reach::Request => {}
            Reach::Requests(lost) => {
                let error = lost_with_another(isolate);
                self.fail_in(isolate, |root| lost.contains(&root), &error);
            }
        }
        if let Some(culprit) = cut.root {
            self.fail_in(isolate, |root| root == culprit, error);
            isolate.drop_timers(culprit);
        }
        if isolate.gate.ended().is_multiple_of(ENDED_PER_ISOLATE) {
            tracing::warn!(%bundle, "its isolate is replaced: code of it was ended often");
            self.fail_in(isolate, |_| true, &lost_with_another(isolate));
            self.renew(isolate);
        }
    }

    /// Code of `isolate` goes on, but what it has `used` was in vain.
    pub(super) fn waste(&self, isolate: &Isolate, used: Duration) {
        let most = self.most_wasted(isolate);
        tell(isolate, isolate.gate.waste(used, most, Instant::now()));
    }

    /// What may be wasted until somebody is held back for it: enough for one request that overruns
    /// its budget in `isolate`.
    pub(super) fn most_wasted(&self, isolate: &Isolate) -> Duration {
        let most = Duration::from_millis(u64::from(self.limits.cpu_ms_wasted));
        let budget = isolate.cpu_ms_per_request(&self.limits);
        most.max(Duration::from_millis(u64::from(budget)).mul_f64(FORGIVEN_OVERRUN))
    }

    /// Who is to pay instead of `isolate` for what it computes for `root`: a caller that has
    /// [`FLOOD_CALLS`] calls of it or more under way there. Takes time in proportion to all calls
    /// on the shard, but only for a root that has so many.
    pub(super) fn flooder(&self, isolate: &Rc<Isolate>, root: RootKey) -> Option<Party> {
        let under_way = self.roots.borrow().get(root)?.calls();
        if (under_way as usize) < FLOOD_CALLS {
            return None;
        }
        let calls = self.calls.borrow();
        let mut callers: Vec<(&Party, usize)> = Vec::new();
        let of_root = |call: &&Call| call.root == root && call.callee == *isolate;
        for call in calls.iter().map(|(_, call)| call).filter(of_root) {
            let known = callers
                .iter_mut()
                .find(|(caller, _)| **caller == call.caller);
            match known {
                Some((_, count)) => *count += 1,
                None => callers.push((&call.caller, 1)),
            }
        }
        let (caller, count) = callers.into_iter().max_by_key(|(_, count)| *count)?;
        (count >= FLOOD_CALLS).then(|| caller.clone())
    }

    /// Fails what `isolate` is to answer for the roots that `which` names.
    pub(super) fn fail_in(
        &self,
        isolate: &Rc<Isolate>,
        which: impl Fn(RootKey) -> bool,
        error: &CallError,
    ) {
        // Nobody tells the handlers: what they did is lost, or was ended.
        let which_calls = |call: &Call| call.callee == *isolate && which(call.root);
        let calls = self.calls.borrow_mut().take(which_calls);
        for (key, call) in calls {
            self.fail_taken(key, &call, error);
        }
        isolate.fail_exchanges(which, error);
    }

    /// Makes the isolate anew from its program, in its place: the sets that wire it stay as they
    /// are. Until it is loaded, it takes nothing.
    pub(super) fn renew(&self, isolate: &Rc<Isolate>) {
        let Some(shard) = self.this.upgrade() else {
            return;
        };
        let before = isolate.gate.replacing();
        if before == GateState::Replacing {
            return;
        }
        isolate.condemn();
        // Nobody is left to take the results of the calls that it made.
        let orphans = self.calls.borrow_mut().take(|call| call.caller == *isolate);
        for (key, call) in orphans {
            self.end_taken(key, &call);
            abandon(key, &call);
        }
        self.lose_capabilities(&isolate.into());
        let isolate = Rc::clone(isolate);
        tokio::task::spawn_local(async move {
            // It holds the thread for milliseconds: who was just told gets that first.
            tokio::task::yield_now().await;
            let mut pause = RELOAD_PAUSE;
            while let Err(error) = shard.reload(&isolate).await {
                tracing::error!(bundle = %isolate.program.id(), %error, "it cannot be loaded again");
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(LONGEST_RELOAD_PAUSE);
            }
            isolate.gate.replaced(before);
            shard.leash(&isolate);
            shard.freed();
            tracing::info!(bundle = %isolate.program.id(), "its isolate was replaced");
        });
    }

    async fn reload(&self, isolate: &Rc<Isolate>) -> Result<(), LoadError> {
        self.watch.set_leash(isolate.slot, None);
        isolate.empty();
        self.load_into(isolate).await
    }

    /// Makes an engine for an isolate that has none, and loads its bundle.
    pub(super) async fn load_into(&self, isolate: &Rc<Isolate>) -> Result<(), LoadError> {
        let heap_mib = isolate.program.heap_mib.unwrap_or(self.limits.heap_mib);
        let spare = self.take_spare(heap_mib);
        isolate.make_engine(&self.limits, self.tasks.clone(), spare)?;
        self.leash(isolate);
        let limit = self.limits.load;
        match tokio::time::timeout(limit, self.evaluate(isolate)).await {
            Ok(loaded) => loaded,
            Err(_) => Err(LoadError::TooSlow {
                bundle: isolate.program.id().to_string(),
                limit_ms: limit.as_millis(),
            }),
        }
    }
}

fn strike(isolate: &Isolate, used: Duration, most: Duration) {
    tell(isolate, isolate.gate.strike(used, most, Instant::now()));
}

fn tell(isolate: &Isolate, held: Option<Duration>) {
    if let Some(held) = held {
        let bundle = isolate.program.id();
        tracing::warn!(%bundle, "it wasted too much CPU time and is held back for {held:?}");
    }
}

/// For a request that did nothing wrong.
fn lost_with_another(isolate: &Isolate) -> CallError {
    CallError::host(
        Kind::Disconnected,
        "its work was lost when another request's code was ended in the same isolate; try again",
    )
    .in_bundle(isolate.program.id())
}
