//! The routing table: which version sets take new requests, and which requests each takes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::buckets::bucket_of;
use crate::combinations::{bits, holders};
use crate::{BUCKETS, Buckets, Combinations, Mask, RolloutName, VersionSet, Weight, seeded};

/// What a routing table needs to know of a request before it is admitted.
pub trait RequestHead {
    /// The method, such as `GET`.
    fn method(&self) -> &str;
    /// The path without query, such as `/cart/items`.
    fn path(&self) -> &str;
    /// The first value of a header; `name` is in lower case.
    fn header(&self, name: &str) -> Option<&str>;
}

/// A rule that sends the requests it fits to the new version, whatever their key: all conditions
/// that are given must hold. A rule without conditions fits nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// A header's name, in lower case, and its whole value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<(String, String)>,
    /// A path, which it and everything below it fit: `/a` fits `/a` and `/a/b`, not `/ab`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// A method, in upper case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// A rollout's part in a routing table.
#[derive(Clone, Debug)]
pub struct Split {
    /// Its name.
    pub rollout: RolloutName,
    /// The buckets whose keys see the new version.
    pub buckets: Buckets,
    /// The requests that see it whatever their key.
    pub matches: Vec<Match>,
    /// The share of other requests of which it gets a copy, whose answer nobody sees.
    pub shadow: Weight,
}

/// The version sets in force and who gets which, published as one immutable value.
///
/// A request is admitted by reading one table once and calling [`admit`](RoutingTable::admit): epoch
/// and set then come from one publication by construction. Every change makes a new table with a
/// higher epoch; requests that hold an earlier one's set keep it.
#[derive(Clone)]
pub struct RoutingTable {
    epoch: u64,
    splits: Box<[Split]>,
    combinations: Combinations,
    /// The rollouts that hold each bucket; empty if there are no rollouts.
    masks: Box<[Mask]>,
    /// The rollouts that have rules.
    ruled: Mask,
    sets: Box<[(Arc<VersionSet>, Weight)]>,
}

/// What one request was admitted to: the set that it is pinned to until its last work ends.
#[derive(Clone, Copy, Debug)]
pub struct Admission<'a> {
    /// The epoch of the table that decided.
    pub epoch: u64,
    /// The rollouts whose new version the set has, by place in [`RoutingTable::splits`].
    pub mask: Mask,
    /// Those of them that a rule chose. All requests that fit the rule are among them and none is
    /// left to compare them with, so they take no part in judging the new version.
    pub ruled: Mask,
    /// The set.
    pub set: &'a Arc<VersionSet>,
}

/// Why rollouts and sets do not make a [`RoutingTable`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoutingError {
    /// There is not a set, or none, for each combination of rollouts.
    #[error("the routing table has {rollouts} rollouts, but version sets for {combined}")]
    Combinations {
        /// Rollouts given.
        rollouts: usize,
        /// Rollouts that the combinations are of.
        combined: usize,
    },
    /// Rollouts hold one key together, and there is no set for that.
    #[error(
        "the rollouts {rollouts} hold keys in common, but no version set has the candidates of all \
         of them: lower or abort one"
    )]
    Clash {
        /// Their names.
        rollouts: String,
    },
    /// The epoch cannot grow.
    #[error("the routing table is at the last epoch there is: restart with an epoch near 0")]
    EpochsExhausted,
}

impl Match {
    /// Whether the rule fits a request.
    pub fn fits(&self, head: &dyn RequestHead) -> bool {
        let header = self.header.as_ref();
        let path = self.path_prefix.as_deref();
        let method = self.method.as_deref();
        (header.is_some() || path.is_some() || method.is_some())
            && header.is_none_or(|(name, value)| head.header(name) == Some(value))
            && path.is_none_or(|prefix| is_below(head.path(), prefix))
            && method.is_none_or(|method| head.method() == method)
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl RoutingTable {
    /// A table that sends every request to `set`.
    pub fn single(epoch: u64, set: Arc<VersionSet>) -> Self {
        Self {
            epoch,
            splits: Box::default(),
            combinations: Combinations::single(Arc::clone(&set)),
            masks: Box::default(),
            ruled: 0,
            sets: [(set, Weight::WHOLE)].into(),
        }
    }

    /// A table with these rollouts under way. Cost: a look at every bucket of every rollout.
    ///
    /// # Errors
    /// [`RoutingError`] when the combinations are of another number of rollouts, or rollouts that
    /// cannot be combined hold buckets in common.
    pub fn new(
        epoch: u64,
        splits: Vec<Split>,
        combinations: Combinations,
    ) -> Result<Self, RoutingError> {
        if splits.len() != combinations.rollouts() {
            return Err(RoutingError::Combinations {
                rollouts: splits.len(),
                combined: combinations.rollouts(),
            });
        }
        if splits.is_empty() {
            return Ok(Self::single(epoch, Arc::clone(combinations.base())));
        }
        let held: Vec<_> = splits.iter().map(|split| &split.buckets).collect();
        let masks: Box<[Mask]> = (0..BUCKETS).map(|bucket| holders(&held, bucket)).collect();
        let mut parts: BTreeMap<_, u16> = combinations
            .usable()
            .map(|(_, set)| (set.digest(), 0))
            .collect();
        for &mask in &masks {
            let set = combinations.get(mask).ok_or_else(|| RoutingError::Clash {
                rollouts: names(&splits, mask),
            })?;
            *parts.entry(set.digest()).or_default() += 1;
        }
        let mut sets: Vec<(Arc<VersionSet>, Weight)> = Vec::with_capacity(parts.len());
        for (_, set) in combinations.usable() {
            if let Some(parts) = parts.remove(&set.digest()) {
                let weight = Weight::new(parts).unwrap_or(Weight::WHOLE);
                sets.push((Arc::clone(set), weight));
            }
        }
        let ruled = splits.iter().enumerate().fold(0, |mask, (place, split)| {
            mask | Mask::from(!split.matches.is_empty()) << place
        });
        Ok(Self {
            epoch,
            splits: splits.into(),
            combinations,
            masks,
            ruled,
            sets: sets.into(),
        })
    }

    /// The table that follows this one: the next epoch, with these rollouts under way.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn next(
        &self,
        splits: Vec<Split>,
        combinations: Combinations,
    ) -> Result<Self, RoutingError> {
        let epoch = self.epoch.checked_add(1);
        Self::new(
            epoch.ok_or(RoutingError::EpochsExhausted)?,
            splits,
            combinations,
        )
    }

    /// Grows with every published change.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The rollouts under way; a rollout's place is its bit in an [`Admission`]'s mask.
    pub fn splits(&self) -> &[Split] {
        &self.splits
    }

    /// The version set of each combination of rollouts.
    pub fn combinations(&self) -> &Combinations {
        &self.combinations
    }

    /// Each set in force once, the base first, with the exact share of keys that it gets. A set
    /// whose share is nothing can still be reached, by a rule or by the next change of a weight.
    pub fn sets(&self) -> &[(Arc<VersionSet>, Weight)] {
        &self.sets
    }

    /// Chooses the set for one request.
    ///
    /// Requests with the same `key` get the same set, unless a rule says otherwise; a key may be any
    /// number, random or a [`sticky_key`](crate::sticky_key). Without `head` no rule applies. Where
    /// rules ask for a combination that has no set, they go before the key, and an older rollout
    /// before a newer one.
    ///
    /// Cost: a hash and two look-ups, and the rules; nothing is allocated or counted.
    pub fn admit(&self, key: u64, head: Option<&dyn RequestHead>) -> Admission<'_> {
        let key = match seeded("bucket-per-epoch") {
            true => key ^ self.epoch,
            false => key,
        };
        let place = usize::from(bucket_of(key));
        let by_key = self.masks.get(place).copied().unwrap_or(0);
        let by_rule = match head {
            Some(head) if self.ruled != 0 && !seeded("rules-ignored") => self.rules_for(head),
            _ => 0,
        };
        let mut mask = by_key | by_rule;
        if self.combinations.get(mask).is_none() {
            mask = match seeded("key-goes-before-rule") {
                true => self.combinations.part(by_key, by_rule),
                false => self.combinations.part(by_rule, by_key & !by_rule),
            };
        }
        let set = self.combinations.get(mask);
        Admission {
            epoch: self.epoch,
            mask,
            ruled: by_rule & mask,
            set: set.unwrap_or(self.combinations.base()),
        }
    }

    /// Chooses whether a copy of a request that was just admitted goes to a rollout's new version:
    /// the rollout's place, and the combination and set that the copy sees. `draw` is uniform over
    /// all of `u64`, and not the key. Of several rollouts that ask for copies, one gets it.
    ///
    /// Cost: a look at each rollout; a few instructions if none asks for copies.
    pub fn shadow(
        &self,
        admission: &Admission<'_>,
        draw: u64,
    ) -> Option<(usize, Mask, &Arc<VersionSet>)> {
        // Scaled to 0..10 000.
        let mut point = ((u128::from(draw) * u128::from(BUCKETS)) >> 64) as u16;
        for (place, split) in self.splits.iter().enumerate() {
            let parts = split.shadow.parts();
            let mask = admission.mask | 1 << place;
            if parts == 0 || mask == admission.mask {
                continue;
            }
            match (point.checked_sub(parts), self.combinations.get(mask)) {
                (Some(rest), _) => point = rest,
                (None, Some(set)) => return Some((place, mask, set)),
                (None, None) => return None,
            }
        }
        None
    }

    fn rules_for(&self, head: &dyn RequestHead) -> Mask {
        bits(self.ruled)
            .filter(|&place| {
                let rules = self.splits.get(place).map(|split| &split.matches);
                rules.is_some_and(|rules| rules.iter().any(|rule| rule.fits(head)))
            })
            .fold(0, |mask, place| mask | 1 << place)
    }
}

/// `a, b and c`, in the order of their places.
fn names(splits: &[Split], mask: Mask) -> String {
    let names: Vec<_> = bits(mask)
        .filter_map(|place| Some(splits.get(place)?.rollout.as_str()))
        .collect();
    match names.as_slice() {
        [most @ .., last] if !most.is_empty() => format!("{} and {last}", most.join(", ")),
        names => names.join(""),
    }
}

impl fmt::Debug for RoutingTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoutingTable(epoch {}", self.epoch)?;
        for (set, weight) in &self.sets {
            write!(f, ", {} {weight}", set.digest().short())?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests;
