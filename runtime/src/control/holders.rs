//! Who holds a bundle, as it crosses the socket and as `isolith holders --json` prints it.

use isolith_capnp::control_capnp::{bundle_holders, holder};
use serde::Serialize;

use crate::deployment;

/// As the schema's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct BundleHolders {
    /// `service@version`
    pub(crate) bundle: String,
    /// Whether new requests can get it.
    pub(crate) in_force: bool,
    /// All that hold it.
    pub(crate) total: u64,
    /// Some of them, the oldest first.
    pub(crate) holders: Vec<HolderStatus>,
}

/// As the schema's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct HolderStatus {
    /// `request`, `background`, `capability`, `stream` or `call`.
    pub(crate) kind: String,
    /// How many of the kind.
    pub(crate) count: u32,
    /// Of the oldest of them.
    pub(crate) age_ms: u64,
    /// The request's id, as in the log.
    pub(crate) request: String,
    pub(crate) shard: u16,
    /// `sha256:...`
    pub(crate) set: String,
}

impl BundleHolders {
    pub(super) fn of(known: &deployment::BundleHolders) -> Self {
        let holder = |holder: &crate::shard::Holder| HolderStatus {
            kind: holder.kind.to_string(),
            count: holder.count,
            age_ms: holder.age_ms,
            request: holder.request.to_string(),
            shard: u16::try_from(holder.shard).unwrap_or(u16::MAX),
            set: holder.set.to_string(),
        };
        BundleHolders {
            bundle: known.bundle.to_string(),
            in_force: known.in_force,
            total: known.holders.total,
            holders: known.holders.listed.iter().map(holder).collect(),
        }
    }

    /// Writes the value into its message.
    pub(super) fn write(&self, mut to: bundle_holders::Builder<'_>) {
        to.set_bundle(&self.bundle[..]);
        to.set_in_force(self.in_force);
        to.set_total(self.total);
        let count = u32::try_from(self.holders.len()).unwrap_or(u32::MAX);
        let mut list = to.init_holders(count);
        for (place, holder) in (0..).zip(&self.holders) {
            holder.write(list.reborrow().get(place));
        }
    }

    /// Reads the value from its message.
    ///
    /// # Errors
    /// If the message is malformed.
    pub(super) fn read(from: bundle_holders::Reader<'_>) -> Result<Self, capnp::Error> {
        let holders = from.get_holders()?.iter().map(HolderStatus::read);
        Ok(BundleHolders {
            bundle: from.get_bundle()?.to_string()?,
            in_force: from.get_in_force(),
            total: from.get_total(),
            holders: holders.collect::<Result<_, _>>()?,
        })
    }
}

impl HolderStatus {
    fn write(&self, mut to: holder::Builder<'_>) {
        to.set_kind(&self.kind[..]);
        to.set_count(self.count);
        to.set_age_ms(self.age_ms);
        to.set_request(&self.request[..]);
        to.set_shard(self.shard);
        to.set_set(&self.set[..]);
    }

    fn read(from: holder::Reader<'_>) -> Result<Self, capnp::Error> {
        Ok(HolderStatus {
            kind: from.get_kind()?.to_string()?,
            count: from.get_count(),
            age_ms: from.get_age_ms(),
            request: from.get_request()?.to_string()?,
            shard: from.get_shard(),
            set: from.get_set()?.to_string()?,
        })
    }
}
