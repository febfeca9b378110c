//! The checker. It believes nothing but the trace: a set's facts are compared with its digest, an
//! admission with the table of its epoch, a call with the wiring of its root's set.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::{BundleRecord, Choice, Record, RootId, SetRecord};
use crate::{Digest, Mask, seeded};

/// The most violations that a report tells; the rest are only counted.
const MAX_VIOLATIONS_TOLD: usize = 100;

/// What a checker found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records read, and those that could not be.
    pub records: u64,
    /// Requests admitted.
    pub requests: u64,
    /// Those that had not ended at the end of the trace.
    pub unended: u64,
    /// Calls made.
    pub calls: u64,
    /// Sets that were described.
    pub sets: u64,
    /// Routing tables that were published.
    pub tables: u64,
    /// Records that the trace says are missing.
    pub dropped: u64,
    /// How many promises were broken.
    pub broken: u64,
    /// The first of them.
    pub violations: Vec<Violation>,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The number of the record that shows it, from 1: its line in the trace.
    pub record: u64,
    /// Which promise.
    pub promise: Promise,
    /// What is wrong, for a person.
    pub what: String,
}

/// What a request is promised, as far as a trace can show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// Its set comes from one epoch of the routing table.
    Admission,
    /// Its set is closed: every import leads to one bundle that fits.
    Closed,
    /// Every call for it follows its set's wiring.
    NoSwitch,
}

/// Checks a trace record by record, keeping only what later ones are compared with: sets, tables
/// and the requests that have not ended.
#[derive(Debug, Default)]
pub struct Verifier {
    report: Report,
    sets: HashMap<Digest, Wiring>,
    tables: BTreeMap<u64, BTreeMap<Mask, Digest>>,
    roots: HashMap<RootId, Digest>,
}

/// The callee of each caller's import, and the bundles' names.
#[derive(Debug, Default)]
struct Wiring {
    names: HashMap<Digest, String>,
    edges: HashMap<(Digest, String), Digest>,
}

/// Checks a whole trace.
pub fn verify(records: impl IntoIterator<Item = Record>) -> Report {
    let mut verifier = Verifier::default();
    for record in records {
        verifier.record(record);
    }
    verifier.finish()
}

impl Verifier {
    /// Checks the next record.
    pub fn record(&mut self, record: Record) {
        self.report.records += 1;
        match record {
            Record::Table { epoch, sets } => self.table(epoch, sets),
            Record::Set(set) => self.set(&set),
            Record::Admit {
                root,
                epoch,
                set,
                by,
            } => self.admit(root, epoch, set, by),
            Record::Call {
                root,
                set,
                caller,
                callee,
                import,
            } => {
                self.call(&root, set, caller, callee, &import);
            }
            Record::Dropped { records } => self.report.dropped += records,
            Record::End { root } => {
                if self.roots.remove(&root).is_none() {
                    self.broken(
                        Promise::NoSwitch,
                        format!("{root} ends, but was not admitted"),
                    );
                }
            }
        }
    }

    /// Counts a record that cannot be read, so that later ones keep their numbers.
    pub fn leave_out(&mut self) {
        self.report.records += 1;
    }

    /// What was found in all.
    pub fn finish(mut self) -> Report {
        self.report.unended = self.roots.len() as u64;
        self.report
    }

    fn table(&mut self, epoch: u64, sets: Vec<(Mask, Digest)>) {
        self.report.tables += 1;
        let sets: BTreeMap<_, _> = sets.into_iter().collect();
        if self.tables.get(&epoch).is_some_and(|known| *known != sets) {
            self.broken(
                Promise::Admission,
                format!("epoch {epoch} is that of two different tables"),
            );
        }
        self.tables.insert(epoch, sets);
    }

    fn set(&mut self, set: &SetRecord) {
        self.report.sets += 1;
        let name = set.digest.short();
        if Digest::of(set.text.as_bytes()) != set.digest {
            self.broken(
                Promise::Closed,
                format!("set {name} has another digest than its text"),
            );
        }
        if set.written() != set.text {
            self.broken(
                Promise::Closed,
                format!("set {name} has another text than its wiring"),
            );
        }
        let gaps = match seeded("evidence-blind-to-gaps") {
            true => Vec::new(),
            false => set.gaps(),
        };
        for what in gaps {
            self.broken(Promise::Closed, format!("in set {name}, {what}"));
        }
        self.sets.insert(set.digest, Wiring::of(set));
    }

    fn admit(&mut self, root: RootId, epoch: u64, set: Digest, by: Choice) {
        self.report.requests += 1;
        let name = set.short();
        if !self.sets.contains_key(&set) {
            self.broken(
                Promise::Closed,
                format!("{root} is pinned to set {name}, which nothing describes"),
            );
        }
        match (self.tables.get(&epoch), by) {
            (None, _) => self.broken(
                Promise::Admission,
                format!("{root} is of epoch {epoch}, which no table has"),
            ),
            (Some(table), Choice::Table(mask)) => {
                let entitled = table.get(&mask).copied();
                if entitled != Some(set) && !seeded("evidence-blind-to-epochs") {
                    let entitled = entitled.map_or("none".to_owned(), |set| set.short());
                    self.broken(
                        Promise::Admission,
                        format!(
                            "{root} is pinned to set {name}, but for combination {mask} epoch \
                             {epoch} has {entitled}"
                        ),
                    );
                }
            }
            (Some(_), Choice::Override | Choice::Token) => {}
        }
        if self.roots.insert(root.clone(), set).is_some() {
            self.broken(Promise::NoSwitch, format!("{root} is admitted twice"));
        }
    }

    fn call(&mut self, root: &str, set: Digest, caller: Digest, callee: Digest, import: &str) {
        self.report.calls += 1;
        let Some(&pinned) = self.roots.get(root) else {
            let what = format!("a call is made for {root}, which is not admitted or has ended");
            return self.broken(Promise::NoSwitch, what);
        };
        if pinned != set && !seeded("evidence-blind-to-a-switch") {
            let (pinned, set) = (pinned.short(), set.short());
            let what = format!("{root} is pinned to set {pinned}, but makes a call under {set}");
            self.broken(Promise::NoSwitch, what);
        }
        let Some(wiring) = self.sets.get(&pinned) else {
            return; // Told when it was admitted.
        };
        let named = |bundle: Digest| match wiring.names.get(&bundle) {
            Some(name) => name.clone(),
            None => format!("bundle {} of another set", bundle.short()),
        };
        let wired = wiring.edges.get(&(caller, import.to_owned())).copied();
        if wired != Some(callee) && !seeded("evidence-blind-to-wiring") {
            let leads = wired.map_or("nowhere".to_owned(), |wired| format!("to {}", named(wired)));
            let what = format!(
                "for {root}, {} called {} through {import}, which leads {leads}",
                named(caller),
                named(callee)
            );
            self.broken(Promise::NoSwitch, what);
        }
    }

    fn broken(&mut self, promise: Promise, what: String) {
        self.report.broken += 1;
        if self.report.violations.len() < MAX_VIOLATIONS_TOLD {
            self.report.violations.push(Violation {
                record: self.report.records,
                promise,
                what,
            });
        }
    }
}

impl Wiring {
    fn of(set: &SetRecord) -> Self {
        let mut wiring = Self::default();
        for bundle in &set.bundles {
            let digest = bundle.id.digest;
            wiring.names.insert(digest, bundle.id.to_string());
            for import in &bundle.imports {
                if let Some(callee) = set.bundles.get(import.callee) {
                    let edge = (digest, import.name.clone());
                    wiring.edges.insert(edge, callee.id.digest);
                }
            }
        }
        wiring
    }
}

impl SetRecord {
    /// The text that its facts give, as [`VersionSet`](crate::VersionSet) writes it.
    fn written(&self) -> String {
        use fmt::Write as _;
        let mut text = "isolith version set 1\n".to_owned();
        for bundle in &self.bundles {
            let _ = writeln!(text, "bundle {} {}", bundle.id, bundle.id.digest);
        }
        for caller in &self.bundles {
            let mut imports: Vec<_> = caller.imports.iter().collect();
            imports.sort_by(|a, b| a.name.cmp(&b.name));
            for import in imports {
                let callee = self.bundles.get(import.callee);
                let export = callee.and_then(|callee| callee.exports.get(import.export));
                if let (Some(callee), Some((export, _))) = (callee, export) {
                    let _ = writeln!(
                        text,
                        "edge {} \"{}\" -> {} \"{}\"",
                        caller.id,
                        import.name.escape_default(),
                        callee.id,
                        export.escape_default()
                    );
                }
            }
        }
        for (service, bundle) in &self.entries {
            if let Some(bundle) = self.bundles.get(*bundle) {
                let _ = writeln!(text, "entry {service} -> {}", bundle.id);
            }
        }
        text
    }

    /// What is missing for the set to be closed, for a person.
    fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        for (service, bundle) in &self.entries {
            if self
                .bundles
                .get(*bundle)
                .is_none_or(|bundle| bundle.id.service != *service)
            {
                gaps.push(format!("entry {service} has no bundle"));
            }
        }
        for caller in &self.bundles {
            let mut versions = BTreeMap::new();
            let mut names = BTreeSet::new();
            for import in &caller.imports {
                let whose = format!("{}'s import {}", caller.id, import.name);
                if !names.insert(&import.name) {
                    gaps.push(format!("{whose} is there twice"));
                }
                let Some(callee) = self.bundles.get(import.callee) else {
                    gaps.push(format!("{whose} leads nowhere"));
                    continue;
                };
                if let Some(misfit) = import.misfit(callee) {
                    gaps.push(format!("{whose} leads to {}, {misfit}", callee.id));
                }
                let seen = versions.entry(&import.service).or_insert(import.callee);
                if *seen != import.callee {
                    gaps.push(format!(
                        "{} sees two versions of {}",
                        caller.id, import.service
                    ));
                }
            }
        }
        gaps
    }
}

impl super::ImportRecord {
    fn misfit(&self, callee: &BundleRecord) -> Option<String> {
        if callee.id.service != self.service {
            return Some(format!("but asks for {}", self.service));
        }
        if !self.range.contains(&callee.id.version) {
            return Some(format!("which is not in {}", self.range));
        }
        match callee.exports.get(self.export) {
            None => Some("which has no such export".to_owned()),
            Some((name, interface)) if *interface != self.interface => {
                Some(format!("whose {name} is another interface"))
            }
            Some(_) => None,
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admission => "P1",
            Self::Closed => "P2",
            Self::NoSwitch => "P3",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.record, self.promise, self.what)
    }
}
