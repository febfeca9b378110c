//! Which request gets which set: the bundles in force, the rollouts under way, and the version set
//! of each combination of them. Pure: no shard, no disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use isolith_versions::{
    Buckets, Combinations, MAX_ROLLOUTS, Mask, Rollout, RolloutName, RolloutPlan, RoutingTable,
    Split, VersionSet, Weight,
};

use super::{Catalog, Plan, Pool, Refused, refused};

/// Everything that a routing table is made of.
#[derive(Clone)]
pub(crate) struct Layout {
    pub(crate) catalog: Catalog,
    /// What requests outside of every rollout are wired from.
    pub(crate) pool: Pool,
    /// The rollouts under way, in the order they were started. A rollout's place is its bit in a
    /// mask.
    pub(crate) live: Vec<Rollout>,
    pub(crate) combinations: Combinations,
    /// Why combinations that have no set have none, for a person. Only the smallest ones are here:
    /// what contains one of them has no set either.
    pub(crate) unsolved: BTreeMap<Mask, String>,
}

/// A rollout that cannot be under way with the others.
pub(crate) struct Misfit {
    pub(crate) place: usize,
    pub(crate) reason: String,
}

impl Layout {
    /// Requests are wired as planned, and nothing is rolled out.
    pub(crate) fn of(plan: Plan) -> Self {
        Layout {
            catalog: plan.catalog,
            pool: plan.pool,
            live: Vec::new(),
            combinations: Combinations::single(plan.set),
            unsolved: BTreeMap::new(),
        }
    }

    /// Requests outside of every rollout are wired as planned, and `live` are under way. Cost: the
    /// solver's, for each combination.
    ///
    /// # Errors
    /// The first rollout that has no set at all, or that holds keys in common with an earlier one
    /// with which it has none.
    pub(crate) fn new(plan: Plan, live: Vec<Rollout>) -> Result<Self, Misfit> {
        let layout = Self::solved(plan, live)?;
        let Some((_, mask)) = layout.combinations.clash(&layout.held()) else {
            return Ok(layout);
        };
        let together = layout.names(mask).join(" and ");
        let reason = layout.why_not(mask);
        Err(Misfit {
            place: mask.checked_ilog2().unwrap_or(0) as usize,
            reason: format!(
                "{together} hold keys in common, and no version set has the candidates of \
                 both:\n{reason}"
            ),
        })
    }

    /// The layout once a rollout with this plan has started, after the others.
    ///
    /// # Errors
    /// If it cannot be wired, or there is no room for its first weight.
    pub(crate) fn starting(&self, plan: RolloutPlan, now_ms: u64) -> Result<Self, Refused> {
        let place = self.live.len();
        let mut live = self.live.clone();
        // Which buckets it may hold follows from what it can be combined with.
        live.push(Rollout::start(plan.clone(), &Buckets::all(), now_ms).map_err(refused)?);
        let mut layout =
            Self::solved(self.plan(), live).map_err(|misfit| Refused(misfit.reason))?;
        layout.live.truncate(place);
        let none = Buckets::none();
        let mut held = layout.held();
        held.push(&none);
        let free = layout.combinations.free(place, &held);
        let rollout = Rollout::start(plan, &free, now_ms).map_err(refused)?;
        layout.live.push(rollout);
        Ok(layout)
    }

    /// As [`new`](Self::new), and says nothing of keys.
    fn solved(plan: Plan, live: Vec<Rollout>) -> Result<Self, Misfit> {
        let mut layout = Layout::of(plan);
        let count = live.len().min(MAX_ROLLOUTS);
        if count < live.len() {
            return Err(Misfit {
                place: count,
                reason: format!("{MAX_ROLLOUTS} rollouts are the most at once"),
            });
        }
        let mut sets: Vec<Option<Arc<VersionSet>>> = vec![Some(Arc::clone(layout.base()))];
        for mask in 1..1_usize << count {
            let smaller =
                bits(mask).all(|bit| matches!(sets.get(mask & !(1 << bit)), Some(Some(_))));
            let solved = match smaller {
                false => None,
                true => match layout.solve(mask, &live) {
                    Ok(set) => Some(set),
                    Err(Refused(reason)) => {
                        if mask.is_power_of_two() {
                            let place = mask.ilog2() as usize;
                            return Err(Misfit { place, reason });
                        }
                        layout.unsolved.insert(mask as Mask, reason);
                        None
                    }
                },
            };
            sets.push(solved);
        }
        let misfit = |reason: String| Misfit { place: 0, reason };
        layout.combinations = Combinations::new(sets).map_err(|error| misfit(error.to_string()))?;
        layout.live = live;
        Ok(layout)
    }

    /// The same rollouts with other weights.
    pub(crate) fn reweighed(&self, place: usize, rollout: Rollout) -> Self {
        let mut layout = self.clone();
        if let Some(known) = layout.live.get_mut(place) {
            *known = rollout;
        }
        layout
    }

    /// What is in force outside of every rollout.
    pub(crate) fn plan(&self) -> Plan {
        Plan {
            catalog: self.catalog.clone(),
            pool: self.pool.clone(),
            set: Arc::clone(self.base()),
        }
    }

    /// What would be in force if this rollout were promoted.
    ///
    /// # Errors
    /// If its candidates cannot be wired.
    pub(crate) fn promoted(&self, place: usize) -> Result<Plan, Refused> {
        let rollouts = self.live.get(place).into_iter();
        let candidates = rollouts.flat_map(|rollout| &rollout.plan().candidates);
        let candidates: Vec<_> = candidates.map(|id| id.digest).collect();
        self.catalog.clone().pinned(&self.pool, &candidates)
    }

    /// The set of requests outside of every rollout.
    pub(crate) fn base(&self) -> &Arc<VersionSet> {
        self.combinations.base()
    }

    /// The routing table.
    ///
    /// # Errors
    /// If rollouts hold keys in common that they cannot.
    pub(crate) fn table(&self, epoch: u64) -> Result<RoutingTable, Refused> {
        let split = |rollout: &Rollout| Split {
            rollout: rollout.name().clone(),
            buckets: rollout.buckets().clone(),
            matches: rollout.plan().matches.clone(),
            shadow: rollout.plan().shadow.unwrap_or(Weight::ZERO),
        };
        let splits = self.live.iter().map(split).collect();
        RoutingTable::new(epoch, splits, self.combinations.clone()).map_err(refused)
    }

    /// The buckets that the rollout at `place` may hold.
    pub(crate) fn free(&self, place: usize) -> Buckets {
        self.combinations.free(place, &self.held())
    }

    /// Where a rollout is among those under way.
    pub(crate) fn place(&self, name: &RolloutName) -> Option<usize> {
        self.live.iter().position(|rollout| rollout.name() == name)
    }

    /// The names of the rollouts in `mask`.
    pub(crate) fn names(&self, mask: Mask) -> Vec<String> {
        bits(usize::from(mask))
            .filter_map(|place| Some(self.live.get(place)?.name().to_string()))
            .collect()
    }

    fn held(&self) -> Vec<&Buckets> {
        self.live.iter().map(Rollout::buckets).collect()
    }

    /// The reason of the smallest part of `mask` that has no set.
    fn why_not(&self, mask: Mask) -> &str {
        let mut parts = self.unsolved.iter();
        let part = parts.find(|(part, _)| **part & mask == **part);
        part.map_or("", |(_, reason)| reason)
    }

    fn solve(&self, mask: usize, live: &[Rollout]) -> Result<Arc<VersionSet>, Refused> {
        let candidates: Vec<_> = bits(mask)
            .filter_map(|place| live.get(place))
            .flat_map(|rollout| &rollout.plan().candidates)
            .map(|id| id.digest)
            .collect();
        Ok(self.catalog.clone().pinned(&self.pool, &candidates)?.set)
    }
}

/// The places of the ones in `mask`.
pub(crate) fn bits(mask: usize) -> impl Iterator<Item = usize> {
    (0..MAX_ROLLOUTS).filter(move |bit| mask >> bit & 1 == 1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::OnceLock;

    use isolith_capnp::model::Schema;
    use isolith_services::bundle::{Bundle, Content, ExportContent, ImportContent, ModuleContent};
    use isolith_versions::{JudgeSettings, Range, Salt, Step};

    use super::*;

    /// The schema of all bundles here, and its only interface.
    fn schema() -> &'static (Vec<u8>, u64) {
        static SCHEMA: OnceLock<(Vec<u8>, u64)> = OnceLock::new();
        SCHEMA.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let text = "@0xb1a54f3c0c5f1d11; interface A { a @0 (); }";
            std::fs::write(folder.path().join("a.capnp"), text).unwrap();
            let none: &[&Path] = &[];
            let bytes = isolith_capnp::schema::compile(folder.path(), &["a.capnp"], none).unwrap();
            let id = Schema::read(&bytes)
                .unwrap()
                .interface("a.capnp:A")
                .unwrap()
                .0
                .id;
            (bytes, id)
        })
    }

    /// Serves the interface, and asks for it from each of `imports`: a service and a range.
    fn part(service: &str, version: &str, imports: &[(&str, &str)]) -> Bundle {
        let (schema, interface) = schema();
        let import = |(service, range): &(&str, &str)| ImportContent {
            name: service.to_uppercase(),
            service: service.parse().unwrap(),
            range: Range::new(range).unwrap(),
            export: None,
            interface: *interface,
            interface_name: "a.capnp:A".into(),
        };
        let content = Content {
            service: service.parse().unwrap(),
            version: version.parse().unwrap(),
            http: service == "shop",
            native: false,
            modules: vec![ModuleContent {
                specifier: "main.js".into(),
                source: version.into(),
                source_map: String::new(),
            }],
            exports: vec![ExportContent {
                name: "A".into(),
                class: "A".into(),
                interface: *interface,
                interface_name: "a.capnp:A".into(),
            }],
            imports: imports.iter().map(import).collect(),
            vars: BTreeMap::new(),
            secrets: Default::default(),
            fetches: vec![],
            limits: Default::default(),
            schema: schema.clone(),
            dependencies: vec![],
        };
        Bundle::read(&content.encode().unwrap()).unwrap()
    }

    fn plan(bundles: &[Bundle]) -> Plan {
        let catalog = Catalog::new(["shop".parse().unwrap()]).unwrap();
        catalog.plan(&Pool::new(), bundles).unwrap()
    }

    /// Knows `bundles` too, and starts to roll them out to `percent` of keys.
    fn start(
        layout: &Layout,
        name: &str,
        bundles: &[Bundle],
        percent: u16,
    ) -> Result<Layout, String> {
        let mut layout = layout.clone();
        layout.catalog = layout.catalog.with(bundles).unwrap();
        let step = Step {
            weight: Weight::new(percent * 100).unwrap(),
            wait_ms: 0,
            min_requests: 0,
        };
        let plan = RolloutPlan {
            name: name.parse().unwrap(),
            salt: Salt(u64::from(percent)),
            candidates: bundles.iter().map(|bundle| bundle.id().clone()).collect(),
            steps: vec![step],
            matches: vec![],
            shadow: None,
            judge: JudgeSettings::default(),
        };
        layout.starting(plan, 0).map_err(|Refused(reason)| reason)
    }

    fn names(set: &VersionSet) -> String {
        let names: Vec<_> = set
            .bundles()
            .iter()
            .map(|bundle| bundle.id.to_string())
            .collect();
        names.join(" ")
    }

    fn set(layout: &Layout, mask: Mask) -> String {
        layout
            .combinations
            .get(mask)
            .map_or("none".into(), |set| names(set))
    }

    fn shop(version: &str, imports: &[(&str, &str)]) -> Bundle {
        part("shop", version, imports)
    }

    fn auth(version: &str) -> Bundle {
        part("auth", version, &[])
    }

    fn base() -> Layout {
        Layout::of(plan(&[
            shop("1.0.0", &[("auth", ">=1, <3")]),
            auth("1.0.0"),
        ]))
    }

    #[test]
    fn a_candidate_is_used_where_its_rollout_is_and_nowhere_else() {
        let first = start(&base(), "auth-2", &[auth("2.0.0")], 10).unwrap();
        let both = start(
            &first,
            "shop-2",
            &[shop("1.1.0", &[("auth", ">=1, <3")])],
            5,
        )
        .unwrap();
        let expected = [
            "auth@1.0.0 shop@1.0.0",
            "auth@2.0.0 shop@1.0.0",
            "auth@1.0.0 shop@1.1.0",
            "auth@2.0.0 shop@1.1.0",
        ];
        assert_eq!([0, 1, 2, 3].map(|mask| set(&both, mask)), expected);
        assert!(both.unsolved.is_empty());
        // An older version is a candidate like any other.
        let older = start(&base(), "auth-0", &[auth("1.0.0-rc.1")], 10);
        assert!(older.is_err(), "no range admits a pre-release");
        let layout = Layout::of(plan(&[
            shop("1.0.0", &[("auth", ">=1, <3")]),
            auth("2.0.0"),
        ]));
        let older = start(&layout, "auth-1", &[auth("1.5.0")], 10).unwrap();
        assert_eq!(set(&older, 1), "auth@1.5.0 shop@1.0.0");
    }

    #[test]
    fn what_is_promoted_is_the_set_that_was_judged_and_stays_so_when_wired_anew() {
        let layout = Layout::of(plan(&[
            shop("1.0.0", &[("auth", ">=1, <3")]),
            auth("2.0.0"),
        ]));
        let older = start(&layout, "auth-1", &[auth("1.5.0")], 10).unwrap();
        let promoted = older.promoted(0).unwrap();
        assert_eq!(
            promoted.set.digest(),
            older.combinations.get(1).unwrap().digest()
        );
        let again = promoted
            .catalog
            .clone()
            .rewire(promoted.pool.clone())
            .unwrap();
        assert_eq!(again.set.digest(), promoted.set.digest());
        // A later deployment of something else does not bring 2.0.0 back.
        let next = shop("1.2.0", &[("auth", ">=1, <3")]);
        let next = promoted.catalog.plan(&promoted.pool, &[next]).unwrap();
        assert_eq!(names(&next.set), "auth@1.5.0 shop@1.2.0");
    }

    #[test]
    fn lines_that_other_callers_need_stay_beside_a_candidate() {
        let layout = Layout::of(plan(&[
            shop("1.0.0", &[("auth", "^2"), ("cart", "*")]),
            part("cart", "1.0.0", &[("auth", "^1")]),
            auth("1.0.0"),
            auth("2.0.0"),
        ]));
        let rolled = start(&layout, "auth-2-1", &[auth("2.1.0")], 10).unwrap();
        assert_eq!(
            set(&rolled, 1),
            "auth@1.0.0 auth@2.1.0 cart@1.0.0 shop@1.0.0"
        );
    }

    #[test]
    fn rollouts_that_cannot_be_combined_hold_no_key_together_and_say_why() {
        let first = start(&base(), "auth-2", &[auth("2.0.0")], 60).unwrap();
        // Asks for auth 1 alone.
        let picky = shop("1.1.0", &[("auth", "^1")]);
        let both = start(&first, "shop-2", std::slice::from_ref(&picky), 40).unwrap();
        assert_eq!(set(&both, 3), "none");
        assert_eq!(both.names(3), ["auth-2", "shop-2"]);
        assert!(
            both.unsolved[&3].contains("shop@1.1.0 needs auth ^1"),
            "{:?}",
            both.unsolved
        );
        let table = both.table(1).unwrap();
        let shares: Vec<_> = table
            .sets()
            .iter()
            .map(|(_, weight)| weight.parts())
            .collect();
        assert_eq!(shares, [0, 6_000, 4_000]);
        let full = start(&first, "shop-2", &[picky], 41).err().unwrap();
        assert!(full.contains("41 %") && full.contains("40 %"), "{full}");
        // If one wins, the other has no set any more.
        let promoted = both.promoted(0).unwrap();
        let misfit = Layout::new(promoted, vec![both.live[1].clone()])
            .err()
            .unwrap();
        assert_eq!(misfit.place, 0);
        assert!(misfit.reason.contains("auth ^1"), "{}", misfit.reason);
    }

    #[test]
    fn a_candidate_that_nothing_would_use_is_refused() {
        let refusal = start(&base(), "auth-4", &[auth("4.0.0")], 10)
            .err()
            .unwrap();
        assert!(
            refusal.contains("no request would use auth@4.0.0"),
            "{refusal}"
        );
        let first = start(&base(), "auth-2", &[auth("2.0.0")], 10).unwrap();
        let both = start(&first, "auth-2-1", &[auth("2.1.0")], 10).unwrap();
        assert_eq!(set(&both, 3), "none");
        assert!(
            both.unsolved[&3].contains("cannot both be used"),
            "{:?}",
            both.unsolved
        );
    }
}
