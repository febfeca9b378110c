//! The search, as a problem for pubgrub.
//!
//! pubgrub chooses one version per package. Here a line of a service (`auth 1.x`) is a package whose
//! versions are its bundles, so that lines live side by side. Each need is a package too, whose
//! versions are the lines that could serve it: choosing one makes the need depend on the fitting
//! bundles of that line. A bundle depends on its needs, and the application, the root, on its own.
//! Every version is a number (of a bundle, or of a line) and grows with the semantic version.

use std::cell::Cell;
use std::cmp::Reverse;
use std::fmt;
use std::ops::Bound::Included;

use pubgrub::{
    Dependencies, DependencyProvider, DerivationTree, PackageResolutionStatistics, PubGrubError,
    Ranges,
};

use super::MAX_SEARCH_STEPS;
use super::needs::{Caller, Needs};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Package {
    Application,
    /// The place of the need in [`Needs::all`].
    Need(usize),
    /// The line's name: see [`Needs::line_of`].
    Line(usize),
}

/// Why there is no solution. The custom reason is the place of a need that no bundle can serve.
pub(super) type Proof = DerivationTree<Package, Ranges<usize>, usize>;

pub(super) enum Failure {
    Contradiction(Proof),
    TooHard,
}

/// The search used up its steps.
#[derive(Debug, thiserror::Error)]
#[error("the search used up its steps")]
pub(super) struct OutOfSteps;

struct Problem<'a> {
    needs: &'a Needs<'a>,
    steps: Cell<u32>,
}

/// Finds for each need the bundle that serves it; `None` for needs of bundles that nobody uses.
pub(super) fn search(needs: &Needs<'_>) -> Result<Vec<Option<usize>>, Failure> {
    let problem = Problem {
        needs,
        steps: Cell::new(0),
    };
    let solution = match pubgrub::resolve(&problem, Package::Application, 0_usize) {
        Ok(solution) => solution,
        Err(PubGrubError::NoSolution(proof)) => return Err(Failure::Contradiction(proof)),
        Err(_) => return Err(Failure::TooHard),
    };
    let bundle = |need| {
        let line = solution.get(&Package::Need(need))?;
        solution.get(&Package::Line(*line)).copied()
    };
    Ok((0..needs.all().len()).map(bundle).collect())
}

impl DependencyProvider for Problem<'_> {
    type P = Package;
    type V = usize;
    type VS = Ranges<usize>;
    type M = usize;
    type Err = OutOfSteps;
    /// Needs come before lines, so that a line's bundle is chosen when all is known that is asked of
    /// it; then what was in conflicts; then what was found first. Never equal, so the outcome does
    /// not hang on pubgrub's own order.
    type Priority = (bool, u32, Reverse<Package>);

    fn prioritize(
        &self,
        package: &Package,
        _: &Ranges<usize>,
        statistics: &PackageResolutionStatistics,
    ) -> Self::Priority {
        let need = matches!(package, Package::Need(_));
        (need, statistics.conflict_count(), Reverse(*package))
    }

    fn choose_version(
        &self,
        package: &Package,
        range: &Ranges<usize>,
    ) -> Result<Option<usize>, OutOfSteps> {
        let newest = match *package {
            Package::Application => Some(0),
            Package::Need(need) => {
                let lines = self.needs.all()[need].options.iter().rev();
                lines
                    .map(|&bundle| self.needs.line_of(bundle))
                    .find(|line| range.contains(line))
            }
            Package::Line(line) => self
                .needs
                .bundles_in(line)
                .rev()
                .find(|bundle| range.contains(bundle)),
        };
        Ok(newest)
    }

    fn get_dependencies(
        &self,
        package: &Package,
        version: &usize,
    ) -> Result<Dependencies<Package, Ranges<usize>, usize>, OutOfSteps> {
        let caller = match *package {
            Package::Need(need) => {
                let bundles = self.needs.options_in(&self.needs.all()[need], *version);
                let bundles = bundles
                    .map(|bundle| (Included(bundle), Included(bundle)))
                    .collect();
                let line = (Package::Line(*version), bundles);
                return Ok(Dependencies::Available([line].into_iter().collect()));
            }
            Package::Line(_) => Caller::Bundle(*version),
            Package::Application => Caller::Application,
        };
        if let Some((place, _)) = self
            .needs
            .of(caller)
            .find(|(_, need)| need.options.is_empty())
        {
            return Ok(Dependencies::Unavailable(place));
        }
        let needs = self
            .needs
            .of(caller)
            .map(|(place, _)| (Package::Need(place), Ranges::full()));
        Ok(Dependencies::Available(needs.collect()))
    }

    fn should_cancel(&self) -> Result<(), OutOfSteps> {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > MAX_SEARCH_STEPS {
            Err(OutOfSteps)
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
