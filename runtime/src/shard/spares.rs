//! Isolates made ahead, while the shard has nothing else to do.
//!
//! Two thirds of what it takes to load a small service are the same for every service. A shard that
//! rests has that done already for the next few: a service that has to be made anew, or that is
//! deployed, then starts in a third of the time.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::Shard;
use crate::isolate::Blank;

/// Spare isolates of one shard. Each takes as much memory as an idle service.
const SPARE_ISOLATES_PER_SHARD: usize = 2;
/// For how long a shard must have had nothing to do: to make one holds it up for a millisecond
/// or two.
const REST: Duration = Duration::from_millis(10);

/// The spare isolates of one shard, all with the default heap limit.
#[derive(Default)]
pub(super) struct Spares {
    blanks: RefCell<Vec<Blank>>,
    /// Whether any are to be made: a bundle was loaded here, so others may be.
    wanted: Cell<bool>,
}

impl Shard {
    /// Takes a spare isolate whose memory may come to `heap_mib`, if there is one.
    pub(super) fn take_spare(&self, heap_mib: u32) -> Option<Blank> {
        let mut blanks = self.spares.blanks.borrow_mut();
        let spare = blanks.pop_if(|spare| spare.heap_mib() == heap_mib);
        drop(blanks);
        self.spares.wanted.set(true);
        // The pump, if it sleeps, has to take notice that there is room for another one.
        self.wake.notify_one();
        spare
    }

    /// Waits until a spare isolate should be made: there is room for one, and the caller has
    /// waited here for a while. To be dropped as soon as there is something else to do.
    pub(super) async fn spare_due(&self) {
        let count = self.spares.blanks.borrow().len();
        if count >= SPARE_ISOLATES_PER_SHARD || !self.spares.wanted.get() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(REST).await;
    }

    /// Makes a spare isolate.
    pub(super) fn make_spare(&self) {
        match Blank::new(self.limits.heap_mib) {
            Ok(blank) => self.spares.blanks.borrow_mut().push(blank),
            // Whoever needs an isolate will hear of it.
            Err(error) => {
                tracing::error!(%error, "no spare isolate");
                self.spares.wanted.set(false);
            }
        }
    }
}
