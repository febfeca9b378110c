//! What JavaScript throws, rejects and prints as a stack, as values of ours.

use std::cell::RefCell;
use std::rc::Rc;

use isolith_capnp::error_capnp::call_error::Kind;

use super::cut::{Cut, Reach};
use crate::error::CallError;
use crate::host::HostState;

/// For execution that was ended inside a built-in that let nobody look.
pub(super) fn cut_short(bundle: &isolith_versions::BundleId) -> Cut {
    let reason = "it used more CPU time than it may inside one built-in function and was ended";
    Cut {
        error: CallError::host(Kind::CpuExceeded, reason).in_bundle(bundle),
        root: None,
        reach: Reach::Request,
    }
}

/// The error that a failed call into JavaScript stands for.
pub(super) fn caught(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, '_, v8::HandleScope<'_>>>,
    bundle: &isolith_versions::BundleId,
) -> CallError {
    let (message, stack) = match scope.exception() {
        Some(error) => {
            let line = scope.message().and_then(|m| m.get_line_number(scope));
            let message = error_text(scope, error);
            let message = redact(scope, message);
            let stack = describe(scope, error);
            // A syntax error has no stack of its own; its message knows the place.
            match line {
                Some(line) if !stack.contains("\n    at ") => (
                    format!("{message} (line {line} of the built module)"),
                    String::new(),
                ),
                _ => (message, stack),
            }
        }
        None => ("the runtime's own code failed".to_owned(), String::new()),
    };
    CallError {
        stack,
        ..CallError::host(Kind::Failed, message).in_bundle(bundle)
    }
}

/// An error's stack if it has one, else its text.
pub(super) fn describe(
    scope: &mut v8::PinScope<'_, '_>,
    error: v8::Local<'_, v8::Value>,
) -> String {
    let stack = v8::Local::<v8::Object>::try_from(error)
        .ok()
        .and_then(|error| {
            let key = v8::String::new(scope, "stack")?;
            error
                .get(scope, key.into())
                .filter(|stack| stack.is_string())
        });
    let text = error_text(scope, stack.unwrap_or(error));
    redact(scope, text)
}

/// What of an error's text leaves its isolate, in UTF-16 units.
const ERROR_TEXT_UNITS: usize = 16 << 10;

/// The beginning of a value's text; nothing if it has none. May run JavaScript of the service.
pub(super) fn error_text(scope: &v8::PinScope<'_, '_>, value: v8::Local<'_, v8::Value>) -> String {
    let Some(text) = value.to_string(scope) else {
        return String::new();
    };
    if text.length() <= ERROR_TEXT_UNITS {
        return text.to_rust_string_lossy(scope);
    }
    let mut units = vec![0; ERROR_TEXT_UNITS];
    text.write_v2(scope, 0, &mut units, v8::WriteFlags::empty());
    String::from_utf16_lossy(&units) + "..."
}

/// The text without the secrets of the service that it comes from.
pub(super) fn redact(scope: &v8::Isolate, text: String) -> String {
    match HostState::of(scope) {
        Some(state) => state.redact(text),
        None => text,
    }
}

impl CallError {
    pub(super) fn stack_or_message(self) -> String {
        match self.stack.is_empty() {
            true => self.message,
            false => self.stack,
        }
    }
}

/// The glue's stack formatter, kept where V8's callback can find it.
pub(super) struct FormatStack(pub(super) v8::Global<v8::Function>);

pub(super) fn prepare_stack_trace<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    error: v8::Local<'s, v8::Value>,
    sites: v8::Local<'s, v8::Array>,
) -> v8::Local<'s, v8::Value> {
    let formatted = scope
        .get_slot::<FormatStack>()
        .map(|format| format.0.clone())
        .and_then(|format| {
            let format = v8::Local::new(scope, format);
            let undefined = v8::undefined(scope).into();
            format.call(scope, undefined, &[error, sites.into()])
        });
    formatted.unwrap_or_else(|| v8::String::empty(scope).into())
}

/// Promises that were rejected with nobody listening, until the end of the turn.
#[derive(Default)]
pub(super) struct Rejections {
    list: RefCell<Vec<(v8::Global<v8::Promise>, v8::Global<v8::Value>)>>,
}

/// Rejections that one turn remembers; those past it are dropped unreported.
pub(super) const REJECTIONS_PER_TURN: usize = 64;

pub(super) unsafe extern "C" fn on_promise_reject(message: v8::PromiseRejectMessage<'_>) {
    v8::callback_scope!(unsafe scope, &message);
    let promise = v8::Global::new(scope, message.get_promise());
    let Some(rejections) = scope.get_slot::<Rc<Rejections>>() else {
        return;
    };
    let mut list = rejections.list.borrow_mut();
    match message.get_event() {
        v8::PromiseRejectEvent::PromiseRejectWithNoHandler => {
            if let Some(value) = message.get_value()
                && list.len() < REJECTIONS_PER_TURN
            {
                list.push((promise, v8::Global::new(scope, value)));
            }
        }
        v8::PromiseRejectEvent::PromiseHandlerAddedAfterReject => {
            list.retain(|(rejected, _)| *rejected != promise);
        }
        _ => {}
    }
}

impl Rejections {
    /// Drops the handles, before the isolate that they belong to.
    pub(super) fn forget(&self) {
        self.list.take();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// Logs what nobody handles, at the end of a turn.
    pub(super) fn report(&self, scope: &mut v8::PinScope<'_, '_>, host: &HostState) {
        for (_, value) in self.list.take() {
            let value = v8::Local::new(scope, value);
            let text = describe(scope, value);
            host.log(
                crate::host::LogLevel::Error,
                format!("a promise was rejected and nothing handles it: {text}"),
            );
        }
    }
}
