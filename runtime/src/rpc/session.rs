//! A session's end on the thread of the clients: its calls, and what either side gave the other.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::pin;
use std::rc::{Rc, Weak};

use capnp::any_pointer;
use capnp::capability::{Params, Response};
use capnp::private::capability::ClientHook;
use slab::Slab;
use slotmap::Key;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::Connection;
use super::errors;
use super::message::pack;
use super::stub::Stub;
use crate::error::{CallError, ErrorKind};
use crate::http::RequestId;
use crate::isolate::keys::{CallKey, CapabilityKey, from_words, to_words};
use crate::isolate::wire::Passed;
use crate::message::{Lent, Message, Packet, steps};
use crate::shard::outside::{Ask, Callee, Method, Served, Told};

/// One session of a client.
pub(super) struct Session {
    connection: Rc<Connection>,
    request: RequestId,
    /// `None` once it is over.
    to_shard: RefCell<Option<UnboundedSender<Ask>>>,
    /// Why it is over, once it is.
    over: RefCell<Option<CallError>>,
    /// Calls that the client made, by their names.
    calls: RefCell<Slab<oneshot::Sender<Result<Arrived, CallError>>>>,
    /// What the client gave, by index.
    given: RefCell<Slab<Given>>,
    /// The same, by brand and address.
    given_places: RefCell<HashMap<(usize, usize), usize>>,
    /// Calls that the client serves, and answers of its that are kept.
    serving: RefCell<HashMap<CallKey, Serving>>,
    stubs: RefCell<HashMap<Callee, Weak<Stub>>>,
}

/// A message of a service.
pub(super) struct Arrived(Message);

/// An object of the client's.
struct Given {
    hook: Box<dyn ClientHook>,
    /// Its brand and address when it was given; nothing else has them while it is held.
    place: (usize, usize),
    /// How often the session has sent it.
    sent: i32,
}

/// A call that the client serves.
struct Serving {
    pipeline: any_pointer::Pipeline,
    task: Option<AbortHandle>,
    state: State,
}

/// ```text
/// Plain ──▶ (gone)
/// Kept ──── wanted ────▶ Wanted ──── answered ────▶ Done
///   └── answered ──▶ There ──────────── wanted ──────┘
/// ```
enum State {
    /// The call is over when it is answered.
    Plain,
    Kept,
    Wanted,
    /// The results are here, and nobody has asked for them.
    There(Response<any_pointer::Owned>),
    Done,
}

/// A call under way. Dropping it gives the call up.
pub(super) struct Calling {
    session: Rc<Session>,
    id: i32,
    answer: Option<oneshot::Receiver<Result<Arrived, CallError>>>,
}

impl Session {
    /// A session that was admitted; it hears what the shard tells it for as long as it lives.
    pub(super) fn begin(
        connection: &Rc<Connection>,
        request: RequestId,
        to_shard: UnboundedSender<Ask>,
        told: UnboundedReceiver<Told>,
    ) -> Rc<Self> {
        let session = Rc::new(Session {
            connection: Rc::clone(connection),
            request,
            to_shard: RefCell::new(Some(to_shard)),
            over: RefCell::default(),
            calls: RefCell::default(),
            given: RefCell::default(),
            given_places: RefCell::default(),
            serving: RefCell::default(),
            stubs: RefCell::default(),
        });
        connection
            .sessions
            .borrow_mut()
            .push(Rc::downgrade(&session));
        tokio::task::spawn_local(hear(Rc::downgrade(&session), Rc::clone(connection), told));
        session
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.borrow().is_some()
    }

    /// The error as the client gets it.
    pub(super) fn to_client(&self, error: &CallError) -> capnp::Error {
        errors::to_client(
            error,
            self.connection.settings.rpc.debug_errors,
            self.request,
        )
    }

    /// Ends it: what is under way and what comes later fails with `error`.
    pub(super) fn end(&self, error: CallError) {
        if self.is_over() {
            return;
        }
        self.over.replace(Some(error.clone()));
        let to_shard = self.to_shard.take();
        for answer in self.calls.take().drain() {
            self.count_calls(-1);
            // Whoever waited may be gone.
            let _ = answer.send(Err(error.clone()));
        }
        for serving in self.serving.take().into_values() {
            serving.stop();
        }
        // Dropped last: the client's objects may hold the session's.
        let given = self.given.take();
        self.given_places.take();
        drop((given, to_shard));
    }

    fn ask(&self, ask: Ask) {
        if let Some(to_shard) = &*self.to_shard.borrow() {
            // A shard that is gone says so.
            let _ = to_shard.send(ask);
        }
    }

    fn count_calls(&self, more: isize) {
        let calls = &self.connection.calls;
        calls.set(calls.get().saturating_add_signed(more));
    }

    fn message_bytes(&self) -> usize {
        self.connection.settings.rpc.message_bytes
    }

    // ---- What the client holds.

    /// What stands for an export or a capability of a service: always the same while it is held.
    pub(super) fn stub(self: &Rc<Self>, callee: Callee, received: i32) -> Rc<Stub> {
        let known = self.stubs.borrow().get(&callee).and_then(Weak::upgrade);
        let stub = known.unwrap_or_else(|| {
            let stub = Rc::new(Stub {
                session: Rc::clone(self),
                callee,
                received: Cell::new(0),
            });
            let mut all = self.connection.stubs.borrow_mut();
            all.insert(stub.address(), Rc::downgrade(&stub));
            self.stubs.borrow_mut().insert(callee, Rc::downgrade(&stub));
            stub
        });
        stub.received
            .set(stub.received.get().saturating_add(received));
        stub
    }

    /// The client holds it no more.
    pub(super) fn forget(&self, stub: &Stub) {
        self.connection.stubs.borrow_mut().remove(&stub.address());
        self.stubs.borrow_mut().remove(&stub.callee);
        if let Callee::Object(key) = stub.callee {
            self.ask(Ask::Drop(key, stub.received.get()));
        }
    }

    // ---- Capability tables.

    /// How what a client sends travels to the shard.
    fn passed(&self, hook: Option<Box<dyn ClientHook>>) -> Passed {
        let Some(mut hook) = hook else {
            return Passed::broken();
        };
        while let Some(resolved) = hook.get_resolved() {
            hook = resolved;
        }
        let known = {
            let stubs = self.connection.stubs.borrow();
            stubs.get(&hook.get_ptr()).and_then(Weak::upgrade)
        };
        if let Some(stub) = known
            && let Callee::Object(key) = stub.callee
        {
            return match stub.session.is_over() {
                true => Passed::broken(),
                false => Passed::Imported(to_words(key)),
            };
        }
        let place = (hook.get_brand(), hook.get_ptr());
        let mut given = self.given.borrow_mut();
        let mut places = self.given_places.borrow_mut();
        let index = *places.entry(place).or_insert_with(|| {
            given.insert(Given {
                hook,
                place,
                sent: 0,
            })
        });
        if let Some(one) = given.get_mut(index) {
            one.sent = one.sent.saturating_add(1);
        }
        i32::try_from(index).map_or_else(|_| Passed::broken(), Passed::Here)
    }

    /// What a capability from the shard is to capnp-rpc.
    fn hook(self: &Rc<Self>, passed: Passed) -> Option<Box<dyn ClientHook>> {
        match passed {
            Passed::Here(index) => {
                let given = self.given.borrow();
                let one = given.get(usize::try_from(index).ok()?)?;
                Some(one.hook.add_ref())
            }
            Passed::Imported(words) => {
                let key: CapabilityKey = from_words(words);
                match key.is_null() {
                    true => Some(gone_hook()),
                    false => Some(self.stub(Callee::Object(key), 1).hook()),
                }
            }
            Passed::Answer(words, path) => Some(self.part(from_words(words), path)),
        }
    }

    /// What a path leads to in an answer of the client's, which may not be there yet.
    fn part(&self, key: CallKey, path: i32) -> Box<dyn ClientHook> {
        let serving = self.serving.borrow();
        match serving.get(&key) {
            Some(one) => one.pipeline.hook.get_pipelined_cap(&steps(path)),
            None => gone_hook(),
        }
    }

    fn pack(&self, from: any_pointer::Reader<'_>) -> Result<Packet, CallError> {
        let (words, hooks) = pack(from, self.message_bytes())?;
        let caps = hooks.into_iter().map(|hook| self.passed(hook)).collect();
        let used = words.len();
        Ok(Packet {
            segments: vec![Lent::Words(words, used)],
            caps,
        })
    }

    fn arrive(self: &Rc<Self>, packet: Packet) -> Arrived {
        let hooks = packet.caps.iter().map(|passed| self.hook(*passed));
        let hooks = hooks.collect();
        let words = self.message_bytes() / 8 + 1024;
        Arrived(Message::bounded(packet.segments, hooks, words))
    }

    /// Writes what has come from a service.
    pub(super) fn fill(
        &self,
        from: &Arrived,
        to: &mut any_pointer::Builder<'_>,
    ) -> capnp::Result<()> {
        to.set_as(from.0.root()?)
    }

    // ---- Calls of services.

    /// Begins a call of a service's object.
    pub(super) fn call(
        self: &Rc<Self>,
        callee: Callee,
        method: Method,
        params: &Params<any_pointer::Owned>,
    ) -> Result<Calling, CallError> {
        if let Some(error) = &*self.over.borrow() {
            return Err(error.clone());
        }
        let max = self.connection.settings.rpc.calls_in_flight_per_connection;
        if self.connection.calls.get() >= max {
            let text = format!(
                "the bound calls_in_flight_per_connection ({max}) is reached; wait for answers"
            );
            return Err(CallError::host(ErrorKind::Overloaded, text));
        }
        let malformed = |error: capnp::Error| {
            CallError::host(ErrorKind::BadMessage, format!("malformed message: {error}"))
        };
        let params = self.pack(params.hook.get().map_err(malformed)?)?;
        let (sender, answer) = oneshot::channel();
        let id = self.calls.borrow_mut().insert(sender);
        self.count_calls(1);
        // Far fewer than that are in flight.
        let id = i32::try_from(id).unwrap_or(i32::MAX);
        self.ask(Ask::Call {
            id,
            callee,
            method,
            params,
            root: None,
        });
        Ok(Calling {
            session: Rc::clone(self),
            id,
            answer: Some(answer),
        })
    }

    fn answered(self: &Rc<Self>, id: i32, answer: Result<Packet, CallError>) {
        let answer = answer.map(|packet| self.arrive(packet));
        let known = usize::try_from(id).ok();
        let waiting = known.and_then(|id| self.calls.borrow_mut().try_remove(id));
        if let Some(waiting) = waiting {
            self.count_calls(-1);
            // Whoever waited may have given up.
            let _ = waiting.send(answer);
        }
    }

    // ---- Calls of the client's objects.

    fn serve(self: &Rc<Self>, key: CallKey, served: Served, method: Method, call: Incoming) {
        let hook = match served {
            Served::Object(index) => self.hook(Passed::Here(index)).unwrap_or_else(gone_hook),
            Served::Answer(answer, path) => self.part(answer, path),
            // A client has none.
            Served::Export(_) => gone_hook(),
        };
        let mut request = hook.new_call(method.interface, method.ordinal, None);
        let written = call.params.and_then(|params| {
            let params = self.arrive(params);
            let written = self.fill(&params, &mut request.hook.get());
            written.map_err(|error| CallError::host(ErrorKind::BadMessage, error.to_string()))
        });
        if let Err(error) = written {
            return self.ask(Ask::Answer(key, Err(error)));
        }
        let remote = request.hook.send();
        let state = match (call.keep, call.wanted) {
            (false, _) => State::Plain,
            (true, false) => State::Kept,
            (true, true) => State::Wanted,
        };
        let serving = Serving {
            pipeline: remote.pipeline,
            task: None,
            state,
        };
        self.serving.borrow_mut().insert(key, serving);
        let session = Rc::downgrade(self);
        let task = tokio::task::spawn_local(async move {
            let response = remote.promise.await;
            if let Some(session) = session.upgrade() {
                session.served(key, response);
            }
        });
        if let Some(serving) = self.serving.borrow_mut().get_mut(&key) {
            serving.task = Some(task.abort_handle());
        }
    }

    fn served(&self, key: CallKey, response: capnp::Result<Response<any_pointer::Owned>>) {
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                let answer = Err(errors::from_client(&error));
                return self.ask(Ask::Answer(key, answer));
            }
        };
        let mut all = self.serving.borrow_mut();
        let Some(serving) = all.get_mut(&key) else {
            return;
        };
        match serving.state {
            State::Kept => {
                serving.state = State::There(response);
                return;
            }
            State::Plain => {
                // Dropped only now: its end may lead back here.
                let plain = all.remove(&key);
                drop((all, plain));
            }
            _ => {
                serving.state = State::Done;
                drop(all);
            }
        }
        self.reply(key, &response);
    }

    fn reply(&self, key: CallKey, response: &Response<any_pointer::Owned>) {
        let malformed = |error: capnp::Error| errors::from_client(&error);
        let results = response.get().map_err(malformed);
        let answer = results.and_then(|results| self.pack(results));
        self.ask(Ask::Answer(key, answer));
    }

    fn pull(&self, key: CallKey) {
        let mut all = self.serving.borrow_mut();
        let Some(serving) = all.get_mut(&key) else {
            return;
        };
        match std::mem::replace(&mut serving.state, State::Done) {
            State::There(response) => {
                drop(all);
                self.reply(key, &response);
            }
            State::Kept => serving.state = State::Wanted,
            other => serving.state = other,
        }
    }

    fn finish(&self, key: CallKey) {
        let finished = self.serving.borrow_mut().remove(&key);
        if let Some(serving) = finished {
            serving.stop();
        }
    }

    /// No service holds this object of the client's any more.
    fn dropped(&self, index: i32, count: i32) {
        let mut given = self.given.borrow_mut();
        let Some(index) = usize::try_from(index).ok() else {
            return;
        };
        let Some(one) = given.get_mut(index) else {
            return;
        };
        one.sent = one.sent.saturating_sub(count);
        if one.sent <= 0 {
            let unheld = given.try_remove(index);
            drop(given);
            if let Some(one) = &unheld {
                self.given_places.borrow_mut().remove(&one.place);
            }
            drop(unheld);
        }
    }

    fn heed(self: &Rc<Self>, told: Told) {
        match told {
            Told::Answered(id, answer) => self.answered(id, answer),
            Told::Call {
                key,
                served,
                method,
                params,
                keep,
                wanted,
                ..
            } => {
                let call = Incoming {
                    params,
                    keep,
                    wanted,
                };
                self.serve(key, served, method, call);
            }
            Told::Pull(key) => self.pull(key),
            Told::Finish(key) => self.finish(key),
            Told::Dropped(index, count) => self.dropped(index, count),
            Told::Over(error) => self.end(error),
            Told::Ended(_) => {}
        }
    }
}

/// What comes with a call of the client's object.
struct Incoming {
    params: Result<Packet, CallError>,
    keep: bool,
    wanted: bool,
}

impl Serving {
    fn stop(self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Calling {
    /// Waits for the results.
    pub(super) async fn answer(mut self) -> Result<Arrived, CallError> {
        let Some(answer) = &mut self.answer else {
            return Err(lost());
        };
        let answer = answer.await.unwrap_or_else(|_| Err(lost()));
        self.answer = None;
        answer
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        if self.answer.is_some() {
            self.session.ask(Ask::Cancel(self.id));
        }
    }
}

/// Ends a session whose task ends, in whatever way.
struct EndWith(Weak<Session>);

impl Drop for EndWith {
    fn drop(&mut self) {
        if let Some(session) = self.0.upgrade() {
            session.end(lost());
        }
    }
}

async fn hear(
    session: Weak<Session>,
    connection: Rc<Connection>,
    mut told: UnboundedReceiver<Told>,
) {
    let _end = EndWith(Weak::clone(&session));
    let mut lost = pin!(connection.shard.lost());
    loop {
        let told = tokio::select! {
            biased;
            told = told.recv() => told,
            () = &mut lost => None,
        };
        let (Some(told), Some(session)) = (told, session.upgrade()) else {
            return;
        };
        session.heed(told);
    }
}

fn gone_hook() -> Box<dyn ClientHook> {
    let text = "request-ended: the capability belongs to a request that has ended, or was dropped";
    capnp_rpc::new_broken_cap(capnp::Error::disconnected(text.into())).hook
}

fn lost() -> CallError {
    let text = "the session is gone with the thread that served it; open the export again";
    CallError::host(ErrorKind::Disconnected, text)
}
