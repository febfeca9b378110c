//! Services, versions and who calls whom.
//!
//! Teams release services on their own; a request must still see one consistent wiring of them from
//! its first line to its last. This crate decides what such a wiring is and which one a request gets.
//! It is pure: no clock, no input or output, no threads; what is random is an argument. So all of it
//! can be tested as values.
//!
//! # From bundles to an admission
//! 1. Each built bundle is described by [`BundleFacts`]: its [`BundleId`], the interfaces it exports,
//!    and the imports it asks for with a [`Range`] of versions each. The bundles at hand make a
//!    [`World`].
//! 2. [`solve`] resolves every import reachable from the entry services and returns a [`VersionSet`],
//!    or [`Unsolvable`] with an explanation for a person. Whether two schemas fit together is a
//!    question that the caller answers through a closure, per edge.
//! 3. A [`RoutingTable`] holds the sets in force: the base, and one for each [combination] of the
//!    rollouts under way. The runtime publishes it as one value; [`RoutingTable::admit`] pins a
//!    request to one of its sets.
//! 4. A [`Rollout`] moves traffic to new bundles step by step: it takes [`Buckets`] of keys, and its
//!    [`Judge`] compares what became of the requests.
//! 5. [`BundleState`] says when a bundle may be unloaded, and [`evidence`] checks a trace of what
//!    happened.
//!
//! # Invariants
//! - A [`VersionSet`] is closed: only [`solve`] makes one, every import of every bundle in it leads to
//!   a bundle in it, the range holds and the closure agreed.
//! - A set holds at most one version of a service per line of compatible versions (`1.x`, `0.3.x`,
//!   `0.0.4`); different lines stand side by side. One caller never sees two versions of one service.
//! - The same bundles and entries give the same set and the same digest, in whatever order they come.
//! - A table never changes; a change is a new table with a higher epoch. Every key has a set.
//! - A key's bucket never changes. Raising a rollout's weight only adds buckets to it.
//!
//! [combination]: Combinations
//!
//! # Examples
//! ```
//! use std::sync::Arc;
//! use isolith_versions::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! const AUTH: u64 = 0xd1f2_77aa_03c5_9e14; // the interface's Cap'n Proto type id
//!
//! let auth = |version: &str| -> Result<_, Box<dyn std::error::Error>> {
//!     Ok(Arc::new(BundleFacts {
//!         id: BundleId {
//!             service: ServiceName::new("auth")?,
//!             version: version.parse()?,
//!             digest: Digest::of(version.as_bytes()),
//!         },
//!         exports: vec![ExportFact { name: "AUTH".into(), interface: AUTH }],
//!         imports: vec![],
//!         http: false,
//!         native: false,
//!     }))
//! };
//! let frontend = Arc::new(BundleFacts {
//!     id: BundleId {
//!         service: ServiceName::new("frontend")?,
//!         version: "3.2.0".parse()?,
//!         digest: Digest::of(b"frontend"),
//!     },
//!     exports: vec![],
//!     imports: vec![ImportFact {
//!         name: "AUTH".into(),
//!         service: ServiceName::new("auth")?,
//!         range: Range::new(">=1.4, <3")?,
//!         export: None,
//!         interface: AUTH,
//!     }],
//!     http: true,
//!     native: false,
//! });
//! let entries = [Entry { service: ServiceName::new("frontend")?, range: Range::any() }];
//!
//! // With auth 1.4.0 alone.
//! let world = World::new([Arc::clone(&frontend), auth("1.4.0")?])?;
//! let old = Arc::new(solve(&world, &entries, &|_| Ok(()))?);
//! let table = RoutingTable::single(1, Arc::clone(&old));
//!
//! // auth 2.0.0 is deployed: new requests get it, a request admitted before keeps its set.
//! let before = Arc::clone(table.admit(12345, None).set);
//! let world = World::new([frontend, auth("1.4.0")?, auth("2.0.0")?])?;
//! let new = Arc::new(solve(&world, &entries, &|_| Ok(()))?);
//! let table = table.next(vec![], Combinations::single(new))?;
//!
//! let auth_of = |set: &VersionSet| {
//!     let frontend = set.entry("frontend").expect("it is an entry");
//!     set.bundles()[set.edges(frontend)[0].callee].id.to_string()
//! };
//! assert_eq!(auth_of(&before), "auth@1.4.0");
//! assert_eq!(auth_of(table.admit(12345, None).set), "auth@2.0.0");
//!
//! // What cannot be solved says why.
//! let world = World::new(world.bundles().iter().filter(|b| b.http).cloned())?;
//! let error = solve(&world, &entries, &|_| Ok(())).expect_err("nobody serves auth");
//! assert_eq!(
//!     error.to_string(),
//!     "no version set has all that frontend needs
//! - the application needs frontend * as an entry: only 3.2.0 would do
//! - frontend@3.2.0 needs auth >=1.4, <3 (import AUTH): there is no bundle of that service
//!     hint: deploy a bundle of auth, or correct the name"
//! );
//! # Ok(())
//! # }
//! ```

mod buckets;
mod combinations;
mod digest;
pub mod evidence;
mod histogram;
mod judge;
mod lifetime;
#[cfg(test)]
mod model;
mod name;
mod range;
mod rollout;
mod routing;
mod seeded;
mod set;
mod solve;
#[cfg(test)]
mod testing;
mod text;
mod world;

pub use buckets::{BUCKETS, Buckets, BucketsError, NoRoom, Salt, Weight, WeightError, sticky_key};
pub use combinations::{Combinations, CombinationsError, MAX_ROLLOUTS, Mask};
pub use digest::{Digest, DigestError};
pub use histogram::{Bin, Histogram};
pub use judge::{Judge, JudgeSettings, Sample, Verdict};
pub use lifetime::{BundleState, Lease, LeaseKind, Use, is_admissible};
pub use name::{NameError, RolloutName, ServiceName};
pub use range::{Range, RangeError};
pub use rollout::{
    Action, MAX_STEPS, Rollout, RolloutError, RolloutPlan, RolloutState, Step, Transition,
};
pub use routing::{Admission, Match, RequestHead, RoutingError, RoutingTable, Split};
#[doc(hidden)]
pub use seeded::seeded;
pub use semver::Version;
pub use set::{Edge, VersionSet};
pub use solve::{Candidate, Compatible, Entry, Unsolvable, solve};
pub use world::{BundleFacts, BundleId, ExportFact, ImportFact, World, WorldError};
