use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::combinations::{bits, holders};
use crate::testing::{set, two_sets};
use crate::{Combinations, MAX_ROLLOUTS, Mask, RoutingTable, Split};

fn weight(parts: u16) -> Weight {
    Weight::new(parts).unwrap()
}

/// Buckets of a rollout that nothing keeps from any.
fn holding(parts: u16, salt: u64) -> Buckets {
    let buckets = Buckets::none().resized(weight(parts), Salt(salt), &Buckets::all());
    buckets.unwrap()
}

fn key_sets() -> [Vec<u64>; 2] {
    let users = (0..100_000).map(|user| sticky_key(format!("user-{user}").as_bytes()));
    [(0..100_000).collect(), users.collect()]
}

/// The keys' share in hundredths of a percent.
fn share(keys: &[u64], sees: impl Fn(u64) -> bool) -> f64 {
    let seen = keys.iter().filter(|key| sees(**key)).count();
    seen as f64 * f64::from(BUCKETS) / keys.len() as f64
}

/// Moving every key again when a release changes the hash would break P9, unnoticed.
#[test]
fn keys_keep_their_buckets_from_release_to_release() {
    assert_eq!([0, 1, 2, u64::MAX].map(bucket_of), [7792, 1864, 1270, 3166]);
    assert_eq!(bucket_of(sticky_key(b"alice")), 1036);
    let first: Vec<_> = (0..BUCKETS)
        .filter(|bucket| holding(4, 1).contains(*bucket))
        .collect();
    assert_eq!(first, [2937, 4248, 5102, 6571]);
}

#[test]
fn two_rollouts_at_10_and_5_percent_each_hold_their_share_of_100_000_keys() {
    let (ten, five) = (holding(1_000, 1), holding(500, 2));
    for keys in key_sets() {
        let of = |buckets: &Buckets| share(&keys, |key| buckets.contains(bucket_of(key)));
        let both = share(&keys, |key| {
            ten.contains(bucket_of(key)) && five.contains(bucket_of(key))
        });
        assert!((of(&ten) - 1_000.0).abs() < 50.0, "{}", of(&ten));
        assert!((of(&five) - 500.0).abs() < 50.0, "{}", of(&five));
        // Independent of each other: half a percent has both.
        assert!((both - 50.0).abs() < 25.0, "{both}");
    }
}

#[test]
fn a_rollout_has_an_order_of_its_own() {
    let (one, other) = (holding(1_000, 1), holding(1_000, 2));
    let shared = Buckets::of(|bucket| one.contains(bucket) && other.contains(bucket));
    let parts = shared.weight().parts();
    assert!((50..150).contains(&parts), "{parts} of about 100");
}

#[test]
fn raising_a_weight_moves_no_key_from_new_to_old() {
    for keys in key_sets() {
        for salt in 0..3 {
            let mut buckets = Buckets::none();
            let mut new: BTreeSet<u64> = BTreeSet::new();
            for parts in [1, 5, 100, 500, 2_500, 9_999, 10_000] {
                buckets = buckets
                    .resized(weight(parts), Salt(salt), &Buckets::all())
                    .unwrap();
                let now = keys.iter().copied();
                let now: BTreeSet<u64> = now
                    .filter(|key| buckets.contains(bucket_of(*key)))
                    .collect();
                assert!(now.is_superset(&new), "raised to {parts}");
                new = now;
            }
        }
    }
}

/// Each pair of three conflicts; they share the keys among them.
#[test]
fn rollouts_that_cannot_be_combined_hold_no_key_in_common_and_keep_their_shares() {
    let (old, new) = two_sets();
    let sets = (0..8_u8).map(|mask| match mask.count_ones() {
        0 => Some(&old),
        1 => Some(&new),
        _ => None,
    });
    let combinations = Combinations::new(sets.map(Option::<&_>::cloned).collect()).unwrap();
    let mut held = [Buckets::none(), Buckets::none(), Buckets::none()];
    let change = |held: &mut [Buckets; 3], place: usize, parts| {
        let free = combinations.free(place, &held.each_ref());
        let next = held[place].resized(weight(parts), Salt(place as u64), &free)?;
        held[place] = next;
        Ok(())
    };
    change(&mut held, 0, 6_000).unwrap();
    change(&mut held, 1, 1_000).unwrap();
    change(&mut held, 2, 500).unwrap();
    change(&mut held, 1, 3_500).unwrap();
    let refused: Result<(), NoRoom> = change(&mut held, 1, 3_501);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "35.01 % of the keys are more than the 35 % that are not taken by rollouts it cannot be \
         combined with: lower or finish one of those first"
    );
    assert_eq!(combinations.rivals(1), 0b101);
    assert_eq!(combinations.clash(&held.each_ref()), None);
    for keys in key_sets() {
        for (buckets, parts) in held.iter().zip([6_000.0, 3_500.0, 500.0]) {
            let share = share(&keys, |key| buckets.contains(bucket_of(key)));
            assert!((share - parts).abs() < 50.0, "{share} of {parts}");
        }
    }
    change(&mut held, 0, 5_000).unwrap();
    change(&mut held, 1, 4_500).unwrap();
}

#[test]
fn text_and_back() {
    let buckets = holding(1_234, 7);
    let json = serde_json::to_string(&buckets).unwrap();
    assert_eq!(serde_json::from_str::<Buckets>(&json).unwrap(), buckets);
    let beyond = "f".repeat(json.len() - 2);
    for bad in ["", "00", &beyond] {
        assert_eq!(bad.parse::<Buckets>(), Err(BucketsError), "{bad}");
    }
    assert_eq!(
        [0, 5, 500, 1_050].map(|parts| weight(parts).to_string()),
        ["0 %", "0.05 %", "5 %", "10.5 %"]
    );
    let error = Weight::new(10_001).unwrap_err().to_string();
    assert_eq!(
        error,
        "the weight 10001 is more than the whole: give at most 10000 parts, which are 100 %"
    );
    assert!(serde_json::from_str::<Weight>("10001").is_err());
}

/// Three to five rollouts, which combinations have no solution, and changes: rollout and weight.
fn history() -> impl Strategy<Value = (usize, Vec<Mask>, Vec<(usize, u16)>)> {
    (3_usize..=5).prop_flat_map(|rollouts| {
        let unsolvable = proptest::collection::vec(1..1_u8 << rollouts, 0..4);
        // Multiples of 5 % meet each other's ends.
        let parts = (0..=20_u16).prop_map(|steps| steps * 500);
        let changes = proptest::collection::vec((0..rollouts, parts), 1..12);
        (Just(rollouts), unsolvable, changes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    /// Whatever is asked for: each rollout has exactly its weight, no key has a combination without
    /// a solution, and raising a weight moves no key from new to old.
    #[test]
    fn every_history_of_weights_keeps_the_promises((rollouts, unsolvable, changes) in history()) {
        let solvable = |mask: Mask| !unsolvable.iter().any(|bad| mask & bad == *bad);
        let alone = |place: usize| solvable(1 << place);
        // A set of its own for each combination, as in life.
        let sets = (0..1_u8 << rollouts).map(|mask| {
            let text = format!("a@1.0.{mask}");
            solvable(mask).then(|| std::sync::Arc::new(set("a *", &text)))
        });
        let combinations = Combinations::new(sets.collect()).unwrap();
        let mut held = vec![Buckets::none(); rollouts];
        let mut weights = vec![0; rollouts];
        for (place, parts) in changes {
            let all: Vec<_> = held.iter().collect();
            let free = combinations.free(place, &all);
            let before = held[place].clone();
            match before.resized(weight(parts), Salt(place as u64), &free) {
                Ok(next) => {
                    if parts >= weights[place] {
                        let lost = Buckets::of(|b| before.contains(b) && !next.contains(b));
                        prop_assert_eq!(lost.weight(), Weight::ZERO);
                    }
                    held[place] = next;
                    weights[place] = parts;
                }
                // Refused only if it does not fit, and then all that does is what it says.
                Err(NoRoom { most, .. }) => {
                    let room = Buckets::of(|b| free.contains(b) || before.contains(b));
                    prop_assert!(most < weight(parts));
                    prop_assert_eq!(most, room.weight());
                    prop_assert!(alone(place) || most == Weight::ZERO);
                }
            }
            let all: Vec<_> = held.iter().collect();
            for bucket in 0..BUCKETS {
                prop_assert!(solvable(holders(&all, bucket)), "bucket {}", bucket);
            }
            for (buckets, parts) in held.iter().zip(&weights) {
                prop_assert_eq!(buckets.weight(), weight(*parts));
            }
            prop_assert!(rollouts <= MAX_ROLLOUTS);
            let splits = held.iter().enumerate().map(|(place, buckets)| Split {
                rollout: format!("r{place}").parse().unwrap(),
                buckets: buckets.clone(),
                matches: vec![],
                shadow: Weight::ZERO,
            });
            let table = RoutingTable::new(1, splits.collect(), combinations.clone()).unwrap();
            for key in 0..200 {
                let admission = table.admit(key, None);
                let shown = bits(admission.mask).map(|place| held[place].contains(bucket_of(key)));
                prop_assert!(shown.into_iter().all(|held| held));
                prop_assert_eq!(admission.mask, holders(&all, bucket_of(key)));
                prop_assert_eq!(Some(admission.set), combinations.get(admission.mask));
            }
            let shares = table.sets().iter().map(|(_, share)| share.parts());
            prop_assert_eq!(shares.sum::<u16>(), BUCKETS);
        }
    }
}
