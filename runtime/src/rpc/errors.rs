//! Errors as Cap'n Proto RPC has them: one of four kinds, and a text.
//!
//! The text begins with the kind that services know, as in `evicted: auth@1.0.0: ...`.

use capnp::Error;

use crate::error::{CallError, ErrorKind};
use crate::http::RequestId;
use crate::http_error::Problem;

/// The error as a client gets it. What a service threw is told only if `debug` is set: it may hold
/// secrets, and the log has it.
pub(super) fn to_client(error: &CallError, debug: bool, session: RequestId) -> Error {
    let from_host = error.name.is_empty() && error.kind != ErrorKind::Failed;
    let kind = Problem::of_call(error, false).kind;
    let text = match debug || from_host {
        true => format!("{kind}: {error}"),
        false => {
            tracing::warn!(%session, "a call from outside failed: {error}\n{}", error.stack);
            let origin = error.origin.as_ref();
            let origin = origin
                .map(|origin| format!("{origin}: "))
                .unwrap_or_default();
            format!(
                "{kind}: {origin}an error in the service; the server's log has it under session \
                 {session}"
            )
        }
    };
    match error.kind {
        ErrorKind::Overloaded | ErrorKind::DeadlineExceeded => Error::overloaded(text),
        // The capability is of no use any more; opening the export again gives another.
        ErrorKind::Disconnected | ErrorKind::Evicted | ErrorKind::RequestEnded => {
            Error::disconnected(text)
        }
        ErrorKind::Unimplemented => Error::unimplemented(text),
        _ => Error::failed(text),
    }
}

/// Why a session was not admitted.
pub(super) fn refusal(problem: &Problem) -> Error {
    let text = format!("{}: {}", problem.kind, problem.detail);
    match problem.retry_after_seconds() {
        Some(_) => Error::overloaded(text),
        None => Error::failed(text),
    }
}

/// What a client said about a call that it served.
pub(super) fn from_client(error: &Error) -> CallError {
    let kind = match error.kind {
        capnp::ErrorKind::Overloaded => ErrorKind::Overloaded,
        capnp::ErrorKind::Disconnected => ErrorKind::Disconnected,
        capnp::ErrorKind::Unimplemented => ErrorKind::Unimplemented,
        _ => ErrorKind::Failed,
    };
    CallError::host(kind, format!("the client outside failed: {}", error.extra))
}
