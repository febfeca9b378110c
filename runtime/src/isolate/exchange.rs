//! HTTP exchanges that an isolate has under way, and the bodies that flow through them.

use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

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
    reply: Option<oneshot::Sender<Result<HttpResponse, CallError>>>,
    request_body: RequestBody,
    response_body: Option<BodySender>,
}

enum RequestBody {
    /// There is none, or all of it was read, or the service wants no more of it.
    Done,
    /// Nobody waits for a chunk.
    Idle(mpsc::Receiver<BodyChunk>),
    /// A task waits for the next chunk and will put the receiver back.
    Pulling,
}

impl Isolate {
    /// Takes an exchange in and returns its number.
    pub(crate) fn open_exchange(
        &self,
        body: Option<mpsc::Receiver<BodyChunk>>,
        reply: oneshot::Sender<Result<HttpResponse, CallError>>,
    ) -> i32 {
        let exchange = Exchange {
            reply: Some(reply),
            request_body: body.map_or(RequestBody::Done, RequestBody::Idle),
            response_body: None,
        };
        // Numbers are not used again soon: a handler may outlive its exchange and still name it.
        let number = self.next_exchange.get();
        self.next_exchange.set(number.wrapping_add(1) & i32::MAX);
        self.exchanges.borrow_mut().insert(number, exchange);
        number
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
        let undelivered = self.with_exchange(exchange, |entry| match entry.reply.take() {
            Some(reply) => {
                // The client may be gone; then its abort is on the way.
                let _ = reply.send(response);
                None
            }
            // The head is out already: an error cuts the body short.
            None => response.err(),
        });
        if let Some(Some(error)) = undelivered {
            self.with_exchange(exchange, |entry| {
                if let Some(body) = entry.response_body.take() {
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
        self.with_exchange(exchange, |entry| entry.response_body = Some(sender))?;
        Some(receiver)
    }

    pub(super) fn write_body(self: &Rc<Self>, exchange: i32, bytes: Bytes) -> WriteState {
        let sender = self.with_exchange(exchange, |entry| {
            let body = entry.response_body.as_ref();
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

    /// The response is complete: the exchange is over.
    pub(super) fn end_body(&self, exchange: i32) {
        self.exchanges.borrow_mut().remove(&exchange);
    }

    pub(super) fn pull_body(self: &Rc<Self>, exchange: i32) {
        let body = self.with_exchange(exchange, |entry| {
            std::mem::replace(&mut entry.request_body, RequestBody::Pulling)
        });
        match body {
            Some(RequestBody::Idle(mut receiver)) => {
                let isolate = Rc::downgrade(self);
                tokio::task::spawn_local(async move {
                    let chunk = receiver.recv().await;
                    let Some(isolate) = isolate.upgrade() else {
                        return;
                    };
                    isolate.with_exchange(exchange, |entry| {
                        if matches!(entry.request_body, RequestBody::Pulling) {
                            entry.request_body = match &chunk {
                                Some(Ok(_)) => RequestBody::Idle(receiver),
                                _ => RequestBody::Done,
                            };
                        }
                    });
                    isolate.push(Event::BodyChunk { exchange, chunk });
                });
            }
            Some(RequestBody::Done) => {
                self.with_exchange(exchange, |entry| entry.request_body = RequestBody::Done);
                self.push(Event::BodyChunk {
                    exchange,
                    chunk: None,
                });
            }
            // The glue asks for one chunk at a time.
            Some(RequestBody::Pulling) | None => {}
        }
    }

    pub(super) fn cancel_body(&self, exchange: i32) {
        self.with_exchange(exchange, |entry| entry.request_body = RequestBody::Done);
    }
}
