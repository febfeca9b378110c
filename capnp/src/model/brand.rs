//! Generics: what type parameters stand for.

use super::{Schema, Type};

/// What the parameters of a generic node, and of the nodes around it, stand for.
///
/// One that is not bound here is an AnyPointer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Brand(pub Vec<Binding>);

/// What the parameters of one scope stand for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binding {
    /// The node that declares the parameters.
    pub scope: u64,
    /// One type for each; `None` where they keep their meaning from the place around.
    pub types: Option<Vec<Type>>,
}

/// A type of more parts than this is cut off: its inner parts become AnyPointer. Only types that
/// contain themselves, ever larger, get there.
const TYPE_LIMIT_PARTS: usize = 32;

impl Brand {
    /// This brand, as written in a node whose own parameters mean `outer`.
    #[must_use]
    pub fn resolve(&self, outer: &Self) -> Self {
        let mut bindings = Vec::new();
        for binding in &self.0 {
            let types = match &binding.types {
                Some(types) => types.iter().map(|ty| ty.resolve(outer)).collect(),
                None => outer.of(binding.scope).to_vec(),
            };
            if types.iter().any(|ty| *ty != Type::AnyPointer) {
                bindings.push(Binding {
                    scope: binding.scope,
                    types: Some(types),
                });
            }
        }
        bindings.sort();
        Self(bindings)
    }

    /// The types that the parameters of `scope` are bound to.
    fn of(&self, scope: u64) -> &[Type] {
        let found = self.0.iter().find(|binding| binding.scope == scope);
        found
            .and_then(|binding| binding.types.as_deref())
            .unwrap_or_default()
    }

    fn parts(&self) -> usize {
        let types = self
            .0
            .iter()
            .flat_map(|binding| binding.types.iter().flatten());
        types.map(Type::parts).sum()
    }

    /// `(Text, User)`, or nothing.
    pub(super) fn name(&self, schema: &Schema) -> String {
        let types = self
            .0
            .iter()
            .flat_map(|binding| binding.types.iter().flatten());
        let names: Vec<String> = types.map(|ty| ty.name(schema)).collect();
        match names.is_empty() {
            true => String::new(),
            false => format!("({})", names.join(", ")),
        }
    }
}

impl Type {
    /// This type, as written in a node whose parameters mean `brand`: no parameter is left in it.
    #[must_use]
    pub fn resolve(&self, brand: &Brand) -> Self {
        match self {
            Self::Parameter(scope, index) => {
                let bound = brand.of(*scope).get(usize::from(*index));
                bound.cloned().unwrap_or(Self::AnyPointer)
            }
            Self::List(element) => Self::List(Box::new(element.resolve(brand))),
            Self::Struct(id, inner) => Self::Struct(*id, inner.resolve(brand)),
            Self::Interface(id, inner) => Self::Interface(*id, inner.resolve(brand)),
            other => other.clone(),
        }
        .bounded()
    }

    fn bounded(self) -> Self {
        match self {
            ty if ty.parts() <= TYPE_LIMIT_PARTS => ty,
            Self::Struct(id, _) => Self::Struct(id, Brand::default()),
            Self::Interface(id, _) => Self::Interface(id, Brand::default()),
            Self::List(_) => Self::AnyList,
            other => other,
        }
    }

    fn parts(&self) -> usize {
        1 + match self {
            Self::List(element) => element.parts(),
            Self::Struct(_, brand) | Self::Interface(_, brand) => brand.parts(),
            _ => 0,
        }
    }
}
