//! HTTP requests and responses as isolates handle them: no hyper here.

use std::fmt;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// Names one request in the log, to its client, and among the holders of a bundle. Random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestId(pub(crate) u64);

impl RequestId {
    pub(crate) fn random() -> Self {
        RequestId(fastrand::u64(..))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Chunks of a body that wait between the network and an isolate, in each direction.
pub(crate) const BODY_CHUNKS_IN_FLIGHT: usize = 8;

/// One piece of a body, or why there is no more: a text for the service.
pub(crate) type BodyChunk = Result<Bytes, String>;

/// A request, its head complete and its body to come.
pub(crate) struct HttpRequest {
    pub(crate) method: String,
    /// Absolute: scheme, authority, path and query.
    pub(crate) url: String,
    /// In the order in which they came; values as text.
    pub(crate) headers: Vec<(String, String)>,
    /// `None` if the request has no body. A closed channel is the body's end.
    pub(crate) body: Option<mpsc::Receiver<BodyChunk>>,
}

/// A response, its head complete and its body perhaps to come.
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: HttpBody,
}

/// What is compared of an answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// `None` if it was not kept: it is large, or came as a stream.
    pub(crate) body: Option<Bytes>,
}

/// A response's body.
pub(crate) enum HttpBody {
    Empty,
    Full(Bytes),
    Stream(BodyStream),
}

/// A response's body that comes in chunks. Dropping it tells the service that the client is gone.
pub(crate) struct BodyStream {
    chunks: mpsc::Receiver<Bytes>,
    cut: oneshot::Receiver<String>,
}

/// The service's end of a [`BodyStream`]. Dropping it ends the body.
pub(crate) struct BodySender {
    chunks: mpsc::Sender<Bytes>,
    cut: oneshot::Sender<String>,
}

impl BodyStream {
    /// Both ends of a stream.
    pub(crate) fn new() -> (BodySender, BodyStream) {
        let (sender, chunks) = mpsc::channel(BODY_CHUNKS_IN_FLIGHT);
        let (cut_sender, cut) = oneshot::channel();
        let sender = BodySender {
            chunks: sender,
            cut: cut_sender,
        };
        (sender, BodyStream { chunks, cut })
    }

    /// Chunks that wait to be taken.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.chunks.len()
    }

    /// The next chunk; an error if the body was cut short, `None` once it is complete.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<BodyChunk>> {
        let chunk = ready!(self.chunks.poll_recv(cx));
        Poll::Ready(match chunk {
            Some(bytes) => Some(Ok(bytes)),
            None => self.cut.try_recv().ok().map(Err),
        })
    }
}

impl BodySender {
    /// Where chunks go in.
    pub(crate) fn chunks(&self) -> &mpsc::Sender<Bytes> {
        &self.chunks
    }

    /// Ends the body with an error, after what is on its way. Needs no room for it.
    pub(crate) fn cut(self, reason: String) {
        // The client may be gone.
        let _ = self.cut.send(reason);
    }
}
