//! The calls that a shard has accepted and not yet settled, and those whose answer is kept.

use std::rc::Rc;
use std::time::Instant;

use slotmap::SlotMap;

use super::party::Party;
use crate::isolate::Isolate;
use crate::isolate::keys::{CallKey, RootKey};
use crate::isolate::wire::{KEEP, WANTED};

/// One call from one party to another, while the caller waits.
pub(crate) struct Call {
    pub(crate) caller: Party,
    /// The index of the caller's pending promise.
    pub(crate) pending: i32,
    pub(crate) callee: Party,
    pub(crate) root: RootKey,
    /// When it began, of the calls whose duration is looked at.
    pub(crate) since: Option<Instant>,
    pub(crate) answer: Answer,
}

/// What becomes of a call's results.
///
/// ```text
/// Once ──▶ (gone)
///
/// Open ──── wanted ────▶ Wanted ──── results or error sent ────▶ Sent
///   └──────────────────── error sent ─────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// They are sent, and the call is over.
    Once,
    /// They can be called, before they are there or afterwards, and stay where they are: nobody has
    /// asked for them. Only the callee knows whether they are there.
    Open,
    /// They can be called, and the caller waits for them.
    Wanted,
    /// The caller has them, or the error in their place.
    Sent,
}

impl Answer {
    /// What is to become of the results of a call with these flags of its record.
    pub(crate) fn of_flags(flags: i32) -> Self {
        match (flags & KEEP != 0, flags & WANTED != 0) {
            (false, _) => Answer::Once,
            (true, false) => Answer::Open,
            (true, true) => Answer::Wanted,
        }
    }
}

impl Call {
    /// Whether somebody waits for it. Then it is a lease on its root.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(self.answer, Answer::Once | Answer::Wanted)
    }
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

    /// Settles the call that `callee` answers; `None` if it has no such call, or keeps its answer.
    pub(crate) fn settle<P>(&mut self, key: CallKey, callee: &P) -> Option<Call>
    where
        Party: PartialEq<P>,
    {
        match self.calls.get(key) {
            Some(call) if call.callee == *callee && call.answer == Answer::Once => {
                self.calls.remove(key)
            }
            _ => None,
        }
    }

    /// The root of some call that `callee` has not answered yet. Takes time in proportion to all
    /// calls.
    pub(crate) fn root_at(&self, callee: &Rc<Isolate>) -> Option<RootKey> {
        let mut calls = self.calls.values();
        let call = calls.find(|call| call.answer != Answer::Sent && call.callee == *callee)?;
        Some(call.root)
    }

    pub(crate) fn get(&self, key: CallKey) -> Option<&Call> {
        self.calls.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: CallKey) -> Option<&mut Call> {
        self.calls.get_mut(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (CallKey, &Call)> {
        self.calls.iter()
    }

    pub(crate) fn remove(&mut self, key: CallKey) -> Option<Call> {
        self.calls.remove(key)
    }

    /// The call that this pending promise of `caller` stands for. Takes time in proportion to all
    /// calls.
    pub(crate) fn find<P>(&self, caller: &P, pending: i32) -> Option<CallKey>
    where
        Party: PartialEq<P>,
    {
        self.calls
            .iter()
            .find(|(_, call)| call.pending == pending && call.caller == *caller)
            .map(|(key, _)| key)
    }

    /// Takes out every call that may still be answered for which `which` holds. Takes time in
    /// proportion to all calls.
    pub(crate) fn take(&mut self, which: impl Fn(&Call) -> bool) -> Vec<(CallKey, Call)> {
        let keys: Vec<CallKey> = self
            .calls
            .iter()
            .filter(|(_, call)| call.answer != Answer::Sent && which(call))
            .map(|(key, _)| key)
            .collect();
        keys.into_iter()
            .filter_map(|key| Some((key, self.calls.remove(key)?)))
            .collect()
    }
}
