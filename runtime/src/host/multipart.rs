//! Reads `multipart/form-data` (RFC 7578) bodies that are in memory.

use v8::MapFnTo;

use super::convert::{Args, Op, Ret, allocate, bytes_arg, string_arg, throw_range, write_view};

/// More parts than any form has; beyond it the body is refused.
const MAX_PARTS: usize = 10_000;

pub(super) fn ops() -> Vec<Op> {
    vec![("multipartParse", multipart_parse.map_fn_to())]
}

struct Part<'a> {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    content: &'a [u8],
}

/// `host.multipartParse(boundary, body, allocate)`: `[name, filename, type, content, ...]`, or
/// undefined for a malformed body.
fn multipart_parse<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(boundary) = string_arg(scope, &args, 0) else {
        return;
    };
    let Some(body) = bytes_arg(scope, &args, 1) else {
        return;
    };
    let Some(parts) = parse(&body, &boundary) else {
        return;
    };
    let mut flat: Vec<v8::Local<v8::Value>> = Vec::new();
    for part in parts {
        for text in [Some(part.name), part.filename, part.content_type] {
            let value = match text.map(|text| v8::String::new(scope, &text)) {
                Some(Some(text)) => text.into(),
                Some(None) => return throw_range(scope, "a part's header is too long"),
                None => v8::undefined(scope).into(),
            };
            flat.push(value);
        }
        let Some(view) = allocate(scope, &args, 2, part.content.len()) else {
            return;
        };
        write_view(view, part.content);
        flat.push(view.into());
    }
    rv.set(v8::Array::new_with_elements(scope, &flat).into());
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

fn parse<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<Part<'a>>> {
    let delimiter = format!("\r\n--{boundary}");
    let first = delimiter.as_bytes().get(2..)?;
    let start = find(body, first)?;
    let mut rest = body.get(start + first.len()..)?;
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        // Blanks may follow a boundary.
        let line = find(rest, b"\r\n")?;
        let content = rest.get(line..)?;
        let end = find(content, delimiter.as_bytes())?;
        let part = content.get(..end)?;
        let head_end = find(part, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(part.get(..head_end)?);
        let mut read = Part {
            name: String::new(),
            filename: None,
            content_type: None,
            content: part.get(head_end + 4..)?,
        };
        let mut named = false;
        for line in head.split("\r\n") {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            if key.eq_ignore_ascii_case("content-type") {
                read.content_type = Some(value.trim().to_owned());
            } else if key.eq_ignore_ascii_case("content-disposition") {
                read.name = parameter(value, "name")?;
                read.filename = parameter(value, "filename");
                named = true;
            }
        }
        if !named || parts.len() >= MAX_PARTS {
            return None;
        }
        parts.push(read);
        rest = content.get(end + delimiter.len()..)?;
    }
    Some(parts)
}

/// The value of `; key="value"`, with the escapes that browsers use undone.
fn parameter(header: &str, key: &str) -> Option<String> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once(';') {
        let after = after.trim_start();
        let (name, value) = after.split_once('=')?;
        let (value, tail) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at(value.find(';').unwrap_or(value.len())),
        };
        if name.trim().eq_ignore_ascii_case(key) {
            let text = value
                .replace("%22", "\"")
                .replace("%0D", "\r")
                .replace("%0A", "\n");
            return Some(text);
        }
        rest = tail;
    }
    None
}
