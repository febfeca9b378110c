use std::collections::HashMap;

use super::*;
use crate::testing::{set, two_sets};
use crate::{Digest, Salt, sticky_key};

struct Head {
    method: &'static str,
    path: &'static str,
    header: (&'static str, &'static str),
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        self.method
    }

    fn path(&self) -> &str {
        self.path
    }

    fn header(&self, name: &str) -> Option<&str> {
        (name == self.header.0).then_some(self.header.1)
    }
}

const PLAIN: Head = Head {
    method: "GET",
    path: "/cart/items",
    header: ("x-team", "blue"),
};

fn split(name: &str, parts: u16, matches: Vec<Match>) -> Split {
    let weight = Weight::new(parts).unwrap();
    Split {
        rollout: name.parse().unwrap(),
        buckets: Buckets::none()
            .resized(weight, Salt(sticky_key(name.as_bytes())), &Buckets::all())
            .unwrap(),
        matches,
        shadow: Weight::ZERO,
    }
}

fn header(value: &str) -> Match {
    Match {
        header: Some(("x-team".to_owned(), value.to_owned())),
        ..Match::default()
    }
}

fn combinations(masks: u8, unsolvable: &[Mask]) -> Combinations {
    let sets = (0..masks).map(|mask| {
        let solvable = !unsolvable.contains(&mask);
        solvable.then(|| Arc::new(set("a *", &format!("a@1.0.{mask}"))))
    });
    Combinations::new(sets.collect()).unwrap()
}

#[test]
fn an_admission_is_of_one_table() {
    let (old, new) = two_sets();
    let first = RoutingTable::single(41, Arc::clone(&old));
    let second = first
        .next(vec![], Combinations::single(Arc::clone(&new)))
        .unwrap();
    for key in 0..1000 {
        let (before, after) = (first.admit(key, None), second.admit(key, None));
        assert!(before.epoch == 41 && Arc::ptr_eq(before.set, &old));
        assert!(after.epoch == 42 && Arc::ptr_eq(after.set, &new));
    }
}

#[test]
fn the_shares_of_the_sets_are_those_that_keys_get() {
    let table = RoutingTable::new(
        1,
        vec![split("one", 1_000, vec![]), split("two", 500, vec![])],
        combinations(4, &[]),
    )
    .unwrap();
    let mut seen: HashMap<Digest, u32> = HashMap::new();
    for key in 0..100_000 {
        *seen.entry(table.admit(key, None).set.digest()).or_default() += 1;
    }
    assert_eq!(table.sets().len(), 4);
    assert_eq!(table.sets()[0].0, *table.combinations().base());
    for (set, share) in table.sets() {
        let keys = f64::from(seen[&set.digest()]);
        let expected = f64::from(share.parts()) * 10.0;
        assert!((keys - expected).abs() < 500.0, "{keys} of {expected}");
    }
}

/// P9, through the tables that follow each other.
#[test]
fn raising_weights_moves_no_key_from_new_to_old() {
    let mut table = RoutingTable::single(1, Arc::new(set("a *", "a@1.0.0")));
    let mut seen = vec![0; 10_000];
    for (one, two) in [(0, 0), (100, 0), (100, 500), (2_500, 500), (9_000, 10_000)] {
        let splits = vec![split("one", one, vec![]), split("two", two, vec![])];
        table = table.next(splits, combinations(4, &[])).unwrap();
        for (key, seen) in (0..).zip(&mut seen) {
            let mask = table.admit(key, None).mask;
            assert_eq!(mask & *seen, *seen, "key {key} at {one} and {two} parts");
            *seen = mask;
        }
    }
}

#[test]
fn a_combination_without_a_set_gets_no_key() {
    let splits = |parts| vec![split("one", 1_000, vec![]), split("two", parts, vec![])];
    let error = RoutingTable::new(1, splits(5_000), combinations(4, &[3])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the rollouts one and two hold keys in common, but no version set has the candidates of all \
         of them: lower or abort one"
    );
    let table = RoutingTable::new(1, splits(0), combinations(4, &[3])).unwrap();
    // Nobody's share, and yet in force: the next change of a weight needs it.
    assert_eq!(table.sets().len(), 3);
    assert_eq!(table.sets()[2].1, Weight::ZERO);
    let error = RoutingTable::new(1, splits(0), combinations(2, &[])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the routing table has 2 rollouts, but version sets for 1"
    );
}

/// {0, 1, 2} has a set, but if rollout 2 ended, {0, 1} would have none.
#[test]
fn a_combination_is_usable_only_if_its_parts_are() {
    let combinations = combinations(8, &[0b011]);
    let usable: Vec<_> = combinations.usable().map(|(mask, _)| mask).collect();
    assert_eq!(usable, [0b000, 0b001, 0b010, 0b100, 0b101, 0b110]);
    assert_eq!(combinations.rivals(0), 0b010);
    assert_eq!(combinations.rivals(2), 0b000);
    let new = |sets: Vec<Option<Arc<VersionSet>>>| Combinations::new(sets).unwrap_err();
    assert_eq!(new(vec![None]), crate::CombinationsError::NoBase);
    for count in [0, 3, 512] {
        let base = Some(Arc::clone(combinations.base()));
        assert_eq!(
            new(vec![base; count]),
            crate::CombinationsError::Count { count }
        );
    }
}

#[test]
fn a_rule_goes_before_the_key() {
    let splits = vec![
        split("one", 0, vec![header("blue"), header("red")]),
        split("two", 5_000, vec![]),
    ];
    let table = RoutingTable::new(1, splits, combinations(4, &[3])).unwrap();
    for key in 0..1000 {
        let by_key = table.admit(key, None);
        assert_eq!((by_key.mask & 1, by_key.ruled), (0, 0));
        // Rollout two loses the keys that the rule takes, as the two cannot be combined.
        let ruled = table.admit(key, Some(&PLAIN));
        assert_eq!((ruled.mask, ruled.ruled), (1, 1));
        assert_eq!(Some(ruled.set), table.combinations().get(1));
        let other = Head {
            header: ("x-team", "green"),
            ..PLAIN
        };
        assert_eq!(table.admit(key, Some(&other)).mask, by_key.mask);
    }
}

#[test]
fn of_two_rules_that_cannot_be_combined_the_older_rollouts_holds() {
    let rule = || vec![header("blue")];
    let splits = vec![split("one", 0, rule()), split("two", 0, rule())];
    let table = RoutingTable::new(1, splits.clone(), combinations(4, &[3])).unwrap();
    assert_eq!(table.admit(7, Some(&PLAIN)).mask, 0b01);
    let table = RoutingTable::new(1, splits, combinations(4, &[])).unwrap();
    assert_eq!(table.admit(7, Some(&PLAIN)).mask, 0b11);
}

#[test]
fn all_conditions_of_a_rule_must_hold() {
    let path = |prefix: &str| Match {
        path_prefix: Some(prefix.to_owned()),
        ..Match::default()
    };
    for (rule, fits) in [
        (Match::default(), false),
        (header("blue"), true),
        (header("Blue"), false),
        (path("/"), true),
        (path("/cart"), true),
        (path("/cart/"), true),
        (path("/car"), false),
        (path("/cart/items/3"), false),
        (
            Match {
                method: Some("GET".to_owned()),
                ..path("/cart")
            },
            true,
        ),
        (
            Match {
                method: Some("POST".to_owned()),
                ..path("/cart")
            },
            false,
        ),
        (
            Match {
                path_prefix: Some("/cart".to_owned()),
                ..header("red")
            },
            false,
        ),
    ] {
        assert_eq!(rule.fits(&PLAIN), fits, "{rule:?}");
    }
    let json = serde_json::to_string(&header("blue")).unwrap();
    assert_eq!(json, r#"{"header":["x-team","blue"]}"#);
    assert_eq!(
        serde_json::from_str::<Match>(&json).unwrap(),
        header("blue")
    );
}

/// Copies go to new versions that a request does not see, each with its own share of the draws, and
/// only to combinations that there are.
#[test]
fn shadows_have_their_shares() {
    let version = |mask: Mask| Arc::new(crate::testing::set("a *", &format!("a@1.0.{mask}")));
    let split = |name: &str, sees: bool, parts| Split {
        rollout: name.parse().unwrap(),
        buckets: Buckets::of(|_| sees),
        matches: vec![],
        shadow: Weight::new(parts).unwrap(),
    };
    // The first is seen by all already; it and the third cannot be combined.
    let splits = vec![
        split("seen", true, 9_000),
        split("small", false, 1_000),
        split("clash", false, 2_000),
        split("none", false, 0),
    ];
    let sets = (0..16).map(|mask| (mask & 0b101 != 0b101).then(|| version(mask)));
    let combinations = Combinations::new(sets.collect()).unwrap();
    let table = RoutingTable::new(1, splits, combinations).unwrap();
    let admission = table.admit(7, None);
    assert_eq!(admission.mask, 1);
    let mut copies = [0; 4];
    let draws = 10_000_u64;
    for draw in 0..draws {
        let draw = ((u128::from(draw) << 64) / u128::from(draws)) as u64 + 1;
        if let Some((place, mask, set)) = table.shadow(&admission, draw) {
            assert_eq!(mask, admission.mask | 1 << place);
            assert!(Arc::ptr_eq(set, table.combinations().get(mask).unwrap()));
            copies[place] += 1;
        }
    }
    assert_eq!(copies, [0, 1_000, 0, 0]);
}
