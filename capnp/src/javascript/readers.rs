//! Reader classes. Private fields keep a message's memory from whoever holds a reader.

use std::fmt::Write as _;

use super::{Plan, element, plan::PlannedStruct, size_code, struct_name, view};
use crate::model::{Brand, Field, FieldKind, Struct, Type, Value};

impl Plan<'_> {
    /// The class `S<index>` of a struct or group: segment, views, first byte, bytes of data,
    /// number of pointers, levels left.
    pub(super) fn reader(&self, index: usize, text: &mut String) {
        let PlannedStruct {
            node,
            layout,
            brand,
        } = &self.structs[index];
        let _ = write!(
            text,
            "
  // {}
  class S{index} {{
    #s; #v; #d; #n; #c; #l;
    constructor(s, d, n, c, l) {{
      this.#s = s; this.#v = s.v; this.#d = d; this.#n = n; this.#c = c; this.#l = l;
    }}
    static absent(o) {{ return o instanceof S{index} && #s in o && o.#s === ABSENT; }}
    static copy(b, o, ptr, l) {{
      if (!(o instanceof S{index} && #s in o)) return false;
      if (o.#s !== ABSENT) copyStruct(b, ptr, o.#s, o.#d, o.#n, o.#c, l);
      return true;
    }}
",
            node.name
        );
        let tag = tag(layout);
        if let Some(tag) = &tag {
            let _ = writeln!(text, "    which() {{ return U{index}[{tag}]; }}");
        }
        for field in &layout.fields {
            let name = match field.name.as_str() {
                "constructor" => "[\"constructor\"]".to_owned(),
                name => name.to_owned(),
            };
            let _ = write!(text, "    get {name}() {{ ");
            if let (Some(tag), Some(value)) = (&tag, field.tag) {
                let _ = write!(text, "if (({tag}) !== {value}) return undefined; ");
            }
            let _ = writeln!(text, "return {}; }}", self.getter(field, brand));
        }
        self.to_object(layout, text);
        text.push_str("  }\n");
        if layout.tag_offset.is_some() {
            let _ = writeln!(
                text,
                "  const U{index} = names([{}]);",
                members(layout).join(", ")
            );
        }
        let _ = writeln!(text, "  finishStruct(S{index}, {:?});", struct_name(node));
    }

    fn to_object(&self, layout: &Struct, text: &mut String) {
        text.push_str("    toObject() {\n      let o = {");
        let mut later = String::new();
        let mut cases = String::new();
        for field in &layout.fields {
            let name = &field.name;
            let is_struct = matches!(
                &field.kind,
                FieldKind::Slot {
                    ty: Type::Struct(..),
                    ..
                }
            );
            let value = match &field.kind {
                FieldKind::Group(_) => format!("this.{name}.toObject()"),
                FieldKind::Slot {
                    ty: Type::List(_) | Type::Struct(..),
                    ..
                } => {
                    format!("this.{name}.toObject()")
                }
                FieldKind::Slot { .. } => format!("this.{name}"),
            };
            let add = match &field.kind {
                FieldKind::Slot {
                    ty: Type::Struct(id, brand),
                    ..
                } => format!(
                    "{{ const r = this.{name}; if (!S{}.absent(r)) o = {{ ...o, {name}: r.toObject() }}; }}",
                    self.struct_number(*id, brand)
                ),
                _ => format!("o = {{ ...o, {name}: {value} }};"),
            };
            if field.tag.is_some() {
                let _ = writeln!(cases, "        case {name:?}: {add} break;");
            } else if is_struct {
                let _ = writeln!(later, "      {add}");
            } else {
                let _ = write!(text, " {name}: {value},");
            }
        }
        let _ = writeln!(text, " }};");
        text.push_str(&later);
        if !cases.is_empty() {
            let _ = writeln!(text, "      switch (this.which()) {{\n{cases}      }}");
        }
        text.push_str("      return o;\n    }\n");
    }

    fn getter(&self, field: &Field, brand: &Brand) -> String {
        let (offset, ty, default) = match &field.kind {
            FieldKind::Group(id) => {
                let group = self.struct_number(*id, brand);
                return format!("new S{group}(this.#s, this.#d, this.#n, this.#c, this.#l)");
            }
            FieldKind::Slot {
                offset,
                ty,
                default,
            } => (*offset, ty, default),
        };
        let pointer = format!("this.#s, this.#d + this.#n + {}", u64::from(offset) * 8);
        let there = format!("this.#c > {offset}");
        if let Some(number) = self.default_number(default) {
            let read = self.read_pointer(ty, &pointer, "this.#l");
            let message = format!("fresh(D{number}), D{number}.base");
            let absent = self.read_pointer(ty, &message, "DEPTH_LIMIT");
            return format!("{there} && !isNull({pointer}) ? {read} : {absent}");
        }
        match ty {
            Type::Void => "null".to_owned(),
            Type::Text => {
                let absent = text_default(default);
                format!("{there} ? readText({pointer}, {absent}) : {absent}")
            }
            Type::Data => {
                let absent = data_default(default);
                format!("{there} ? readData({pointer}, {absent}) : copy({absent})")
            }
            Type::Struct(id, brand) => {
                let class = self.struct_number(*id, brand);
                format!(
                    "{there} ? readStruct(S{class}, {pointer}, this.#l) : \
                     new S{class}(ABSENT, 0, 0, 0, 0)"
                )
            }
            Type::List(inner) => {
                let (class, want) = (self.list_number(inner), size_code(inner));
                format!(
                    "{there} ? readList(L{class}, {pointer}, this.#l, {want}) : \
                     new L{class}(ABSENT, 0, 0, 0, 0, 0, 0)"
                )
            }
            _ if ty.data_bits().is_none() => {
                let read = self.read_pointer(ty, &pointer, "this.#l");
                format!("{there} ? {read} : null")
            }
            _ => self.data_getter(ty, offset, bits(default)),
        }
    }

    /// An expression that reads the pointer `place`, "segment, byte", at `level`s left.
    pub(super) fn read_pointer(&self, ty: &Type, place: &str, level: &str) -> String {
        match ty {
            Type::Text => format!("readText({place}, '')"),
            Type::Data => format!("readData({place}, [])"),
            Type::Struct(id, brand) => {
                let class = self.struct_number(*id, brand);
                format!("readStruct(S{class}, {place}, {level})")
            }
            Type::List(inner) => {
                let (class, want) = (self.list_number(inner), size_code(inner));
                format!("readList(L{class}, {place}, {level}, {want})")
            }
            Type::Interface(id, brand) => {
                format!(
                    "readCapability({place}, I{})",
                    self.interface_number(*id, brand)
                )
            }
            Type::Capability => format!("readCapability({place}, rt.anyFace)"),
            Type::AnyStruct => format!("readAny({place}, {level}, T, 0)"),
            Type::AnyList => format!("readAny({place}, {level}, T, 1)"),
            _ => format!("readAny({place}, {level}, T, -1)"),
        }
    }

    fn data_getter(&self, ty: &Type, offset: u32, default: u64) -> String {
        if matches!(ty, Type::Bool) {
            let (byte, mask) = (offset / 8, 1 << (offset % 8));
            let (test, absent) = if default == 0 {
                ("!==", false)
            } else {
                ("===", true)
            };
            return format!(
                "this.#n > {byte} ? (this.#v.u8[this.#d + {byte}] & {mask}) {test} 0 : {absent}"
            );
        }
        let size = u64::from(ty.data_bits().unwrap_or_default() / 8);
        let at = u64::from(offset) * size;
        let there = format!("this.#n >= {}", at + size);
        let (view, shift) = view(ty);
        let place = |view| {
            format!(
                "this.#v.{view}[{}]",
                element(&format!("this.#d + {at}"), shift)
            )
        };
        let raw = place(view);
        let signed = default.cast_signed();
        match ty {
            Type::Enum(id) => {
                let names = self.enum_number(*id);
                let raw = if default == 0 {
                    raw
                } else {
                    format!("({raw} ^ {default})")
                };
                format!("named(E{names}, {there} ? {raw} : {default})")
            }
            _ if default == 0 && matches!(ty, Type::Int64 | Type::UInt64) => {
                format!("{there} ? {raw} : 0n")
            }
            _ if default == 0 => format!("{there} ? {raw} : 0"),
            Type::Int64 => format!("{there} ? {raw} ^ {signed}n : {signed}n"),
            Type::UInt64 => format!("{there} ? {raw} ^ {default}n : {default}n"),
            Type::Float32 => {
                format!(
                    "float32({there} ? {} ^ {default} : {default})",
                    place("i32")
                )
            }
            Type::Float64 => {
                format!(
                    "float64({there} ? {} ^ {signed}n : {signed}n)",
                    place("i64")
                )
            }
            Type::UInt32 => format!("{there} ? ({raw} ^ {default}) >>> 0 : {default}"),
            _ => format!("{there} ? {raw} ^ {signed} : {signed}"),
        }
    }

    /// The class `L<index>` of a list: segment, first byte, count, bytes per element, of these
    /// bytes of data, number of pointers, levels left.
    pub(super) fn list_reader(&self, index: usize, ty: &Type, text: &mut String) {
        let (view, shift) = view(ty);
        let place = "this.#d + i * this.#w";
        let pointer = format!("this.#s, {place} + this.#n");
        let get = match ty {
            Type::Void => "null".to_owned(),
            Type::Bool => "(this.#v.u8[this.#d + (i >> 3)] & (1 << (i & 7))) !== 0".to_owned(),
            Type::Struct(id, brand) => format!(
                "new S{}(this.#s, {place}, this.#n, this.#c, this.#l)",
                self.struct_number(*id, brand)
            ),
            _ if ty.data_bits().is_none() => self.read_pointer(ty, &pointer, "this.#l"),
            Type::Enum(id) => format!(
                "named(E{}, this.#v.u16[{}])",
                self.enum_number(*id),
                element(place, shift)
            ),
            _ => format!("this.#v.{view}[{}]", element(place, shift)),
        };
        let name = ty.name(self.schema);
        let is_deep = matches!(ty, Type::Struct(..) | Type::List(_));
        let _ = write!(
            text,
            "
  // List({name})
  class L{index} {{
    #s; #v; #d; #k; #w; #n; #c; #l;
    constructor(s, d, k, w, n, c, l) {{
      this.#s = s; this.#v = s.v; this.#d = d; this.#k = k;
      this.#w = w; this.#n = n; this.#c = c; this.#l = l;
    }}
    static is(o) {{ return o instanceof L{index} && #s in o; }}
    get length() {{ return this.#k; }}
    at(index) {{
      let i = index | 0;
      if (i !== index) return undefined;
      if (i < 0) i += this.#k;
      if (i < 0 || i >= this.#k) return undefined;
      return {get};
    }}
  }}
  finishList(L{index}, {:?}, {is_deep});
",
            format!("List({name})")
        );
    }
}

/// An expression for the union's tag.
fn tag(layout: &Struct) -> Option<String> {
    let offset = layout.tag_offset?;
    Some(format!(
        "this.#n >= {} ? this.#v.u16[(this.#d + {offset}) >> 1] : 0",
        offset + 2
    ))
}

/// The names of the union's members, at their tags.
fn members(layout: &Struct) -> Vec<String> {
    let count = layout
        .fields
        .iter()
        .filter(|field| field.tag.is_some())
        .count();
    let mut names = vec!["undefined".to_owned(); count];
    for field in &layout.fields {
        if let Some(name) = field.tag.and_then(|tag| names.get_mut(usize::from(tag))) {
            *name = format!("{:?}", field.name);
        }
    }
    names
}

pub(super) fn bits(default: &Value) -> u64 {
    match default {
        Value::Bits(bits) => *bits,
        _ => 0,
    }
}

/// A JavaScript string literal.
pub(super) fn text_default(default: &Value) -> String {
    let Value::Text(text) = default else {
        return "''".to_owned();
    };
    let mut literal = String::from("\"");
    for unit in text.encode_utf16() {
        match char::from_u32(unit.into()) {
            Some(c) if c.is_ascii_alphanumeric() || c == ' ' => literal.push(c),
            _ => {
                let _ = write!(literal, "\\u{unit:04x}");
            }
        }
    }
    literal.push('"');
    literal
}

fn data_default(default: &Value) -> String {
    match default {
        Value::Data(bytes) => format!("{bytes:?}"),
        _ => "[]".to_owned(),
    }
}
