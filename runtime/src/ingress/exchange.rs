//! One request and its response.

use std::rc::Rc;
use std::time::Instant;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response};
use hyper::body::{Body as _, Incoming};

use super::admission::{self, Admitted, Asked, Head, Refusal};
use super::request::{self, Upload};
use super::response::{self, ResponseBody};
use super::shadow::{self, ShadowRequest};
use super::{PIN, Settings};
use crate::error::CallError;
use crate::http::{HttpRequest, RequestId};
use crate::http_error::Problem;
use crate::shard::{Arrival, Outcome, Pin, Shard};

/// The digest of the version set that served the request, in its short form.
const SET: HeaderName = HeaderName::from_static("isolith-set");
/// The routing table's epoch that admitted the request.
const EPOCH: HeaderName = HeaderName::from_static("isolith-epoch");
/// Names the request in the log.
const REQUEST: HeaderName = HeaderName::from_static("isolith-request");

/// Serves one request; what goes wrong becomes the response.
///
/// # Cancel safety
/// Dropped when the client goes away: the service's request is aborted and its pin released.
pub(super) async fn respond(
    shard: &Rc<Shard>,
    settings: &Settings,
    request: Request<Incoming>,
    is_loopback: bool,
) -> Response<ResponseBody> {
    let id = RequestId::random();
    let method = request.method().clone();
    let started = Instant::now();
    let arrival = Arrival {
        id,
        now: started,
        deadline: started + settings.http.request_timeout,
    };
    let (mut response, admitted) =
        match admit(shard, settings, &request, is_loopback, arrival).await {
            Err(problem) => {
                request::discard(request);
                (refuse(&problem), None)
            }
            Ok((head, mut admitted)) => {
                let has_body = !request.body().is_end_stream();
                let shadow = admitted.pin.take_shadow();
                let shadow = shadow.map(|shadow| ShadowRequest::of(*shadow, &head, has_body));
                let fetched = fetch(
                    shard,
                    settings,
                    &admitted.pin,
                    (head, request.into_body()),
                    &method,
                    shadow,
                    id,
                );
                let fetched = fetched.await;
                let lost = matches!(&fetched, Err(problem) if problem.is_of_host);
                let response = fetched.unwrap_or_else(|problem| refuse(&problem));
                admitted.pin.answered(match response.status() {
                    _ if lost => Outcome::LostByHost,
                    status if status.is_server_error() => Outcome::Failed,
                    _ => Outcome::Succeeded,
                });
                (response, Some(admitted))
            }
        };
    tracing::debug!(
        request = %id,
        status = response.status().as_u16(),
        micros = started.elapsed().as_micros() as u64,
        "{method}"
    );
    let headers = response.headers_mut();
    headers.remove(PIN);
    let pin = admitted.map(|Admitted { pin, token }| {
        put(headers, SET, pin.set().digest().short());
        headers.insert(EPOCH, pin.epoch().into());
        if let Some(token) = token {
            put(headers, PIN, token);
        }
        pin
    });
    put(headers, REQUEST, id.to_string());
    response.map(|body| body.holding(pin, id, method == Method::HEAD))
}

/// Checks the request's head and gives it a root.
async fn admit(
    shard: &Rc<Shard>,
    settings: &Settings,
    request: &Request<Incoming>,
    is_loopback: bool,
    arrival: Arrival,
) -> Result<(HttpRequest, Admitted), Problem> {
    let head = request::head(request, settings.address)?;
    let limit = settings.http.max_body_bytes;
    // With a declared length, that length.
    if request.body().size_hint().lower() > limit {
        return Err(Problem::body_too_large(limit));
    }
    let seen = Head(request);
    let admitted = async {
        let asked = Asked::of(&seen, &settings.admissions.routing, is_loopback)?;
        admission::admit(shard, &settings.admissions, asked, arrival).await
    };
    match admitted.await {
        Ok(admitted) => Ok((head, admitted)),
        Err(Refusal::Asked(problem)) => Err(problem),
        Err(Refusal::Failed(error)) => Err(failed(&error, settings, arrival.id)),
    }
}

async fn fetch(
    shard: &Rc<Shard>,
    settings: &Settings,
    pin: &Pin,
    (mut head, body): (HttpRequest, Incoming),
    method: &Method,
    shadow: Option<ShadowRequest>,
    id: RequestId,
) -> Result<Response<ResponseBody>, Problem> {
    let limit = settings.http.max_body_bytes;
    let recording = shadow.as_ref().and_then(ShadowRequest::recording);
    let patience = settings.http.header_timeout;
    let Upload { chunks, overflow } = request::upload(body, limit, patience, recording);
    head.body = chunks;
    let fetched = tokio::select! {
        biased;
        Ok(()) = overflow => return Err(Problem::body_too_large(limit)),
        fetched = shard.fetch(pin, head) => fetched,
    };
    let answer = fetched.map_err(|error| failed(&error, settings, id))?;
    if let Some(shadow) = shadow {
        shadow.send(shard, shadow::answer(&answer));
    }
    response::build(answer, method == Method::HEAD).map_err(|detail| {
        tracing::error!("request {id}: the service's response is invalid: {detail}");
        Problem::bad_response(detail)
    })
}

/// Logs the error in full; the problem tells the client what it may know.
fn failed(error: &CallError, settings: &Settings, id: RequestId) -> Problem {
    let problem = Problem::of_call(error, settings.http.debug_errors);
    let (kind, stack) = (problem.kind, error.stack.trim_end());
    // JavaScript's stacks mostly begin with the error's text.
    let text = match stack.contains(&error.message) {
        true => String::new(),
        false => format!(" {error}"),
    };
    let origin = match &error.origin {
        Some(origin) if text.is_empty() => format!(" {origin}: "),
        _ if stack.is_empty() => String::new(),
        _ => "\n".to_owned(),
    };
    match error.is_transient() {
        true => tracing::warn!("request {id} {kind}:{text}{origin}{stack}"),
        false => tracing::error!("request {id} {kind}:{text}{origin}{stack}"),
    }
    problem
}

fn refuse(problem: &Problem) -> Response<ResponseBody> {
    let json = problem.to_json();
    let length = json.len();
    let mut response = Response::new(ResponseBody::full(json.into()));
    *response.status_mut() = problem.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(Problem::MEDIA_TYPE));
    headers.insert(CONTENT_LENGTH, length.into());
    if let Some(seconds) = problem.retry_after_seconds() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// Sets a header whose value the host made: hex digits.
fn put(headers: &mut http::HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}
