//! Capabilities: which objects of which isolates travel, who holds them, and for which request.
//!
//! A capability is made when a party passes one of its objects to another in the name of a
//! request, and belongs to that request: P4. It is gone when its last holder lets go or when the
//! request ends, whichever comes first; the isolates that keep something for the request are told,
//! so that neither side waits for a garbage collection. Nothing here runs JavaScript.

use std::collections::HashMap;

use slotmap::{Key, SecondaryMap, SlotMap};

use crate::isolate::keys::{CallKey, CapabilityKey, RootKey, to_words};
use crate::isolate::wire::{Passed, Path, Record, RecordKind};

use super::calls::CallTable;
use super::outside::OUTSIDE_SLOTS;
use super::party::Party;

/// What serves the calls of a capability, in its home isolate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    /// The export with this index.
    Export(i32),
    /// What the path leads to in the kept answer of a call.
    Answer(CallKey, Path),
}

/// Whether a capability serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Live,
    /// Its service has revoked it.
    Revoked,
    /// Its isolate was made anew since.
    Lost,
}

/// An object that at least one other party holds.
pub(super) struct Capability {
    pub(super) home: Party,
    pub(super) object: Object,
    pub(super) root: RootKey,
    pub(super) standing: Standing,
    /// How often its home has sent it.
    sent: i32,
    holders: Vec<Holder>,
}

/// A party that holds a capability, and how often it was given it.
struct Holder {
    slot: usize,
    count: i32,
}

/// What one request leaves in isolates besides its calls.
#[derive(Default)]
struct Belongings {
    /// May name some that are gone.
    capabilities: Vec<CapabilityKey>,
    answers: Vec<CallKey>,
    /// Capabilities and answers that are not gone.
    alive: usize,
    /// Who has to be told when the request ends.
    parties: Vec<Party>,
}

impl Belongings {
    fn involve(&mut self, party: &Party) {
        if !self.parties.contains(party) {
            self.parties.push(party.clone());
        }
    }
}

/// The capabilities that stand for parts of one answer.
#[derive(Default)]
struct Promises {
    count: usize,
    /// The caller itself needs the answer no more.
    is_finished: bool,
}

/// By index of a party's own: its exports, and the calls whose answers are kept for it.
#[derive(Default)]
struct Names {
    exports: Vec<CapabilityKey>,
    exported: usize,
    questions: Vec<CallKey>,
}

/// A bound that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Isolate,
    Request,
}

/// The capabilities of one shard.
#[derive(Default)]
pub(super) struct CapabilityTable {
    capabilities: SlotMap<CapabilityKey, Capability>,
    roots: SecondaryMap<RootKey, Belongings>,
    /// Answers that capabilities stand for a part of.
    promises: SecondaryMap<CallKey, Promises>,
    /// By slot, of isolates.
    names: Vec<Names>,
    /// By slot, of those outside.
    names_outside: HashMap<usize, Names>,
    max_per_isolate: usize,
    max_per_request: usize,
}

/// What has to follow when a capability is gone.
pub(super) enum Gone {
    /// Its home may forget the export, which it has sent this many times.
    Export { home: Party, index: i32, sent: i32 },
    /// Nobody needs the answer of this call any more.
    Answer(CallKey),
}

/// What a request leaves behind at its end.
pub(super) struct Estate {
    pub(super) answers: Vec<CallKey>,
    pub(super) parties: Vec<Party>,
}

impl CapabilityTable {
    pub(super) fn new(max_per_isolate: usize, max_per_request: usize) -> Self {
        CapabilityTable {
            max_per_isolate,
            max_per_request,
            ..Self::default()
        }
    }

    fn names(&mut self, slot: usize) -> &mut Names {
        if slot >= OUTSIDE_SLOTS {
            return self.names_outside.entry(slot).or_default();
        }
        if self.names.len() <= slot {
            self.names.resize_with(slot + 1, Names::default);
        }
        // Just made long enough.
        #[allow(clippy::indexing_slicing)]
        &mut self.names[slot]
    }

    fn known_names(&self, slot: usize) -> Option<&Names> {
        match slot >= OUTSIDE_SLOTS {
            true => self.names_outside.get(&slot),
            false => self.names.get(slot),
        }
    }

    /// The capability that `key` names, unless it is gone.
    pub(super) fn get(&self, key: CapabilityKey) -> Option<&Capability> {
        self.capabilities.get(key)
    }

    /// How many capabilities and kept answers belong to `root`.
    pub(super) fn held_by(&self, root: RootKey) -> u32 {
        let belongings = self.roots.get(root);
        belongings.map_or(0, |one| u32::try_from(one.alive).unwrap_or(u32::MAX))
    }

    /// Remembers that `party` keeps something for `root`.
    pub(super) fn involve(&mut self, root: RootKey, party: &Party) {
        if let Some(entry) = self.roots.entry(root) {
            entry.or_default().involve(party);
        }
    }

    /// Counts one more thing that belongs to `root`; refuses past the bound.
    fn own(&mut self, root: RootKey) -> Result<&mut Belongings, Full> {
        let max = self.max_per_request;
        let entry = self.roots.entry(root).ok_or(Full::Request)?;
        let belongings = entry.or_default();
        if belongings.alive >= max {
            return Err(Full::Request);
        }
        belongings.alive += 1;
        Ok(belongings)
    }

    fn disown(&mut self, root: RootKey) {
        if let Some(belongings) = self.roots.get_mut(root) {
            belongings.alive = belongings.alive.saturating_sub(1);
        }
    }

    fn insert(
        &mut self,
        home: &Party,
        object: Object,
        root: RootKey,
    ) -> Result<CapabilityKey, Full> {
        self.own(root)?;
        let key = self.capabilities.insert(Capability {
            home: home.clone(),
            object,
            root,
            standing: Standing::Live,
            sent: 0,
            holders: Vec::new(),
        });
        let (capabilities, table) = (&mut self.capabilities, &mut self.roots);
        if let Some(belongings) = table.get_mut(root) {
            if belongings.capabilities.len() > 2 * belongings.alive + 16 {
                belongings
                    .capabilities
                    .retain(|key| capabilities.contains_key(*key));
            }
            belongings.capabilities.push(key);
        }
        Ok(key)
    }

    /// The capability of an isolate's export, which it sends now.
    pub(super) fn export(
        &mut self,
        home: &Party,
        index: i32,
        root: RootKey,
    ) -> Result<CapabilityKey, Full> {
        let place = usize::try_from(index).map_err(|_| Full::Isolate)?;
        let max = self.max_per_isolate;
        let names = self.names(home.slot());
        let known = names.exports.get(place).copied().unwrap_or_default();
        if let Some(capability) = self.capabilities.get_mut(known)
            && capability.root == root
        {
            capability.sent += 1;
            return Ok(known);
        }
        let names = self.names(home.slot());
        if names.exported >= max || place > 2 * max {
            return Err(Full::Isolate);
        }
        let key = self.insert(home, Object::Export(index), root)?;
        if let Some(capability) = self.capabilities.get_mut(key) {
            capability.sent = 1;
        }
        let names = self.names(home.slot());
        names.exported += 1;
        if names.exports.len() <= place {
            names.exports.resize(place + 1, CapabilityKey::null());
        }
        if let Some(name) = names.exports.get_mut(place) {
            *name = key;
        }
        Ok(key)
    }

    /// A capability for a part of the answer of `call`, which `home` keeps.
    pub(super) fn promise(
        &mut self,
        home: &Party,
        call: CallKey,
        path: Path,
        root: RootKey,
    ) -> Result<CapabilityKey, Full> {
        let key = self.insert(home, Object::Answer(call, path), root)?;
        if let Some(entry) = self.promises.entry(call) {
            entry.or_default().count += 1;
        }
        Ok(key)
    }

    /// Gives a capability to `receiver`: how it travels on the last part of its way.
    pub(super) fn hand_over(&mut self, key: CapabilityKey, receiver: &Party) -> Passed {
        let Some(capability) = self.capabilities.get_mut(key) else {
            return Passed::broken();
        };
        if capability.home == *receiver {
            return match capability.object {
                Object::Export(index) => Passed::Here(index),
                Object::Answer(call, path) => Passed::Answer(to_words(call), path),
            };
        }
        let holders = &mut capability.holders;
        match holders
            .iter_mut()
            .find(|holder| holder.slot == receiver.slot())
        {
            Some(holder) => holder.count += 1,
            None => holders.push(Holder {
                slot: receiver.slot(),
                count: 1,
            }),
        }
        Passed::Imported(to_words(key))
    }

    /// Takes `count` of what `slot` was given of a capability away again.
    pub(super) fn release(&mut self, key: CapabilityKey, slot: usize, count: i32) -> Option<Gone> {
        let capability = self.capabilities.get_mut(key)?;
        for holder in &mut capability.holders {
            if holder.slot == slot {
                holder.count = holder.count.saturating_sub(count);
            }
        }
        capability.holders.retain(|holder| holder.count > 0);
        self.let_go(key)
    }

    /// Drops a capability that nobody holds.
    pub(super) fn let_go(&mut self, key: CapabilityKey) -> Option<Gone> {
        if !self.capabilities.get(key)?.holders.is_empty() {
            return None;
        }
        let capability = self.remove(key)?;
        self.disown(capability.root);
        match capability.object {
            // Its home does not know it any more.
            Object::Export(_) if capability.standing == Standing::Lost => None,
            Object::Export(index) => Some(Gone::Export {
                home: capability.home,
                index,
                sent: capability.sent,
            }),
            Object::Answer(call, _) => {
                let promises = self.promises.get_mut(call)?;
                promises.count = promises.count.saturating_sub(1);
                if promises.count > 0 {
                    return None;
                }
                let promises = self.promises.remove(call)?;
                promises.is_finished.then_some(Gone::Answer(call))
            }
        }
    }

    fn remove(&mut self, key: CapabilityKey) -> Option<Capability> {
        let capability = self.capabilities.remove(key)?;
        if let Object::Export(index) = capability.object {
            let names = self.names(capability.home.slot());
            names.exported = names.exported.saturating_sub(1);
            let place = usize::try_from(index).ok();
            if let Some(name) = place.and_then(|place| names.exports.get_mut(place))
                && *name == key
            {
                *name = CapabilityKey::null();
            }
        }
        Some(capability)
    }

    /// Has the export with this index of an isolate serve no more.
    pub(super) fn revoke(&mut self, slot: usize, index: i32) {
        let known = usize::try_from(index).ok().and_then(|place| {
            let names = self.known_names(slot)?;
            names.exports.get(place).copied()
        });
        if let Some(capability) = known.and_then(|key| self.capabilities.get_mut(key)) {
            capability.standing = Standing::Revoked;
        }
    }

    /// The party in `slot` is gone or made anew: what it served is lost, what it held is released.
    pub(super) fn lose(&mut self, slot: usize) -> Vec<Gone> {
        let mut unheld = Vec::new();
        for (key, capability) in &mut self.capabilities {
            if capability.home.slot() == slot {
                capability.standing = Standing::Lost;
            }
            capability.holders.retain(|holder| holder.slot != slot);
            if capability.holders.is_empty() {
                unheld.push(key);
            }
        }
        if let Some(names) = self.names.get_mut(slot) {
            *names = Names::default();
        }
        self.names_outside.remove(&slot);
        let gone = unheld.into_iter();
        gone.filter_map(|key| self.let_go(key)).collect()
    }

    /// Names the call that `caller` may build on by its pending index, and remembers that both
    /// sides keep something for `root`.
    pub(super) fn keep(
        &mut self,
        caller: &Party,
        pending: i32,
        callee: &Party,
        call: CallKey,
        root: RootKey,
        calls: &CallTable,
    ) -> Result<(), Full> {
        let place = usize::try_from(pending).map_err(|_| Full::Request)?;
        let belongings = self.own(root)?;
        if belongings.answers.len() > 2 * belongings.alive + 16 {
            belongings.answers.retain(|key| calls.get(*key).is_some());
        }
        belongings.answers.push(call);
        belongings.involve(caller);
        belongings.involve(callee);
        let questions = &mut self.names(caller.slot()).questions;
        if questions.len() <= place {
            questions.resize(place + 1, CallKey::null());
        }
        if let Some(name) = questions.get_mut(place) {
            *name = call;
        }
        Ok(())
    }

    /// The call that a party names by its pending index; it may be gone.
    pub(super) fn question(&self, caller: &Party, pending: i32) -> Option<CallKey> {
        let place = usize::try_from(pending).ok()?;
        self.known_names(caller.slot())?
            .questions
            .get(place)
            .copied()
    }

    /// The caller needs the answer of a call of `root` no more; false if somebody else still does.
    pub(super) fn finish(&mut self, root: RootKey, call: CallKey) -> bool {
        self.disown(root);
        match self.promises.get_mut(call) {
            Some(promises) => {
                promises.is_finished = true;
                false
            }
            None => true,
        }
    }

    /// Ends what belongs to a root, which is over; `None` if that is nothing.
    pub(super) fn end(&mut self, root: RootKey) -> Option<Estate> {
        if self.roots.is_empty() {
            return None;
        }
        let belongings = self.roots.remove(root)?;
        for key in belongings.capabilities {
            self.remove(key);
        }
        for call in &belongings.answers {
            self.promises.remove(*call);
        }
        Some(Estate {
            answers: belongings.answers,
            parties: belongings.parties,
        })
    }

    /// Whoever keeps something for a root that is not over.
    pub(super) fn parties(&self) -> impl Iterator<Item = &Party> {
        self.roots
            .values()
            .flat_map(|belongings| &belongings.parties)
    }

    /// Whether nothing is held, for any root.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.capabilities.is_empty() && self.roots.is_empty() && self.promises.is_empty()
    }
}

/// The record that tells a party that a root is over.
pub(super) fn ended(root: RootKey) -> Record {
    Record {
        root: to_words(root),
        ..Record::bare(RecordKind::Ended)
    }
}
