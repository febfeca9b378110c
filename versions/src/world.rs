//! What the solver knows of bundles, and the bundles that it chooses from.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{Digest, Range, ServiceName};

/// Names one built version of a service. Cloning is cheap.
///
/// Written `service@version`; the digest tells builds apart where it matters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BundleId {
    /// The service that the bundle is a version of.
    pub service: ServiceName,
    /// Its version.
    pub version: Version,
    /// The digest of its bytes.
    pub digest: Digest,
}

/// What wiring needs to know of a bundle: its name, what it serves and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleFacts {
    /// The bundle's name.
    pub id: BundleId,
    /// The interfaces that it serves. Names are unique.
    pub exports: Vec<ExportFact>,
    /// The bindings that it asks for. Names are unique.
    pub imports: Vec<ImportFact>,
    /// Whether it handles HTTP requests (`export default { fetch }`).
    pub http: bool,
    /// Whether its code is part of the process, in place of JavaScript.
    pub native: bool,
}

/// An interface that a bundle serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFact {
    /// The export's name, such as `AUTH`.
    pub name: Arc<str>,
    /// The Cap'n Proto type id of its interface.
    pub interface: u64,
}

/// A binding that a bundle asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFact {
    /// The binding's name, such as `AUTH` for `env.AUTH`.
    pub name: Arc<str>,
    /// The service that must provide it.
    pub service: ServiceName,
    /// The versions of that service that will do.
    pub range: Range,
    /// The provider's export, needed only where it serves the interface under several names.
    pub export: Option<Arc<str>>,
    /// The Cap'n Proto type id of the interface.
    pub interface: u64,
}

/// The bundles that a solution may choose from: sorted, each version once. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct World {
    bundles: Arc<[Arc<BundleFacts>]>,
}

/// Why bundles do not make a [`World`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// Two different bundles carry one version.
    #[error(
        "{service}@{version} exists as two different bundles, {} and {}: a version names one build, \
         so publish the change under a new version",
        first.short(),
        second.short()
    )]
    TwoBuilds {
        /// The service.
        service: ServiceName,
        /// The version that both carry.
        version: Version,
        /// One bundle.
        first: Digest,
        /// The other.
        second: Digest,
    },
    /// A bundle uses one name for two imports or two exports.
    #[error("{bundle} has two {kind} named {name}: rename one of them in its isolith.toml")]
    TwoOfOneName {
        /// The bundle.
        bundle: BundleId,
        /// `imports` or `exports`.
        kind: &'static str,
        /// The name.
        name: Arc<str>,
    },
}

impl World {
    /// Gathers bundles, in any order; one that is given twice counts once.
    ///
    /// # Errors
    /// [`WorldError`] when two bundles claim one version, or a bundle uses a name twice.
    pub fn new(bundles: impl IntoIterator<Item = Arc<BundleFacts>>) -> Result<Self, WorldError> {
        let mut bundles: Vec<_> = bundles.into_iter().collect();
        bundles.sort_by(|a, b| a.id.cmp(&b.id));
        bundles.dedup_by(|a, b| a.id == b.id);
        for (a, b) in bundles.iter().zip(bundles.iter().skip(1)) {
            if a.id.service == b.id.service && a.id.version == b.id.version {
                return Err(WorldError::TwoBuilds {
                    service: a.id.service.clone(),
                    version: a.id.version.clone(),
                    first: a.id.digest,
                    second: b.id.digest,
                });
            }
        }
        for bundle in &bundles {
            unique(
                bundle,
                "imports",
                bundle.imports.iter().map(|import| &import.name),
            )?;
            unique(
                bundle,
                "exports",
                bundle.exports.iter().map(|export| &export.name),
            )?;
        }
        Ok(Self {
            bundles: bundles.into(),
        })
    }

    /// All bundles, sorted by service and version.
    pub fn bundles(&self) -> &[Arc<BundleFacts>] {
        &self.bundles
    }

    /// The versions of one service, oldest first; empty if there is none. Cost: a binary search.
    pub fn versions_of(&self, service: &ServiceName) -> &[Arc<BundleFacts>] {
        &self.bundles[self.numbers_of(service)]
    }

    /// The places of the service's versions in [`bundles`](Self::bundles).
    pub(crate) fn numbers_of(&self, service: &ServiceName) -> std::ops::Range<usize> {
        let start = self
            .bundles
            .partition_point(|bundle| bundle.id.service < *service);
        let end = self
            .bundles
            .partition_point(|bundle| bundle.id.service <= *service);
        start..end
    }
}

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.service, self.version)
    }
}

fn unique<'a>(
    bundle: &BundleFacts,
    kind: &'static str,
    mut names: impl Iterator<Item = &'a Arc<str>>,
) -> Result<(), WorldError> {
    let mut seen = HashSet::new();
    match names.find(|name| !seen.insert(Arc::clone(name))) {
        Some(name) => Err(WorldError::TwoOfOneName {
            bundle: bundle.id.clone(),
            kind,
            name: Arc::clone(name),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::bundles;

    #[test]
    fn one_version_is_one_build() {
        let twice = bundles("auth@1.0.0\nauth@1.0.0");
        assert_eq!(World::new(twice).unwrap().bundles().len(), 1);
        let error = World::new(bundles("auth@1.0.0\nauth@1.0.0 -> cart *")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("auth@1.0.0 exists as two different bundles, "),
            "{text}"
        );
    }

    #[test]
    fn names_of_bindings_are_unique() {
        let error = World::new(bundles("auth@1.0.0 -> A=cart *; A=user *")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "auth@1.0.0 has two imports named A: rename one of them in its isolith.toml"
        );
    }
}
