//! One shard, two version sets, two requests at once: every order in which tables are published and
//! requests are admitted, call, leave work behind and end, capabilities are handed on, and bundles
//! are unloaded. What decides is the crate's own code.

use std::collections::BTreeSet;
use std::sync::Arc;

use stateright::{Checker, Model, Property};

use super::{NEW, OLD, rollout, sets};
use crate::*;

/// Publications after which the model stops.
const MAX_EPOCHS: usize = 4;

const SLOTS: usize = 2;

struct Shard {
    sets: [Arc<VersionSet>; 2],
    /// By shape.
    tables: [RoutingTable; 4],
    /// A key that the rollout at half its weight holds, and one that it does not.
    keys: [u64; 2],
}

/// What a routing table sends where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shape {
    /// Everything to the old set.
    Old,
    /// A rollout of the new set that has no weight yet, or no more.
    Zero,
    /// One that has half.
    Half,
    /// Everything to the new set.
    New,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// By epoch; the last one is in force.
    published: Vec<Shape>,
    /// The sets that the shard has the wiring of.
    wired: BTreeSet<usize>,
    /// The numbers of the bundles that it has loaded, see [`Shard::bundles`].
    loaded: BTreeSet<usize>,
    states: [BundleState; 3],
    roots: [Option<Root>; SLOTS],
    /// The set of a capability that somebody holds.
    capability: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Root {
    /// How it was admitted: with a key, or with a token that pins it to a set.
    by: By,
    epoch: usize,
    set: usize,
    leases: BTreeSet<LeaseKind>,
    /// Whether a call of it ran another version of `auth` than its set has.
    switched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum By {
    Key(usize),
    Token(usize),
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Publish(Shape),
    Admit(usize, By),
    Call(usize),
    /// Gives work to `waitUntil`, or opens a stream.
    Hold(usize, LeaseKind),
    Release(usize, LeaseKind),
    Evict(usize),
    TakeCapability(usize),
    UseCapability(usize),
    DropCapability,
    Sweep,
}

impl Shard {
    fn new() -> Self {
        let sets = sets();
        let single = |set: usize| RoutingTable::single(1, Arc::clone(&sets[set]));
        let half = rollout(&sets, 1, 5_000);
        let key = |mask| (0..).find(|key| half.admit(*key, None).mask == mask);
        let keys = [key(0).unwrap(), key(1).unwrap()];
        let tables = [single(OLD), rollout(&sets, 1, 0), half, single(NEW)];
        Shard { sets, tables, keys }
    }

    /// Every bundle's digest: `auth@1`, `auth@2`, `front`.
    fn bundles(&self) -> [Digest; 3] {
        let [old, new] = &self.sets;
        let digest = |set: &VersionSet, bundle: usize| set.bundles()[bundle].id.digest;
        [digest(old, 0), digest(new, 0), digest(old, 1)]
    }

    fn table(&self, shape: Shape) -> &RoutingTable {
        &self.tables[shape as usize]
    }

    fn number(&self, set: &Arc<VersionSet>) -> usize {
        usize::from(set.digest() == self.sets[NEW].digest())
    }

    fn sets_in_force(&self, shape: Shape) -> BTreeSet<usize> {
        let sets = self.table(shape).sets().iter();
        sets.map(|(set, _)| self.number(set)).collect()
    }

    fn bundles_of(&self, set: usize) -> BTreeSet<usize> {
        let all = self.bundles();
        let bundles = (0..all.len()).filter(|bundle| self.sets[set].find(all[*bundle]).is_some());
        bundles.collect()
    }

    fn has(&self, set: usize, bundle: usize) -> bool {
        self.bundles_of(set).contains(&bundle)
    }

    /// The version of `auth` that `front` is wired to.
    fn callee(&self, set: usize) -> usize {
        let set = &self.sets[set];
        let front = set.entry("front").unwrap();
        let callee = set.edges(front)[0].callee;
        let digest = set.bundles()[callee].id.digest;
        self.bundles()
            .iter()
            .position(|bundle| *bundle == digest)
            .unwrap()
    }
}

impl State {
    fn in_force(&self) -> Shape {
        *self.published.last().unwrap()
    }

    fn holders(&self, set: usize) -> u64 {
        let roots = self.roots.iter().flatten().filter(|root| root.set == set);
        let leases: usize = roots.map(|root| root.leases.len()).sum();
        leases as u64 + u64::from(self.capability == Some(set))
    }

    fn used(&self, shard: &Shard, bundle: usize) -> Use {
        let digest = shard.bundles()[bundle];
        let sets = [OLD, NEW].into_iter();
        let named = sets.filter(|set| shard.bundles_of(*set).contains(&bundle));
        Use {
            admissible: is_admissible(shard.table(self.in_force()), digest),
            leases: named.map(|set| self.holders(set)).sum(),
        }
    }

    fn load(&mut self, shard: &Shard, shape: Shape) {
        for set in shard.sets_in_force(shape) {
            self.wired.insert(set);
            for bundle in shard.bundles_of(set) {
                self.loaded.insert(bundle);
            }
        }
    }

    fn update(&mut self, shard: &Shard) {
        for bundle in 0..self.states.len() {
            self.states[bundle] = self.states[bundle].next(self.used(shard, bundle));
        }
    }

    fn sweep(&mut self) {
        let states = self.states;
        self.loaded.retain(|bundle| !states[*bundle].may_unload());
    }
}

impl Model for Shard {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            published: vec![Shape::Old],
            wired: BTreeSet::new(),
            loaded: BTreeSet::new(),
            states: [BundleState::Deployed; 3],
            roots: [const { None }; SLOTS],
            capability: None,
        };
        state.load(self, Shape::Old);
        state.update(self);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.published.len() < MAX_EPOCHS {
            let shapes: &[Shape] = match state.in_force() {
                Shape::Old => &[Shape::Zero, Shape::New],
                Shape::Zero => &[Shape::Half, Shape::Old],
                Shape::Half => &[Shape::Zero, Shape::Old, Shape::New],
                Shape::New => &[Shape::Old],
            };
            actions.extend(shapes.iter().map(|shape| Action::Publish(*shape)));
        }
        for (slot, root) in state.roots.iter().enumerate() {
            let Some(root) = root else {
                // The second slot only after the first: they are alike.
                if slot == 0 || state.roots[0].is_some() {
                    let ways = [By::Key(0), By::Key(1), By::Token(OLD), By::Token(NEW)];
                    actions.extend(ways.map(|by| Action::Admit(slot, by)));
                }
                continue;
            };
            actions.push(Action::Call(slot));
            if root.leases.contains(&LeaseKind::Request) {
                actions.push(Action::Hold(slot, LeaseKind::Background));
                actions.push(Action::TakeCapability(slot));
                actions.push(Action::Evict(slot));
            }
            if state.capability.is_some() {
                actions.push(Action::UseCapability(slot));
            }
            let leases = root.leases.iter();
            actions.extend(leases.map(|lease| Action::Release(slot, *lease)));
        }
        if state.capability.is_some() {
            actions.push(Action::DropCapability);
        }
        actions.push(Action::Sweep);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Publish(shape) => {
                state.load(self, shape);
                state.published.push(shape);
            }
            Action::Admit(slot, by) => {
                let epoch = state.published.len() - 1;
                let set = match by {
                    By::Key(key) => {
                        let table = self.table(state.in_force());
                        self.number(table.admit(self.keys[key], None).set)
                    }
                    // P6: no other set will do.
                    By::Token(set) if !state.wired.contains(&set) => {
                        return None;
                    }
                    By::Token(set) => set,
                };
                state.roots[slot] = Some(Root {
                    by,
                    epoch,
                    set,
                    leases: [LeaseKind::Request].into(),
                    switched: false,
                });
            }
            Action::Call(slot) => {
                let root = state.roots[slot].as_mut()?;
                root.switched |= !self.has(root.set, self.callee(root.set));
            }
            Action::Hold(slot, lease) => {
                state.roots[slot].as_mut()?.leases.insert(lease);
            }
            Action::Release(slot, lease) => {
                let root = state.roots[slot].as_mut()?;
                root.leases.remove(&lease);
                if root.leases.is_empty() {
                    state.roots[slot] = None;
                }
            }
            Action::Evict(slot) => state.roots[slot] = None,
            Action::TakeCapability(slot) => {
                state.capability = Some(state.roots[slot].as_ref()?.set);
            }
            Action::UseCapability(slot) => {
                let set = state.capability?;
                let root = state.roots[slot].as_mut()?;
                // P4: under another set it is an error.
                if root.set != set {
                    return None;
                }
                root.switched |= !self.has(root.set, self.callee(set));
            }
            Action::DropCapability => state.capability = None,
            Action::Sweep => {
                state.sweep();
                let in_force = self.sets_in_force(state.in_force());
                let held = |set: &usize| in_force.contains(set) || last.holders(*set) > 0;
                state.wired.retain(held);
            }
        }
        state.update(self);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always(
                "P1, P10: the set is that of the epoch of admission",
                |shard, state| {
                    state.roots.iter().flatten().all(|root| match root.by {
                        By::Key(key) => {
                            let table = shard.table(state.published[root.epoch]);
                            shard.number(table.admit(shard.keys[key], None).set) == root.set
                        }
                        By::Token(_) => true,
                    })
                },
            ),
            Property::<Self>::always(
                "P2: what is in force is wired and loaded",
                |shard, state| {
                    shard.sets_in_force(state.in_force()).iter().all(|set| {
                        state.wired.contains(set)
                            && state.loaded.is_superset(&shard.bundles_of(*set))
                    })
                },
            ),
            Property::<Self>::always("P3, P4: each call runs the pinned version", |_, state| {
                state.roots.iter().flatten().all(|root| !root.switched)
            }),
            Property::<Self>::always("P5: what is held is wired and loaded", |shard, state| {
                let held = [OLD, NEW].into_iter().filter(|set| state.holders(*set) > 0);
                held.into_iter().all(|set| {
                    state.wired.contains(&set) && state.loaded.is_superset(&shard.bundles_of(set))
                })
            }),
            Property::<Self>::always("P6: a token gets its set or nothing", |_, state| {
                let mut roots = state.roots.iter().flatten();
                roots.all(|root| !matches!(root.by, By::Token(set) if set != root.set))
            }),
            Property::<Self>::always(
                "what is loaded has a use, or waits for the sweep",
                |shard, state| {
                    (0..3).all(|bundle| {
                        let Use { admissible, leases } = state.used(shard, bundle);
                        let idle = !admissible && leases == 0;
                        state.states[bundle].may_unload()
                            == (idle && state.states[bundle] != BundleState::Deployed)
                    })
                },
            ),
            Property::<Self>::sometimes(
                "two requests hold different sets",
                |_, state| matches!(&state.roots, [Some(one), Some(two)] if one.set != two.set),
            ),
            Property::<Self>::sometimes(
                "a rollback happens under a request of the new set",
                |_, state| {
                    state.published.ends_with(&[Shape::New, Shape::Old])
                        && state.roots.iter().flatten().any(|root| root.set == NEW)
                },
            ),
            Property::<Self>::sometimes("background work outlives its request", |_, state| {
                let mut roots = state.roots.iter().flatten();
                roots.any(|root| root.leases.iter().eq(&[LeaseKind::Background]))
            }),
            Property::<Self>::sometimes("a bundle drains for a capability alone", |_, state| {
                state.states.contains(&BundleState::Draining)
                    && state.roots.iter().all(Option::is_none)
            }),
            Property::<Self>::sometimes("a new version without weight stays loaded", |_, state| {
                state.published.ends_with(&[Shape::Half, Shape::Zero])
                    && state.loaded.len() == 3
                    && state.roots.iter().all(Option::is_none)
                    && state.capability.is_none()
            }),
            Property::<Self>::sometimes("a bundle is unloaded", |_, state| {
                state.states.contains(&BundleState::Retired) && state.loaded.len() == 2
            }),
            Property::<Self>::sometimes("a token comes whose set is gone", |_, state| {
                !state.wired.contains(&OLD)
            }),
            Property::<Self>::sometimes("an unloaded bundle comes back", |_, state| {
                state.published.ends_with(&[Shape::New, Shape::Old])
                    && state.roots.iter().all(Option::is_none)
                    && state.loaded.len() == 2
            }),
            Property::<Self>::sometimes(
                "a capability meets a request of another set",
                |_, state| {
                    let mut roots = state.roots.iter().flatten();
                    roots.any(|root| state.capability.is_some_and(|set| set != root.set))
                },
            ),
        ]
    }
}

#[test]
fn every_order_of_events_keeps_the_promises() {
    let checker = Shard::new().checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
}
