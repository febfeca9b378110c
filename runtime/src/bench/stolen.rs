//! What other guests of the same host take of a virtual machine's processors.
//!
//! While the host runs somebody else, nobody here runs, and no clock of ours tells. The kernel is
//! told afterwards and counts it as *steal* (proc(5), `/proc/stat`); a machine that is none, or a
//! host that does not tell, has none.

use std::{fs, io};

/// When a measurement counts.
#[derive(Clone, Copy)]
pub(super) struct Calm {
    /// The share of the processors' time that others may have taken meanwhile.
    pub(super) share: f64,
    /// How often one thing is measured, for want of a calm time.
    pub(super) tries: u32,
}

/// Measures until a time was `calm`, and gives what was measured in that or, for want of it, in the
/// calmest, whatever it is. `measure` gives that and the share that was stolen.
pub(super) async fn calmest<T, E>(
    calm: Calm,
    mut measure: impl AsyncFnMut() -> Result<(T, f64), E>,
) -> Result<(T, f64), E> {
    let mut calmest = measure().await?;
    for _ in 1..calm.tries {
        if calmest.1 <= calm.share {
            break;
        }
        let next = measure().await?;
        if next.1 < calmest.1 {
            calmest = next;
        }
    }
    Ok(calmest)
}

/// The counters of all processors together, at one time.
pub(super) struct Processors {
    stolen: u64,
    /// Whatever they did, time stolen and at rest included.
    all: u64,
}

impl Processors {
    /// Reads them now, in some 50 us.
    ///
    /// # Errors
    /// If the system has no such file, or it has no such line.
    pub(super) fn now() -> io::Result<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        Self::parse(&text).ok_or_else(|| io::Error::other("no counters of `cpu` in /proc/stat"))
    }

    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user nice system idle iowait irq softirq steal; those of guests are in `user` as well.
        let counters: Vec<u64> = line
            .split_whitespace()
            .take(8)
            .map(|number| number.parse().ok())
            .collect::<Option<_>>()?;
        let stolen = *counters.get(7)?;
        let all = counters.iter().sum();
        Some(Processors { stolen, all })
    }

    /// The share of all processors' time that was stolen since, from 0 to 1.
    ///
    /// # Errors
    /// As [`Processors::now`].
    pub(super) fn stolen_since(&self) -> io::Result<f64> {
        Ok(Self::now()?.stolen_after(self))
    }

    fn stolen_after(&self, before: &Self) -> f64 {
        let stolen = self.stolen.saturating_sub(before.stolen);
        let all = self.all.saturating_sub(before.all);
        stolen as f64 / all.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_calm_measurement_counts_or_else_the_calmest() {
        let counts = async |shares: &[f64]| {
            let (share, tries) = (0.01, 5);
            let mut shares = shares.iter().copied().enumerate();
            let next = async || shares.next().ok_or("measured too often");
            calmest(Calm { share, tries }, next)
                .await
                .map(|(place, _)| place)
        };
        assert_eq!(counts(&[0.0]).await, Ok(0));
        assert_eq!(counts(&[0.5, 0.02, 0.01, 0.0]).await, Ok(2));
        assert_eq!(counts(&[0.5, 0.2, 0.02, 0.3, 0.03]).await, Ok(2));
        assert_eq!(counts(&[0.5, 0.2]).await, Err("measured too often"));
    }

    #[test]
    fn stolen_time_is_a_share_of_all_time_but_that_of_guests() {
        let at = |line: &str| Processors::parse(&format!("{line}\ncpu0 9 9 9 9 9 9 9 9 0 0\n"));
        let before = at("cpu  100 10 50 1000 5 1 4 30 70 0").expect("counters");
        let after = at("cpu  140 10 60 1140 5 1 4 40 90 0").expect("counters");
        assert!((after.stolen_after(&before) - 0.05).abs() < 1e-9);
        assert!(at("cpu  100 10 50 1000").is_none(), "no steal");
        assert!(at("intr 1 2 3 4 5 6 7 8 9").is_none(), "no counters");
    }
}
