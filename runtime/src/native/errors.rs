//! Errors between services and Rust: `capnp::Error` has four kinds, so its text begins with ours.

use capnp::Error;

use crate::error::{CallError, ErrorKind};
use crate::isolate::{kind_from_name, kind_name};

/// An error of this kind, for a method to return. Its text begins with the kind's name, as that of
/// the errors that other services' calls end in.
pub fn error(kind: ErrorKind, message: impl std::fmt::Display) -> Error {
    let text = format!("{}: {message}", kind_name(kind));
    match kind {
        ErrorKind::Overloaded => Error::overloaded(text),
        ErrorKind::Disconnected => Error::disconnected(text),
        ErrorKind::Unimplemented => Error::unimplemented(text),
        _ => Error::failed(text),
    }
}

/// What kind of error it is: the one that its text begins with, or else one of `capnp`'s four.
pub fn kind_of(error: &Error) -> ErrorKind {
    split(error).0
}

fn split(error: &Error) -> (ErrorKind, &str) {
    if let Some((name, message)) = error.extra.split_once(": ")
        && let Some(kind) = kind_from_name(name)
    {
        return (kind, message);
    }
    let kind = match error.kind {
        capnp::ErrorKind::Overloaded => ErrorKind::Overloaded,
        capnp::ErrorKind::Disconnected => ErrorKind::Disconnected,
        capnp::ErrorKind::Unimplemented => ErrorKind::Unimplemented,
        _ => ErrorKind::Failed,
    };
    (kind, &error.extra)
}

/// The error of a call, as Rust code gets it.
pub(super) fn to_native(told: &CallError) -> Error {
    error(told.kind, told)
}

/// What a method returned, as its caller gets it: who it is the service's to say.
pub(super) fn from_native(error: &Error) -> CallError {
    let (kind, message) = split(error);
    let message = match message.is_empty() {
        true => error.to_string(),
        false => message.to_owned(),
    };
    CallError {
        // A name tells it from an error of the host's, which clients are told as it is.
        name: "Error".to_owned(),
        ..CallError::host(kind, message)
    }
}

/// A method has panicked.
pub(super) fn panicked(text: &str) -> CallError {
    CallError {
        name: "Panic".to_owned(),
        ..CallError::host(ErrorKind::Failed, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_crosses_there_and_back() {
        for kind in [
            ErrorKind::Failed,
            ErrorKind::NotFound,
            ErrorKind::Overloaded,
            ErrorKind::DeadlineExceeded,
        ] {
            let native = to_native(&CallError::host(kind, "why: and what to do"));
            assert_eq!(kind_of(&native), kind);
            let back = from_native(&native);
            assert_eq!((back.kind, &*back.message), (kind, "why: and what to do"));
        }
    }

    #[test]
    fn a_text_of_ones_own_is_kept_whole() {
        let own = from_native(&Error::overloaded("the card reader: busy".into()));
        assert_eq!(
            (own.kind, &*own.message),
            (ErrorKind::Overloaded, "the card reader: busy")
        );
        let reason = from_native(&Error::from_kind(capnp::ErrorKind::EmptyBuffer));
        assert_eq!(reason.kind, ErrorKind::Failed);
        assert!(!reason.message.is_empty());
    }
}
