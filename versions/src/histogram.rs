//! Latencies, counted in bins.

use std::fmt;

/// Bins per doubling of the latency: neighbouring bins differ by about 9 %.
const BINS_PER_OCTAVE: u32 = 8;
const OCTAVES: u32 = 27;
const BINS: usize = (BINS_PER_OCTAVE * OCTAVES) as usize;

/// How many requests took how long: counts in bins that grow with the latency, from 1 µs to about
/// 134 s; what is longer counts as that long. 1.7 KiB.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram(Box<[u64; BINS]>);

/// One bin of a [`Histogram`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bin(usize);

impl Bin {
    /// The bin that a latency of `micros` falls into.
    pub fn of(micros: u64) -> Self {
        let octave = micros.max(1).ilog2();
        // The leading bits after the first one: where in its octave the latency lies.
        let part = match octave.checked_sub(BINS_PER_OCTAVE.ilog2()) {
            Some(shift) => micros >> shift,
            None => micros.max(1) << (BINS_PER_OCTAVE.ilog2() - octave),
        };
        let part = part % u64::from(BINS_PER_OCTAVE);
        let place = u64::from(octave * BINS_PER_OCTAVE) + part;
        Self(usize::try_from(place).unwrap_or(BINS).min(BINS - 1))
    }

    /// The latency, in microseconds, at which the next bin begins.
    pub fn end_micros(self) -> u64 {
        let next = self.0 as u64 + 1;
        let (octave, part) = (
            next / u64::from(BINS_PER_OCTAVE),
            next % u64::from(BINS_PER_OCTAVE),
        );
        ((u64::from(BINS_PER_OCTAVE) + part) << octave).div_ceil(u64::from(BINS_PER_OCTAVE))
    }

    /// The bin `octaves` times a doubling further, or the last one.
    pub fn up(self, octaves: f64) -> Self {
        let bins = (octaves * f64::from(BINS_PER_OCTAVE)).round() as usize;
        Self(self.0.saturating_add(bins).min(BINS - 1))
    }
}

impl Histogram {
    /// No request.
    pub fn new() -> Self {
        Self(Box::new([0; BINS]))
    }

    /// Counts a request that took `micros`. Cost: a few instructions.
    pub fn record(&mut self, micros: u64) {
        if let Some(count) = self.0.get_mut(Bin::of(micros).0) {
            *count += 1;
        }
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Histogram) {
        for (count, more) in self.0.iter_mut().zip(other.0.iter()) {
            *count += more;
        }
    }

    /// What was counted since `earlier`, a former state of the same histogram.
    pub fn since(&self, earlier: &Histogram) -> Self {
        let mut since = self.clone();
        for (count, before) in since.0.iter_mut().zip(earlier.0.iter()) {
            *count = count.saturating_sub(*before);
        }
        since
    }

    /// The number of requests.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The number of requests in bins after `bin`.
    pub fn count_over(&self, bin: Bin) -> u64 {
        self.0.iter().skip(bin.0 + 1).sum()
    }

    /// The bin that the quantile `q` (0.99 for p99) falls into; `None` if nothing was counted.
    pub fn quantile(&self, q: f64) -> Option<Bin> {
        let count = self.count();
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        let place = self.0.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        place.map(Bin)
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p99 = self.quantile(0.99).map(Bin::end_micros);
        write!(f, "Histogram({} requests, p99 {p99:?} us)", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_follow_each_other_and_hold_what_they_say() {
        let mut last = Bin(0);
        for micros in (0..100_000).chain((17..27).flat_map(|bit| [(1 << bit) - 1, 1 << bit])) {
            let bin = Bin::of(micros);
            assert!(bin >= last, "{micros}");
            assert!(micros < bin.end_micros(), "{micros} in {bin:?}");
            if let Some(before) = bin.0.checked_sub(1)
                && micros >= 8
            {
                assert!(micros >= Bin(before).end_micros(), "{micros} in {bin:?}");
            }
            last = bin;
        }
        assert_eq!(Bin::of(u64::MAX), Bin(BINS - 1));
        assert_eq!(Bin::of(3000).up(1.0), Bin::of(6000));
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.99), None);
        (1..=1000).for_each(|micros| histogram.record(micros));
        assert_eq!(histogram.quantile(0.99), Some(Bin::of(990)));
        assert_eq!(histogram.quantile(0.5), Some(Bin::of(500)));
        let earlier = histogram.clone();
        (0..10).for_each(|_| histogram.record(5_000));
        let since = histogram.since(&earlier);
        assert_eq!((since.count(), since.count_over(Bin::of(4_000))), (10, 10));
        assert_eq!(histogram.count_over(Bin::of(1000)), 10);
    }
}
