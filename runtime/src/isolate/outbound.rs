//! An isolate's outbound requests: from the glue to the network and back.
//!
//! Each one is a task on the shard's thread. It counts as work of its root until the head of the
//! response is there, as a call does; what remains of it ends with the root.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use isolith_capnp::error_capnp::call_error::Kind;
use tokio::sync::{mpsc, watch};

use super::exchange::{Exchange, Side};
use super::{Event, Home, Isolate};
use crate::error::CallError;
use crate::http::{BODY_CHUNKS_IN_FLIGHT, BodyChunk, BodyStream};
use crate::isolate::keys::RootKey;
use crate::outbound::{Answer, Client, OutboundBody, OutboundError, OutboundRequest};

/// An outbound request, as long as the isolate knows it. Dropping it ends the task.
pub(super) struct Asked {
    task: tokio::task::AbortHandle,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The root's share in a request that has no answer yet.
struct Awaiting {
    home: Rc<dyn Home>,
    root: RootKey,
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        self.home.end_outbound(self.root);
    }
}

/// What the service learns of its request's answer.
pub(crate) struct AnswerHead {
    pub(crate) status: u16,
    pub(crate) status_text: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) url: String,
    pub(crate) redirected: bool,
}

impl Isolate {
    /// Sends a request in the name of `root`. Its answer is an event that carries the number
    /// which this returns. `stream` says that the body follows in pieces.
    pub(super) fn ask(
        self: &Rc<Self>,
        root: RootKey,
        mut request: OutboundRequest,
        stream: bool,
    ) -> i32 {
        let exchange = self.take_exchange_number();
        let admitted = self.admit_outbound(root);
        let (alive, awaiting) = match admitted {
            Ok((alive, awaiting, shadow)) => {
                request.shadow = shadow;
                (alive, awaiting)
            }
            Err(error) => {
                self.push(Event::Answer {
                    exchange,
                    answer: Err(error),
                });
                return exchange;
            }
        };
        let mut outgoing = None;
        if stream {
            let (sender, receiver) = BodyStream::new();
            outgoing = Some(sender);
            request.body = OutboundBody::Stream(receiver);
        }
        let client = Rc::clone(
            self.client
                .get_or_init(|| Rc::new(Client::new(self.program.rules.clone(), self.outbound))),
        );
        let (incoming, chunks) = mpsc::channel(BODY_CHUNKS_IN_FLIGHT);
        let (isolate, mut ended) = (Rc::downgrade(self), alive);
        let limit_bytes = self.outbound.response_bytes;
        let task = tokio::task::spawn_local(async move {
            let work = async {
                let answer = client.send(request).await;
                drop(awaiting);
                let (head, body) = match answer {
                    Ok(answer) => split(answer),
                    Err(error) => {
                        if let Some(isolate) = isolate.upgrade() {
                            isolate.answer(exchange, Err(refused(&error)));
                        }
                        return;
                    }
                };
                if let Some(isolate) = isolate.upgrade() {
                    isolate.answer(exchange, Ok(head));
                }
                receive(body, limit_bytes, incoming).await;
                // Unread, the answer waits for its reader until the root ends.
                std::future::pending().await
            };
            tokio::select! {
                () = work => {}
                _ = ended.changed() => {
                    if let Some(isolate) = isolate.upgrade() {
                        isolate.root_ended(exchange);
                    }
                }
            }
        });
        let side = Side::Asked(Asked {
            task: task.abort_handle(),
        });
        self.insert_exchange(exchange, Exchange::new(side, Some(chunks), outgoing));
        exchange
    }

    /// What tells of the root's end, its share, and whether it is that of a copy.
    fn admit_outbound(
        &self,
        root: RootKey,
    ) -> Result<(watch::Receiver<()>, Awaiting, bool), CallError> {
        let open = self.count_asked();
        if open >= self.outbound.in_flight {
            return Err(CallError::host(
                Kind::Overloaded,
                format!(
                    "the bound outbound_in_flight_per_isolate ({}) is reached; read or cancel the \
                     bodies of responses, or try again later",
                    self.outbound.in_flight
                ),
            )
            .in_bundle(self.program.id()));
        }
        let home = self.home.upgrade().ok_or_else(|| {
            CallError::host(Kind::Disconnected, "the shard of this isolate is gone")
        })?;
        let (alive, shadow) = home.begin_outbound(root)?;
        Ok((alive, Awaiting { home, root }, shadow))
    }

    /// Gives the service its answer; a failed request is over.
    fn answer(self: &Rc<Self>, exchange: i32, answer: Result<AnswerHead, CallError>) {
        let failed = answer.is_err();
        self.push(Event::Answer { exchange, answer });
        if failed {
            self.end_exchange(exchange);
        }
    }

    /// The root of a request is gone, or its deadline has passed.
    fn root_ended(self: &Rc<Self>, exchange: i32) {
        let reason = "the request that it belongs to has ended, or its deadline has passed";
        self.push(Event::Answer {
            exchange,
            answer: Err(CallError::host(Kind::DeadlineExceeded, reason)),
        });
        self.push(Event::BodyChunk {
            exchange,
            chunk: Some(Err(reason.to_owned())),
        });
        self.end_exchange(exchange);
    }
}

/// Passes the body on, piece by piece, as fast as it is read.
async fn receive(mut body: Incoming, limit_bytes: usize, to: mpsc::Sender<BodyChunk>) {
    let mut received_bytes = 0_usize;
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let data = match frame {
            None => return,
            Some(Ok(frame)) => frame.into_data().unwrap_or_else(|_trailers| Bytes::new()),
            Some(Err(error)) => {
                let _ = to
                    .send(Err(format!("the response broke off: {error}")))
                    .await;
                return;
            }
        };
        received_bytes = received_bytes.saturating_add(data.len());
        if received_bytes > limit_bytes {
            let reason =
                format!("the response is larger than outbound_response_bytes ({limit_bytes})");
            let _ = to.send(Err(reason)).await;
            return;
        }
        if !data.is_empty() && to.send(Ok(data)).await.is_err() {
            return;
        }
    }
}

fn split(answer: Answer) -> (AnswerHead, Incoming) {
    let head = AnswerHead {
        status: answer.status,
        status_text: answer.status_text,
        headers: answer.headers,
        url: answer.url,
        redirected: answer.redirected,
    };
    (head, answer.body)
}

/// The error that stands for the response.
pub(super) fn refused(error: &OutboundError) -> CallError {
    let kind = match error {
        OutboundError::NotGranted { .. }
        | OutboundError::PrivateAddress { .. }
        | OutboundError::Shadow(_) => Kind::NotGranted,
        OutboundError::Invalid(_) | OutboundError::BodySpent => Kind::BadArgument,
        OutboundError::Redirected(_)
        | OutboundError::RedirectedTooOften(_)
        | OutboundError::Network(_) => Kind::Failed,
    };
    CallError::host(kind, error.to_string())
}
