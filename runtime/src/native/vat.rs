//! One native service on one shard: its exports, the calls that it serves and makes, and what it and
//! others gave each other.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use capnp::capability::Client;
use capnp::private::capability::ClientHook;
use slab::Slab;
use slotmap::Key;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;

use super::given::Given;
use super::pending::Pending;
use super::stub::{Calling, Filling, Stub, StubHook, part};
use super::{Context, NativeCode, errors, request};
use crate::error::{CallError, ErrorKind};
use crate::isolate::keys::{CallKey, CapabilityKey, RootKey, from_words, to_words};
use crate::isolate::wire::Passed;
use crate::message::{Draft, Hooks, Lent, Message, Packet, shared, steps, too_large};
use crate::park::{PanicEnds, with_panics};
use crate::shard::Shard;
use crate::shard::outside::{Ask, Callee, Method, Outside, Served, Told};

/// A native service on a shard, while that lives.
pub(crate) struct Vat {
    shard: Weak<Shard>,
    outside: Rc<Outside>,
    message_bytes: usize,
    exports: OnceCell<Vec<Box<dyn ClientHook>>>,
    imports: Vec<String>,
    /// By their names.
    calls: RefCell<Slab<Made>>,
    given: RefCell<Given>,
    /// Calls that it serves, and answers of its that are kept.
    serving: RefCell<HashMap<CallKey, Serving>>,
    stubs: RefCell<HashMap<Callee, Weak<Stub>>>,
    /// What stubs stand for, by their addresses: so that they are known again when they are sent.
    callees: RefCell<HashMap<usize, Callee>>,
}

/// A call that the service made.
struct Made {
    calling: Weak<Calling>,
    root: (i32, i32),
}

/// A call that the service serves.
struct Serving {
    root: RootKey,
    state: State,
    task: Option<AbortHandle>,
    /// For those who call what will be in the results, if these are kept.
    results: Rc<Pending<Result<Message, CallError>>>,
    /// Results that nobody has asked for yet, to be sent.
    unsent: Vec<Lent>,
}

/// ```text
/// Plain ──▶ (gone)
/// Kept ──── wanted ────▶ Wanted ──── answered ────▶ Done
///   └── answered ──▶ There ──────────── wanted ──────┘
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The call is over when it is answered.
    Plain,
    Kept,
    Wanted,
    /// The results are here, and nobody has asked for them.
    There,
    Done,
}

/// A call to serve.
struct Incoming {
    method: Method,
    root: (i32, i32),
    params: Result<Packet, CallError>,
    state: State,
}

impl Vat {
    /// Makes a service's exports; from then on it does what `told` says.
    ///
    /// # Errors
    /// What making one panicked with.
    pub(crate) fn begin(
        shard: &Rc<Shard>,
        outside: &Rc<Outside>,
        code: &NativeCode,
        told: UnboundedReceiver<Told>,
    ) -> Result<(), String> {
        let vat = Rc::new(Vat {
            shard: Rc::downgrade(shard),
            outside: Rc::clone(outside),
            message_bytes: shard.message_bytes(),
            exports: OnceCell::new(),
            imports: code.imports.clone(),
            calls: RefCell::default(),
            given: RefCell::default(),
            serving: RefCell::default(),
            stubs: RefCell::default(),
            callees: RefCell::default(),
        });
        let context = Context {
            vat: Rc::clone(&vat),
            shard: shard.index(),
        };
        let made = code.makes.iter().map(|make| make(&context));
        let exports = request::caught(|| made.collect())?;
        // Set once, here.
        let _ = vat.exports.set(exports);
        tokio::task::spawn_local(vat.hear(told));
        Ok(())
    }

    async fn hear(self: Rc<Self>, mut told: UnboundedReceiver<Told>) {
        while let Some(told) = told.recv().await {
            self.heed(told);
        }
    }

    fn heed(self: &Rc<Self>, told: Told) {
        match told {
            Told::Answered(id, answer) => self.answered(id, answer),
            Told::Call {
                key,
                served,
                method,
                root,
                params,
                keep,
                wanted,
            } => {
                let state = match (keep, wanted) {
                    (false, _) => State::Plain,
                    (true, false) => State::Kept,
                    (true, true) => State::Wanted,
                };
                let call = Incoming {
                    method,
                    root,
                    params,
                    state,
                };
                self.serve(key, served, call);
            }
            Told::Pull(key) => self.pull(key),
            Told::Finish(key) => {
                let finished = self.serving.borrow_mut().remove(&key);
                discard(finished.map(Serving::stop));
            }
            Told::Dropped(index, count) => {
                let dropped = self.given.borrow_mut().dropped(index, count);
                discard(dropped);
            }
            Told::Ended(root) => self.end(root),
            // Sessions alone are.
            Told::Over(_) => {}
        }
    }

    /// Has the shard do something. A panic there is not the service's.
    fn with_shard<R>(&self, act: impl FnOnce(&Shard) -> R) -> Option<R> {
        let shard = self.shard.upgrade()?;
        Some(with_panics(PanicEnds::TheThread, || act(&shard)))
    }

    fn ask(&self, ask: Ask) {
        self.with_shard(|shard| shard.ask(&self.outside, ask));
    }

    /// A request is over: what was given and kept for it goes.
    fn end(&self, root: RootKey) {
        let given = self.given.borrow_mut().end(root);
        let ended: Vec<_> = {
            let mut serving = self.serving.borrow_mut();
            let ended = serving.extract_if(|_, one| {
                one.root == root && !matches!(one.state, State::Plain | State::Wanted)
            });
            ended.map(|(_, one)| one.stop()).collect()
        };
        discard((given, ended));
    }

    // ---- What the service holds.

    /// The import of this name.
    pub(super) fn import(self: &Rc<Self>, name: &str) -> Box<dyn ClientHook> {
        match self.imports.iter().position(|import| import == name) {
            Some(import) => self.stub(Callee::Import(import), None, 0),
            None => {
                let text = format!(
                    "the service has no import {name}: declare it with NativeService::import"
                );
                capnp_rpc::new_broken_cap(errors::error(ErrorKind::NotGranted, text)).hook
            }
        }
    }

    /// What stands for an import or another's capability: always the same while it is held.
    fn stub(
        self: &Rc<Self>,
        callee: Callee,
        root: Option<(i32, i32)>,
        received: i32,
    ) -> Box<dyn ClientHook> {
        let known = self.stubs.borrow().get(&callee).and_then(Weak::upgrade);
        let stub = known.unwrap_or_else(|| {
            let stub = Rc::new(Stub {
                vat: Rc::clone(self),
                callee,
                root,
                received: Cell::new(0),
            });
            self.stubs.borrow_mut().insert(callee, Rc::downgrade(&stub));
            self.callees.borrow_mut().insert(stub.address(), callee);
            stub
        });
        let received = stub.received.get().saturating_add(received);
        stub.received.set(received);
        Box::new(StubHook(stub))
    }

    /// The service holds it no more.
    pub(super) fn forget(&self, stub: &Stub) {
        self.callees.borrow_mut().remove(&stub.address());
        self.stubs.borrow_mut().remove(&stub.callee);
        if let Callee::Object(key) = stub.callee {
            self.ask(Ask::Drop(key, stub.received.get()));
        }
    }

    // ---- Messages.

    /// How what the service sends travels to the shard.
    fn passed(&self, hook: Option<Box<dyn ClientHook>>, root: RootKey) -> Passed {
        let Some(mut hook) = hook else {
            return Passed::broken();
        };
        while let Some(resolved) = hook.get_resolved() {
            hook = resolved;
        }
        let address = Stub::address_of(&*hook);
        let callee = address.and_then(|address| self.callees.borrow().get(&address).copied());
        if let Some(Callee::Object(key)) = callee {
            return Passed::Imported(to_words(key));
        }
        let index = self.given.borrow_mut().send(hook, root);
        index.map_or_else(Passed::broken, Passed::Here)
    }

    /// A message for the shard, its capabilities given in the name of `root`.
    fn packet(
        &self,
        segments: Vec<Lent>,
        hooks: Hooks,
        root: RootKey,
    ) -> Result<Packet, CallError> {
        let bytes = segments.iter().filter_map(Lent::bytes).map(<[u8]>::len);
        if bytes.sum::<usize>() > self.message_bytes {
            return Err(too_large(self.message_bytes));
        }
        let hooks = hooks.into_iter();
        let caps = hooks.map(|hook| self.passed(hook, root)).collect();
        Ok(Packet { segments, caps })
    }

    /// Takes back what was given with a message that was not taken.
    fn take_back(&self, caps: &[Passed]) {
        for one in caps {
            if let Passed::Here(index) = one {
                let dropped = self.given.borrow_mut().dropped(*index, 1);
                discard(dropped);
            }
        }
    }

    /// A message of another service, its capabilities received in the name of `root`.
    fn message(self: &Rc<Self>, packet: Packet, root: (i32, i32)) -> Message {
        let hooks = packet.caps.iter().map(|passed| self.hook(*passed, root));
        let hooks = hooks.collect();
        Message::new(packet.segments, hooks)
    }

    fn hook(self: &Rc<Self>, passed: Passed, root: (i32, i32)) -> Option<Box<dyn ClientHook>> {
        match passed {
            Passed::Here(index) => self.given.borrow().get(index),
            Passed::Imported(words) => {
                let key: CapabilityKey = from_words(words);
                match key.is_null() {
                    true => Some(gone()),
                    false => Some(self.stub(Callee::Object(key), Some(root), 1)),
                }
            }
            Passed::Answer(words, path) => Some(self.part(from_words(words), path)),
        }
    }

    /// What a path leads to in an answer of the service's, which may not be there yet.
    fn part(&self, key: CallKey, path: i32) -> Box<dyn ClientHook> {
        let results = match self.serving.borrow().get(&key) {
            Some(serving) => Rc::clone(&serving.results),
            None => return gone(),
        };
        let steps = steps(path);
        if let Some(Ok(message)) = results.get() {
            return part(message, &steps);
        }
        let client: Client = capnp_rpc::new_future_client(async move {
            match results.wait().await {
                Ok(message) => Ok(Client::new(part(message, &steps))),
                Err(error) => Err(errors::to_native(error)),
            }
        });
        client.hook
    }

    // ---- Calls that the service makes.

    /// Begins a call of another service, on behalf of the request that the task works for.
    pub(super) fn call(self: &Rc<Self>, stub: &Stub, method: Method, draft: Draft) -> Rc<Calling> {
        let calling = Calling::new(self);
        if let Err(error) = self.try_call(&calling, stub, method, draft) {
            if let Some(id) = calling.id.take() {
                self.calls.borrow_mut().try_remove(id);
            }
            calling.answer.set(Err(error));
        }
        calling
    }

    fn try_call(
        &self,
        calling: &Rc<Calling>,
        stub: &Stub,
        method: Method,
        draft: Draft,
    ) -> Result<(), CallError> {
        let root = request::current().or(stub.root).ok_or_else(|| {
            let text = "a native service calls others on behalf of a request: in its methods, and \
                        in tasks that these begin with `native::spawn`";
            CallError::host(ErrorKind::RequestEnded, text)
        })?;
        let (segments, hooks) = draft.finish();
        let params = self.packet(segments, hooks, from_words(root))?;
        let caps = params.caps.clone();
        let id = self.calls.borrow_mut().insert(Made {
            calling: Rc::downgrade(calling),
            root,
        });
        calling.id.set(Some(id));
        // Far fewer than that are in flight.
        let name = i32::try_from(id).unwrap_or(i32::MAX);
        let accepted = self.with_shard(|shard| {
            shard.accept_from(
                &self.outside,
                name,
                (stub.callee, method),
                params,
                Some(root),
            )
        });
        let accepted = accepted.unwrap_or_else(|| Err(shard_gone()));
        accepted.inspect_err(|_| self.take_back(&caps))
    }

    /// Nobody waits any more for the call of this name.
    pub(super) fn give_up(&self, id: usize) {
        if let Ok(id) = i32::try_from(id) {
            self.ask(Ask::Cancel(id));
        }
    }

    fn answered(self: &Rc<Self>, id: i32, answer: Result<Packet, CallError>) {
        let known = usize::try_from(id).ok();
        let made = known.and_then(|id| self.calls.borrow_mut().try_remove(id));
        let Some(Made { calling, root }) = made else {
            return;
        };
        let answer = answer.map(|packet| Rc::new(self.message(packet, root)));
        match calling.upgrade() {
            Some(calling) => calling.answer.set(answer),
            None => discard(answer),
        }
    }

    // ---- Calls that the service serves.

    fn serve(self: &Rc<Self>, key: CallKey, served: Served, call: Incoming) {
        let hook = match served {
            Served::Export(export) => {
                let export = self.exports.get().and_then(|all| all.get(export));
                export.map_or_else(gone, |export| export.add_ref())
            }
            Served::Object(index) => self.given.borrow().get(index).unwrap_or_else(gone),
            Served::Answer(answer, path) => self.part(answer, path),
        };
        let Incoming {
            method,
            root,
            params,
            state,
        } = call;
        let serving = Serving {
            root: from_words(root),
            state,
            task: None,
            results: Rc::default(),
            unsent: Vec::new(),
        };
        self.serving.borrow_mut().insert(key, serving);
        let params = match params {
            Ok(packet) => Box::new(self.message(packet, root)),
            Err(error) => return self.failed(key, error),
        };
        let filled = Rc::new(RefCell::new(None));
        let results = Box::new(Filling::new(&filled));
        let work = request::on_behalf(root, async move {
            let Method { interface, ordinal } = method;
            hook.call(interface, ordinal, params, results).await?;
            Ok(filled.take().unwrap_or_else(Draft::new))
        });
        let vat = Rc::clone(self);
        let task = tokio::task::spawn_local(async move { vat.done(key, work.await) });
        if let Some(serving) = self.serving.borrow_mut().get_mut(&key) {
            serving.task = Some(task.abort_handle());
        }
    }

    /// A method has returned, failed or panicked.
    fn done(&self, key: CallKey, outcome: Result<capnp::Result<Draft>, String>) {
        match outcome {
            Ok(Ok(draft)) => self.returned(key, draft),
            Ok(Err(error)) => self.failed(key, errors::from_native(&error)),
            Err(panic) => {
                self.outside.count_panic();
                self.failed(key, errors::panicked(&panic));
            }
        }
    }

    fn failed(&self, key: CallKey, error: CallError) {
        let error = match self.outside.program() {
            Some(program) => error.in_bundle(program.id()),
            None => error,
        };
        let mut all = self.serving.borrow_mut();
        match all.get_mut(&key) {
            None => return,
            Some(one) if one.state == State::Plain => drop(all.remove(&key)),
            Some(one) => {
                one.state = State::Done;
                one.results.set(Err(error.clone()));
            }
        }
        drop(all);
        self.ask(Ask::Answer(key, Err(error)));
    }

    fn returned(&self, key: CallKey, draft: Draft) {
        let (segments, hooks) = draft.finish();
        let mut all = self.serving.borrow_mut();
        let Some(serving) = all.get_mut(&key) else {
            drop(all);
            return discard(hooks);
        };
        let root = serving.root;
        let state = serving.state;
        if state == State::Plain {
            // The results are nobody's any more once they are sent.
            drop(all.remove(&key));
            drop(all);
            return self.reply(key, segments, hooks, root);
        }
        let (kept, unsent) = shared(segments);
        let sent = hooks.clone();
        serving.results.set(Ok(Message::new(kept, hooks)));
        match state {
            State::Kept => {
                serving.state = State::There;
                serving.unsent = unsent;
            }
            _ => {
                serving.state = State::Done;
                drop(all);
                self.reply(key, unsent, sent, root);
            }
        }
    }

    fn pull(&self, key: CallKey) {
        let mut all = self.serving.borrow_mut();
        let Some(serving) = all.get_mut(&key) else {
            return;
        };
        match serving.state {
            State::Kept => serving.state = State::Wanted,
            State::There => {
                serving.state = State::Done;
                let (root, unsent) = (serving.root, std::mem::take(&mut serving.unsent));
                let hooks = match serving.results.get() {
                    Some(Ok(message)) => message.hooks().clone(),
                    _ => Hooks::new(),
                };
                drop(all);
                self.reply(key, unsent, hooks, root);
            }
            State::Plain | State::Wanted | State::Done => {}
        }
    }

    fn reply(&self, key: CallKey, segments: Vec<Lent>, hooks: Hooks, root: RootKey) {
        match self.packet(segments, hooks, root) {
            Err(error) => self.ask(Ask::Answer(key, Err(error))),
            Ok(packet) => {
                let caps = packet.caps.clone();
                let settle = |shard: &Shard| shard.settle_from(&self.outside, key, packet);
                if self.with_shard(settle) != Some(true) {
                    self.take_back(&caps);
                }
            }
        }
    }
}

impl Serving {
    /// Nobody waits for it any more.
    fn stop(self) -> Rc<Pending<Result<Message, CallError>>> {
        if let Some(task) = &self.task {
            task.abort();
        }
        let error = CallError::host(ErrorKind::Cancelled, "the call was given up");
        self.results.set(Err(error));
        self.results
    }
}

/// Drops what may be the service's own: its code may panic in that.
fn discard<T>(thing: T) {
    if let Err(panic) = request::caught(|| drop(thing)) {
        tracing::error!("dropping an object of a native service panicked: {panic}");
    }
}

fn gone() -> Box<dyn ClientHook> {
    let text = "the capability belongs to a request that has ended, or was dropped";
    capnp_rpc::new_broken_cap(errors::error(ErrorKind::RequestEnded, text)).hook
}

fn shard_gone() -> CallError {
    CallError::host(ErrorKind::Disconnected, "the shard is gone")
}
