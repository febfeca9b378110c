//! A shard's end of what is no isolate: clients that speak Cap'n Proto RPC, and native services.
//!
//! To the shard each of them is a [`Party`] like an isolate: it makes calls, serves those of the
//! objects that it gave, and holds capabilities. What comes in is an [`Ask`], what goes out is
//! [`Told`], over a channel. Clients are served on a thread of their own: none of the code that reads
//! what they send runs on a shard. Native services run on the shard's thread, as tasks; through the
//! channel they get what concerns them when the shard has done what it was about.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isolith_capnp::error_capnp::call_error::Kind;
use isolith_versions::BundleId;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use super::calls::{Answer, Call};
use super::party::Party;
use super::passing::{Awaited, Destination, Prefix, abandon};
use super::roots::{Asker, Request};
use super::{Pin, Shard};
use crate::error::CallError;
use crate::isolate::keys::{
    CallKey, CapabilityKey, RootKey, from_words, join, nested, split, to_words,
};
use crate::isolate::wire::{KEEP, Passed, Record, RecordKind, Target, To, WANTED};
use crate::isolate::{GateState, IsolateStats, Metrics, Segment, Segment0};
use crate::message::{Packet, recycle};
use crate::program::Program;

/// The slots of parties outside begin here: no shard has as many isolates.
pub(super) const OUTSIDE_SLOTS: usize = 1 << 40;

/// What a call from outside goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Callee {
    /// An export of one of the set's bundles, both by index.
    Export { bundle: usize, export: u16 },
    /// What the party was given.
    Object(CapabilityKey),
    /// A native service's import, by index.
    Import(usize),
}

/// A method, by the interface that declares it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Method {
    pub(crate) interface: u64,
    pub(crate) ordinal: u16,
}

/// What somebody outside asks of a shard.
pub(crate) enum Ask {
    /// A call. `id` is the party's own name for it, which is free again once it is answered.
    Call {
        id: i32,
        callee: Callee,
        method: Method,
        params: Packet,
        /// In whose name a native service calls, as the call that it serves has it.
        root: Option<(i32, i32)>,
    },
    /// The call of this name is given up.
    Cancel(i32),
    /// The results of a call that the party served, or the error in their place.
    Answer(CallKey, Result<Packet, CallError>),
    /// Of what it was given of a capability, so many are held no more.
    Drop(CapabilityKey, i32),
}

/// What a call to the outside goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Served {
    /// A native service's export, by its index.
    Export(usize),
    /// An object that the party gave, by its index.
    Object(i32),
    /// What these pointers lead to in the results of an earlier call.
    Answer(CallKey, i32),
}

/// What a shard tells somebody outside.
pub(crate) enum Told {
    /// The results of a call that it made, or the error in their place.
    Answered(i32, Result<Packet, CallError>),
    /// A call to serve.
    Call {
        key: CallKey,
        served: Served,
        method: Method,
        /// In whose name, and how deep.
        root: (i32, i32),
        params: Result<Packet, CallError>,
        /// The results are to be kept, and if they are not wanted at once, to wait.
        keep: bool,
        wanted: bool,
    },
    /// The results of a kept call are wanted.
    Pull(CallKey),
    /// The results of a call are needed no more, or a call is given up.
    Finish(CallKey),
    /// Nobody holds this object any more, which the party sent so many times.
    Dropped(i32, i32),
    /// This request is over, and with it what was given and kept for it. Only native services hear
    /// of it: to a session, its own end says so.
    Ended(RootKey),
    /// The session is over, for this reason.
    Over(CallError),
}

/// Who is outside.
enum Who {
    /// A session of a client, in whose name it calls.
    Client(RootKey),
    Native(Native),
}

/// A native service, as a shard counts it.
pub(super) struct Native {
    program: Arc<Program>,
    handled: Cell<u64>,
    failed: Cell<u64>,
    panicked: Cell<u64>,
    metrics: RefCell<Metrics>,
}

/// Somebody outside, as a shard sees them.
pub(crate) struct Outside {
    pub(super) slot: usize,
    who: Who,
    to_party: UnboundedSender<Told>,
    message_bytes: usize,
    /// What stands before the next message.
    prefix: RefCell<Prefix>,
    /// Why it is over, once it is.
    over: RefCell<Option<CallError>>,
    pub(crate) ended: Notify,
}

impl Outside {
    /// Ends the session: whatever it asks from now on fails with `error`.
    pub(crate) fn end(&self, error: CallError) {
        if self.over.borrow().is_some() {
            return;
        }
        self.over.replace(Some(error.clone()));
        self.tell(Told::Over(error));
        self.ended.notify_one();
    }

    fn tell(&self, told: Told) {
        // The party may be gone.
        let _ = self.to_party.send(told);
    }

    pub(super) fn pass(&self) -> Result<(), CallError> {
        match &*self.over.borrow() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    pub(super) fn fail(&self, id: i32, error: CallError) {
        drop(self.prefix.take());
        self.tell(Told::Answered(id, Err(error)));
    }

    pub(super) fn note(&self, record: &Record) {
        match record.kind {
            RecordKind::To => self.prefix.borrow_mut().to = To::of(record),
            RecordKind::Capability => self.prefix.borrow_mut().passed.extend(Passed::of(record)),
            RecordKind::Pull => self.tell(Told::Pull(from_words(record.id))),
            RecordKind::Finish | RecordKind::Cancel => {
                self.tell(Told::Finish(from_words(record.id)));
            }
            RecordKind::Drop => self.tell(Told::Dropped(record.id.0, record.target)),
            RecordKind::Ended if self.native().is_some() => {
                self.tell(Told::Ended(from_words(record.root)));
            }
            _ => {}
        }
    }

    /// Takes a message in: what moved is lent, the rest is copied out of the sender's memory.
    pub(super) fn receive(&self, record: &Record, segment0: &Segment0<'_>, moved: Vec<Segment>) {
        let Prefix { to, passed } = self.prefix.take();
        let packet = Packet::receive(segment0, moved, passed, self.message_bytes);
        match record.kind {
            RecordKind::Return | RecordKind::Answer => {
                self.tell(Told::Answered(record.id.0, packet));
            }
            _ => {
                let key = from_words(record.id);
                let Some((served, interface)) = self.served(record, to) else {
                    return;
                };
                let flags = match (record.kind, to) {
                    (RecordKind::Ask, _) => KEEP,
                    (RecordKind::AskWanted, _) => KEEP | WANTED,
                    (_, to) => to.map_or(0, |to| to.flags),
                };
                self.tell(Told::Call {
                    key,
                    served,
                    method: Method {
                        interface,
                        // The lower half of the word.
                        ordinal: record.target as u16,
                    },
                    root: record.root,
                    params: packet,
                    keep: flags & KEEP != 0,
                    wanted: flags & WANTED != 0,
                });
            }
        }
    }

    /// What a call goes to, and the interface that declares its method. A client is only called at
    /// what it gave.
    fn served(&self, record: &Record, to: Option<To>) -> Option<(Served, u64)> {
        let interface = to.map(|to| join(to.interface));
        let served = match to.map(|to| to.target) {
            Some(Target::Object((index, _))) => Served::Object(index),
            Some(Target::Answer(words, path)) => Served::Answer(from_words(words), path),
            Some(Target::Export) | None => {
                let exports = &self.native()?.program.facts.exports;
                let export = usize::try_from(record.target >> 16).ok()?;
                let own = exports.get(export)?.interface;
                return Some((Served::Export(export), interface.unwrap_or(own)));
            }
        };
        Some((served, interface?))
    }

    fn native(&self) -> Option<&Native> {
        match &self.who {
            Who::Client(_) => None,
            Who::Native(native) => Some(native),
        }
    }

    /// What it serves, if it is a service.
    pub(crate) fn program(&self) -> Option<&Arc<Program>> {
        self.native().map(|native| &native.program)
    }

    /// A method of a native service has panicked.
    pub(crate) fn count_panic(&self) {
        if let Some(native) = self.native() {
            native.panicked.set(native.panicked.get() + 1);
        }
    }

    pub(super) fn count(&self, failed: Option<Kind>, since: Option<Instant>) {
        let Some(native) = self.native() else { return };
        native.handled.set(native.handled.get() + 1);
        let mut metrics = native.metrics.borrow_mut();
        if let Some(kind) = failed {
            native.failed.set(native.failed.get() + 1);
            metrics.failed(kind);
        }
        if let Some(since) = since {
            metrics.took(since);
        }
    }

    /// What a native service did.
    pub(super) fn stats(&self) -> Option<IsolateStats> {
        let native = self.native()?;
        let metrics = native.metrics.borrow();
        Some(IsolateStats {
            digest: native.program.id().digest,
            heap_bytes: 0,
            external_bytes: 0,
            requests: native.handled.get(),
            errors: native.failed.get(),
            errors_by_kind: metrics.errors(),
            latency: metrics.latency().clone(),
            cpu: Duration::ZERO,
            ended: native.panicked.get(),
            gate: GateState::Open,
            is_loaded: true,
            idle_evictions: 0,
        })
    }
}

impl Shard {
    /// Makes `pin`'s root a session, which is told what concerns it through `to_session`.
    pub(crate) fn open_session(
        &self,
        pin: &Pin,
        to_session: UnboundedSender<Told>,
        message_bytes: usize,
    ) -> Rc<Outside> {
        let outside = self.outside(Who::Client(pin.root()), to_session, message_bytes);
        let asker = Asker::Outside(Rc::clone(&outside));
        self.roots.borrow_mut().set_asker(pin.root(), asker);
        outside
    }

    /// Takes in a native service, which is told what concerns it through `to_party`.
    pub(super) fn take_in(
        &self,
        program: Arc<Program>,
        to_party: UnboundedSender<Told>,
    ) -> Rc<Outside> {
        let native = Native {
            program,
            handled: Cell::default(),
            failed: Cell::default(),
            panicked: Cell::default(),
            metrics: RefCell::default(),
        };
        self.outside(Who::Native(native), to_party, self.limits.message_bytes)
    }

    fn outside(
        &self,
        who: Who,
        to_party: UnboundedSender<Told>,
        message_bytes: usize,
    ) -> Rc<Outside> {
        let slot = self.next_outside.get();
        self.next_outside.set(slot + 1);
        Rc::new(Outside {
            slot: OUTSIDE_SLOTS + slot,
            who,
            to_party,
            message_bytes,
            prefix: RefCell::default(),
            over: RefCell::default(),
            ended: Notify::new(),
        })
    }

    /// Does what somebody outside asks.
    pub(crate) fn ask(&self, outside: &Rc<Outside>, ask: Ask) {
        match ask {
            Ask::Call {
                id,
                callee,
                method,
                params,
                root,
            } => {
                let accepted = self.accept_from(outside, id, (callee, method), params, root);
                if let Err(error) = accepted {
                    outside.fail(id, error);
                }
            }
            Ask::Cancel(id) => {
                self.cancel(&outside.into(), id);
            }
            Ask::Answer(key, Ok(results)) => {
                self.settle_from(outside, key, results);
            }
            Ask::Answer(key, Err(error)) => self.fail_answer(outside, key, error),
            Ask::Drop(key, count) => self.drop_held(outside.slot, key, count),
        }
    }

    /// Whether calls of the session's root are under way.
    pub(crate) fn is_calling(&self, outside: &Outside) -> bool {
        let Who::Client(root) = outside.who else {
            return false;
        };
        let roots = self.roots.borrow();
        roots.get(root).is_some_and(|root| root.calls() > 0)
    }

    /// The session has lasted as long as it may.
    pub(crate) fn expire_session(&self, outside: &Outside, error: &CallError) {
        if let Who::Client(root) = outside.who {
            self.expire(root, Request::Open, error);
        }
    }

    /// Where a session begins: at an export of its pinned set, by the name of its service.
    pub(crate) fn exported(
        &self,
        pin: &Pin,
        service: &str,
        name: &str,
    ) -> Option<(Callee, BundleId)> {
        let set = self.set_of(pin).ok()?;
        let mut bundles = set.set.bundles().iter().enumerate();
        bundles.find_map(|(bundle, facts)| {
            let id = &facts.id;
            let mut exports = facts.exports.iter();
            let export = exports.position(|export| &*export.name == name)?;
            let export = u16::try_from(export).ok()?;
            (id.service.as_str() == service)
                .then(|| (Callee::Export { bundle, export }, id.clone()))
        })
    }

    /// The session's client is gone, or the session's time is over.
    pub(crate) fn end_session(&self, outside: &Rc<Outside>, error: CallError) {
        outside.end(error);
        let orphans = {
            let mut calls = self.calls.borrow_mut();
            calls.take(|call| call.caller == *outside)
        };
        for (key, call) in orphans {
            self.end_taken(key, &call);
            abandon(key, &call);
        }
        let reason = "the client outside that served the call is gone";
        let error = CallError::host(Kind::Disconnected, reason);
        let lost = {
            let mut calls = self.calls.borrow_mut();
            calls.take(|call| call.callee == *outside)
        };
        for (key, call) in lost {
            self.fail_taken(key, &call, &error);
        }
        self.lose_capabilities(&outside.into());
    }

    /// Accepts a call from outside, or says why not. P3: by the set that the root is pinned to, that
    /// of the session or of the call that a native service serves.
    ///
    /// # Errors
    /// Why it is not accepted; nothing else is said of the call then.
    pub(crate) fn accept_from(
        &self,
        outside: &Rc<Outside>,
        id: i32,
        (callee_named, method): (Callee, Method),
        mut params: Packet,
        words: Option<(i32, i32)>,
    ) -> Result<(), CallError> {
        if let Some(error) = &*outside.over.borrow() {
            return Err(error.clone());
        }
        let caller = Party::from(outside);
        let words = match outside.who {
            Who::Client(root) => to_words(root),
            Who::Native(_) => words.unwrap_or_default(),
        };
        self.not_too_deep(words)
            .map_err(|error| caller.blame(error))?;
        let key = from_words(words);
        let mut roots = self.roots.borrow_mut();
        let root = self.active(&mut roots, key)?;
        if let Who::Client(_) = outside.who {
            // What a request is for HTTP is a call here: each has a budget of its own.
            for isolate in root.set.isolates() {
                isolate.usage.borrow_mut().forget(key);
            }
        }
        let (import, target) = match callee_named {
            Callee::Export { bundle, export } => {
                let member = root.set.member(bundle);
                let import = member.map(|member| (member.clone(), i32::from(export)));
                (import, Target::Export)
            }
            Callee::Import(import) => {
                let target = root.set.target(outside.slot, import);
                let import = target.map(|to| (to.callee.clone(), i32::from(to.export)));
                (import, Target::Export)
            }
            Callee::Object(key) => (None, Target::Object(to_words(key))),
        };
        let to = To {
            target,
            interface: split(method.interface),
            flags: 0,
        };
        let Destination { callee, export, to } =
            self.destination(&caller, &roots, key, import, to)?;
        self.let_in(&callee)?;
        let call = self.begin(Call {
            caller: caller.clone(),
            pending: id,
            callee: callee.clone(),
            root: key,
            since: self.sampled(Answer::Once),
            answer: Answer::Once,
        })?;
        self.remember(call, (&caller, id, key), &callee, Answer::Once)?;
        self.put_prefix(call, key, (&caller, &callee), to, &params.caps)?;
        if let Some(root) = roots.get_mut(key) {
            root.begin_call(self.now.get());
            if let Callee::Import(import) = callee_named
                && let (Some(trace), Some(traced)) = (&self.trace, root.traced())
                && let (Some(caller), Some(callee)) = (outside.program(), callee.facts())
            {
                let set = root.set.set.digest();
                trace.call(traced, set, &caller.facts, import, callee);
            }
        }
        let record = Record {
            id: to_words(call),
            target: (export << 16) | i32::from(method.ordinal),
            root: nested(words),
            ..Record::bare(RecordKind::CallTo)
        };
        let (segment0, moved) = params.send(self.limits.move_threshold_bytes);
        callee.receive(record, segment0, moved);
        recycle(params.segments);
        Ok(())
    }

    /// Hands the results of a call that was served outside to whoever waits for them. False if nobody
    /// does: the results, and what was given with them, stay where they were.
    pub(crate) fn settle_from(
        &self,
        outside: &Rc<Outside>,
        key: CallKey,
        mut results: Packet,
    ) -> bool {
        let Some((kind, awaited)) = self.settled(key, outside, None) else {
            return false;
        };
        let Awaited {
            caller,
            pending,
            root,
        } = awaited;
        let prefix = Prefix {
            to: None,
            passed: std::mem::take(&mut results.caps),
        };
        if !prefix.passed.is_empty()
            && let Err(error) = self.pass_results(&outside.into(), &caller, root, prefix)
        {
            caller.fail(pending, error);
            return true;
        }
        let record = Record {
            id: (pending, 0),
            root: to_words(root),
            ..Record::bare(kind)
        };
        let (segment0, moved) = results.send(self.limits.move_threshold_bytes);
        caller.receive(record, segment0, moved);
        recycle(results.segments);
        true
    }
}
