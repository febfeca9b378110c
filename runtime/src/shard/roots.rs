//! The roots of one shard: each admitted request, the version set that it is pinned to, and what
//! still holds it.

use std::rc::Rc;

use slotmap::SlotMap;

use super::wiring::ShardSet;
use crate::isolate::keys::RootKey;

/// What a root may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RootState {
    /// Its request runs, or work that it registered with `waitUntil`.
    Active,
    /// Its request is over; calls that are under way return, new ones are refused.
    Ended,
    /// Its deadline passed; calls under way were failed, new ones are refused.
    Expired,
}

/// Whether a root's request still holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Open,
    Over,
}

/// One admitted request.
///
/// ```text
///            last hold released              last call settled
/// Active ────────────────────────▶ Ended ────────────────────────▶ (gone, the pin released)
///    └──────── deadline ─────────▶ Expired ──────────────────────▶
/// ```
pub(crate) struct Root {
    /// The pin: the set that every call of this root uses.
    pub(crate) set: Rc<ShardSet>,
    pub(crate) state: RootState,
    /// The response, and each promise given to `waitUntil`.
    holds: u32,
    /// Calls accepted and not yet settled.
    pub(crate) calls: u32,
}

/// The roots of one shard.
///
/// Insert, look-up and removal take constant time and, once the table has grown, no allocation.
pub(crate) struct RootTable {
    roots: SlotMap<RootKey, Root>,
    max_roots: usize,
}

impl RootTable {
    pub(crate) fn new(max_roots: usize) -> Self {
        RootTable {
            roots: SlotMap::with_key(),
            max_roots,
        }
    }

    /// Roots that are not yet gone.
    pub(crate) fn len(&self) -> usize {
        self.roots.len()
    }

    /// Pins a new root to `set`, with one hold; `None` if the table is full.
    pub(crate) fn insert(&mut self, set: Rc<ShardSet>) -> Option<RootKey> {
        if self.roots.len() >= self.max_roots {
            return None;
        }
        Some(self.roots.insert(Root {
            set,
            state: RootState::Active,
            holds: 1,
            calls: 0,
        }))
    }

    /// The root that `key` names, unless it is gone.
    pub(crate) fn get_mut(&mut self, key: RootKey) -> Option<&mut Root> {
        self.roots.get_mut(key)
    }

    /// The roots that are not yet gone.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Root> {
        self.roots.values()
    }

    /// Adds a hold to an active root; false if it is over.
    pub(crate) fn hold(&mut self, key: RootKey) -> bool {
        match self.roots.get_mut(key) {
            Some(root) if root.state == RootState::Active => {
                root.holds += 1;
                true
            }
            _ => false,
        }
    }

    /// Whether the root is not yet gone.
    pub(crate) fn contains(&self, key: RootKey) -> bool {
        self.roots.contains_key(key)
    }

    /// Takes a hold away. The last one ends the root. Returns the set if that released the pin.
    pub(crate) fn release(&mut self, key: RootKey) -> Option<Rc<ShardSet>> {
        let root = self.roots.get_mut(key)?;
        root.holds = root.holds.saturating_sub(1);
        if root.holds == 0 && root.state == RootState::Active {
            root.state = RootState::Ended;
        }
        self.remove_if_done(key)
    }

    /// Marks a root whose deadline has passed: `waitUntil` holds it no longer. Its request lets go
    /// by itself, and the calls under way still have to be settled.
    pub(crate) fn expire(&mut self, key: RootKey, request: Request) -> Option<Rc<ShardSet>> {
        let root = self.roots.get_mut(key)?;
        root.state = RootState::Expired;
        root.holds = match request {
            Request::Open => root.holds.min(1),
            Request::Over => 0,
        };
        self.remove_if_done(key)
    }

    /// Settles one call. Returns the set if that released the pin.
    pub(crate) fn settle_call(&mut self, key: RootKey) -> Option<Rc<ShardSet>> {
        let root = self.roots.get_mut(key)?;
        root.calls = root.calls.saturating_sub(1);
        self.remove_if_done(key)
    }

    fn remove_if_done(&mut self, key: RootKey) -> Option<Rc<ShardSet>> {
        let root = self.roots.get(key)?;
        if root.holds > 0 || root.calls > 0 {
            return None;
        }
        self.roots.remove(key).map(|root| root.set)
    }
}
