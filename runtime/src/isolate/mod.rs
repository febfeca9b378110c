//! One V8 isolate running one bundle on one shard.
//!
//! An [`Isolate`] has two sides. Its mailbox (calls, results, events) is filled by whoever runs on
//! the shard's thread, at any time. Its engine is entered by the shard alone, for one *turn* at a
//! time: everything that waits in the mailbox is handed to JavaScript, the microtasks run, and
//! what JavaScript posted is collected. No turn starts inside another one of the same isolate.

mod blank;
mod blobs;
mod compiled;
mod cut;
mod engine;
mod exchange;
mod facts;
mod gate;
mod glue;
mod heap;
mod inbox;
pub(crate) mod keys;
mod mailbox;
mod memory;
mod metrics;
mod native;
mod optimising;
mod outbound;
mod renewal;
mod snapshot;
mod stub_caches;
mod thrown;
pub(crate) mod wire;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, oneshot, watch};

use isolith_capnp::error_capnp::call_error::Kind;
use isolith_versions::{BundleState, Digest, Histogram};

use crate::error::{CallError, LoadError};
use crate::host::{HostConfig, HostState, LogLevel, LogRecord, Redaction};
use crate::http::{Answer, BodyChunk, HttpRequest};
use crate::limits::Limits;
use crate::outbound::{Client, OutboundLimits};
use crate::platform::ForegroundTask;
use crate::program::Program;
use crate::shard::Usage;
pub(crate) use blank::{Blank, give_back_pages};
use blobs::Blobs;
pub(crate) use compiled::{Compiled, compile};
use cut::SharedFuse;
pub(crate) use cut::{Cut, Reach, request_look};
use engine::Engine;
pub(crate) use engine::Evaluation;
use exchange::Exchange;
pub(crate) use gate::{Gate, GateState};
use inbox::Inbox;
use keys::{CallKey, RootKey};
pub(crate) use metrics::Metrics;
use native::Owner;
pub(crate) use native::{kind_from_name, kind_name};
pub(crate) use optimising::optimising_time;
pub(crate) use outbound::AnswerHead;
pub(crate) use renewal::Rest;
use wire::Wire;

/// A segment of a message that moves from one isolate to another: a sealed backing store, and the
/// bytes of it that the segment has.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) store: v8::SharedRef<v8::BackingStore>,
    pub(crate) base: u32,
    pub(crate) end: u32,
}

/// What an isolate asks of the shard that it lives on. Called on the shard's thread; only
/// [`dispatch`](Home::dispatch) enters an isolate, another one.
pub(crate) trait Home {
    /// Puts the isolate in `slot` into the queue for a turn. The isolate makes sure that it stands
    /// there once.
    fn enqueue(&self, slot: usize);

    /// Takes what the isolate's JavaScript has posted and delivers it.
    fn collect(&self, isolate: &Rc<Isolate>);

    /// Takes what the isolate's JavaScript has posted, as [`collect`](Self::collect) does, and has the
    /// callee of its call `pending` run at once, on top of the caller's stack, if nobody else waits for
    /// a turn. `Some` if the results have come meanwhile: they are [where](Wire::put_result) the glue
    /// reads them, with these segments. Otherwise they come as any mail does.
    fn dispatch(&self, caller: &Rc<Isolate>, pending: i32) -> Option<Vec<Segment>>;

    /// Fails a call that `callee` was to answer.
    fn fail_call(&self, callee: &Rc<Isolate>, call: CallKey, error: CallError);

    /// Begins an outbound request as work of `root`, or says why not. The receiver hears of the
    /// root's end.
    fn begin_outbound(&self, root: RootKey) -> Result<(watch::Receiver<()>, bool), CallError>;

    /// An outbound request that was begun has its answer, or was given up.
    fn end_outbound(&self, root: RootKey);

    /// JavaScript of `isolate` runs for `root`, and goes on unless this says why not. Called on
    /// top of it, by an interrupt that was meant for this turn.
    fn look(&self, isolate: &Rc<Isolate>, turn: u64, root: Option<RootKey>) -> Option<Cut>;

    /// Like [`look`](Self::look), at a turn whose time is wasted: it gets no memory any more.
    fn waste(&self, isolate: &Rc<Isolate>, root: Option<RootKey>) -> Option<Cut>;
}

/// What one isolate holds and did.
#[derive(Clone, Debug)]
pub(crate) struct IsolateStats {
    pub(crate) digest: Digest,
    pub(crate) heap_bytes: u64,
    pub(crate) external_bytes: u64,
    /// Calls and HTTP requests handled.
    pub(crate) requests: u64,
    /// Those of them that failed.
    pub(crate) errors: u64,
    /// Why, by the kinds' names.
    pub(crate) errors_by_kind: Vec<(&'static str, u64)>,
    /// How long they took: each HTTP request, and a sample of the calls.
    pub(crate) latency: Histogram,
    /// CPU time used, as far as it was seen.
    pub(crate) cpu: Duration,
    /// Times that its code was ended: for its CPU time, its memory, or a deadline.
    pub(crate) ended: u64,
    /// Whether it takes work.
    pub(crate) gate: GateState,
    /// Whether there is one now: it may be evicted.
    pub(crate) is_loaded: bool,
    /// Times that it was evicted while it was idle.
    pub(crate) idle_evictions: u64,
}

/// Where an isolate is in its life. From each but the first it may be evicted, and comes back to it.
///
/// ```text
/// Loading ──▶ Ready ──▶ Serving ──▶ (dropped)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Its modules are being evaluated.
    Loading,
    /// It could serve; no set on this shard names it yet.
    Ready,
    /// A set names it, or named it and is still pinned.
    Serving,
}

/// Whether an isolate waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schedule {
    Idle,
    /// It stands in the shard's queue.
    Queued,
    /// Its turn is on: what arrives now waits for the next one.
    Running,
    /// It gets no turn any more, until it is renewed.
    Condemned,
    /// It has no engine, and no mail.
    Evicted,
    /// It has no engine and stands in the shard's queue: it is loaded before its turn.
    Returning,
}

/// Something for an isolate's glue that is neither a call nor a result.
pub(crate) enum Event {
    /// A call that this isolate made has failed.
    CallFailed { pending: i32, error: CallError },
    /// An HTTP request for its `fetch` handler.
    Fetch {
        exchange: i32,
        root: RootKey,
        head: HttpRequest,
        has_body: bool,
        /// Whether it is a copy whose answer nobody gets.
        shadow: bool,
    },
    /// Two answers to one request, for the service's own comparator.
    Compare {
        id: i32,
        root: RootKey,
        shown: Answer,
        shadow: Answer,
    },
    /// The chunk that the service waits for; `None` is the end.
    BodyChunk {
        exchange: i32,
        chunk: Option<BodyChunk>,
    },
    /// The response's body may be written again.
    Writable { exchange: i32 },
    /// The head of the answer to a request that the service made, or why there is none.
    Answer {
        exchange: i32,
        answer: Result<AnswerHead, CallError>,
    },
    /// The client is gone or the deadline passed.
    Abort { exchange: i32, reason: String },
    /// The earliest timer is due.
    Timers,
    /// Code that ran for this request was ended, and its timers go with it.
    DropTimers { root: RootKey },
    /// V8 has work for this isolate's thread.
    Task(v8::Task),
    /// A call in JSON, from the command line.
    CallJson {
        id: i32,
        root: RootKey,
        export: usize,
        method: String,
        argument: String,
    },
}

impl Event {
    /// The request that the event begins, if it is one.
    fn root(&self) -> Option<RootKey> {
        match self {
            Event::Fetch { root, .. }
            | Event::CallJson { root, .. }
            | Event::Compare { root, .. } => Some(*root),
            _ => None,
        }
    }
}

/// One V8 isolate and its mailbox.
pub(crate) struct Isolate {
    /// Its place in the shard's tables.
    pub(crate) slot: usize,
    pub(crate) program: Arc<Program>,
    home: Weak<dyn Home>,
    pub(crate) life: Cell<Life>,
    /// What the bundle is to this shard's requests.
    pub(crate) state: Cell<BundleState>,
    schedule: Cell<Schedule>,
    wire: Wire,
    inbox: RefCell<Inbox>,
    events: RefCell<VecDeque<Event>>,
    /// Segments that JavaScript gave for the records it posts, in their order.
    given: RefCell<Vec<Segment>>,
    exchanges: RefCell<HashMap<i32, Exchange>>,
    next_exchange: Cell<i32>,
    /// Sends outbound requests; made for the first one.
    client: OnceCell<Rc<Client>>,
    outbound: OutboundLimits,
    json_replies: RefCell<slab::Slab<JsonReply>>,
    /// Goes before the engine that its handles belong to.
    blobs: RefCell<Blobs>,
    host: Rc<HostState>,
    alarm: RefCell<Option<tokio::task::AbortHandle>>,
    /// Woken at the end of each turn while the isolate loads.
    progress: Notify,
    handled: Cell<u64>,
    failed: Cell<u64>,
    metrics: RefCell<Metrics>,
    /// CPU time used, as far as it was seen.
    pub(crate) cpu: Cell<Duration>,
    /// What requests have used of it.
    pub(crate) usage: RefCell<Usage>,
    pub(crate) gate: Gate,
    /// Whether its modules were evaluated without awaiting anything, in the CPU time that a request
    /// has here.
    pub(crate) loads_at_once: Cell<bool>,
    /// What it held, and since when it rests, as of the last look.
    rest: Cell<Rest>,
    idle_evictions: Cell<u64>,
    /// Turns that are still to take one record each, since code of this isolate was ended: so
    /// that next time nobody else's work is lost with it.
    careful_turns: Cell<u32>,
    fuse: SharedFuse,
    engine: RefCell<Engine>,
}

/// Who waits for the result of a JSON call.
struct JsonReply {
    root: RootKey,
    sender: oneshot::Sender<Result<String, CallError>>,
}

/// Records that one message may take, with the one that says where its chunk is.
const ONE_MESSAGE: usize = 2;

/// Turns of one record each after code of an isolate was ended.
const CAREFUL_TURNS: u32 = 1_000;

/// An isolate that stays entered until this is dropped. Others may be entered and exited on top.
pub(crate) struct Entered(Rc<Isolate>);

impl Entered {
    pub(crate) fn new(isolate: &Rc<Isolate>) -> Self {
        isolate.engine.borrow().enter();
        Entered(Rc::clone(isolate))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.engine.borrow().exit();
    }
}

/// Segment 0 of a message on its way between two isolates.
pub(crate) enum Segment0<'a> {
    /// Bytes in the sender's outbox, to be copied once.
    Small(&'a [u8]),
    /// The first of the segments that moved; it has this many bytes.
    Moved(i32),
}

impl Isolate {
    /// An isolate for `program`, its glue ready and none of the bundle's code run yet.
    ///
    /// About two milliseconds, a third of it with a `spare`.
    pub(crate) fn new(
        home: Weak<dyn Home>,
        slot: usize,
        program: Arc<Program>,
        limits: &Limits,
        tasks: UnboundedSender<ForegroundTask>,
        spare: Option<Blank>,
    ) -> Result<Rc<Self>, LoadError> {
        let outbound = OutboundLimits::of(limits);
        let wire = Wire::new();
        let host = Rc::new(HostState::new(HostConfig {
            service: program.id().to_string().into(),
            log: Rc::new(write_log),
            log_kib_per_second: limits.log_kib_per_second,
            redaction: Redaction::new(&program.secrets),
        }));
        let limits = IsolateLimits::of(&program, limits);
        let fuse = SharedFuse::default();
        let mut failure = None;
        let isolate = Rc::new_cyclic(|weak: &Weak<Isolate>| {
            let owner = Owner(weak.clone());
            let engine = Engine::new(&program, &limits, &host, &fuse, owner, &wire, tasks, spare);
            let engine = engine.unwrap_or_else(|error| {
                failure = Some(error);
                Engine::none(&program, &host, &fuse)
            });
            Isolate {
                slot,
                home,
                life: Cell::new(Life::Loading),
                state: Cell::new(BundleState::Deployed),
                schedule: Cell::new(Schedule::Idle),
                wire,
                inbox: RefCell::default(),
                events: RefCell::default(),
                given: RefCell::default(),
                exchanges: RefCell::default(),
                next_exchange: Cell::new(0),
                client: OnceCell::new(),
                outbound,
                json_replies: RefCell::default(),
                blobs: RefCell::default(),
                host,
                alarm: RefCell::default(),
                progress: Notify::new(),
                handled: Cell::new(0),
                failed: Cell::new(0),
                metrics: RefCell::default(),
                cpu: Cell::default(),
                usage: RefCell::default(),
                gate: Gate::default(),
                loads_at_once: Cell::new(true),
                rest: Cell::default(),
                idle_evictions: Cell::new(0),
                careful_turns: Cell::new(0),
                fuse,
                engine: RefCell::new(engine),
                program,
            }
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(isolate),
        }
    }

    /// Begins to evaluate the bundle's modules.
    pub(crate) fn evaluate(&self) -> Result<(), LoadError> {
        self.engine.borrow_mut().evaluate(&self.program)
    }

    /// How far the evaluation got. Each turn may bring it on: see [`progress`](Self::progress).
    pub(crate) fn evaluation(&self) -> Result<Evaluation, LoadError> {
        self.engine.borrow_mut().evaluation()
    }

    /// Waits for the end of a turn. Only while the isolate loads.
    pub(crate) async fn progress(&self) {
        self.progress.notified().await;
    }

    /// Constructs what the evaluated modules export.
    pub(crate) fn start(&self) -> Result<(), LoadError> {
        self.engine.borrow_mut().start()
    }

    /// True if this is the isolate that V8's tasks with this number are for.
    pub(crate) fn has_serial(&self, serial: u64) -> bool {
        self.engine.borrow().serial() == Some(serial)
    }

    pub(crate) fn thread_safe_handle(&self) -> Option<v8::IsolateHandle> {
        self.engine.borrow().thread_safe_handle()
    }

    /// What this isolate holds and did. Enters it.
    pub(crate) fn stats(&self) -> IsolateStats {
        let heap = self.engine.borrow_mut().heap_use();
        IsolateStats {
            digest: self.program.id().digest,
            heap_bytes: heap.heap_bytes as u64,
            external_bytes: heap.external_bytes as u64,
            requests: self.handled.get(),
            errors: self.failed.get(),
            errors_by_kind: self.metrics.borrow().errors(),
            latency: self.metrics.borrow().latency().clone(),
            cpu: self.cpu.get(),
            ended: self.gate.ended(),
            gate: self.gate.state(),
            is_loaded: !self.is_evicted(),
            idle_evictions: self.idle_evictions.get(),
        }
    }

    /// Runs one turn: hands over what waits, or the first record of it (`one_record`), and runs the
    /// microtasks. The shard calls it, from its own loop only, then collects what was posted, then
    /// calls [`end_turn`](Self::end_turn).
    ///
    /// # Errors
    /// If the turn was cut short, why, and who else has to be told. What was not handled stays in
    /// the mailbox for the next turn.
    pub(crate) fn turn(&self, one_record: bool) -> Result<(), Cut> {
        if self.schedule.get() == Schedule::Condemned {
            return Ok(());
        }
        self.schedule.set(Schedule::Running);
        let mut one_record = one_record;
        if let Some(left) = self.careful_turns.get().checked_sub(1) {
            self.careful_turns.set(left);
            one_record = true;
        }
        let moved = self.inbox.borrow_mut().open(&self.wire);
        // Several things are handled one after the other, and so are the calls that they make: the
        // more a turn does, the cheaper each.
        let is_one_thing = self.events.borrow().len() <= 1 && self.wire.in_count() <= ONE_MESSAGE;
        self.wire.allow_dispatches(is_one_thing && !one_record);
        let mut engine = self.engine.borrow_mut();
        let outcome = engine.turn(&self.wire, &moved, &self.blobs, &self.events, one_record);
        match self.wire.records_left() {
            0 => self.wire.set_in_count(0),
            _ => self.inbox.borrow_mut().put_back(moved),
        }
        if outcome.is_err() {
            self.careful_turns.set(CAREFUL_TURNS);
            // Timers that were due, and the microtasks of what was handled before, are still to run.
            self.events.borrow_mut().push_back(Event::Timers);
        }
        outcome
    }

    /// Ends a turn; the isolate queues for another one if mail has come meanwhile.
    pub(crate) fn end_turn(&self) {
        if self.life.get() == Life::Loading || self.gate.state() == GateState::Replacing {
            self.progress.notify_one();
        }
        if self.schedule.get() == Schedule::Condemned {
            return;
        }
        self.schedule.set(Schedule::Idle);
        if self.has_mail() {
            self.wake();
        }
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Forgets segments that JavaScript gave for a message that it did not come to post.
    pub(crate) fn forget_given(&self) {
        self.given.borrow_mut().clear();
    }

    /// The next `count` segments that JavaScript gave.
    pub(crate) fn take_given(&self, count: i32) -> Vec<Segment> {
        if count == 0 {
            return Vec::new();
        }
        let mut given = self.given.borrow_mut();
        let count = usize::try_from(count).unwrap_or(0).min(given.len());
        let rest = given.split_off(count);
        std::mem::replace(&mut *given, rest)
    }

    /// Makes the shard enter this isolate when its earliest timer is due.
    fn set_alarm(self: &Rc<Self>, due_ms: f64) {
        let due = tokio::time::Instant::from_std(self.host.instant_at(due_ms));
        let isolate = Rc::downgrade(self);
        let task = tokio::task::spawn_local(async move {
            tokio::time::sleep_until(due).await;
            if let Some(isolate) = isolate.upgrade() {
                isolate.push(Event::Timers);
            }
        });
        if let Some(earlier) = self.alarm.borrow_mut().replace(task.abort_handle()) {
            earlier.abort();
        }
    }

    /// Counts something that this isolate handled.
    pub(crate) fn count(&self, failed: bool) {
        self.handled.set(self.handled.get() + 1);
        self.failed.set(self.failed.get() + u64::from(failed));
        // Who had to be ended is held back by now.
        self.gate.answered();
    }

    /// Notes why something that this isolate handled failed.
    pub(crate) fn failed_with(&self, kind: Kind) {
        self.metrics.borrow_mut().failed(kind);
    }

    /// Notes that something that this isolate handled took from then to now.
    pub(crate) fn took(&self, since: Instant) {
        self.metrics.borrow_mut().took(since);
    }

    /// Lets a request or call in, or says why not.
    ///
    /// # Errors
    /// `Overloaded`, if the isolate is held back or being replaced.
    pub(crate) fn pass(&self) -> Result<(), CallError> {
        let passed = self.gate.pass();
        passed.map_err(|error| error.in_bundle(self.program.id()))
    }

    /// Adds to the CPU time that this isolate has used.
    pub(crate) fn charge(&self, used: Duration) {
        self.cpu.set(self.cpu.get() + used);
    }

    /// Has V8 begin to collect the garbage, if there is much of it; says whether there is. Not
    /// during a turn.
    pub(crate) fn collect_garbage(&self) -> bool {
        self.engine.borrow_mut().collect_garbage()
    }

    /// What its heap takes of the system's memory, used or not.
    #[cfg(test)]
    pub(crate) fn committed_bytes(&self) -> usize {
        let size = self
            .engine
            .borrow_mut()
            .inspect(|scope| Some(scope.get_heap_statistics().total_physical_size()));
        size.unwrap_or(0)
    }

    /// The CPU time that calls and requests took here which wasted none, on average.
    pub(crate) fn usual_cpu(&self) -> Duration {
        let used = self.cpu.get().saturating_sub(self.gate.wasted_cpu());
        let done = self.handled.get() - self.failed.get().min(self.handled.get());
        used.checked_div(u32::try_from(done).unwrap_or(u32::MAX))
            .unwrap_or_default()
    }

    /// The CPU time that a request may use here, in milliseconds.
    pub(crate) fn cpu_ms_per_request(&self, limits: &Limits) -> u32 {
        let own = self.program.cpu_ms_per_request;
        own.unwrap_or(limits.cpu_ms_per_request)
    }

    /// Runs a method of an export with a JSON argument; the result is JSON. Returns the call's
    /// number, too.
    pub(crate) fn call_json(
        &self,
        root: RootKey,
        export: usize,
        method: String,
        argument: String,
    ) -> (i32, oneshot::Receiver<Result<String, CallError>>) {
        let (sender, receiver) = oneshot::channel();
        let reply = JsonReply { root, sender };
        let id = self.json_replies.borrow_mut().insert(reply) as i32;
        self.push(Event::CallJson {
            id,
            root,
            export,
            method,
            argument,
        });
        (id, receiver)
    }

    /// Asks the service's comparator whether two answers to one request are alike; the result is
    /// `alike` or something else, and `alike` if there is no comparator. Returns the question's
    /// number, too, which is that of a JSON call.
    pub(crate) fn compare(
        &self,
        root: RootKey,
        shown: Answer,
        shadow: Answer,
    ) -> (i32, oneshot::Receiver<Result<String, CallError>>) {
        let (sender, receiver) = oneshot::channel();
        let reply = JsonReply { root, sender };
        let id = self.json_replies.borrow_mut().insert(reply) as i32;
        self.push(Event::Compare {
            id,
            root,
            shown,
            shadow,
        });
        (id, receiver)
    }

    /// Answers a JSON call in the handler's place; what the handler says later is dropped.
    pub(crate) fn fail_json(&self, id: i32, error: &CallError) {
        self.reply_json(id, Err(error.clone()));
    }

    fn reply_json(&self, id: i32, reply: Result<String, CallError>) {
        self.count(reply.is_err());
        if let Err(error) = &reply {
            self.failed_with(error.kind);
        }
        if let Ok(id) = usize::try_from(id)
            && let Some(waiting) = self.json_replies.borrow_mut().try_remove(id)
        {
            // Whoever asked may have given up.
            let _ = waiting.sender.send(reply);
        }
    }
}

/// For tests that look inside.
#[cfg(test)]
impl Isolate {
    /// Where the bytes of the Uint8Array in this global variable lie.
    pub(crate) fn address_of_global(&self, name: &str) -> Option<usize> {
        self.engine.borrow_mut().inspect(|scope| {
            let global = scope.get_current_context().global(scope);
            let key = v8::String::new(scope, name)?;
            let view: v8::Local<v8::Uint8Array> = global.get(scope, key.into())?.try_into().ok()?;
            let store = view.get_backing_store()?;
            Some(blobs::address(&store))
        })
    }

    /// Whether code that ran now would run in some request's name.
    pub(crate) fn has_async_context(&self) -> bool {
        let context = |scope: &mut v8::PinScope<'_, '_>| {
            let data = scope.get_continuation_preserved_embedder_data();
            Some(!data.is_undefined())
        };
        self.engine.borrow_mut().inspect(context).unwrap_or(true)
    }

    /// What a script evaluates to, as text.
    pub(crate) fn run(&self, source: &str) -> String {
        let result = self.engine.borrow_mut().inspect(|scope| {
            let result = crate::script::run_script(scope, "test", source)?;
            Some(result.to_rust_string_lossy(scope))
        });
        result.unwrap_or_default()
    }

    /// Runs the messages' own test on what was generated for it.
    pub(crate) fn try_messages(&self, generated: &str, test: &str) -> Result<String, String> {
        self.engine.borrow_mut().try_messages(generated, test)
    }

    #[cfg(test)]
    pub(crate) fn try_call(&self, function: &str, text: &str) -> Result<String, String> {
        self.engine.borrow_mut().try_call(function, text)
    }
}

/// Bounds of [`Limits`] that one isolate needs.
pub(crate) struct IsolateLimits {
    pub(crate) heap_mib: u32,
    pub(crate) move_threshold_bytes: usize,
    pub(crate) message_bytes: usize,
    pub(crate) stream_window_bytes: usize,
}

impl IsolateLimits {
    fn of(program: &Program, limits: &Limits) -> Self {
        IsolateLimits {
            heap_mib: program.heap_mib.unwrap_or(limits.heap_mib),
            ..Self::from(limits)
        }
    }
}

impl From<&Limits> for IsolateLimits {
    fn from(limits: &Limits) -> Self {
        IsolateLimits {
            heap_mib: limits.heap_mib,
            move_threshold_bytes: limits.move_threshold_bytes.min(wire::OUTBOX_BYTES / 4),
            message_bytes: limits.message_bytes,
            stream_window_bytes: limits.stream_window_bytes,
        }
    }
}

/// A service's log goes where the process's own goes, under the service's name.
fn write_log(record: LogRecord) {
    let LogRecord {
        level,
        service,
        message,
    } = record;
    match level {
        LogLevel::Trace => tracing::trace!(target: "service", %service, "{message}"),
        LogLevel::Debug => tracing::debug!(target: "service", %service, "{message}"),
        LogLevel::Info => tracing::info!(target: "service", %service, "{message}"),
        LogLevel::Warn => tracing::warn!(target: "service", %service, "{message}"),
        LogLevel::Error => tracing::error!(target: "service", %service, "{message}"),
    }
}
