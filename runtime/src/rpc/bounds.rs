//! What bounds the memory of one connection: a network for capnp-rpc that counts what passes.
//!
//! capnp-rpc keeps a call until it is answered, and its results until the client says that it has
//! finished with them; a client that never does must not make it keep more and more. So every
//! message is looked at as it passes:
//!
//! - Calls that are not finished, in number and, with their results, in bytes. Past the bound the
//!   connection is ended with an error that names it.
//! - What waits to be written. Past the bound nothing more is read.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use capnp::capability::Promise;
use capnp::message::{Builder, HeapAllocator};
use capnp::{Error, any_pointer};
use capnp_rpc::rpc_capnp::{message, payload, return_};
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{Connection, FlowController, IncomingMessage, OutgoingMessage, VatNetwork};
use tokio::sync::Notify;

/// Capabilities that one message may carry.
const MAX_CAPABILITIES_PER_MESSAGE: u32 = 1_024;

/// Calls that are not finished, for each that may be in flight: those that are answered count too,
/// until the client has heard of it.
const UNFINISHED_PER_CALL: usize = 4;

/// What an entry in capnp-rpc's tables takes besides its message.
const ENTRY_BYTES: usize = 512;

/// What one connection holds.
pub(super) struct Bounds {
    max_calls: usize,
    max_bytes: usize,
    /// The client's calls, by question, and ours.
    asked: RefCell<HashMap<u32, Question>>,
    asking: RefCell<HashMap<u32, usize>>,
    /// Of those calls, with their results.
    bytes: Cell<usize>,
    unanswered: Cell<usize>,
    /// Bytes that were read since the message before.
    read: Cell<usize>,
    /// Bytes that are still to be written.
    backlog: Cell<usize>,
    written: Notify,
    moved: Cell<Instant>,
    broken: RefCell<Option<Error>>,
    breaks: Notify,
}

#[derive(Default)]
struct Question {
    bytes: usize,
    is_answered: bool,
}

impl Bounds {
    pub(super) fn new(max_calls: usize, max_bytes: usize) -> Rc<Self> {
        Rc::new(Bounds {
            max_calls: max_calls.saturating_mul(UNFINISHED_PER_CALL),
            max_bytes,
            asked: RefCell::default(),
            asking: RefCell::default(),
            bytes: Cell::new(0),
            unanswered: Cell::new(0),
            read: Cell::new(0),
            backlog: Cell::new(0),
            written: Notify::new(),
            moved: Cell::new(Instant::now()),
            broken: RefCell::default(),
            breaks: Notify::new(),
        })
    }

    pub(super) fn count_read(&self, bytes: usize) {
        self.read.set(self.read.get().saturating_add(bytes));
        self.moved.set(Instant::now());
    }

    pub(super) fn count_written(&self, bytes: usize) {
        self.backlog.set(self.backlog.get().saturating_sub(bytes));
        self.moved.set(Instant::now());
        self.written.notify_one();
    }

    /// The connection is of no use any more.
    fn break_with(&self, error: Error) {
        self.broken.replace(Some(error));
        self.breaks.notify_one();
    }

    /// Waits until a bound was passed, or what came could not be read.
    pub(super) async fn broken(&self) -> Error {
        loop {
            if let Some(error) = self.broken.take() {
                return error;
            }
            self.breaks.notified().await;
        }
    }

    /// Waits until nothing has moved for so long, and the client waits for no answer, or takes none.
    pub(super) async fn idle(&self, timeout: Duration) {
        loop {
            let silent = self.moved.get().elapsed();
            let waits = self.unanswered.get() > 0 && self.backlog.get() == 0;
            match timeout.checked_sub(silent) {
                Some(left) => tokio::time::sleep(left).await,
                None if waits => tokio::time::sleep(timeout).await,
                None => return,
            }
        }
    }

    async fn room(&self) {
        while self.backlog.get() > self.max_bytes {
            self.written.notified().await;
        }
    }

    fn add(&self, bytes: usize) -> Result<(), Error> {
        let total = self.bytes.get().saturating_add(bytes);
        self.bytes.set(total);
        if total <= self.max_bytes {
            return Ok(());
        }
        Err(exceeded("bytes_in_flight_per_connection", self.max_bytes))
    }

    fn subtract(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
    }

    /// A message has come.
    fn incoming(&self, message: &dyn IncomingMessage) -> Result<(), Error> {
        let bytes = self.read.take().saturating_add(ENTRY_BYTES);
        let body: message::Reader<'_> = message.get_body()?.get_as()?;
        match body.which() {
            Ok(message::Bootstrap(bootstrap)) => self.ask(bootstrap?.get_question_id(), bytes),
            Ok(message::Call(call)) => {
                let call = call?;
                check_table(call.get_params()?)?;
                self.ask(call.get_question_id(), bytes)
            }
            Ok(message::Return(answer)) => {
                let answer = answer?;
                let asking = self.asking.borrow_mut().remove(&answer.get_answer_id());
                self.subtract(asking.unwrap_or(0));
                match answer.which() {
                    Ok(return_::Results(results)) => check_table(results?),
                    _ => Ok(()),
                }
            }
            Ok(message::Finish(finish)) => {
                let question = finish?.get_question_id();
                if let Some(question) = self.asked.borrow_mut().remove(&question) {
                    self.subtract(question.bytes);
                    if !question.is_answered {
                        self.unanswered.set(self.unanswered.get().saturating_sub(1));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn ask(&self, id: u32, bytes: usize) -> Result<(), Error> {
        let mut asked = self.asked.borrow_mut();
        if asked.len() >= self.max_calls {
            return Err(exceeded("calls_in_flight_per_connection", self.max_calls));
        }
        let question = Question {
            bytes,
            is_answered: false,
        };
        // capnp-rpc refuses a question that is asked twice.
        if asked.insert(id, question).is_none() {
            self.unanswered.set(self.unanswered.get() + 1);
        }
        self.add(bytes)
    }

    /// A message is about to go.
    fn outgoing(&self, message: &dyn OutgoingMessage) -> Result<(), Error> {
        let bytes = message.size_in_words().saturating_mul(8);
        self.backlog.set(self.backlog.get().saturating_add(bytes));
        let body: message::Reader<'_> = message.get_body_as_reader()?.get_as()?;
        match body.which() {
            Ok(message::Return(answer)) => {
                let id = answer?.get_answer_id();
                let mut asked = self.asked.borrow_mut();
                let Some(question) = asked.get_mut(&id) else {
                    return Ok(());
                };
                if !std::mem::replace(&mut question.is_answered, true) {
                    self.unanswered.set(self.unanswered.get().saturating_sub(1));
                }
                question.bytes = question.bytes.saturating_add(bytes);
                self.add(bytes)
            }
            Ok(message::Call(call)) => {
                let bytes = bytes.saturating_add(ENTRY_BYTES);
                self.asking
                    .borrow_mut()
                    .insert(call?.get_question_id(), bytes);
                self.add(bytes)
            }
            _ => Ok(()),
        }
    }
}

fn check_table(payload: payload::Reader<'_>) -> Result<(), Error> {
    match payload.get_cap_table()?.len() <= MAX_CAPABILITIES_PER_MESSAGE {
        true => Ok(()),
        false => Err(exceeded(
            "the capabilities of a message",
            MAX_CAPABILITIES_PER_MESSAGE as usize,
        )),
    }
}

fn exceeded(name: &str, value: usize) -> Error {
    let text = format!("the connection passed a bound and was ended: {name} ({value})");
    Error::failed(text)
}

/// A network whose messages are counted.
pub(super) struct Guarded<N> {
    pub(super) network: N,
    pub(super) bounds: Rc<Bounds>,
}

struct GuardedConnection(Box<dyn Connection<Side>>, Rc<Bounds>);

struct GuardedMessage(Box<dyn OutgoingMessage>, Rc<Bounds>);

impl<N: VatNetwork<Side>> VatNetwork<Side> for Guarded<N> {
    fn connect(&mut self, side: Side) -> Option<Box<dyn Connection<Side>>> {
        let connection = self.network.connect(side)?;
        Some(Box::new(GuardedConnection(
            connection,
            Rc::clone(&self.bounds),
        )))
    }

    fn accept(&mut self) -> Promise<Box<dyn Connection<Side>>, Error> {
        let (accepted, bounds) = (self.network.accept(), Rc::clone(&self.bounds));
        Promise::from_future(async move {
            let connection: Box<dyn Connection<Side>> =
                Box::new(GuardedConnection(accepted.await?, bounds));
            Ok(connection)
        })
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), Error> {
        self.network.drive_until_shutdown()
    }
}

impl Connection<Side> for GuardedConnection {
    fn get_peer_vat_id(&self) -> Side {
        self.0.get_peer_vat_id()
    }

    fn new_outgoing_message(&mut self, words: u32) -> Box<dyn OutgoingMessage> {
        let message = self.0.new_outgoing_message(words);
        Box::new(GuardedMessage(message, Rc::clone(&self.1)))
    }

    fn receive_incoming_message(&mut self) -> Promise<Option<Box<dyn IncomingMessage>>, Error> {
        let (next, bounds) = (self.0.receive_incoming_message(), Rc::clone(&self.1));
        Promise::from_future(async move {
            bounds.room().await;
            let message = next.await.and_then(|message| {
                if let Some(message) = &message {
                    bounds.incoming(&**message)?;
                }
                Ok(message)
            });
            if let Err(error) = &message {
                bounds.break_with(error.clone());
            }
            message
        })
    }

    fn new_stream(&mut self) -> (Box<dyn FlowController>, Promise<(), Error>) {
        self.0.new_stream()
    }

    fn shutdown(&mut self, result: capnp::Result<()>) -> Promise<(), Error> {
        let shutdown = self.0.shutdown(result);
        Promise::from_future(async move {
            // capnp-rpc would print the error on standard output; whoever serves the connection
            // hears of it anyway.
            let _ = shutdown.await;
            Ok(())
        })
    }
}

impl OutgoingMessage for GuardedMessage {
    fn get_body(&mut self) -> capnp::Result<any_pointer::Builder<'_>> {
        self.0.get_body()
    }

    fn get_body_as_reader(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.0.get_body_as_reader()
    }

    fn send(self: Box<Self>) -> (Promise<(), Error>, Rc<Builder<HeapAllocator>>) {
        if let Err(error) = self.1.outgoing(&*self.0) {
            self.1.break_with(error);
        }
        self.0.send()
    }

    fn take(self: Box<Self>) -> Builder<HeapAllocator> {
        self.0.take()
    }

    fn size_in_words(&self) -> usize {
        self.0.size_in_words()
    }
}
