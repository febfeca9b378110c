//! Services, versions and who calls whom: semver resolution, version sets and the routing table.

mod digest;
mod name;
mod range;
mod routing;
mod set;
mod solve;
mod world;

pub use digest::{Digest, DigestError};
pub use name::{NameError, ServiceName};
pub use range::{Range, RangeError};
pub use routing::{Admission, RoutingError, RoutingTable, Weight};
pub use semver::Version;
pub use set::{Edge, VersionSet};
pub use solve::{Candidate, Compatible, Entry, Unsolvable, solve};
pub use world::{BundleFacts, BundleId, ExportFact, ImportFact, World, WorldError};
