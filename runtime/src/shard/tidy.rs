//! Gives back memory that services have used and need no longer.
//!
//! V8 collects garbage when an isolate allocates, so one that has filled its memory and then rests
//! keeps it all: with many services, many times their budgets. Hence each that took time enough to
//! be looked at, and then [rested](REST), has its garbage collected if there is much of it, step by
//! step, in turns of its own. V8 and the allocator keep what that frees, and what an isolate that is
//! gone has had, until they are told to give it back.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Shard;
use crate::isolate::give_back_pages;

/// How long an isolate must have used no time that was seen.
const REST: Duration = Duration::from_secs(1);
/// How often what was freed is given back, each time after a [`REST`]: the first time a collection
/// may still be under way.
const GIVE_BACKS: u8 = 2;

/// The isolates of one shard that may have grown.
#[derive(Default)]
pub(super) struct Grown {
    /// By slot, each once, with the CPU time that it had used in all.
    slots: RefCell<Vec<(usize, Duration)>>,
    /// When to look at them.
    due: Cell<Option<Instant>>,
    /// How often what was freed is still to be given back.
    give_backs: Cell<u8>,
}

impl Grown {
    /// The isolate in `slot` has used time, and so perhaps memory.
    pub(super) fn note(&self, slot: usize) {
        let mut slots = self.slots.borrow_mut();
        if !slots.iter().any(|(known, _)| *known == slot) {
            slots.push((slot, Duration::ZERO));
        }
        self.look_later();
    }

    fn freed(&self) {
        self.give_backs.set(GIVE_BACKS);
        self.look_later();
    }

    fn look_later(&self) {
        if self.due.get().is_none() {
            self.due.set(Some(Instant::now() + REST));
        }
    }
}

impl Shard {
    /// An isolate is gone, with all that it held.
    pub(super) fn freed(&self) {
        self.ledger.grown.freed();
        // The pump, if it sleeps, has to take notice.
        self.wake.notify_one();
    }

    /// Waits until [`tidy`](Self::tidy) or [`keep_to_budget`](Self::keep_to_budget) has something to
    /// do.
    pub(super) async fn tidy_due(&self) {
        let due = [self.ledger.grown.due.get(), self.looks.due.get()];
        match due.into_iter().flatten().min() {
            Some(due) => tokio::time::sleep_until(due.into()).await,
            None => std::future::pending().await,
        }
    }

    /// Begins to collect the garbage of those that rest, if it is time; a few microseconds each.
    pub(super) fn tidy(&self, now: Instant) {
        let grown = &self.ledger.grown;
        if grown.due.get().is_none_or(|due| now < due) {
            return;
        }
        let give_backs = grown.give_backs.get();
        if give_backs > 0 && give_back() {
            grown.give_backs.set(give_backs - 1);
        }
        let slots = grown.slots.take();
        for (slot, before) in slots {
            let Some(isolate) = self.isolate(slot) else {
                continue;
            };
            match isolate.cpu.get() {
                used if used > before => grown.slots.borrow_mut().push((slot, used)),
                _ if isolate.collect_garbage() => grown.give_backs.set(GIVE_BACKS),
                _ => {}
            }
        }
        let is_done = grown.slots.borrow().is_empty() && grown.give_backs.get() == 0;
        grown.due.set((!is_done).then_some(now + REST));
    }
}

/// Has V8 and the allocator give back what they do not use, on another thread: it takes
/// milliseconds. Says whether it does: not while another shard has them do so.
fn give_back() -> bool {
    static IS_GIVING_BACK: AtomicBool = AtomicBool::new(false);
    let is_idle = !IS_GIVING_BACK.swap(true, Ordering::AcqRel);
    if is_idle {
        tokio::task::spawn_blocking(|| {
            give_back_pages();
            trim();
            IS_GIVING_BACK.store(false, Ordering::Release);
        });
    }
    is_idle
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    // SAFETY: it may be called at any time, from any thread.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
