//! Buckets: how keys are divided among rollouts.
//!
//! Each key falls into one of [`BUCKETS`] buckets. A rollout holds a set of buckets, and requests
//! whose key falls into one of them see its new version. It takes buckets in an order of its own,
//! which its [`Salt`] gives: two rollouts overlap as if by chance, unless one must keep out of what
//! the other holds. As the buckets themselves are kept, a key stays where it is across restarts,
//! and raising a weight only ever adds buckets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::seeded;

/// The number of buckets: one for each part of a [`Weight`].
pub const BUCKETS: u16 = 10_000;

const WORDS: usize = (BUCKETS as usize).div_ceil(64);

/// A share of new requests, in parts of 10 000 (hundredths of a percent). Written `5 %`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(u16);

/// A weight above the whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the weight {parts} is more than the whole: give at most {BUCKETS} parts, which are 100 %")]
pub struct WeightError {
    /// What was given, in parts of 10 000.
    parts: u16,
}

/// Gives a rollout its order of taking buckets. Draw it at random when a rollout starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Salt(pub u64);

/// A set of buckets. Kept and sent as text: 2 512 hex digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Buckets(Box<[u64; WORDS]>);

/// The text is not a set of [`Buckets`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a set of buckets: it was not written by this program, or was damaged")]
pub struct BucketsError;

/// There are not enough free buckets for a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{wanted} of the keys are more than the {most} that are not taken by rollouts it cannot be \
     combined with: lower or finish one of those first"
)]
pub struct NoRoom {
    /// The weight asked for.
    pub wanted: Weight,
    /// The highest weight possible.
    pub most: Weight,
}

/// The key of a request that shows `text` to be recognised by: a user, a session, a cookie.
///
/// The same in every process and every release. Cost: some nanoseconds.
pub fn sticky_key(text: &[u8]) -> u64 {
    xxh3_64(text)
}

/// The bucket that `key` falls into. Any keys will do, consecutive ones too.
pub(crate) fn bucket_of(key: u64) -> u16 {
    // Scaled to 0..10 000, each with the same share of hashes but for one in 2^50.
    ((u128::from(xxh3_64(&key.to_le_bytes())) * u128::from(BUCKETS)) >> 64) as u16
}

impl Weight {
    /// All requests: 10 000 parts.
    pub const WHOLE: Weight = Weight(BUCKETS);
    /// None.
    pub const ZERO: Weight = Weight(0);

    /// A weight in parts of 10 000.
    ///
    /// # Errors
    /// [`WeightError`] above 10 000.
    pub fn new(parts: u16) -> Result<Self, WeightError> {
        if parts > Self::WHOLE.0 {
            return Err(WeightError { parts });
        }
        Ok(Self(parts))
    }

    /// The weight in parts of 10 000.
    pub fn parts(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Weight {
    type Error = WeightError;

    fn try_from(parts: u16) -> Result<Self, WeightError> {
        Self::new(parts)
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> u16 {
        weight.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(self.0) / 100.0)
    }
}

impl Buckets {
    /// No bucket.
    pub fn none() -> Self {
        Self(Box::new([0; WORDS]))
    }

    /// Every bucket.
    pub fn all() -> Self {
        Self::of(|_| true)
    }

    /// The buckets that `belongs` says yes to.
    pub fn of(belongs: impl Fn(u16) -> bool) -> Self {
        let mut buckets = Self::none();
        for bucket in (0..BUCKETS).filter(|bucket| belongs(*bucket)) {
            buckets.set(bucket, true);
        }
        buckets
    }

    /// The share of keys that they hold: exactly one part for each bucket.
    pub fn weight(&self) -> Weight {
        // At most BUCKETS bits are set.
        Weight(self.0.iter().map(|word| word.count_ones() as u16).sum())
    }

    /// Whether `bucket` is one of them.
    pub fn contains(&self, bucket: u16) -> bool {
        let word = self.0.get(usize::from(bucket / 64)).copied();
        word.unwrap_or(0) >> (bucket % 64) & 1 == 1
    }

    /// As many buckets as `weight` has parts.
    ///
    /// More come from `free`, in the order that `salt` gives, and none is given back; fewer are left
    /// by giving back the last ones in that order. Cost: a sort of the buckets.
    ///
    /// # Errors
    /// [`NoRoom`] if there are not enough in `free`.
    pub fn resized(&self, weight: Weight, salt: Salt, free: &Buckets) -> Result<Self, NoRoom> {
        let mut next = match seeded("raising-moves-keys-back") {
            true => Self::none(),
            false => self.clone(),
        };
        let salt = match seeded("raising-moves-keys-back") {
            true => Salt(salt.0 ^ u64::from(weight.0)),
            false => salt,
        };
        let mut parts = next.weight().0;
        let mut order: Vec<u16> = (0..BUCKETS).collect();
        order.sort_unstable_by_key(|&bucket| {
            let salt = if seeded("one-order-for-all") {
                0
            } else {
                salt.0
            };
            (xxh3_64_with_seed(&bucket.to_le_bytes(), salt), bucket)
        });
        for &bucket in order.iter().rev() {
            if parts > weight.0 && next.contains(bucket) {
                next.set(bucket, false);
                parts -= 1;
            }
        }
        for &bucket in &order {
            if parts < weight.0 && !next.contains(bucket) && free.contains(bucket) {
                next.set(bucket, true);
                parts += 1;
            }
        }
        match parts < weight.0 {
            false => Ok(next),
            true => Err(NoRoom {
                wanted: weight,
                most: Weight(parts),
            }),
        }
    }

    fn set(&mut self, bucket: u16, held: bool) {
        if let Some(word) = self.0.get_mut(usize::from(bucket / 64)) {
            let bit = 1 << (bucket % 64);
            *word = if held { *word | bit } else { *word & !bit };
        }
    }
}

impl Default for Buckets {
    fn default() -> Self {
        Self::none()
    }
}

impl fmt::Display for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|word| write!(f, "{word:016x}"))
    }
}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buckets({})", self.weight())
    }
}

impl FromStr for Buckets {
    type Err = BucketsError;

    fn from_str(text: &str) -> Result<Self, BucketsError> {
        let mut bytes = [0; WORDS * 8];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| BucketsError)?;
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_be_bytes(*bytes);
        }
        let buckets = Self(Box::new(words));
        let known = Self::of(|bucket| buckets.contains(bucket));
        if known == buckets {
            Ok(known)
        } else {
            Err(BucketsError)
        }
    }
}

crate::text::serde_as_text!(Buckets);

#[cfg(test)]
mod tests;
