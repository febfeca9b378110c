use super::*;
use crate::testing::set;

fn sets() -> (Arc<VersionSet>, Arc<VersionSet>) {
    (
        Arc::new(set("a *", "a@1.0.0")),
        Arc::new(set("a *", "a@2.0.0")),
    )
}

#[test]
fn an_admission_is_of_one_table() {
    let (old, new) = sets();
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
