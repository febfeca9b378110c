//! A shard's end of what is outside of it: clients that speak Cap'n Proto RPC.
//!
//! Clients are served on a thread of their own, and the two sides exchange values over channels:
//! what comes in is an [`Ask`], what goes out is [`Told`]. So none of the code that reads what a
//! client sends runs on a shard. To the shard a session is a [`Party`] like an isolate: it makes
//! calls, serves those of the objects that it gave, and holds capabilities.

use std::cell::RefCell;
use std::rc::Rc;

use capnp::Word;
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
use crate::isolate::keys::{CallKey, CapabilityKey, RootKey, from_words, to_words};
use crate::isolate::wire::{KEEP, Passed, Record, RecordKind, Target, To, WANTED};
use crate::isolate::{Segment, Segment0};

/// The slots of parties outside begin here: no shard has as many isolates.
pub(super) const OUTSIDE_SLOTS: usize = 1 << 40;

/// A message for a shard, in one segment, with its table of capabilities.
pub(crate) struct Packet {
    pub(crate) words: Vec<Word>,
    /// `Here` is an object of the session's, by its index; `Imported` one that it was given.
    pub(crate) caps: Vec<Passed>,
}

/// A message from a shard. Each segment is whole words.
pub(crate) struct Parcel {
    pub(crate) segments: Vec<Vec<Word>>,
    /// `Here` is an object of the session's that came home, by its index; `Imported` one of an
    /// isolate, whose key counts as given once more; `Answer` a part of what the session answered.
    pub(crate) caps: Vec<Passed>,
}

/// What a call from outside goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Callee {
    /// An export of one of the set's bundles, both by index.
    Export { bundle: usize, export: u16 },
    /// What the session was given.
    Object(CapabilityKey),
}

/// A method, by the interface that declares it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Method {
    pub(crate) interface: u64,
    pub(crate) ordinal: u16,
}

/// What a session asks of its shard.
pub(crate) enum Ask {
    /// A call. `id` is the session's own name for it, which is free again once it is answered.
    Call {
        id: i32,
        callee: Callee,
        method: Method,
        params: Packet,
    },
    /// The call of this name is given up.
    Cancel(i32),
    /// The results of a call that the session served, or the error in their place.
    Answer(CallKey, Result<Packet, CallError>),
    /// Of what it was given of a capability, so many are held no more.
    Drop(CapabilityKey, i32),
}

/// What a call to the outside goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Served {
    /// An object that the session gave, by its index.
    Object(i32),
    /// What these pointers lead to in the results of an earlier call.
    Answer(CallKey, i32),
}

/// What a shard tells a session.
pub(crate) enum Told {
    /// The results of a call that it made, or the error in their place.
    Answered(i32, Result<Parcel, CallError>),
    /// A call to serve.
    Call {
        key: CallKey,
        served: Served,
        method: Method,
        params: Result<Parcel, CallError>,
        /// The results are to be kept, and if they are not wanted at once, to wait.
        keep: bool,
        wanted: bool,
    },
    /// The results of a kept call are wanted.
    Pull(CallKey),
    /// The results of a call are needed no more, or a call is given up.
    Finish(CallKey),
    /// Nobody holds this object any more, which the session sent so many times.
    Dropped(i32, i32),
    /// The session is over, for this reason.
    Over(CallError),
}

/// A session of a client, as its shard sees it.
pub(crate) struct Outside {
    pub(super) slot: usize,
    /// In whose name it calls.
    root: RootKey,
    to_session: UnboundedSender<Told>,
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
        // The session may be gone.
        let _ = self.to_session.send(told);
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
            // What belongs to a request is dropped with it, here too.
            _ => {}
        }
    }

    /// Copies a message out, for the session's thread.
    pub(super) fn receive(&self, record: &Record, segment0: &Segment0<'_>, moved: &[Segment]) {
        let Prefix { to, passed } = self.prefix.take();
        let parcel = self.parcel(segment0, moved, passed);
        match record.kind {
            RecordKind::Return | RecordKind::Answer => {
                self.tell(Told::Answered(record.id.0, parcel));
            }
            _ => {
                let key = from_words(record.id);
                // Only what it gave is called, and that by such a record.
                let Some(to) = to else { return };
                let served = match to.target {
                    Target::Object((index, _)) => Served::Object(index),
                    Target::Answer(words, path) => Served::Answer(from_words(words), path),
                    Target::Export => return,
                };
                self.tell(Told::Call {
                    key,
                    served,
                    method: Method {
                        interface: from_halves(to.interface),
                        // The lower half of the word.
                        ordinal: record.target as u16,
                    },
                    params: parcel,
                    keep: to.flags & KEEP != 0,
                    wanted: to.flags & WANTED != 0,
                });
            }
        }
    }

    fn parcel(
        &self,
        segment0: &Segment0<'_>,
        moved: &[Segment],
        caps: Vec<Passed>,
    ) -> Result<Parcel, CallError> {
        let mut segments = Vec::with_capacity(moved.len() + 1);
        let mut moved = moved.iter();
        let mut left = self.message_bytes;
        let mut add = |bytes: &[u8]| {
            left = left
                .checked_sub(bytes.len())
                .ok_or_else(|| too_large(self.message_bytes))?;
            segments.push(words_of(bytes));
            Ok::<_, CallError>(())
        };
        match segment0 {
            Segment0::Small(bytes) => add(bytes)?,
            Segment0::Moved(length) => {
                let first = moved.next().ok_or_else(malformed)?;
                let length = usize::try_from(*length).map_err(|_| malformed())?;
                let begin = first.base as usize;
                let end = begin.checked_add(length).ok_or_else(malformed)?;
                first
                    .with_bytes(begin, end, &mut add)
                    .ok_or_else(malformed)??;
            }
        }
        for segment in moved {
            let (begin, end) = (segment.base as usize, segment.end as usize);
            segment
                .with_bytes(begin, end, &mut add)
                .ok_or_else(malformed)??;
        }
        Ok(Parcel { segments, caps })
    }
}

/// Whole words with these bytes in front.
fn words_of(bytes: &[u8]) -> Vec<Word> {
    let mut words = Word::allocate_zeroed_vec(bytes.len().div_ceil(8));
    let room = Word::words_to_bytes_mut(&mut words);
    if let Some(room) = room.get_mut(..bytes.len()) {
        room.copy_from_slice(bytes);
    }
    words
}

fn malformed() -> CallError {
    CallError::host(Kind::BadMessage, "the message is not whole")
}

/// A message between a service and the outside that is too large.
pub(crate) fn too_large(message_bytes: usize) -> CallError {
    let text = format!("the message is larger than message_bytes ({message_bytes}) under [rpc]");
    CallError::host(Kind::TooLarge, text)
}

fn from_halves((low, high): (i32, i32)) -> u64 {
    u64::from(low as u32) | (u64::from(high as u32) << 32)
}

fn to_halves(id: u64) -> (i32, i32) {
    (id as u32 as i32, (id >> 32) as u32 as i32)
}

impl Packet {
    fn segment0(&mut self, move_threshold_bytes: usize) -> (Segment0<'_>, Vec<Segment>) {
        let bytes = self.words.len() * 8;
        if bytes <= move_threshold_bytes {
            return (
                Segment0::Small(Word::words_to_bytes(&self.words)),
                Vec::new(),
            );
        }
        let words = std::mem::take(&mut self.words);
        // Bounded far below by `message_bytes`.
        let length = i32::try_from(bytes).unwrap_or(i32::MAX);
        (Segment0::Moved(length), vec![Segment::of_words(words)])
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
        let slot = self.next_outside.get();
        self.next_outside.set(slot + 1);
        let outside = Rc::new(Outside {
            slot: OUTSIDE_SLOTS + slot,
            root: pin.root(),
            to_session,
            message_bytes,
            prefix: RefCell::default(),
            over: RefCell::default(),
            ended: Notify::new(),
        });
        let asker = Asker::Outside(Rc::clone(&outside));
        self.roots.borrow_mut().set_asker(pin.root(), asker);
        outside
    }

    /// Does what a session asks.
    pub(crate) fn ask(&self, outside: &Rc<Outside>, ask: Ask) {
        match ask {
            Ask::Call {
                id,
                callee,
                method,
                params,
            } => {
                if let Err(error) = self.accept_from(outside, id, callee, method, params) {
                    outside.fail(id, error);
                }
            }
            Ask::Cancel(id) => {
                self.cancel(&outside.into(), id);
            }
            Ask::Answer(key, Ok(results)) => self.settle_from(outside, key, results),
            Ask::Answer(key, Err(error)) => self.fail_answer(outside, key, error),
            Ask::Drop(key, count) => self.drop_held(outside.slot, key, count),
        }
    }

    /// Whether calls of the session's root are under way.
    pub(crate) fn is_calling(&self, outside: &Outside) -> bool {
        let roots = self.roots.borrow();
        roots.get(outside.root).is_some_and(|root| root.calls() > 0)
    }

    /// The session has lasted as long as it may.
    pub(crate) fn expire_session(&self, outside: &Outside, error: &CallError) {
        self.expire(outside.root, Request::Open, error);
    }

    /// Where a session begins: at an export of its pinned set, by the name of its service.
    pub(crate) fn exported(
        &self,
        pin: &Pin,
        service: &str,
        name: &str,
    ) -> Option<(Callee, BundleId)> {
        let set = self.set_of(pin).ok()?;
        let mut isolates = set.isolates().iter().enumerate();
        isolates.find_map(|(bundle, isolate)| {
            let id = isolate.program.id();
            let mut exports = isolate.program.facts.exports.iter();
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

    /// Accepts a call from outside, or says why not. P3: in the name of the session's root, and so
    /// by the set that this is pinned to.
    fn accept_from(
        &self,
        outside: &Rc<Outside>,
        id: i32,
        callee: Callee,
        method: Method,
        mut params: Packet,
    ) -> Result<(), CallError> {
        if let Some(error) = &*outside.over.borrow() {
            return Err(error.clone());
        }
        let caller = Party::from(outside);
        let key = outside.root;
        let mut roots = self.roots.borrow_mut();
        let root = self.active(&mut roots, key)?;
        // What a request is for HTTP is a call here: each has a budget of its own.
        for isolate in root.set.isolates() {
            isolate.usage.borrow_mut().forget(key);
        }
        let (import, target) = match callee {
            Callee::Export { bundle, export } => {
                let isolate = root.set.isolate(bundle);
                let import = isolate.map(|isolate| (Party::from(isolate), i32::from(export)));
                (import, Target::Export)
            }
            Callee::Object(key) => (None, Target::Object(to_words(key))),
        };
        let to = To {
            target,
            interface: to_halves(method.interface),
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
        }
        let record = Record {
            id: to_words(call),
            target: (export << 16) | i32::from(method.ordinal),
            root: to_words(key),
            ..Record::bare(RecordKind::CallTo)
        };
        let (segment0, moved) = params.segment0(self.limits.move_threshold_bytes);
        callee.receive(record, segment0, moved);
        Ok(())
    }

    /// Hands the results of a call that was served outside to whoever waits for them.
    fn settle_from(&self, outside: &Rc<Outside>, key: CallKey, mut results: Packet) {
        let settled = self.calls.borrow_mut().settle(key, outside);
        let (kind, awaited) = match settled {
            Some(call) => {
                self.end_call(&call);
                (RecordKind::Return, Awaited::of(&call))
            }
            None => match self.settle_kept(key, outside, None) {
                Some(awaited) => (RecordKind::Answer, awaited),
                None => return,
            },
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
            return caller.fail(pending, error);
        }
        let record = Record {
            id: (pending, 0),
            root: to_words(root),
            ..Record::bare(kind)
        };
        let (segment0, moved) = results.segment0(self.limits.move_threshold_bytes);
        caller.receive(record, segment0, moved);
    }
}
