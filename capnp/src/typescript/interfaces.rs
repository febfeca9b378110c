//! Interfaces, and what can be called on results that are not there yet.

use std::{collections::BTreeSet, fmt::Write as _};

use super::reference;
use crate::model::{
    Field, FieldKind, Interface, Node, NodeKind, STREAM_RESULT, Schema, Struct, Type,
};

pub(super) fn interface(
    schema: &Schema,
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
            schema
                .struct_by_id(id)
                .is_none_or(|(_, layout)| layout.fields.is_empty())
        };
        let params = reference(schema, node, method.params, "");
        let init = reference(schema, node, method.params, "Init");
        let optional = if none(method.params) { "?" } else { "" };
        let name = &method.name;
        let (value, promise) = if method.results == STREAM_RESULT {
            ("void".to_owned(), "Promise<void>".to_owned())
        } else {
            let value = reference(schema, node, method.results, "Init");
            let value = if none(method.results) {
                format!("{value} | void")
            } else {
                value
            };
            (value, promise(schema, holders, node, method.results))
        };
        let _ = writeln!(
            server,
            "    {name}(params: {params}, ctx: Context): Promise<{value}> | {value};"
        );
        let _ = writeln!(client, "    {name}(params{optional}: {init}): {promise};");
    }
    let extends = |kind: &str| {
        let parents: Vec<String> = layout
            .extends
            .iter()
            .map(|id| reference(schema, node, *id, ""))
            .filter(|parent| parent != "unknown")
            .map(|parent| format!("{parent}.{kind}"))
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
  interface Server{} {{
{server}  }}
  /** What a binding to the interface offers. */
  interface Client{} {{
{client}  }}
}}
",
        extends("Server"),
        extends("Client"),
    );
}

/// What a call returns: results to await, with the capabilities in them to call at once.
fn promise(schema: &Schema, holders: &BTreeSet<u64>, node: &Node, results: u64) -> String {
    let mut promise = format!("Promise<{}>", reference(schema, node, results, ""));
    if holders.contains(&results) {
        promise += &format!(" & {}", reference(schema, node, results, "Pipeline"));
    }
    let fields = schema
        .struct_by_id(results)
        .map(|(_, layout)| &layout.fields[..]);
    if let Some(
        [
            Field {
                tag: None,
                kind:
                    FieldKind::Slot {
                        ty: Type::Interface(id),
                        ..
                    },
                ..
            },
        ],
    ) = fields
    {
        promise += &format!(" & {}.Client", reference(schema, node, *id, ""));
    }
    promise
}

/// `UserPipeline`: the capabilities in a struct that is not there yet.
pub(super) fn pipeline(
    schema: &Schema,
    holders: &BTreeSet<u64>,
    node: &Node,
    layout: &Struct,
    name: &str,
    text: &mut String,
) {
    let _ = writeln!(text, "export interface {name}Pipeline {{");
    for field in layout.fields.iter().filter(|field| field.tag.is_none()) {
        let ty = match &field.kind {
            FieldKind::Slot {
                ty: Type::Interface(id),
                ..
            } => {
                format!("{}.Client", reference(schema, node, *id, ""))
            }
            FieldKind::Group(id)
            | FieldKind::Slot {
                ty: Type::Struct(id),
                ..
            } if holders.contains(id) => reference(schema, node, *id, "Pipeline"),
            _ => continue,
        };
        let _ = writeln!(text, "  readonly {}: {ty};", field.name);
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
                            ty: Type::Interface(_),
                            ..
                        } => true,
                        FieldKind::Group(id)
                        | FieldKind::Slot {
                            ty: Type::Struct(id),
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
