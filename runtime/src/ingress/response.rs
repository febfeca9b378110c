//! A service's response, checked and turned into one that hyper sends.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use isolith_versions::seeded;

use super::request::{connection_options, is_hop_by_hop};
use crate::http::{BodyStream, HttpBody, HttpResponse, RequestId};
use crate::shard;

/// Header lines that a service may give one response.
const MAX_HEADERS: usize = 256;

/// A response's body on its way to the client. It holds the request's pin until it was taken to
/// its end or dropped.
pub(super) struct ResponseBody {
    source: Source,
    hold: Option<Hold>,
}

enum Source {
    /// Nothing, or nothing any more.
    Ended,
    Full(Bytes),
    Stream(BodyStream),
}

struct Hold {
    /// `None` if the request was never admitted.
    pin: Option<shard::Pin>,
    request: RequestId,
}

/// The service's stream broke: the connection (HTTP/1) or the stream (HTTP/2) is reset, so that
/// the client does not take the part for the whole.
#[derive(Debug)]
pub(super) struct CutShort;

impl fmt::Display for CutShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service's response body broke off")
    }
}

impl std::error::Error for CutShort {}

impl ResponseBody {
    pub(super) fn full(bytes: Bytes) -> Self {
        ResponseBody {
            source: Source::Full(bytes),
            hold: None,
        }
    }

    /// Gives the body its request's pin to hold, and empties it if it answers a HEAD.
    pub(super) fn holding(
        mut self,
        pin: Option<shard::Pin>,
        request: RequestId,
        head_only: bool,
    ) -> Self {
        if head_only {
            self.source = Source::Ended;
        }
        if let (Source::Stream(_), Some(pin)) = (&self.source, &pin) {
            pin.streams();
        }
        if !self.is_end_stream() && !seeded("stream-drops-its-lease") {
            self.hold = Some(Hold { pin, request });
        }
        self
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        let chunk = match &mut self.source {
            Source::Ended => None,
            Source::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.source = Source::Ended;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Source::Stream(chunks) => ready!(chunks.poll_chunk(cx)),
        };
        Poll::Ready(match chunk {
            Some(Ok(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Err(reason)) => {
                if let Some(hold) = &self.hold {
                    tracing::error!("request {}: the response broke off: {reason}", hold.request);
                    if let Some(pin) = &hold.pin {
                        pin.broke_off();
                    }
                }
                *self = ResponseBody {
                    source: Source::Ended,
                    hold: None,
                };
                Some(Err(CutShort))
            }
            None => {
                *self = ResponseBody {
                    source: Source::Ended,
                    hold: None,
                };
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Ended => true,
            Source::Full(bytes) => bytes.is_empty(),
            Source::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Ended => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Stream(_) => SizeHint::default(),
        }
    }
}

/// Checks a service's response. The error says what is wrong with it, for its author.
pub(super) fn build(
    answer: HttpResponse,
    head_only: bool,
) -> Result<Response<ResponseBody>, String> {
    let status = StatusCode::from_u16(answer.status)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
        .ok_or_else(|| {
            format!(
                "status {} is not one that ends a request: use 200 to 599",
                answer.status
            )
        })?;
    let mut headers = headers(&answer.headers)?;
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let source = match answer.body {
        _ if bodiless => Source::Ended,
        HttpBody::Empty => Source::Ended,
        HttpBody::Full(bytes) => Source::Full(bytes),
        HttpBody::Stream(chunks) => Source::Stream(chunks),
    };
    // A length that the host knows better is the host's to tell. Of a HEAD the service may know
    // more, and so it may of a stream.
    match (&source, head_only) {
        (Source::Full(bytes), _) => {
            headers.insert(CONTENT_LENGTH, bytes.len().into());
        }
        (Source::Ended, false) if status == StatusCode::NO_CONTENT => {
            headers.remove(CONTENT_LENGTH);
        }
        (Source::Ended, false) if status != StatusCode::NOT_MODIFIED => {
            headers.insert(CONTENT_LENGTH, 0.into());
        }
        _ => check_length(&headers)?,
    }
    let mut response = Response::new(ResponseBody { source, hold: None });
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, String> {
    if given.len() > MAX_HEADERS {
        return Err(format!(
            "it has {} headers; {MAX_HEADERS} are the most",
            given.len()
        ));
    }
    let mut headers = HeaderMap::with_capacity(given.len() + 4);
    for (name, value) in given {
        let shown = name.escape_default();
        let name = HeaderName::try_from(name.as_str())
            .map_err(|_| format!("`{shown}` is not a header name"))?;
        // One byte per character, as the Fetch standard writes them.
        let bytes = value.chars().map(|c| u8::try_from(u32::from(c)));
        let value = bytes
            .collect::<Result<Vec<u8>, _>>()
            .ok()
            .and_then(|bytes| HeaderValue::from_bytes(&bytes).ok())
            .ok_or_else(|| {
                format!(
                    "the value of header `{shown}` has a character that no header may have: \
                     encode it, for example with encodeURIComponent"
                )
            })?;
        headers.append(name, value);
    }
    let named = connection_options(&headers);
    let dropped: Vec<_> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name, &named))
        .cloned()
        .collect();
    for name in dropped {
        headers.remove(name);
    }
    Ok(headers)
}

fn check_length(headers: &HeaderMap) -> Result<(), String> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(()),
        (Some(length), None) if is_number(length) => Ok(()),
        _ => Err("header `content-length` is not one whole number of bytes".to_owned()),
    }
}

fn is_number(value: &HeaderValue) -> bool {
    let digits = value.as_bytes().iter().all(u8::is_ascii_digit);
    digits && value.to_str().is_ok_and(|text| text.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: HttpBody) -> HttpResponse {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        HttpResponse {
            status,
            headers: headers.iter().map(own).collect(),
            body,
        }
    }

    fn full(text: &'static str) -> HttpBody {
        HttpBody::Full(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn what_http_cannot_carry_is_named() {
        let stream = || HttpBody::Stream(BodyStream::new().1);
        let cases = [
            (answer(101, &[], HttpBody::Empty), "status 101"),
            (answer(700, &[], HttpBody::Empty), "status 700"),
            (
                answer(200, &[("x y", "1")], full("")),
                "`x y` is not a header name",
            ),
            (
                answer(200, &[("x-a", "1\r\nx-b: 2")], full("")),
                "value of header `x-a`",
            ),
            (
                answer(200, &[("x-a", "\u{4e2d}")], full("")),
                "value of header `x-a`",
            ),
            (
                answer(200, &[("content-length", "+1")], stream()),
                "`content-length`",
            ),
        ];
        for (answer, expected) in cases {
            let error = build(answer, false).map(|_| ()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_host_knows_the_length() {
        let length = |answer, head_only| {
            let response = build(answer, head_only).unwrap();
            let length = response.headers().get(CONTENT_LENGTH);
            length.map(|length| length.to_str().unwrap().to_owned())
        };
        let lie = [("content-length", "99"), ("transfer-encoding", "chunked")];
        assert_eq!(length(answer(200, &lie, full("abc")), false).unwrap(), "3");
        assert_eq!(length(answer(200, &lie, full("abc")), true).unwrap(), "3");
        assert_eq!(
            length(answer(200, &lie, HttpBody::Empty), false).unwrap(),
            "0"
        );
        assert_eq!(
            length(answer(200, &lie, HttpBody::Empty), true).unwrap(),
            "99"
        );
        assert_eq!(length(answer(204, &lie, full("abc")), false), None);
        let response = build(answer(200, &lie, full("abc")), false).unwrap();
        assert!(!response.headers().contains_key("transfer-encoding"));
    }

    #[test]
    fn cookies_stay_apart_and_bytes_survive() {
        let headers = [("set-cookie", "a"), ("set-cookie", "b"), ("x-bytes", "ä")];
        let response = build(answer(200, &headers, HttpBody::Empty), false).unwrap();
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
        assert_eq!(response.headers()["x-bytes"].as_bytes(), b"\xe4");
    }
}
