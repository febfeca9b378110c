//! One thread and the isolates that live on it.
//!
//! Everything here runs on the shard's thread, so it needs no locks: a [`Shard`] is shared by
//! `Rc`, and no `RefCell` of it is borrowed while JavaScript runs. Other threads talk to a shard
//! through its [`ShardHandle`].
//!
//! A stub leaves a record; when the caller's stack has unwound the shard collects the records
//! ([`Shard::collect`]), puts each into its callee's mailbox, and the loop ([`pump`]) gives every
//! isolate with mail one turn after the other. Where nobody else waits, a callee has its turn on top
//! of its caller's ([`dispatch`]); nobody has one on top of his own.

pub(crate) mod calls;
mod capabilities;
mod connections;
mod cpu;
mod dispatch;
mod eviction;
mod handle;
mod leases;
mod load;
mod natives;
pub(crate) mod outside;
pub(crate) mod party;
mod passing;
mod pump;
mod ready;
mod renewal;
mod requests;
pub(crate) mod roots;
mod samples;
mod shadows;
mod spares;
#[cfg(test)]
mod tests;
mod tidy;
mod watchdog;
pub(crate) mod wiring;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use isolith_capnp::error_capnp::call_error::Kind;
use isolith_versions::{Digest, LeaseKind, RoutingTable, ServiceName, seeded, sticky_key};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Notify, watch};

use crate::error::CallError;
use crate::isolate::keys::{CallKey, NESTED_MAX, RootKey, from_words, nested, nesting, to_words};
use crate::isolate::wire::{MOVED, Record, RecordKind, Target};
use crate::isolate::{Cut, Event, Home, Isolate, Segment, Segment0};
use crate::limits::Limits;
use crate::platform::ForegroundTask;
use crate::trace::Trace;
use calls::{Answer, Call, CallTable};
use capabilities::CapabilityTable;
pub(crate) use connections::Connection;
use cpu::Ledger;
pub(crate) use cpu::{Usage, thread_cpu_time};
use dispatch::Dispatches;
use eviction::Looks;
pub(crate) use handle::{
    JsonCall, JsonReply, ServeConnection, ShardHandle, ShardLife, ShardStats, spawn,
};
pub(crate) use leases::Holders;
use outside::Outside;
use party::Party;
use passing::{Awaited, Destination, Prefix, abandon};
use ready::ReadyQueue;
pub(crate) use requests::{Arrival, Pin};
pub(crate) use roots::Holder;
use roots::{Request, Root, RootState, RootTable};
use samples::Samples;
pub(crate) use samples::{EntrySample, Outcome};
use shadows::Shadows;
pub(crate) use shadows::{Shadow, ShadowCounts};
use spares::Spares;
use watchdog::Watch;
use wiring::ShardSet;

/// Of so many calls between isolates, one's duration is looked at.
const CALLS_PER_SAMPLE: u32 = 32;

/// One thread's isolates, the sets that wire them, and the requests that they serve.
pub(crate) struct Shard {
    index: usize,
    limits: Limits,
    /// The service whose `fetch` handles HTTP.
    entry: ServiceName,
    /// The routing table in force, shared with all shards. Each admission reads it once.
    routing: Arc<ArcSwap<RoutingTable>>,
    /// By slot.
    isolates: RefCell<Vec<Option<Rc<Isolate>>>>,
    /// Those that were needed so far; they stay.
    natives: RefCell<Vec<Rc<Outside>>>,
    spares: Spares,
    /// Compiled sets: those in force, those still pinned, and one that is about to be published.
    sets: RefCell<Vec<Rc<ShardSet>>>,
    /// Digests of sets that stay compiled though nothing names them: requests may, by an override.
    kept: RefCell<Arc<[Digest]>>,
    roots: RefCell<RootTable>,
    calls: RefCell<CallTable>,
    capabilities: RefCell<CapabilityTable>,
    /// What stands before the next record of the isolate whose records are collected.
    prefix: RefCell<Prefix>,
    has_prefix: Cell<bool>,
    /// Slots of isolates that wait for a turn.
    ready: RefCell<ReadyQueue>,
    dispatches: Dispatches,
    /// Wakes the pump when it sleeps.
    wake: Notify,
    /// Whether somebody takes from `ready` now, until it is empty.
    pumping: Cell<bool>,
    /// True if a pin has ended and something may be unloaded.
    sweep_due: Cell<bool>,
    /// True while a task waits for the end of drains.
    watching_drains: Cell<bool>,
    /// The time as of the last look at the clock, a stretch of turns ago at most.
    now: Cell<Instant>,
    watch: Arc<Watch>,
    /// What was charged of this thread's CPU time.
    ledger: Ledger,
    looks: Looks,
    this: Weak<Shard>,
    tasks: UnboundedSender<ForegroundTask>,
    /// The other end of `tasks`, until the pump takes it.
    posted_tasks: RefCell<Option<UnboundedReceiver<ForegroundTask>>>,
    admitted: Cell<u64>,
    /// Calls accepted, for picking a sample of them.
    calls_accepted: Cell<u32>,
    samples: RefCell<Samples>,
    shadows: RefCell<Shadows>,
    /// How many sessions of clients outside there were.
    next_outside: Cell<usize>,
    trace: Option<Trace>,
}

impl Shard {
    /// A shard without isolates, for the current thread.
    pub(crate) fn new(
        index: usize,
        limits: Limits,
        entry: ServiceName,
        routing: Arc<ArcSwap<RoutingTable>>,
        trace: Option<Trace>,
    ) -> Rc<Self> {
        crate::platform::init_once();
        let (tasks, posted_tasks) = mpsc::unbounded_channel();
        Rc::new_cyclic(|this| Shard {
            index,
            entry,
            routing,
            isolates: RefCell::default(),
            natives: RefCell::default(),
            spares: Spares::default(),
            sets: RefCell::default(),
            kept: RefCell::new([].into()),
            roots: RefCell::new(RootTable::new(limits.requests_in_flight_per_shard)),
            calls: RefCell::new(CallTable::new(limits.calls_in_flight_per_shard)),
            capabilities: RefCell::new(CapabilityTable::new(
                limits.capabilities_per_isolate,
                limits.capabilities_per_request,
            )),
            prefix: RefCell::default(),
            has_prefix: Cell::new(false),
            ready: RefCell::default(),
            dispatches: Dispatches::default(),
            wake: Notify::new(),
            pumping: Cell::new(false),
            sweep_due: Cell::new(false),
            watching_drains: Cell::new(false),
            now: Cell::new(Instant::now()),
            watch: Watch::new(),
            ledger: Ledger::default(),
            looks: Looks::default(),
            this: Weak::clone(this),
            tasks,
            posted_tasks: RefCell::new(Some(posted_tasks)),
            admitted: Cell::new(0),
            calls_accepted: Cell::new(0),
            samples: RefCell::default(),
            next_outside: Cell::new(0),
            shadows: RefCell::default(),
            trace,
            limits,
        })
    }

    /// What this shard holds and did. Enters each isolate for a moment.
    pub(crate) fn stats(&self) -> ShardStats {
        let mut pins: Vec<(Digest, u64)> = Vec::new();
        for set in self.sets.borrow().iter() {
            pins.push((set.set.digest(), 0));
        }
        let roots = self.roots.borrow();
        for root in roots.iter() {
            let digest = root.set.set.digest();
            if let Some((_, count)) = pins.iter_mut().find(|(known, _)| *known == digest) {
                *count += 1;
            }
        }
        let isolates = self.isolates.borrow();
        let isolates = isolates.iter().flatten().map(|isolate| isolate.stats());
        ShardStats {
            pins,
            isolates: isolates.chain(self.native_stats()).collect(),
            requests_in_flight: roots.len() as u64,
            requests_admitted: self.admitted.get(),
            shadows: self.shadows.borrow_mut().read(&self.routing.load()),
        }
    }

    /// Its number.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The largest message between its services.
    pub(crate) fn message_bytes(&self) -> usize {
        self.limits.message_bytes
    }

    fn isolate(&self, slot: usize) -> Option<Rc<Isolate>> {
        self.isolates.borrow().get(slot).cloned().flatten()
    }

    /// Gives an isolate one turn, and delivers what it posted.
    fn give_turn(&self, isolate: &Rc<Isolate>) {
        // Who is ahead of the others lets them in after each record.
        let one_record = self.ready.borrow().is_ahead(isolate.slot);
        let outcome = self.watched(isolate.slot, || isolate.turn(one_record));
        self.collect(isolate);
        // A turn that was cut short may have left half of what it began to post.
        drop(self.take_prefix());
        if let Err(cut) = outcome {
            isolate.forget_given();
            self.after_cut(isolate, &cut);
        }
        isolate.end_turn();
    }

    /// Runs JavaScript of the isolate in `slot` under the eyes of the watchdog.
    fn watched<R>(&self, slot: usize, run: impl FnOnce() -> R) -> R {
        let _watched = self.watch.enter(slot);
        run()
    }

    /// The time, for one call in [`CALLS_PER_SAMPLE`]: two looks at the clock are 5 % of a call.
    /// How long a kept answer took says nothing, for it may wait to be asked for.
    fn sampled(&self, answer: Answer) -> Option<Instant> {
        if answer != Answer::Once {
            return None;
        }
        let accepted = self.calls_accepted.get();
        self.calls_accepted.set(accepted.wrapping_add(1));
        accepted.is_multiple_of(CALLS_PER_SAMPLE).then(Instant::now)
    }

    /// The root that `key` names, if it may begin another call.
    fn active<'r>(
        &self,
        roots: &'r mut RootTable,
        key: RootKey,
    ) -> Result<&'r mut Root, CallError> {
        let root = roots.get_mut(key).ok_or_else(|| over(RootState::Ended))?;
        if root.state != RootState::Active {
            return Err(over(root.state));
        }
        if root.calls() >= self.limits.calls_in_flight_per_request {
            return Err(bound(
                "calls_in_flight_per_request",
                self.limits.calls_in_flight_per_request as usize,
                "await some of them before more are made",
            ));
        }
        Ok(root)
    }

    /// Refuses a call by code that is as many calls deep as it may be.
    fn not_too_deep(&self, root: (i32, i32)) -> Result<(), CallError> {
        let deepest = self.limits.nested_calls_per_request.min(NESTED_MAX);
        match nesting(root) >= deepest {
            true => Err(bound(
                "nested_calls_per_request",
                deepest as usize,
                "do the services call each other without end?",
            )),
            false => Ok(()),
        }
    }

    /// Accepts a call that `caller` posted, or says why not. P3: the callee is the one that the
    /// root's pinned set names for this caller's import.
    fn accept(
        &self,
        caller: &Rc<Isolate>,
        record: &Record,
        key: RootKey,
        prefix: Option<&Prefix>,
    ) -> Result<(), CallError> {
        let moved = caller.take_given(record.segments);
        let mut roots = self.roots.borrow_mut();
        let root = self.active(&mut roots, key);
        let root = root.map_err(|error| error.overload_in(caller.program.id()))?;
        self.nest(caller, record)?;
        let (import, method) = (record.target >> 16, record.target & 0xffff);
        let import = usize::try_from(import).unwrap_or(usize::MAX);
        let of_now = self.set_of_now(caller);
        let set = of_now.as_ref().unwrap_or(&root.set);
        let target = set.target(caller.slot, import);
        let target = target.map(|target| (target.callee.clone(), i32::from(target.export)));
        let Destination { callee, export, to } = match prefix.and_then(|prefix| prefix.to) {
            Some(to) => self.destination(&caller.into(), &roots, key, target, to)?,
            None => Destination::export(target)?,
        };
        let segment0 = self.segment0(caller, record, &moved)?;
        self.let_in(&callee)?;
        let answer = match record.kind {
            RecordKind::Ask => Answer::Open,
            RecordKind::AskWanted => Answer::Wanted,
            _ => to.map_or(Answer::Once, |to| to.answer()),
        };
        let call = self.begin(Call {
            caller: caller.into(),
            pending: record.id.0,
            callee: callee.clone(),
            root: key,
            since: self.sampled(answer),
            answer,
        })?;
        if to.is_some() || answer != Answer::Once {
            self.remember(call, (&caller.into(), record.id.0, key), &callee, answer)?;
        }
        if let Some(prefix) = prefix {
            self.put_prefix(call, key, (&caller.into(), &callee), to, &prefix.passed)?;
        }
        if let Some(root) = roots.get_mut(key) {
            if answer != Answer::Open {
                root.begin_call(self.now.get());
            }
            if let (Some(trace), Some(traced)) = (&self.trace, root.traced())
                && to.is_none_or(|to| to.target == Target::Export)
                && let Some(callee) = callee.facts()
            {
                let caller = &caller.program.facts;
                trace.call(traced, root.set.set.digest(), caller, import, callee);
            }
        }
        let incoming = Record {
            id: to_words(call),
            root: nested(record.root),
            target: (export << 16) | method,
            ..*record
        };
        callee.receive(incoming, segment0, moved);
        Ok(())
    }

    /// Whether a call of `caller` may be nested as deep as `record` says.
    fn nest(&self, caller: &Isolate, record: &Record) -> Result<(), CallError> {
        let nested = self.not_too_deep(record.root);
        nested.map_err(|error| error.in_bundle(caller.program.id()))
    }

    /// Whether `callee` takes a call now.
    fn let_in(&self, callee: &Party) -> Result<(), CallError> {
        callee.pass()?;
        if callee.queued() >= self.limits.queued_records_per_isolate {
            return Err(callee.blame(bound(
                "queued_records_per_isolate",
                self.limits.queued_records_per_isolate,
                "the callee is busy; try again later",
            )));
        }
        Ok(())
    }

    fn begin(&self, call: Call) -> Result<CallKey, CallError> {
        self.calls.borrow_mut().insert(call).ok_or_else(|| {
            bound(
                "calls_in_flight_per_shard",
                self.limits.calls_in_flight_per_shard,
                "try again later",
            )
        })
    }

    /// Hands the results that `callee` posted to whoever waits for them.
    fn settle(&self, callee: &Rc<Isolate>, record: &Record) {
        let mut moved = callee.take_given(record.segments);
        let prefix = self.take_prefix();
        let key = from_words(record.id);
        let (kind, awaited) = match self.settled(key, callee, None) {
            Some(settled) => settled,
            None if prefix.is_some() => return self.refuse_belongings(callee, record),
            None => return,
        };
        let Awaited {
            caller,
            pending,
            root,
        } = awaited;
        // What is passed stands before the results in the caller's mail: they have to come.
        let segment0 = match self.segment0(callee, record, &moved) {
            Ok(segment0) => segment0,
            Err(error) => return caller.fail(pending, error),
        };
        if let Some(prefix) = prefix {
            if let Err(error) = self.pass_results(&callee.into(), &caller, root, prefix) {
                return caller.fail(pending, error);
            }
        } else if self.give_at_once(&caller, pending, &segment0, &mut moved) {
            return;
        }
        let incoming = Record {
            kind,
            id: (pending, 0),
            ..*record
        };
        caller.receive(incoming, segment0, moved);
    }

    /// Fails the calls of a root that are awaited: its deadline has passed.
    fn expire(&self, key: RootKey, request: Request, error: &CallError) {
        let unpinned = self.roots.borrow_mut().expire(key, request);
        self.after_unpin(unpinned);
        self.fail_calls(|call| call.root == key, error);
        self.end_belongings(key);
    }

    /// Gives those who wait for some calls an error now, whatever the callees do later.
    fn fail_calls(&self, which: impl Fn(&Call) -> bool, error: &CallError) {
        let awaited = |call: &Call| call.is_awaited() && which(call);
        let calls = self.calls.borrow_mut().take(awaited);
        for (key, call) in calls {
            self.fail_taken(key, &call, error);
            abandon(key, &call);
        }
    }

    /// Gives the caller of a call that was taken out of the table an error.
    fn fail_taken(&self, key: CallKey, call: &Call, error: &CallError) {
        self.end_taken(key, call);
        if call.pending >= 0 {
            call.caller.fail(call.pending, error.clone());
        }
    }

    /// Settles a call that was taken out of the table.
    fn end_taken(&self, key: CallKey, call: &Call) {
        self.end_call(call);
        if call.answer != Answer::Once {
            self.capabilities.borrow_mut().finish(call.root, key);
        }
    }

    /// Fails a call that `callee` was to answer.
    fn fail_answer<P>(&self, callee: &P, call: CallKey, error: CallError)
    where
        Party: PartialEq<P>,
    {
        if let Some((_, awaited)) = self.settled(call, callee, Some(error.kind)) {
            awaited.caller.fail(awaited.pending, error);
        }
    }

    /// With a seeded bug: the set that a call leads by if it is resolved when it is made, or if each
    /// service is in a bucket of its own.
    fn set_of_now(&self, caller: &Isolate) -> Option<Rc<ShardSet>> {
        if seeded("resolve-at-call-time") {
            return self.find_set(self.routing.load().combinations().base());
        }
        let key = || sticky_key(caller.program.id().service.as_str().as_bytes());
        seeded("bucket-per-service")
            .then(|| self.find_set(self.routing.load().admit(key(), None).set))?
    }

    /// With a seeded bug: whose request the isolate handles, as if it were one at a time.
    fn root_of_isolate(&self, isolate: &Rc<Isolate>) -> Option<RootKey> {
        seeded("pin-of-the-isolate").then(|| self.calls.borrow().root_at(isolate))?
    }

    /// Takes away the hold that a call has on its root, if it is one.
    fn end_call(&self, call: &Call) {
        if call.is_awaited() {
            self.release(call.root, LeaseKind::Call);
        }
    }

    /// Takes a hold off a root.
    fn release(&self, key: RootKey, kind: LeaseKind) {
        let unpinned = self.roots.borrow_mut().release(key, kind);
        self.after_unpin(unpinned);
        if kind != LeaseKind::Call {
            self.after_release(key);
        }
    }

    fn after_unpin(&self, unpinned: Option<Rc<ShardSet>>) {
        // The set in force is pinned and unpinned all the time; only one that is not can go.
        if let Some(set) = unpinned
            && !self.in_force(&set)
        {
            self.sweep_due.set(true);
            self.wake.notify_one();
        }
    }

    fn in_force(&self, set: &ShardSet) -> bool {
        let table = self.routing.load();
        table
            .sets()
            .iter()
            .any(|(named, _)| Arc::ptr_eq(named, &set.set))
    }

    /// Where segment 0 of a posted message lies.
    fn segment0<'a>(
        &self,
        sender: &'a Isolate,
        record: &Record,
        moved: &[Segment],
    ) -> Result<Segment0<'a>, CallError> {
        let moved: usize = moved
            .iter()
            .map(|segment| segment.store.byte_length())
            .sum();
        let small = match record.offset {
            MOVED => 0,
            _ => usize::try_from(record.length).unwrap_or(usize::MAX),
        };
        if small.saturating_add(moved) > self.limits.message_bytes {
            return Err(CallError::host(
                Kind::TooLarge,
                format!(
                    "the message is larger than message_bytes ({})",
                    self.limits.message_bytes
                ),
            ));
        }
        if record.offset == MOVED {
            return Ok(Segment0::Moved(record.length));
        }
        let offset = usize::try_from(record.offset).unwrap_or(usize::MAX);
        sender
            .wire()
            .outbox()
            .bytes(offset, small)
            .map(Segment0::Small)
            .ok_or_else(|| CallError::host(Kind::BadMessage, "the message lies outside its outbox"))
    }
}

impl Home for Shard {
    fn enqueue(&self, slot: usize) {
        self.ready.borrow_mut().push(slot);
        if !self.pumping.get() {
            self.wake.notify_one();
        }
    }

    fn dispatch(&self, caller: &Rc<Isolate>, pending: i32) -> Option<Vec<Segment>> {
        self.dispatch_call(caller, pending)
    }

    fn collect(&self, isolate: &Rc<Isolate>) {
        let count = isolate.wire().take_out_count();
        for index in 0..count {
            let Some(record) = isolate.wire().get(index) else {
                continue;
            };
            let root = from_words::<RootKey>(record.root);
            match record.kind {
                RecordKind::Call | RecordKind::CallTo | RecordKind::Ask | RecordKind::AskWanted => {
                    let root = self.root_of_isolate(isolate).unwrap_or(root);
                    let prefix = self.take_prefix();
                    if let Err(error) = self.accept(isolate, &record, root, prefix.as_ref()) {
                        if prefix.is_some() || record.kind != RecordKind::Call {
                            self.refuse_belongings(isolate, &record);
                        }
                        isolate.push(Event::CallFailed {
                            pending: record.id.0,
                            error,
                        });
                    }
                }
                RecordKind::Then => {
                    let root = self.root_of_isolate(isolate).unwrap_or(root);
                    if let Err(error) = self.accept_then(isolate, &record, root) {
                        self.refuse_belongings(isolate, &record);
                        isolate.push(Event::CallFailed {
                            pending: record.id.0,
                            error,
                        });
                    }
                }
                RecordKind::Return => self.settle(isolate, &record),
                RecordKind::Hold | RecordKind::Release if seeded("wait-until-loses-the-root") => {}
                RecordKind::Hold => {
                    // A root that is over stays over; the promise then holds nothing.
                    let (slot, now) = (isolate.slot, self.now.get());
                    self.roots.borrow_mut().hold_in(root, slot, now);
                }
                RecordKind::Release => {
                    if self.roots.borrow_mut().let_go_in(root, isolate.slot) {
                        self.release(root, LeaseKind::Background);
                    }
                }
                _ => self.collect_bare(isolate, &record),
            }
        }
    }

    fn begin_outbound(&self, key: RootKey) -> Result<(watch::Receiver<()>, bool), CallError> {
        let mut roots = self.roots.borrow_mut();
        let root = self.active(&mut roots, key)?;
        root.begin_call(self.now.get());
        Ok((root.listen(), root.is_shadow))
    }

    fn end_outbound(&self, root: RootKey) {
        self.release(root, LeaseKind::Call);
    }

    fn look(&self, isolate: &Rc<Isolate>, turn: u64, root: Option<RootKey>) -> Option<Cut> {
        self.charge(isolate, turn, root)
    }

    fn waste(&self, isolate: &Rc<Isolate>, root: Option<RootKey>) -> Option<Cut> {
        self.charge_waste(isolate, root)
    }

    fn fail_call(&self, callee: &Rc<Isolate>, call: CallKey, error: CallError) {
        self.fail_answer(callee, call, error);
    }
}

fn over(state: RootState) -> CallError {
    match state {
        RootState::Expired => CallError::host(
            Kind::DeadlineExceeded,
            "the deadline of the request has passed",
        ),
        RootState::Active | RootState::Ended => CallError::host(
            Kind::RequestEnded,
            "the request that this call belongs to has ended; \
             give work that outlives the response to ctx.waitUntil",
        ),
    }
}

fn set_gone() -> CallError {
    CallError::host(
        Kind::PinnedVersionGone,
        "the version set is not loaded any more",
    )
}

fn bound(name: &str, value: usize, hint: &str) -> CallError {
    CallError::host(
        Kind::Overloaded,
        format!("the bound {name} ({value}) is reached; {hint}"),
    )
}
