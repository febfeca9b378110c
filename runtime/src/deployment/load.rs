//! Making a planned set ready: programs, isolates on every shard, and files in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use isolith_services::bundle::Bundle;
use isolith_versions::{Digest, VersionSet};

use super::{Deployment, Refused, blocking, refused};
use crate::capacity::Capacity;
use crate::error::LoadError;
use crate::isolate;
use crate::program::Program;

/// What a shard may take on top of evaluating bundles: it may be in the middle of a long turn.
const LOAD_GRACE: Duration = Duration::from_secs(10);

impl Deployment {
    /// Makes everything ready that `sets` need: programs, isolates on every shard, the compiled
    /// sets, and last the bundles' files. Returns the sets' programs.
    pub(super) async fn prepare(
        &self,
        sets: &[Arc<VersionSet>],
        bundles: Vec<Bundle>,
        running: &BTreeMap<Digest, Arc<Program>>,
    ) -> Result<BTreeMap<Digest, Arc<Program>>, Refused> {
        let programs = self.programs(sets, bundles.clone(), running).await?;
        let fresh: Vec<_> = programs
            .values()
            .filter(|program| !running.contains_key(&program.id().digest))
            .collect();
        let isolates = fresh.len().saturating_mul(self.shards.len());
        Capacity::of_this_process()
            .check(isolates)
            .map_err(refused)?;
        let count = u32::try_from(fresh.len()).unwrap_or(u32::MAX);
        let bound = self
            .limits
            .load
            .saturating_mul(count)
            .saturating_add(LOAD_GRACE);
        let load = join_all(self.shards.iter().map(|shard| async {
            let mut failures = Vec::new();
            for program in &fresh {
                if let Err(error) = shard.load(Arc::clone(program)).await {
                    failures.push(error);
                }
            }
            if failures.is_empty() {
                for set in sets {
                    failures.extend(shard.wire(Arc::clone(set)).await.err());
                }
            }
            failures
        }));
        let failures = tokio::time::timeout(bound, load).await.map_err(|_| {
            Refused(format!(
                "loading did not end within {} s: the shards are busy, or a bundle takes too long; \
                 try again",
                bound.as_secs()
            ))
        })?;
        if let Some(reason) = report(failures.into_iter().flatten()) {
            return Err(reason);
        }
        let store = self.store.clone();
        blocking(move || {
            let stored = bundles.iter().try_for_each(|bundle| store.put(bundle));
            stored.map_err(|error| Refused(error.to_string()))
        })
        .await?;
        Ok(programs)
    }

    /// The programs of `sets`: those that run, and new ones made from the given bundles
    /// or, for what was deployed earlier, from the store.
    async fn programs(
        &self,
        sets: &[Arc<VersionSet>],
        bundles: Vec<Bundle>,
        running: &BTreeMap<Digest, Arc<Program>>,
    ) -> Result<BTreeMap<Digest, Arc<Program>>, Refused> {
        let (store, given, sets) = (self.store.clone(), self.given.clone(), sets.to_vec());
        let running = running.clone();
        blocking(move || {
            let distrusted = |bundle: &Bundle| given.trust.check(bundle).err();
            // What is part of the process needs no signature.
            let fresh = bundles.iter().filter(|bundle| !bundle.native());
            if let Some(reason) = report(fresh.filter_map(distrusted).map(Into::into)) {
                return Err(reason);
            }
            let mut programs = BTreeMap::new();
            let mut made = Vec::new();
            let mut failures = Vec::new();
            for facts in sets.iter().flat_map(|set| set.bundles()) {
                let digest = facts.id.digest;
                if programs.contains_key(&digest) {
                    continue;
                }
                if let Some(program) = running.get(&digest) {
                    programs.insert(digest, Arc::clone(program));
                    continue;
                }
                let fresh = bundles.iter().find(|bundle| bundle.digest() == digest);
                let bundle = match fresh {
                    Some(bundle) => bundle.clone(),
                    None => store
                        .get(&digest)
                        .map_err(|error| Refused(error.to_string()))?,
                };
                match given.program(&bundle) {
                    Ok(program) => {
                        let program = Arc::new(program);
                        made.push(Arc::clone(&program));
                        programs.insert(digest, program);
                    }
                    Err(error) => failures.push(error),
                }
            }
            if let Some(reason) = report(failures) {
                return Err(reason);
            }
            isolate::compile(&made);
            Ok(programs)
        })
        .await
    }
}

/// All failures as one refusal, each text once: shards mostly fail alike.
fn report(failures: impl IntoIterator<Item = LoadError>) -> Option<Refused> {
    let lines: BTreeSet<_> = failures
        .into_iter()
        .map(|error| error.to_string())
        .collect();
    let lines: Vec<_> = lines.into_iter().collect();
    (!lines.is_empty()).then(|| Refused(lines.join("\n")))
}
