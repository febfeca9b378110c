//! Interfaces, and what can be called on results that are not there yet.

use std::{collections::BTreeSet, fmt::Write as _};

use super::names::Names;
use crate::model::{
    Brand, Field, FieldKind, Interface, Node, NodeKind, STREAM_RESULT, Schema, Struct, Type,
};

pub(super) fn interface(
    names: &Names<'_>,
    holders: &BTreeSet<u64>,
    node: &Node,
    layout: &Interface,
    name: &str,
    text: &mut String,
) {
    let mut server = String::new();
    let mut client = String::new();
    for method in &layout.methods {
        let none = |id| {
            names
                .schema
                .struct_by_id(id)
                .is_none_or(|(_, layout)| layout.fields.is_empty())
        };
        let brand = &method.params_brand;
        let params = names.reference(node, method.params, brand, "");
        let init = names.reference(node, method.params, brand, "Init");
        let optional = if none(method.params) { "?" } else { "" };
        let name = &method.name;
        let (value, promise) = if method.results == STREAM_RESULT {
            ("void".to_owned(), "Promise<void>".to_owned())
        } else {
            let value = names.reference(node, method.results, &method.results_brand, "Init");
            let value = if none(method.results) {
                format!("{value} | void")
            } else {
                value
            };
            let results = (method.results, &method.results_brand);
            (value, promise(names, holders, node, results))
        };
        let _ = writeln!(
            server,
            "    {name}(params: {params}, ctx: Context): Promise<{value}> | {value};"
        );
        let _ = writeln!(client, "    {name}(params{optional}: {init}): {promise};");
    }
    let generics = names.declared(node);
    let extends = |kind: &str| {
        let parents: Vec<String> = layout
            .extends
            .iter()
            .map(|(id, brand)| names.reference(node, *id, brand, kind))
            .filter(|parent| parent != "unknown")
            .collect();
        match parents.is_empty() {
            true => String::new(),
            false => format!(" extends {}", parents.join(", ")),
        }
    };
    let _ = write!(
        text,
        "export namespace {name} {{
  /** What a class that serves the interface implements. */
  interface Server{generics}{} {{
{server}  }}
  /** What a binding to the interface offers. */
  interface Client{generics}{} {{
{client}  }}
}}
",
        extends(".Server"),
        extends(".Client"),
    );
}

/// What a call returns: results to await, with the capabilities in them to call at once.
fn promise(
    names: &Names<'_>,
    holders: &BTreeSet<u64>,
    node: &Node,
    (results, brand): (u64, &Brand),
) -> String {
    let mut promise = format!("Promise<{}>", names.reference(node, results, brand, ""));
    if holders.contains(&results) {
        promise += &format!(" & {}", names.reference(node, results, brand, "Pipeline"));
    }
    let found = names.schema.struct_by_id(results);
    let fields = found.map(|(_, layout)| &layout.fields[..]);
    if let Some(
        [
            Field {
                tag: None,
                kind: FieldKind::Slot { ty, .. },
                ..
            },
        ],
    ) = fields
        && let Type::Interface(id, inner) = ty
    {
        let client = names.reference(node, *id, &names.through(inner, brand), ".Client");
        promise += &format!(" & {client}");
    }
    promise
}

/// `UserPipeline`: the capabilities in a struct that is not there yet.
pub(super) fn pipeline(
    names: &Names<'_>,
    holders: &BTreeSet<u64>,
    node: &Node,
    layout: &Struct,
    name: &str,
    text: &mut String,
) {
    let generics = names.declared(node);
    let _ = writeln!(text, "export interface {name}Pipeline{generics} {{");
    for field in layout.fields.iter().filter(|field| field.tag.is_none()) {
        let ty = match &field.kind {
            FieldKind::Slot {
                ty: Type::Interface(id, brand),
                ..
            } => names.reference(node, *id, brand, ".Client"),
            FieldKind::Slot {
                ty: Type::Struct(id, brand),
                ..
            } if holders.contains(id) => names.reference(node, *id, brand, "Pipeline"),
            FieldKind::Group(id) if holders.contains(id) => {
                names.reference(node, *id, &names.own(node), "Pipeline")
            }
            _ => continue,
        };
        let _ = writeln!(text, "  readonly {}: {ty};", field.property());
    }
    text.push_str("}\n");
}

/// The structs and groups with a capability in them, at any depth; members of unions do not count,
/// since which one will be set is not known before the results are there.
pub(super) fn holders(schema: &Schema) -> BTreeSet<u64> {
    let mut holders = BTreeSet::new();
    loop {
        let before = holders.len();
        for node in schema.nodes() {
            let NodeKind::Struct(layout) = &node.kind else {
                continue;
            };
            let holds = layout.fields.iter().any(|field| {
                field.tag.is_none()
                    && match &field.kind {
                        FieldKind::Slot {
                            ty: Type::Interface(..),
                            ..
                        } => true,
                        FieldKind::Group(id)
                        | FieldKind::Slot {
                            ty: Type::Struct(id, _),
                            ..
                        } => holders.contains(id),
                        FieldKind::Slot { .. } => false,
                    }
            });
            if holds {
                holders.insert(node.id);
            }
        }
        if holders.len() == before {
            return holders;
        }
    }
}
