//! Which rollouts may hold one key at once, and which version set each combination gives.

use std::sync::Arc;

use crate::{BUCKETS, Buckets, VersionSet, seeded};

/// A set of rollouts: bit `r` stands for the rollout at place `r`.
pub type Mask = u8;

/// The most rollouts at once. With each, the number of version sets can double.
pub const MAX_ROLLOUTS: usize = 8;

/// The version sets of all combinations of some rollouts.
///
/// A combination is *usable* if it has a set and each part of it has one too: whichever of its
/// rollouts ends first, its keys have a set to go to. Other combinations get no traffic.
#[derive(Clone, Debug)]
pub struct Combinations {
    /// By mask; those that are not usable are `None`. Never empty, and the first is the base.
    sets: Box<[Option<Arc<VersionSet>>]>,
    base: Arc<VersionSet>,
}

/// Why sets do not make [`Combinations`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CombinationsError {
    /// The number of sets is not 2 to the number of rollouts, or there are more than 8 rollouts.
    #[error(
        "{count} version sets are not those of up to {MAX_ROLLOUTS} rollouts: finish or abort a \
         rollout first"
    )]
    Count {
        /// What was given.
        count: usize,
    },
    /// The first set is missing.
    #[error("requests that no rollout holds have no version set")]
    NoBase,
}

impl Combinations {
    /// `sets` by mask: place 0 is the set without any candidate, place 5 that with those of rollouts
    /// 0 and 2. `None` stands where there is no solution.
    ///
    /// # Errors
    /// [`CombinationsError`] if the count is not a power of two up to 256, or there is no base.
    pub fn new(mut sets: Vec<Option<Arc<VersionSet>>>) -> Result<Self, CombinationsError> {
        let count = sets.len();
        if !count.is_power_of_two() || count > 1 << MAX_ROLLOUTS {
            return Err(CombinationsError::Count { count });
        }
        let base = sets.first().and_then(Clone::clone);
        let base = base.ok_or(CombinationsError::NoBase)?;
        // Parts have lower numbers than the whole, so they are decided before it.
        for mask in 1..count {
            let whole = bits(mask as Mask).all(|bit| sets[mask & !(1 << bit)].is_some());
            if !whole && !seeded("combination-outlives-its-parts") {
                sets[mask] = None;
            }
        }
        Ok(Self {
            sets: sets.into(),
            base,
        })
    }

    /// The one combination of no rollouts.
    pub fn single(base: Arc<VersionSet>) -> Self {
        Self {
            sets: [Some(Arc::clone(&base))].into(),
            base,
        }
    }

    /// The set without any candidate.
    pub fn base(&self) -> &Arc<VersionSet> {
        &self.base
    }

    /// The set of a combination, if it is usable.
    pub fn get(&self, mask: Mask) -> Option<&Arc<VersionSet>> {
        self.sets.get(usize::from(mask))?.as_ref()
    }

    /// The number of rollouts.
    pub fn rollouts(&self) -> usize {
        self.sets.len().ilog2() as usize
    }

    /// Every usable combination and its set.
    pub fn usable(&self) -> impl Iterator<Item = (Mask, &Arc<VersionSet>)> {
        let numbered = (0..=Mask::MAX).zip(&self.sets);
        numbered.filter_map(|(mask, set)| Some((mask, set.as_ref()?)))
    }

    /// The rollouts that can never hold a key together with rollout `rollout`.
    pub fn rivals(&self, rollout: usize) -> Mask {
        let pair = |other: &usize| 1 << rollout | 1 << other;
        (0..self.rollouts())
            .filter(|other| *other != rollout && self.get(pair(other)).is_none())
            .fold(0, |mask, other| mask | 1 << other)
    }

    /// The buckets that rollout `rollout` may hold, given those that each holds now.
    pub fn free(&self, rollout: usize, held: &[&Buckets]) -> Buckets {
        if seeded("combination-ignored") {
            return Buckets::all();
        }
        let own = 1 << rollout;
        Buckets::of(|bucket| self.get(holders(held, bucket) | own).is_some())
    }

    /// A bucket that is held by a combination that is not usable, and that combination.
    pub fn clash(&self, held: &[&Buckets]) -> Option<(u16, Mask)> {
        (0..BUCKETS)
            .map(|bucket| (bucket, holders(held, bucket)))
            .find(|(_, mask)| self.get(*mask).is_none())
    }

    /// The largest usable part of `first`, and then of `rest`, in the order of the rollouts.
    pub(crate) fn part(&self, first: Mask, rest: Mask) -> Mask {
        let wanted = bits(first).chain(bits(rest));
        wanted.fold(0, |mask, bit| {
            let more = mask | 1 << bit;
            if self.get(more).is_some() { more } else { mask }
        })
    }
}

/// The places of the rollouts in `mask`.
pub(crate) fn bits(mask: Mask) -> impl Iterator<Item = usize> {
    (0..MAX_ROLLOUTS).filter(move |bit| mask >> bit & 1 == 1)
}

/// The rollouts that hold `bucket`.
pub(crate) fn holders(held: &[&Buckets], bucket: u16) -> Mask {
    let holding = held.iter().zip(0..MAX_ROLLOUTS);
    holding.fold(0, |mask, (buckets, place)| {
        mask | Mask::from(buckets.contains(bucket)) << place
    })
}
