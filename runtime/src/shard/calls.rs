//! The calls that a shard has accepted and not yet settled.

use std::rc::Rc;

use slotmap::SlotMap;

use super::roots::RootKey;
use crate::isolate::Isolate;

slotmap::new_key_type! {
    /// Names a call on its shard. An answer that comes after the call was given up finds nothing
    /// under its key, whatever call has taken its place.
    pub(crate) struct CallKey;
}

/// One call from an isolate to another, while the caller waits.
pub(crate) struct Call {
    pub(crate) caller: Rc<Isolate>,
    /// The index of the caller's pending promise.
    pub(crate) pending: i32,
    pub(crate) callee: Rc<Isolate>,
    pub(crate) root: RootKey,
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

/// A key in the two words of a record.
pub(crate) fn to_words(key: impl slotmap::Key) -> (i32, i32) {
    let bits = key.data().as_ffi();
    // The halves of 64 bits, kept as they are.
    (bits as u32 as i32, (bits >> 32) as u32 as i32)
}

/// The key that two words of a record carry.
pub(crate) fn from_words<K: slotmap::Key>((low, high): (i32, i32)) -> K {
    let bits = u64::from(low as u32) | (u64::from(high as u32) << 32);
    K::from(slotmap::KeyData::from_ffi(bits))
}
