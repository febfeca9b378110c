//! The shard's loop: turns for isolates with mail, unloading for those that nothing needs.

use std::rc::Rc;

use super::Shard;

/// Turns after which the loop lets the shard's other tasks (sockets, timers) run.
const TURNS_PER_YIELD: usize = 64;

impl Shard {
    /// Runs turns for ever. One per shard.
    ///
    /// # Cancel safety
    /// It may be dropped at any await: what waits in the mailboxes stays there.
    pub(super) async fn pump(self: Rc<Self>) {
        loop {
            self.wake.notified().await;
            let mut turns = 0;
            while let Some(slot) = self.next_ready() {
                if let Some(isolate) = self.isolate(slot) {
                    isolate.turn(&self);
                }
                turns += 1;
                if turns % TURNS_PER_YIELD == 0 {
                    tokio::task::yield_now().await;
                }
            }
            if self.sweep_due.replace(false) {
                self.sweep();
            }
        }
    }

    /// Gives turns until nothing is ready, on the caller's stack; for benchmarks without a loop.
    pub(crate) fn run_until_idle(self: &Rc<Self>) {
        while let Some(slot) = self.next_ready() {
            if let Some(isolate) = self.isolate(slot) {
                isolate.turn(self);
            }
        }
    }

    fn next_ready(&self) -> Option<usize> {
        self.ready.borrow_mut().pop_front()
    }
}
