//! A compiled schema as plain owned types.
//!
//! [`Schema::read`] takes the bytes of a `CodeGeneratorRequest`, which is what
//! [`compile`](crate::schema::compile) returns and what a bundle carries. Nothing in those bytes is
//! trusted: names are checked to be identifiers, offsets to lie inside their structs, references
//! to lead to nodes of the right kind. So generators may write names into source text and offsets
//! into code.

mod brand;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use brand::{Binding, Brand};
pub use read::ModelError;

/// Id of the result struct of `-> stream` methods, in `/capnp/stream.capnp`.
pub const STREAM_RESULT: u64 = 0x995f_9a33_77c0_b16e;

/// All nodes of a compiled schema, by type id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    nodes: BTreeMap<u64, Node>,
    files: Vec<u64>,
}

/// One declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The Cap'n Proto type id.
    pub id: u64,
    /// `schema/auth.capnp:Auth.check$Params`
    pub name: String,
    /// The name's last part: `check$Params`; of a file, the whole path.
    pub short: String,
    /// The enclosing node's id; 0 for files and for the params and results of methods.
    pub scope: u64,
    /// The names of its type parameters, such as `T`; those of enclosing nodes are not among them.
    pub parameters: Vec<String>,
    /// What it declares.
    pub kind: NodeKind,
}

/// What a node declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A schema file.
    File,
    /// A struct or group.
    Struct(Struct),
    /// Names, by number.
    Enum(Vec<String>),
    /// An interface.
    Interface(Interface),
    /// A constant.
    Const(Type, Value),
    /// An annotation.
    Annotation,
}

/// The layout of a struct or group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Struct {
    /// Size of the data section, in words.
    pub data_words: u16,
    /// Number of pointers.
    pub pointers: u16,
    /// A group: its fields lie in the enclosing struct.
    pub is_group: bool,
    /// Byte offset of the unnamed union's tag in the data section, if there is a union.
    pub tag_offset: Option<u32>,
    /// In the order of their ordinals.
    pub fields: Vec<Field>,
}

/// A member of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The explicit `@n`; groups have none.
    pub ordinal: Option<u16>,
    /// The tag's value when this member of the unnamed union is set; none outside the union.
    pub tag: Option<u16>,
    /// Where and what it is.
    pub kind: FieldKind,
}

/// Where a field is and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// In a slot of the struct.
    Slot {
        /// In units of the type's size: bits for Bool, pointers for pointer types.
        offset: u32,
        /// Its type.
        ty: Type,
        /// Its default.
        default: Value,
    },
    /// The group with this id.
    Group(u64),
}

/// A field's or element's type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Type {
    Void,
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,
    Text,
    Data,
    List(Box<Type>),
    Enum(u64),
    Struct(u64, Brand),
    Interface(u64, Brand),
    AnyPointer,
    AnyStruct,
    AnyList,
    /// Any capability, whatever its interface.
    Capability,
    /// A type parameter: the scope that declares it and its index there.
    Parameter(u64, u16),
}

/// A default value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of a Void.
    Void,
    /// The bits of a number, Bool or enum, sign-extended where the type has a sign.
    Bits(u64),
    /// Of a Text.
    Text(String),
    /// Of a Data.
    Data(Vec<u8>),
    /// Of a struct, list or AnyPointer, as a canonical message; empty if it is null.
    Pointer(Vec<u8>),
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Index = ordinal.
    pub methods: Vec<Method>,
    /// The interfaces it extends.
    pub extends: Vec<(u64, Brand)>,
}

/// A method of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: String,
    /// Its number in the interface.
    pub ordinal: u16,
    /// Id of the struct of its params.
    pub params: u64,
    /// What the type parameters of the params mean.
    pub params_brand: Brand,
    /// Id of the struct of its results; [`STREAM_RESULT`] for `-> stream`.
    pub results: u64,
    /// What the type parameters of the results mean.
    pub results_brand: Brand,
}

impl Schema {
    /// The node with this id.
    #[must_use]
    pub fn node(&self, id: u64) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// All nodes, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The files that were asked for (not those they import), in that order.
    pub fn files(&self) -> impl Iterator<Item = &Node> {
        self.files.iter().filter_map(|id| self.nodes.get(id))
    }

    /// Finds an interface by the name that manifests use: `schema/auth.capnp:Auth`.
    #[must_use]
    pub fn interface(&self, name: &str) -> Option<(&Node, &Interface)> {
        let node = self.nodes.values().find(|node| node.name == name)?;
        self.interface_by_id(node.id)
    }

    /// Finds an interface by its type id.
    #[must_use]
    pub fn interface_by_id(&self, id: u64) -> Option<(&Node, &Interface)> {
        let node = self.nodes.get(&id)?;
        match &node.kind {
            NodeKind::Interface(interface) => Some((node, interface)),
            _ => None,
        }
    }

    /// The names of all interfaces in the files that were asked for.
    pub fn interfaces(&self) -> impl Iterator<Item = (&Node, &Interface)> {
        self.nodes.values().filter_map(|node| match &node.kind {
            NodeKind::Interface(interface) => Some((node, interface)),
            _ => None,
        })
    }

    /// The interface and all that it extends, at any distance, nearest first and each once, with
    /// the types that its parameters stand for.
    #[must_use]
    pub fn lineage(&self, id: u64, brand: &Brand) -> Vec<(&Node, &Interface, Brand)> {
        let mut all: Vec<(&Node, &Interface, Brand)> = Vec::new();
        let mut next = vec![(id, brand.clone())];
        while let Some((id, brand)) = next.pop() {
            if all.iter().any(|(node, ..)| node.id == id) {
                continue;
            }
            if let Some((node, interface)) = self.interface_by_id(id) {
                for (parent, bound) in interface.extends.iter().rev() {
                    next.push((*parent, bound.resolve(&brand)));
                }
                all.push((node, interface, brand));
            }
        }
        all
    }

    /// Finds a struct or group by its id.
    #[must_use]
    pub fn struct_by_id(&self, id: u64) -> Option<(&Node, &Struct)> {
        let node = self.nodes.get(&id)?;
        match &node.kind {
            NodeKind::Struct(layout) => Some((node, layout)),
            _ => None,
        }
    }

    /// The names of the enum with this id.
    #[must_use]
    pub fn enum_by_id(&self, id: u64) -> Option<(&Node, &[String])> {
        let node = self.nodes.get(&id)?;
        match &node.kind {
            NodeKind::Enum(names) => Some((node, names)),
            _ => None,
        }
    }
}

impl Field {
    /// What a service calls it: its name, with `_` behind it if readers have a method of that name.
    ///
    /// No name of a schema holds a `_`, so no other field is called so.
    #[must_use]
    pub fn property(&self) -> String {
        match self.name.as_str() {
            name @ ("which" | "toObject" | "toJSON") => format!("{name}_"),
            name => name.to_owned(),
        }
    }
}

impl Node {
    /// The path of the file that declares it: `schema/auth.capnp`.
    #[must_use]
    pub fn file(&self) -> &str {
        self.name
            .split_once(':')
            .map_or(&self.name, |(file, _)| file)
    }

    /// Its name inside the file: `Auth.check$Params`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.name.split_once(':').map_or("", |(_, path)| path)
    }
}

impl Type {
    /// How it is written in a schema.
    #[must_use]
    pub fn name(&self, schema: &Schema) -> String {
        let named = |id: &u64| {
            let node = schema.node(*id);
            node.map_or_else(|| format!("@0x{id:016x}"), |node| node.path().to_owned())
        };
        match self {
            Self::List(element) => format!("List({})", element.name(schema)),
            Self::Enum(id) => named(id),
            Self::Struct(id, brand) | Self::Interface(id, brand) => {
                format!("{}{}", named(id), brand.name(schema))
            }
            Self::Parameter(scope, index) => {
                let parameters = schema.node(*scope).map(|node| &node.parameters[..]);
                let name = parameters.and_then(|names| names.get(usize::from(*index)));
                name.map_or_else(|| "AnyPointer".to_owned(), Clone::clone)
            }
            other => format!("{other:?}"),
        }
    }

    /// Size in bits of a slot of this type in the data section; `None` for pointers.
    #[must_use]
    pub fn data_bits(&self) -> Option<u32> {
        match self {
            Self::Void => Some(0),
            Self::Bool => Some(1),
            Self::Int8 | Self::UInt8 => Some(8),
            Self::Int16 | Self::UInt16 | Self::Enum(_) => Some(16),
            Self::Int32 | Self::UInt32 | Self::Float32 => Some(32),
            Self::Int64 | Self::UInt64 | Self::Float64 => Some(64),
            _ => None,
        }
    }
}
