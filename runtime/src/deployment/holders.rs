//! Who holds a bundle, and making them let go.

use futures_util::future::join_all;
use isolith_versions::{BundleId, Version};

use super::{Deployment, Refused};
use crate::shard::Holders;

/// What keeps one bundle loaded.
pub(crate) struct BundleHolders {
    pub(crate) bundle: BundleId,
    /// Whether new requests can get it.
    pub(crate) in_force: bool,
    pub(crate) holders: Holders,
}

impl Deployment {
    /// What keeps each version of a service loaded, or one of them.
    ///
    /// # Errors
    /// If there is no such bundle.
    pub(crate) async fn holders(
        &self,
        service: &str,
        version: Option<&Version>,
    ) -> Result<Vec<BundleHolders>, Refused> {
        let mut found = Vec::new();
        for bundle in self.named(service, version).await? {
            let digest = bundle.digest;
            let asked = join_all(self.shards.iter().map(|shard| shard.holders(digest))).await;
            let mut holders = Holders::default();
            asked.into_iter().for_each(|shard| holders.extend(shard));
            holders
                .listed
                .sort_by_key(|holder| std::cmp::Reverse(holder.age_ms));
            found.push(BundleHolders {
                in_force: self.in_force(&bundle),
                bundle,
                holders,
            });
        }
        Ok(found)
    }

    /// Cancels, with the reason, every request and all background work that is pinned to a set with
    /// this bundle. Nothing is moved to another version. Returns how many that were, and whether new
    /// requests can still get the bundle.
    ///
    /// # Errors
    /// If there is no such bundle.
    pub(crate) async fn evict(
        &self,
        service: &str,
        version: &Version,
        reason: &str,
    ) -> Result<(usize, bool), Refused> {
        let mut count = 0;
        let mut in_force = false;
        for bundle in self.named(service, Some(version)).await? {
            let digest = bundle.digest;
            let evicted = self.shards.iter().map(|shard| shard.evict(digest, reason));
            count += join_all(evicted).await.into_iter().sum::<usize>();
            in_force |= self.in_force(&bundle);
            tracing::warn!(%bundle, requests = count, reason, "evicted");
        }
        Ok((count, in_force))
    }

    async fn named(
        &self,
        service: &str,
        version: Option<&Version>,
    ) -> Result<Vec<BundleId>, Refused> {
        let state = self.state.lock().await;
        let known = state
            .layout
            .catalog
            .world()
            .bundles()
            .iter()
            .map(|bundle| &bundle.id);
        let found: Vec<_> = known
            .filter(|id| id.service.as_str() == service)
            .filter(|id| version.is_none_or(|version| id.version == *version))
            .cloned()
            .collect();
        let wanted = version.map_or(service.to_owned(), |version| format!("{service}@{version}"));
        match found.is_empty() {
            true => Err(Refused(format!(
                "there is no bundle {wanted}: see `isolith status`"
            ))),
            false => Ok(found),
        }
    }

    fn in_force(&self, bundle: &BundleId) -> bool {
        let table = self.routing.load();
        let mut sets = table.sets().iter();
        sets.any(|(set, _)| set.find(bundle.digest).is_some())
    }
}
