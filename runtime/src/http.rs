//! HTTP requests and responses as isolates handle them: no hyper here.

use bytes::Bytes;
use tokio::sync::mpsc;

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

/// A response's body.
pub(crate) enum HttpBody {
    Empty,
    Full(Bytes),
    /// A closed channel is the body's end; an error cuts it short. Dropping the receiver tells
    /// the service that the client is gone.
    Stream(mpsc::Receiver<BodyChunk>),
}
