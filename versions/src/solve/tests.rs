use std::collections::{BTreeMap, BTreeSet};

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::testing::{bundles, entries, set, world};
use crate::{BundleFacts, Digest};

fn explained(wanted: &str, text: &str, compatible: Compatible<'_>, expected: Expect) {
    let error = solve(&world(text), &entries(wanted), compatible).unwrap_err();
    expected.assert_eq(&error.to_string());
}

fn all(_: Candidate<'_>) -> Result<(), String> {
    Ok(())
}

/// The wiring without digests of bundles.
fn wiring(set: &VersionSet) -> String {
    let text = set.to_string();
    text.lines()
        .filter(|line| line.starts_with("e"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn callers_of_different_majors_stand_side_by_side() {
    let set = set(
        "frontend *",
        "auth@1.4.0
         auth@1.5.0
         auth@2.0.0
         cart@1.0.0 -> auth ^1
         frontend@3.1.0 -> auth ^1; cart *
         frontend@3.2.0 -> auth >=1.4, <3; cart *",
    );
    expect![[r#"
        edge cart@1.0.0 "AUTH" -> auth@1.5.0 "AUTH"
        edge frontend@3.2.0 "AUTH" -> auth@2.0.0 "AUTH"
        edge frontend@3.2.0 "CART" -> cart@1.0.0 "CART"
        entry frontend -> frontend@3.2.0
    "#]]
    .assert_eq(&wiring(&set));
}

#[test]
fn a_caller_with_two_bindings_gets_one_version() {
    let set = set(
        "frontend *",
        "auth@1.4.0
         auth@2.0.0
         auth@2.1.0
         frontend@3.2.0 -> NEW=auth ^2; OLD=auth >=1, <2.1",
    );
    expect![[r#"
        edge frontend@3.2.0 "NEW" -> auth@2.0.0 "AUTH"
        edge frontend@3.2.0 "OLD" -> auth@2.0.0 "AUTH"
        entry frontend -> frontend@3.2.0
    "#]]
    .assert_eq(&wiring(&set));
}

#[test]
fn cycles_and_calls_to_oneself_close() {
    let set = set("a *", "a@1.0.0 -> b ^1; a *\nb@1.0.0 -> a ^1");
    expect![[r#"
        edge a@1.0.0 "A" -> a@1.0.0 "A"
        edge a@1.0.0 "B" -> b@1.0.0 "B"
        edge b@1.0.0 "A" -> a@1.0.0 "A"
        entry a -> a@1.0.0
    "#]]
    .assert_eq(&wiring(&set));
}

#[test]
fn an_older_version_serves_where_the_newest_cannot() {
    let set = set(
        "frontend *",
        "auth@1.4.0
         frontend@3.1.0 -> auth ^1
         frontend@3.2.0 -> auth ^2",
    );
    assert_eq!(
        set.bundles()[set.entry("frontend").unwrap()].id.to_string(),
        "frontend@3.1.0"
    );
}

#[test]
fn the_named_export_is_chosen() {
    let mut bundles = bundles("auth@1.0.0\nfrontend@1.0.0 -> auth *");
    let auth = Arc::make_mut(&mut bundles[0]);
    auth.exports.push(auth.exports[0].clone());
    auth.exports[1].name = "ADMIN".into();
    let interface = auth.exports[0].interface;
    let wanted = entries("frontend *");

    let ambiguous = World::new(bundles.clone()).unwrap();
    let error = solve(&ambiguous, &wanted, &all).unwrap_err().to_string();
    assert!(
        error.contains("choose with `export = \"AUTH\"` in [imports.AUTH]"),
        "{error}"
    );

    Arc::make_mut(&mut bundles[1]).imports[0].export = Some("ADMIN".into());
    let named = World::new(bundles.clone()).unwrap();
    let set = solve(&named, &wanted, &all).unwrap();
    assert_eq!(
        set.edges(1),
        [Edge {
            callee: 0,
            export: 1
        }]
    );

    Arc::make_mut(&mut bundles[0]).exports[1].interface = interface + 1;
    let other = World::new(bundles).unwrap();
    let error = solve(&other, &wanted, &all).unwrap_err().to_string();
    assert!(
        error.contains("auth@1.0.0 exports under ADMIN the interface @0x"),
        "{error}"
    );
}

#[test]
fn explains_a_range_that_nothing_is_in() {
    explained(
        "frontend ^3",
        "auth@1.4.0
         auth@2.0.0
         frontend@3.2.0 -> auth ^2.1",
        &all,
        expect![[r#"
            no version set has all that frontend needs
            - the application needs frontend ^3 as an entry: only 3.2.0 would do
            - frontend@3.2.0 needs auth ^2.1 (import AUTH): there is only 2.0.0 and 1.4.0
                hint: deploy a version of auth that is in range, or widen the range"#]],
    );
}

#[test]
fn explains_an_entry_that_is_not_there() {
    explained(
        "frontent *",
        "frontend@3.2.0",
        &all,
        expect![[r#"
            no version set has all that frontent needs
            - the application needs frontent * as an entry: there is no bundle of that service
                hint: deploy a bundle of frontent, or correct the name"#]],
    );
}

#[test]
fn explains_versions_that_clash() {
    explained(
        "frontend *",
        "auth@1.4.0
         auth@1.5.0
         auth@2.0.0
         cart@1.0.0 -> auth ~1.4
         frontend@3.2.0 -> auth ^1.5; cart ^1",
        &all,
        expect![[r#"
            no version set has all that frontend needs
            - the application needs frontend * as an entry: only 3.2.0 would do
            - frontend@3.2.0 needs auth ^1.5 (import AUTH): only 1.5.0 would do
            - frontend@3.2.0 needs cart ^1 (import CART): only 1.0.0 would do
            - cart@1.0.0 needs auth ~1.4 (import AUTH): only 1.4.0 would do
            - a set holds one version of auth 1.x, and none suits both frontend@3.2.0 and cart@1.0.0
                hint: deploy a version of auth that suits both, or widen a range"#]],
    );
}

#[test]
fn explains_a_schema_that_does_not_fit() {
    explained(
        "frontend *",
        "auth@1.4.0
         auth@2.0.0
         frontend@3.1.0 -> auth ^1.5
         frontend@3.2.0 -> auth ^2",
        &|edge| match edge.callee.id.version.major {
            2 => Err("dropped the method `check`".to_owned()),
            _ => Ok(()),
        },
        expect![[r#"
            no version set has all that frontend needs
            - the application needs frontend * as an entry: 3.2.0 or 3.1.0 would do
            - frontend@3.2.0 needs auth ^2 (import AUTH): no version in range is usable
                auth@2.0.0 dropped the method `check`
                hint: deploy a version of auth that fits, or rebuild frontend@3.2.0 against the schema of one of these
            - frontend@3.1.0 needs auth ^1.5 (import AUTH): there is only 2.0.0 and 1.4.0
                hint: deploy a version of auth that is in range, or widen the range"#]],
    );
}

#[test]
fn explains_two_bindings_that_exclude_each_other() {
    explained(
        "frontend *",
        "auth@1.4.0
         auth@2.0.0
         frontend@3.2.0 -> OLD=auth ^1; NEW=auth ^2",
        &all,
        expect![[r#"
            no version set has all that frontend needs
            - the application needs frontend * as an entry: only 3.2.0 would do
            - frontend@3.2.0 needs auth ^1 (import OLD) and ^2 (import NEW): it gets one version for all, and none of 2.0.0 and 1.4.0 is in every range
                hint: deploy a version of auth that is in each, or let the ranges overlap"#]],
    );
}

#[test]
fn explains_a_service_that_needs_another_version_of_itself() {
    explained(
        "a *",
        "a@1.0.0 -> a ^1.1
         a@1.1.0 -> a =1.0.0",
        &all,
        expect![[r#"
            no version set has all that a needs
            - the application needs a * as an entry: 1.1.0 or 1.0.0 would do
            - a@1.1.0 needs a =1.0.0 (import A): only 1.0.0 would do
            - a@1.0.0 needs a ^1.1 (import A): only 1.1.0 would do
            - a set holds one version of a 1.x, and a@1.1.0, which is one, needs another
                hint: deploy a version of a that suits it, or widen a range
            - a set holds one version of a 1.x, and a@1.0.0, which is one, needs another
                hint: deploy a version of a that suits it, or widen a range"#]],
    );
}

#[test]
fn explains_pre_releases() {
    explained(
        "frontend *",
        "auth@1.4.0
         auth@2.0.0-rc.1
         frontend@3.2.0 -> auth ^2",
        &all,
        expect![[r#"
            no version set has all that frontend needs
            - the application needs frontend * as an entry: only 3.2.0 would do
            - frontend@3.2.0 needs auth ^2 (import AUTH): there is only 2.0.0-rc.1 and 1.4.0
                hint: to accept the pre-release 2.0.0-rc.1, name it: `^2.0.0-rc.1`"#]],
    );
}

#[test]
fn many_versions_and_services_are_solved_in_few_steps() {
    // Every service imports the next; only the oldest version of the last is left in range.
    let mut text = String::new();
    for service in 0..40 {
        for minor in 0..20 {
            let next = service + 1;
            text += &format!("s{service}@1.{minor}.0 -> s{next} >=1.0, <=1.{minor}\n");
        }
    }
    text += "s40@1.0.0";
    let set = set("s0 *", &text);
    assert_eq!(set.bundles().len(), 41);
    assert_eq!(
        set.bundles()[set.entry("s0").unwrap()].id.to_string(),
        "s0@1.19.0"
    );
}

// The solver against every possibility, on small worlds.

const SERVICES: [&str; 4] = ["a", "b", "c", "d"];
const VERSIONS: [&str; 6] = ["0.1.0", "1.0.0", "1.1.0", "1.2.0", "2.0.0-rc.1", "2.0.0"];
const RANGES: [&str; 8] = [
    "*",
    "^1",
    "=1.0.0",
    "~1.1",
    "=1.2.0",
    ">=0.1, <1.1",
    ">=1.1, <3",
    "^2.0.0-rc.1",
];

/// For each bundle (service, version) whether it exists, and its imports (service, range).
fn small_world() -> impl Strategy<Value = Vec<Option<Vec<(usize, usize)>>>> {
    let import = (0..SERVICES.len(), 0..RANGES.len());
    let bundle = proptest::option::weighted(0.8, proptest::collection::vec(import, 0..4));
    proptest::collection::vec(bundle, SERVICES.len() * VERSIONS.len())
}

fn written(world: &[Option<Vec<(usize, usize)>>]) -> String {
    let mut text = String::new();
    for (place, bundle) in world.iter().enumerate() {
        let Some(imports) = bundle else { continue };
        let (service, version) = (place / VERSIONS.len(), place % VERSIONS.len());
        text += &format!("{}@{} -> ", SERVICES[service], VERSIONS[version]);
        for (binding, (service, range)) in imports.iter().enumerate() {
            text += &format!("I{binding}={} {};", SERVICES[*service], RANGES[*range]);
        }
        text += "\n";
    }
    text
}

/// An arbitrary answer that is always the same for the same edge; 15 of 16 fit.
fn fits(salt: u8, caller: &BundleFacts, import: usize, callee: &BundleFacts) -> bool {
    let text = format!("{salt} {} {import} {}", caller.id, callee.id);
    !Digest::of(text.as_bytes()).0[0].is_multiple_of(16)
}

/// The line of compatible versions, in a way of its own.
fn line(bundle: &BundleFacts) -> String {
    let version = &bundle.id.version;
    let line = match (version.major, version.minor) {
        (0, 0) => format!("0.0.{}", version.patch),
        (0, minor) => format!("0.{minor}"),
        (major, _) => major.to_string(),
    };
    format!("{} {line}", bundle.id.service)
}

/// Every callee that suits all of the caller's imports of one service.
fn suitable<'a>(
    world: &'a World,
    salt: u8,
    caller: &BundleFacts,
    service: &ServiceName,
) -> Vec<&'a Arc<BundleFacts>> {
    let suits = |callee: &&Arc<BundleFacts>| {
        callee.id.service == *service
            && caller.imports.iter().enumerate().all(|(place, import)| {
                import.service != *service
                    || import.range.contains(&callee.id.version)
                        && fits(salt, caller, place, callee)
            })
    };
    world.bundles().iter().filter(suits).collect()
}

/// Whether the pending needs can be met, given what each line holds already.
fn possible<'a>(
    world: &'a World,
    salt: u8,
    held: &BTreeMap<String, &'a Arc<BundleFacts>>,
    pending: &[(&'a Arc<BundleFacts>, &'a ServiceName)],
) -> bool {
    let Some(((caller, service), rest)) = pending.split_first() else {
        return true;
    };
    suitable(world, salt, caller, service)
        .into_iter()
        .any(|callee| match held.get(&line(callee)) {
            Some(holder) => holder.id == callee.id && possible(world, salt, held, rest),
            None => {
                let mut held = held.clone();
                held.insert(line(callee), callee);
                let services: BTreeSet<_> = callee.imports.iter().map(|i| &i.service).collect();
                let more = services.into_iter().map(|service| (callee, service));
                let pending: Vec<_> = rest.iter().copied().chain(more).collect();
                possible(world, salt, &held, &pending)
            }
        })
}

/// The newest version of `service` that a set can have as its entry.
fn newest_possible<'a>(world: &'a World, salt: u8, entry: &Entry) -> Option<&'a Arc<BundleFacts>> {
    world
        .versions_of(&entry.service)
        .iter()
        .rev()
        .find(|bundle| {
            let services: BTreeSet<_> = bundle.imports.iter().map(|i| &i.service).collect();
            let pending: Vec<_> = services
                .into_iter()
                .map(|service| (*bundle, service))
                .collect();
            let held = BTreeMap::from([(line(bundle), *bundle)]);
            entry.range.contains(&bundle.id.version) && possible(world, salt, &held, &pending)
        })
}

fn check(set: &VersionSet, world: &World, salt: u8) {
    assert!(set.bundles().is_sorted_by(|a, b| a.id < b.id));
    let lines: BTreeSet<_> = set.bundles().iter().map(|bundle| line(bundle)).collect();
    assert_eq!(lines.len(), set.bundles().len(), "one version per line");
    let mut reached: BTreeSet<usize> = set.entries().iter().map(|(_, bundle)| *bundle).collect();
    for (number, caller) in set.bundles().iter().enumerate() {
        assert!(world.bundles().contains(caller));
        assert_eq!(set.edges(number).len(), caller.imports.len(), "closed");
        let mut callees = BTreeMap::new();
        for (place, (import, edge)) in caller.imports.iter().zip(set.edges(number)).enumerate() {
            let callee = &set.bundles()[edge.callee];
            reached.insert(edge.callee);
            assert_eq!(callee.id.service, import.service);
            assert_eq!(callee.exports[edge.export].interface, import.interface);
            assert!(import.range.contains(&callee.id.version));
            assert!(fits(salt, caller, place, callee));
            let seen = callees.entry(&import.service).or_insert(edge.callee);
            assert_eq!(*seen, edge.callee, "a caller sees one version");
        }
    }
    assert_eq!(reached.len(), set.bundles().len(), "nothing unreachable");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn agrees_with_brute_force(small in small_world(), range in 0..RANGES.len(), salt: u8) {
        let facts = bundles(&written(&small));
        let world = World::new(facts.clone()).unwrap();
        let wanted = entries(&format!("a {}", RANGES[range]));
        let compatible = |edge: Candidate<'_>| match fits(salt, edge.caller, edge.import, edge.callee) {
            true => Ok(()),
            false => Err("does not fit".to_owned()),
        };
        let found = solve(&world, &wanted, &compatible);
        match (&found, newest_possible(&world, salt, &wanted[0])) {
            (Ok(set), Some(newest)) => {
                check(set, &world, salt);
                prop_assert_eq!(&set.bundles()[set.entry("a").unwrap()].id, &newest.id);
            }
            (Err(Unsolvable::Contradiction(text)), None) => {
                prop_assert!(text.contains("hint: "), "{}", text);
            }
            (found, newest) => prop_assert!(false, "{found:?}, but possible is {newest:?}"),
        }
        let reversed = World::new(facts.into_iter().rev()).unwrap();
        prop_assert_eq!(found, solve(&reversed, &wanted, &compatible));
    }
}
