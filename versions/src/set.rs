//! Version sets: complete wirings of bundles.

use std::fmt;
use std::sync::Arc;

use crate::{BundleFacts, Digest, ServiceName};

/// An immutable, complete wiring: every import reachable from the entry services is resolved to one
/// bundle, its range holds and its interface was checked. Only [`solve`](crate::solve) makes one.
///
/// Bundles are numbered from 0 in the order of service and version; an import or export has the
/// number of its place in [`BundleFacts`]. The numbers are dense, so a runtime can turn a set into
/// tables once and never look up a name again.
///
/// # Digest
/// A set is named by the SHA-256 of its text form, which [`Display`](fmt::Display) writes: UTF-8,
/// one statement per line, each line ended by `\n`, names of bindings quoted and escaped as Rust's
/// [`str::escape_default`] does. First the format, then the bundles by number, then the edges by
/// caller and binding name, then the entries by service:
/// ```text
/// isolith version set 1
/// bundle auth@1.4.0 sha256:5f70...
/// bundle frontend@3.2.0 sha256:a591...
/// edge frontend@3.2.0 "AUTH" -> auth@1.4.0 "AUTH"
/// entry frontend -> frontend@3.2.0
/// ```
/// So the digest depends on what is wired to what, and not on the order in which bundles were
/// deployed or entries named.
#[derive(Clone, PartialEq, Eq)]
pub struct VersionSet {
    bundles: Box<[Arc<BundleFacts>]>,
    edges: Box<[Box<[Edge]>]>,
    entries: Box<[(ServiceName, usize)]>,
    digest: Digest,
}

/// Where one import of one bundle leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Edge {
    /// The number of the bundle that is called.
    pub callee: usize,
    /// The number of its export.
    pub export: usize,
}

impl VersionSet {
    /// `bundles` sorted by id; `edges` per bundle and import; `entries` sorted by service.
    pub(crate) fn new(
        bundles: Vec<Arc<BundleFacts>>,
        edges: Vec<Vec<Edge>>,
        entries: Vec<(ServiceName, usize)>,
    ) -> Self {
        let mut set = Self {
            bundles: bundles.into(),
            edges: edges.into_iter().map(Into::into).collect(),
            entries: entries.into(),
            digest: Digest([0; 32]),
        };
        set.digest = Digest::of(set.to_string().as_bytes());
        set
    }

    /// The digest that names the set. Cost: none, it was computed once.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The bundles, sorted by service and version; a bundle's place is its number.
    pub fn bundles(&self) -> &[Arc<BundleFacts>] {
        &self.bundles
    }

    /// Where the imports of bundle number `bundle` lead, in the order of its
    /// [`imports`](BundleFacts::imports).
    ///
    /// # Panics
    /// If the set has no bundle of that number.
    pub fn edges(&self, bundle: usize) -> &[Edge] {
        &self.edges[bundle]
    }

    /// The entry services and the numbers of their bundles, sorted by service.
    pub fn entries(&self) -> &[(ServiceName, usize)] {
        &self.entries
    }

    /// The number of the bundle that serves as entry `service`. Cost: a binary search.
    pub fn entry(&self, service: &str) -> Option<usize> {
        let place = self
            .entries
            .binary_search_by(|(name, _)| name.as_str().cmp(service))
            .ok()?;
        Some(self.entries[place].1)
    }

    /// The number of the bundle with this digest, if the set has it. Cost: a scan.
    pub fn find(&self, digest: Digest) -> Option<usize> {
        self.bundles
            .iter()
            .position(|bundle| bundle.id.digest == digest)
    }
}

impl fmt::Display for VersionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "isolith version set 1")?;
        for bundle in &self.bundles {
            writeln!(f, "bundle {} {}", bundle.id, bundle.id.digest)?;
        }
        for (caller, edges) in self.bundles.iter().zip(&self.edges) {
            let mut named: Vec<_> = caller.imports.iter().zip(edges).collect();
            named.sort_by(|a, b| a.0.name.cmp(&b.0.name));
            for (import, edge) in named {
                let callee = &self.bundles[edge.callee];
                let export = &callee.exports[edge.export];
                writeln!(
                    f,
                    "edge {} \"{}\" -> {} \"{}\"",
                    caller.id,
                    import.name.escape_default(),
                    callee.id,
                    export.name.escape_default(),
                )?;
            }
        }
        for (service, bundle) in &self.entries {
            writeln!(f, "entry {service} -> {}", self.bundles[*bundle].id)?;
        }
        Ok(())
    }
}

impl fmt::Debug for VersionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VersionSet({})", self.digest.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{entries, world};
    use crate::{World, solve};

    #[test]
    fn the_digest_is_that_of_the_text_whatever_the_order() {
        let text = "admin@1.0.0 -> auth *\nauth@1.4.0\nfrontend@3.2.0 -> auth *; admin *";
        let all = |_: crate::Candidate<'_>| Ok(());
        let one = solve(&world(text), &entries("admin *; frontend *"), &all).unwrap();
        let backwards = World::new(world(text).bundles().iter().rev().cloned()).unwrap();
        let two = solve(&backwards, &entries("frontend *; admin *"), &all).unwrap();
        assert_eq!(one.digest(), two.digest());
        assert_eq!(one.digest(), Digest::of(one.to_string().as_bytes()));

        let digests: Vec<_> = one
            .bundles()
            .iter()
            .map(|bundle| bundle.id.digest)
            .collect();
        let expected = format!(
            "isolith version set 1\n\
             bundle admin@1.0.0 {}\n\
             bundle auth@1.4.0 {}\n\
             bundle frontend@3.2.0 {}\n\
             edge admin@1.0.0 \"AUTH\" -> auth@1.4.0 \"AUTH\"\n\
             edge frontend@3.2.0 \"ADMIN\" -> admin@1.0.0 \"ADMIN\"\n\
             edge frontend@3.2.0 \"AUTH\" -> auth@1.4.0 \"AUTH\"\n\
             entry admin -> admin@1.0.0\n\
             entry frontend -> frontend@3.2.0\n",
            digests[0], digests[1], digests[2]
        );
        assert_eq!(one.to_string(), expected);

        let fewer = solve(&world(text), &entries("frontend *"), &all).unwrap();
        assert_ne!(one.digest(), fewer.digest());
        assert_eq!(fewer.find(digests[1]), Some(1));
        assert_eq!(fewer.entry("admin"), None);
    }
}
