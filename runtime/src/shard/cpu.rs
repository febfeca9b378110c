//! Who used the shard's CPU time: budgets of requests, and what the ready queue goes by.
//!
//! Reading a thread's CPU clock costs more than a small turn, so turns are not timed. The watchdog
//! looks about once a millisecond; the time since the last look is charged to what runs in that
//! moment. A turn that goes on is so measured to a millisecond; of short turns everybody is charged
//! his share in the long run, as by any sampling profiler.

use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::time::{Duration, Instant};

use isolith_capnp::error_capnp::call_error::Kind;

use super::Shard;
use super::party::Party;
use super::tidy::Grown;
use super::watchdog::{DEAF, LOOK};
use crate::error::CallError;
use crate::isolate::keys::RootKey;
use crate::isolate::{Cut, GateState, Isolate, Life, Reach, optimising_time};

/// Requests whose use of CPU time one isolate remembers; past it those that are over are forgotten.
const REMEMBERED_REQUESTS: usize = 256;

/// What V8 may take in one turn to optimise the code that it runs. It is not charged to the request:
/// another one would have been as long before that, and will be shorter afterwards.
pub(super) const OPTIMISING: Duration = Duration::from_millis(50);
/// What of it is charged to the request all the same: so little is part of running code, and would
/// only be more time that everybody waits for a request which overruns.
const CHARGED_OPTIMISING: Duration = DEAF;

/// The CPU clock of one thread, readable from any.
#[derive(Clone, Copy)]
pub(super) struct ThreadClock(libc::clockid_t);

impl ThreadClock {
    pub(super) fn of_this_thread() -> Self {
        let mut clock = libc::CLOCK_THREAD_CPUTIME_ID;
        // SAFETY: the thread exists, and `clock` is written before it is read. If it fails, the
        // clock stays that of whoever reads it.
        unsafe {
            libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock);
        }
        ThreadClock(clock)
    }

    /// CPU time that the thread has used; zero once it is gone.
    pub(super) fn now(self) -> Duration {
        let mut time = MaybeUninit::<libc::timespec>::zeroed();
        // SAFETY: zeroes are a valid `timespec`, which the call may overwrite.
        let time = unsafe {
            libc::clock_gettime(self.0, time.as_mut_ptr());
            time.assume_init()
        };
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    }
}

/// CPU time that the current thread has used.
pub(crate) fn thread_cpu_time() -> Duration {
    ThreadClock(libc::CLOCK_THREAD_CPUTIME_ID).now()
}

/// What a shard has charged so far.
#[derive(Default)]
pub(super) struct Ledger {
    /// CPU time at the last look.
    charged: Cell<Duration>,
    /// The turn that it found.
    turn: Cell<u64>,
    /// What was charged to that turn's requests.
    turn_used: Cell<Duration>,
    /// What of that turn V8 was optimising.
    turn_optimising: Cell<Duration>,
    /// The time that optimising took on this thread until the last look.
    optimising: Cell<Duration>,
    /// Who had to pay for it, and for which request, if that was a caller that floods.
    flooder: RefCell<Option<(RootKey, Party)>>,
    /// The last turn whose time was wasted.
    wasted_turn: Cell<u64>,
    /// Who may have garbage.
    pub(super) grown: Grown,
}

impl Ledger {
    /// What to charge to `turn` now, and how much of it to its request. Of a turn that is seen for
    /// the first time one only knows that it ran when the look was asked for, and has not since
    /// before the last one.
    fn charge(&self, turn: u64, asked: Duration) -> (Duration, Duration) {
        let now = thread_cpu_time();
        let since = now.saturating_sub(self.charged.replace(now));
        let used = match self.turn.replace(turn) == turn {
            true => since,
            false => {
                self.turn_used.take();
                self.turn_optimising.take();
                since.min(LOOK + now.saturating_sub(asked))
            }
        };
        let (optimising, before) = (self.optimising(), self.turn_optimising.get());
        let of_request = of_request(used, optimising, before);
        self.optimising.set(optimising_time());
        self.turn_used.set(self.turn_used.get() + of_request);
        self.turn_optimising.set(before + optimising);
        (used, of_request)
    }

    /// The time that V8 has taken to optimise code since the last look.
    fn optimising(&self) -> Duration {
        optimising_time().saturating_sub(self.optimising.get())
    }

    /// Who floods with calls of `root`, if that is why `turn` was ended. It may have fewer calls
    /// under way by now.
    pub(super) fn flooder(&self, turn: u64, root: RootKey) -> Option<Party> {
        let flooder = self.flooder.borrow();
        let (of, caller) = flooder.as_ref()?;
        (self.turn.get() == turn && *of == root).then(|| caller.clone())
    }

    /// What requests of `turn`, which ran last, have used. If it was not looked at, that is known
    /// since a look was asked for at `asked`.
    fn turn_used(&self, turn: u64, asked: Duration) -> Duration {
        let now = thread_cpu_time();
        let charged = self.charged.get();
        let since = now.saturating_sub(charged);
        let unseen = |used| of_request(used, self.optimising(), Duration::ZERO);
        match self.turn.get() == turn {
            true => {
                let before = self.turn_optimising.get();
                self.turn_used.get() + of_request(since, self.optimising(), before)
            }
            false if asked > charged => unseen(now.saturating_sub(asked) + LOOK),
            false => unseen(since.min(LOOK)),
        }
    }
}

/// What of the time `used` is a request's, if V8 was `optimising` for so long meanwhile, and for so
/// long `before` in the same turn.
fn of_request(used: Duration, optimising: Duration, before: Duration) -> Duration {
    let left_out = |took: Duration| took.saturating_sub(CHARGED_OPTIMISING).min(OPTIMISING);
    used.saturating_sub(left_out(before + optimising) - left_out(before))
}

/// The CPU time that requests have used in one isolate, as far as it was seen.
#[derive(Default)]
pub(crate) struct Usage(Vec<(Option<RootKey>, Duration)>);

impl Usage {
    /// Adds to what `root` has used, and returns that.
    fn add(
        &mut self,
        root: Option<RootKey>,
        used: Duration,
        is_over: impl Fn(RootKey) -> bool,
    ) -> Duration {
        if let Some((_, total)) = self.0.iter_mut().find(|(known, _)| *known == root) {
            *total += used;
            return *total;
        }
        if self.0.len() >= REMEMBERED_REQUESTS {
            self.0
                .retain(|(root, _)| root.is_some_and(|root| !is_over(root)));
            self.0.truncate(REMEMBERED_REQUESTS - 1);
        }
        self.0.push((root, used));
        used
    }

    /// Counts no more than `used` for `root`.
    fn forgive(&mut self, root: Option<RootKey>, used: Duration) {
        let of_root = self.0.iter_mut().find(|(known, _)| *known == root);
        if let Some((_, total)) = of_root {
            *total = used.min(*total);
        }
    }

    /// What `root` has used.
    pub(super) fn of(&self, root: RootKey) -> Duration {
        let mut all = self.0.iter();
        let of_root = all.find(|(known, _)| *known == Some(root));
        of_root.map_or(Duration::ZERO, |(_, used)| *used)
    }

    /// Forgets what `root` used: it has a new budget.
    pub(super) fn forget(&mut self, root: RootKey) {
        self.0.retain(|(known, _)| *known != Some(root));
    }

    /// Forgets what code used that runs for no request: its budget is that of a turn.
    fn forget_rootless(&mut self) {
        self.0.retain(|(root, _)| root.is_some());
    }
}

/// How a request stands after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    WithinBudget,
    /// It overran while nobody could look: V8 collected garbage, or ran one built-in. If that was
    /// all that was left to do, it is not ended for it.
    Overtaken,
    Overran,
}

impl Standing {
    /// Of a request that had used `before` and now used `used` in one piece.
    fn after(before: Duration, used: Duration, budget: Duration) -> Self {
        match before + used > budget + LOOK {
            false => Standing::WithinBudget,
            true if used >= DEAF && before < budget => Standing::Overtaken,
            true => Standing::Overran,
        }
    }
}

impl Shard {
    /// Charges the time since the last look to `isolate`, whose code is on the stack for `root`,
    /// and says whether that is to be ended.
    ///
    /// The look was asked for in `turn`. That may be over by now: who takes many short ones has to
    /// pay for them, too.
    pub(super) fn charge(
        &self,
        isolate: &Rc<Isolate>,
        turn: u64,
        root: Option<RootKey>,
    ) -> Option<Cut> {
        self.watch.answer();
        let (asked, running) = (self.watch.asked(), self.watch.turn());
        // What was asked for long ago tells nothing of what runs now.
        if turn != running && thread_cpu_time().saturating_sub(asked) > LOOK {
            return None;
        }
        let turn = running;
        let is_new = self.ledger.turn.get() != turn;
        let (used, of_request) = self.ledger.charge(turn, asked);
        isolate.charge(used);
        self.ledger.grown.note(isolate.slot);
        let flooder = root.and_then(|root| Some((root, self.flooder(isolate, root)?)));
        self.ledger.flooder.replace(flooder.clone());
        // A client outside takes no turns.
        let flooder = flooder.as_ref().and_then(|(_, caller)| caller.isolate());
        let payer = flooder.map_or(isolate.slot, |caller| caller.slot);
        self.ready.borrow_mut().charge(payer, used);
        let roots = self.roots.borrow();
        let mut usage = isolate.usage.borrow_mut();
        if is_new {
            usage.forget_rootless();
        }
        let is_over = |root| !roots.contains(root);
        let mut total = usage.add(root, of_request, is_over);
        if root.is_some_and(is_over) {
            // Requests that are over have the budget of a turn together, too: with one each, what
            // they left behind could go on for ever.
            total = total.max(usage.add(None, of_request, is_over));
        }
        let budget = self.budget(isolate);
        let cut = |error: CallError| Cut {
            error: error.in_bundle(isolate.program.id()),
            root,
            reach: Reach::Request,
        };
        match Standing::after(total - of_request, of_request, budget) {
            Standing::WithinBudget => {
                let left = (budget + LOOK).saturating_sub(total);
                self.watch.set_due(self.ledger.charged.get() + left);
            }
            Standing::Overtaken => usage.forgive(root, budget),
            Standing::Overran => return Some(cut(self.cpu_exceeded(isolate, budget))),
        }
        if let Some(caller) = flooder
            && !Rc::ptr_eq(caller, isolate)
        {
            let budget = self.budget(caller);
            let mut usage = caller.usage.borrow_mut();
            if usage.add(root, of_request, |root| !roots.contains(root)) > budget + LOOK {
                let error = flood_exceeded(caller, budget);
                return Some(Cut {
                    error: error.in_bundle(caller.program.id()),
                    root,
                    reach: Reach::Request,
                });
            }
        }
        let deadline = roots.deadline(root?)?;
        (Instant::now() > deadline).then(|| {
            cut(CallError::host(
                Kind::DeadlineExceeded,
                "the deadline of the request passed while it computed, and it was ended",
            ))
        })
    }

    /// The CPU time of the turn that runs or ran last.
    pub(super) fn turn_used(&self) -> Duration {
        self.ledger.turn_used(self.watch.turn(), self.watch.asked())
    }

    /// As [`charge`](Self::charge), where `isolate` gets no memory any more: most likely its turn
    /// will come to nothing. It counts once.
    pub(super) fn charge_waste(&self, isolate: &Rc<Isolate>, root: Option<RootKey>) -> Option<Cut> {
        let turn = self.watch.turn();
        let cut = self.charge(isolate, turn, root);
        // Whoever is ended is charged for that.
        if cut.is_none() && !is_loading(isolate) && self.ledger.wasted_turn.replace(turn) != turn {
            self.waste(isolate, self.turn_used());
        }
        cut
    }

    fn cpu_exceeded(&self, isolate: &Isolate, budget: Duration) -> CallError {
        let (ms, limit) = (budget.as_millis(), isolate.cpu_ms_per_request(&self.limits));
        let text = if is_loading(isolate) {
            format!("loading it used more CPU time than cpu_ms_per_load ({ms}) allows")
        } else if ms < u128::from(limit) {
            format!(
                "it used more than the {ms} ms of CPU time that requests of this service have now, \
                 and was ended; they have all of cpu_ms_per_request ({limit}) again some seconds \
                 after the last one that had to be ended"
            )
        } else {
            format!(
                "it used more CPU time than cpu_ms_per_request ({ms}) allows and was ended; \
                 do less at once, or raise it under [limits] in its manifest"
            )
        };
        CallError::host(Kind::CpuExceeded, text)
    }

    /// The CPU time that one request may use in `isolate`, or that its loading may.
    pub(super) fn budget(&self, isolate: &Isolate) -> Duration {
        let ms = |ms: u32| Duration::from_millis(u64::from(ms));
        match is_loading(isolate) {
            true => ms(self.limits.cpu_ms_per_load),
            false => {
                let budget = ms(isolate.cpu_ms_per_request(&self.limits));
                let most = self.most_wasted(isolate);
                let usual = || isolate.usual_cpu();
                isolate.gate.allowance(budget, most, Instant::now(), usual)
            }
        }
    }
}

fn is_loading(isolate: &Isolate) -> bool {
    isolate.life.get() == Life::Loading || isolate.gate.state() == GateState::Replacing
}

fn flood_exceeded(caller: &Isolate, budget: Duration) -> CallError {
    let (ms, service) = (budget.as_millis(), &caller.program.id().service);
    let text = format!(
        "{service} and the calls that it had under way here for one request used more \
         than the {ms} ms of CPU time that its requests have now, and were ended; make fewer \
         calls at once"
    );
    CallError::host(Kind::CpuExceeded, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const BUDGET: Duration = Duration::from_millis(50);

    #[test]
    fn who_was_overtaken_by_one_long_step_is_forgiven_once() {
        let root = Some(RootKey::default());
        let mut usage = Usage::default();
        let mut look = |used: Duration| {
            let total = usage.add(root, used, |_| false);
            let standing = Standing::after(total - used, used, BUDGET);
            if standing == Standing::Overtaken {
                usage.forgive(root, BUDGET);
            }
            standing
        };
        assert_eq!(look(45 * MS), Standing::WithinBudget);
        assert_eq!(look(30 * MS), Standing::Overtaken);
        assert_eq!(look(MS), Standing::WithinBudget);
        assert_eq!(look(MS), Standing::Overran);
        assert_eq!(look(30 * MS), Standing::Overran);
    }

    #[test]
    fn long_optimising_is_not_charged_to_requests_within_a_bound() {
        let charged = |optimising: u32, before: u32| {
            of_request(40 * MS, optimising * MS, before * MS).as_millis()
        };
        assert_eq!(charged(3, 0), 40);
        assert_eq!(charged(3, 4), 38);
        assert_eq!(charged(36, 0), 9);
        assert_eq!(charged(36, 30), 15);
        assert_eq!(charged(36, 55), 40);
        // It is measured by the wall clock.
        assert_eq!(charged(50, 0), 0);
    }

    #[test]
    fn who_is_looked_at_all_the_time_is_not_forgiven() {
        assert_eq!(Standing::after(49 * MS, MS, BUDGET), Standing::WithinBudget);
        assert_eq!(Standing::after(50 * MS, 2 * MS, BUDGET), Standing::Overran);
        assert_eq!(Standing::after(50 * MS, 20 * MS, BUDGET), Standing::Overran);
    }
}
