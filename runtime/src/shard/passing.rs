//! How capabilities and pipelined calls pass through a shard.
//!
//! What goes beside plain calls comes as prefix records (see [`To`], [`Passed`]) before the record
//! that they belong to. The shard turns the names that the sender uses into those of the receiver,
//! and puts prefixes into the receiver's mail before the record itself.

use std::rc::Rc;

use isolith_capnp::error_capnp::call_error::Kind;
use isolith_versions::LeaseKind;
use slotmap::Key;

use super::Shard;
use super::bound;
use super::calls::{Answer, Call};
use super::capabilities::{Estate, Full, Gone, Object, Standing, ended};
use super::party::Party;
use super::roots::{RootState, RootTable};
use crate::error::CallError;
use crate::isolate::keys::{CallKey, CapabilityKey, RootKey, from_words, nested, to_words};
use crate::isolate::wire::{Passed, Record, RecordKind, Target, Then, To};
use crate::isolate::{Isolate, Segment0};

/// The prefixes of the next record of the isolate whose records are collected.
#[derive(Default)]
pub(super) struct Prefix {
    pub(super) to: Option<To>,
    pub(super) passed: Vec<Passed>,
}

/// Where an accepted call goes.
pub(super) struct Destination {
    pub(super) callee: Party,
    /// The export in the upper half, if the call goes to one.
    pub(super) export: i32,
    pub(super) to: Option<To>,
}

impl Destination {
    /// The destination of a call of an import.
    pub(super) fn export(import: Option<(Party, i32)>) -> Result<Self, CallError> {
        let (callee, export) = import.ok_or_else(|| {
            CallError::host(
                Kind::PinnedVersionGone,
                "the version set of this request has no such edge",
            )
        })?;
        Ok(Destination {
            callee,
            export,
            to: None,
        })
    }
}

impl To {
    /// What is to become of the results.
    pub(super) fn answer(&self) -> Answer {
        Answer::of_flags(self.flags)
    }
}

/// Who waits for the results of a call.
pub(super) struct Awaited {
    pub(super) caller: Party,
    pub(super) pending: i32,
    pub(super) root: RootKey,
}

impl Awaited {
    pub(super) fn of(call: &Call) -> Self {
        Awaited {
            caller: call.caller.clone(),
            pending: call.pending,
            root: call.root,
        }
    }
}

impl Shard {
    /// What stood before the record that is collected now; `None` before a plain one.
    pub(super) fn take_prefix(&self) -> Option<Prefix> {
        match self.has_prefix.replace(false) {
            true => Some(self.prefix.take()),
            false => None,
        }
    }

    /// Takes a record that carries no message.
    pub(super) fn collect_bare(&self, isolate: &Rc<Isolate>, record: &Record) {
        match record.kind {
            RecordKind::To => {
                self.prefix.borrow_mut().to = To::of(record);
                self.has_prefix.set(true);
            }
            RecordKind::Capability => {
                self.prefix.borrow_mut().passed.extend(Passed::of(record));
                self.has_prefix.set(true);
            }
            RecordKind::Pull => self.pull(&isolate.into(), record.id.0, from_words(record.root)),
            RecordKind::Finish => self.finish(&isolate.into(), record.id.0),
            RecordKind::Drop => {
                self.drop_held(isolate.slot, from_words(record.id), record.target);
            }
            RecordKind::Revoke => self
                .capabilities
                .borrow_mut()
                .revoke(isolate.slot, record.id.0),
            RecordKind::Cancel => self.cancel(&isolate.into(), record.id.0),
            _ => {}
        }
    }

    /// The party in `slot` holds a capability so many times less.
    pub(super) fn drop_held(&self, slot: usize, key: CapabilityKey, count: i32) {
        let gone = self.capabilities.borrow_mut().release(key, slot, count);
        self.after_gone(gone);
    }

    /// Where a call that is addressed by a prefix goes. P3, P4.
    pub(super) fn destination(
        &self,
        caller: &Party,
        roots: &RootTable,
        root: RootKey,
        import: Option<(Party, i32)>,
        to: To,
    ) -> Result<Destination, CallError> {
        let (callee, export, target) = match to.target {
            Target::Export => {
                let Destination { callee, export, .. } = Destination::export(import)?;
                (callee, export, Target::Export)
            }
            Target::Object(words) => {
                let table = self.capabilities.borrow();
                let capability = table.get(from_words(words)).ok_or_else(broken)?;
                usable(roots, root, capability.root)?;
                match capability.standing {
                    Standing::Live => {}
                    Standing::Revoked => {
                        let reason = "the capability was revoked by the service that it came from";
                        return Err(capability
                            .home
                            .blame(CallError::host(Kind::Revoked, reason)));
                    }
                    Standing::Lost => return Err(lost(&capability.home)),
                }
                let target = match capability.object {
                    Object::Export(index) => Target::Object((index, 0)),
                    Object::Answer(call, path) => Target::Answer(to_words(call), path),
                };
                (capability.home.clone(), 0, target)
            }
            Target::Answer((pending, _), path) => {
                let (key, callee, owner) = self.question(caller, pending).ok_or_else(broken)?;
                usable(roots, root, owner)?;
                (callee, 0, Target::Answer(to_words(key), path))
            }
        };
        Ok(Destination {
            callee,
            export,
            to: Some(To { target, ..to }),
        })
    }

    /// Accepts a call that is one [`RecordKind::Then`] record, or says why not. P3, P4.
    pub(super) fn accept_then(
        &self,
        caller: &Rc<Isolate>,
        record: &Record,
        root: RootKey,
    ) -> Result<(), CallError> {
        let then = Then::of(record);
        let mut roots = self.roots.borrow_mut();
        let active = self.active(&mut roots, root).map(|_| ());
        active.map_err(|error| error.overload_in(caller.program.id()))?;
        self.nest(caller, record)?;
        let caller = Party::from(caller);
        let (on, callee, owner) = self.question(&caller, then.on).ok_or_else(broken)?;
        usable(&roots, root, owner)?;
        self.let_in(&callee)?;
        let answer = Answer::of_flags(then.flags);
        let key = self.begin(Call {
            caller: caller.clone(),
            pending: record.id.0,
            callee: callee.clone(),
            root,
            since: self.sampled(answer),
            answer,
        })?;
        // Of a call of their own root, both sides have kept something already.
        if answer != Answer::Once || root != owner {
            self.remember(key, (&caller, record.id.0, root), &callee, answer)?;
        }
        if answer != Answer::Open
            && let Some(root) = roots.get_mut(root)
        {
            root.begin_call(self.now.get());
        }
        let incoming = Record {
            id: to_words(key),
            root: nested(record.root),
            ..*record
        };
        match callee {
            Party::Isolate(callee) => callee.tell(Record {
                offset: to_words(on).0,
                ..incoming
            }),
            // For a client it is a call like any other.
            Party::Outside(callee) => {
                callee.note(&then.to(to_words(on)).record());
                callee.receive(
                    &Record {
                        kind: RecordKind::CallTo,
                        ..incoming
                    },
                    &Segment0::Small(&[0; 8]),
                    Vec::new(),
                );
            }
        }
        Ok(())
    }

    /// The kept call that `caller` names by its pending index, with its callee and its root.
    fn question(&self, caller: &Party, pending: i32) -> Option<(CallKey, Party, RootKey)> {
        let key = self.capabilities.borrow().question(caller, pending)?;
        let calls = self.calls.borrow();
        let call = calls.get(key)?;
        (call.pending == pending && call.caller == *caller)
            .then(|| (key, call.callee.clone(), call.root))
    }

    /// Puts what stands before an accepted call into its callee's mail. On an error, the call is
    /// gone.
    pub(super) fn put_prefix(
        &self,
        key: CallKey,
        root: RootKey,
        (caller, callee): (&Party, &Party),
        to: Option<To>,
        passed: &[Passed],
    ) -> Result<(), CallError> {
        let passed = self.pass(caller, callee, root, passed);
        match (&passed, to) {
            (Err(_), _) => drop(self.calls.borrow_mut().remove(key)),
            (Ok(()), Some(to)) => callee.note(to.record()),
            (Ok(()), None) => {}
        }
        passed
    }

    /// Has both sides of an accepted call remember what they keep for its root. On an error, the
    /// call is gone.
    pub(super) fn remember(
        &self,
        key: CallKey,
        (caller, pending, root): (&Party, i32, RootKey),
        callee: &Party,
        answer: Answer,
    ) -> Result<(), CallError> {
        let mut table = self.capabilities.borrow_mut();
        if answer == Answer::Once {
            table.involve(root, caller);
            table.involve(root, callee);
            return Ok(());
        }
        let kept = table.keep(caller, pending, callee, key, root, &self.calls.borrow());
        kept.map_err(|full| {
            self.calls.borrow_mut().remove(key);
            self.full(full, caller)
        })
    }

    /// Puts the capabilities of a message into `receiver`'s mail, as that names them.
    pub(super) fn pass(
        &self,
        sender: &Party,
        receiver: &Party,
        root: RootKey,
        passed: &[Passed],
    ) -> Result<(), CallError> {
        if passed.is_empty() {
            return Ok(());
        }
        let mut table = self.capabilities.borrow_mut();
        table.involve(root, sender);
        table.involve(root, receiver);
        let mut records = Vec::with_capacity(passed.len());
        for one in passed {
            let key = match *one {
                Passed::Here(index) => table
                    .export(sender, index, root)
                    .map_err(|full| self.full(full, sender))?,
                Passed::Imported(words) => from_words(words),
                Passed::Answer((pending, _), path) => {
                    drop(table);
                    let question = self.question(sender, pending);
                    table = self.capabilities.borrow_mut();
                    match question {
                        Some((call, callee, _)) if callee == *receiver => {
                            records.push(Passed::Answer(to_words(call), path));
                            continue;
                        }
                        Some((call, callee, _)) => table
                            .promise(&callee, call, path, root)
                            .map_err(|full| self.full(full, &callee))?,
                        None => CapabilityKey::null(),
                    }
                }
            };
            records.push(table.hand_over(key, receiver));
            // An isolate that sends itself an object needs nobody to hold it.
            let gone = table.let_go(key);
            debug_assert!(!matches!(gone, Some(Gone::Answer(_))));
        }
        drop(table);
        for one in records {
            receiver.note(one.record());
        }
        Ok(())
    }

    /// [`pass`](Self::pass) for results: the root may be over by now, and its capabilities with it.
    pub(super) fn pass_results(
        &self,
        sender: &Party,
        receiver: &Party,
        root: RootKey,
        prefix: Prefix,
    ) -> Result<(), CallError> {
        if self.is_active(root) {
            return self.pass(sender, receiver, root, &prefix.passed);
        }
        sender.note(ended(root));
        for _ in prefix.passed {
            receiver.note(Passed::broken().record());
        }
        receiver.note(ended(root));
        Ok(())
    }

    fn full(&self, full: Full, of: &Party) -> CallError {
        let error = match full {
            Full::Isolate => bound(
                "capabilities_per_isolate",
                self.limits.capabilities_per_isolate,
                "dispose of stubs that are not needed: `using stub = ...`",
            ),
            Full::Request => bound(
                "capabilities_per_request",
                self.limits.capabilities_per_request,
                "dispose of stubs that are not needed: `using stub = ...`",
            ),
        };
        of.blame(error)
    }

    /// Says who gets the results of a call that `callee` served, or the error in their place, and as
    /// what. `None` if nobody does.
    #[inline]
    pub(super) fn settled<P>(
        &self,
        key: CallKey,
        callee: &P,
        failed: Option<Kind>,
    ) -> Option<(RecordKind, Awaited)>
    where
        Party: PartialEq<P>,
    {
        let settled = self.calls.borrow_mut().settle(key, callee);
        if let Some(call) = settled {
            call.callee.count(failed, call.since);
            self.end_call(&call);
            return Some((RecordKind::Return, Awaited::of(&call)));
        }
        let awaited = self.settle_kept(key, callee, failed)?;
        Some((RecordKind::Answer, awaited))
    }

    /// Says who gets the results of a kept call, or the error in their place.
    ///
    /// The call stays, so that it can be built on, until the caller has seen them.
    fn settle_kept<P>(&self, key: CallKey, callee: &P, failed: Option<Kind>) -> Option<Awaited>
    where
        Party: PartialEq<P>,
    {
        let mut calls = self.calls.borrow_mut();
        let call = calls.get_mut(key)?;
        let before = call.answer;
        if call.callee != *callee || !matches!(before, Answer::Open | Answer::Wanted) {
            return None;
        }
        call.answer = Answer::Sent;
        let awaited = Awaited::of(call);
        call.callee.count(failed, None);
        drop(calls);
        if before == Answer::Wanted {
            self.release(awaited.root, LeaseKind::Call);
        }
        // The caller may have given up what others still need.
        (awaited.pending >= 0).then_some(awaited)
    }

    /// The caller wants the results of a kept call.
    fn pull(&self, caller: &Party, pending: i32, root: RootKey) {
        let Some((key, callee, owner)) = self.question(caller, pending) else {
            // The end of the root took the answer, and leaves what is asked for to this.
            if !self.is_active(root) {
                caller.tell(finished(pending, root));
            }
            return;
        };
        let root = owner;
        let mut calls = self.calls.borrow_mut();
        let mut roots = self.roots.borrow_mut();
        let (Some(call), Some(pulling)) = (calls.get_mut(key), roots.get_mut(root)) else {
            return;
        };
        if call.answer != Answer::Open {
            return;
        }
        call.answer = Answer::Wanted;
        pulling.begin_call(self.now.get());
        callee.tell(Record {
            id: to_words(key),
            root: to_words(root),
            ..Record::bare(RecordKind::Pull)
        });
    }

    /// The caller needs the answer of a kept call no more.
    fn finish(&self, caller: &Party, pending: i32) {
        let Some((key, _, root)) = self.question(caller, pending) else {
            return;
        };
        let answer = self.calls.borrow().get(key).map(|call| call.answer);
        if answer != Some(Answer::Sent) {
            // Nothing else will tell the caller that the index is free again.
            caller.note(finished(pending, root));
        }
        if self.capabilities.borrow_mut().finish(root, key) {
            self.forget_answer(key);
        } else if let Some(call) = self.calls.borrow_mut().get_mut(key) {
            // The index may be used again; the answer lives on for others.
            call.pending = -1;
        }
    }

    /// Drops a kept answer; a call that may still be under way is given up.
    fn forget_answer(&self, key: CallKey) {
        let Some(call) = self.calls.borrow_mut().remove(key) else {
            return;
        };
        let record = Record {
            id: to_words(key),
            target: 1,
            root: to_words(call.root),
            ..Record::bare(RecordKind::Finish)
        };
        match call.answer {
            Answer::Sent => call.callee.note(record),
            _ => call.callee.tell(record),
        }
        self.drop_answer(&call);
    }

    /// Does what follows when a kept answer is dropped.
    fn drop_answer(&self, call: &Call) {
        if call.answer == Answer::Open {
            // Nobody has heard how it ended, so it ended well.
            call.callee.count(None, None);
        }
        self.end_call(call);
    }

    /// The caller gives a call up: nobody waits for it any more.
    pub(super) fn cancel(&self, caller: &Party, pending: i32) {
        let Some(key) = self.calls.borrow().find(caller, pending) else {
            return;
        };
        let Some(call) = self.calls.borrow_mut().remove(key) else {
            return;
        };
        self.end_taken(key, &call);
        abandon(key, &call);
        let reason = "the caller has given the call up";
        call.caller
            .fail(pending, CallError::host(Kind::Cancelled, reason));
    }

    /// Does what follows when a capability is gone.
    fn after_gone(&self, gone: Option<Gone>) {
        match gone {
            Some(Gone::Export { home, index, sent }) => home.tell(Record {
                id: (index, 0),
                target: sent,
                ..Record::bare(RecordKind::Drop)
            }),
            Some(Gone::Answer(call)) => self.forget_answer(call),
            None => {}
        }
    }

    /// P4: ends what a root has left in isolates, once the root is over.
    pub(super) fn end_belongings(&self, root: RootKey) {
        let Some(Estate { answers, parties }) = self.capabilities.borrow_mut().end(root) else {
            return;
        };
        for key in answers {
            let call = {
                let mut calls = self.calls.borrow_mut();
                match calls.get(key) {
                    // Somebody waits for it, as for any call.
                    Some(call) if call.answer == Answer::Wanted => None,
                    _ => calls.remove(key),
                }
            };
            if let Some(call) = call {
                self.drop_answer(&call);
            }
        }
        for party in parties {
            party.note(ended(root));
        }
    }

    /// P4, P8: does what follows when a hold on a root was released.
    pub(super) fn after_release(&self, key: RootKey) {
        let calls = match self.roots.borrow().get(key) {
            Some(root) if root.state == RootState::Active => return,
            Some(root) => root.calls(),
            None => 0,
        };
        self.end_belongings(key);
        if calls > 0 {
            self.cancel_abandoned(key);
        }
    }

    /// What an isolate posted could not be taken: tells it if the reason is that the root is over,
    /// for it may keep something for that root.
    pub(super) fn refuse_belongings(&self, isolate: &Rc<Isolate>, record: &Record) {
        let root = from_words(record.root);
        if !self.is_active(root) {
            isolate.note(ended(root));
        }
    }

    fn is_active(&self, root: RootKey) -> bool {
        let roots = self.roots.borrow();
        roots
            .get(root)
            .is_some_and(|root| root.state == RootState::Active)
    }

    /// The party is gone or made anew: what it served is lost, what it held is released.
    pub(super) fn lose_capabilities(&self, party: &Party) {
        let gone = self.capabilities.borrow_mut().lose(party.slot());
        for one in gone {
            self.after_gone(Some(one));
        }
        let keys: Vec<CallKey> = {
            let calls = self.calls.borrow();
            let concerned = |call: &Call| call.callee == *party || call.caller == *party;
            let sent = calls.iter().filter(|(_, call)| call.answer == Answer::Sent);
            sent.filter(|(_, call)| concerned(call))
                .map(|(key, _)| key)
                .collect()
        };
        for key in keys {
            let Some(call) = self.calls.borrow_mut().remove(key) else {
                continue;
            };
            self.capabilities.borrow_mut().finish(call.root, key);
            if call.caller == *party {
                abandon(key, &call);
            }
        }
    }

    /// Tells the callees of a root's calls that nobody waits any more.
    pub(super) fn cancel_abandoned(&self, root: RootKey) {
        for (key, call) in self.calls.borrow().iter() {
            if call.root == root {
                tell_cancelled(&call.callee, key);
            }
        }
    }
}

/// The record that tells a caller that the index of a kept call of `root` is free again.
fn finished(pending: i32, root: RootKey) -> Record {
    Record {
        id: (pending, 0),
        root: to_words(root),
        ..Record::bare(RecordKind::Finish)
    }
}

/// Tells the callee of a call that was taken out of the table that nobody waits for it.
pub(super) fn abandon(key: CallKey, call: &Call) {
    match call.answer {
        Answer::Once => tell_cancelled(&call.callee, key),
        _ => call.callee.tell(Record {
            id: to_words(key),
            target: 1,
            root: to_words(call.root),
            ..Record::bare(RecordKind::Finish)
        }),
    }
}

/// Aborts the signal of the handler of a call.
pub(super) fn tell_cancelled(callee: &Party, key: CallKey) {
    callee.tell(Record {
        id: to_words(key),
        ..Record::bare(RecordKind::Cancel)
    });
}

/// P4: a call in the name of `user` may use what belongs to `owner` if both are pinned to one set
/// and neither is over.
fn usable(roots: &RootTable, user: RootKey, owner: RootKey) -> Result<(), CallError> {
    if user == owner {
        return Ok(());
    }
    let (Some(user), Some(owner)) = (roots.get(user), roots.get(owner)) else {
        return Err(broken());
    };
    if owner.state != RootState::Active {
        return Err(broken());
    }
    if !Rc::ptr_eq(&user.set, &owner.set) {
        return Err(CallError::host(
            Kind::OtherVersionSet,
            format!(
                "the capability belongs to a request that is pinned to version set {}, this one \
                 is pinned to {}; ask the service for one of this request's own",
                owner.set.set.digest().short(),
                user.set.set.digest().short(),
            ),
        ));
    }
    Ok(())
}

fn lost(home: &Party) -> CallError {
    let reason = match home {
        Party::Isolate(_) => {
            "the isolate that served the capability was replaced; ask its service for a new one"
        }
        Party::Outside(_) => "the client outside that served the capability is gone",
    };
    home.blame(CallError::host(Kind::Disconnected, reason))
}

fn broken() -> CallError {
    CallError::host(
        Kind::RequestEnded,
        "the capability belongs to a request that has ended, or was disposed of; stubs are of use \
         only while their request runs",
    )
}
