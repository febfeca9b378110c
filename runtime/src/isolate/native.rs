//! The native functions that the glue (`js/glue/`) calls. Bundle code cannot reach them.
//!
//! Each one finds its isolate in the V8 isolate's slot. None of them runs JavaScript of its isolate,
//! and none trusts its arguments: a bad one does nothing or throws a TypeError.

use std::rc::{Rc, Weak};

use bytes::Bytes;
use isolith_capnp::error_capnp::call_error::Kind;

use super::cut::request_waste;
use super::exchange::WriteState;
use super::glue::map_segments;
use super::heap::MemoryGuard;
use super::keys::from_words;
use super::thrown::{error_text, redact};
use super::{Isolate, Segment};
use crate::error::{CallError, Origin};
use crate::http::{HttpBody, HttpResponse};
use crate::outbound::{OutboundBody, OutboundRequest, Redirect};

type Scope<'a, 's, 'i> = &'a mut v8::PinScope<'s, 'i>;
type Args<'s> = v8::FunctionCallbackArguments<'s>;

/// What an isolate's slot holds.
pub(super) struct Owner(pub(super) Weak<Isolate>);

macro_rules! natives {
    ($($name:literal => $function:ident),* $(,)?) => {
        fn table() -> Vec<(&'static str, v8::FunctionCallback)> {
            use v8::MapFnTo;
            vec![$(($name, $function.map_fn_to())),*]
        }
    };
}

natives! {
    "flush" => flush,
    "dispatch" => dispatch,
    "give" => give,
    "fail" => fail,
    "fulfilled" => fulfilled,
    "utf8Decode" => utf8_decode,
    "utf8Encode" => utf8_encode,
    "respond" => respond,
    "failExchange" => fail_exchange,
    "pullBody" => pull_body,
    "cancelBody" => cancel_body,
    "writeBody" => write_body,
    "endBody" => end_body,
    "ask" => ask,
    "breakBody" => break_body,
    "endExchange" => end_exchange,
    "schedule" => schedule,
    "waste" => waste,
    "replyJson" => reply_json,
    "position" => position,
}

pub(super) fn external_references() -> Vec<v8::ExternalReference> {
    table()
        .into_iter()
        .map(|(_, function)| v8::ExternalReference { function })
        .collect()
}

/// The object that holds them all.
pub(super) fn object<'s>(scope: &mut v8::PinScope<'s, '_>) -> Option<v8::Local<'s, v8::Object>> {
    let object = v8::Object::new(scope);
    for (name, callback) in table() {
        let function = v8::Function::builder_raw(callback).build(scope)?;
        let key = v8::String::new(scope, name)?;
        object.set(scope, key.into(), function.into())?;
    }
    Some(object)
}

fn owner(scope: &v8::Isolate) -> Option<Rc<Isolate>> {
    scope.get_slot::<Owner>()?.0.upgrade()
}

/// A whole number of 32 bits; -1 for anything else.
fn int(args: &Args<'_>, index: i32) -> i32 {
    v8::Local::<v8::Int32>::try_from(args.get(index)).map_or(-1, |number| number.value())
}

fn text(scope: Scope<'_, '_, '_>, args: &Args<'_>, index: i32) -> String {
    let value = args.get(index);
    match value.is_string() {
        true => value.to_rust_string_lossy(scope),
        false => String::new(),
    }
}

/// A text that leaves the isolate, without the service's secrets.
fn public_text(scope: Scope<'_, '_, '_>, args: &Args<'_>, index: i32) -> String {
    let value = args.get(index);
    let text = match value.is_string() {
        true => error_text(scope, value),
        false => String::new(),
    };
    redact(scope, text)
}

fn throw(scope: Scope<'_, '_, '_>, reason: &str) {
    if let Some(reason) = v8::String::new(scope, reason) {
        let error = v8::Exception::type_error(scope, reason);
        scope.throw_exception(error);
    }
}

/// flush(): takes what ring and outbox hold now, although the isolate's stack is not empty.
fn flush(scope: Scope<'_, '_, '_>, _: Args<'_>, _: v8::ReturnValue<'_>) {
    if let Some(isolate) = owner(scope)
        && let Some(home) = isolate.home.upgrade()
    {
        home.collect(&isolate);
    }
}

/// dispatch(pending, before) -> undefined, or what moved with the results of this call, which are
/// there: null, the only buffer, or an array. Not if `before`, the promise of the results that came so
/// before, is awaited by nobody yet: calls that are made together go together.
fn dispatch<'s>(scope: Scope<'_, 's, '_>, args: Args<'s>, mut rv: v8::ReturnValue<'_>) {
    if let Ok(before) = v8::Local::<v8::Promise>::try_from(args.get(1))
        && !before.has_handler()
    {
        return;
    }
    let Some(isolate) = owner(scope) else { return };
    let Some(home) = isolate.home.upgrade() else {
        return;
    };
    let Some(moved) = home.dispatch(&isolate, int(&args, 0)) else {
        return;
    };
    if moved.is_empty() {
        return rv.set_null();
    }
    let [buffers, ..] = map_segments(scope, &moved, &mut isolate.blobs.borrow_mut());
    rv.set(buffers);
    let Some(guard) = scope.get_slot::<Rc<MemoryGuard>>() else {
        return;
    };
    guard.count_mapped(isolate.blobs.borrow_mut().take_new_bytes());
    if guard.is_collection_due() {
        // It comes at the end of the turn.
        isolate.wire.forbid_dispatches();
    }
}

/// give(buffer, base, end): hands the host a segment, in a sealed buffer, that belongs to the next
/// record posted.
fn give<'s>(scope: Scope<'_, 's, '_>, args: Args<'s>, _: v8::ReturnValue<'_>) {
    let buffer: Result<v8::Local<v8::ArrayBuffer>, _> = args.get(0).try_into();
    let (Some(isolate), Ok(buffer)) = (owner(scope), buffer) else {
        return throw(scope, "give: expected an ArrayBuffer");
    };
    let segment = Segment {
        store: buffer.get_backing_store(),
        base: u32::try_from(int(&args, 1)).unwrap_or(0),
        end: u32::try_from(int(&args, 2)).unwrap_or(0),
    };
    isolate.blobs.borrow_mut().remember(scope, &segment, buffer);
    let mut given = isolate.given.borrow_mut();
    if int(&args, 3) != 0 {
        // The first of a message: what is left of one that was never posted goes.
        given.truncate(isolate.wire.segments_posted());
    }
    given.push(segment);
}

/// The error that six arguments from `first` describe.
fn error_argument(
    scope: Scope<'_, '_, '_>,
    args: &Args<'_>,
    first: i32,
    at: &Isolate,
) -> CallError {
    let kind = text(scope, args, first);
    let service = text(scope, args, first + 3);
    let error = CallError {
        kind: kind_from_name(&kind).unwrap_or(Kind::Failed),
        name: public_text(scope, args, first + 1),
        message: public_text(scope, args, first + 2),
        origin: None,
        stack: public_text(scope, args, first + 5),
    };
    match service.is_empty() {
        true => error.in_bundle(at.program.id()),
        false => CallError {
            origin: Some(Box::new(Origin {
                service,
                version: text(scope, args, first + 4),
            })),
            ..error
        },
    }
}

/// fail(low, high, kind, name, message, service, version, stack): the handler of the call with
/// this key threw or rejected.
fn fail(scope: Scope<'_, '_, '_>, args: Args<'_>, _: v8::ReturnValue<'_>) {
    let Some(isolate) = owner(scope) else { return };
    let call = (int(&args, 0), int(&args, 1));
    let error = error_argument(scope, &args, 2, &isolate);
    if let Some(home) = isolate.home.upgrade() {
        home.fail_call(&isolate, from_words(call), error);
    }
}

/// fulfilled(promise, otherwise) -> what the promise was fulfilled with, if it was.
fn fulfilled<'s>(scope: Scope<'_, 's, '_>, args: Args<'s>, mut rv: v8::ReturnValue<'_>) {
    match v8::Local::<v8::Promise>::try_from(args.get(0)) {
        Ok(promise) if promise.state() == v8::PromiseState::Fulfilled => {
            rv.set(promise.result(scope));
        }
        _ => rv.set(args.get(1)),
    }
}

/// Bytes of a typed array, and the store that keeps them alive.
struct Place {
    first: *mut u8,
    len: usize,
    _store: v8::SharedRef<v8::BackingStore>,
}

/// `len` bytes of `view` from `start`; `None` if they do not all lie inside it and its store.
fn place(view: v8::Local<'_, v8::Uint8Array>, start: usize, len: usize) -> Option<Place> {
    let store = view.get_backing_store()?;
    (start.checked_add(len)? <= view.byte_length()).then_some(())?;
    let from = view.byte_offset().checked_add(start)?;
    (from.checked_add(len)? <= store.byte_length()).then_some(())?;
    let data = store.data()?.as_ptr().cast::<u8>();
    Some(Place {
        // SAFETY: inside the store, as just checked.
        first: unsafe { data.add(from) },
        len,
        _store: store,
    })
}

/// utf8Decode(u8, start, end) -> string; malformed sequences become U+FFFD.
fn utf8_decode(scope: Scope<'_, '_, '_>, args: Args<'_>, mut rv: v8::ReturnValue<'_>) {
    let Ok(view) = v8::Local::<v8::Uint8Array>::try_from(args.get(0)) else {
        return throw(scope, "utf8Decode: expected a Uint8Array");
    };
    let (start, end) = (int(&args, 1), int(&args, 2));
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let place = range.and_then(|(start, end)| place(view, start, end.checked_sub(start)?));
    let bytes = place.as_ref().map(|place| {
        // SAFETY: inside the store; no JavaScript runs while the slice lives.
        unsafe { std::slice::from_raw_parts(place.first, place.len) }
    });
    let string = match bytes {
        Some(bytes) => v8::String::new_from_utf8(scope, bytes, v8::NewStringType::Normal),
        None if start == end => Some(v8::String::empty(scope)),
        None => return throw(scope, "utf8Decode: the range lies outside the array"),
    };
    match string {
        Some(string) => rv.set(string.into()),
        None => throw(scope, "utf8Decode: the text is too long for a string"),
    }
}

/// utf8Encode(string, u8, start) -> bytes written; -1 if they do not fit.
fn utf8_encode(scope: Scope<'_, '_, '_>, args: Args<'_>, mut rv: v8::ReturnValue<'_>) {
    let string = v8::Local::<v8::String>::try_from(args.get(0));
    let view = v8::Local::<v8::Uint8Array>::try_from(args.get(1));
    let (Ok(string), Ok(view)) = (string, view) else {
        return throw(scope, "utf8Encode: expected a string and a Uint8Array");
    };
    let Ok(start) = usize::try_from(int(&args, 2)) else {
        return rv.set_int32(-1);
    };
    let needed = string.utf8_length(scope);
    let place = place(view, start, needed);
    let room = place.as_ref().map(|place| {
        // SAFETY: inside the store; no JavaScript runs while the slice lives.
        unsafe { std::slice::from_raw_parts_mut(place.first, place.len) }
    });
    match room {
        Some(room) => {
            let flags = v8::WriteFlags::kReplaceInvalidUtf8;
            let written = string.write_utf8_v2(scope, room, flags, None);
            rv.set_int32(i32::try_from(written).unwrap_or(-1));
        }
        None if needed == 0 => rv.set_int32(0),
        None => rv.set_int32(-1),
    }
}

fn bytes_argument(value: v8::Local<'_, v8::Value>) -> Option<Bytes> {
    let view: v8::Local<v8::Uint8Array> = value.try_into().ok()?;
    let mut bytes = vec![0; view.byte_length()];
    let copied = view.copy_contents(&mut bytes);
    bytes.truncate(copied);
    Some(Bytes::from(bytes))
}

/// A flat array of names and values.
fn header_pairs(scope: Scope<'_, '_, '_>, flat: v8::Local<'_, v8::Value>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    if let Ok(flat) = v8::Local::<v8::Array>::try_from(flat) {
        for pair in 0..flat.length() / 2 {
            let name = flat.get_index(scope, pair * 2);
            let value = flat.get_index(scope, pair * 2 + 1);
            if let (Some(name), Some(value)) = (name, value) {
                let name = name.to_rust_string_lossy(scope);
                headers.push((name, value.to_rust_string_lossy(scope)));
            }
        }
    }
    headers
}

/// respond(exchange, status, headers, body, streamed): the head of a response, and its body if
/// that is complete. `headers` is flat: name, value, name, value.
fn respond(scope: Scope<'_, '_, '_>, args: Args<'_>, _: v8::ReturnValue<'_>) {
    let Some(isolate) = owner(scope) else { return };
    let exchange = int(&args, 0);
    let status = u16::try_from(int(&args, 1)).unwrap_or(500);
    let headers = header_pairs(scope, args.get(2));
    let body = match (args.get(4).is_true(), bytes_argument(args.get(3))) {
        (true, _) => match isolate.open_response_body(exchange) {
            Some(receiver) => HttpBody::Stream(receiver),
            None => return,
        },
        (false, Some(bytes)) => HttpBody::Full(bytes),
        (false, None) => HttpBody::Empty,
    };
    let response = HttpResponse {
        status,
        headers,
        body,
    };
    isolate.respond(exchange, Ok(response));
}

/// failExchange(exchange, kind, name, message, service, version, stack)
fn fail_exchange(scope: Scope<'_, '_, '_>, args: Args<'_>, _: v8::ReturnValue<'_>) {
    let Some(isolate) = owner(scope) else { return };
    let exchange = int(&args, 0);
    let error = error_argument(scope, &args, 1, &isolate);
    isolate.respond(exchange, Err(error));
}

/// pullBody(exchange): the service wants the next chunk of the request's body.
fn pull_body(scope: Scope<'_, '_, '_>, args: Args<'_>, _: v8::ReturnValue<'_>) {
    if let Some(isolate) = owner(scope) {
        let exchange = int(&args, 0);
        isolate.pull_body(exchange);
    }
}

/// cancelBody(exchange): the service wants no more of the request's body.
fn cancel_body(scope: Scope<'_, '_, '_>, args: Args<'_>, _: v8::ReturnValue<'_>) {
    if let Some(isolate) = owner(scope) {
        let exchange = int(&args, 0);
        isolate.cancel_body(exchange);
    }
}

/// writeBody(exchange, u8) -> 0: write on; 1: wait for `writable`; 2: the client is gone.
fn write_body(scope: Scope<'_, '_, '_>, args: Args<'_>, mut rv: v8::ReturnValue<'_>) {
    let Some(isolate) = owner(scope) else { return };
    let exchange = int(&args, 0);
    let state = match bytes_argument(args.get(1)) {
        Some(bytes) => isolate.write_body(exchange, bytes),
        None => WriteState::Closed,
    };
    rv.set_int32(state as i32);
}

/// endBody(exchange): the response's body is complete.
fn end_body(scope: Scope<'_, '_, '_>, args: Args<'_>, _: v8::ReturnValue<'_>) {
    if let Some(isolate) = owner(scope) {
        let exchange = int(&args, 0);
        isolate.end_body(exchange);
    }
}

/// ask(rootLow, rootHigh, binding, method, url, headers, body, streamed, redirect) -> exchange: an
/// outbound request. What is wrong with it, the answer says.
fn ask(scope: Scope<'_, '_, '_>, args: Args<'_>, mut rv: v8::ReturnValue<'_>) {
    let Some(isolate) = owner(scope) else { return };
    let root = from_words((int(&args, 0), int(&args, 1)));
    let method = text(scope, &args, 3);
    let (Ok(method), Ok(url)) = (
        http::Method::from_bytes(method.as_bytes()),
        url::Url::parse(&text(scope, &args, 4)),
    ) else {
        return throw(scope, "the request has no valid method or URL");
    };
    let body = match bytes_argument(args.get(6)) {
        Some(bytes) if !bytes.is_empty() => OutboundBody::Full(bytes),
        _ => OutboundBody::Empty,
    };
    let redirect = match &*text(scope, &args, 8) {
        "manual" => Redirect::Manual,
        "error" => Redirect::Error,
        _ => Redirect::Follow,
    };
    let request = OutboundRequest {
        binding: usize::try_from(int(&args, 2)).unwrap_or(usize::MAX),
        method,
        url,
        headers: header_pairs(scope, args.get(5)),
        body,
        redirect,
        shadow: false,
    };
    rv.set_int32(isolate.ask(root, request, args.get(7).is_true()));
}

/// breakBody(exchange, reason): the service cannot go on sending its request's body.
fn break_body(scope: Scope<'_, '_, '_>, args: Args<'_>, _: v8::ReturnValue<'_>) {
    if let Some(isolate) = owner(scope) {
        let exchange = int(&args, 0);
        isolate.break_body(exchange, text(scope, &args, 1));
    }
}

/// endExchange(exchange): the service gives its request up.
fn end_exchange(scope: Scope<'_, '_, '_>, args: Args<'_>, _: v8::ReturnValue<'_>) {
    if let Some(isolate) = owner(scope) {
        let exchange = int(&args, 0);
        isolate.end_exchange(exchange);
    }
}

/// schedule(dueMs): the earliest timer is due then, on the clock of the isolate's host state.
fn schedule(scope: Scope<'_, '_, '_>, args: Args<'_>, _: v8::ReturnValue<'_>) {
    if let Some(isolate) = owner(scope) {
        let due_ms = args.get(0).number_value(scope).unwrap_or(0.0);
        isolate.set_alarm(due_ms);
    }
}

/// waste(): the turn that runs was refused what it asked for, so its time comes to nothing.
fn waste(scope: Scope<'_, '_, '_>, _: Args<'_>, _: v8::ReturnValue<'_>) {
    request_waste(&scope.thread_safe_handle());
}

/// replyJson(id, errorKind, text): `text` is the result if the kind is empty.
fn reply_json(scope: Scope<'_, '_, '_>, args: Args<'_>, _: v8::ReturnValue<'_>) {
    let Some(isolate) = owner(scope) else { return };
    let id = int(&args, 0);
    let kind = text(scope, &args, 1);
    let reply = match kind.is_empty() {
        true => Ok(text(scope, &args, 2)),
        false => Err(CallError::host(
            kind_from_name(&kind).unwrap_or(Kind::Failed),
            public_text(scope, &args, 2),
        )
        .in_bundle(isolate.program.id())),
    };
    isolate.reply_json(id, reply);
}

/// position(line, column) -> "file:line:column" in the bundle's sources, or undefined.
fn position(scope: Scope<'_, '_, '_>, args: Args<'_>, mut rv: v8::ReturnValue<'_>) {
    let Some(isolate) = owner(scope) else { return };
    let line = u32::try_from(int(&args, 0)).unwrap_or(0);
    let column = u32::try_from(int(&args, 1)).unwrap_or(0);
    if let Some(position) = isolate.program.position(line, column)
        && let Some(position) = v8::String::new(scope, &position)
    {
        rv.set(position.into());
    }
}

/// The kinds by the names that JavaScript and the schema use for them.
pub(super) const KINDS: [(Kind, &str); 19] = [
    (Kind::Failed, "failed"),
    (Kind::Overloaded, "overloaded"),
    (Kind::Disconnected, "disconnected"),
    (Kind::Unimplemented, "unimplemented"),
    (Kind::BadArgument, "badArgument"),
    (Kind::RequestEnded, "requestEnded"),
    (Kind::DeadlineExceeded, "deadlineExceeded"),
    (Kind::CpuExceeded, "cpuExceeded"),
    (Kind::MemoryExceeded, "memoryExceeded"),
    (Kind::PinnedVersionGone, "pinnedVersionGone"),
    (Kind::TooLarge, "tooLarge"),
    (Kind::BadMessage, "badMessage"),
    (Kind::NotFound, "notFound"),
    (Kind::NotSettled, "notSettled"),
    (Kind::Evicted, "evicted"),
    (Kind::NotGranted, "notGranted"),
    (Kind::Revoked, "revoked"),
    (Kind::OtherVersionSet, "otherVersionSet"),
    (Kind::Cancelled, "cancelled"),
];

/// The kind of this name, if there is one.
pub(crate) fn kind_from_name(name: &str) -> Option<Kind> {
    let (kind, _) = KINDS.iter().find(|(_, known)| *known == name)?;
    Some(*kind)
}

/// The name that JavaScript and the schema use for a kind.
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    KINDS
        .iter()
        .find(|(known, _)| *known == kind)
        .map_or("failed", |(_, name)| name)
}
