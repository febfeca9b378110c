//! Generates JavaScript for a schema's interfaces: lazy readers and straight-line encoders.
//!
//! The text is a function expression `(function (rt) { ... })`, where `rt` is what
//! [`MESSAGE_JS`](crate::MESSAGE_JS) returned. It returns
//!
//! ```text
//! { interfaces: { "<id, 16 hex digits>": { id, name, lineage, methods } } }
//! method: { name, interfaceId, interfaceLow, interfaceHigh, ordinal, streaming,
//!           invoke(instance, params, ctx), readParams(message), readResults(message),
//!           encodeParams(builder, value), encodeResults(builder, value), pipeline, answers(), sole }
//! ```
//!
//! for the interfaces asked for and all that their messages can carry. `lineage` holds the ids of
//! the interface and of all that it extends, at any distance; `methods` holds theirs: its own in
//! the order of their ordinals, then those of each ancestor. An ordinal counts within the interface
//! that declares the method, so `interfaceId` (also as two signed 32-bit halves) and `ordinal`
//! together name a method on the wire, and stay when either side's schema grows. Interfaces and
//! methods have `own`, too, an object whose `made` is the host's to set.
//!
//! Encoding is `builder.begin(offset)`, the encode function, `builder.end()`, or `builder.abort()`
//! if it threw. A `streaming` method has empty results.
//!
//! # Capabilities
//!
//! A field of interface type is an index into a table that travels beside the message. The host
//! keeps that table: reading calls its `capability(message, index, face)` and gives what that
//! returns, building calls its `addCapability(builder, value, face)` for what is neither null nor
//! undefined; `face` is the interface's entry above, `js/message/` has the details. A null pointer
//! reads as `null`.
//!
//! `pipeline` says where capabilities lie in results that are not there yet: `null` if nowhere, else
//!
//! ```text
//! { fieldName: { pointer, face, fields, get(results) } }
//! ```
//!
//! for each field outside unions that is or holds a capability, at any depth. `pointer` is the
//! field's index in the pointer section, -1 for a group, whose fields lie in the same struct.
//! `face` is the interface of a capability, `fields` such an object again for a struct or group;
//! the other is `null`. The pointers on the way to a capability are a path for
//! `rt.capabilityIndex(message, path)`, which finds it in the results. `sole` is the one entry of
//! results that have a capability and nothing else, so that a call's promise can stand for it.
//! `answers()` gives a new class of objects that hold one value where only the host can reach it:
//! `{ prototype, of(object), make(value) }`, for such promises; `null` if `pipeline` is.
//!
//! # What services see
//!
//! | type | a reader gives | an encoder takes |
//! |---|---|---|
//! | Int64, UInt64 | bigint | bigint, or a number that is a safe integer |
//! | other numbers | number | number |
//! | Text | string | string |
//! | Data | Uint8Array, a copy if small | Uint8Array; large ones move, see `writeData` |
//! | enum | its name; a number if the schema has no name for it | name or number |
//! | List | `length`, `at(i)`, iteration, `map(fn)`, `toArray()` | array, typed array, iterable |
//! | struct, group | reader | plain object or reader |
//! | Void | `null` | `null` or `true` |
//! | interface, Capability | what the host gives, or `null` | what the host takes |
//! | AnyPointer | `null`, or an object with `kind` and `as(type)` | see `js/message/any.js` |
//! | AnyStruct, AnyList | the same | the same, of that kind |
//!
//! A reader has a getter per field, `toObject()` and, where there is a union, `which()`: the name
//! of the member that is set, `undefined` if the schema has no name for it. The getter of another
//! member gives `undefined`. A field named like one of these methods (`which`, `toObject`, `toJSON`)
//! is the property `which_` and so on, also where it is encoded. Absent pointers give defaults (an
//! empty text, list or struct); `toObject()` leaves out absent structs. Absent and `null` properties
//! are encoded as defaults. Each property is read once. Values that do not fit are a TypeError that
//! names the field.
//!
//! A struct reader as a value is copied as it is, with the fields that this schema does not know.
//!
//! A generic struct is generated once for each set of types that it is used with. Parameters that
//! nothing is known of, and those of generic methods, are AnyPointer.

mod any;
mod constants;
mod interfaces;
mod plan;
mod readers;
#[cfg(test)]
mod tests;
mod writers;

use std::fmt::Write as _;

pub use constants::modules;
pub(crate) use constants::{exported, specifier};
use plan::Plan;

use crate::model::{Node, Schema, Type};

/// Why there is no code for an interface.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The id names no interface of the schema.
    #[error("the compiled schema has no interface with id @0x{0:016x}; build the bundle again")]
    NoInterface(u64),
    /// Generic types that lead to ever new ones.
    #[error(
        "the interfaces use more than {} structs, counting generic ones once for each set of types; \
         does a generic struct contain itself with another type?",
        plan::STRUCT_LIMIT
    )]
    TooManyStructs,
}

/// Generates the code for `interfaces` and everything that they use.
///
/// # Errors
/// When the schema has no such interface, or uses what is not supported.
pub fn generate(schema: &Schema, interfaces: &[u64]) -> Result<String, GenerateError> {
    let plan = Plan::new(schema, interfaces)?;
    let mut text = String::from(PROLOGUE);
    plan.defaults(&mut text);
    plan.faces(&mut text);
    for (index, names) in plan.enums.iter().enumerate() {
        let _ = writeln!(text, "  const E{index} = names({names:?});");
        let numbers: Vec<String> = (0..)
            .zip(*names)
            .map(|(n, name): (u32, _)| format!("{name:?}: {n}"))
            .collect();
        let _ = writeln!(
            text,
            "  const N{index} = rt.freeze({{ __proto__: null, {} }});",
            numbers.join(", ")
        );
    }
    for index in 0..plan.structs.len() {
        plan.reader(index, &mut text);
        plan.writer(index, &mut text);
    }
    for (index, element) in plan.lists.iter().enumerate() {
        plan.list_reader(index, element, &mut text);
        plan.list_writer(index, element, &mut text);
    }
    plan.types(&mut text);
    plan.methods(&mut text);
    Ok(text)
}

const PROLOGUE: &str = "(function (rt) {
  'use strict';
  const { ABSENT, DEPTH_LIMIT, nothing, readRoot, readStruct, readList, readText, readData } = rt;
  const { readCapability, writeCapability } = rt;
  const { newStruct, newList, newStructList, writeText, writeData, elements } = rt;
  const { bad, inField, atTop, twoMembers, checkKeys, tooDeep, notObject, enumNumber } = rt;
  const { noResults, defaultMessage, fresh, isNull, copyStruct, readAny, writeAny } = rt;
  const { int64, uint64, float32, float64, finishStruct, finishList, names, named, copy } = rt;
";

/// `auth.Auth` for `schema/auth.capnp:Auth`: how error messages name an interface.
fn where_of(node: &Node) -> String {
    let file = node.file().rsplit('/').next().unwrap_or_default();
    format!("{}.{}", file.trim_end_matches(".capnp"), node.path())
}

/// How error messages name a struct: `User`, `check params`.
fn struct_name(node: &Node) -> String {
    match node.short.split_once('$') {
        Some((method, part)) => format!("{method} {}", part.to_lowercase()),
        None => node.short.clone(),
    }
}

/// The typed array of `rt.Chunk` that holds a type, and how far to shift a byte offset for it.
fn view(ty: &Type) -> (&'static str, u32) {
    match ty {
        Type::Int8 => ("i8", 0),
        Type::Int16 => ("i16", 1),
        Type::UInt16 | Type::Enum(_) => ("u16", 1),
        Type::Int32 => ("i32", 2),
        Type::UInt32 => ("u32", 2),
        Type::Float32 => ("f32", 2),
        Type::Int64 => ("i64", 3),
        Type::UInt64 => ("u64", 3),
        Type::Float64 => ("f64", 3),
        _ => ("u8", 0),
    }
}

/// `index` into a view: `(at) >> 2`.
fn element(at: &str, shift: u32) -> String {
    if shift == 0 {
        at.to_owned()
    } else {
        format!("({at}) >> {shift}")
    }
}

/// The list element size code of the wire format.
fn size_code(element: &Type) -> u32 {
    match element {
        Type::Void => 0,
        Type::Bool => 1,
        Type::Int8 | Type::UInt8 => 2,
        Type::Int16 | Type::UInt16 | Type::Enum(_) => 3,
        Type::Int32 | Type::UInt32 | Type::Float32 => 4,
        Type::Int64 | Type::UInt64 | Type::Float64 => 5,
        Type::Struct(..) => 7,
        _ => 6,
    }
}
