//! Text to bytes and back: UTF-8 by V8 itself, the other encodings by `encoding_rs`.

use base64::Engine;
use base64::engine::general_purpose::{NO_PAD, STANDARD, URL_SAFE_NO_PAD};
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use encoding_rs::Encoding;
use v8::MapFnTo;

use super::convert::{
    Args, Op, Ret, allocate, bytes_arg, is_off_heap, return_bytes, return_str, string_arg,
    throw_range, throw_type, with_bytes, write_view,
};

pub(super) fn ops() -> Vec<Op> {
    vec![
        ("encodeUtf8", encode_utf8.map_fn_to()),
        ("encodeInto", encode_into.map_fn_to()),
        ("decodeUtf8", decode_utf8.map_fn_to()),
        ("decode", decode.map_fn_to()),
        ("encodingName", encoding_name.map_fn_to()),
        ("base64Encode", base64_encode.map_fn_to()),
        ("base64Decode", base64_decode.map_fn_to()),
        ("latin1Encode", latin1_encode.map_fn_to()),
        ("latin1Decode", latin1_decode.map_fn_to()),
    ]
}

fn text_arg<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: &Args<'s>,
) -> Option<v8::Local<'s, v8::String>> {
    let text = args.get(0).try_cast::<v8::String>().ok();
    if text.is_none() {
        throw_type(scope, "argument 0 must be a string");
    }
    text
}

/// `host.encodeUtf8(text, allocate)`: the bytes, in a view from `allocate`.
fn encode_utf8<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(text) = text_arg(scope, &args) else {
        return;
    };
    let len_bytes = text.utf8_length(scope);
    let Some(view) = allocate(scope, &args, 1, len_bytes) else {
        return;
    };
    write_text(scope, text, view, len_bytes);
    rv.set(view.into());
}

/// Writes as much of `text` as fits into the first `room_bytes` of `view`; gives the number of
/// UTF-16 units read and of bytes written.
fn write_text(
    scope: &mut v8::PinScope<'_, '_>,
    text: v8::Local<'_, v8::String>,
    view: v8::Local<'_, v8::ArrayBufferView>,
    room_bytes: usize,
) -> (usize, usize) {
    let mut read_units = 0;
    let flags = v8::WriteFlags::kReplaceInvalidUtf8;
    if is_off_heap(view) {
        // SAFETY: an off-heap view of at least `room_bytes` (the callers' duty), which does not
        // move, and no JavaScript runs while V8 writes into it.
        let room = unsafe { std::slice::from_raw_parts_mut(view.data().cast::<u8>(), room_bytes) };
        let written = text.write_utf8_v2(scope, room, flags, Some(&mut read_units));
        return (read_units, written);
    }
    let mut room = vec![0u8; room_bytes];
    let written = text.write_utf8_v2(scope, &mut room, flags, Some(&mut read_units));
    write_view(view, room.get(..written).unwrap_or_default());
    (read_units, written)
}

/// `host.encodeInto(text, view)`: `[read, written]`.
fn encode_into<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(text) = text_arg(scope, &args) else {
        return;
    };
    let Ok(view) = args.get(1).try_cast::<v8::ArrayBufferView>() else {
        return throw_type(scope, "argument 1 must be a Uint8Array");
    };
    let (read, written) = match view.byte_length() {
        0 => (0, 0),
        room_bytes => write_text(scope, text, view, room_bytes),
    };
    let pair = [read, written].map(|count| v8::Number::new(scope, count as f64).into());
    rv.set(v8::Array::new_with_elements(scope, &pair).into());
}

/// `host.decodeUtf8(view, fatal)`: the text, or undefined for malformed bytes if fatal.
fn decode_utf8<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Ok(view) = args.get(0).try_cast::<v8::ArrayBufferView>() else {
        return throw_type(scope, "argument 0 must be a view");
    };
    let mut storage = [0u8; 64];
    let bytes = view.get_contents(&mut storage);
    if args.get(1).is_true() && std::str::from_utf8(bytes).is_err() {
        return;
    }
    match v8::String::new_from_utf8(scope, bytes, v8::NewStringType::Normal) {
        Some(text) => rv.set(text.into()),
        None => throw_range(scope, "the decoded text is too long for a string"),
    }
}

/// `host.decode(encoding, view, fatal)`: the text, or undefined for malformed bytes if fatal.
/// Byte order marks are left in.
fn decode<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let (Some(name), Some(bytes)) = (string_arg(scope, &args, 0), bytes_arg(scope, &args, 1))
    else {
        return;
    };
    let Some(encoding) = Encoding::for_label(name.as_bytes()) else {
        return throw_range(scope, "unknown encoding");
    };
    let (text, malformed) = encoding.decode_without_bom_handling(&bytes);
    if !(malformed && args.get(2).is_true()) {
        return_str(scope, &mut rv, &text);
    }
}

/// `host.encodingName(label)`: its name in lower case, or undefined if there is none.
fn encoding_name<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(label) = string_arg(scope, &args, 0) else {
        return;
    };
    if let Some(encoding) = Encoding::for_label_no_replacement(label.as_bytes()) {
        return_str(scope, &mut rv, &encoding.name().to_ascii_lowercase());
    }
}

/// `host.latin1Encode(text, allocate)`: one byte per character, or undefined if one is above
/// U+00FF.
fn latin1_encode<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(text) = text_arg(scope, &args) else {
        return;
    };
    if text.contains_only_onebyte() {
        let mut bytes = vec![0u8; text.length()];
        text.write_one_byte_v2(scope, 0, &mut bytes, v8::WriteFlags::empty());
        return_bytes(scope, &args, 1, &mut rv, &bytes);
    }
}

/// `host.latin1Decode(view)`: one character per byte.
fn latin1_decode<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(bytes) = with_bytes(scope, args.get(0), <[u8]>::to_vec) else {
        return;
    };
    match v8::String::new_from_one_byte(scope, &bytes, v8::NewStringType::Normal) {
        Some(text) => rv.set(text.into()),
        None => throw_range(scope, "the text is too long for a string"),
    }
}

const FORGIVING: GeneralPurposeConfig = NO_PAD.with_decode_allow_trailing_bits(true);
const FORGIVING_STANDARD: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, FORGIVING);
const FORGIVING_URL: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, FORGIVING);

/// `host.base64Encode(view, url)`.
fn base64_encode<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let engine = if args.get(1).is_true() {
        URL_SAFE_NO_PAD
    } else {
        STANDARD
    };
    if let Some(text) = with_bytes(scope, args.get(0), |bytes| engine.encode(bytes)) {
        return_str(scope, &mut rv, &text);
    }
}

/// `host.base64Decode(text, url, allocate)`: the bytes as the standard's forgiving decode has
/// them, or undefined.
fn base64_decode<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(mut text) = string_arg(scope, &args, 0) else {
        return;
    };
    text.retain(|c| !matches!(c, ' ' | '\t' | '\n' | '\x0c' | '\r'));
    let mut data = text.as_str();
    if data.len() % 4 == 0 {
        data = data.strip_suffix('=').unwrap_or(data);
        data = data.strip_suffix('=').unwrap_or(data);
    }
    let engine = if args.get(1).is_true() {
        FORGIVING_URL
    } else {
        FORGIVING_STANDARD
    };
    if let Ok(bytes) = engine.decode(data) {
        return_bytes(scope, &args, 2, &mut rv, &bytes);
    }
}
