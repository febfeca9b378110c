//! Who holds a bundle, evicting them, and the end of drains.

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Instant;

use isolith_capnp::error_capnp::call_error::Kind;
use isolith_versions::{Digest, seeded};

use super::Shard;
use super::roots::{Asker, Holder, Root};
use crate::error::CallError;

/// Holders that one shard lists; the others are counted.
const MAX_LISTED_HOLDERS: usize = 256;

/// What keeps a bundle loaded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holders {
    /// At most [`MAX_LISTED_HOLDERS`] of each shard.
    pub(crate) listed: Vec<Holder>,
    /// All of them.
    pub(crate) total: u64,
}

impl Holders {
    /// Adds those of another shard.
    #[allow(dead_code, reason = "for the control plane")]
    pub(crate) fn extend(&mut self, other: Holders) {
        self.listed.extend(other.listed);
        self.total += other.total;
    }
}

impl Shard {
    /// What keeps the bundle with this digest loaded here: everything that is pinned to a set with
    /// it. Takes time in proportion to all roots.
    pub(crate) fn holders(&self, bundle: Digest) -> Holders {
        let roots = self.roots.borrow();
        let now = Instant::now();
        let capabilities = self.capabilities.borrow();
        let held = |root| capabilities.held_by(root);
        let (listed, total) = roots.holders(bundle, self.index, now, MAX_LISTED_HOLDERS, held);
        Holders { listed, total }
    }

    /// P10: ends every root that is pinned to a set with this bundle, and tells whoever waits for
    /// one that it was `evicted`, and why. Nothing is moved to another version. Returns how many.
    ///
    /// It says nothing about later admissions: take the bundle out of the routing table first.
    pub(crate) fn evict(&self, bundle: Digest, reason: &str) -> usize {
        self.evict_where(|root| root.set.set.find(bundle).is_some(), reason)
    }

    /// Ends the roots for which `which` holds. Takes time in proportion to all roots and calls.
    fn evict_where(&self, which: impl Fn(&Root) -> bool, reason: &str) -> usize {
        if seeded("evict-does-nothing") {
            return 0;
        }
        let evicted = self.roots.borrow_mut().take(which);
        if evicted.is_empty() {
            return 0;
        }
        let error = CallError::host(Kind::Evicted, reason);
        let count = evicted.len();
        let mut keys = HashSet::with_capacity(count);
        let mut sets = Vec::with_capacity(count);
        for (key, mut root) in evicted {
            keys.insert(key);
            match root.take_asker() {
                Some(Asker::Http(isolate, exchange)) => isolate.evict_exchange(exchange, &error),
                Some(Asker::Json(isolate, id)) => isolate.fail_json(id, &error),
                Some(Asker::Outside(outside)) => outside.end(error.clone()),
                None => {}
            }
            sets.push(root.set);
        }
        self.fail_calls(|call| keys.contains(&call.root), &error);
        for key in keys {
            self.end_belongings(key);
        }
        for set in sets {
            self.after_unpin(Some(set));
        }
        tracing::warn!(shard = self.index, requests = count, reason, "evicted");
        count
    }

    /// P11: sees to it that what still holds a set that takes no requests any more is evicted when
    /// its time is over.
    pub(super) fn watch_drains(self: &Rc<Self>) {
        if self.drain_due().is_none() || self.watching_drains.replace(true) {
            return;
        }
        let shard = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            // The wait itself keeps nothing alive.
            let due = || {
                let shard = shard.upgrade()?;
                let due = shard.drain_due();
                shard.watching_drains.set(due.is_some());
                due
            };
            while let Some(due) = due() {
                tokio::time::sleep_until(due.into()).await;
                if let Some(shard) = shard.upgrade() {
                    shard.end_drains();
                }
            }
        });
    }

    /// When the next root's time on a draining set is over.
    fn drain_due(&self) -> Option<Instant> {
        if seeded("drain-without-end") {
            return None;
        }
        let roots = self.roots.borrow();
        let due = |root: &Root| Some(drain_since(root)? + self.limits.drain);
        roots.iter().filter_map(due).min()
    }

    fn end_drains(&self) {
        let now = Instant::now();
        let over = |root: &Root| {
            drain_since(root).is_some_and(|since| now.duration_since(since) >= self.limits.drain)
        };
        let reason = format!(
            "the version set of this request took no new ones for {:?}, the time that a drain has",
            self.limits.drain
        );
        self.evict_where(over, &reason);
    }
}

/// Since when a root holds a set that takes no requests: since the set left the routing table, or
/// since the root came, by name, after that.
fn drain_since(root: &Root) -> Option<Instant> {
    let left = root.set.out_of_force_since()?;
    Some(left.max(root.admitted()))
}
