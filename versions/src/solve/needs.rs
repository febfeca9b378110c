//! What each reachable caller needs, and which bundles could serve it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use semver::Version;

use super::{Candidate, Compatible, Entry};
use crate::{BundleFacts, ImportFact, Range, ServiceName, World, seeded};

/// Who needs a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// The application, for its entries.
    Application,
    /// The bundle of this number in the world.
    Bundle(usize),
}

/// All that one caller asks of one service: one bundle has to satisfy it.
#[derive(Debug)]
pub(super) struct Need {
    pub(super) caller: Caller,
    pub(super) service: ServiceName,
    pub(super) wants: Vec<Want>,
    /// The bundles that could serve every want, by number in the world, so oldest first.
    pub(super) options: Vec<usize>,
    /// The bundles whose version is in every range, but which something else rules out, and what.
    pub(super) rejected: Vec<(usize, String)>,
}

/// One import, or the application's wish for an entry.
#[derive(Debug)]
pub(super) struct Want {
    /// The place of the import in its bundle.
    pub(super) import: Option<usize>,
    pub(super) range: Range,
}

/// Versions of which a set holds at most one, because they promise to be compatible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// `3.x`
    Major(u64),
    /// `0.3.x`
    Minor(u64),
    /// `0.0.3`
    Patch(u64),
}

/// The needs of everything reachable. A number of a bundle is its place in [`World::bundles`].
pub(super) struct Needs<'a> {
    world: &'a World,
    /// Breadth first from the application, newest versions first.
    needs: Vec<Need>,
    by_caller: HashMap<Caller, Vec<usize>>,
    /// For each bundle the first bundle of its line: the line's name.
    line_starts: Vec<usize>,
}

impl<'a> Needs<'a> {
    pub(super) fn find(world: &'a World, entries: &[Entry], compatible: Compatible<'_>) -> Self {
        let mut found = Self {
            world,
            needs: Vec::new(),
            by_caller: HashMap::new(),
            line_starts: line_starts(world.bundles()),
        };
        let mut seen = HashSet::new();
        let mut queue = VecDeque::from([Caller::Application]);
        while let Some(caller) = queue.pop_front() {
            let mut needs = found.wants(caller, entries);
            for need in &mut needs {
                found.find_options(need, compatible);
            }
            // A bundle that can never be served draws nothing in.
            if needs.iter().all(|need| !need.options.is_empty()) {
                for callee in needs.iter().flat_map(|need| need.options.iter().rev()) {
                    if seen.insert(*callee) {
                        queue.push_back(Caller::Bundle(*callee));
                    }
                }
            }
            let first = found.needs.len();
            found
                .by_caller
                .insert(caller, (first..first + needs.len()).collect());
            found.needs.append(&mut needs);
        }
        found
    }

    /// The caller's needs, one per service, in the order in which it names them.
    fn wants(&self, caller: Caller, entries: &[Entry]) -> Vec<Need> {
        let wants: Vec<_> = match caller {
            Caller::Application => {
                let want = |entry: &Entry| {
                    (
                        entry.service.clone(),
                        Want {
                            import: None,
                            range: entry.range.clone(),
                        },
                    )
                };
                entries.iter().map(want).collect()
            }
            Caller::Bundle(bundle) => {
                let want = |(place, import): (usize, &ImportFact)| {
                    (
                        import.service.clone(),
                        Want {
                            import: Some(place),
                            range: import.range.clone(),
                        },
                    )
                };
                self.bundle(bundle)
                    .imports
                    .iter()
                    .enumerate()
                    .map(want)
                    .collect()
            }
        };
        let mut needs: Vec<Need> = Vec::new();
        for (service, want) in wants {
            match needs.iter_mut().find(|need| need.service == service) {
                Some(need) => need.wants.push(want),
                None => needs.push(Need {
                    caller,
                    service,
                    wants: vec![want],
                    options: Vec::new(),
                    rejected: Vec::new(),
                }),
            }
        }
        needs
    }

    fn find_options(&self, need: &mut Need, compatible: Compatible<'_>) {
        for number in self.world.numbers_of(&need.service) {
            let callee = self.bundle(number);
            if !need.accepts(&callee.id.version) {
                continue;
            }
            let fits = |want: &Want| match (need.caller, want.import) {
                (Caller::Bundle(caller), Some(import)) => {
                    let caller = self.bundle(caller);
                    let export = matching_export(&caller.imports[import], callee)?;
                    if seeded("schema-ignored") {
                        return Ok(());
                    }
                    compatible(Candidate {
                        caller,
                        import,
                        callee,
                        export,
                    })
                }
                _ => Ok(()),
            };
            match need.wants.iter().try_for_each(fits) {
                Ok(()) => need.options.push(number),
                Err(reason) => need.rejected.push((number, reason)),
            }
        }
    }

    pub(super) fn bundle(&self, number: usize) -> &'a Arc<BundleFacts> {
        &self.world.bundles()[number]
    }

    /// The versions of a service that exist, oldest first.
    pub(super) fn versions_of(
        &self,
        service: &ServiceName,
    ) -> impl DoubleEndedIterator<Item = &'a Version> {
        self.world
            .versions_of(service)
            .iter()
            .map(|bundle| &bundle.id.version)
    }

    pub(super) fn all(&self) -> &[Need] {
        &self.needs
    }

    /// The needs of one caller, with their places in [`all`](Self::all).
    pub(super) fn of(&self, caller: Caller) -> impl Iterator<Item = (usize, &Need)> {
        let places = self
            .by_caller
            .get(&caller)
            .map(Vec::as_slice)
            .unwrap_or_default();
        places.iter().map(|&place| (place, &self.needs[place]))
    }

    /// The name of the bundle's line: the number of its oldest bundle. Newer lines of a service have
    /// higher names.
    pub(super) fn line_of(&self, bundle: usize) -> usize {
        self.line_starts[bundle]
    }

    /// The bundles of a line, oldest first.
    pub(super) fn bundles_in(&self, line: usize) -> std::ops::Range<usize> {
        let rest = self.line_starts.iter().skip(line);
        line..line + rest.take_while(|start| **start == line).count()
    }

    /// The need's options within one line, oldest first.
    pub(super) fn options_in(&self, need: &Need, line: usize) -> impl Iterator<Item = usize> {
        need.options
            .iter()
            .copied()
            .filter(move |&bundle| self.line_of(bundle) == line)
    }
}

impl Need {
    /// Whether the version is in the range of every want.
    pub(super) fn accepts(&self, version: &Version) -> bool {
        let mut wants = self.wants.iter();
        match seeded("one-range-of-a-caller-ignored") {
            true => wants.next().is_none_or(|want| want.range.contains(version)),
            false => wants.all(|want| want.range.contains(version)),
        }
    }

    /// The places of the imports that this need covers.
    pub(super) fn imports(&self) -> impl Iterator<Item = usize> {
        self.wants.iter().filter_map(|want| want.import)
    }
}

impl Line {
    pub(super) fn of(version: &Version) -> Self {
        match (version.major, version.minor, version.patch) {
            (0, 0, patch) => Self::Patch(patch),
            (0, minor, _) => Self::Minor(minor),
            (major, ..) => Self::Major(major),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Major(major) => write!(f, "{major}.x"),
            Self::Minor(minor) => write!(f, "0.{minor}.x"),
            Self::Patch(patch) => write!(f, "0.0.{patch}"),
        }
    }
}

/// The export of `callee` that `import` asks for, or why there is none.
pub(super) fn matching_export(import: &ImportFact, callee: &BundleFacts) -> Result<usize, String> {
    let named = |name: &str| {
        callee
            .exports
            .iter()
            .position(|export| *export.name == *name)
    };
    let wanted = format!(
        "interface @0x{:016x} (import {})",
        import.interface, import.name
    );
    if let Some(name) = &import.export {
        let place = named(name)
            .ok_or_else(|| format!("has no export {name}, which import {} names", import.name))?;
        if callee.exports[place].interface != import.interface {
            return Err(format!(
                "exports under {name} the interface @0x{:016x}, not {wanted}",
                callee.exports[place].interface
            ));
        }
        return Ok(place);
    }
    let mut places = (0..callee.exports.len())
        .filter(|&place| callee.exports[place].interface == import.interface);
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        (None, _) => Err(format!("does not export {wanted}")),
        (Some(first), Some(second)) => Err(format!(
            "exports {wanted} as {first} and as {second}: choose with `export = \"{first}\"` in \
             [imports.{}]",
            import.name,
            first = callee.exports[first].name,
            second = callee.exports[second].name,
        )),
    }
}

fn line_starts(bundles: &[Arc<BundleFacts>]) -> Vec<usize> {
    let mut starts: Vec<usize> = Vec::with_capacity(bundles.len());
    for (number, bundle) in bundles.iter().enumerate() {
        let same_line = |start: &usize| {
            let first = &bundles[*start].id;
            first.service == bundle.id.service
                && Line::of(&first.version) == Line::of(&bundle.id.version)
        };
        starts.push(starts.last().copied().filter(same_line).unwrap_or(number));
    }
    starts
}
