//! Encoders: `put<n>` writes a value's fields into a struct that is allocated already, `enc<n>`
//! allocates the struct for a pointer, `list<n>` a list. `b` is the builder, `p` the struct's first
//! byte, `ptr` the pointer's, `l` the levels left. Positions stay true when the builder changes to
//! a larger buffer, views do not: they are taken from `b` each time.

use std::fmt::Write as _;

use super::{Plan, element, plan::PlannedStruct, readers::bits, size_code, struct_name, view};
use crate::model::{Brand, Field, FieldKind, Type, Value};

/// Methods that plain objects inherit: not values of fields with such names.
const INHERITED: [&str; 7] = [
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
];

impl Plan<'_> {
    pub(super) fn writer(&self, index: usize, text: &mut String) {
        let PlannedStruct {
            node,
            layout,
            brand,
        } = &self.structs[index];
        let fields: Vec<&str> = layout
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .collect();
        let _ = writeln!(
            text,
            "  const F{index} = names({fields:?});
  function put{index}(b, o, p, l) {{
    if (typeof o !== 'object' || o === null) throw notObject(o);
    let k = 0, v;"
        );
        if layout.tag_offset.is_some() {
            text.push_str("    let u = '';\n");
        }
        for field in &layout.fields {
            let name = &field.name;
            let body = self.put_field(field, brand, u64::from(layout.data_words) * 8);
            let _ = writeln!(text, "    v = o.{name};");
            if INHERITED.contains(&name.as_str()) {
                text.push_str("    if (typeof v === 'function') v = undefined;\n");
            }
            text.push_str("    if (v !== undefined) {\n      k++;\n");
            let is_void = matches!(&field.kind, FieldKind::Slot { ty: Type::Void, .. });
            if is_void {
                let _ = writeln!(
                    text,
                    "      if (v !== null && v !== true) throw bad({name:?}, 'null or true', v);"
                );
            } else {
                text.push_str("      if (v !== null) {\n");
            }
            if let (Some(tag), Some(offset)) = (field.tag, layout.tag_offset) {
                let _ = writeln!(
                    text,
                    "        if (u !== '') throw twoMembers(u, {name:?});
        u = {name:?};
        b.u16[(p + {offset}) >> 1] = {tag};"
                );
            }
            if !is_void {
                let _ = write!(text, "        {body}\n      }}\n");
            }
            text.push_str("    }\n");
        }
        let _ = write!(
            text,
            "    for (const key in o) k--;
    if (k !== 0) checkKeys(o, F{index}, {:?});
  }}
",
            struct_name(node)
        );
        if !layout.is_group {
            let _ = write!(
                text,
                "  function enc{index}(b, o, ptr, l) {{
    if (typeof o !== 'object' || o === null) throw notObject(o);
    if (S{index}.copy(b, o, ptr, l)) return;
    if (l <= 0) throw tooDeep();
    put{index}(b, o, newStruct(b, ptr, {}, {}), l - 1);
  }}
",
                layout.data_words, layout.pointers
            );
        }
    }

    /// Statements that write `v`, which is neither undefined nor null.
    fn put_field(&self, field: &Field, brand: &Brand, data_bytes: u64) -> String {
        let name = format!("{:?}", field.name);
        match &field.kind {
            FieldKind::Group(id) => {
                let group = self.struct_number(*id, brand);
                format!(
                    "try {{ put{group}(b, v, p, l); }} catch (e) {{ throw inField(e, {name}); }}"
                )
            }
            FieldKind::Slot {
                offset,
                ty,
                default,
            } => match ty.data_bits() {
                Some(1) => {
                    let (byte, mask) = (offset / 8, 1 << (offset % 8));
                    let test = if bits(default) == 0 { "v" } else { "!v" };
                    format!(
                        "{} if ({test}) b.u8[p + {byte}] |= {mask};",
                        check(ty, &name)
                    )
                }
                Some(bits) => {
                    let at = format!("p + {}", u64::from(*offset) * u64::from(bits / 8));
                    self.put_data(ty, &name, &at, default)
                }
                None => {
                    let ptr = format!("p + {}", data_bytes + u64::from(*offset) * 8);
                    let put = self.put_pointer(ty, &name, &ptr);
                    match (ty, self.default_number(default)) {
                        // Null would stand for the default.
                        (Type::Struct(id, brand), Some(_)) => format!(
                            "if (S{}.absent(v)) newStruct(b, {ptr}, 0, 0); else {put}",
                            self.struct_number(*id, brand)
                        ),
                        _ => put,
                    }
                }
            },
        }
    }

    fn put_pointer(&self, ty: &Type, name: &str, ptr: &str) -> String {
        self.put_pointer_at(ty, name, ptr, "l")
    }

    fn put_pointer_at(&self, ty: &Type, name: &str, ptr: &str, level: &str) -> String {
        let call = match ty {
            Type::Text => {
                return format!("{} writeText(b, {ptr}, v);", check(ty, name));
            }
            _ => self.write_pointer(ty, ptr, level),
        };
        format!("try {{ {call} }} catch (e) {{ throw inField(e, {name}); }}")
    }

    /// A statement that writes `v` for the pointer at byte `ptr`, at `level`s left.
    pub(super) fn write_pointer(&self, ty: &Type, ptr: &str, level: &str) -> String {
        match ty {
            Type::Text => {
                format!("if (typeof v !== 'string') throw rt.notText(v); writeText(b, {ptr}, v);")
            }
            Type::Data => format!("writeData(b, {ptr}, v);"),
            Type::Interface(id, brand) => {
                let face = self.interface_number(*id, brand);
                format!("writeCapability(b, {ptr}, v, I{face});")
            }
            Type::Capability => format!("writeCapability(b, {ptr}, v, rt.anyFace);"),
            Type::Struct(id, brand) => {
                format!(
                    "enc{}(b, v, {ptr}, {level});",
                    self.struct_number(*id, brand)
                )
            }
            Type::List(element) => {
                format!("list{}(b, v, {ptr}, {level});", self.list_number(element))
            }
            Type::AnyStruct => format!("writeAny(b, {ptr}, v, {level}, T, 0);"),
            Type::AnyList => format!("writeAny(b, {ptr}, v, {level}, T, 1);"),
            _ => format!("writeAny(b, {ptr}, v, {level}, T, -1);"),
        }
    }

    /// Checks `v` and writes it at byte `at`, as a difference from its default.
    fn put_data(&self, ty: &Type, name: &str, at: &str, default: &Value) -> String {
        let (view, shift) = view(ty);
        let place = |view| format!("b.{view}[{}]", element(at, shift));
        let raw = place(view);
        let default = bits(default);
        let signed = default.cast_signed();
        match ty {
            Type::Void => String::new(),
            Type::Enum(id) => {
                let names = self.enum_number(*id);
                let difference = if default == 0 {
                    String::new()
                } else {
                    format!(" ^ {default}")
                };
                format!("{raw} = enumNumber(E{names}, N{names}, v, {name}){difference};")
            }
            Type::Int64 if default == 0 => format!("{raw} = int64({name}, v);"),
            Type::Int64 => format!("{raw} = int64({name}, v) ^ {signed}n;"),
            Type::UInt64 if default == 0 => format!("{raw} = uint64({name}, v);"),
            Type::UInt64 => format!("{raw} = uint64({name}, v) ^ {default}n;"),
            _ if default == 0 => format!("{} {raw} = v;", check(ty, name)),
            Type::Float32 => {
                format!(
                    "{} {raw} = v; {} ^= {default};",
                    check(ty, name),
                    place("i32")
                )
            }
            Type::Float64 => {
                format!(
                    "{} {raw} = v; {} ^= {signed}n;",
                    check(ty, name),
                    place("i64")
                )
            }
            _ => format!("{} {raw} = v ^ {signed};", check(ty, name)),
        }
    }

    pub(super) fn list_writer(&self, index: usize, ty: &Type, text: &mut String) {
        let code = size_code(ty);
        let (allocate, put) = match ty {
            Type::Void => ("newList(b, ptr, 0, n, 0)".to_owned(), String::new()),
            Type::Bool => (
                "newList(b, ptr, 1, n, (n + 7) >> 3)".to_owned(),
                format!(
                    "{} if (v) b.u8[p + (i >> 3)] |= 1 << (i & 7);",
                    check(ty, "i")
                ),
            ),
            Type::Struct(id, brand) => {
                let number = self.struct_number(*id, brand);
                let (words, pointers) = match self.schema.struct_by_id(*id) {
                    Some((_, layout)) => (layout.data_words, layout.pointers),
                    None => (0, 0),
                };
                let step = (u32::from(words) + u32::from(pointers)) * 8;
                (
                    format!("newStructList(b, ptr, n, {words}, {pointers})"),
                    format!(
                        "try {{ put{number}(b, v, p + i * {step}, l - 1); }} \
                         catch (e) {{ throw inField(e, i); }}"
                    ),
                )
            }
            _ => match ty.data_bits() {
                Some(bits) => (
                    format!("newList(b, ptr, {code}, n, n * {})", bits / 8),
                    self.put_data(ty, "i", &format!("p + i * {}", bits / 8), &Value::Void),
                ),
                None => {
                    let mut put = self.put_pointer_at(ty, "i", "p + i * 8", "l - 1");
                    if matches!(
                        ty,
                        Type::Text | Type::Data | Type::Struct(..) | Type::List(_)
                    ) {
                    } else {
                        put = format!("if (v !== null && v !== undefined) {put}");
                    }
                    ("newList(b, ptr, 6, n, n * 8)".to_owned(), put)
                }
            },
        };
        let _ = write!(
            text,
            "  function list{index}(b, o, ptr, l) {{
    if (l <= 0) throw tooDeep();
    const a = elements(o), n = a.length, p = {allocate};
    for (let i = 0; i < n; i++) {{
      const v = a[i];
      {put}
    }}
  }}
"
        );
    }
}

/// A statement that throws unless `v` is of the type; `name` is an expression.
fn check(ty: &Type, name: &str) -> String {
    let range = |low: i64, high: i64| format!("'a whole number from {low} to {high}'");
    let (test, what) = match ty {
        Type::Bool => ("typeof v !== 'boolean'", "'a boolean'".to_owned()),
        Type::Text => ("typeof v !== 'string'", "'a string'".to_owned()),
        Type::Int8 => ("(v << 24 >> 24) !== v", range(-128, 127)),
        Type::Int16 => ("(v << 16 >> 16) !== v", range(-32768, 32767)),
        Type::Int32 => ("(v | 0) !== v", range(i32::MIN.into(), i32::MAX.into())),
        Type::UInt8 => ("(v & 255) !== v", range(0, 255)),
        Type::UInt16 => ("(v & 65535) !== v", range(0, 65535)),
        Type::UInt32 => ("(v >>> 0) !== v", range(0, u32::MAX.into())),
        _ => ("typeof v !== 'number'", "'a number'".to_owned()),
    };
    // An object's valueOf must not run, and bigints do not take part in `|`.
    let guard = match ty {
        Type::Bool | Type::Text | Type::Float32 | Type::Float64 => String::new(),
        _ => "typeof v !== 'number' || ".to_owned(),
    };
    format!("if ({guard}{test}) throw bad({name}, {what}, v);")
}
