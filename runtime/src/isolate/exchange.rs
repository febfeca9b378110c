//! HTTP exchanges that an isolate has under way, and the bodies that flow through them. Those that
//! it serves and those that it asks for share their numbers and the way that bodies take.

use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::keys::RootKey;
use super::outbound::Asked;
use super::{Event, Isolate};
use crate::error::CallError;
use crate::http::{BodyChunk, BodySender, BodyStream, HttpBody, HttpResponse};

/// What a service may do after it wrote a chunk; the numbers are those of `js/glue/http.js`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum WriteState {
    Ready = 0,
    Wait = 1,
    Closed = 2,
}

/// One HTTP request inside an isolate.
pub(super) struct Exchange {
    side: Side,
    incoming: Incoming,
    outgoing: Option<BodySender>,
}

/// Which end of an exchange the isolate is.
pub(super) enum Side {
    /// It answers; the reply is gone once it has.
    Served {
        root: RootKey,
        reply: Option<oneshot::Sender<Result<HttpResponse, CallError>>>,
    },
    /// It asks.
    Asked(#[expect(dead_code, reason = "held: dropping it ends the request")] Asked),
}

/// The body on its way to the service: of a request that it serves, or of an answer.
enum Incoming {
    /// There is none, or all of it was read, or the service wants no more of it.
    Done,
    /// Nobody waits for a chunk.
    Idle(mpsc::Receiver<BodyChunk>),
    /// A task waits for the next chunk and will put the receiver back.
    Pulling,
}

impl Exchange {
    pub(super) fn new(
        side: Side,
        incoming: Option<mpsc::Receiver<BodyChunk>>,
        outgoing: Option<BodySender>,
    ) -> Self {
        Exchange {
            side,
            incoming: incoming.map_or(Incoming::Done, Incoming::Idle),
            outgoing,
        }
    }
}

impl Isolate {
    /// Takes an exchange in and returns its number.
    pub(crate) fn open_exchange(
        &self,
        root: RootKey,
        body: Option<mpsc::Receiver<BodyChunk>>,
        reply: oneshot::Sender<Result<HttpResponse, CallError>>,
    ) -> i32 {
        let number = self.take_exchange_number();
        let served = Side::Served {
            root,
            reply: Some(reply),
        };
        self.insert_exchange(number, Exchange::new(served, body, None));
        number
    }

    pub(super) fn take_exchange_number(&self) -> i32 {
        // Numbers are not used again soon: a handler may outlive its exchange and still name it.
        let number = self.next_exchange.get();
        self.next_exchange.set(number.wrapping_add(1) & i32::MAX);
        number
    }

    pub(super) fn insert_exchange(&self, number: i32, exchange: Exchange) {
        self.exchanges.borrow_mut().insert(number, exchange);
    }

    /// Requests that this isolate has made and not yet read the answers of.
    pub(super) fn count_asked(&self) -> usize {
        let exchanges = self.exchanges.borrow();
        let asked = |exchange: &&Exchange| matches!(exchange.side, Side::Asked(_));
        exchanges.values().filter(asked).count()
    }

    /// The client is gone or the deadline passed: tells the service.
    pub(crate) fn abort_exchange(self: &Rc<Self>, exchange: i32, reason: &str) {
        if self.exchanges.borrow_mut().remove(&exchange).is_some() {
            self.push(Event::Abort {
                exchange,
                reason: reason.to_owned(),
            });
        }
    }

    /// Answers in the handler's place, or cuts its response short, and tells the handler.
    pub(crate) fn evict_exchange(self: &Rc<Self>, exchange: i32, error: &CallError) {
        self.respond(exchange, Err(error.clone()));
        let reason = error.message.clone();
        self.push(Event::Abort { exchange, reason });
    }

    /// Fails the HTTP exchanges and JSON calls under way here of the requests for which `which`
    /// holds.
    pub(crate) fn fail_exchanges(&self, which: impl Fn(RootKey) -> bool, error: &CallError) {
        let of = |exchange: &Exchange| match exchange.side {
            Side::Served { root, .. } => which(root),
            Side::Asked(_) => false,
        };
        let failed: Vec<i32> = {
            let exchanges = self.exchanges.borrow();
            let failed = exchanges.iter().filter(|(_, exchange)| of(exchange));
            failed.map(|(number, _)| *number).collect()
        };
        for exchange in failed {
            self.respond(exchange, Err(error.clone()));
        }
        let replies: Vec<_> = {
            let mut waiting = self.json_replies.borrow_mut();
            let failed: Vec<usize> = waiting
                .iter()
                .filter(|(_, reply)| which(reply.root))
                .map(|(id, _)| id)
                .collect();
            failed
                .into_iter()
                .filter_map(|id| waiting.try_remove(id))
                .collect()
        };
        for reply in replies {
            self.count(true);
            // Whoever asked may have given up.
            let _ = reply.sender.send(Err(error.clone()));
        }
    }

    fn with_exchange<R>(&self, exchange: i32, f: impl FnOnce(&mut Exchange) -> R) -> Option<R> {
        let mut exchanges = self.exchanges.borrow_mut();
        exchanges.get_mut(&exchange).map(f)
    }

    /// The head of the response, or the error that stands for it.
    pub(super) fn respond(&self, exchange: i32, response: Result<HttpResponse, CallError>) {
        let failed = response.is_err();
        let streams = matches!(&response, Ok(head) if matches!(head.body, HttpBody::Stream(_)));
        self.count(failed);
        if let Err(error) = &response {
            self.failed_with(error.kind);
        }
        let undelivered = self.with_exchange(exchange, |entry| match &mut entry.side {
            Side::Served { reply, .. } => match reply.take() {
                Some(reply) => {
                    // The client may be gone; then its abort is on the way.
                    let _ = reply.send(response);
                    None
                }
                // The head is out already: an error cuts the body short.
                None => response.err(),
            },
            Side::Asked(_) => None,
        });
        if let Some(Some(error)) = undelivered {
            self.with_exchange(exchange, |entry| {
                if let Some(body) = entry.outgoing.take() {
                    body.cut(error.to_string());
                }
            });
        }
        if !streams {
            self.end_body(exchange);
        }
    }

    pub(super) fn open_response_body(&self, exchange: i32) -> Option<BodyStream> {
        let (sender, receiver) = BodyStream::new();
        self.with_exchange(exchange, |entry| entry.outgoing = Some(sender))?;
        Some(receiver)
    }

    pub(super) fn write_body(self: &Rc<Self>, exchange: i32, bytes: Bytes) -> WriteState {
        let sender = self.with_exchange(exchange, |entry| {
            let body = entry.outgoing.as_ref();
            body.map(|body| body.chunks().clone())
        });
        let Some(Some(sender)) = sender else {
            return WriteState::Closed;
        };
        // There is room: the last write said so, or its wait is over.
        if sender.try_send(bytes).is_err() {
            return WriteState::Closed;
        }
        if sender.capacity() > 0 {
            return WriteState::Ready;
        }
        let isolate = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            // A closed channel ends the wait too; the next write then finds it closed.
            let _ = sender.reserve().await;
            if let Some(isolate) = isolate.upgrade() {
                isolate.push(Event::Writable { exchange });
            }
        });
        WriteState::Wait
    }

    /// What the service sends is complete. A response is the end of its exchange.
    pub(super) fn end_body(&self, exchange: i32) {
        let served = self.with_exchange(exchange, |entry| {
            entry.outgoing = None;
            matches!(entry.side, Side::Served { .. })
        });
        if served == Some(true) {
            self.end_exchange(exchange);
        }
    }

    /// The service cannot go on sending a request's body.
    pub(super) fn break_body(&self, exchange: i32, reason: String) {
        let sender = self.with_exchange(exchange, |entry| entry.outgoing.take());
        if let Some(Some(body)) = sender {
            body.cut(reason);
        }
    }

    /// Forgets an exchange, and ends it if it is a request of this isolate.
    pub(super) fn end_exchange(&self, exchange: i32) {
        let ended = self.exchanges.borrow_mut().remove(&exchange);
        drop(ended);
    }

    pub(super) fn pull_body(self: &Rc<Self>, exchange: i32) {
        let body = self.with_exchange(exchange, |entry| {
            std::mem::replace(&mut entry.incoming, Incoming::Pulling)
        });
        match body {
            Some(Incoming::Idle(mut receiver)) => {
                let isolate = Rc::downgrade(self);
                tokio::task::spawn_local(async move {
                    let chunk = receiver.recv().await;
                    let Some(isolate) = isolate.upgrade() else {
                        return;
                    };
                    isolate.with_exchange(exchange, |entry| {
                        if matches!(entry.incoming, Incoming::Pulling) {
                            entry.incoming = match &chunk {
                                Some(Ok(_)) => Incoming::Idle(receiver),
                                _ => Incoming::Done,
                            };
                        }
                    });
                    if !matches!(chunk, Some(Ok(_))) {
                        isolate.answer_read(exchange);
                    }
                    isolate.push(Event::BodyChunk { exchange, chunk });
                });
            }
            Some(Incoming::Done) => {
                self.with_exchange(exchange, |entry| entry.incoming = Incoming::Done);
                self.push(Event::BodyChunk {
                    exchange,
                    chunk: None,
                });
            }
            // The glue asks for one chunk at a time.
            Some(Incoming::Pulling) | None => {}
        }
    }

    pub(super) fn cancel_body(&self, exchange: i32) {
        self.with_exchange(exchange, |entry| entry.incoming = Incoming::Done);
        self.answer_read(exchange);
    }

    /// The service has read what it wants of an answer: that exchange is over.
    fn answer_read(&self, exchange: i32) {
        let asked = |entry: &mut Exchange| matches!(entry.side, Side::Asked(_));
        if self.with_exchange(exchange, asked) == Some(true) {
            self.end_exchange(exchange);
        }
    }
}
