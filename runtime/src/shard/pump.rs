//! The shard's loop: turns for isolates with mail, unloading for those that nothing needs.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Shard;
use crate::isolate::{Entered, Event};
use crate::platform::ForegroundTask;

/// How long the loop gives turns before it lets the shard's other tasks (sockets, timers) run.
/// Yielding polls the operating system for events, which costs as much as several turns.
const STRETCH: Duration = Duration::from_micros(300);
/// Turns and records, together, after which the loop looks at the clock: some 30 µs of small calls.
const WORK_PER_LOOK: usize = 64;

/// Why a stretch of turns ended.
#[derive(PartialEq, Eq)]
enum Stretch {
    /// No isolate waits for a turn.
    Done,
    /// Its time was up, or only isolates wait that are ahead of the others.
    Interrupted,
}

impl Shard {
    /// Runs turns for ever. One per shard.
    ///
    /// # Cancel safety
    /// It may be dropped at any await: what waits in the mailboxes stays there.
    pub(crate) async fn pump(self: Rc<Self>) {
        let posted = self.posted_tasks.take();
        let (_idle, none) = mpsc::unbounded_channel();
        let mut posted = posted.unwrap_or(none);
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                Some(task) = posted.recv() => self.take_task(task),
                () = self.spare_due() => self.make_spare(),
                () = self.tidy_due() => {}
            }
            self.pumping.set(true);
            while self.give_turns() == Stretch::Interrupted {
                tokio::task::yield_now().await;
                // A shard that is always busy has these to do, too.
                while let Ok(task) = posted.try_recv() {
                    self.take_task(task);
                }
                self.sweep_if_due();
                self.tidy(self.now.get());
                self.keep_to_budget(self.now.get());
            }
            // Who gets mail from here on has to wake the loop.
            self.pumping.set(false);
            self.sweep_if_due();
            self.tidy(self.now.get());
            self.keep_to_budget(self.now.get());
        }
    }

    fn look_at_clock(&self) -> Instant {
        let now = Instant::now();
        self.now.set(now);
        now
    }

    /// Gives turns until no isolate waits for one or the stretch is over.
    fn give_turns(&self) -> Stretch {
        let since = self.look_at_clock();
        let looks = self.watch.looks();
        let (mut has_served, mut work) = (false, 0);
        // The first isolate stays entered beneath the others: a caller that takes every other turn
        // is not left and entered again each time.
        let mut first = None;
        loop {
            let slot = match self.next_in_order() {
                Some(slot) => slot,
                // Who was served is answered, and who waits outside let in, before one who is ahead
                // has the thread: maybe for long.
                None if has_served && self.ready.borrow().is_anyone_ahead() => {
                    return Stretch::Interrupted;
                }
                None => match self.next_ahead() {
                    Some(slot) => slot,
                    None => return Stretch::Done,
                },
            };
            if let Some(isolate) = self.isolate(slot) {
                if isolate.is_returning() {
                    // V8 makes isolates where none is entered.
                    first = None;
                    self.bring_back(&isolate);
                }
                first.get_or_insert_with(|| Entered::new(&isolate));
                work += isolate.queued();
                self.dispatches.begin(self.watch.looks());
                self.give_turn(&isolate);
                work += self.dispatches.take_made();
            }
            has_served = true;
            work += 1;
            // The watchdog's look says that a millisecond has gone by.
            if work < WORK_PER_LOOK && self.watch.looks() == looks {
                continue;
            }
            work = 0;
            if self.look_at_clock().duration_since(since) >= STRETCH {
                return Stretch::Interrupted;
            }
        }
    }

    fn sweep_if_due(self: &Rc<Self>) {
        if self.sweep_due.replace(false) {
            self.sweep();
        }
    }

    /// Gives a task of V8's to its isolate, if that still lives here.
    fn take_task(&self, posted: ForegroundTask) {
        let ForegroundTask {
            isolate,
            task,
            delay,
        } = posted;
        let owner = {
            let isolates = self.isolates.borrow();
            let known = isolates
                .iter()
                .flatten()
                .find(|known| known.has_serial(isolate));
            known.map(Rc::clone)
        };
        let Some(owner) = owner else { return };
        if delay.is_zero() {
            return owner.push(Event::Task(task));
        }
        let owner = Rc::downgrade(&owner);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(delay).await;
            // V8's isolate may be another one by now.
            if let Some(owner) = owner.upgrade().filter(|owner| owner.has_serial(isolate)) {
                owner.push(Event::Task(task));
            }
        });
    }

    fn next_in_order(&self) -> Option<usize> {
        self.ready.borrow_mut().pop_in_order()
    }

    fn next_ahead(&self) -> Option<usize> {
        self.ready.borrow_mut().pop_ahead()
    }
}
