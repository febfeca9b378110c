//! Shadow traffic: copies of requests to a new version, whose answers nobody gets.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::http::{Answer, BODY_CHUNKS_IN_FLIGHT, BodyChunk, HttpBody, HttpRequest, HttpResponse};
use crate::shard::{Shadow, Shard};

/// The largest body that is copied, of a request or of its answer.
const MAX_BODY_BYTES: usize = 256 << 10;

/// A request that will be sent again, to a new version.
pub(super) struct ShadowRequest {
    shadow: Shadow,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Recording>,
}

/// A request's body, copied on its way to the service.
#[derive(Clone, Default)]
pub(super) struct Recording(Rc<RefCell<Recorded>>);

#[derive(Default)]
struct Recorded {
    bytes: BytesMut,
    state: RecordingState,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum RecordingState {
    #[default]
    Going,
    Complete,
    /// It is too large, or broke off.
    Given,
}

impl Recording {
    /// Another chunk of the body.
    pub(super) fn chunk(&self, chunk: &[u8]) {
        let mut recorded = self.0.borrow_mut();
        if recorded.bytes.len() + chunk.len() > MAX_BODY_BYTES {
            recorded.state = RecordingState::Given;
            recorded.bytes = BytesMut::new();
        }
        if recorded.state == RecordingState::Going {
            recorded.bytes.extend_from_slice(chunk);
        }
    }

    /// The body is complete.
    pub(super) fn end(&self) {
        let mut recorded = self.0.borrow_mut();
        if recorded.state == RecordingState::Going {
            recorded.state = RecordingState::Complete;
        }
    }

    /// The whole body, if it is there by now.
    fn whole(&self) -> Option<Bytes> {
        let recorded = self.0.borrow();
        let complete = recorded.state == RecordingState::Complete;
        complete.then(|| Bytes::copy_from_slice(&recorded.bytes))
    }
}

impl ShadowRequest {
    /// Copies a request's head; `has_body` says whether a body will follow.
    pub(super) fn of(shadow: Shadow, request: &HttpRequest, has_body: bool) -> Self {
        ShadowRequest {
            shadow,
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: has_body.then(Recording::default),
        }
    }

    /// Where the body's chunks go, too.
    pub(super) fn recording(&self) -> Option<Recording> {
        self.body.clone()
    }

    /// Sends the copy, in a task of its own, now that the request has been answered; `answer` is
    /// what it is compared with. Not if the body was not read to its end, or is too large.
    pub(super) fn send(self, shard: &Rc<Shard>, answer: Answer) {
        let body = match &self.body {
            None => None,
            Some(recording) => match recording.whole() {
                Some(body) => Some(body),
                None => return shard.shadow_skipped(&self.shadow),
            },
        };
        let request = HttpRequest {
            method: self.method,
            url: self.url,
            headers: self.headers,
            body: body.map(stream),
        };
        let (shard, shadow) = (Rc::clone(shard), self.shadow);
        tokio::task::spawn_local(shard.send_shadow(shadow, request, answer));
    }
}

/// What is compared of an answer.
pub(super) fn answer(response: &HttpResponse) -> Answer {
    let body = match &response.body {
        HttpBody::Empty => Some(Bytes::new()),
        HttpBody::Full(bytes) if bytes.len() <= MAX_BODY_BYTES => Some(bytes.clone()),
        HttpBody::Full(_) | HttpBody::Stream(_) => None,
    };
    Answer {
        status: response.status,
        headers: response.headers.clone(),
        body,
    }
}

fn stream(body: Bytes) -> mpsc::Receiver<BodyChunk> {
    let (sender, chunks) = mpsc::channel(BODY_CHUNKS_IN_FLIGHT);
    // There is room for one.
    let _ = sender.try_send(Ok(body));
    chunks
}
