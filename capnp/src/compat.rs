//! Can a caller that was built against one schema call a service that was built against another?
//!
//! The rules are those of Cap'n Proto's evolution. Members are matched by their ordinals, so renames
//! pass; methods, fields, enumerants and union members may be added on either side; a field may
//! become member 0 of a new union or move into a group; `List(UInt16)` may become a list of structs
//! that begin with a UInt16. A member that both sides know must keep its slot, type and default.
//! One direction matters: the callee must have each method that the caller knows.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::model::{FieldKind, Schema, Struct, Type, Value};

/// One reason why the schemas do not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incompatibility {
    /// The member as the caller knows it: `schema/auth.capnp:Auth.check params, user.age @3`.
    pub member: String,
    /// What differs.
    pub what: String,
}

impl fmt::Display for Incompatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.member, self.what)
    }
}

/// Checks that a caller built against `caller` can call `interface` of a service built against
/// `callee`.
///
/// # Errors
/// All differences that break it, in the order of the caller's members.
pub fn check(caller: &Schema, callee: &Schema, interface: u64) -> Result<(), Vec<Incompatibility>> {
    let mut diff = Diff {
        caller,
        callee,
        seen: BTreeSet::new(),
        found: Vec::new(),
    };
    diff.interface(interface);
    if diff.found.is_empty() {
        Ok(())
    } else {
        Err(diff.found)
    }
}

struct Diff<'a> {
    caller: &'a Schema,
    callee: &'a Schema,
    /// Pairs of structs and enums that are compared already or just now.
    seen: BTreeSet<(u64, u64)>,
    found: Vec<Incompatibility>,
}

/// A field that holds a slot, seen from its struct: groups are looked through.
struct Slot<'a> {
    name: String,
    offset: u32,
    ty: &'a Type,
    default: &'a Value,
    /// Byte offset and value of each tag that must be set for this field.
    tags: BTreeMap<u32, u16>,
}

impl Diff<'_> {
    fn report(&mut self, member: &str, what: impl Into<String>) {
        self.found.push(Incompatibility {
            member: member.to_owned(),
            what: what.into(),
        });
    }

    fn interface(&mut self, id: u64) {
        let (caller, callee) = (self.caller, self.callee);
        let Some((node, ours)) = caller.interface_by_id(id) else {
            self.report(
                &format!("@0x{id:016x}"),
                "the caller's schema has no such interface",
            );
            return;
        };
        let Some((_, theirs)) = callee.interface_by_id(id) else {
            self.report(
                &node.name,
                "the service's schema does not have this interface",
            );
            return;
        };
        for method in &ours.methods {
            let member = format!("{}.{} @{}", node.name, method.name, method.ordinal);
            let Some(other) = theirs.methods.get(usize::from(method.ordinal)) else {
                self.report(&member, "the service does not have this method");
                continue;
            };
            let place = format!("{}.{}", node.name, method.name);
            self.structs(method.params, other.params, &format!("{place} params, "));
            self.structs(method.results, other.results, &format!("{place} results, "));
        }
    }

    fn structs(&mut self, ours: u64, theirs: u64, place: &str) {
        if !self.seen.insert((ours, theirs)) {
            return;
        }
        let (Some((_, one)), Some((_, other))) = (
            self.caller.struct_by_id(ours),
            self.callee.struct_by_id(theirs),
        ) else {
            // `-> stream` on one side: its results are an empty struct that need not be there.
            return;
        };
        let one = slots(self.caller, one);
        let other = slots(self.callee, other);
        for (ordinal, slot) in &one {
            if let Some(counterpart) = other.get(ordinal) {
                let member = format!("{place}{} @{ordinal}", slot.name);
                self.slot(slot, counterpart, &member, place);
            }
        }
    }

    fn slot(&mut self, one: &Slot<'_>, other: &Slot<'_>, member: &str, place: &str) {
        if !self.types(one.ty, other.ty, member, &format!("{place}{}.", one.name)) {
            let (from, to) = (one.ty.name(self.caller), other.ty.name(self.callee));
            self.report(
                member,
                format!("the caller has type {from}, the service {to}"),
            );
        } else if one.offset != other.offset {
            let what = format!(
                "its place differs: slot {}, now {}",
                one.offset, other.offset
            );
            self.report(member, what);
        } else if one.default != other.default {
            self.report(member, "its default differs");
        } else if !same_union(&one.tags, &other.tags) {
            self.report(member, "its place in a union differs");
        }
    }

    /// Whether the types fit; what differs inside them is reported on its own.
    fn types(&mut self, one: &Type, other: &Type, member: &str, place: &str) -> bool {
        match (one, other) {
            (Type::Struct(ours), Type::Struct(theirs)) => {
                self.structs(*ours, *theirs, place);
                true
            }
            (Type::Enum(ours), Type::Enum(theirs)) => {
                self.enums(*ours, *theirs, member);
                true
            }
            (Type::List(ours), Type::List(theirs)) => self.elements(ours, theirs, member, place),
            (Type::AnyPointer, pointer) | (pointer, Type::AnyPointer) => {
                pointer.data_bits().is_none()
            }
            _ => one == other,
        }
    }

    fn elements(&mut self, one: &Type, other: &Type, member: &str, place: &str) -> bool {
        let first = |schema, id: &u64| {
            let (_, layout) = Schema::struct_by_id(schema, *id)?;
            let slot = slots(schema, layout).remove(&0)?;
            (slot.offset == 0 && slot.tags.values().all(|tag| *tag == 0)).then(|| slot.ty.clone())
        };
        match (one, other) {
            (Type::Struct(_), Type::Struct(_)) => self.types(one, other, member, place),
            // A list of bits has no room for structs.
            (Type::Struct(_), Type::Bool) | (Type::Bool, Type::Struct(_)) => false,
            (Type::Struct(id), simple) => {
                first(self.caller, id).is_some_and(|ty| self.types(&ty, simple, member, place))
            }
            (simple, Type::Struct(id)) => {
                first(self.callee, id).is_some_and(|ty| self.types(simple, &ty, member, place))
            }
            _ => self.types(one, other, member, place),
        }
    }

    /// A name that has another number now would be taken for another one.
    fn enums(&mut self, ours: u64, theirs: u64, member: &str) {
        if !self.seen.insert((ours, theirs)) {
            return;
        }
        let (Some((node, one)), Some((_, other))) =
            (self.caller.enum_by_id(ours), self.callee.enum_by_id(theirs))
        else {
            return;
        };
        for (number, name) in one.iter().enumerate() {
            match other.iter().position(|found| found == name) {
                Some(found) if found != number => self.report(
                    member,
                    format!(
                        "{}.{name} is {number} for the caller, {found} for the service",
                        node.path()
                    ),
                ),
                _ => {}
            }
        }
    }
}

/// The fields that hold a slot, by ordinal, in the struct and its groups.
fn slots<'a>(schema: &'a Schema, layout: &'a Struct) -> BTreeMap<u16, Slot<'a>> {
    let mut all = BTreeMap::new();
    collect(schema, layout, "", &BTreeMap::new(), &mut all);
    all
}

/// Groups form a tree, which reading the schema has made sure of.
fn collect<'a>(
    schema: &'a Schema,
    layout: &'a Struct,
    prefix: &str,
    outer: &BTreeMap<u32, u16>,
    all: &mut BTreeMap<u16, Slot<'a>>,
) {
    for field in &layout.fields {
        let name = format!("{prefix}{}", field.name);
        let mut tags = outer.clone();
        if let (Some(offset), Some(tag)) = (layout.tag_offset, field.tag) {
            tags.insert(offset, tag);
        }
        match &field.kind {
            FieldKind::Group(id) => {
                if let Some((_, group)) = schema.struct_by_id(*id) {
                    collect(schema, group, &format!("{name}."), &tags, all);
                }
            }
            FieldKind::Slot {
                offset,
                ty,
                default,
            } => {
                if let Some(ordinal) = field.ordinal {
                    all.insert(
                        ordinal,
                        Slot {
                            name,
                            offset: *offset,
                            ty,
                            default,
                            tags,
                        },
                    );
                }
            }
        }
    }
}

/// A field outside a union counts as its member 0: that is how one gets around an older field.
fn same_union(one: &BTreeMap<u32, u16>, other: &BTreeMap<u32, u16>) -> bool {
    if one.len() == other.len() {
        return one == other;
    }
    let fits = |a: &BTreeMap<u32, u16>, b: &BTreeMap<u32, u16>| {
        a.iter()
            .all(|(offset, tag)| b.get(offset).copied().unwrap_or(0) == *tag)
    };
    fits(one, other) && fits(other, one)
}
