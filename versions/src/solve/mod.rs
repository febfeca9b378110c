//! Resolution: from entry services and a world of bundles to a version set.
//!
//! [`needs`] finds out which versions could serve which import, ranges and schemas considered;
//! [`search`] has pubgrub choose among them; [`explain`] tells a person why nothing can be chosen.

mod explain;
mod needs;
mod search;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use self::needs::{Caller, Needs, matching_export};
use crate::set::Edge;
use crate::{BundleFacts, Range, ServiceName, VersionSet, World};

/// A service that requests enter by, and the versions of it that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The service.
    pub service: ServiceName,
    /// Its versions.
    pub range: Range,
}

/// An edge that the solver considers: may `caller`'s import be served by `callee`'s export?
///
/// The range holds already, the interface's type id too, and the export's name where one is asked.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The bundle that asks.
    pub caller: &'a BundleFacts,
    /// The place of its import in [`BundleFacts::imports`].
    pub import: usize,
    /// The bundle that would serve it.
    pub callee: &'a BundleFacts,
    /// The place of the export in [`BundleFacts::exports`].
    pub export: usize,
}

/// Decides whether an edge's schemas fit together. On `Err` the edge cannot be chosen, and the text
/// becomes part of the explanation, where it follows the callee's name: "dropped the method
/// `check`" reads "auth@2.0.0 dropped the method `check`".
pub type Compatible<'a> = &'a dyn Fn(Candidate<'_>) -> Result<(), String>;

/// No version set was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsolvable {
    /// There is none. The text, of several lines, names the bundles and ranges that contradict each
    /// other, what exists, and what could be done.
    #[error("{0}")]
    Contradiction(String),
    /// The search was cut short.
    #[error(
        "no version set was found in {} steps of search: remove versions that are no longer wanted, \
         or narrow the ranges of imports",
        MAX_SEARCH_STEPS
    )]
    TooHard,
}

/// The most steps that one search may take; thousands of bundles need some thousands.
const MAX_SEARCH_STEPS: u32 = 100_000;

/// Resolves every import reachable from `entries` to one bundle of `world`.
///
/// A set holds at most one version of a service per line of compatible versions (`1.x`, `0.3.x`,
/// `0.0.4`), as Cargo does; callers that need different lines get them side by side. One caller gets
/// one version of a service, even where it imports it under two names. Newer versions are preferred:
/// with one entry, its version is the newest for which there is a solution at all. The result is a
/// function of what `world` holds and does not depend on the order in which it was given.
///
/// `compatible` is asked at most once per possible edge.
///
/// # Errors
/// [`Unsolvable`] with an explanation for a person.
///
/// # Examples
/// See the [crate's page](crate#examples).
pub fn solve(
    world: &World,
    entries: &[Entry],
    compatible: Compatible<'_>,
) -> Result<VersionSet, Unsolvable> {
    let needs = Needs::find(world, entries, compatible);
    match search::search(&needs) {
        Ok(choice) => Ok(wire(&needs, &choice)),
        Err(search::Failure::TooHard) => Err(Unsolvable::TooHard),
        Err(search::Failure::Contradiction(proof)) => {
            Err(Unsolvable::Contradiction(explain::explain(&needs, &proof)))
        }
    }
}

/// Builds the set from the bundle that the search chose for each need, in place of the need.
fn wire(needs: &Needs<'_>, choice: &[Option<usize>]) -> VersionSet {
    let chosen = |caller: Caller| {
        needs
            .of(caller)
            .filter_map(|(index, need)| Some((need, *choice.get(index)?.as_ref()?)))
    };

    // What is reachable, numbered in the world's order, which is that of service and version.
    let mut numbers = BTreeMap::new();
    let mut queue = VecDeque::from([Caller::Application]);
    while let Some(caller) = queue.pop_front() {
        for (_, callee) in chosen(caller) {
            if numbers.insert(callee, 0).is_none() {
                queue.push_back(Caller::Bundle(callee));
            }
        }
    }
    for (number, slot) in numbers.values_mut().enumerate() {
        *slot = number;
    }

    let bundles = numbers
        .keys()
        .map(|&bundle| Arc::clone(needs.bundle(bundle)))
        .collect();
    let edges = numbers
        .keys()
        .map(|&bundle| {
            let mut edges: Vec<_> = chosen(Caller::Bundle(bundle))
                .flat_map(|(need, callee)| need.imports().map(move |import| (import, callee)))
                .filter_map(|(import, callee)| {
                    let export = matching_export(
                        &needs.bundle(bundle).imports[import],
                        needs.bundle(callee),
                    );
                    Some((
                        import,
                        Edge {
                            callee: numbers[&callee],
                            export: export.ok()?,
                        },
                    ))
                })
                .collect();
            edges.sort_by_key(|(import, _)| *import);
            edges.into_iter().map(|(_, edge)| edge).collect()
        })
        .collect();
    let mut entries: Vec<_> = chosen(Caller::Application)
        .map(|(need, callee)| (need.service.clone(), numbers[&callee]))
        .collect();
    entries.sort();
    VersionSet::new(bundles, edges, entries)
}
