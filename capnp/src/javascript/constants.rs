//! What a service can import of a schema at run time: its constants, and names for its types.
//!
//! ```text
//! import { limit, User } from "isolith:schema/users";
//! limit            // 500, a constant
//! User.typeId      // "9eb32e19f86ee174", for AnyPointer: pointer.as(User)
//! User.admin       // a constant that is declared inside of User
//! ```
//!
//! A constant is what `toObject()` gives for such a value, frozen, save for the bytes of a Data. One
//! whose name JavaScript reserves has a `_` behind it: `delete_`.

use std::{collections::BTreeMap, fmt::Write as _};

use super::readers::{bits, text_default};
use crate::model::{Brand, Field, FieldKind, Node, NodeKind, Schema, Struct, Type, Value};

/// Words that cannot name a constant in a module, and what types have themselves.
const RESERVED: &str = "arguments await break case catch class const continue debugger default \
    delete do else enum eval export extends false finally for function if implements import in \
    instanceof interface let new null package private protected public return static super \
    switch this throw true try type typeId typeof var void while with yield";

/// Lists and structs in each other, in a constant. The compiler allows no more.
const DEPTH_LIMIT: usize = 64;

/// ES modules by the specifiers that they are imported by, such as `isolith:schema/auth`; one for
/// each file of the schema, standard ones excepted.
#[must_use]
pub fn modules(schema: &Schema) -> BTreeMap<String, String> {
    let mut inner: BTreeMap<u64, Vec<&Node>> = BTreeMap::new();
    for node in schema.nodes().filter(|node| !node.short.contains('$')) {
        inner.entry(node.scope).or_default().push(node);
    }
    let maker = Maker { schema, inner };
    let files = schema.nodes().filter(|node| node.kind == NodeKind::File);
    let files = files.filter(|node| !node.file().starts_with("capnp/"));
    files
        .map(|file| (specifier(file.file()), maker.module(file.id)))
        .collect()
}

/// `isolith:schema/auth` for `schema/auth.capnp`.
pub(crate) fn specifier(file: &str) -> String {
    format!("isolith:{}", file.trim_end_matches(".capnp"))
}

/// Lets a bundler leave out what is not used.
const PURE: &str = "/*@__PURE__*/";

/// What a service calls a declaration: its name, with `_` behind it if that is reserved.
pub(crate) fn exported(node: &Node) -> String {
    match RESERVED.split(' ').any(|word| word == node.short) {
        true => format!("{}_", node.short),
        false => node.short.clone(),
    }
}

struct Maker<'a> {
    schema: &'a Schema,
    /// What is declared in each node.
    inner: BTreeMap<u64, Vec<&'a Node>>,
}

/// A struct in a canonical message: its first byte, the bytes of its data, the number of pointers.
#[derive(Clone, Copy)]
struct Place<'a> {
    message: &'a [u8],
    at: usize,
    data: usize,
    pointers: usize,
}

/// What a pointer leads to.
enum Target<'a> {
    Struct(Place<'a>),
    /// First byte, element size code, count; for structs, the place of the first.
    List(usize, u32, usize, Option<Place<'a>>),
}

impl<'a> Maker<'a> {
    fn module(&self, file: u64) -> String {
        let mut text = String::from("const _f = Object.freeze;\n");
        let nodes = self.inner.get(&file).map(Vec::as_slice);
        for node in nodes.unwrap_or_default() {
            if let Some(value) = self.entry(node) {
                let _ = writeln!(text, "export const {} = {value};", exported(node));
            }
        }
        text
    }

    fn entry(&self, node: &Node) -> Option<String> {
        match &node.kind {
            NodeKind::Const(ty, value) => Some(self.value(ty, value)),
            NodeKind::Struct(layout) if layout.is_group => None,
            NodeKind::Struct(_) | NodeKind::Enum(_) | NodeKind::Interface(_) => {
                let mut text = format!("{PURE}_f({{ ");
                for node in self.inner.get(&node.id).into_iter().flatten() {
                    if let Some(value) = self.entry(node) {
                        let _ = write!(text, "{}: {value}, ", exported(node));
                    }
                }
                let _ = write!(text, "typeId: \"{:016x}\" }})", node.id);
                Some(text)
            }
            NodeKind::File | NodeKind::Annotation => None,
        }
    }

    fn value(&self, ty: &Type, value: &Value) -> String {
        match value {
            Value::Text(_) => text_default(value),
            Value::Data(bytes) => data(bytes),
            // One segment, after a header of one word.
            Value::Pointer(message) => self.pointer(ty, message.get(8..), 0, DEPTH_LIMIT),
            Value::Void | Value::Bits(_) => self.number(ty, bits(value)),
        }
    }

    /// A value of the data section; `raw` may have more bits than it has.
    fn number(&self, ty: &Type, raw: u64) -> String {
        let low = raw as u32;
        match ty {
            Type::Bool => (raw & 1 != 0).to_string(),
            Type::Int8 => (raw as i8).to_string(),
            Type::Int16 => (raw as i16).to_string(),
            Type::Int32 => (raw as i32).to_string(),
            Type::Int64 => format!("{}n", raw.cast_signed()),
            Type::UInt8 => (raw as u8).to_string(),
            Type::UInt16 => (raw as u16).to_string(),
            Type::UInt32 => low.to_string(),
            Type::UInt64 => format!("{raw}n"),
            Type::Float32 => float(f32::from_bits(low).into()),
            Type::Float64 => float(f64::from_bits(raw)),
            Type::Enum(id) => {
                let names = self.schema.enum_by_id(*id).map(|(_, names)| names);
                let name = names.and_then(|names| names.get(usize::from(raw as u16)));
                name.map_or_else(|| (raw as u16).to_string(), |name| format!("{name:?}"))
            }
            _ => "null".to_owned(),
        }
    }

    /// What the pointer at byte `at` leads to, as a value of the type.
    fn pointer(&self, ty: &Type, message: Option<&[u8]>, at: usize, levels: usize) -> String {
        let target = message.and_then(|message| Some((message, follow(message, at)?)));
        let Some((message, target)) = target.filter(|_| levels > 0) else {
            return absent(ty).to_owned();
        };
        match (ty, target) {
            (Type::Struct(id, brand), Target::Struct(place)) => {
                match self.schema.struct_by_id(*id) {
                    Some((_, layout)) => self.object(layout, brand, place, levels - 1),
                    None => "null".to_owned(),
                }
            }
            (Type::Text, Target::List(at, 2, count, _)) => {
                let bytes = message.get(at..at + count.saturating_sub(1));
                let text = String::from_utf8_lossy(bytes.unwrap_or_default());
                text_default(&Value::Text(text.into_owned()))
            }
            (Type::Data, Target::List(at, 2, count, _)) => {
                data(message.get(at..at + count).unwrap_or_default())
            }
            (Type::List(element), Target::List(at, code, count, first)) => {
                let items: Vec<String> = (0..count)
                    .map(|index| match (&**element, first) {
                        (Type::Struct(id, brand), Some(first)) => {
                            let at = first.at + index * (first.data + first.pointers * 8);
                            match self.schema.struct_by_id(*id) {
                                Some((_, layout)) => {
                                    let place = Place { at, ..first };
                                    self.object(layout, brand, place, levels - 1)
                                }
                                None => "null".to_owned(),
                            }
                        }
                        (Type::Bool, _) => {
                            self.number(element, word(message, at + index / 8, 1) >> (index % 8))
                        }
                        (element, _) => match element.data_bits() {
                            Some(bits) => {
                                let bytes = bits as usize / 8;
                                self.number(element, word(message, at + index * bytes, bytes))
                            }
                            None if code == 6 => {
                                self.pointer(element, Some(message), at + index * 8, levels - 1)
                            }
                            None => "null".to_owned(),
                        },
                    })
                    .collect();
                format!("{PURE}_f([{}])", items.join(", "))
            }
            _ => absent(ty).to_owned(),
        }
    }

    fn object(&self, layout: &Struct, brand: &Brand, place: Place<'_>, levels: usize) -> String {
        let tag = layout.tag_offset.map(|at| place.bits(at as usize, 2));
        let mut parts = Vec::new();
        for field in &layout.fields {
            if field.tag.is_some() && field.tag.map(u64::from) != tag {
                continue;
            }
            if let Some(value) = self.field(field, brand, place, levels) {
                parts.push(format!("{}: {value}", field.property()));
            }
        }
        format!("{PURE}_f({{ {} }})", parts.join(", "))
    }

    fn field(&self, field: &Field, brand: &Brand, at: Place<'_>, levels: usize) -> Option<String> {
        let (offset, ty, default) = match &field.kind {
            FieldKind::Group(id) => {
                let (_, group) = self.schema.struct_by_id(*id)?;
                return Some(self.object(group, brand, at, levels));
            }
            FieldKind::Slot {
                offset,
                ty,
                default,
            } => (*offset as usize, ty.resolve(brand), default),
        };
        let raw = match ty.data_bits() {
            Some(1) => at.bits(offset / 8, 1) >> (offset % 8),
            Some(bits) => at.bits(offset * (bits as usize / 8), bits as usize / 8),
            None => {
                let pointer = at.at + at.data + offset * 8;
                if offset < at.pointers && word(at.message, pointer, 8) != 0 {
                    return Some(self.pointer(&ty, Some(at.message), pointer, levels));
                }
                return match (default, &ty) {
                    (Value::Pointer(message), Type::Struct(..)) if message.is_empty() => None,
                    (Value::Void, Type::Struct(..)) => None,
                    (Value::Void, _) => Some(absent(&ty).to_owned()),
                    _ => Some(self.value(&ty, default)),
                };
            }
        };
        Some(self.number(&ty, raw ^ bits(default)))
    }
}

impl Place<'_> {
    /// Bytes of the data section; 0 where it is shorter.
    fn bits(&self, offset: usize, bytes: usize) -> u64 {
        match offset + bytes <= self.data {
            true => word(self.message, self.at + offset, bytes),
            false => 0,
        }
    }
}

/// At most 8 bytes, little-endian; 0 outside of the message.
fn word(message: &[u8], at: usize, bytes: usize) -> u64 {
    let bytes = message.get(at..at + bytes).unwrap_or_default();
    bytes
        .iter()
        .rev()
        .fold(0, |n, byte| (n << 8) | u64::from(*byte))
}

/// Follows the pointer at byte `at`. A canonical message has no far pointers.
fn follow(message: &[u8], at: usize) -> Option<Target<'_>> {
    let (low, high) = (word(message, at, 4) as u32, word(message, at + 4, 4) as u32);
    if low == 0 && high == 0 {
        return None;
    }
    let offset = (low.cast_signed() >> 2) as isize;
    let to = at.checked_add(8)?.checked_add_signed(offset * 8)?;
    let place = |at, sizes: u32| Place {
        message,
        at,
        data: (sizes & 0xffff) as usize * 8,
        pointers: (sizes >> 16) as usize,
    };
    match low & 3 {
        0 => Some(Target::Struct(place(to, high))),
        1 if high & 7 == 7 => {
            let count = word(message, to, 4) as usize >> 2;
            // As many as there are words, at most.
            let first = place(to + 8, word(message, to + 4, 4) as u32);
            Some(Target::List(
                to + 8,
                7,
                count.min(message.len()),
                Some(first),
            ))
        }
        1 => {
            let count = (high >> 3) as usize;
            Some(Target::List(
                to,
                high & 7,
                count.min(message.len() * 8),
                None,
            ))
        }
        _ => None,
    }
}

const fn absent(ty: &Type) -> &'static str {
    match ty {
        Type::Text => "''",
        Type::Data => "new Uint8Array()",
        Type::List(_) => "/*@__PURE__*/_f([])",
        Type::Struct(..) => "/*@__PURE__*/_f({})",
        _ => "null",
    }
}

fn data(bytes: &[u8]) -> String {
    format!("{PURE}new Uint8Array({bytes:?})")
}

fn float(n: f64) -> String {
    match n {
        n if n.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        n => format!("{n:?}"),
    }
}
