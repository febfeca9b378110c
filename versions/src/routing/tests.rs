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
