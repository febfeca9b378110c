//! Explanations for people.
//!
//! pubgrub's proof is a tree of lemmas about packages that exist for the search alone. Its leaves are
//! the facts that together rule every choice out; told from the application outwards, they are what a
//! person needs: who needs what, what there is, why that will not do, and what would help.

use std::collections::{BTreeSet, HashSet};
use std::fmt::{Display, Write as _};
use std::sync::Arc;

use pubgrub::{DerivationTree, External};
use semver::{Prerelease, Version};

use super::needs::{Caller, Line, Need, Needs};
use super::search::{Package, Proof};
use crate::BundleId;

/// The most versions that one line of the explanation lists.
const MAX_VERSIONS_LISTED: usize = 6;

/// The most needs, and the most clashes, that an explanation lists.
const MAX_FACTS_LISTED: usize = 40;

/// The facts that a proof rests on, by place of need and name of line.
#[derive(Default)]
struct Facts {
    needs: BTreeSet<usize>,
    /// (line, need): the need could be served by the line, and the proof shows why it is not.
    served_by: BTreeSet<(usize, usize)>,
}

pub(super) fn explain(needs: &Needs<'_>, proof: &Proof) -> String {
    let facts = Facts::of(proof);
    let entries = needs
        .of(Caller::Application)
        .map(|(_, need)| need.service.as_str());
    let entries: Vec<_> = entries.collect();
    let verb = if entries.len() == 1 { "needs" } else { "need" };
    let entries = list(entries.into_iter(), "and");
    let mut text = format!("no version set has all that {entries} {verb}");
    for place in facts.needs.iter().take(MAX_FACTS_LISTED) {
        tell_need(&mut text, needs, &needs.all()[*place]);
    }
    let untold = facts.needs.len().saturating_sub(MAX_FACTS_LISTED);
    if untold > 0 {
        let _ = write!(text, "\n- and {untold} more needs that lead nowhere");
    }
    for (line, callers) in clashes(needs, &facts).iter().take(MAX_FACTS_LISTED) {
        tell_clash(&mut text, needs, *line, callers);
    }
    text
}

impl Facts {
    fn of(proof: &Proof) -> Self {
        let mut facts = Self::default();
        let mut seen = HashSet::new();
        let mut stack = vec![proof];
        while let Some(tree) = stack.pop() {
            match tree {
                DerivationTree::Derived(derived) => {
                    for cause in [&derived.cause1, &derived.cause2] {
                        if seen.insert(Arc::as_ptr(cause)) {
                            stack.push(cause);
                        }
                    }
                }
                DerivationTree::External(External::Custom(_, _, place)) => {
                    facts.needs.insert(*place);
                }
                DerivationTree::External(External::FromDependencyOf(from, _, to, _)) => {
                    for package in [from, to] {
                        if let Package::Need(place) = package {
                            facts.needs.insert(*place);
                        }
                    }
                    if let (Package::Need(place), Package::Line(line)) = (from, to) {
                        facts.served_by.insert((*line, *place));
                    }
                }
                DerivationTree::External(External::NotRoot(..) | External::NoVersions(..)) => {}
            }
        }
        facts
    }
}

fn tell_need(text: &mut String, needs: &Needs<'_>, need: &Need) {
    let service = &need.service;
    let _ = write!(
        text,
        "\n- {} needs {service} {}: ",
        name(needs, need.caller),
        wants(needs, need)
    );
    let exists = || list_versions(needs.versions_of(service).rev(), "and");
    let hint = if !need.options.is_empty() {
        let versions = need
            .options
            .iter()
            .rev()
            .map(|&bundle| &needs.bundle(bundle).id.version);
        let only = if need.options.len() == 1 { "only " } else { "" };
        let _ = write!(text, "{only}{} would do", list_versions(versions, "or"));
        None
    } else if needs.versions_of(service).next().is_none() {
        text.push_str("there is no bundle of that service");
        Some(format!("deploy a bundle of {service}, or correct the name"))
    } else if !need.rejected.is_empty() {
        text.push_str("no version in range is usable");
        Some(format!(
            "deploy a version of {service} that fits, or rebuild {} against the schema of one of these",
            name(needs, need.caller)
        ))
    } else if let Some(version) = pre_release(needs, need) {
        let _ = write!(text, "there is only {}", exists());
        Some(format!(
            "to accept the pre-release {version}, name it: `^{version}`"
        ))
    } else if need.wants.len() > 1 {
        let _ = write!(
            text,
            "it gets one version for all, and none of {} is in every range",
            exists()
        );
        Some(format!(
            "deploy a version of {service} that is in each, or let the ranges overlap"
        ))
    } else {
        let _ = write!(text, "there is only {}", exists());
        Some(format!(
            "deploy a version of {service} that is in range, or widen the range"
        ))
    };
    for (bundle, reason) in need.rejected.iter().rev().take(MAX_VERSIONS_LISTED) {
        let _ = write!(text, "\n    {} {reason}", needs.bundle(*bundle).id);
    }
    if let Some(hint) = hint {
        let _ = write!(text, "\n    hint: {hint}");
    }
}

fn tell_clash(text: &mut String, needs: &Needs<'_>, line: usize, callers: &[Caller]) {
    let BundleId {
        service, version, ..
    } = &needs.bundle(line).id;
    let line = Line::of(version);
    let names = list(callers.iter().map(|caller| name(needs, *caller)), "and");
    let (clash, them) = match callers.len() {
        1 => (format!("{names}, which is one, needs another"), "it"),
        2 => (format!("none suits both {names}"), "both"),
        _ => (format!("none suits all of {names}"), "them all"),
    };
    let _ = write!(
        text,
        "\n- a set holds one version of {service} {line}, and {clash}\n    hint: deploy a version of \
         {service} that suits {them}, or widen a range"
    );
}

/// Callers that cannot share a line that the proof has them share: pairs, or one that is of that
/// line itself, or else all of them.
fn clashes(needs: &Needs<'_>, facts: &Facts) -> Vec<(usize, Vec<Caller>)> {
    let mut clashes = Vec::new();
    let lines: BTreeSet<_> = facts.served_by.iter().map(|(line, _)| *line).collect();
    for line in lines {
        let sharers: Vec<(&Need, BTreeSet<usize>)> = facts
            .served_by
            .range((line, 0)..=(line, usize::MAX))
            .map(|(_, place)| &needs.all()[*place])
            .map(|need| (need, needs.options_in(need, line).collect()))
            .collect();
        let before = clashes.len();
        for (index, (one, ones)) in sharers.iter().enumerate() {
            if let Caller::Bundle(own) = one.caller
                && needs.line_of(own) == line
                && !ones.contains(&own)
            {
                clashes.push((line, vec![one.caller]));
            }
            for (other, others) in &sharers[index + 1..] {
                if ones.is_disjoint(others) && !alternatives(needs, one.caller, other.caller) {
                    clashes.push((line, vec![one.caller, other.caller]));
                }
            }
        }
        let mut options = sharers.iter().map(|(_, options)| options.clone());
        let common = options
            .next()
            .map(|first| options.fold(first, |a, b| &a & &b));
        if clashes.len() == before && common.is_some_and(|common| common.is_empty()) {
            clashes.push((line, sharers.iter().map(|(need, _)| need.caller).collect()));
        }
    }
    clashes
}

/// Whether a set holds at most one of the two anyway.
fn alternatives(needs: &Needs<'_>, one: Caller, other: Caller) -> bool {
    match (one, other) {
        (Caller::Bundle(one), Caller::Bundle(other)) => needs.line_of(one) == needs.line_of(other),
        _ => false,
    }
}

/// The newest pre-release that would be in range if it were the release.
fn pre_release<'a>(needs: &Needs<'a>, need: &Need) -> Option<&'a Version> {
    needs.versions_of(&need.service).rev().find(|version| {
        let release = Version {
            pre: Prerelease::EMPTY,
            ..(*version).clone()
        };
        !version.pre.is_empty() && need.accepts(&release)
    })
}

fn name(needs: &Needs<'_>, caller: Caller) -> String {
    match caller {
        Caller::Application => "the application".to_owned(),
        Caller::Bundle(bundle) => needs.bundle(bundle).id.to_string(),
    }
}

/// `^1 (import OLD) and ^2 (import NEW)`
fn wants(needs: &Needs<'_>, need: &Need) -> String {
    let wants = need
        .wants
        .iter()
        .map(|want| match (need.caller, want.import) {
            (Caller::Bundle(bundle), Some(import)) => {
                format!(
                    "{} (import {})",
                    want.range,
                    needs.bundle(bundle).imports[import].name
                )
            }
            _ => format!("{} as an entry", want.range),
        });
    list(wants, "and")
}

fn list_versions<'a>(versions: impl Iterator<Item = &'a Version>, last: &str) -> String {
    let mut versions: Vec<_> = versions.map(ToString::to_string).collect();
    let untold = versions.len().saturating_sub(MAX_VERSIONS_LISTED);
    if untold > 0 {
        versions.truncate(MAX_VERSIONS_LISTED);
        versions.push(format!("{untold} older"));
    }
    list(versions.into_iter(), last)
}

/// `a, b and c`
fn list(items: impl Iterator<Item = impl Display>, last: &str) -> String {
    let items: Vec<_> = items.map(|item| item.to_string()).collect();
    match items.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [most @ .., end] => format!("{} {last} {end}", most.join(", ")),
    }
}
