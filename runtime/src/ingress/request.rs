//! A request as hyper gives it, turned into one as a shard takes it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, COOKIE, EXPECT, HOST, HeaderMap, HeaderName};
use http::uri::Authority;
use http::{Method, Request, Version};
use hyper::body::{Body as _, Frame, Incoming};
use tokio::sync::{mpsc, oneshot};

use crate::http::{BODY_CHUNKS_IN_FLIGHT, BodyChunk, HttpRequest};
use crate::http_error::Problem;
use crate::ingress::shadow::Recording;

/// Headers that concern one connection and not the request (RFC 9110, 7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What is read of a body that nobody wants, and how long that may take. A client that is still
/// sending when the connection closes may lose the response.
const DISCARD_BYTES: u64 = 1 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// A request body on its way to the service.
pub(super) struct Upload {
    /// `None` if there is no body.
    pub(super) chunks: Option<mpsc::Receiver<BodyChunk>>,
    /// Answers if the body turns out longer than the limit; else ends without an answer.
    pub(super) overflow: oneshot::Receiver<()>,
}

/// Method, URL and headers; the body is still to be given.
pub(super) fn head<B>(request: &Request<B>, address: SocketAddr) -> Result<HttpRequest, Problem> {
    let method = request.method();
    if matches!(*method, Method::CONNECT | Method::TRACE) || method.as_str() == "TRACK" {
        return Err(Problem::method(method.as_str()));
    }
    Ok(HttpRequest {
        method: method.as_str().to_owned(),
        url: url(request, address)?,
        headers: headers(request.headers()),
        body: None,
    })
}

/// Starts to read the body, in a task of its own on this thread; it ends with the body, with the
/// receiver, or when the client pauses longer than `patience`.
pub(super) fn upload(
    body: Incoming,
    limit_bytes: u64,
    patience: Duration,
    recording: Option<Recording>,
) -> Upload {
    let (report, overflow) = oneshot::channel();
    if body.is_end_stream() {
        return Upload {
            chunks: None,
            overflow,
        };
    }
    let (sender, chunks) = mpsc::channel(BODY_CHUNKS_IN_FLIGHT);
    tokio::task::spawn_local(pump(body, limit_bytes, patience, sender, report, recording));
    Upload {
        chunks: Some(chunks),
        overflow,
    }
}

/// Reads a little of the body of a request that was refused, in a task of its own, so that the
/// client gets to read why.
pub(super) fn discard(request: Request<Incoming>) {
    // A client that asked first is not told to go on.
    if !request.body().is_end_stream() && !request.headers().contains_key(EXPECT) {
        tokio::task::spawn_local(drain(request.into_body()));
    }
}

async fn drain(mut body: Incoming) {
    let all = async {
        let mut discarded_bytes = 0_u64;
        while discarded_bytes < DISCARD_BYTES {
            let Some(Ok(frame)) = next_frame(&mut body).await else {
                break;
            };
            let length = frame.data_ref().map_or(0, Bytes::len);
            discarded_bytes = discarded_bytes.saturating_add(length as u64);
        }
    };
    // Past its time the body is dropped, and with it the connection or the stream.
    let _ = tokio::time::timeout(DISCARD_TIME, all).await;
}

async fn next_frame(body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

async fn pump(
    mut body: Incoming,
    limit_bytes: u64,
    patience: Duration,
    sender: mpsc::Sender<BodyChunk>,
    report: oneshot::Sender<()>,
    recording: Option<Recording>,
) {
    let mut received_bytes = 0_u64;
    let failure = loop {
        let frame = tokio::select! {
            frame = tokio::time::timeout(patience, next_frame(&mut body)) => frame,
            () = sender.closed() => return drain(body).await,
        };
        let data = match frame {
            Ok(None) => {
                if let Some(recording) = &recording {
                    recording.end();
                }
                return;
            }
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_else(|_trailers| Bytes::new()),
            Ok(Some(Err(error))) => break format!("the client's request body broke off: {error}"),
            Err(_) => {
                break format!("the client sent nothing of its request body for {patience:?}");
            }
        };
        received_bytes = received_bytes.saturating_add(data.len() as u64);
        if received_bytes > limit_bytes {
            // Nobody listens once the response has begun; then the error below cuts the body.
            let _ = report.send(());
            break format!("the request body is larger than {limit_bytes} bytes");
        }
        if let Some(recording) = &recording {
            recording.chunk(&data);
        }
        if !data.is_empty() && sender.send(Ok(data)).await.is_err() {
            return drain(body).await;
        }
    };
    let _ = sender.send(Err(failure)).await;
    drain(body).await;
}

/// The absolute URL that the client asked for.
fn url<B>(request: &Request<B>, address: SocketAddr) -> Result<String, Problem> {
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if !path.starts_with('/') {
        let detail = format!("`{path}` is not a path: a request target begins with a slash");
        return Err(Problem::bad_request(detail));
    }
    if let Some(authority) = uri.authority() {
        return Ok(format!("http://{}{path}", without_user(authority)?));
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let authority = match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let authority = Authority::try_from(host.as_bytes()).map_err(|_| {
                Problem::bad_request("the Host header is not a host and an optional port")
            })?;
            without_user(&authority)?.to_owned()
        }
        (None, _) if request.version() < Version::HTTP_11 => address.to_string(),
        (None, _) => return Err(Problem::bad_request("the request has no Host header")),
        (Some(_), Some(_)) => {
            return Err(Problem::bad_request(
                "the request has more than one Host header",
            ));
        }
    };
    Ok(format!("http://{authority}{path}"))
}

fn without_user(authority: &Authority) -> Result<&str, Problem> {
    match authority.as_str().contains('@') {
        true => Err(Problem::bad_request(
            "the request's host has a user name: leave it out",
        )),
        false => Ok(authority.as_str()),
    }
}

/// Without those of the connection and those for the host; values byte by byte, as the Fetch standard reads them.
fn headers(map: &HeaderMap) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::with_capacity(map.len());
    let named = connection_options(map);
    for (name, value) in map {
        if is_hop_by_hop(name, &named) || super::FOR_HOST.contains(name) {
            continue;
        }
        let text: String = value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect();
        // HTTP/2 may send one cookie per header; they are one list (RFC 9113, 8.2.3).
        match headers.last_mut() {
            Some((last, cookies)) if name == COOKIE && last == COOKIE.as_str() => {
                cookies.push_str("; ");
                cookies.push_str(&text);
            }
            _ => headers.push((name.as_str().to_owned(), text)),
        }
    }
    headers
}

/// The further headers that `Connection` names as its own, in lower case.
pub(crate) fn connection_options(map: &HeaderMap) -> Vec<String> {
    let values = map
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|option| option.trim().to_ascii_lowercase())
        .collect()
}

pub(crate) fn is_hop_by_hop(name: &HeaderName, named: &[String]) -> bool {
    HOP_BY_HOP.contains(&name.as_str()) || named.iter().any(|option| option == name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(
        build: impl FnOnce(http::request::Builder) -> http::request::Builder,
    ) -> Request<()> {
        build(Request::builder()).body(()).unwrap()
    }

    fn read(request: &Request<()>) -> Result<HttpRequest, String> {
        head(request, SocketAddr::from(([127, 0, 0, 1], 80))).map_err(|problem| problem.detail)
    }

    #[test]
    fn the_url_is_absolute() {
        let plain = request(|r| r.uri("/a?b=c").header("host", "shop:81"));
        assert_eq!(read(&plain).unwrap().url, "http://shop:81/a?b=c");
        let absolute = request(|r| r.uri("http://shop/x").header("host", "other"));
        assert_eq!(read(&absolute).unwrap().url, "http://shop/x");
        let old = request(|r| r.uri("/").version(Version::HTTP_10));
        assert_eq!(read(&old).unwrap().url, "http://127.0.0.1:80/");
    }

    #[test]
    fn ambiguous_requests_are_refused() {
        let bad = [
            request(|r| r.uri("/")),
            request(|r| r.uri("/").header("host", "a").header("host", "b")),
            request(|r| r.uri("/").header("host", "user@a")),
            request(|r| r.uri("/").header("host", "a/b")),
            request(|r| r.uri("*").method("OPTIONS").header("host", "a")),
            request(|r| r.uri("/").method("TRACE").header("host", "a")),
            request(|r| r.uri("a:1").method("CONNECT").header("host", "a")),
        ];
        for request in bad {
            assert!(read(&request).is_err(), "{request:?} was taken");
        }
    }

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let request = request(|r| {
            r.uri("/")
                .header("host", "a")
                .header("connection", "close, X-Mine")
                .header("x-mine", "1")
                .header("te", "trailers")
                .header("cookie", "a=1")
                .header("cookie", "b=2")
                .header("x-bytes", http::HeaderValue::from_bytes(b"\xe4").unwrap())
        });
        let headers = read(&request).unwrap().headers;
        let expected = [("host", "a"), ("cookie", "a=1; b=2"), ("x-bytes", "ä")];
        assert_eq!(
            headers,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
