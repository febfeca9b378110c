//! The routing table: which version sets take new requests, and in what shares.

use std::fmt;
use std::sync::Arc;

use crate::VersionSet;

/// A set's share of new requests, in parts of 10 000 (hundredths of a percent).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u16);

/// The version sets in force and their weights, published as one immutable value.
///
/// A request is admitted by reading one table once and calling [`admit`](RoutingTable::admit): epoch
/// and set then come from one publication by construction. Every change makes a new table with a
/// higher epoch; requests that hold an earlier one's set keep it.
///
/// The sets divide the draws among them as consecutive intervals in the order given. While weight
/// moves from the first of two sets to the second, the second's interval only grows: a draw that
/// stands for the same key each time never moves back.
#[derive(Clone)]
pub struct RoutingTable {
    epoch: u64,
    /// Never empty; the weights sum to [`Weight::WHOLE`].
    sets: Box<[(Arc<VersionSet>, Weight)]>,
}

/// What one request was admitted to: the set that it is pinned to until its last work ends.
#[derive(Clone, Copy, Debug)]
pub struct Admission<'a> {
    /// The epoch of the table that decided.
    pub epoch: u64,
    /// The set's place in [`RoutingTable::sets`].
    pub set_index: usize,
    /// The set.
    pub set: &'a Arc<VersionSet>,
}

/// Why sets and weights do not make a [`RoutingTable`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoutingError {
    /// A single weight above the whole.
    #[error("the weight {parts} is more than the whole: give at most {} parts", Weight::WHOLE.0)]
    WeightTooLarge {
        /// What was given, in parts of 10 000.
        parts: u16,
    },
    /// Weights that do not make a whole.
    #[error(
        "the weights of the routing table sum to {sum} parts of {}: make them sum to exactly that",
        Weight::WHOLE.0
    )]
    WeightsNotWhole {
        /// Their sum, in parts of 10 000.
        sum: u64,
    },
    /// More sets than a table holds.
    #[error(
        "the routing table would hold {count} version sets, but {} is the most: finish or abort a \
         rollout first",
        RoutingTable::MAX_SETS
    )]
    TooManySets {
        /// What was given.
        count: usize,
    },
    /// The epoch cannot grow.
    #[error("the routing table is at the last epoch there is: restart with an epoch near 0")]
    EpochsExhausted,
}

impl Weight {
    /// All requests: 10 000 parts.
    pub const WHOLE: Weight = Weight(10_000);
    /// None: the set is kept in the table, and takes no new request.
    pub const ZERO: Weight = Weight(0);

    /// A weight in parts of 10 000.
    ///
    /// # Errors
    /// [`RoutingError::WeightTooLarge`] above 10 000.
    pub fn new(parts: u16) -> Result<Self, RoutingError> {
        if parts > Self::WHOLE.0 {
            return Err(RoutingError::WeightTooLarge { parts });
        }
        Ok(Self(parts))
    }

    /// The weight in parts of 10 000.
    pub fn parts(self) -> u16 {
        self.0
    }
}

impl RoutingTable {
    /// The most sets that a table holds at once.
    pub const MAX_SETS: usize = 256;

    /// A table that sends every request to `set`.
    pub fn single(epoch: u64, set: Arc<VersionSet>) -> Self {
        Self {
            epoch,
            sets: [(set, Weight::WHOLE)].into(),
        }
    }

    /// A table with these sets in force.
    ///
    /// # Errors
    /// [`RoutingError`] when the weights do not sum to 10 000 or there are more sets than
    /// [`MAX_SETS`](Self::MAX_SETS).
    pub fn new(epoch: u64, sets: Vec<(Arc<VersionSet>, Weight)>) -> Result<Self, RoutingError> {
        if sets.len() > Self::MAX_SETS {
            return Err(RoutingError::TooManySets { count: sets.len() });
        }
        let sum = sets.iter().map(|(_, weight)| u64::from(weight.0)).sum();
        if sum != u64::from(Weight::WHOLE.0) {
            return Err(RoutingError::WeightsNotWhole { sum });
        }
        Ok(Self {
            epoch,
            sets: sets.into(),
        })
    }

    /// The table that follows this one: the next epoch, with these sets in force.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn next(&self, sets: Vec<(Arc<VersionSet>, Weight)>) -> Result<Self, RoutingError> {
        let epoch = self
            .epoch
            .checked_add(1)
            .ok_or(RoutingError::EpochsExhausted)?;
        Self::new(epoch, sets)
    }

    /// Grows with every published change.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The sets in force and their weights, in the order given.
    pub fn sets(&self) -> &[(Arc<VersionSet>, Weight)] {
        &self.sets
    }

    /// Chooses the set for one request. `draw` is uniform over all of `u64`: a random number, or a
    /// hash of what should stay together.
    ///
    /// Cost: a multiplication and one comparison per set; nothing is allocated or counted.
    pub fn admit(&self, draw: u64) -> Admission<'_> {
        // Scales the draw to 0..10 000, each with the same share of draws but for one in 2^50.
        let point = (u128::from(draw) * u128::from(Weight::WHOLE.0)) >> 64;
        let mut end = 0;
        let mut set_index = 0;
        for (index, (_, weight)) in self.sets.iter().enumerate() {
            end += u128::from(weight.0);
            if point < end {
                set_index = index;
                break;
            }
        }
        Admission {
            epoch: self.epoch,
            set_index,
            set: &self.sets[set_index].0,
        }
    }
}

impl fmt::Debug for RoutingTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoutingTable(epoch {}", self.epoch)?;
        for (set, weight) in &self.sets {
            write!(
                f,
                ", {} {}/{}",
                set.digest().short(),
                weight.0,
                Weight::WHOLE.0
            )?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::set;

    fn sets() -> (Arc<VersionSet>, Arc<VersionSet>) {
        (
            Arc::new(set("a *", "a@1.0.0")),
            Arc::new(set("a *", "a@2.0.0")),
        )
    }

    fn split(new_parts: u16) -> RoutingTable {
        let (old, new) = sets();
        let weight = |parts| Weight::new(parts).unwrap();
        RoutingTable::new(
            7,
            vec![(old, weight(10_000 - new_parts)), (new, weight(new_parts))],
        )
        .unwrap()
    }

    /// Draws spread evenly over all of u64, both ends included.
    fn draws() -> impl Iterator<Item = u64> {
        (0..=20_000).map(|step| (u128::from(u64::MAX) * step / 20_000) as u64)
    }

    #[test]
    fn shares_follow_weights() {
        for (parts, low, high) in [
            (0, 0, 0),
            (1, 1, 3),
            (2_500, 4_998, 5_002),
            (10_000, 20_001, 20_001),
        ] {
            let table = split(parts);
            let new = draws()
                .filter(|draw| table.admit(*draw).set_index == 1)
                .count();
            assert!(
                (low..=high).contains(&new),
                "{parts} parts got {new} of 20 001 draws"
            );
        }
    }

    #[test]
    fn an_admission_is_of_one_table() {
        let (old, new) = sets();
        let first = RoutingTable::single(41, Arc::clone(&old));
        let second = first.next(vec![(Arc::clone(&new), Weight::WHOLE)]).unwrap();
        for draw in draws() {
            let (before, after) = (first.admit(draw), second.admit(draw));
            assert!(before.epoch == 41 && Arc::ptr_eq(before.set, &old));
            assert!(after.epoch == 42 && Arc::ptr_eq(after.set, &new));
        }
    }

    #[test]
    fn raising_a_weight_moves_no_draw_back() {
        for draw in draws() {
            let places = [0, 1, 100, 5_000, 10_000].map(|parts| split(parts).admit(draw).set_index);
            assert!(places.is_sorted(), "{draw}: {places:?}");
        }
    }

    #[test]
    fn weights_make_a_whole() {
        let (old, new) = sets();
        let half = Weight::new(5_000).unwrap();
        let sum = |sets| RoutingTable::new(1, sets).unwrap_err();
        assert_eq!(sum(vec![]), RoutingError::WeightsNotWhole { sum: 0 });
        assert_eq!(
            sum(vec![(old, Weight::WHOLE), (new, half)]).to_string(),
            "the weights of the routing table sum to 15000 parts of 10000: make them sum to exactly \
             that"
        );
        assert_eq!(
            Weight::new(10_001).unwrap_err().to_string(),
            "the weight 10001 is more than the whole: give at most 10000 parts"
        );
    }
}
