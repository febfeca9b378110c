//! What the code for some interfaces consists of.

use std::collections::{BTreeMap, VecDeque};

use super::GenerateError;
use crate::model::{
    Brand, FieldKind, Interface, Node, NodeKind, STREAM_RESULT, Schema, Struct, Type, Value,
};

/// The most structs that code is generated for.
pub(super) const STRUCT_LIMIT: usize = 4096;

/// What the code of the chosen interfaces needs, numbered in the order of discovery.
///
/// Generic nodes are here once for each set of types they are used with, so types in here have no
/// parameters left.
pub(super) struct Plan<'a> {
    pub(super) schema: &'a Schema,
    pub(super) structs: Vec<PlannedStruct<'a>>,
    struct_index: BTreeMap<(u64, Brand), usize>,
    pub(super) enums: Vec<&'a [String]>,
    enum_index: BTreeMap<u64, usize>,
    /// The types of the elements.
    pub(super) lists: Vec<Type>,
    list_index: BTreeMap<Type, usize>,
    pub(super) interfaces: Vec<(&'a Node, Brand)>,
    interface_index: BTreeMap<(u64, Brand), usize>,
    /// Messages that hold the defaults of lists and structs.
    pub(super) messages: BTreeMap<Vec<u8>, usize>,
    /// Whether any type's values can turn up, through an AnyPointer.
    pub(super) has_any: bool,
}

/// A struct or group, with the types that its parameters stand for in its fields, which have the names
/// that services call them.
pub(super) struct PlannedStruct<'a> {
    pub(super) node: &'a Node,
    pub(super) layout: Struct,
    pub(super) brand: Brand,
}

/// What is found and not looked into yet.
enum Found {
    Struct(u64, Brand),
    Interface(u64, Brand),
    Type(Type),
}

impl<'a> Plan<'a> {
    pub(super) fn new(schema: &'a Schema, interfaces: &[u64]) -> Result<Self, GenerateError> {
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
            messages: BTreeMap::new(),
            has_any: false,
        };
        let mut queue = VecDeque::new();
        for &id in interfaces {
            queue.push_back(Found::Interface(id, Brand::default()));
        }
        plan.run(queue)?;
        if plan.has_any {
            plan.run(everything(schema))?;
        }
        Ok(plan)
    }

    fn run(&mut self, mut queue: VecDeque<Found>) -> Result<(), GenerateError> {
        while let Some(found) = queue.pop_front() {
            match found {
                Found::Struct(id, brand) => self.structure(id, brand, &mut queue)?,
                Found::Interface(id, brand) => self.interface(id, brand, &mut queue)?,
                Found::Type(ty) => self.of_type(ty, &mut queue),
            }
        }
        Ok(())
    }

    fn interface(
        &mut self,
        id: u64,
        brand: Brand,
        queue: &mut VecDeque<Found>,
    ) -> Result<(), GenerateError> {
        let (node, interface) = self
            .schema
            .interface_by_id(id)
            .ok_or(GenerateError::NoInterface(id))?;
        let key = (id, brand);
        if self.interface_index.contains_key(&key) {
            return Ok(());
        }
        self.interface_index
            .insert(key.clone(), self.interfaces.len());
        let (_, brand) = key;
        for (_, interface, brand) in self.schema.lineage(id, &brand) {
            methods(interface, &brand, queue);
        }
        for (parent, bound) in &interface.extends {
            queue.push_back(Found::Interface(*parent, bound.resolve(&brand)));
        }
        self.interfaces.push((node, brand));
        Ok(())
    }

    fn structure(
        &mut self,
        id: u64,
        brand: Brand,
        queue: &mut VecDeque<Found>,
    ) -> Result<(), GenerateError> {
        let (node, layout) = self
            .schema
            .struct_by_id(id)
            .ok_or(GenerateError::NoInterface(id))?;
        let key = (id, brand);
        if self.struct_index.contains_key(&key) {
            return Ok(());
        }
        if self.structs.len() == STRUCT_LIMIT {
            return Err(GenerateError::TooManyStructs);
        }
        self.struct_index.insert(key.clone(), self.structs.len());
        let (_, brand) = key;
        let mut layout = layout.clone();
        for field in &mut layout.fields {
            field.name = field.property();
            match &mut field.kind {
                FieldKind::Group(id) => queue.push_back(Found::Struct(*id, brand.clone())),
                FieldKind::Slot { ty, default, .. } => {
                    *ty = ty.resolve(&brand);
                    queue.push_back(Found::Type(ty.clone()));
                    if let Some(bytes) = message(default) {
                        let number = self.messages.len();
                        self.messages.entry(bytes.to_vec()).or_insert(number);
                    }
                }
            }
        }
        self.structs.push(PlannedStruct {
            node,
            layout,
            brand,
        });
        Ok(())
    }

    fn of_type(&mut self, ty: Type, queue: &mut VecDeque<Found>) {
        match ty {
            Type::Struct(id, brand) => queue.push_back(Found::Struct(id, brand)),
            Type::Interface(id, brand) => queue.push_back(Found::Interface(id, brand)),
            Type::Enum(id) => {
                if let (false, Some((_, names))) = (
                    self.enum_index.contains_key(&id),
                    self.schema.enum_by_id(id),
                ) {
                    self.enum_index.insert(id, self.enums.len());
                    self.enums.push(names);
                }
            }
            Type::List(element) => {
                let element = *element;
                if !self.list_index.contains_key(&element) {
                    self.list_index.insert(element.clone(), self.lists.len());
                    self.lists.push(element.clone());
                    queue.push_back(Found::Type(element));
                }
            }
            Type::AnyPointer | Type::AnyStruct | Type::AnyList => self.has_any = true,
            _ => {}
        }
    }

    /// The number of a struct in the plan.
    pub(super) fn struct_number(&self, id: u64, brand: &Brand) -> usize {
        let key = (id, brand.clone());
        self.struct_index.get(&key).copied().unwrap_or_default()
    }

    pub(super) fn enum_number(&self, id: u64) -> usize {
        self.enum_index.get(&id).copied().unwrap_or_default()
    }

    pub(super) fn interface_number(&self, id: u64, brand: &Brand) -> usize {
        let key = (id, brand.clone());
        self.interface_index.get(&key).copied().unwrap_or_default()
    }

    /// The number of the list with elements of this type.
    pub(super) fn list_number(&self, element: &Type) -> usize {
        self.list_index.get(element).copied().unwrap_or_default()
    }

    /// The message that holds this default, if it is a list or struct.
    pub(super) fn default_number(&self, default: &Value) -> Option<usize> {
        self.messages.get(message(default)?).copied()
    }
}

/// The params and results of the interface's own methods.
fn methods(interface: &Interface, brand: &Brand, queue: &mut VecDeque<Found>) {
    for method in &interface.methods {
        let params = method.params_brand.resolve(brand);
        queue.push_back(Found::Struct(method.params, params));
        if method.results != STREAM_RESULT {
            let results = method.results_brand.resolve(brand);
            queue.push_back(Found::Struct(method.results, results));
        }
    }
}

/// What `as(type)` of an AnyPointer can name: each type without parameters, and lists of them.
fn everything(schema: &Schema) -> VecDeque<Found> {
    let mut all = VecDeque::new();
    let mut add = |ty: Type| {
        all.push_back(Found::Type(Type::List(Box::new(ty.clone()))));
        all.push_back(Found::Type(ty));
    };
    for ty in super::any::PRIMITIVES {
        add(ty);
    }
    for node in schema.nodes().filter(|node| node.parameters.is_empty()) {
        match &node.kind {
            NodeKind::Struct(layout) if !layout.is_group => {
                add(Type::Struct(node.id, Brand::default()))
            }
            NodeKind::Enum(_) => add(Type::Enum(node.id)),
            NodeKind::Interface(_) => add(Type::Interface(node.id, Brand::default())),
            _ => {}
        }
    }
    all
}

fn message(default: &Value) -> Option<&[u8]> {
    match default {
        Value::Pointer(bytes) if !bytes.is_empty() => Some(bytes),
        _ => None,
    }
}
