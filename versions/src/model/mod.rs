//! Models of what happens over time, and all that can happen in them.
//!
//! [`requests`] goes through every order of publications, admissions, calls, leases and unloading;
//! [`swap`] through the interleavings of threads around the swap of the routing table.

mod requests;
mod swap;

use std::sync::Arc;

use crate::testing::set;
use crate::{Buckets, Combinations, RoutingTable, Salt, Split, VersionSet, Weight};

const OLD: usize = 0;
const NEW: usize = 1;

/// `front` with either version of `auth`.
fn sets() -> [Arc<VersionSet>; 2] {
    ["1.0.0", "2.0.0"].map(|auth| {
        let text = format!("front@1.0.0 -> auth *\nauth@{auth}");
        Arc::new(set("front *", &text))
    })
}

/// The old set's table with a rollout of the new one at `parts`.
fn rollout(sets: &[Arc<VersionSet>; 2], epoch: u64, parts: u16) -> RoutingTable {
    let weight = Weight::new(parts).unwrap();
    let buckets = Buckets::none().resized(weight, Salt(1), &Buckets::all());
    let split = Split {
        rollout: "auth-2".parse().unwrap(),
        buckets: buckets.unwrap(),
        matches: vec![],
        shadow: Weight::ZERO,
    };
    let sets = sets.iter().cloned().map(Some).collect();
    RoutingTable::new(epoch, vec![split], Combinations::new(sets).unwrap()).unwrap()
}
