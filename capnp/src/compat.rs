//! Can a caller that was built against one schema call a service that was built against another?
//!
//! The rules are those of Cap'n Proto's evolution. Members are matched by their ordinals, so renames
//! pass; methods, fields, enumerants and union members may be added on either side; a field may
//! become member 0 of a new union or move into a group; `List(UInt16)` may become a list of structs
//! that begin with a UInt16. A member that both sides know must keep its slot, type and default.
//! One direction matters: the callee must have each method that the caller knows, inherited ones
//! too. For a capability in the params it is the other way round: there the service is the caller.
//! Type parameters are compared as what they stand for; AnyPointer fits every pointer.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::model::{Brand, FieldKind, STREAM_RESULT, Schema, Struct, Type, Value};

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
    let root = (interface, Brand::default());
    diff.interface(&root, &root, User::Caller);
    if diff.found.is_empty() {
        Ok(())
    } else {
        Err(diff.found)
    }
}

struct Diff<'a> {
    caller: &'a Schema,
    callee: &'a Schema,
    /// Pairs that are compared already or just now, as the caller and as the callee know them.
    seen: BTreeSet<(Generic, Generic, User)>,
    found: Vec<Incompatibility>,
}

/// Generic types that contain ever new ones are compared as far as this; evolution does not make such.
const PAIRS_LIMIT: usize = 65_536;

/// A node and what its type parameters stand for.
type Generic = (u64, Brand);

/// Who calls the capabilities that are found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum User {
    Caller,
    Callee,
}

impl User {
    const fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

/// A field that holds a slot, seen from its struct: groups are looked through.
struct Slot<'a> {
    name: String,
    offset: u32,
    ty: Type,
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

    fn interface(&mut self, ours: &Generic, theirs: &Generic, user: User) {
        if !self.seen.insert((ours.clone(), theirs.clone(), user)) {
            return;
        }
        let (caller, callee) = (self.caller, self.callee);
        let Some((node, _)) = caller.interface_by_id(ours.0) else {
            let member = format!("@0x{:016x}", ours.0);
            return self.report(&member, "the caller's schema has no such interface");
        };
        if callee.interface_by_id(theirs.0).is_none() {
            let what = "the service's schema does not have this interface";
            return self.report(&node.name, what);
        }
        let ours = caller.lineage(ours.0, &ours.1);
        let theirs = callee.lineage(theirs.0, &theirs.1);
        // Each method that its user knows must be there; the user's schema names it.
        let (known, offered, lacks) = match user {
            User::Caller => (&ours, &theirs, "the service does not have this method"),
            User::Callee => (
                &theirs,
                &ours,
                "the caller, which has to implement it, does not have this method",
            ),
        };
        for (node, interface, brand) in known {
            let counterpart = offered.iter().find(|(other, ..)| other.id == node.id);
            for method in &interface.methods {
                let member = format!("{}.{} @{}", node.name, method.name, method.ordinal);
                let other = counterpart.and_then(|(_, interface, brand)| {
                    let method = interface.methods.get(usize::from(method.ordinal))?;
                    Some((method, brand))
                });
                let Some((other, other_brand)) = other else {
                    self.report(&member, lacks);
                    continue;
                };
                if (method.results == STREAM_RESULT) != (other.results == STREAM_RESULT) {
                    self.report(
                        &member,
                        "it is a streaming method (`-> stream`) on one side",
                    );
                }
                let mut pairs = [
                    (
                        (method.params, method.params_brand.resolve(brand)),
                        (other.params, other.params_brand.resolve(other_brand)),
                    ),
                    (
                        (method.results, method.results_brand.resolve(brand)),
                        (other.results, other.results_brand.resolve(other_brand)),
                    ),
                ];
                if user == User::Callee {
                    pairs = pairs.map(|(one, other)| (other, one));
                }
                let [params, results] = pairs;
                let place = format!("{}.{}", node.name, method.name);
                self.structs(
                    &params.0,
                    &params.1,
                    &format!("{place} params, "),
                    user.other(),
                );
                self.structs(&results.0, &results.1, &format!("{place} results, "), user);
            }
        }
    }

    fn structs(&mut self, ours: &Generic, theirs: &Generic, place: &str, user: User) {
        if self.seen.len() > PAIRS_LIMIT || !self.seen.insert((ours.clone(), theirs.clone(), user))
        {
            return;
        }
        let (caller, callee) = (self.caller, self.callee);
        let (Some((_, one)), Some((_, other))) =
            (caller.struct_by_id(ours.0), callee.struct_by_id(theirs.0))
        else {
            // The results of `-> stream` are an empty struct that need not be there.
            return;
        };
        let one = slots(caller, one, &ours.1);
        let other = slots(callee, other, &theirs.1);
        for (ordinal, slot) in &one {
            if let Some(counterpart) = other.get(ordinal) {
                let member = format!("{place}{} @{ordinal}", slot.name);
                self.slot(slot, counterpart, &member, place, user);
            }
        }
    }

    fn slot(&mut self, one: &Slot<'_>, other: &Slot<'_>, member: &str, place: &str, user: User) {
        let inner = format!("{place}{}.", one.name);
        if !self.types(&one.ty, &other.ty, member, &inner, user) {
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
    fn types(&mut self, one: &Type, other: &Type, member: &str, place: &str, user: User) -> bool {
        match (one, other) {
            (Type::Struct(ours, brand), Type::Struct(theirs, other)) => {
                let pair = ((*ours, brand.clone()), (*theirs, other.clone()));
                self.structs(&pair.0, &pair.1, place, user);
                true
            }
            (Type::Interface(ours, brand), Type::Interface(theirs, other)) => {
                let pair = ((*ours, brand.clone()), (*theirs, other.clone()));
                self.interface(&pair.0, &pair.1, user);
                true
            }
            (Type::Enum(ours), Type::Enum(theirs)) => {
                self.enums(*ours, *theirs, member);
                true
            }
            (Type::List(ours), Type::List(theirs)) => {
                self.elements(ours, theirs, member, place, user)
            }
            (Type::AnyPointer, pointer) | (pointer, Type::AnyPointer) => {
                pointer.data_bits().is_none()
            }
            (Type::AnyStruct, Type::Struct(..)) | (Type::Struct(..), Type::AnyStruct) => true,
            (Type::AnyList, Type::List(_)) | (Type::List(_), Type::AnyList) => true,
            (Type::Capability, Type::Interface(..)) | (Type::Interface(..), Type::Capability) => {
                true
            }
            _ => one == other,
        }
    }

    fn elements(
        &mut self,
        one: &Type,
        other: &Type,
        member: &str,
        place: &str,
        user: User,
    ) -> bool {
        let first = |schema, id: &u64, brand| {
            let (_, layout) = Schema::struct_by_id(schema, *id)?;
            let slot = slots(schema, layout, brand).remove(&0)?;
            (slot.offset == 0 && slot.tags.values().all(|tag| *tag == 0)).then_some(slot.ty)
        };
        match (one, other) {
            (Type::Struct(..), Type::Struct(..)) => self.types(one, other, member, place, user),
            // A list of bits has no room for structs.
            (Type::Struct(..), Type::Bool) | (Type::Bool, Type::Struct(..)) => false,
            (Type::Struct(id, brand), simple) => first(self.caller, id, brand)
                .is_some_and(|ty| self.types(&ty, simple, member, place, user)),
            (simple, Type::Struct(id, brand)) => first(self.callee, id, brand)
                .is_some_and(|ty| self.types(simple, &ty, member, place, user)),
            _ => self.types(one, other, member, place, user),
        }
    }

    /// A name that has another number now would be taken for another one.
    fn enums(&mut self, ours: u64, theirs: u64, member: &str) {
        let pair = ((ours, Brand::default()), (theirs, Brand::default()));
        if !self.seen.insert((pair.0, pair.1, User::Caller)) {
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
fn slots<'a>(schema: &'a Schema, layout: &'a Struct, brand: &Brand) -> BTreeMap<u16, Slot<'a>> {
    let mut all = BTreeMap::new();
    collect(schema, layout, "", &BTreeMap::new(), &mut all);
    for slot in all.values_mut() {
        slot.ty = slot.ty.resolve(brand);
    }
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
                            ty: ty.clone(),
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
