//! Rollouts: the shift of traffic to new versions, step by step.
//!
//! ```text
//!            last step's end, promote
//! Running ─────────────────────────────▶ Promoted
//!  │   ▲ ▲                                  ▲
//!  │   │ └────── resume ──────┐             │
//!  │ resume                   │             │
//!  ▼   │                      │             │
//! Paused ──── set weight ──▶ Holding ───────┘
//!  └──────────── abort, found worse ──────▶ Aborted      (from all three)
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::buckets::NoRoom;
use crate::judge::{Judge, JudgeSettings, Sample, Verdict};
use crate::{Buckets, BundleId, Match, RolloutName, Salt, Weight, seeded};

/// The most steps of one rollout.
pub const MAX_STEPS: usize = 100;

/// What a rollout is to do; it does not change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutPlan {
    /// Its name, unique among those under way.
    pub name: RolloutName,
    /// Its order of taking buckets, drawn at random.
    pub salt: Salt,
    /// The bundles that its version sets have in place of the ones in force.
    pub candidates: Vec<BundleId>,
    /// Its steps; without any, it holds the weight it is given.
    pub steps: Vec<Step>,
    /// Requests that see the new version whatever their key.
    pub matches: Vec<Match>,
    /// The share of requests of which the new version gets a copy, whose answer is thrown away.
    pub shadow: Option<Weight>,
    /// How it is judged.
    pub judge: JudgeSettings,
}

/// A step of a rollout: a weight, and what must have passed before the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The new version's share of keys.
    pub weight: Weight,
    /// The least time that the step takes.
    pub wait_ms: u64,
    /// The fewest requests to the new version in the step.
    pub min_requests: u64,
}

/// A rollout and how far it is. Kept whole, so that a restart goes on where it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    plan: RolloutPlan,
    buckets: Buckets,
    judge: Judge,
    state: RolloutState,
}

/// How far a rollout is. Times are milliseconds by a clock that does not jump; it agrees with the
/// wall's at a process's start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RolloutState {
    /// It goes through its steps by itself.
    Running {
        /// The place of the step it is in.
        step: usize,
        /// When it began, pauses not counted.
        since_ms: u64,
    },
    /// It stays in its step until resumed.
    Paused {
        /// The place of the step.
        step: usize,
        /// For how long the step ran.
        ran_ms: u64,
    },
    /// It keeps the weight that it was given by hand.
    Holding {
        /// Since when.
        since_ms: u64,
    },
    /// The new version is the one in force.
    Promoted {
        /// When.
        at_ms: u64,
    },
    /// The old version is the one in force.
    Aborted {
        /// When.
        at_ms: u64,
        /// Why, for a person.
        reason: String,
    },
}

/// What is to be done with a rollout now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Go to the next step: [`Rollout::advance`].
    Advance,
    /// Its last step has passed: [`Rollout::promote`].
    Promote,
    /// The new version is worse: [`Rollout::abort`].
    Abort {
        /// In what.
        reason: String,
    },
}

/// A change of a rollout's state, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The rollout.
    pub rollout: RolloutName,
    /// Its state before.
    pub from: RolloutState,
    /// Its state now.
    pub to: RolloutState,
    /// Its weight now.
    pub weight: Weight,
}

/// Why a rollout cannot be changed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RolloutError {
    /// The plan contradicts itself.
    #[error("the rollout {rollout} cannot start: {reason}")]
    Plan {
        /// The rollout.
        rollout: RolloutName,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The state does not allow it.
    #[error("the rollout {rollout} is {state}: {allowed}")]
    State {
        /// The rollout.
        rollout: RolloutName,
        /// Its state, for a person.
        state: String,
        /// What can be done.
        allowed: &'static str,
    },
    /// The keys are taken.
    #[error("the rollout {rollout} cannot have that weight: {reason}")]
    NoRoom {
        /// The rollout.
        rollout: RolloutName,
        /// What there is.
        reason: NoRoom,
    },
}

const OVER: &str = "it is over; start another one under a new name";

impl Rollout {
    /// Starts a rollout in its first step, or holding no weight if it has none. `free` are the
    /// buckets that it may hold, see [`Combinations::free`](crate::Combinations::free).
    ///
    /// # Errors
    /// [`RolloutError`] for a plan that contradicts itself, or if the first step's weight cannot be
    /// had.
    pub fn start(plan: RolloutPlan, free: &Buckets, now_ms: u64) -> Result<Self, RolloutError> {
        plan.check()?;
        let state = match plan.steps.is_empty() {
            true => RolloutState::Holding { since_ms: now_ms },
            false => RolloutState::Running {
                step: 0,
                since_ms: now_ms,
            },
        };
        let mut rollout = Self {
            judge: Judge::new(plan.judge),
            buckets: Buckets::none(),
            state,
            plan,
        };
        let first = rollout.plan.steps.first();
        let weight = first.map_or(Weight::ZERO, |step| step.weight);
        rollout.buckets = rollout.resized(weight, free)?;
        Ok(rollout)
    }

    /// Goes on by another clock, as in another process: what its step had waited at `then_ms`, by
    /// the clock so far, it has waited at `now_ms` by the new one. However the two clocks differ, no
    /// wait is skipped or begun anew.
    pub fn change_clock(&mut self, then_ms: u64, now_ms: u64) {
        match &mut self.state {
            RolloutState::Running { since_ms, .. } | RolloutState::Holding { since_ms } => {
                *since_ms = now_ms.saturating_sub(then_ms.saturating_sub(*since_ms));
            }
            _ => {}
        }
    }

    /// Its name.
    pub fn name(&self) -> &RolloutName {
        &self.plan.name
    }

    /// What it is to do.
    pub fn plan(&self) -> &RolloutPlan {
        &self.plan
    }

    /// How far it is.
    pub fn state(&self) -> &RolloutState {
        &self.state
    }

    /// The buckets whose keys see its new version.
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// The share of keys that see its new version.
    pub fn weight(&self) -> Weight {
        self.buckets.weight()
    }

    /// What the evidence says of its new version now.
    pub fn verdict(&self) -> Verdict {
        let step = match self.state {
            RolloutState::Running { step, .. } | RolloutState::Paused { step, .. } => {
                self.plan.steps.get(step)
            }
            _ => None,
        };
        let min_requests = step.map_or(0, |step| step.min_requests);
        let compared = self.weight() < Weight::WHOLE;
        self.judge.verdict(min_requests, compared)
    }

    /// Takes in the requests since the last time, those that no rule sent: of the old version those
    /// without this rollout's bit in their mask, of the new one those with it.
    pub fn observe(&mut self, old: &Sample, new: &Sample) {
        self.judge.observe(old, new);
    }

    /// What is to be done now. Ask regularly, after [`observe`](Self::observe).
    pub fn tick(&self, now_ms: u64) -> Option<Action> {
        let verdict = self.verdict();
        match (&self.state, verdict) {
            (RolloutState::Promoted { .. } | RolloutState::Aborted { .. }, _) => None,
            (_, Verdict::Worse(reason)) => Some(Action::Abort { reason }),
            (RolloutState::Running { step, since_ms }, Verdict::NotWorse) => {
                let wait_ms = self.plan.steps.get(*step).map_or(0, |step| step.wait_ms);
                let over = now_ms.saturating_sub(*since_ms) >= wait_ms;
                let last = step + 1 >= self.plan.steps.len();
                over.then_some(if last {
                    Action::Promote
                } else {
                    Action::Advance
                })
            }
            _ => None,
        }
    }

    /// Goes to the next step. On an error nothing changes, as in all transitions.
    ///
    /// # Errors
    /// [`RolloutError`] if it is not running, or the next step's weight cannot be had.
    pub fn advance(&mut self, free: &Buckets, now_ms: u64) -> Result<Transition, RolloutError> {
        match self.state {
            RolloutState::Running { step, .. } if step + 1 < self.plan.steps.len() => {
                self.enter(step + 1, free, now_ms)
            }
            RolloutState::Running { .. } => {
                self.refuse("its last step has no next; promote or abort it")
            }
            _ => self.refuse("only one that runs goes to its next step; resume it first"),
        }
    }

    /// Gives it a weight by hand; it holds that until resumed.
    ///
    /// # Errors
    /// [`RolloutError`] if it is over, or the weight cannot be had.
    pub fn set_weight(
        &mut self,
        weight: Weight,
        free: &Buckets,
        now_ms: u64,
    ) -> Result<Transition, RolloutError> {
        self.require_live()?;
        self.reweigh(weight, free)?;
        Ok(self.to(RolloutState::Holding { since_ms: now_ms }))
    }

    /// Stays in its step. It is still aborted if it is found worse.
    ///
    /// # Errors
    /// [`RolloutError`] if it is not running.
    pub fn pause(&mut self, now_ms: u64) -> Result<Transition, RolloutError> {
        match self.state {
            RolloutState::Running { step, since_ms } => Ok(self.to(RolloutState::Paused {
                step,
                ran_ms: now_ms.saturating_sub(since_ms),
            })),
            RolloutState::Paused { .. } => self.refuse("resume, set, promote or abort it"),
            _ => self.refuse("only one that runs can be paused"),
        }
    }

    /// Goes on with its steps: with the one it was paused in, or from a weight given by hand with
    /// the first step that has more.
    ///
    /// # Errors
    /// [`RolloutError`] if it runs or is over, or no step has a higher weight.
    pub fn resume(&mut self, free: &Buckets, now_ms: u64) -> Result<Transition, RolloutError> {
        match self.state {
            RolloutState::Paused { step, ran_ms } => Ok(self.to(RolloutState::Running {
                step,
                since_ms: match seeded("pause-counts-as-waiting") {
                    true => 0,
                    false => now_ms.saturating_sub(ran_ms),
                },
            })),
            RolloutState::Holding { .. } => {
                let weight = self.weight();
                let mut steps = self.plan.steps.iter();
                match steps.position(|step| step.weight > weight) {
                    Some(step) => self.enter(step, free, now_ms),
                    None => self.refuse("it has no step with a higher weight; promote or abort it"),
                }
            }
            RolloutState::Running { .. } => self.refuse("pause, set, promote or abort it"),
            _ => self.refuse(OVER),
        }
    }

    /// Ends it in favour of the new version, which the caller puts in force.
    ///
    /// # Errors
    /// [`RolloutError`] if it is over.
    pub fn promote(&mut self, now_ms: u64) -> Result<Transition, RolloutError> {
        self.require_live()?;
        Ok(self.to(RolloutState::Promoted { at_ms: now_ms }))
    }

    /// Ends it in favour of the old version: it gives back all its keys.
    ///
    /// # Errors
    /// [`RolloutError`] if it is over.
    pub fn abort(&mut self, now_ms: u64, reason: &str) -> Result<Transition, RolloutError> {
        self.require_live()?;
        if !seeded("abort-keeps-its-keys") {
            self.buckets = Buckets::none();
        }
        Ok(self.to(RolloutState::Aborted {
            at_ms: now_ms,
            reason: reason.to_owned(),
        }))
    }

    fn enter(
        &mut self,
        step: usize,
        free: &Buckets,
        now_ms: u64,
    ) -> Result<Transition, RolloutError> {
        let weight = self.plan.steps.get(step).map(|step| step.weight);
        self.reweigh(weight.unwrap_or(self.weight()), free)?;
        Ok(self.to(RolloutState::Running {
            step,
            since_ms: now_ms,
        }))
    }

    fn reweigh(&mut self, weight: Weight, free: &Buckets) -> Result<(), RolloutError> {
        self.buckets = self.resized(weight, free)?;
        self.judge.next_stage();
        Ok(())
    }

    fn resized(&self, weight: Weight, free: &Buckets) -> Result<Buckets, RolloutError> {
        let resized = self.buckets.resized(weight, self.plan.salt, free);
        resized.map_err(|reason| RolloutError::NoRoom {
            rollout: self.plan.name.clone(),
            reason,
        })
    }

    fn to(&mut self, state: RolloutState) -> Transition {
        Transition {
            rollout: self.plan.name.clone(),
            from: std::mem::replace(&mut self.state, state.clone()),
            to: state,
            weight: self.weight(),
        }
    }

    fn require_live(&self) -> Result<(), RolloutError> {
        match self.state {
            RolloutState::Promoted { .. } | RolloutState::Aborted { .. } => {
                self.refuse(OVER).map(|_| ())
            }
            _ => Ok(()),
        }
    }

    fn refuse(&self, allowed: &'static str) -> Result<Transition, RolloutError> {
        Err(RolloutError::State {
            rollout: self.plan.name.clone(),
            state: self.state.to_string(),
            allowed,
        })
    }
}

impl RolloutPlan {
    fn check(&self) -> Result<(), RolloutError> {
        let alpha = self.judge.alpha;
        let reason = if self.candidates.is_empty() {
            "it has no candidate: name at least one bundle".to_owned()
        } else if self.steps.len() > MAX_STEPS {
            format!("it has more than {MAX_STEPS} steps")
        } else if !self
            .steps
            .is_sorted_by(|one, next| one.weight < next.weight)
        {
            "the weights of its steps do not rise: give each step more than the one before"
                .to_owned()
        } else if !(alpha > 0.0 && alpha < 1.0) {
            format!("alpha is a probability above 0 and below 1, such as 0.01, not {alpha}")
        } else if self.matches.contains(&Match::default()) {
            "a match rule has no condition: give a header, a path_prefix or a method".to_owned()
        } else {
            return Ok(());
        };
        Err(RolloutError::Plan {
            rollout: self.name.clone(),
            reason,
        })
    }
}

impl fmt::Display for RolloutState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { step, .. } => write!(f, "running in step {}", step + 1),
            Self::Paused { step, .. } => write!(f, "paused in step {}", step + 1),
            Self::Holding { .. } => write!(f, "holding its weight"),
            Self::Promoted { .. } => write!(f, "promoted"),
            Self::Aborted { reason, .. } => write!(f, "aborted ({reason})"),
        }
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rollout,
            from,
            to,
            weight,
        } = self;
        write!(f, "rollout {rollout} was {from} and is {to}, at {weight}")
    }
}

#[cfg(test)]
mod tests;
