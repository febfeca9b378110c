//! A version set compiled for one shard: who each import leads to, as an index.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use isolith_versions::VersionSet;

use super::party::Party;
use crate::isolate::Isolate;

/// Where one import leads.
pub(crate) struct Target {
    pub(crate) callee: Party,
    /// The index of the callee's export.
    pub(crate) export: u16,
}

/// Where a compiled set is in its life.
///
/// ```text
/// Wired ──▶ Published ──▶ (dropped, once the table names it no more and no pin holds it)
///   ▲           │
///   └───────────┘ wired again while it drains
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetLife {
    /// A deployment is under way; the routing table is about to name it, or never will.
    Wired,
    /// The routing table names it, or has named it, or nobody is about to have it named any more.
    Published,
}

/// A version set on one shard: its isolates and its edges.
///
/// Looking an edge up takes two indexings. The wiring is immutable; pins hold it by `Rc`.
pub(crate) struct ShardSet {
    pub(crate) set: Arc<VersionSet>,
    pub(crate) life: Cell<SetLife>,
    /// Since when the routing table, which has named it, names it no more.
    out_of_force_since: Cell<Option<Instant>>,
    /// By bundle index of the set.
    members: Vec<Party>,
    /// By isolate slot, then by the caller's import; empty for isolates outside the set.
    targets: Vec<Box<[Target]>>,
    /// The same for native services, each with its slot.
    native_targets: Vec<(usize, Box<[Target]>)>,
}

impl ShardSet {
    /// Compiles `set`; `members` has one for each bundle of the set, in its order.
    pub(crate) fn new(set: Arc<VersionSet>, members: Vec<Party>) -> Self {
        let isolates = members.iter().filter_map(Party::isolate);
        let slots = isolates.map(|isolate| isolate.slot + 1).max();
        let mut targets: Vec<Box<[Target]>> = Vec::new();
        targets.resize_with(slots.unwrap_or(0), || Box::new([]));
        let mut native_targets = Vec::new();
        for (bundle, member) in members.iter().enumerate() {
            let row: Box<[Target]> = set
                .edges(bundle)
                .iter()
                .filter_map(|edge| {
                    Some(Target {
                        callee: members.get(edge.callee)?.clone(),
                        export: u16::try_from(edge.export).ok()?,
                    })
                })
                .collect();
            match targets.get_mut(member.slot()) {
                Some(place) => *place = row,
                None => native_targets.push((member.slot(), row)),
            }
        }
        ShardSet {
            set,
            life: Cell::new(SetLife::Wired),
            out_of_force_since: Cell::new(None),
            members,
            targets,
            native_targets,
        }
    }

    /// Where `import` of the bundle in slot `caller` leads under this set.
    pub(crate) fn target(&self, caller: usize, import: usize) -> Option<&Target> {
        if let Some(row) = self.targets.get(caller) {
            return row.get(import);
        }
        let mut natives = self.native_targets.iter();
        let (_, row) = natives.find(|(slot, _)| *slot == caller)?;
        row.get(import)
    }

    /// The routing table names it.
    pub(crate) fn set_in_force(&self) {
        self.life.set(SetLife::Published);
        self.out_of_force_since.set(None);
    }

    /// The routing table does not name it, or no more.
    pub(crate) fn set_out_of_force(&self) {
        if self.life.get() == SetLife::Published && self.out_of_force_since.get().is_none() {
            self.out_of_force_since.set(Some(Instant::now()));
        }
    }

    /// Since when the set takes no requests but those that name it; `None` if it does, or if the
    /// routing table is about to name it.
    pub(crate) fn out_of_force_since(&self) -> Option<Instant> {
        self.out_of_force_since.get()
    }

    /// Whether the routing table names it, as of the last sweep.
    pub(crate) fn is_in_force(&self) -> bool {
        self.life.get() == SetLife::Published && self.out_of_force_since.get().is_none()
    }

    /// Whether this isolate is one of the set's.
    pub(crate) fn has(&self, isolate: &Rc<Isolate>) -> bool {
        self.members.iter().any(|member| member == isolate)
    }

    /// The isolate or native service of the set's bundle number `bundle`.
    pub(crate) fn member(&self, bundle: usize) -> Option<&Party> {
        self.members.get(bundle)
    }

    /// The isolate of the set's bundle number `bundle`; `None` if that is native.
    pub(crate) fn isolate(&self, bundle: usize) -> Option<&Rc<Isolate>> {
        self.member(bundle)?.isolate()
    }

    /// The isolates of the set, in the order of their bundles.
    pub(crate) fn isolates(&self) -> impl Iterator<Item = &Rc<Isolate>> {
        self.members.iter().filter_map(Party::isolate)
    }

    /// All of the set, in the order of their bundles.
    pub(crate) fn members(&self) -> &[Party] {
        &self.members
    }
}
