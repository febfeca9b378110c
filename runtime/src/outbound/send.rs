//! Sending a request and following where it leads.

use std::error::Error as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    LOCATION, PROXY_AUTHORIZATION,
};
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::Url;

use super::connect::Connector;
use super::{OutboundBody, OutboundError, OutboundLimits, OutboundRequest, Redirect, Rules};
use crate::ingress::{connection_options, is_hop_by_hop};

/// Marks what is sent for a copy of a request: true, as a structured field (RFC 9651).
const SHADOW: HeaderName = HeaderName::from_static("isolith-shadow");
/// Header lines of a response, and bytes of its head.
const MAX_HEADERS: usize = 128;
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Idle connections that are kept for one origin, and how long.
const IDLE_CONNECTIONS: usize = 4;
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Sends the requests of one service, over connections that nobody else uses.
pub(crate) struct Client {
    rules: Rules,
    redirects: usize,
    http: legacy::Client<Connector, Sending>,
}

/// The head of a response; its body is still to be read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) status_text: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Where the response came from in the end.
    pub(crate) url: String,
    pub(crate) redirected: bool,
    pub(crate) body: Incoming,
}

/// A body as hyper takes it.
enum Sending {
    Empty,
    Full(Option<Bytes>),
    Stream(crate::http::BodyStream),
}

impl Client {
    pub(crate) fn new(rules: Rules, limits: OutboundLimits) -> Self {
        let connector = Connector::new(&rules, limits.connect);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .http1_max_headers(MAX_HEADERS)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .build(connector);
        Client {
            rules,
            redirects: limits.redirects,
            http,
        }
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// # Errors
    /// Whatever a server, the network or the rules refuse.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection that it uses.
    pub(crate) async fn send(&self, request: OutboundRequest) -> Result<Answer, OutboundError> {
        let OutboundRequest {
            binding,
            mut method,
            mut url,
            headers,
            body,
            redirect,
            shadow,
        } = request;
        let mut headers = header_map(&headers)?;
        headers.remove(SHADOW);
        if shadow {
            self.rules.check_shadow(&method)?;
            headers.insert(SHADOW, HeaderValue::from_static("?1"));
        }
        let (mut sending, mut again) = match body {
            OutboundBody::Empty => (Sending::Empty, Some(None)),
            OutboundBody::Full(bytes) => (Sending::Full(Some(bytes.clone())), Some(Some(bytes))),
            OutboundBody::Stream(chunks) => (Sending::Stream(chunks), None),
        };
        for hop in 0..=self.redirects {
            self.rules.check(binding, &url)?;
            let response = self.one(&method, &url, &headers, sending).await?;
            let target = match redirect {
                Redirect::Manual => None,
                Redirect::Follow | Redirect::Error => target(&response, &url)?,
            };
            let Some(mut next) = target else {
                return Ok(answer(response, url, hop > 0));
            };
            if redirect == Redirect::Error {
                let origin = url.origin().ascii_serialization();
                return Err(OutboundError::Redirected(origin));
            }
            let status = response.status();
            let becomes_get = match status {
                StatusCode::SEE_OTHER => method != Method::GET && method != Method::HEAD,
                StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => method == Method::POST,
                _ => false,
            };
            if becomes_get {
                method = Method::GET;
                again = Some(None);
                let of_body = |name: &HeaderName| name.as_str().starts_with("content-");
                let names: Vec<_> = headers
                    .keys()
                    .filter(|name| of_body(name))
                    .cloned()
                    .collect();
                for name in names {
                    headers.remove(name);
                }
            }
            if next.origin() != url.origin() {
                // They were meant for the first server alone.
                for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
                    headers.remove(name);
                }
            }
            if next.fragment().is_none() {
                next.set_fragment(url.fragment());
            }
            url = next;
            sending = match &again {
                Some(None) => Sending::Empty,
                Some(Some(bytes)) => Sending::Full(Some(bytes.clone())),
                None => return Err(OutboundError::BodySpent),
            };
        }
        Err(OutboundError::RedirectedTooOften(self.redirects))
    }

    async fn one(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: Sending,
    ) -> Result<Response<Incoming>, OutboundError> {
        let invalid = |error: http::Error| OutboundError::Invalid(error.to_string());
        let mut plain = url.clone();
        plain.set_fragment(None);
        let mut request = Request::builder()
            .method(method)
            .uri(plain.as_str())
            .body(body)
            .map_err(invalid)?;
        *request.headers_mut() = headers.clone();
        if method == Method::POST || method == Method::PUT {
            // A body of no bytes is said so.
            if matches!(request.body(), Sending::Empty) {
                request.headers_mut().insert(CONTENT_LENGTH, 0.into());
            }
        }
        self.http.request(request).await.map_err(|error| {
            let origin = url.origin().ascii_serialization();
            explain(error, &origin)
        })
    }
}

/// What the connector refused, or what went wrong with the network.
fn explain(error: legacy::Error, origin: &str) -> OutboundError {
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(inner) = cause {
        if let Some(OutboundError::PrivateAddress { host, address }) = inner.downcast_ref() {
            return OutboundError::PrivateAddress {
                host: host.clone(),
                address: address.clone(),
            };
        }
        text = inner.to_string();
        cause = inner.source();
    }
    OutboundError::Network(format!("{origin}: {text}"))
}

/// The URL that a redirect leads to; `None` if the response is none.
fn target(response: &Response<Incoming>, url: &Url) -> Result<Option<Url>, OutboundError> {
    let status = response.status().as_u16();
    let (301 | 302 | 303 | 307 | 308, Some(location)) = (status, response.headers().get(LOCATION))
    else {
        return Ok(None);
    };
    let bad = || OutboundError::Network("the server redirected to what is no URL".to_owned());
    let text = std::str::from_utf8(location.as_bytes()).map_err(|_| bad())?;
    let next = url.join(text).map_err(|_| bad())?;
    match next.username().is_empty() && next.password().is_none() {
        true => Ok(Some(next)),
        false => Err(bad()),
    }
}

fn answer(response: Response<Incoming>, url: Url, redirected: bool) -> Answer {
    let (head, body) = response.into_parts();
    let named = connection_options(&head.headers);
    let own = head
        .headers
        .iter()
        .filter(|(name, _)| !is_hop_by_hop(name, &named));
    let text = |value: &HeaderValue| value.as_bytes().iter().map(|b| char::from(*b)).collect();
    let mut url = url;
    url.set_fragment(None);
    Answer {
        status: head.status.as_u16(),
        status_text: head
            .status
            .canonical_reason()
            .unwrap_or_default()
            .to_owned(),
        headers: own
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect(),
        url: url.into(),
        redirected,
        body,
    }
}

/// A service's headers without those that say where and how a request is sent: these are the
/// host's own.
fn header_map(flat: &[(String, String)]) -> Result<HeaderMap, OutboundError> {
    let mut map = HeaderMap::new();
    for (name, value) in flat {
        let invalid = || OutboundError::Invalid(format!("its header `{name}` is malformed"));
        let bytes: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(c).ok()).collect();
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        let value = HeaderValue::from_bytes(&bytes.ok_or_else(invalid)?).map_err(|_| invalid())?;
        if map.len() >= MAX_HEADERS {
            return Err(OutboundError::Invalid(format!(
                "it has more than {MAX_HEADERS} headers"
            )));
        }
        map.append(key, value);
    }
    let named = connection_options(&map);
    let dropped: Vec<_> = map
        .keys()
        .filter(|name| is_hop_by_hop(name, &named) || [HOST, CONTENT_LENGTH, EXPECT].contains(name))
        .cloned()
        .collect();
    for name in dropped {
        map.remove(name);
    }
    Ok(map)
}

impl Body for Sending {
    type Data = Bytes;
    type Error = String;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        let chunk = match self.get_mut() {
            Sending::Empty => None,
            Sending::Full(bytes) => bytes.take().map(Ok),
            Sending::Stream(chunks) => std::task::ready!(chunks.poll_chunk(cx)),
        };
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Sending::Empty | Sending::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Sending::Empty | Sending::Full(None) => SizeHint::with_exact(0),
            Sending::Full(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Sending::Stream(_) => SizeHint::default(),
        }
    }
}
