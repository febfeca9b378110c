//! Whether an isolate takes work: the breaker in front of one that keeps failing.
//!
//! Each time that an isolate's code has to be ended costs everybody on its shard the time until
//! then, and so does each time that it runs until it gets no memory or no timers any more. A little of
//! that is forgiven, and its requests may use no more than is left of it. Past it the isolate is *held
//! back*: what is asked of it fails at once, for a second at first and twice as long each time, then
//! one request is let through to see.

use std::cell::Cell;
use std::time::{Duration, Instant};

use isolith_capnp::error_capnp::call_error::Kind;

use crate::error::CallError;

/// In this time as much CPU time is forgiven as may be wasted.
const FORGIVEN_IN: Duration = Duration::from_secs(10);
/// What an isolate is charged at least, each time.
const LEAST_WASTE: Duration = Duration::from_millis(20);
/// How long an isolate is held back the first time.
const FIRST_HOLD: Duration = Duration::from_secs(1);
/// The longest that an isolate is held back.
const LONGEST_HOLD: Duration = Duration::from_secs(30);
/// A request that is let through to see has this share of its CPU time, so have those that are under
/// way when the isolate is held back, and others have no less,
const TRIAL_CPU_DIVISOR: u32 = 10;
/// or so many times what requests there usually take, if that is more.
const TRIAL_USUAL_CPU: u32 = 4;

/// Where the gate is.
///
/// ```text
///        wastes too much              its time is over           the trial is answered
/// Open ──────────────────▶ Held ────────────────────▶ Trial ─────────────────────▶ Open
///   │                       ▲                           │ the trial is ended
///   │ the isolate is lost   └───────────────────────────┘
///   └──────────────────────▶ Replacing ──▶ Open or Held
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GateState {
    Open,
    /// Nothing passes.
    Held {
        until: Instant,
    },
    /// One request was let through; if nothing comes of it, another one is, then.
    Trial {
        until: Instant,
    },
    /// A new isolate is being made in place of one that is lost.
    Replacing,
}

impl GateState {
    /// Whether next to nothing passes.
    pub(crate) fn is_held(self) -> bool {
        !matches!(self, GateState::Open)
    }
}

/// The gate of one isolate.
pub(crate) struct Gate {
    state: Cell<GateState>,
    /// CPU time wasted, less what was forgiven; it was so at the instant.
    wasted: Cell<(Duration, Option<Instant>)>,
    hold: Cell<Duration>,
    /// Times that the code was ended, since the start.
    ended: Cell<u64>,
    /// The CPU time that it has wasted, since the start.
    wasted_cpu: Cell<Duration>,
}

impl Default for Gate {
    fn default() -> Self {
        Gate {
            state: Cell::new(GateState::Open),
            wasted: Cell::default(),
            hold: Cell::new(FIRST_HOLD),
            ended: Cell::new(0),
            wasted_cpu: Cell::default(),
        }
    }
}

impl Gate {
    pub(crate) fn state(&self) -> GateState {
        self.state.get()
    }

    /// Times that the isolate's code was ended, since the start.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.get()
    }

    /// Lets a request or call through, or says why not.
    ///
    /// # Errors
    /// `Overloaded`: the isolate is held back or is being replaced.
    pub(crate) fn pass(&self) -> Result<(), CallError> {
        match self.state.get() {
            GateState::Open => Ok(()),
            state => self.pass_at(state, Instant::now()),
        }
    }

    #[cold]
    fn pass_at(&self, state: GateState, now: Instant) -> Result<(), CallError> {
        let refuse = |reason: String| Err(CallError::host(Kind::Overloaded, reason));
        match state {
            GateState::Open => Ok(()),
            GateState::Replacing => {
                refuse("it was lost and is being made anew; try again in a moment".into())
            }
            GateState::Held { until } | GateState::Trial { until } if now < until => {
                let seconds = until.duration_since(now).as_secs() + 1;
                refuse(format!(
                    "it had to be ended too often and is held back; try again in {seconds} s"
                ))
            }
            GateState::Held { .. } | GateState::Trial { .. } => {
                let until = now + self.hold.get();
                self.state.set(GateState::Trial { until });
                Ok(())
            }
        }
    }

    /// The CPU time that the isolate has wasted, since the start.
    pub(crate) fn wasted_cpu(&self) -> Duration {
        self.wasted_cpu.get()
    }

    /// What a request may use of the CPU time that it otherwise has: no more than may still be wasted
    /// of `most`, and nothing of it if the request is let through to see, or was under way when the
    /// gate was closed; but a little, and some times `usual`, which is what requests of this isolate
    /// have taken that were not ended.
    pub(crate) fn allowance(
        &self,
        budget: Duration,
        most: Duration,
        now: Instant,
        usual: impl FnOnce() -> Duration,
    ) -> Duration {
        let left = match self.state.get() {
            GateState::Held { .. } | GateState::Trial { .. } => Duration::ZERO,
            _ => most.saturating_sub(self.unforgiven(most, now)),
        };
        if left >= budget {
            return budget;
        }
        left.max(TRIAL_USUAL_CPU * usual())
            .max(budget / TRIAL_CPU_DIVISOR)
            .min(budget)
    }

    /// What was wasted and is not forgiven yet.
    fn unforgiven(&self, most: Duration, now: Instant) -> Duration {
        let (wasted, at) = self.wasted.get();
        let forgiven = at.map_or(Duration::ZERO, |at| {
            now.saturating_duration_since(at)
                .mul_f64(most.as_secs_f64() / FORGIVEN_IN.as_secs_f64())
        });
        wasted.saturating_sub(forgiven)
    }

    /// Something that the isolate was asked is done, well or not: it did not have to be ended.
    pub(crate) fn answered(&self) {
        if matches!(self.state.get(), GateState::Trial { .. }) {
            self.state.set(GateState::Open);
        }
    }

    /// The isolate's code had to be ended after `used`; `most` may be wasted. Returns how long it is
    /// held back for that.
    pub(crate) fn strike(&self, used: Duration, most: Duration, now: Instant) -> Option<Duration> {
        self.ended.set(self.ended.get() + 1);
        self.charge(used, most, now)
    }

    /// As [`strike`](Self::strike), for code that goes on, though what it did was in vain.
    pub(crate) fn waste(&self, used: Duration, most: Duration, now: Instant) -> Option<Duration> {
        self.charge(used, most, now)
    }

    fn charge(&self, used: Duration, most: Duration, now: Instant) -> Option<Duration> {
        self.wasted_cpu.set(self.wasted_cpu.get() + used);
        let left = self.unforgiven(most, now);
        let on_trial = matches!(self.state.get(), GateState::Trial { .. });
        // While it was held back it could waste nothing: that is forgiven, and not forgotten.
        if left.is_zero() && !on_trial {
            self.hold.set(FIRST_HOLD);
        }
        let wasted = left + used.max(LEAST_WASTE);
        self.wasted.set((wasted, Some(now)));
        match self.state.get() {
            // Nobody waits for it, and it has to stay so.
            GateState::Replacing => return None,
            _ if wasted < most && !on_trial => return None,
            _ => {}
        }
        let hold = self.hold.get();
        self.state.set(GateState::Held { until: now + hold });
        self.hold.set((hold * 2).min(LONGEST_HOLD));
        Some(hold)
    }

    /// The isolate's code had to be ended, and another one is to blame.
    pub(crate) fn excuse(&self) {
        self.ended.set(self.ended.get() + 1);
    }

    /// Nothing passes until [`replaced`](Self::replaced).
    pub(crate) fn replacing(&self) -> GateState {
        self.state.replace(GateState::Replacing)
    }

    /// The new isolate stands where the old one stood: held back, if that was.
    pub(crate) fn replaced(&self, before: GateState) {
        self.state.set(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const WASTE: Duration = Duration::from_millis(150);

    #[test]
    fn one_overrun_is_forgiven_and_many_are_not() {
        let (gate, start) = (Gate::default(), Instant::now());
        assert_eq!(gate.strike(60 * MS, WASTE, start), None);
        assert!(gate.pass().is_ok());
        // Ten seconds later it is forgotten.
        let later = start + FORGIVEN_IN;
        assert_eq!(gate.strike(60 * MS, WASTE, later), None);
        assert_eq!(gate.strike(60 * MS, WASTE, later), None);
        assert_eq!(gate.strike(60 * MS, WASTE, later), Some(FIRST_HOLD));
        assert_eq!(gate.ended(), 4);
        assert_eq!(gate.pass().unwrap_err().kind, Kind::Overloaded);
    }

    #[test]
    fn what_was_in_vain_counts_and_ends_nothing() {
        let (gate, start) = (Gate::default(), Instant::now());
        assert_eq!(gate.waste(MS, WASTE, start), None);
        assert_eq!(gate.waste(80 * MS, WASTE, start), None);
        assert_eq!(gate.waste(80 * MS, WASTE, start), Some(FIRST_HOLD));
        assert_eq!((gate.ended(), gate.wasted_cpu()), (0, 161 * MS));
    }

    #[test]
    fn a_trial_has_little_time_and_enough_for_what_is_usual() {
        let (gate, start) = (Gate::default(), Instant::now());
        let allowed = |now, usual: u32| gate.allowance(50 * MS, WASTE, now, || usual * MS);
        assert_eq!(allowed(start, 1), 50 * MS);
        assert_eq!(gate.strike(WASTE, WASTE, start), Some(FIRST_HOLD));
        // So has what was under way.
        assert_eq!(allowed(start, 1), 5 * MS);
        let tried = start + FIRST_HOLD;
        assert!(gate.pass_at(gate.state(), tried).is_ok());
        for (usual, most) in [(0, 5), (1, 5), (4, 16), (40, 50)] {
            assert_eq!(allowed(tried, usual), most * MS);
        }
    }

    #[test]
    fn who_wasted_has_what_is_left_to_waste_until_that_is_forgiven() {
        let (gate, start) = (Gate::default(), Instant::now());
        let allowed = |now, usual: u32| gate.allowance(50 * MS, WASTE, now, || usual * MS);
        assert_eq!(gate.strike(50 * MS, WASTE, start), None);
        assert_eq!(allowed(start, 0), 50 * MS);
        assert_eq!(gate.strike(76 * MS, WASTE, start), None);
        assert_eq!(allowed(start, 0), 24 * MS);
        // What is usual there is no waste.
        assert_eq!(allowed(start, 7), 28 * MS);
        assert_eq!(allowed(start + FORGIVEN_IN / 10, 0), 39 * MS);
        assert_eq!(allowed(start + FORGIVEN_IN / 5, 0), 50 * MS);
        assert_eq!(gate.strike(20 * MS, WASTE, start), None);
        // Nobody is left without any.
        assert_eq!(allowed(start, 0), 5 * MS);
    }

    #[test]
    fn a_trial_opens_the_gate_or_doubles_the_time() {
        let (gate, start) = (Gate::default(), Instant::now());
        assert_eq!(gate.strike(WASTE, WASTE, start), Some(FIRST_HOLD));
        let tried = start + FIRST_HOLD;
        let state = gate.state();
        assert!(gate.pass_at(state, tried).is_ok());
        // One only.
        assert!(gate.pass_at(gate.state(), tried).is_err());
        assert_eq!(gate.strike(MS, WASTE, tried), Some(2 * FIRST_HOLD));
        // However little it was, and however long ago the last time.
        let later = tried + 2 * FORGIVEN_IN;
        assert!(gate.pass_at(gate.state(), later).is_ok());
        assert_eq!(gate.waste(MS, WASTE, later), Some(4 * FIRST_HOLD));
        let again = later + 4 * FIRST_HOLD;
        assert!(gate.pass_at(gate.state(), again - MS).is_err());
        assert!(gate.pass_at(gate.state(), again).is_ok());
        gate.answered();
        assert_eq!(gate.state(), GateState::Open);
    }

    #[test]
    fn an_isolate_that_is_made_anew_stays_closed_whatever_is_ended() {
        let gate = Gate::default();
        let before = gate.replacing();
        assert_eq!(gate.strike(WASTE, WASTE, Instant::now()), None);
        assert_eq!(gate.state(), GateState::Replacing);
        gate.replaced(before);
        assert_eq!(gate.state(), GateState::Open);
    }
}
