//! The calls that a shard has accepted and not yet settled.

use std::rc::Rc;
use std::time::Instant;

use slotmap::SlotMap;

use crate::isolate::Isolate;
use crate::isolate::keys::{CallKey, RootKey};

/// One call from an isolate to another, while the caller waits.
pub(crate) struct Call {
    pub(crate) caller: Rc<Isolate>,
    /// The index of the caller's pending promise.
    pub(crate) pending: i32,
    pub(crate) callee: Rc<Isolate>,
    pub(crate) root: RootKey,
    /// When it began, of the calls whose duration is looked at.
    pub(crate) since: Option<Instant>,
}

/// The calls under way on one shard.
pub(crate) struct CallTable {
    calls: SlotMap<CallKey, Call>,
    max_calls: usize,
}

impl CallTable {
    pub(crate) fn new(max_calls: usize) -> Self {
        CallTable {
            calls: SlotMap::with_key(),
            max_calls,
        }
    }

    /// Takes a call in; `None` if the table is full.
    pub(crate) fn insert(&mut self, call: Call) -> Option<CallKey> {
        match self.calls.len() < self.max_calls {
            true => Some(self.calls.insert(call)),
            false => None,
        }
    }

    /// Settles the call that `callee` answers; `None` if it has no such call.
    pub(crate) fn settle(&mut self, key: CallKey, callee: &Rc<Isolate>) -> Option<Call> {
        match self.calls.get(key) {
            Some(call) if Rc::ptr_eq(&call.callee, callee) => self.calls.remove(key),
            _ => None,
        }
    }

    /// The root of some call that `callee` has not answered yet. Takes time in proportion to all
    /// calls.
    pub(crate) fn root_at(&self, callee: &Rc<Isolate>) -> Option<RootKey> {
        let mut calls = self.calls.values();
        let call = calls.find(|call| Rc::ptr_eq(&call.callee, callee))?;
        Some(call.root)
    }

    /// Takes out every call for which `which` holds. Takes time in proportion to all calls.
    pub(crate) fn take(&mut self, which: impl Fn(&Call) -> bool) -> Vec<Call> {
        let keys: Vec<CallKey> = self
            .calls
            .iter()
            .filter(|(_, call)| which(call))
            .map(|(key, _)| key)
            .collect();
        keys.into_iter()
            .filter_map(|key| self.calls.remove(key))
            .collect()
    }
}
