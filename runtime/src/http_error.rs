//! Errors as HTTP clients see them: problem documents (RFC 9457) and their status codes.

use http::StatusCode;
use serde::Serialize;

use crate::error::{CallError, ErrorKind, Origin};
use crate::pin_token::TokenError;

/// What [`Problem::kind`] is prefixed with in a document's `type`.
const TYPE_PREFIX: &str = "urn:isolith:error:";

/// A request that got no response from its service, as the client is told of it.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// The stable name of this kind of problem, for programs.
    pub(crate) kind: &'static str,
    title: &'static str,
    pub(crate) detail: String,
    /// Service and version in which it arose.
    origin: Option<Box<Origin>>,
    /// As [`CallError::is_of_host`].
    pub(crate) is_of_host: bool,
}

/// The document; absent members are left out.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

impl Problem {
    /// The media type of [`to_json`](Self::to_json).
    pub(crate) const MEDIA_TYPE: &'static str = "application/problem+json";

    /// The request itself cannot be served, whoever it is for.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "Malformed request",
            detail,
        )
    }

    /// A method that no service can be given.
    pub(crate) fn method(method: &str) -> Self {
        let detail = format!("the method {method} is not served: use GET, POST or another one");
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "method",
            "Method not supported",
            detail,
        )
    }

    /// The request's body is longer than `limit_bytes`.
    pub(crate) fn body_too_large(limit_bytes: u64) -> Self {
        let detail = format!(
            "the request body is larger than {limit_bytes} bytes, the most that is taken here: \
             send less, or raise max_body_bytes under [http] in the application file"
        );
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "Request too large",
            detail,
        )
    }

    /// The pin token is not one that is taken.
    pub(crate) fn pin_token(error: &TokenError) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "pin-token",
            "Pin token not accepted",
            error.to_string(),
        )
    }

    /// P6: the version set that the request asks for by its pin token is not there any more.
    pub(crate) fn pinned_version_gone(set: &str) -> Self {
        let detail = format!(
            "the version set {set}, which the isolith-pin header names, is no longer loaded: leave \
             the header out to be given the versions of now"
        );
        Self::new(
            StatusCode::GONE,
            "pinned-version-gone",
            "The request's version is gone",
            detail,
        )
    }

    /// Requests may not name versions, or not those of this client.
    pub(crate) fn override_forbidden() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "override",
            "Override not allowed",
            "this client may not name versions by the isolith-override header: leave it out, or have \
             `[routing] override` of the application file allow it",
        )
    }

    /// P6: there is no version set as the request asks for it.
    pub(crate) fn override_refused(reason: String) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "override",
            "Override cannot apply",
            reason,
        )
    }

    /// The service answered with what HTTP cannot carry.
    pub(crate) fn bad_response(detail: impl Into<String>) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(
            status,
            "bad-response",
            "The service's response is invalid",
            detail,
        )
    }

    /// A failed call. What a service threw is told only if `debug` is set: it may hold secrets,
    /// and the log has it. What the host itself raised is always told.
    pub(crate) fn of_call(error: &CallError, debug: bool) -> Self {
        let (status, kind, title) = classify(error.kind);
        let from_host = error.name.is_empty() && error.kind != ErrorKind::Failed;
        let detail = match (debug, from_host) {
            (true, _) if !error.name.is_empty() => format!("{}: {}", error.name, error.message),
            (true, _) | (_, true) => error.message.clone(),
            _ => "an error in the service; the server's log has it under this response's \
                  isolith-request header"
                .to_owned(),
        };
        Self {
            origin: error.origin.clone(),
            is_of_host: error.is_of_host(),
            ..Self::new(status, kind, title, detail)
        }
    }

    /// Whether the same request may succeed a moment later.
    pub(crate) fn retry_after_seconds(&self) -> Option<u32> {
        matches!(self.kind, "overloaded" | "evicted").then_some(1)
    }

    /// The document as JSON.
    pub(crate) fn to_json(&self) -> String {
        let document = Document {
            r#type: format!("{TYPE_PREFIX}{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            service: self.origin.as_ref().map(|origin| &*origin.service),
            version: self.origin.as_ref().map(|origin| &*origin.version),
        };
        // Texts and one number: this cannot fail, and an empty body would still carry the status.
        serde_json::to_string(&document).unwrap_or_default()
    }

    fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            kind,
            title,
            detail: detail.into(),
            origin: None,
            is_of_host: false,
        }
    }
}

/// Status, name and title of each kind of error.
fn classify(kind: ErrorKind) -> (StatusCode, &'static str, &'static str) {
    let internal = StatusCode::INTERNAL_SERVER_ERROR;
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    match kind {
        ErrorKind::Failed => (internal, "failed", "The service failed"),
        ErrorKind::Overloaded => (unavailable, "overloaded", "Too much work at once"),
        ErrorKind::Disconnected => (
            StatusCode::BAD_GATEWAY,
            "disconnected",
            "The service went away",
        ),
        ErrorKind::Unimplemented => (internal, "unimplemented", "Method not implemented"),
        ErrorKind::BadArgument => (internal, "bad-argument", "Argument does not fit"),
        ErrorKind::RequestEnded => (internal, "request-ended", "The request was over"),
        ErrorKind::DeadlineExceeded => (
            StatusCode::GATEWAY_TIMEOUT,
            "deadline-exceeded",
            "The service took too long",
        ),
        ErrorKind::CpuExceeded => (internal, "cpu-exceeded", "Too much CPU time used"),
        ErrorKind::MemoryExceeded => (internal, "memory-exceeded", "Too much memory used"),
        ErrorKind::PinnedVersionGone => (
            unavailable,
            "pinned-version-gone",
            "The request's version is gone",
        ),
        ErrorKind::TooLarge => (internal, "too-large", "Message too large"),
        ErrorKind::BadMessage => (internal, "bad-message", "Malformed message"),
        ErrorKind::NotFound => (internal, "not-found", "No such service or method"),
        ErrorKind::NotGranted => (internal, "not-granted", "The service may not reach that"),
        ErrorKind::NotSettled => (internal, "not-settled", "The service never answers"),
        ErrorKind::Evicted => (unavailable, "evicted", "The request was evicted"),
        ErrorKind::Revoked => (internal, "revoked", "The capability was revoked"),
        ErrorKind::OtherVersionSet => (
            internal,
            "other-version-set",
            "The capability belongs to another version set",
        ),
        ErrorKind::Cancelled => (internal, "cancelled", "The call was given up"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thrown() -> CallError {
        CallError {
            kind: ErrorKind::Failed,
            name: "TypeError".into(),
            message: "secret is not a function".into(),
            origin: Some(Box::new(Origin {
                service: "auth".into(),
                version: "1.4.0".into(),
            })),
            stack: "at secret.ts:1:1".into(),
        }
    }

    #[test]
    fn what_a_service_threw_stays_in_the_log() {
        let problem = Problem::of_call(&thrown(), false);
        let json = problem.to_json();
        assert!(!json.contains("secret"), "{json}");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["status"], 500);
        assert_eq!(json["type"], "urn:isolith:error:failed");
        assert_eq!(
            (&json["service"], &json["version"]),
            (&"auth".into(), &"1.4.0".into())
        );

        let told = Problem::of_call(&thrown(), true).to_json();
        assert!(
            told.contains("TypeError: secret is not a function"),
            "{told}"
        );
        assert!(!told.contains("secret.ts"), "{told}");
    }

    #[test]
    fn the_hosts_own_errors_keep_their_message_and_status() {
        let cases = [
            (ErrorKind::Overloaded, 503, Some(1)),
            (ErrorKind::DeadlineExceeded, 504, None),
            (ErrorKind::Disconnected, 502, None),
            (ErrorKind::PinnedVersionGone, 503, None),
            (ErrorKind::NotSettled, 500, None),
            (ErrorKind::Evicted, 503, Some(1)),
            (ErrorKind::TooLarge, 500, None),
        ];
        for (kind, status, retry) in cases {
            let problem = Problem::of_call(&CallError::host(kind, "why and what to do"), false);
            assert_eq!(problem.status.as_u16(), status);
            assert_eq!(problem.retry_after_seconds(), retry);
            let json = problem.to_json();
            assert!(
                json.contains("why and what to do") && !json.contains("\"service\""),
                "{json}"
            );
        }
    }
}
