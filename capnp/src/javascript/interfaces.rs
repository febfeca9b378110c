//! Interfaces: `I<n>` are the faces that the host gets, `P<n>` where capabilities lie in a struct.
//! Both may refer to themselves, so they are declared empty and filled at the end.

use std::fmt::Write as _;

use super::{Plan, plan::PlannedStruct, where_of};
use crate::model::{Brand, Field, FieldKind, Method, Node, STREAM_RESULT, Type};

/// A class of a method's own, and a function of its own that makes its objects: V8 learns by place in
/// the text what is made there, and makes objects of one class in a third of the time.
const ANSWERS: &str = "() => {
        class Answer {
          #question;
          constructor(question) { this.#question = question; }
          static of(o) { return #question in o ? o.#question : null; }
        }
        return { prototype: Answer.prototype, of: Answer.of, make: (question) => new Answer(question) };
      }";

impl Plan<'_> {
    /// Declares `I<n>`: readers and encoders refer to them.
    pub(super) fn faces(&self, text: &mut String) {
        for (index, (node, brand)) in self.interfaces.iter().enumerate() {
            let ids: Vec<String> = self
                .schema
                .lineage(node.id, brand)
                .iter()
                .map(|(node, ..)| format!("\"{:016x}\"", node.id))
                .collect();
            let _ = writeln!(
                text,
                "  const I{index} = new rt.Face(\"{:016x}\", {:?}, rt.freeze([{}]));",
                node.id,
                where_of(node),
                ids.join(", ")
            );
        }
    }

    /// Fills the interfaces and ends the text.
    pub(super) fn methods(&self, text: &mut String) {
        let holders = self.holders();
        for (index, _) in holders.iter().enumerate().filter(|(_, holds)| **holds) {
            let _ = writeln!(text, "  const P{index} = {{ __proto__: null }};");
        }
        for (index, _) in holders.iter().enumerate().filter(|(_, holds)| **holds) {
            let planned = &self.structs[index];
            for field in &planned.layout.fields {
                if let Some(entry) = self.pipeline_entry(field, &planned.brand, &holders) {
                    let _ = writeln!(text, "  P{index}.{} = {entry};", field.name);
                }
            }
            let _ = writeln!(text, "  rt.freeze(P{index});");
        }
        for (index, (node, brand)) in self.interfaces.iter().enumerate() {
            let _ = writeln!(text, "  I{index}.methods = rt.freeze([");
            for (owner, interface, brand) in self.schema.lineage(node.id, brand) {
                for method in &interface.methods {
                    self.method(owner, method, &brand, &holders, text);
                }
            }
            let _ = writeln!(text, "  ]);\n  rt.freeze(I{index});");
        }
        text.push_str("  return rt.freeze({ interfaces: rt.freeze({ __proto__: null,\n");
        for (index, (node, brand)) in self.interfaces.iter().enumerate() {
            if brand.0.is_empty() {
                let _ = writeln!(text, "    \"{:016x}\": I{index},", node.id);
            }
        }
        text.push_str("  }) });\n})\n");
    }

    fn method(
        &self,
        owner: &Node,
        method: &Method,
        brand: &Brand,
        holders: &[bool],
        text: &mut String,
    ) {
        let name = &method.name;
        let place = format!("{}.{name}", where_of(owner));
        let streaming = method.results == STREAM_RESULT;
        let params = self.struct_number(method.params, &method.params_brand.resolve(brand));
        let results = self.struct_number(method.results, &method.results_brand.resolve(brand));
        let (read, encode, pipeline, answers, sole) = if streaming {
            let refuse = format!(
                "(b, o) => noResults(b, o, {:?})",
                format!("{place} results")
            );
            (
                "() => undefined".to_owned(),
                refuse,
                "null".to_owned(),
                "null",
                "null".to_owned(),
            )
        } else {
            let pipeline = match holders.get(results) {
                Some(true) => format!("P{results}"),
                _ => "null".to_owned(),
            };
            let sole = match self
                .structs
                .get(results)
                .map(|planned| &planned.layout.fields[..])
            {
                Some([field]) if is_capability(field) && field.tag.is_none() => {
                    format!("P{results}.{}", field.name)
                }
                _ => "null".to_owned(),
            };
            let answers = match pipeline.as_str() {
                "null" => "null",
                _ => ANSWERS,
            };
            (
                format!("(m) => readRoot(S{results}, m)"),
                encoder(results, &format!("{place} results")),
                pipeline,
                answers,
                sole,
            )
        };
        let (low, high) = halves(owner.id);
        let _ = writeln!(
            text,
            "    rt.freeze(new rt.Method({{ name: {name:?}, interfaceId: \"{:016x}\",
      interfaceLow: {low}, interfaceHigh: {high}, ordinal: {}, streaming: {streaming},
      invoke: (o, params, ctx) => o.{name}(params, ctx),
      readParams: (m) => readRoot(S{params}, m),
      readResults: {read},
      encodeParams: {},
      encodeResults: {encode},
      pipeline: {pipeline}, answers: {answers}, sole: {sole} }})),",
            owner.id,
            method.ordinal,
            encoder(params, &format!("{place} params")),
        );
    }

    /// For each struct of the plan, whether a path leads from it to a capability.
    fn holders(&self) -> Vec<bool> {
        let mut holders = vec![false; self.structs.len()];
        loop {
            let mut changed = false;
            for (index, planned) in self.structs.iter().enumerate() {
                if !holders.get(index).copied().unwrap_or(true) && self.holds(planned, &holders) {
                    if let Some(holds) = holders.get_mut(index) {
                        *holds = true;
                    }
                    changed = true;
                }
            }
            if !changed {
                return holders;
            }
        }
    }

    fn holds(&self, planned: &PlannedStruct<'_>, holders: &[bool]) -> bool {
        let mut fields = planned.layout.fields.iter();
        fields.any(|field| {
            self.pipeline_entry(field, &planned.brand, holders)
                .is_some()
        })
    }

    /// The entry of a field that is or holds a capability. Which member of a union will be set is
    /// not known before the results are there.
    fn pipeline_entry(&self, field: &Field, brand: &Brand, holders: &[bool]) -> Option<String> {
        if field.tag.is_some() {
            return None;
        }
        let entry = |pointer: i64, face: &str, fields: &str| {
            format!(
                "rt.freeze(new rt.Part({pointer}, {face}, {fields}, (o) => o.{}))",
                field.name
            )
        };
        let inner = |id: u64, brand: &Brand| {
            let number = self.struct_number(id, brand);
            holders
                .get(number)
                .copied()
                .unwrap_or(false)
                .then(|| format!("P{number}"))
        };
        match &field.kind {
            FieldKind::Group(id) => Some(entry(-1, "null", &inner(*id, brand)?)),
            FieldKind::Slot { offset, ty, .. } => match ty {
                Type::Interface(id, brand) => {
                    let face = format!("I{}", self.interface_number(*id, brand));
                    Some(entry((*offset).into(), &face, "null"))
                }
                Type::Struct(id, brand) => {
                    Some(entry((*offset).into(), "null", &inner(*id, brand)?))
                }
                _ => None,
            },
        }
    }
}

const fn is_capability(field: &Field) -> bool {
    matches!(
        &field.kind,
        FieldKind::Slot {
            ty: Type::Interface(..),
            ..
        }
    )
}

/// An id as two signed 32-bit numbers, which small JavaScript integers hold.
fn halves(id: u64) -> (i32, i32) {
    let [a, b, c, d, e, f, g, h] = id.to_le_bytes();
    (
        i32::from_le_bytes([a, b, c, d]),
        i32::from_le_bytes([e, f, g, h]),
    )
}

/// A function that encodes a message's root. Written out for each, so that V8 sees one target.
fn encoder(index: usize, place: &str) -> String {
    format!(
        "(b, o) => {{ try {{ enc{index}(b, o === undefined ? nothing : o, b.offset, DEPTH_LIMIT); }} \
         catch (e) {{ throw atTop(e, {place:?}); }} }}"
    )
}
