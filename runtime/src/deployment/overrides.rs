//! Sets for requests that name versions.
//!
//! Such a set is solved with the named versions in place of those in force, loaded on every shard,
//! and kept for a while: whoever tries a version out sends more than one request. It is forgotten
//! when something else is put into force, since it was solved beside what was.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures_util::future::join_all;
use isolith_versions::{Digest, ServiceName, Version, VersionSet};

use super::layout::bits;
use super::{Deployment, Refused, State, blocking};
use crate::overrides::Versions;
use crate::program::Program;

/// Sets that are kept for overrides; past them, the one that was asked for the longest ago goes.
const MAX_OVERRIDE_SETS: usize = 64;

/// Sets that are kept for overrides.
#[derive(Default)]
pub(super) struct OverrideSets(VecDeque<Kept>);

struct Kept {
    versions: Versions,
    base: Digest,
    set: Arc<VersionSet>,
    /// Those of the set, so that none is made twice.
    programs: BTreeMap<Digest, Arc<Program>>,
}

impl Deployment {
    /// The set that is solved with these versions, and else with those of the set in force with the
    /// digest `base`, wired on every shard. It takes no requests but those that name it.
    ///
    /// Cost: a look-up, if it was asked for lately; or solving and loading.
    ///
    /// # Errors
    /// Which version is not deployed, or why there is no such set.
    pub(crate) async fn set_for_override(
        &self,
        versions: &Versions,
        base: Digest,
    ) -> Result<Arc<VersionSet>, Refused> {
        let mut state = self.state.lock().await;
        if let Some(set) = state.overrides.find(versions, base) {
            return Ok(set);
        }
        let candidates = state.candidates(versions, base)?;
        let layout = state.layout.clone();
        let plan = blocking(move || layout.catalog.pinned(&layout.pool, &candidates)).await?;
        super::require_http(&plan.set, &self.entry)?;
        let mut running = state.programs.clone();
        running.extend(state.overrides.programs());
        let sets = [Arc::clone(&plan.set)];
        let ready = self.prepare(&sets, Vec::new(), &running).await;
        if let Ok(programs) = &ready {
            state.overrides.keep(Kept {
                versions: versions.clone(),
                base,
                set: Arc::clone(&plan.set),
                programs: programs.clone(),
            });
        }
        // Before any request is pinned to it: it would go with the first one that ends.
        self.keep_overrides(&state).await;
        self.sweep().await;
        ready.map(|_| plan.set)
    }

    /// Forgets the sets of overrides; requests that are pinned to them go on.
    pub(super) async fn forget_overrides(&self, state: &mut State) {
        if !state.overrides.0.is_empty() {
            state.overrides.0.clear();
            self.keep_overrides(state).await;
        }
    }

    async fn keep_overrides(&self, state: &State) {
        let kept: Arc<[Digest]> = state
            .overrides
            .0
            .iter()
            .map(|kept| kept.set.digest())
            .collect();
        join_all(
            self.shards
                .iter()
                .map(|shard| shard.keep(Arc::clone(&kept))),
        )
        .await;
    }
}

impl State {
    /// What a set with these versions, and else like the one with the digest `base`, is pinned to.
    fn candidates(&self, versions: &Versions, base: Digest) -> Result<Vec<Digest>, Refused> {
        let world = self.layout.catalog.world();
        let find = |(service, version): (&ServiceName, &Version)| {
            let known = world.versions_of(service);
            let found = known.iter().find(|bundle| bundle.id.version == *version);
            found.map(|bundle| bundle.id.digest).ok_or_else(|| {
                let known: Vec<_> = known
                    .iter()
                    .map(|known| known.id.version.to_string())
                    .collect();
                Refused(match known.is_empty() {
                    true => format!("{service}@{version} is not deployed, nor any other {service}"),
                    false => format!(
                        "{service}@{version} is not deployed; there is {}",
                        known.join(", ")
                    ),
                })
            })
        };
        let mut usable = self.layout.combinations.usable();
        let rolled_out = usable.find(|(_, set)| set.digest() == base);
        let rolled_out = rolled_out.map_or(0, |(mask, _)| usize::from(mask));
        let candidates = bits(rolled_out)
            .filter_map(|place| self.layout.live.get(place))
            .flat_map(|rollout| &rollout.plan().candidates)
            .filter(|id| !versions.contains_key(&id.service));
        let mut pinned: Vec<_> = candidates.map(|id| id.digest).collect();
        for named in versions.iter().map(find) {
            pinned.push(named?);
        }
        Ok(pinned)
    }
}

impl OverrideSets {
    /// The set that was kept for these versions, as the one asked for last.
    fn find(&mut self, versions: &Versions, base: Digest) -> Option<Arc<VersionSet>> {
        let place = self
            .0
            .iter()
            .position(|kept| kept.versions == *versions && kept.base == base)?;
        let kept = self.0.remove(place)?;
        let set = Arc::clone(&kept.set);
        self.0.push_back(kept);
        Some(set)
    }

    fn keep(&mut self, kept: Kept) {
        self.0.push_back(kept);
        if self.0.len() > MAX_OVERRIDE_SETS {
            self.0.pop_front();
        }
    }

    fn programs(&self) -> impl Iterator<Item = (Digest, Arc<Program>)> {
        let programs = self.0.iter().flat_map(|kept| &kept.programs);
        programs.map(|(digest, program)| (*digest, Arc::clone(program)))
    }
}
