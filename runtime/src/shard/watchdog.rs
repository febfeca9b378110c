//! Looks at turns that go on for long.
//!
//! A shard says which isolate runs by a few relaxed stores a turn. One thread for the whole
//! process looks at every shard once a millisecond while any of them runs JavaScript, and sooner if a
//! budget ends sooner, and has each one that does interrupted: what runs there is then charged and,
//! past its budget, ended, on the shard's own thread and by that thread's CPU clock
//! ([`cpu`](super::cpu)). Some built-ins take no
//! notice of interrupts but do of termination, so a look that is not answered in time is followed
//! by that. When nothing runs the watchdog sleeps; the next turn wakes it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use super::cpu::ThreadClock;
use crate::isolate::request_look;

/// How often the watchdog looks. What a turn uses is known up to this.
pub(super) const LOOK: Duration = Duration::from_millis(1);
/// It leaves the shard at least so much time between two looks.
const SHORTEST_LOOK: Duration = Duration::from_micros(100);
/// CPU time after which a look that is not answered will not be soon.
pub(super) const DEAF: Duration = Duration::from_millis(5);
/// Looks that find nothing running before the watchdog sleeps. Few, because a process with some
/// tens of requests a second would otherwise be looked at all the time; and not none, because each
/// turn that finds it asleep takes a system call to wake it.
const IDLE_LOOKS: u32 = 2;
/// How long it sleeps at most: a turn that begins in the very moment in which it falls asleep may
/// miss it.
const SLEEP: Duration = Duration::from_millis(50);

/// What one shard shows the watchdog.
pub(super) struct Watch {
    /// Turns begun so far.
    begun: AtomicU64,
    /// The number of the one that runs, or ran last.
    turn: AtomicU64,
    /// The slot that runs, plus one; 0 between turns.
    running: AtomicUsize,
    /// Looks so far: a coarse clock that costs the shard nothing.
    looks: AtomicU64,
    /// Looks that an isolate answered.
    answers: AtomicU64,
    /// The thread's CPU time when the last look was asked for, in nanoseconds.
    asked_ns: AtomicU64,
    /// The thread's CPU time at which what ran at the last look has used up its budget, in
    /// nanoseconds.
    due_ns: AtomicU64,
    leashes: Mutex<Vec<Option<Leash>>>,
    clock: ThreadClock,
}

/// How to interrupt an isolate, and when it has to be.
pub(super) struct Leash {
    pub(super) handle: v8::IsolateHandle,
    /// CPU time of one turn after which it is ended even if it answers no look.
    pub(super) patience: Duration,
}

/// A turn with others on top of it.
#[must_use]
pub(super) struct Suspended {
    turn: u64,
    running: usize,
}

/// Marks a turn as running until it is dropped.
pub(super) struct Watched<'a>(&'a Watch);

impl Watch {
    /// A watch over the current thread that the watchdog looks at from now on.
    pub(super) fn new() -> Arc<Self> {
        let watch = Arc::new(Watch {
            begun: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            looks: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            asked_ns: AtomicU64::new(0),
            due_ns: AtomicU64::new(0),
            leashes: Mutex::new(Vec::new()),
            clock: ThreadClock::of_this_thread(),
        });
        register(&watch);
        watch
    }

    pub(super) fn enter(&self, slot: usize) -> Watched<'_> {
        // Only the shard's own thread writes.
        let turn = self.begun.load(Ordering::Relaxed).wrapping_add(1);
        self.begun.store(turn, Ordering::Relaxed);
        self.turn.store(turn, Ordering::Relaxed);
        self.run(slot + 1);
        Watched(self)
    }

    /// The turn that runs stands still from now on, and others come on top of it, until
    /// [`resume`](Self::resume).
    pub(super) fn suspend(&self) -> Suspended {
        let slot = self.running.load(Ordering::Relaxed);
        self.running.store(0, Ordering::Release);
        Suspended {
            turn: self.turn(),
            running: slot,
        }
    }

    /// The turn that was suspended goes on.
    pub(super) fn resume(&self, suspended: Suspended) {
        // Nothing runs now, so the watchdog cannot take one's number for the other's.
        self.turn.store(suspended.turn, Ordering::Release);
        self.run(suspended.running);
    }

    /// What is in `running` runs from now on.
    fn run(&self, running: usize) {
        self.running.store(running, Ordering::Release);
        if ASLEEP.load(Ordering::Relaxed) {
            wake();
        }
    }

    /// Turns begun so far.
    #[cfg(test)]
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// The number of the turn that runs, or ran last.
    pub(super) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Relaxed)
    }

    /// Rises about once a millisecond while JavaScript runs.
    pub(super) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// The thread's CPU time when the last look was asked for.
    pub(super) fn asked(&self) -> Duration {
        Duration::from_nanos(self.asked_ns.load(Ordering::Relaxed))
    }

    /// The thread is parked in the middle of a turn: there is nothing to look at any more.
    pub(super) fn abandon(&self) {
        self.running.store(0, Ordering::Release);
    }

    /// Says that a look was answered.
    pub(super) fn answer(&self) {
        let answers = self.answers.load(Ordering::Relaxed);
        self.answers
            .store(answers.wrapping_add(1), Ordering::Relaxed);
    }

    /// Says at which CPU time of the thread what runs now has used up its budget.
    pub(super) fn set_due(&self, due: Duration) {
        self.due_ns.store(nanoseconds(due), Ordering::Relaxed);
    }

    /// Says how to interrupt what runs in `slot`.
    pub(super) fn set_leash(&self, slot: usize, leash: Option<Leash>) {
        let mut leashes = self.leashes.lock().unwrap_or_else(PoisonError::into_inner);
        if leashes.len() <= slot {
            leashes.resize_with(slot + 1, || None);
        }
        if let Some(place) = leashes.get_mut(slot) {
            *place = leash;
        }
    }

    /// What runs now: its turn and its slot.
    fn running(&self) -> Option<(u64, usize)> {
        let slot = self.running.load(Ordering::Acquire).checked_sub(1)?;
        Some((self.turn.load(Ordering::Acquire), slot))
    }

    /// Looks at what runs; `before` is what was seen last time.
    fn look(self: &Arc<Self>, before: &[Seen]) -> Option<Seen> {
        let looks = self.looks.load(Ordering::Relaxed);
        self.looks.store(looks.wrapping_add(1), Ordering::Relaxed);
        let running = self.running()?;
        let (turn, slot) = running;
        let watch = Arc::as_ptr(self);
        let known = before
            .iter()
            .find(|seen| seen.turn == turn && std::ptr::eq(seen.watch, watch));
        let (answers, now) = (self.answers.load(Ordering::Relaxed), self.clock.now());
        let leashes = self.leashes.lock().unwrap_or_else(PoisonError::into_inner);
        let leash = leashes.get(slot)?.as_ref()?;
        // While the lock is held nobody takes the isolate away, but its turn may be over.
        if self.running() != Some(running) {
            return None;
        }
        match known {
            Some(seen) if seen.answers == answers => {
                let is_deaf = now.saturating_sub(seen.asked) >= DEAF;
                if is_deaf && now.saturating_sub(seen.first) >= leash.patience {
                    leash.handle.terminate_execution();
                }
                let next = LOOK;
                return Some(Seen { next, ..*seen });
            }
            _ => {
                self.asked_ns.store(nanoseconds(now), Ordering::Relaxed);
                request_look(&leash.handle, turn);
            }
        }
        let due = Duration::from_nanos(self.due_ns.load(Ordering::Relaxed));
        Some(Seen {
            watch,
            turn,
            answers,
            asked: now,
            next: match due.saturating_sub(now) {
                // Not known yet, or no longer true.
                Duration::ZERO => LOOK,
                left => left.clamp(SHORTEST_LOOK, LOOK),
            },
            first: known.map_or(now, |seen| seen.first),
        })
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.running.store(0, Ordering::Release);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

static WATCHES: Mutex<Vec<Weak<Watch>>> = Mutex::new(Vec::new());
static WATCHDOG: OnceLock<Option<Thread>> = OnceLock::new();
static ASLEEP: AtomicBool = AtomicBool::new(false);

fn register(watch: &Arc<Watch>) {
    let mut watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    watches.retain(|watch| watch.strong_count() > 0);
    watches.push(Arc::downgrade(watch));
    drop(watches);
    WATCHDOG.get_or_init(|| {
        let started = thread::Builder::new()
            .name("isolith-watchdog".into())
            .spawn(run);
        match started {
            Ok(handle) => Some(handle.thread().clone()),
            Err(error) => {
                tracing::error!(%error, "no watchdog: a service that loops will hold its shard");
                None
            }
        }
    });
}

#[cold]
fn wake() {
    if ASLEEP.swap(false, Ordering::AcqRel)
        && let Some(Some(watchdog)) = WATCHDOG.get()
    {
        watchdog.unpark();
    }
}

/// A turn that was running when the watchdog looked.
struct Seen {
    watch: *const Watch,
    turn: u64,
    /// The shard's answers at the time of the last request.
    answers: u64,
    /// The shard's CPU time then.
    asked: Duration,
    /// The shard's CPU time when the turn was first seen.
    first: Duration,
    /// When to look again.
    next: Duration,
}

/// Has the current thread run as soon as it wakes, while every core is busy, too. Else it waits for
/// the scheduler's next tick, which comes every four milliseconds on many systems, whatever its
/// nice value. Only a process that may (`CAP_SYS_NICE`, or `RLIMIT_RTPRIO` from 1 on) can do so.
#[cfg(target_os = "linux")]
fn hurry() {
    // SAFETY: a structure of plain numbers, for which zeroes are valid.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = 1;
    // SAFETY: the call reads the parameters. 0 stands for the current thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) } != 0 {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "the watchdog has no real-time priority: it may look late");
    }
}

fn run() {
    #[cfg(target_os = "linux")]
    hurry();
    let mut seen: Vec<Seen> = Vec::new();
    let mut idle_looks = 0;
    loop {
        if idle_looks >= IDLE_LOOKS {
            ASLEEP.store(true, Ordering::Release);
            thread::park_timeout(SLEEP);
            // Whoever woke it has more turns to come, most likely.
            if !ASLEEP.swap(false, Ordering::AcqRel) {
                idle_looks = 0;
            }
        } else {
            let next = seen.iter().map(|seen| seen.next).min();
            thread::sleep(next.unwrap_or(LOOK));
        }
        let watches: Vec<Arc<Watch>> = WATCHES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        seen = watches
            .iter()
            .filter_map(|watch| watch.look(&seen))
            .collect();
        idle_looks = match seen.is_empty() {
            true => idle_looks.saturating_add(1),
            false => 0,
        };
    }
}
