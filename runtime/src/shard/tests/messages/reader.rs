//! A second reader: messages of any compiled schema through the `capnp` crate, written out as
//! `messages/dump.js` writes what JavaScript reads.

use std::collections::BTreeMap;

use capnp::message::{Reader, SegmentArray};
use capnp::private::layout::{ElementSize, ListReader, PointerReader, PointerType, StructReader};
use capnp::schema_capnp::node;
use capnp::traits::{FromPointerReader, IntoInternalStructReader as _};
use capnp::{Error, Word, any_pointer_list, struct_list};
use isolith_capnp::model::{Brand, Field, FieldKind, Schema, Struct, Type, Value};

/// A struct whose schema is known at run time.
pub(super) struct RawStruct<'a>(pub(super) StructReader<'a>);

impl<'a> FromPointerReader<'a> for RawStruct<'a> {
    fn get_from_pointer(reader: &PointerReader<'a>, _: Option<&'a [Word]>) -> Result<Self, Error> {
        reader.get_struct(None).map(Self)
    }
}

/// A pointer whose type is known at run time.
struct RawPointer<'a>(PointerReader<'a>);

impl<'a> FromPointerReader<'a> for RawPointer<'a> {
    fn get_from_pointer(reader: &PointerReader<'a>, _: Option<&'a [Word]>) -> Result<Self, Error> {
        Ok(Self(*reader))
    }
}

pub(super) fn dump_struct(
    schema: &Schema,
    layout: &Struct,
    brand: &Brand,
    reader: &StructReader<'_>,
) -> Result<String, Error> {
    let tag = layout
        .tag_offset
        .map(|offset| reader.get_data_field::<u16>(offset as usize / 2));
    let mut fields = BTreeMap::new();
    for field in &layout.fields {
        if field.tag.is_some() && field.tag != tag {
            continue;
        }
        if let Some(value) = dump_field(schema, field, brand, reader)? {
            fields.insert(field.name.as_str(), value);
        }
    }
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}:{value}"))
        .collect();
    Ok(format!("{{{}}}", fields.join(",")))
}

fn dump_field(
    schema: &Schema,
    field: &Field,
    brand: &Brand,
    reader: &StructReader<'_>,
) -> Result<Option<String>, Error> {
    let (offset, ty, default) = match &field.kind {
        FieldKind::Group(id) => {
            let (_, group) = schema.struct_by_id(*id).unwrap();
            return dump_struct(schema, group, brand, reader).map(Some);
        }
        FieldKind::Slot {
            offset,
            ty,
            default,
        } => (*offset as usize, ty.resolve(brand), default),
    };
    let bits = match default {
        Value::Bits(bits) => *bits,
        _ => 0,
    };
    let signed = bits.cast_signed();
    let number = |n: f64| Some(number(n));
    Ok(match &ty {
        Type::Void => Some("null".to_owned()),
        Type::Bool => Some((reader.get_bool_field(offset) ^ (bits != 0)).to_string()),
        Type::Int8 => number(f64::from(
            reader.get_data_field::<i8>(offset) ^ signed as i8,
        )),
        Type::Int16 => number(f64::from(
            reader.get_data_field::<i16>(offset) ^ signed as i16,
        )),
        Type::Int32 => number(f64::from(
            reader.get_data_field::<i32>(offset) ^ signed as i32,
        )),
        Type::UInt8 => number(f64::from(reader.get_data_field::<u8>(offset) ^ bits as u8)),
        Type::UInt16 => number(f64::from(
            reader.get_data_field::<u16>(offset) ^ bits as u16,
        )),
        Type::UInt32 => number(f64::from(
            reader.get_data_field::<u32>(offset) ^ bits as u32,
        )),
        Type::Int64 => Some(format!(
            "{}n",
            reader.get_data_field::<i64>(offset) ^ signed
        )),
        Type::UInt64 => Some(format!("{}n", reader.get_data_field::<u64>(offset) ^ bits)),
        Type::Float32 => {
            number(f32::from_bits(reader.get_data_field::<u32>(offset) ^ bits as u32).into())
        }
        Type::Float64 => number(f64::from_bits(reader.get_data_field::<u64>(offset) ^ bits)),
        Type::Enum(id) => {
            let raw = reader.get_data_field::<u16>(offset) ^ bits as u16;
            Some(enumerant(schema, *id, raw))
        }
        _ => {
            let pointer = reader.get_pointer_field(offset);
            if !pointer.is_null() {
                return dump_pointer(schema, &ty, pointer).map(Some);
            }
            match (&ty, default) {
                (_, Value::Pointer(bytes)) if !bytes.is_empty() => {
                    let mut words = Word::allocate_zeroed_vec(bytes.len() / 8 - 1);
                    Word::words_to_bytes_mut(&mut words).copy_from_slice(&bytes[8..]);
                    let segments = [Word::words_to_bytes(&words)];
                    let message = Reader::new(SegmentArray::new(&segments), super::limits());
                    let pointer = message.get_root::<RawPointer<'_>>()?.0;
                    Some(dump_pointer(schema, &ty, pointer)?)
                }
                (Type::Struct(..), _) => None,
                (Type::Text, Value::Text(default)) => Some(text(default)),
                (Type::Data, Value::Data(bytes)) => Some(data(bytes)),
                _ => Some(absent(&ty)),
            }
        }
    })
}

/// What a null pointer reads as.
fn absent(ty: &Type) -> String {
    match ty {
        Type::Text => text(""),
        Type::Data => data(&[]),
        Type::List(_) => "[]".to_owned(),
        _ => "null".to_owned(),
    }
}

fn dump_pointer(schema: &Schema, ty: &Type, pointer: PointerReader<'_>) -> Result<String, Error> {
    match ty {
        Type::Text => {
            let value = pointer.get_text(None)?;
            Ok(text(&String::from_utf8_lossy(value.as_bytes())))
        }
        Type::Data => Ok(data(pointer.get_data(None)?)),
        Type::Struct(id, brand) => {
            let (_, layout) = schema.struct_by_id(*id).unwrap();
            dump_struct(schema, layout, brand, &pointer.get_struct(None)?)
        }
        Type::List(element) => dump_list(schema, element, pointer),
        // No table of capabilities comes with the message.
        Type::Interface(..) | Type::Capability => {
            Err(Error::failed("a capability that is not there".to_owned()))
        }
        open => {
            let kind = pointer.get_pointer_type()?;
            match (kind, open) {
                (PointerType::Struct, Type::AnyPointer | Type::AnyStruct) => {
                    let user = schema.nodes().find(|node| node.short == "User").unwrap();
                    dump_pointer(schema, &Type::Struct(user.id, Brand::default()), pointer)
                }
                (PointerType::List, Type::AnyPointer | Type::AnyList) => {
                    let list = pointer.get_list(ElementSize::Void, None)?;
                    Ok(format!("<{}>", list.len()))
                }
                (PointerType::Capability, Type::AnyPointer) => Ok("<capability>".to_owned()),
                _ => Err(Error::failed(format!("another kind than {open:?}"))),
            }
        }
    }
}

fn dump_list(schema: &Schema, element: &Type, pointer: PointerReader<'_>) -> Result<String, Error> {
    let mut items = Vec::new();
    match element {
        Type::Struct(id, brand) => {
            let (_, layout) = schema.struct_by_id(*id).unwrap();
            // Any struct's list will do: its elements are unwrapped.
            let list = struct_list::Reader::<node::Owned>::get_from_pointer(&pointer, None)?;
            for item in list {
                items.push(dump_struct(
                    schema,
                    layout,
                    brand,
                    &item.into_internal_struct_reader(),
                )?);
            }
        }
        ty if ty.data_bits().is_none() => {
            let list = any_pointer_list::Reader::get_from_pointer(&pointer, None)?;
            for index in 0..list.len() {
                let pointer = list.get(index).get_as::<RawPointer<'_>>()?.0;
                items.push(match pointer.is_null() {
                    true => absent(ty),
                    false => dump_pointer(schema, ty, pointer)?,
                });
            }
        }
        ty => {
            let list = pointer.get_list(size(ty), None)?;
            for index in 0..list.len() {
                items.push(dump_element(schema, ty, &list, index));
            }
        }
    }
    Ok(format!("[{}]", items.join(",")))
}

fn dump_element(schema: &Schema, ty: &Type, list: &ListReader<'_>, index: u32) -> String {
    use capnp::private::layout::PrimitiveElement as Element;
    match ty {
        Type::Void => "null".to_owned(),
        Type::Bool => <bool as Element>::get(list, index).to_string(),
        Type::Int8 => number(<i8 as Element>::get(list, index).into()),
        Type::Int16 => number(<i16 as Element>::get(list, index).into()),
        Type::Int32 => number(<i32 as Element>::get(list, index).into()),
        Type::UInt8 => number(<u8 as Element>::get(list, index).into()),
        Type::UInt16 => number(<u16 as Element>::get(list, index).into()),
        Type::UInt32 => number(<u32 as Element>::get(list, index).into()),
        Type::Int64 => format!("{}n", <i64 as Element>::get(list, index)),
        Type::UInt64 => format!("{}n", <u64 as Element>::get(list, index)),
        Type::Float32 => number(<f32 as Element>::get(list, index).into()),
        Type::Float64 => number(<f64 as Element>::get(list, index)),
        Type::Enum(id) => enumerant(schema, *id, <u16 as Element>::get(list, index)),
        other => panic!("{other:?} is not compared"),
    }
}

const fn size(element: &Type) -> ElementSize {
    match element {
        Type::Void => ElementSize::Void,
        Type::Bool => ElementSize::Bit,
        Type::Int8 | Type::UInt8 => ElementSize::Byte,
        Type::Int16 | Type::UInt16 | Type::Enum(_) => ElementSize::TwoBytes,
        Type::Int32 | Type::UInt32 | Type::Float32 => ElementSize::FourBytes,
        Type::Int64 | Type::UInt64 | Type::Float64 => ElementSize::EightBytes,
        _ => ElementSize::Pointer,
    }
}

fn enumerant(schema: &Schema, id: u64, raw: u16) -> String {
    let (_, names) = schema.enum_by_id(id).unwrap();
    names
        .get(usize::from(raw))
        .map_or_else(|| number(raw.into()), |name| text(name))
}

/// The bits, so that nothing depends on how numbers are printed.
fn number(n: f64) -> String {
    match n.is_nan() {
        true => "nan".to_owned(),
        false => format!("{:016x}", n.to_bits()),
    }
}

fn text(value: &str) -> String {
    let units: Vec<String> = value
        .encode_utf16()
        .map(|unit| format!("{unit:04x}"))
        .collect();
    format!("\"{}\"", units.concat())
}

fn data(bytes: &[u8]) -> String {
    format!("x{}", super::hex(bytes))
}
