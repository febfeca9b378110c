//! URLs and form encoding, by the crate `url`.

use url::{Position, Url, form_urlencoded, quirks};
use v8::MapFnTo;

use super::convert::{Args, Op, Ret, return_str, string_arg, throw_range, throw_type};

pub(super) fn ops() -> Vec<Op> {
    vec![
        ("urlParse", url_parse.map_fn_to()),
        ("urlSet", url_set.map_fn_to()),
        ("urlCanParse", url_can_parse.map_fn_to()),
        ("formParse", form_parse.map_fn_to()),
        ("formSerialize", form_serialize.map_fn_to()),
    ]
}

/// Where the parts of a serialised URL begin and end, as `js/url.js` reads them.
const POSITIONS: [Position; 12] = [
    Position::AfterScheme,
    Position::BeforeUsername,
    Position::AfterUsername,
    Position::BeforePassword,
    Position::AfterPassword,
    Position::BeforeHost,
    Position::AfterHost,
    Position::BeforePort,
    Position::AfterPort,
    Position::BeforePath,
    Position::AfterPath,
    Position::AfterQuery,
];

fn parse(scope: &mut v8::PinScope<'_, '_>, args: &Args<'_>) -> Option<Option<Url>> {
    let input = string_arg(scope, args, 0)?;
    if args.get(1).is_undefined() {
        return Some(Url::parse(&input).ok());
    }
    let base = string_arg(scope, args, 1)?;
    Some(Url::parse(&base).and_then(|base| base.join(&input)).ok())
}

/// `[href, offset, ...]`, the offsets in the order of [`POSITIONS`].
fn return_url<'s>(scope: &mut v8::PinScope<'s, '_>, rv: &mut Ret<'s>, url: &Url) {
    let Some(href) = v8::String::new(scope, url.as_str()) else {
        return throw_range(scope, "the URL is too long");
    };
    let mut parts: Vec<v8::Local<v8::Value>> = vec![href.into()];
    for position in POSITIONS {
        parts.push(v8::Number::new(scope, url[..position].len() as f64).into());
    }
    rv.set(v8::Array::new_with_elements(scope, &parts).into());
}

/// `host.urlParse(input, base?)`: the parts, or undefined for an invalid URL.
fn url_parse<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    if let Some(Some(url)) = parse(scope, &args) {
        return_url(scope, &mut rv, &url);
    }
}

fn url_can_parse(scope: &mut v8::PinScope<'_, '_>, args: Args<'_>, mut rv: Ret<'_>) {
    if let Some(url) = parse(scope, &args) {
        rv.set_bool(url.is_some());
    }
}

/// `host.urlSet(href, part, value)`: the new parts, or undefined if the value was refused.
fn url_set<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let (Some(href), Some(part), Some(value)) = (
        string_arg(scope, &args, 0),
        string_arg(scope, &args, 1),
        string_arg(scope, &args, 2),
    ) else {
        return;
    };
    let Ok(mut url) = Url::parse(&href) else {
        return;
    };
    let done = match part.as_str() {
        "protocol" => quirks::set_protocol(&mut url, &value),
        "username" => quirks::set_username(&mut url, &value),
        "password" => quirks::set_password(&mut url, &value),
        "host" => quirks::set_host(&mut url, &value),
        "hostname" => quirks::set_hostname(&mut url, &value),
        "port" => quirks::set_port(&mut url, &value),
        "pathname" => {
            quirks::set_pathname(&mut url, &value);
            Ok(())
        }
        "search" => {
            quirks::set_search(&mut url, &value);
            Ok(())
        }
        "hash" => {
            quirks::set_hash(&mut url, &value);
            Ok(())
        }
        _ => return throw_type(scope, "no such part of a URL"),
    };
    if done.is_ok() {
        return_url(scope, &mut rv, &url);
    }
}

/// `host.formParse(text)`: `[name, value, ...]` of an `application/x-www-form-urlencoded` text.
fn form_parse<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Some(input) = string_arg(scope, &args, 0) else {
        return;
    };
    let mut flat: Vec<v8::Local<v8::Value>> = Vec::new();
    for (name, value) in form_urlencoded::parse(input.as_bytes()) {
        for text in [name, value] {
            match v8::String::new(scope, &text) {
                Some(text) => flat.push(text.into()),
                None => return throw_range(scope, "the form is too long"),
            }
        }
    }
    rv.set(v8::Array::new_with_elements(scope, &flat).into());
}

/// `host.formSerialize([name, value, ...])`.
fn form_serialize<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Ok(flat) = args.get(0).try_cast::<v8::Array>() else {
        return throw_type(scope, "argument 0 must be an array");
    };
    let text = |index: u32, scope: &mut v8::PinScope<'s, '_>| {
        let value = flat.get_index(scope, index)?;
        value
            .try_cast::<v8::String>()
            .ok()
            .map(|text| text.to_rust_string_lossy(scope))
    };
    let mut out = form_urlencoded::Serializer::new(String::new());
    for pair in 0..flat.length() / 2 {
        let (Some(name), Some(value)) = (text(pair * 2, scope), text(pair * 2 + 1, scope)) else {
            return throw_type(scope, "each name and value must be a string");
        };
        out.append_pair(&name, &value);
    }
    return_str(scope, &mut rv, &out.finish());
}
