//! The glue (`js/glue/`) as Rust sees it: its functions, and the events that they are called with.

use bytes::Bytes;

use super::blobs::Blobs;
use super::keys::{root_words, to_words};
use super::memory::store_of_bytes;
use super::native::kind_name;
use super::{Event, Segment, snapshot};
use crate::error::{CallError, Origin};
use crate::host::HostState;

/// The functions of the glue object, by what they do.
pub(super) struct Glue {
    pub(super) attach: v8::Global<v8::Function>,
    pub(super) start: v8::Global<v8::Function>,
    pub(super) turn: v8::Global<v8::Function>,
    pub(super) defect: v8::Global<v8::Function>,
    pub(super) settle_error: v8::Global<v8::Function>,
    pub(super) fetch: v8::Global<v8::Function>,
    pub(super) compare: v8::Global<v8::Function>,
    pub(super) body_chunk: v8::Global<v8::Function>,
    pub(super) writable: v8::Global<v8::Function>,
    pub(super) abort: v8::Global<v8::Function>,
    pub(super) answer: v8::Global<v8::Function>,
    pub(super) refuse: v8::Global<v8::Function>,
    pub(super) call_json: v8::Global<v8::Function>,
    pub(super) fire_timers: v8::Global<v8::Function>,
    pub(super) drop_timers: v8::Global<v8::Function>,
    pub(super) format_stack: v8::Global<v8::Function>,
    pub(super) recover: v8::Global<v8::Function>,
}

pub(super) fn find_glue(scope: &mut v8::PinScope<'_, '_>) -> Option<Glue> {
    let object = snapshot::glue(scope)?;
    let function = |name: &str| {
        let key = v8::String::new(scope, name)?;
        let value = object.get(scope, key.into())?;
        let function: v8::Local<v8::Function> = value.try_into().ok()?;
        Some(v8::Global::new(scope, function))
    };
    Some(Glue {
        attach: function("attach")?,
        start: function("start")?,
        turn: function("turn")?,
        defect: function("defect")?,
        settle_error: function("settleError")?,
        fetch: function("fetch")?,
        compare: function("compare")?,
        body_chunk: function("bodyChunk")?,
        writable: function("writable")?,
        abort: function("abort")?,
        answer: function("answer")?,
        refuse: function("refuse")?,
        call_json: function("callJson")?,
        fire_timers: function("fireTimers")?,
        drop_timers: function("dropTimers")?,
        format_stack: function("formatStack")?,
        recover: function("recover")?,
    })
}

/// Maps segments into the current isolate, as the glue's `turn` takes them: of each its buffer, its
/// first byte and its end. One segment is three arguments, several are an array.
pub(super) fn map_segments<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    segments: &[Segment],
    blobs: &mut Blobs,
) -> [v8::Local<'s, v8::Value>; 3] {
    if let [segment] = segments {
        return map_segment(scope, segment, blobs);
    }
    let mut elements = Vec::with_capacity(segments.len() * 3);
    for segment in segments {
        elements.extend(map_segment(scope, segment, blobs));
    }
    let undefined = v8::undefined(scope).into();
    let all = v8::Array::new_with_elements(scope, &elements);
    [all.into(), undefined, undefined]
}

fn map_segment<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    segment: &Segment,
    blobs: &mut Blobs,
) -> [v8::Local<'s, v8::Value>; 3] {
    // Only a receive chunk is mutable; it is new, and has no bytes of its own to tell.
    let buffer = match segment.end {
        0 => v8::ArrayBuffer::with_backing_store(scope, &segment.store),
        _ => blobs.map(scope, segment),
    };
    let number = |number| v8::Integer::new_from_unsigned(scope, number).into();
    [buffer.into(), number(segment.base), number(segment.end)]
}

pub(super) fn run_event(
    scope: &mut v8::PinScope<'_, '_>,
    glue: &Glue,
    event: Event,
    host: &HostState,
) -> Option<()> {
    let undefined: v8::Local<v8::Value> = v8::undefined(scope).into();
    let (function, arguments): (_, Vec<v8::Local<v8::Value>>) = match event {
        Event::Task(task) => {
            task.run();
            return Some(());
        }
        Event::CallFailed { pending, error } => {
            let arguments = error_arguments(scope, pending, error)?;
            (&glue.settle_error, arguments)
        }
        Event::Answer {
            exchange,
            answer: Err(error),
        } => (&glue.refuse, error_arguments(scope, exchange, error)?),
        Event::Answer {
            exchange,
            answer: Ok(head),
        } => {
            let flat = flat_headers(scope, &head.headers)?;
            let arguments = vec![
                v8::Integer::new(scope, exchange).into(),
                v8::Integer::new(scope, head.status.into()).into(),
                text(scope, &head.status_text)?,
                flat,
                text(scope, &head.url)?,
                v8::Boolean::new(scope, head.redirected).into(),
            ];
            (&glue.answer, arguments)
        }
        Event::Fetch {
            exchange,
            root,
            head,
            has_body,
            shadow,
        } => {
            let (low, high) = root_words(root, shadow);
            let flat = flat_headers(scope, &head.headers)?;
            let arguments = vec![
                v8::Integer::new(scope, exchange).into(),
                v8::Integer::new(scope, low).into(),
                v8::Integer::new(scope, high).into(),
                text(scope, &head.method)?,
                text(scope, &head.url)?,
                flat,
                v8::Boolean::new(scope, has_body).into(),
            ];
            (&glue.fetch, arguments)
        }
        Event::Compare {
            id,
            root,
            shown,
            shadow,
        } => {
            let (low, high) = root_words(root, true);
            let mut arguments = vec![
                v8::Integer::new(scope, id).into(),
                v8::Integer::new(scope, low).into(),
                v8::Integer::new(scope, high).into(),
            ];
            for answer in [shown, shadow] {
                arguments.push(v8::Integer::new(scope, i32::from(answer.status)).into());
                arguments.push(flat_headers(scope, &answer.headers)?);
                arguments.push(match answer.body {
                    Some(bytes) => uint8_array(scope, bytes)?,
                    None => v8::null(scope).into(),
                });
            }
            (&glue.compare, arguments)
        }
        Event::BodyChunk { exchange, chunk } => {
            let exchange = v8::Integer::new(scope, exchange).into();
            let arguments = match chunk {
                None => vec![exchange, v8::null(scope).into(), undefined],
                Some(Ok(bytes)) => vec![exchange, uint8_array(scope, bytes)?, undefined],
                Some(Err(reason)) => vec![exchange, undefined, text(scope, &reason)?],
            };
            (&glue.body_chunk, arguments)
        }
        Event::Writable { exchange } => {
            let exchange = v8::Integer::new(scope, exchange).into();
            (&glue.writable, vec![exchange])
        }
        Event::Abort { exchange, reason } => {
            let exchange = v8::Integer::new(scope, exchange).into();
            (&glue.abort, vec![exchange, text(scope, &reason)?])
        }
        Event::Timers => {
            let now = v8::Number::new(scope, host.now_ms()).into();
            (&glue.fire_timers, vec![now])
        }
        Event::DropTimers { root } => {
            let (low, high) = to_words(root);
            let words = [low, high].map(|word| v8::Integer::new(scope, word).into());
            (&glue.drop_timers, words.to_vec())
        }
        Event::CallJson {
            id,
            root,
            export,
            method,
            argument,
        } => {
            let (low, high) = to_words(root);
            let arguments = vec![
                v8::Integer::new(scope, id).into(),
                v8::Integer::new(scope, low).into(),
                v8::Integer::new(scope, high).into(),
                v8::Integer::new(scope, i32::try_from(export).ok()?).into(),
                text(scope, &method)?,
                text(scope, &argument)?,
            ];
            (&glue.call_json, arguments)
        }
    };
    let function = v8::Local::new(scope, function);
    function.call(scope, undefined, &arguments)?;
    Some(())
}

/// A number, and what the glue makes a `CallError` of.
fn error_arguments<'s>(
    scope: &v8::PinScope<'s, '_>,
    number: i32,
    error: CallError,
) -> Option<Vec<v8::Local<'s, v8::Value>>> {
    let Origin { service, version } = error.origin.map(|origin| *origin).unwrap_or_default();
    Some(vec![
        v8::Integer::new(scope, number).into(),
        text(scope, kind_name(error.kind))?,
        text(scope, &error.name)?,
        text(scope, &error.message)?,
        text(scope, &service)?,
        text(scope, &version)?,
        text(scope, &error.stack)?,
    ])
}

fn flat_headers<'s>(
    scope: &v8::PinScope<'s, '_>,
    headers: &[(String, String)],
) -> Option<v8::Local<'s, v8::Value>> {
    let mut flat = Vec::with_capacity(headers.len() * 2);
    for (name, value) in headers {
        flat.push(text(scope, name)?);
        flat.push(text(scope, value)?);
    }
    Some(v8::Array::new_with_elements(scope, &flat).into())
}

fn text<'s>(scope: &v8::PinScope<'s, '_>, text: &str) -> Option<v8::Local<'s, v8::Value>> {
    Some(v8::String::new(scope, text)?.into())
}

fn uint8_array<'s>(scope: &v8::PinScope<'s, '_>, bytes: Bytes) -> Option<v8::Local<'s, v8::Value>> {
    let length = bytes.len();
    let store = store_of_bytes(Vec::from(bytes));
    let buffer = v8::ArrayBuffer::with_backing_store(scope, &store);
    Some(v8::Uint8Array::new(scope, buffer, 0, length)?.into())
}
