//! The roots of one shard: each admitted request, the version set that it is pinned to, and what
//! still holds it.

use std::rc::Rc;
use std::time::Instant;

use isolith_versions::{Digest, LeaseKind, VersionSet};
use slotmap::SlotMap;
use tokio::sync::watch;

use super::outside::Outside;
use super::wiring::ShardSet;
use crate::http::RequestId;
use crate::isolate::Isolate;
use crate::isolate::keys::RootKey;
use crate::trace::TracedRoot;

/// What a root may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RootState {
    /// Its request runs, or work that it registered with `waitUntil`.
    Active,
    /// Its request is over; calls that are under way return, new ones are refused.
    Ended,
    /// Its deadline passed; calls under way were failed, new ones are refused.
    Expired,
}

/// Whether a root's request still holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Open,
    Over,
}

const KINDS: [LeaseKind; 5] = [
    LeaseKind::Request,
    LeaseKind::Background,
    LeaseKind::Capability,
    LeaseKind::Stream,
    LeaseKind::Call,
];

/// Holds of one kind on one root.
#[derive(Clone, Copy, Debug)]
struct Lease {
    count: u32,
    /// Since when there has been at least one.
    since: Instant,
}

/// Who waits for a root's answer.
pub(crate) enum Asker {
    /// An HTTP exchange of this number.
    Http(Rc<Isolate>, i32),
    /// A JSON call of this number.
    Json(Rc<Isolate>, i32),
    /// A session of somebody outside.
    Outside(Rc<Outside>),
}

/// One admitted request.
///
/// ```text
///            last hold released              last call settled
/// Active ────────────────────────▶ Ended ────────────────────────▶ (gone, the pin released)
///    ├──────── deadline ─────────▶ Expired ──────────────────────▶
///    └──────── evicted ──────────────────────────────────────────▶
/// ```
pub(crate) struct Root {
    /// The pin: the set that every call of this root uses.
    pub(crate) set: Rc<ShardSet>,
    pub(crate) state: RootState,
    /// When its request has to be over; afterwards, when the work that outlives it has to.
    pub(crate) deadline: Instant,
    request: RequestId,
    admitted: Instant,
    /// By [`LeaseKind`]: the request until its response's body was taken, promises given to
    /// `ctx.waitUntil`, and calls accepted and not yet settled (outbound requests without an answer
    /// among them), which do not keep the root active.
    leases: [Lease; KINDS.len()],
    /// Slots of the isolates whose promises hold it in the background, and how many each.
    background: Vec<(usize, u32)>,
    asker: Option<Asker>,
    /// It is a copy of a request, whose answer nobody gets.
    pub(crate) is_shadow: bool,
    /// If the trace has it.
    traced: Option<TracedRoot>,
    /// Tells outbound requests, by being dropped, that they have to end. Most roots have none.
    life: Option<watch::Sender<()>>,
}

/// One kind of hold that keeps a bundle loaded.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "for the control plane")]
pub(crate) struct Holder {
    pub(crate) shard: usize,
    pub(crate) request: RequestId,
    pub(crate) set: Digest,
    pub(crate) kind: LeaseKind,
    /// How many of the kind.
    pub(crate) count: u32,
    /// Of the oldest of them, at most.
    pub(crate) age_ms: u64,
}

/// The roots of one shard.
///
/// Insert, look-up and removal take constant time and, once the table has grown, no allocation.
pub(crate) struct RootTable {
    roots: SlotMap<RootKey, Root>,
    max_roots: usize,
}

impl Root {
    /// Calls accepted and not yet settled.
    pub(crate) fn calls(&self) -> u32 {
        self.leases[LeaseKind::Call as usize].count
    }

    /// When it was admitted.
    pub(crate) fn admitted(&self) -> Instant {
        self.admitted
    }

    /// Adds a call. `now` may lag a little.
    pub(crate) fn begin_call(&mut self, now: Instant) {
        self.add(LeaseKind::Call, now);
    }

    /// What the trace knows it by.
    pub(crate) fn traced(&self) -> Option<&TracedRoot> {
        self.traced.as_ref()
    }

    /// Hears of the root's end, and of its deadline.
    pub(crate) fn listen(&mut self) -> watch::Receiver<()> {
        self.life
            .get_or_insert_with(|| watch::Sender::new(()))
            .subscribe()
    }

    /// Takes away who waits for the answer.
    pub(crate) fn take_asker(&mut self) -> Option<Asker> {
        self.asker.take()
    }

    /// Slots of the isolates whose work outlives its response.
    pub(crate) fn background_slots(&self) -> impl Iterator<Item = usize> {
        self.background.iter().map(|(slot, _)| *slot)
    }

    fn add(&mut self, kind: LeaseKind, now: Instant) {
        let lease = &mut self.leases[kind as usize];
        if lease.count == 0 {
            lease.since = now;
        }
        lease.count += 1;
    }

    fn remove(&mut self, kind: LeaseKind) {
        let lease = &mut self.leases[kind as usize];
        lease.count = lease.count.saturating_sub(1);
    }

    /// True if something other than calls holds it.
    fn is_held(&self) -> bool {
        let holds = |kind: &LeaseKind| *kind != LeaseKind::Call;
        let mut kinds = KINDS.into_iter().filter(holds);
        kinds.any(|kind| self.leases[kind as usize].count > 0)
    }
}

impl RootTable {
    pub(crate) fn new(max_roots: usize) -> Self {
        RootTable {
            roots: SlotMap::with_key(),
            max_roots,
        }
    }

    /// Roots that are not yet gone.
    pub(crate) fn len(&self) -> usize {
        self.roots.len()
    }

    /// Pins a new root to `set`, held by its request; `None` if the table is full.
    pub(crate) fn insert(
        &mut self,
        set: Rc<ShardSet>,
        request: RequestId,
        now: Instant,
        deadline: Instant,
        traced: Option<TracedRoot>,
    ) -> Option<RootKey> {
        if self.roots.len() >= self.max_roots {
            return None;
        }
        let mut root = Root {
            set,
            state: RootState::Active,
            deadline,
            request,
            admitted: now,
            leases: [Lease {
                count: 0,
                since: now,
            }; KINDS.len()],
            background: Vec::new(),
            asker: None,
            is_shadow: false,
            traced,
            life: None,
        };
        root.add(LeaseKind::Request, now);
        Some(self.roots.insert(root))
    }

    /// The root that `key` names, unless it is gone.
    pub(crate) fn get(&self, key: RootKey) -> Option<&Root> {
        self.roots.get(key)
    }

    /// The root that `key` names, unless it is gone.
    pub(crate) fn get_mut(&mut self, key: RootKey) -> Option<&mut Root> {
        self.roots.get_mut(key)
    }

    /// The roots that are not yet gone.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Root> {
        self.roots.values()
    }

    /// Says who waits for the answer of a root that is not yet gone.
    pub(crate) fn set_asker(&mut self, key: RootKey, asker: Asker) {
        if let Some(root) = self.roots.get_mut(key) {
            root.asker = Some(asker);
        }
    }

    /// Adds a hold to an active root; false if it is over.
    pub(crate) fn hold(&mut self, key: RootKey, kind: LeaseKind, now: Instant) -> bool {
        match self.roots.get_mut(key) {
            Some(root) if root.state == RootState::Active => {
                root.add(kind, now);
                true
            }
            _ => false,
        }
    }

    /// Adds a hold to an active root for a promise of the isolate in `slot`.
    pub(crate) fn hold_in(&mut self, key: RootKey, slot: usize, now: Instant) {
        if !self.hold(key, LeaseKind::Background, now) {
            return;
        }
        let Some(root) = self.roots.get_mut(key) else {
            return;
        };
        match root.background.iter_mut().find(|(known, _)| *known == slot) {
            Some((_, count)) => *count += 1,
            None => root.background.push((slot, 1)),
        }
    }

    /// A promise of the isolate in `slot` holds the root no more. False if it did not.
    pub(crate) fn let_go_in(&mut self, key: RootKey, slot: usize) -> bool {
        let Some(root) = self.roots.get_mut(key) else {
            return false;
        };
        let mut held = root.background.iter_mut();
        let Some((_, count)) = held.find(|(of, _)| *of == slot) else {
            return false;
        };
        *count -= 1;
        root.background.retain(|(_, count)| *count > 0);
        true
    }

    /// When the root has to be over; `None` if it is gone.
    pub(crate) fn deadline(&self, key: RootKey) -> Option<Instant> {
        self.roots.get(key).map(|root| root.deadline)
    }

    /// Whether the root is not yet gone.
    pub(crate) fn contains(&self, key: RootKey) -> bool {
        self.roots.contains_key(key)
    }

    /// Takes a hold away. The last one but calls ends the root. Returns the set if that released
    /// the pin.
    pub(crate) fn release(&mut self, key: RootKey, kind: LeaseKind) -> Option<Rc<ShardSet>> {
        let root = self.roots.get_mut(key)?;
        root.remove(kind);
        if root.state == RootState::Active && !root.is_held() {
            root.state = RootState::Ended;
        }
        self.remove_if_done(key)
    }

    /// Marks a root whose deadline has passed: `waitUntil` holds it no longer. Its request lets go
    /// by itself, and the calls under way still have to be settled.
    pub(crate) fn expire(&mut self, key: RootKey, request: Request) -> Option<Rc<ShardSet>> {
        let root = self.roots.get_mut(key)?;
        root.state = RootState::Expired;
        root.life = None;
        for kind in KINDS {
            let stays =
                kind == LeaseKind::Call || (kind == LeaseKind::Request && request == Request::Open);
            if !stays {
                root.leases[kind as usize].count = 0;
            }
        }
        root.background.clear();
        self.remove_if_done(key)
    }

    /// Takes out every root for which `which` holds. Takes time in proportion to all roots.
    pub(crate) fn take(&mut self, which: impl Fn(&Root) -> bool) -> Vec<(RootKey, Root)> {
        let found: Vec<RootKey> = self
            .roots
            .iter()
            .filter(|(_, root)| which(root))
            .map(|(key, _)| key)
            .collect();
        found
            .into_iter()
            .filter_map(|key| Some((key, self.roots.remove(key)?)))
            .collect()
    }

    /// What holds the bundle with this digest: the first `most` of it, and how much there is.
    pub(crate) fn holders(
        &self,
        bundle: Digest,
        shard: usize,
        now: Instant,
        most: usize,
        capabilities: impl Fn(RootKey) -> u32,
    ) -> (Vec<Holder>, u64) {
        let mut listed = Vec::new();
        let mut total = 0;
        let names = |set: &VersionSet| set.find(bundle).is_some();
        for (key, root) in self.roots.iter().filter(|(_, root)| names(&root.set.set)) {
            for kind in KINDS {
                let mut lease = root.leases[kind as usize];
                if kind == LeaseKind::Capability {
                    // Counted where they are kept: they end with the root at the latest. What a
                    // session began with is counted here.
                    lease.count = lease.count.saturating_add(capabilities(key));
                    lease.since = root.admitted;
                }
                if lease.count == 0 {
                    continue;
                }
                total += u64::from(lease.count);
                if listed.len() < most {
                    let age = now.saturating_duration_since(lease.since).as_millis();
                    listed.push(Holder {
                        shard,
                        request: root.request,
                        set: root.set.set.digest(),
                        kind,
                        count: lease.count,
                        age_ms: u64::try_from(age).unwrap_or(u64::MAX),
                    });
                }
            }
        }
        (listed, total)
    }

    fn remove_if_done(&mut self, key: RootKey) -> Option<Rc<ShardSet>> {
        let root = self.roots.get(key)?;
        if root.is_held() || root.calls() > 0 {
            return None;
        }
        self.roots.remove(key).map(|root| root.set)
    }
}
