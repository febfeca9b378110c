//! Generates JavaScript for a schema's interfaces: lazy readers and straight-line encoders.
//!
//! The text is a function expression `(function (rt) { ... })`, where `rt` is what
//! [`MESSAGE_JS`](crate::MESSAGE_JS) returned. It returns
//!
//! ```text
//! { interfaces: { "<id, 16 hex digits>": { id, name, lineage, methods } } }
//! method: { name, interfaceId, interfaceLow, interfaceHigh, ordinal, streaming,
//!           invoke(instance, params, ctx), readParams(message), readResults(message),
//!           encodeParams(builder, value), encodeResults(builder, value), pipeline, sole }
//! ```
//!
//! for the interfaces asked for and all that their messages can carry. `lineage` holds the ids of
//! the interface and of all that it extends, at any distance; `methods` holds theirs: its own in
//! the order of their ordinals, then those of each ancestor. An ordinal counts within the interface
//! that declares the method, so `interfaceId` (also as two signed 32-bit halves) and `ordinal`
//! together name a method on the wire, and stay when either side's schema grows.
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
//! { fieldName: { pointer, face, fields } }
//! ```
//!
//! for each field outside unions that is or holds a capability, at any depth. `pointer` is the
//! field's index in the pointer section, -1 for a group, whose fields lie in the same struct.
//! `face` is the interface of a capability, `fields` such an object again for a struct or group;
//! the other is `null`. The pointers on the way to a capability are a path for
//! `rt.capabilityIndex(message, path)`, which finds it in the results. `sole` is the one entry of
//! results that have a capability and nothing else, so that a call's promise can stand for it.
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
//! | interface | what the host gives, or `null` | what the host takes |
//!
//! A reader has a getter per field, `toObject()` and, where there is a union, `which()`: the name
//! of the member that is set, `undefined` if the schema has no name for it. The getter of another
//! member gives `undefined`. Absent pointers give defaults (an empty text, list or struct);
//! `toObject()` leaves out absent structs. Absent and `null` properties are encoded as defaults.
//! Each property is read once. Values that do not fit are a TypeError that names the field.
//!
//! Not supported yet, an error when generating: AnyPointer, generics, defaults of lists and structs.

mod interfaces;
mod readers;
#[cfg(test)]
mod tests;
mod writers;

use std::{collections::BTreeMap, fmt::Write as _};

use crate::model::{FieldKind, Interface, Node, STREAM_RESULT, Schema, Struct, Type, Value};

/// Why there is no code for an interface.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The id names no interface of the schema.
    #[error("the compiled schema has no interface with id @0x{0:016x}; build the bundle again")]
    NoInterface(u64),
    /// Something that is not supported yet.
    #[error("`{member}` {what}, which services cannot use yet; {hint}")]
    Unsupported {
        /// `schema/auth.capnp:User.avatar`
        member: String,
        /// What it is.
        what: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// A field whose name readers use themselves.
    #[error(
        "field `{member}` has a name that readers use for a method of their own; rename the field, \
         which changes nothing on the wire"
    )]
    Reserved {
        /// `schema/auth.capnp:User.which`
        member: String,
    },
}

/// Methods that readers of structs have besides the getters of their fields.
const RESERVED: [&str; 3] = ["which", "toObject", "toJSON"];

/// What the code of the chosen interfaces needs, numbered in the order of discovery.
struct Plan<'a> {
    schema: &'a Schema,
    structs: Vec<(&'a Node, &'a Struct)>,
    struct_index: BTreeMap<u64, usize>,
    enums: Vec<&'a [String]>,
    enum_index: BTreeMap<u64, usize>,
    lists: Vec<Type>,
    list_index: BTreeMap<Type, usize>,
    interfaces: Vec<(&'a Node, &'a Interface)>,
    interface_index: BTreeMap<u64, usize>,
}

/// Generates the code for `interfaces` and everything that they use.
///
/// # Errors
/// When the schema has no such interface, or uses what is not supported.
pub fn generate(schema: &Schema, interfaces: &[u64]) -> Result<String, GenerateError> {
    let mut plan = Plan {
        schema,
        structs: Vec::new(),
        struct_index: BTreeMap::new(),
        enums: Vec::new(),
        enum_index: BTreeMap::new(),
        lists: Vec::new(),
        list_index: BTreeMap::new(),
        interfaces: Vec::new(),
        interface_index: BTreeMap::new(),
    };
    for &id in interfaces {
        plan.interface(id)?;
    }
    let mut text = String::from(PROLOGUE);
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
    plan.methods(&mut text);
    Ok(text)
}

const PROLOGUE: &str = "(function (rt) {
  'use strict';
  const { ABSENT, DEPTH_LIMIT, nothing, readRoot, readStruct, readList, readText, readData } = rt;
  const { readCapability, writeCapability } = rt;
  const { newStruct, newList, newStructList, writeText, writeData, elements } = rt;
  const { bad, inField, atTop, twoMembers, checkKeys, tooDeep, notObject, enumNumber } = rt;
  const { noResults } = rt;
  const { int64, uint64, float32, float64, finishStruct, finishList, names, named, copy } = rt;
";

impl<'a> Plan<'a> {
    /// Takes the interface, those it extends and all that they use into the plan.
    fn interface(&mut self, id: u64) -> Result<(), GenerateError> {
        if self.interface_index.contains_key(&id) {
            return Ok(());
        }
        let found = self
            .schema
            .interface_by_id(id)
            .ok_or(GenerateError::NoInterface(id))?;
        let (node, interface) = found;
        if node.is_generic {
            return Err(GenerateError::Unsupported {
                member: node.name.clone(),
                what: "has type parameters",
                hint: "use concrete types",
            });
        }
        self.interface_index.insert(id, self.interfaces.len());
        self.interfaces.push(found);
        for method in &interface.methods {
            self.structure(method.params)?;
            if method.results != STREAM_RESULT {
                self.structure(method.results)?;
            }
        }
        for &id in &interface.extends {
            self.interface(id)?;
        }
        Ok(())
    }

    /// Takes the struct or group and all that it uses into the plan; returns its number.
    fn structure(&mut self, id: u64) -> Result<usize, GenerateError> {
        if let Some(&index) = self.struct_index.get(&id) {
            return Ok(index);
        }
        let found = self
            .schema
            .struct_by_id(id)
            .ok_or(GenerateError::NoInterface(id))?;
        let (node, layout) = found;
        if node.is_generic {
            return Err(GenerateError::Unsupported {
                member: node.name.clone(),
                what: "has type parameters",
                hint: "use concrete types",
            });
        }
        let index = self.structs.len();
        self.struct_index.insert(id, index);
        self.structs.push(found);
        for field in &layout.fields {
            let member = || format!("{}.{}", node.name, field.name);
            if RESERVED.contains(&field.name.as_str()) {
                return Err(GenerateError::Reserved { member: member() });
            }
            match &field.kind {
                FieldKind::Group(id) => {
                    self.structure(*id)?;
                }
                FieldKind::Slot { ty, default, .. } => {
                    if matches!(default, Value::Pointer(bytes) if !bytes.is_empty()) {
                        return Err(GenerateError::Unsupported {
                            member: member(),
                            what: "has a default that is a list or struct",
                            hint: "leave the default out",
                        });
                    }
                    self.of_type(ty, &member)?;
                }
            }
        }
        Ok(index)
    }

    fn of_type(&mut self, ty: &Type, member: &dyn Fn() -> String) -> Result<(), GenerateError> {
        let what = match ty {
            Type::Struct(id) => return self.structure(*id).map(drop),
            Type::Enum(id) => {
                if let (false, Some((_, names))) = (
                    self.enum_index.contains_key(id),
                    self.schema.enum_by_id(*id),
                ) {
                    self.enum_index.insert(*id, self.enums.len());
                    self.enums.push(names);
                }
                return Ok(());
            }
            Type::List(element) => {
                if !self.list_index.contains_key(ty) {
                    self.list_index.insert(ty.clone(), self.lists.len());
                    self.lists.push((**element).clone());
                }
                return self.of_type(element, member);
            }
            Type::Interface(id) => return self.interface(*id),
            Type::AnyPointer => "is an AnyPointer or of a generic type",
            _ => return Ok(()),
        };
        let hint = "leave it out or give it a concrete type of data";
        Err(GenerateError::Unsupported {
            member: member(),
            what,
            hint,
        })
    }

    /// The number of a struct that `structure` has taken in.
    fn struct_number(&self, id: u64) -> usize {
        self.struct_index.get(&id).copied().unwrap_or_default()
    }

    fn enum_number(&self, id: u64) -> usize {
        self.enum_index.get(&id).copied().unwrap_or_default()
    }

    fn interface_number(&self, id: u64) -> usize {
        self.interface_index.get(&id).copied().unwrap_or_default()
    }

    fn list_number(&self, ty: &Type) -> usize {
        self.list_index.get(ty).copied().unwrap_or_default()
    }
}

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
        Type::Struct(_) => 7,
        _ => 6,
    }
}
