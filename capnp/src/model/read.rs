//! From the bytes of a `CodeGeneratorRequest` to the model.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::Utf8Error,
};

use capnp::schema_capnp::type_::any_pointer::{self as any_pointer_kind, unconstrained};
use capnp::{
    any_pointer, message,
    schema_capnp::{brand, code_generator_request, field, node, type_, value},
    serialize,
};

use super::{
    Binding, Brand, Field, FieldKind, Interface, Method, Node, NodeKind, Schema, Struct, Type,
    Value,
};

/// Why bytes are not a usable compiled schema.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Not a Cap'n Proto message, or not a CodeGeneratorRequest.
    #[error("the compiled schema is not a readable CodeGeneratorRequest: {0}; build it again")]
    Malformed(#[from] capnp::Error),
    /// A name that is not UTF-8.
    #[error("the compiled schema has a name that is not UTF-8: {0}; build it again")]
    Text(#[from] Utf8Error),
    /// A union's tag that this version does not know.
    #[error("the compiled schema uses a feature that is not known here: {0}; update isolith")]
    Unknown(#[from] capnp::NotInSchema),
    /// It contradicts itself.
    #[error("the compiled schema is wrong at `{at}`: {what}; build it again")]
    Invalid {
        /// The node or member.
        at: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// Bounds the words that are read, against pointers that lead to the same place over and over.
const TRAVERSAL_LIMIT_WORDS: usize = 16 * 1024 * 1024;
const UNION_NONE: u16 = 0xffff;

impl Schema {
    /// Reads a serialised `CodeGeneratorRequest`.
    ///
    /// # Errors
    /// When the bytes are malformed or contradict themselves. Never panics, whatever they are.
    pub fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        let mut options = message::ReaderOptions::new();
        options.traversal_limit_in_words(Some(TRAVERSAL_LIMIT_WORDS));
        let message = serialize::read_message(bytes, options)?;
        let request = message.get_root::<code_generator_request::Reader<'_>>()?;
        let mut schema = Self {
            nodes: BTreeMap::new(),
            files: Vec::new(),
        };
        for node in request.get_nodes()? {
            schema.nodes.insert(node.get_id(), read_node(node)?);
        }
        for file in request.get_requested_files()? {
            schema.files.push(file.get_id());
        }
        schema.validate()?;
        Ok(schema)
    }

    /// Checks that references lead to nodes of the right kind and slots lie inside their structs.
    fn validate(&self) -> Result<(), ModelError> {
        // Each group has one place: walking them would take exponential time otherwise.
        let mut groups = BTreeSet::new();
        for node in self.nodes.values() {
            let invalid = |member: &str, what| {
                let at = format!("{}.{member}", node.name);
                Err(ModelError::Invalid { at, what })
            };
            match &node.kind {
                NodeKind::Struct(layout) => {
                    for field in &layout.fields {
                        if let Err(what) = self.check_field(node, layout, field) {
                            return invalid(&field.name, what);
                        }
                        match field.kind {
                            FieldKind::Group(id) if !groups.insert(id) => {
                                return invalid(&field.name, "a group in two places");
                            }
                            _ => {}
                        }
                    }
                }
                NodeKind::Interface(interface) => {
                    for method in &interface.methods {
                        for id in [method.params, method.results] {
                            let known = id == super::STREAM_RESULT
                                || self.struct_by_id(id).is_some_and(|(_, s)| !s.is_group);
                            if !known {
                                return invalid(
                                    &method.name,
                                    "no such struct of params or results",
                                );
                            }
                        }
                        for brand in [&method.params_brand, &method.results_brand] {
                            if let Err(what) = self.check_brand(brand) {
                                return invalid(&method.name, what);
                            }
                        }
                    }
                    for (id, brand) in &interface.extends {
                        let parent = Type::Interface(*id, brand.clone());
                        if let Err(what) = self.check_type(&parent) {
                            return invalid("extends", what);
                        }
                    }
                }
                NodeKind::Const(ty, value) => {
                    let fits = self.check_type(ty).and_then(|()| check_value(ty, value));
                    if let Err(what) = fits {
                        return invalid("value", what);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_field(&self, node: &Node, layout: &Struct, field: &Field) -> Result<(), &'static str> {
        if field.tag.is_some() && layout.tag_offset.is_none() {
            return Err("a member of a union that is not there");
        }
        match &field.kind {
            FieldKind::Group(id) => {
                // The scope makes a tree of groups, so that walking them ends.
                let Some((group, inner)) = self.struct_by_id(*id) else {
                    return Err("no such group");
                };
                let fits = inner.is_group
                    && group.scope == node.id
                    && inner.data_words == layout.data_words
                    && inner.pointers == layout.pointers;
                if fits {
                    Ok(())
                } else {
                    Err("a group does not fit its struct")
                }
            }
            FieldKind::Slot {
                offset,
                ty,
                default,
            } => {
                let offset = u64::from(*offset);
                let is_inside = match ty.data_bits() {
                    Some(bits) => {
                        let bits = u64::from(bits);
                        (offset + 1) * bits <= u64::from(layout.data_words) * 64
                    }
                    None => offset < u64::from(layout.pointers),
                };
                if !is_inside {
                    return Err("its slot lies outside the struct");
                }
                self.check_type(ty)?;
                check_value(ty, default)
            }
        }
    }

    fn check_type(&self, ty: &Type) -> Result<(), &'static str> {
        match ty {
            Type::List(element) => self.check_type(element),
            Type::Enum(id) if self.enum_by_id(*id).is_none() => Err("no such enum"),
            Type::Interface(id, brand) => match self.interface_by_id(*id) {
                Some(_) => self.check_brand(brand),
                None => Err("no such interface"),
            },
            Type::Struct(id, brand) => match self.struct_by_id(*id) {
                Some((_, layout)) if !layout.is_group => self.check_brand(brand),
                _ => Err("no such struct"),
            },
            _ => Ok(()),
        }
    }

    fn check_brand(&self, brand: &Brand) -> Result<(), &'static str> {
        for ty in brand
            .0
            .iter()
            .flat_map(|binding| binding.types.iter().flatten())
        {
            // What a parameter stands for lies behind a pointer.
            if ty.data_bits().is_some() {
                return Err("a type parameter stands for data");
            }
            self.check_type(ty)?;
        }
        Ok(())
    }
}

fn check_value(ty: &Type, value: &Value) -> Result<(), &'static str> {
    let is_fitting = match ty {
        Type::Void => matches!(value, Value::Void),
        Type::Text => matches!(value, Value::Text(_)),
        Type::Data => matches!(value, Value::Data(_)),
        _ if ty.data_bits().is_none() => matches!(value, Value::Pointer(_)),
        _ => matches!(value, Value::Bits(_)),
    };
    match is_fitting {
        true => Ok(()),
        false => Err("its value has another type"),
    }
}

fn read_node(node: node::Reader<'_>) -> Result<Node, ModelError> {
    let name = node.get_display_name()?.to_str()?.to_owned();
    let prefix = node.get_display_name_prefix_length() as usize;
    let invalid = |what| ModelError::Invalid {
        at: name.clone(),
        what,
    };
    if name.chars().any(char::is_control) {
        return Err(invalid("its name has control characters"));
    }
    let kind = match node.which()? {
        node::File(()) => NodeKind::File,
        node::Struct(layout) => NodeKind::Struct(read_struct(layout, &name)?),
        node::Enum(layout) => {
            let mut names = Vec::new();
            for enumerant in layout.get_enumerants()? {
                names.push(identifier(enumerant.get_name()?.to_str()?, &name)?);
            }
            NodeKind::Enum(names)
        }
        node::Interface(layout) => NodeKind::Interface(read_interface(layout, &name)?),
        node::Const(constant) => {
            let value = read_value(constant.get_value()?)?;
            NodeKind::Const(read_type(constant.get_type()?)?, value)
        }
        node::Annotation(_) => NodeKind::Annotation,
    };
    let mut parameters = Vec::new();
    for parameter in node.get_parameters()? {
        parameters.push(identifier(parameter.get_name()?.to_str()?, &name)?);
    }
    let short = match kind {
        NodeKind::File => name.clone(),
        _ => name
            .get(prefix..)
            .ok_or_else(|| invalid("its name is too short"))?
            .to_owned(),
    };
    Ok(Node {
        id: node.get_id(),
        short,
        scope: node.get_scope_id(),
        parameters,
        kind,
        name,
    })
}

/// Field and method names go into generated source text, so anything else is refused.
fn identifier(name: &str, at: &str) -> Result<String, ModelError> {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(name.to_owned());
    }
    Err(ModelError::Invalid {
        at: at.to_owned(),
        what: "a member's name is not an identifier",
    })
}

fn read_struct(layout: node::struct_::Reader<'_>, at: &str) -> Result<Struct, ModelError> {
    let invalid = |what| ModelError::Invalid {
        at: at.to_owned(),
        what,
    };
    let data_words = layout.get_data_word_count();
    let tag_offset = match layout.get_discriminant_count() {
        0 => None,
        _ => Some(u64::from(layout.get_discriminant_offset()) * 2),
    };
    let tag_offset = match tag_offset {
        Some(offset) if offset + 2 > u64::from(data_words) * 8 => {
            return Err(invalid("its union's tag lies outside the struct"));
        }
        Some(offset) => Some(u32::try_from(offset).map_err(|_| invalid("its union's tag"))?),
        None => None,
    };
    let mut fields = Vec::new();
    for field in layout.get_fields()? {
        let name = identifier(field.get_name()?.to_str()?, at)?;
        let kind = match field.which()? {
            field::Slot(slot) => {
                let ty = read_type(slot.get_type()?)?;
                let default = match slot.has_default_value() {
                    true => read_value(slot.get_default_value()?)?,
                    false => return Err(invalid("a field without a default value")),
                };
                FieldKind::Slot {
                    offset: slot.get_offset(),
                    ty,
                    default,
                }
            }
            field::Group(group) => FieldKind::Group(group.get_type_id()),
        };
        let ordinal = match field.get_ordinal().which()? {
            field::ordinal::Explicit(ordinal) => Some(ordinal),
            field::ordinal::Implicit(()) => None,
        };
        let tag = match field.get_discriminant_value() {
            UNION_NONE => None,
            tag => Some(tag),
        };
        fields.push(Field {
            name,
            ordinal,
            tag,
            kind,
        });
    }
    Ok(Struct {
        data_words,
        pointers: layout.get_pointer_count(),
        is_group: layout.get_is_group(),
        tag_offset,
        fields,
    })
}

fn read_interface(layout: node::interface::Reader<'_>, at: &str) -> Result<Interface, ModelError> {
    let mut methods = Vec::new();
    for (ordinal, method) in (0_u16..).zip(layout.get_methods()?) {
        methods.push(Method {
            name: identifier(method.get_name()?.to_str()?, at)?,
            ordinal,
            params: method.get_param_struct_type(),
            params_brand: read_brand(method.get_param_brand()?)?,
            results: method.get_result_struct_type(),
            results_brand: read_brand(method.get_result_brand()?)?,
        });
    }
    let mut extends = Vec::new();
    for superclass in layout.get_superclasses()? {
        extends.push((superclass.get_id(), read_brand(superclass.get_brand()?)?));
    }
    Ok(Interface { methods, extends })
}

/// The depth is bounded by the message reader's nesting limit.
fn read_type(ty: type_::Reader<'_>) -> Result<Type, ModelError> {
    Ok(match ty.which()? {
        type_::Void(()) => Type::Void,
        type_::Bool(()) => Type::Bool,
        type_::Int8(()) => Type::Int8,
        type_::Int16(()) => Type::Int16,
        type_::Int32(()) => Type::Int32,
        type_::Int64(()) => Type::Int64,
        type_::Uint8(()) => Type::UInt8,
        type_::Uint16(()) => Type::UInt16,
        type_::Uint32(()) => Type::UInt32,
        type_::Uint64(()) => Type::UInt64,
        type_::Float32(()) => Type::Float32,
        type_::Float64(()) => Type::Float64,
        type_::Text(()) => Type::Text,
        type_::Data(()) => Type::Data,
        type_::List(list) => Type::List(Box::new(read_type(list.get_element_type()?)?)),
        type_::Enum(ty) => Type::Enum(ty.get_type_id()),
        type_::Struct(ty) => Type::Struct(ty.get_type_id(), read_brand(ty.get_brand()?)?),
        type_::Interface(ty) => Type::Interface(ty.get_type_id(), read_brand(ty.get_brand()?)?),
        type_::AnyPointer(any) => match any.which()? {
            any_pointer_kind::Unconstrained(kind) => match kind.which()? {
                unconstrained::AnyKind(()) => Type::AnyPointer,
                unconstrained::Struct(()) => Type::AnyStruct,
                unconstrained::List(()) => Type::AnyList,
                unconstrained::Capability(()) => Type::Capability,
            },
            any_pointer_kind::Parameter(parameter) => {
                Type::Parameter(parameter.get_scope_id(), parameter.get_parameter_index())
            }
            // Known to the caller of a generic method alone.
            any_pointer_kind::ImplicitMethodParameter(_) => Type::AnyPointer,
        },
    })
}

fn read_brand(brand: brand::Reader<'_>) -> Result<Brand, ModelError> {
    let mut bindings = Vec::new();
    for scope in brand.get_scopes()? {
        let types = match scope.which()? {
            brand::scope::Bind(list) => {
                let mut types = Vec::new();
                for binding in list? {
                    types.push(match binding.which()? {
                        brand::binding::Unbound(()) => Type::AnyPointer,
                        brand::binding::Type(ty) => read_type(ty?)?,
                    });
                }
                Some(types)
            }
            brand::scope::Inherit(()) => None,
        };
        bindings.push(Binding {
            scope: scope.get_scope_id(),
            types,
        });
    }
    Ok(Brand(bindings))
}

fn read_value(value: value::Reader<'_>) -> Result<Value, ModelError> {
    let signed = |n: i64| Value::Bits(n.cast_unsigned());
    Ok(match value.which()? {
        value::Void(()) => Value::Void,
        value::Bool(b) => Value::Bits(u64::from(b)),
        value::Int8(n) => signed(n.into()),
        value::Int16(n) => signed(n.into()),
        value::Int32(n) => signed(n.into()),
        value::Int64(n) => signed(n),
        value::Uint8(n) => Value::Bits(n.into()),
        value::Uint16(n) | value::Enum(n) => Value::Bits(n.into()),
        value::Uint32(n) => Value::Bits(n.into()),
        value::Uint64(n) => Value::Bits(n),
        value::Float32(n) => Value::Bits(n.to_bits().into()),
        value::Float64(n) => Value::Bits(n.to_bits()),
        value::Text(text) => Value::Text(text?.to_str()?.to_owned()),
        value::Data(data) => Value::Data(data?.to_vec()),
        value::List(pointer) => Value::Pointer(canonical(pointer)?),
        value::Struct(pointer) | value::AnyPointer(pointer) => Value::Pointer(canonical(pointer)?),
        value::Interface(()) => Value::Pointer(Vec::new()),
    })
}

fn canonical(pointer: any_pointer::Reader<'_>) -> Result<Vec<u8>, ModelError> {
    if pointer.is_null() {
        return Ok(Vec::new());
    }
    // One segment, as large as it takes: a canonical message has no other.
    let words = u32::try_from(pointer.target_size()?.word_count + 1).unwrap_or(u32::MAX);
    let allocator = message::HeapAllocator::new().first_segment_words(words);
    let mut message = message::Builder::new(allocator);
    message.set_root_canonical::<any_pointer::Owned>(pointer)?;
    Ok(serialize::write_message_to_words(&message))
}
