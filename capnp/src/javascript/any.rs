//! What an AnyPointer can be read as, and messages that hold defaults.

use std::fmt::Write as _;

use super::Plan;
use crate::model::Type;

/// Types that have a name of their own for `as(type)`, alone or in a list.
pub(super) const PRIMITIVES: [Type; 14] = [
    Type::Void,
    Type::Bool,
    Type::Int8,
    Type::Int16,
    Type::Int32,
    Type::Int64,
    Type::UInt8,
    Type::UInt16,
    Type::UInt32,
    Type::UInt64,
    Type::Float32,
    Type::Float64,
    Type::Text,
    Type::Data,
];

impl Plan<'_> {
    /// Declares `D<n>`, the messages with the defaults of lists and structs.
    pub(super) fn defaults(&self, text: &mut String) {
        for (message, index) in &self.messages {
            // One segment, after a header of one word.
            let halves: Vec<String> = message
                .get(8..)
                .unwrap_or_default()
                .chunks_exact(4)
                .map(|half| {
                    half.iter()
                        .rev()
                        .fold(0_u32, |n, byte| (n << 8) | u32::from(*byte))
                })
                .map(|half| half.to_string())
                .collect();
            let _ = writeln!(
                text,
                "  const D{index} = defaultMessage([{}]);",
                halves.join(", ")
            );
        }
    }

    /// Declares `T`: by the names that `as(type)` takes, how a type is read and written.
    pub(super) fn types(&self, text: &mut String) {
        if !self.has_any {
            return text.push_str("  const T = null;\n");
        }
        text.push_str("  const T = {\n    __proto__: null,\n");
        let mut types = vec![Type::Text, Type::Data];
        for planned in &self.structs {
            if !planned.layout.is_group {
                types.push(Type::Struct(planned.node.id, planned.brand.clone()));
            }
        }
        for (node, brand) in &self.interfaces {
            types.push(Type::Interface(node.id, brand.clone()));
        }
        for element in &self.lists {
            types.push(Type::List(Box::new(element.clone())));
        }
        for ty in types {
            let Some(name) = name(&ty) else { continue };
            let _ = writeln!(
                text,
                "    {name:?}: {{ read: (s, p, l) => {}, write: (b, ptr, v, l) => {{ {} }} }},",
                self.read_pointer(&ty, "s, p", "l"),
                self.write_pointer(&ty, "ptr", "l"),
            );
        }
        // Whether `o` is a reader; then it is written.
        let copies = |lists: bool| {
            let mut tests = vec!["false".to_owned()];
            if lists {
                for (index, _) in self.lists.iter().enumerate() {
                    tests.push(format!(
                        "(L{index}.is(o) && (list{index}(b, o, ptr, l), true))"
                    ));
                }
            } else {
                for (index, planned) in self.structs.iter().enumerate() {
                    if !planned.layout.is_group {
                        tests.push(format!("S{index}.copy(b, o, ptr, l)"));
                    }
                }
            }
            tests.join(" ||\n      ")
        };
        let _ = writeln!(
            text,
            "    copyStruct: (b, o, ptr, l) => {},\n    copyList: (b, o, ptr, l) => {},\n  }};\n  rt.freeze(T);",
            copies(false),
            copies(true)
        );
    }
}

/// `Text`, `9eb32e19f86ee174`, `List(Text)`; none for what has type parameters.
fn name(ty: &Type) -> Option<String> {
    match ty {
        Type::List(element) => Some(format!("List({})", name(element)?)),
        Type::Struct(id, brand) | Type::Interface(id, brand) => {
            brand.0.is_empty().then(|| format!("{id:016x}"))
        }
        Type::Enum(id) => Some(format!("{id:016x}")),
        Type::AnyPointer | Type::AnyStruct | Type::AnyList => None,
        Type::Capability | Type::Parameter(..) => None,
        primitive => Some(format!("{primitive:?}")),
    }
}
