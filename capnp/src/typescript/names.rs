//! What a schema's types are called in TypeScript.

use std::collections::BTreeMap;

use crate::model::{Binding, Brand, Node, NodeKind, Schema, Type};

/// Names and type parameters of a schema's nodes.
///
/// A parameter `T` stands for three types at once: `T["read"]`, `T["write"]` and `T["object"]`.
pub(super) struct Names<'a> {
    pub(super) schema: &'a Schema,
    /// The interface that the params and results of a method belong to.
    owners: BTreeMap<u64, u64>,
    /// How many declarations of a file have this name.
    uses: BTreeMap<(&'a str, String), usize>,
}

impl<'a> Names<'a> {
    pub(super) fn new(schema: &'a Schema) -> Self {
        let mut owners = BTreeMap::new();
        let mut uses = BTreeMap::new();
        for node in schema.nodes() {
            *uses.entry((node.file(), super::place(node).1)).or_default() += 1;
            if let NodeKind::Interface(interface) = &node.kind {
                for method in &interface.methods {
                    for id in [method.params, method.results] {
                        if schema.node(id).is_some_and(|node| node.scope == 0) {
                            owners.insert(id, node.id);
                        }
                    }
                }
            }
        }
        Self {
            schema,
            owners,
            uses,
        }
    }

    /// The parameters that a node's declaration may use: its own and those of the nodes around it.
    fn parameters(&self, node: &'a Node) -> Vec<(u64, u16, &'a str)> {
        let mut all = Vec::new();
        let mut next = Some(node);
        // Scopes of a hostile schema could go round.
        for _ in 0..64 {
            let Some(node) = next else { break };
            for (index, name) in (0..).zip(&node.parameters) {
                if all.iter().all(|(_, _, inner)| inner != name) {
                    all.push((node.id, index, name.as_str()));
                }
            }
            let around = self.owners.get(&node.id).unwrap_or(&node.scope);
            next = self.schema.node(*around);
        }
        all
    }

    /// `<T extends Type = Any>`, or nothing.
    pub(super) fn declared(&self, node: &'a Node) -> String {
        let all = self.parameters(node);
        let all: Vec<String> = all
            .iter()
            .map(|(.., name)| format!("{name} extends Type = Any"))
            .collect();
        match all.is_empty() {
            true => String::new(),
            false => format!("<{}>", all.join(", ")),
        }
    }

    /// `<T>`, or nothing.
    pub(super) fn passed_on(&self, node: &'a Node) -> String {
        let all: Vec<&str> = self
            .parameters(node)
            .iter()
            .map(|(.., name)| *name)
            .collect();
        match all.is_empty() {
            true => String::new(),
            false => format!("<{}>", all.join(", ")),
        }
    }

    /// A brand in which each parameter of the node means itself.
    pub(super) fn own(&self, node: &'a Node) -> Brand {
        let mut scopes: Vec<u64> = self
            .parameters(node)
            .iter()
            .map(|(scope, ..)| *scope)
            .collect();
        scopes.dedup();
        let inherit = |scope| Binding { scope, types: None };
        Brand(scopes.into_iter().map(inherit).collect())
    }

    /// `inner` as written in a node whose parameters mean `outer`, where those of the place that
    /// `outer` was written in stay.
    pub(super) fn through(&self, inner: &Brand, outer: &Brand) -> Brand {
        let keep = |binding: &Binding| match &binding.types {
            Some(types) => Binding {
                scope: binding.scope,
                types: Some(types.iter().map(|ty| replace(ty, outer)).collect()),
            },
            None => outer
                .0
                .iter()
                .find(|found| found.scope == binding.scope)
                .unwrap_or(binding)
                .clone(),
        };
        Brand(inner.0.iter().map(keep).collect())
    }

    /// A type's name as seen from `from`, with what its parameters stand for; in full where a plain
    /// name could mean another one.
    pub(super) fn reference(&self, from: &'a Node, id: u64, brand: &Brand, kind: &str) -> String {
        let Some(node) = self.schema.node(id) else {
            return "unknown".to_owned();
        };
        if node.file().starts_with("capnp/") {
            return "unknown".to_owned();
        }
        let (scope, name) = super::place(node);
        let dotted = if scope.is_empty() {
            name
        } else {
            format!("{scope}.{name}")
        };
        let arguments = self.arguments(from, node, brand);
        let first = dotted.split('.').next().unwrap_or_default();
        let uses = self.uses.get(&(node.file(), first.to_owned()));
        if node.file() == from.file() && uses.is_none_or(|uses| *uses <= 1) {
            return format!("{dotted}{kind}{arguments}");
        }
        let module = crate::javascript::specifier(node.file());
        format!("import({module:?}).{dotted}{kind}{arguments}")
    }

    fn arguments(&self, from: &'a Node, node: &'a Node, brand: &Brand) -> String {
        let mut known = false;
        let mut all = Vec::new();
        for (scope, index, _) in self.parameters(node) {
            let binding = brand.0.iter().find(|binding| binding.scope == scope);
            let ty = match binding.map(|binding| &binding.types) {
                Some(Some(types)) => types.get(usize::from(index)).cloned(),
                Some(None) => Some(Type::Parameter(scope, index)),
                None => None,
            };
            let argument = match ty {
                None | Some(Type::AnyPointer) => "Any".to_owned(),
                Some(Type::Parameter(scope, index)) => self
                    .parameter(from, scope, index)
                    .unwrap_or("Any")
                    .to_owned(),
                Some(ty) => {
                    let [read, write, object] = super::of_type(self, from, &ty);
                    format!("Type<{read}, {write}, {object}>")
                }
            };
            known |= argument != "Any";
            all.push(argument);
        }
        match known {
            true => format!("<{}>", all.join(", ")),
            false => String::new(),
        }
    }

    /// A parameter's name, where `from` may use it.
    pub(super) fn parameter(&self, from: &'a Node, scope: u64, index: u16) -> Option<&'a str> {
        let all = self.parameters(from);
        let found = all.iter().find(|(s, i, _)| (*s, *i) == (scope, index));
        found.map(|(.., name)| *name)
    }
}

/// `ty` with the parameters that `outer` binds replaced by what they stand for.
fn replace(ty: &Type, outer: &Brand) -> Type {
    match ty {
        Type::Parameter(scope, index) => {
            let binding = outer.0.iter().find(|binding| binding.scope == *scope);
            match binding.map(|binding| &binding.types) {
                Some(Some(types)) => types.get(usize::from(*index)).cloned(),
                Some(None) => Some(ty.clone()),
                None => None,
            }
            .unwrap_or(Type::AnyPointer)
        }
        Type::List(element) => Type::List(Box::new(replace(element, outer))),
        other => other.clone(),
    }
}
