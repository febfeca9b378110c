//! What time it is: for people, and for waiting.
//!
//! The system's clock may jump: it is set, or a machine wakes up with a wrong one. The history
//! tells it as it is. What waits (a rollout's steps) asks another clock, which agreed with the
//! system's when the process started and runs evenly since. From one process to the next only the
//! time that a rollout has waited is handed on
//! ([`Rollout::change_clock`](isolith_versions::Rollout::change_clock)), so a jump in between skips
//! no wait either.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that never jumps.
struct SteadyClock {
    began: Instant,
    began_ms: u64,
}

static CLOCK: LazyLock<SteadyClock> = LazyLock::new(|| SteadyClock {
    began: Instant::now(),
    began_ms: system_ms(),
});

impl SteadyClock {
    fn at(&self, now: Instant) -> u64 {
        self.began_ms
            .saturating_add(millis(now.saturating_duration_since(self.began)))
    }
}

/// Milliseconds since 1970 by a clock that never jumps: for waiting.
pub(super) fn now_ms() -> u64 {
    CLOCK.at(Instant::now())
}

/// Milliseconds since 1970 by the system's clock: for people.
pub(super) fn system_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, millis)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_where_the_systems_clock_is_and_goes_on_by_itself() {
        let began = Instant::now();
        for began_ms in [0, 1_700_000_000_000, u64::MAX - 10] {
            let clock = SteadyClock { began, began_ms };
            assert_eq!(clock.at(began), began_ms);
            let later = clock.at(began + Duration::from_millis(1_500));
            assert_eq!(later, began_ms.saturating_add(1_500));
            // Instants of two processors may disagree a little.
            assert_eq!(clock.at(began - Duration::from_millis(1)), began_ms);
        }
    }
}
