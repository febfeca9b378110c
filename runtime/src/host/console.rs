//! The log: where `console` and uncaught errors end up.

use std::rc::Rc;

use v8::MapFnTo;

use super::HostState;
use super::convert::{Args, Op, Ret, return_str, string_arg};

/// How serious a record is, in rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    /// `console.trace`
    Trace,
    /// `console.debug`
    Debug,
    /// `console.log`, `console.info` and the rest
    Info,
    /// `console.warn`
    Warn,
    /// `console.error`, `console.assert` and uncaught errors
    Error,
}

/// One message of one service.
#[derive(Clone, Debug)]
pub(crate) struct LogRecord {
    /// How serious it is.
    pub(crate) level: LogLevel,
    /// The bundle that wrote it, as in [`super::HostConfig::service`].
    pub(crate) service: Rc<str>,
    /// Formatted text; may have several lines. At most about 16 Ki characters.
    pub(crate) message: String,
}

pub(super) fn ops() -> Vec<Op> {
    vec![("log", log.map_fn_to()), ("kindOf", kind_of.map_fn_to())]
}

/// `host.log(level, text)`; levels count from trace = 0.
fn log(scope: &mut v8::PinScope<'_, '_>, args: Args<'_>, _: Ret<'_>) {
    let Some(message) = string_arg(scope, &args, 1) else {
        return;
    };
    let level = match args.get(0).uint32_value(scope) {
        Some(0) => LogLevel::Trace,
        Some(1) => LogLevel::Debug,
        Some(3) => LogLevel::Warn,
        Some(4) => LogLevel::Error,
        _ => LogLevel::Info,
    };
    // Without a state (while the snapshot is made) there is nobody to tell.
    if let Some(state) = HostState::of(scope) {
        state.log(level, message);
    }
}

/// `host.kindOf(value)`: which built-in class with hidden state made it, or undefined. No
/// property of a service is asked.
fn kind_of<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let value = args.get(0);
    let kinds = [
        ("Proxy", value.is_proxy()),
        ("Map", value.is_map()),
        ("Set", value.is_set()),
        ("Date", value.is_date()),
        ("RegExp", value.is_reg_exp()),
        ("Promise", value.is_promise()),
        ("ArrayBuffer", value.is_array_buffer()),
        ("Number", value.is_number_object()),
        ("Boolean", value.is_boolean_object()),
    ];
    if let Some((name, _)) = kinds.iter().find(|(_, is)| *is) {
        return_str(scope, &mut rv, name);
    }
}
