//! Gives back memory that services have used and need no longer.
//!
//! V8 collects garbage when an isolate allocates, so one that has filled its memory and then rests
//! keeps it all: with many services, many times their budgets. Hence each that took time enough to
//! be looked at, and then [rested](REST), has its garbage collected if there is much of it, step by
//! step, in turns of its own. What they free lies scattered in the allocator's arenas, which give
//! their pages back when they are told to.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Shard;

/// How long an isolate must have used no time that was seen.
const REST: Duration = Duration::from_secs(1);

/// The isolates of one shard that may have grown.
#[derive(Default)]
pub(super) struct Grown {
    /// By slot, each once, with the CPU time that it had used in all.
    slots: RefCell<Vec<(usize, Duration)>>,
    /// When to look at them.
    due: Cell<Option<Instant>>,
    /// Whether much was freed since the allocator was told.
    has_freed: Cell<bool>,
}

impl Grown {
    /// The isolate in `slot` has used time, and so perhaps memory.
    pub(super) fn note(&self, slot: usize) {
        let mut slots = self.slots.borrow_mut();
        if !slots.iter().any(|(known, _)| *known == slot) {
            slots.push((slot, Duration::ZERO));
        }
        if self.due.get().is_none() {
            self.due.set(Some(Instant::now() + REST));
        }
    }

    /// An isolate that was noted is gone, with all that it held.
    pub(super) fn freed(&self) {
        self.has_freed.set(true);
    }
}

impl Shard {
    /// Waits until [`tidy`](Self::tidy) has something to do.
    pub(super) async fn tidy_due(&self) {
        match self.ledger.grown.due.get() {
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
        if grown.has_freed.replace(false) {
            trim();
        }
        let slots = grown.slots.take();
        for (slot, before) in slots {
            let Some(isolate) = self.isolate(slot) else {
                continue;
            };
            match isolate.cpu.get() {
                used if used > before => grown.slots.borrow_mut().push((slot, used)),
                _ if isolate.collect_garbage() => grown.freed(),
                _ => {}
            }
        }
        let is_done = grown.slots.borrow().is_empty() && !grown.has_freed.get();
        grown.due.set((!is_done).then_some(now + REST));
    }
}

/// Has the allocator give back what it does not use, on another thread: it takes milliseconds.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    static IS_TRIMMING: AtomicBool = AtomicBool::new(false);
    if IS_TRIMMING.swap(true, Ordering::AcqRel) {
        return;
    }
    tokio::task::spawn_blocking(|| {
        // SAFETY: it may be called at any time, from any thread.
        unsafe { libc::malloc_trim(0) };
        IS_TRIMMING.store(false, Ordering::Release);
    });
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
