//! A value that comes once, for everybody who waits for it.

use std::cell::OnceCell;

use tokio::sync::Notify;

/// Set once, by the shard's thread.
pub(super) struct Pending<T> {
    value: OnceCell<T>,
    there: Notify,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Pending {
            value: OnceCell::new(),
            there: Notify::new(),
        }
    }
}

impl<T> Pending<T> {
    /// Gives the value; a second one is dropped.
    pub(super) fn set(&self, value: T) {
        let _ = self.value.set(value);
        self.there.notify_waiters();
    }

    /// The value, if it is there.
    pub(super) fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Waits for the value. Those who wait go on in the order in which they came.
    pub(super) async fn wait(&self) -> &T {
        loop {
            let there = self.there.notified();
            if let Some(value) = self.value.get() {
                return value;
            }
            there.await;
        }
    }
}
