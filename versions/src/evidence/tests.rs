//! A trace of an honest run, and each way of breaking it.

use std::sync::Arc;

use super::*;
use crate::testing::set;
use crate::{Buckets, Combinations, Split, Weight};

const OLD: &str = "front@1.0.0 -> middle *; auth *\nmiddle@1.0.0 -> auth *\nauth@1.0.0";
const NEW: &str = "front@1.0.0 -> middle *; auth *\nmiddle@1.0.0 -> auth *\nauth@2.0.0";

fn sets() -> [Arc<VersionSet>; 2] {
    [OLD, NEW].map(|text| Arc::new(set("front *", text)))
}

fn call(root: &str, set: &VersionSet, caller: &str, import: &str) -> Record {
    let number = |service: &str| {
        let mut bundles = set.bundles().iter();
        bundles
            .position(|bundle| bundle.id.service.as_str() == service)
            .unwrap()
    };
    let caller = number(caller);
    let facts = &set.bundles()[caller];
    let place = facts.imports.iter();
    let place = place
        .clone()
        .position(|fact| &*fact.name == import)
        .unwrap();
    Record::Call {
        root: root.into(),
        set: set.digest(),
        caller: facts.id.digest,
        callee: set.bundles()[set.edges(caller)[place].callee].id.digest,
        import: import.into(),
    }
}

fn admit(root: &str, epoch: u64, set: &VersionSet, by: Choice) -> Record {
    Record::Admit {
        root: root.into(),
        epoch,
        set: set.digest(),
        by,
    }
}

fn end(root: &str) -> Record {
    Record::End { root: root.into() }
}

/// Two requests at once, each with a set of its own; a third that an override chose.
fn honest() -> Vec<Record> {
    let [old, new] = sets();
    let split = Split {
        rollout: "auth-2".parse().unwrap(),
        buckets: Buckets::of(|bucket| bucket < 100),
        matches: vec![],
        shadow: Weight::ZERO,
    };
    let single = RoutingTable::single(1, Arc::clone(&old));
    let both = Combinations::new(vec![Some(Arc::clone(&old)), Some(Arc::clone(&new))]).unwrap();
    vec![
        Record::set(&old),
        Record::table(&single),
        admit("1", 1, &old, Choice::Table(0)),
        call("1", &old, "front", "MIDDLE"),
        Record::set(&new),
        Record::table(&single.next(vec![split], both).unwrap()),
        admit("2", 2, &new, Choice::Table(1)),
        call("2", &new, "front", "MIDDLE"),
        call("1", &old, "middle", "AUTH"),
        call("2", &new, "middle", "AUTH"),
        end("1"),
        admit("3", 2, &new, Choice::Override),
        call("2", &new, "front", "AUTH"),
        end("3"),
        end("2"),
        // A root's name may come again.
        admit("1", 2, &old, Choice::Token),
        Record::Dropped { records: 3 },
    ]
}

/// What the checker says of a trace that was changed.
fn found(change: impl FnOnce(&mut Vec<Record>)) -> Vec<String> {
    let mut records = honest();
    change(&mut records);
    // Through text, as in life.
    let lines = records
        .iter()
        .map(|record| serde_json::to_string(record).unwrap());
    let read = lines.map(|line| serde_json::from_str(&line).unwrap());
    let report = verify(read);
    assert_eq!(report.broken, report.violations.len() as u64);
    report.violations.iter().map(ToString::to_string).collect()
}

fn set_record(record: &mut Record) -> &mut SetRecord {
    match record {
        Record::Set(set) => set,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_honest_trace_passes() {
    let report = verify(honest());
    assert_eq!(
        report,
        Report {
            records: 17,
            requests: 4,
            unended: 1,
            calls: 5,
            sets: 2,
            tables: 2,
            dropped: 3,
            broken: 0,
            violations: vec![],
        }
    );
    assert_eq!(found(|_| {}), [""; 0]);
}

#[test]
fn a_call_under_another_set_is_a_switch() {
    let [old, new] = sets();
    let (from, to) = (old.digest().short(), new.digest().short());
    // The request was admitted to the old set, and its second call runs the new one's.
    let switched = found(|trace| trace[8] = call("1", &new, "middle", "AUTH"));
    assert_eq!(
        switched,
        [
            format!("line 9: P3: 1 is pinned to set {from}, but makes a call under {to}"),
            "line 9: P3: for 1, middle@1.0.0 called bundle d3bb7d5f8b16 of another set through \
             AUTH, which leads to auth@1.0.0"
                .replace("d3bb7d5f8b16", &new.bundles()[0].id.digest.short()),
        ]
    );
    // The set is said to be the same, and the callee is not.
    let lied = found(|trace| {
        let Record::Call { callee, .. } = &mut trace[8] else {
            panic!()
        };
        *callee = new.bundles()[0].id.digest;
    });
    assert_eq!(lied.len(), 1);
    assert!(lied[0].contains("which leads to auth@1.0.0"), "{lied:?}");
}

#[test]
fn a_call_that_is_not_wired_is_told() {
    let [old, _] = sets();
    let found = found(|trace| {
        let Record::Call { import, .. } = &mut trace[8] else {
            panic!()
        };
        *import = "OTHER".into();
    });
    assert_eq!(
        found,
        ["line 9: P3: for 1, middle@1.0.0 called auth@1.0.0 through OTHER, which leads nowhere"]
    );
    assert_eq!(old.bundles()[0].id.to_string(), "auth@1.0.0");
}

#[test]
fn a_call_outside_of_its_request_is_told() {
    let [old, _] = sets();
    for change in [
        (|trace| trace.swap(8, 10)) as fn(&mut Vec<Record>),
        |trace| drop(trace.remove(2)),
    ] {
        let found = found(change);
        assert!(
            found[0].ends_with("P3: a call is made for 1, which is not admitted or has ended"),
            "{found:?}"
        );
    }
    let twice = found(|trace| trace.insert(4, admit("1", 1, &old, Choice::Table(0))));
    assert_eq!(twice, ["line 5: P3: 1 is admitted twice"]);
    let never = found(|trace| trace.push(end("9")));
    assert_eq!(never, ["line 18: P3: 9 ends, but was not admitted"]);
}

#[test]
fn an_admission_to_what_its_epoch_does_not_have_is_told() {
    let [old, new] = sets();
    let (old_name, new_name) = (old.digest().short(), new.digest().short());
    // The set of one epoch with the number of another.
    let torn = found(|trace| trace[6] = admit("2", 1, &new, Choice::Table(1)));
    assert_eq!(
        torn,
        [format!(
            "line 7: P1: 2 is pinned to set {new_name}, but for combination 1 epoch 1 has none"
        )]
    );
    // The set that another key gets.
    let other = found(|trace| trace[6] = admit("2", 2, &new, Choice::Table(0)));
    assert_eq!(
        other,
        [format!(
            "line 7: P1: 2 is pinned to set {new_name}, but for combination 0 epoch 2 has {old_name}"
        )]
    );
    let unknown = found(|trace| trace[6] = admit("2", 3, &new, Choice::Table(1)));
    assert_eq!(unknown, ["line 7: P1: 2 is of epoch 3, which no table has"]);
    let [_, second] = [honest()[1].clone(), honest()[5].clone()];
    let two = found(|trace| {
        let Record::Table { sets, .. } = second else {
            panic!()
        };
        trace.insert(2, Record::Table { epoch: 1, sets });
    });
    assert_eq!(
        two[0],
        "line 3: P1: epoch 1 is that of two different tables"
    );
}

#[test]
fn a_set_that_is_not_closed_is_told() {
    let [old, _] = sets();
    let name = old.digest().short();
    type Change = fn(&mut SetRecord);
    for (change, says) in [
        (
            (|set| set.bundles[2].imports[0].range = "^3".parse().unwrap()) as Change,
            "middle@1.0.0's import AUTH leads to auth@1.0.0, which is not in ^3",
        ),
        (
            |set| set.bundles[2].imports[0].interface += 1,
            "middle@1.0.0's import AUTH leads to auth@1.0.0, whose AUTH is another interface",
        ),
        (
            |set| set.bundles[2].imports[0].callee = 9,
            "middle@1.0.0's import AUTH leads nowhere",
        ),
        (
            |set| set.bundles[2].imports[0].callee = 1,
            "middle@1.0.0's import AUTH leads to front@1.0.0, but asks for auth",
        ),
        (|set| set.entries[0].1 = 0, "entry front has no bundle"),
        (
            |set| {
                let auth = set.bundles[0].clone();
                set.bundles.push(auth);
                let again = set.bundles[2].imports[0].clone();
                set.bundles[2].imports.push(ImportRecord {
                    name: "SECOND".into(),
                    callee: 3,
                    ..again
                });
            },
            "middle@1.0.0 sees two versions of auth",
        ),
    ] {
        let found = found(|trace| change(set_record(&mut trace[0])));
        let says = format!("line 1: P2: in set {name}, {says}");
        assert!(found.contains(&says), "{says}: {found:#?}");
    }
    // Whatever is changed, the digest is another one.
    let forged = found(|trace| set_record(&mut trace[0]).text += "edge");
    assert_eq!(
        forged[..2],
        [
            format!("line 1: P2: set {name} has another digest than its text"),
            format!("line 1: P2: set {name} has another text than its wiring"),
        ]
    );
    let unknown = found(|trace| drop(trace.remove(0)));
    assert!(
        unknown[0].ends_with("which nothing describes"),
        "{unknown:?}"
    );
}

#[test]
fn of_very_many_violations_the_first_are_told_and_all_are_counted() {
    let report = verify((0..1000).map(|root| end(&root.to_string())));
    assert_eq!((report.broken, report.violations.len()), (1000, 100));
}
