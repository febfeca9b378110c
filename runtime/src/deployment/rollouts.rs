//! Rollouts: starting and steering them, and the controller that judges them by their requests.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use isolith_services::bundle::Bundle;
use isolith_versions::{
    Action, Mask, Rollout, RolloutName, RolloutPlan, RolloutState, Salt, Sample, Weight,
};

use super::layout::Layout;
use super::{Accepted, Deployment, Next, Refused, State, blocking, now_ms, refused};
use crate::config::RolloutSettings;
use crate::shard::EntrySample;
use crate::state::Author;

/// Rollouts that are over and that a status still tells of.
pub(super) const MAX_FINISHED_ROLLOUTS: usize = 64;

/// Epochs whose requests can still be told to be a rollout's or not. Those of earlier ones, which
/// took long, are not counted.
const MAX_SAMPLED_EPOCHS: usize = 256;

/// How often rollouts are judged.
const TICK: Duration = Duration::from_millis(500);

/// When a step that could not be taken is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// What is gathered against a new version is written down so often, beside at each transition: a
/// process that is killed forgets at most that much of it.
const EVIDENCE_KEPT: Duration = Duration::from_secs(10);

/// Who does what nobody asked for.
const CONTROLLER: &str = "isolith";

/// What may be done to a rollout.
#[derive(Clone, Debug)]
pub(crate) enum Steer {
    /// Give it this weight, and hold it.
    Set(Weight),
    /// Go to the next step now.
    Advance,
    Pause,
    Resume,
    Promote,
    /// With the reason.
    Abort(String),
}

/// Which rollout had which bit.
#[derive(Default)]
pub(super) struct Bits(VecDeque<(u64, Vec<RolloutName>)>);

/// What the controller keeps between two looks.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) bits: Bits,
    /// Why a rollout that should go on does not.
    pub(super) stalled: BTreeMap<RolloutName, String>,
    /// When that is tried again, in milliseconds since 1970.
    retries: BTreeMap<RolloutName, u64>,
    /// When evidence was written down last, in milliseconds since 1970.
    kept_ms: u64,
}

impl Deployment {
    /// Starts a rollout of `bundles` in place of other versions of their services.
    ///
    /// # Errors
    /// If they cannot be wired or loaded, or the rollout's first weight is not free.
    ///
    /// # Cancel safety
    /// As [`deploy`](Self::deploy).
    pub(crate) async fn start_rollout(
        &self,
        name: RolloutName,
        settings: RolloutSettings,
        bundles: Vec<Bundle>,
        author: Author,
    ) -> Result<Accepted, Refused> {
        let mut state = self.state.lock().await;
        let next = self.starting(&state, name, settings, bundles).await?;
        self.carry_out(&mut state, next, author).await
    }

    /// Does something to a rollout.
    ///
    /// # Errors
    /// If there is no such rollout under way, or its state does not allow it.
    ///
    /// # Cancel safety
    /// As [`deploy`](Self::deploy).
    pub(crate) async fn steer(
        &self,
        name: &RolloutName,
        steer: Steer,
        author: Author,
    ) -> Result<Accepted, Refused> {
        let mut state = self.state.lock().await;
        self.steer_locked(&mut state, name, steer, author).await
    }

    /// Judges the rollouts again and again, and steps, promotes and aborts them by itself. Never
    /// ends.
    pub(crate) async fn watch_rollouts(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// One look at every rollout under way.
    async fn look(&self) {
        if self.routing.load().splits().is_empty() {
            return;
        }
        let samples = self.take_samples().await;
        let mut state = self.state.lock().await;
        state.observe(&samples);
        let now = now_ms();
        let due: Vec<_> = state
            .layout
            .live
            .iter()
            .filter(|rollout| {
                let retry = state.watch.retries.get(rollout.name());
                retry.is_none_or(|retry| *retry <= now)
            })
            .filter_map(|rollout| Some((rollout.name().clone(), rollout.tick(now)?)))
            .collect();
        for (name, action) in due {
            let (steer, message) = match action {
                Action::Advance => (Steer::Advance, String::new()),
                Action::Promote => (Steer::Promote, "it was not found worse".to_owned()),
                Action::Abort { reason } => (Steer::Abort(reason.clone()), reason),
            };
            let who = CONTROLLER.to_owned();
            let author = Author { who, message };
            let done = self.steer_locked(&mut state, &name, steer, author).await;
            let Err(Refused(reason)) = done else {
                continue;
            };
            let retry = u64::try_from(RETRY.as_millis()).unwrap_or(u64::MAX);
            state
                .watch
                .retries
                .insert(name.clone(), now.saturating_add(retry));
            let before = state.watch.stalled.insert(name.clone(), reason.clone());
            if before.as_ref() != Some(&reason) {
                tracing::warn!("the rollout {name} does not go on:\n{reason}");
            }
        }
        self.keep_evidence(&mut state, now).await;
    }

    async fn keep_evidence(&self, state: &mut State, now: u64) {
        let since = now.saturating_sub(state.watch.kept_ms);
        if u128::from(since) < EVIDENCE_KEPT.as_millis() {
            return;
        }
        state.watch.kept_ms = now;
        let kept = state.kept_with(&state.layout.live, &[]);
        if kept == state.kept {
            return;
        }
        let head = state.head.clone();
        if let Err(Refused(reason)) = self.write_down(state, head, kept, None).await {
            tracing::warn!("the evidence of rollouts is not kept: {reason}");
        }
    }

    /// The layout with one more rollout.
    pub(super) async fn starting(
        &self,
        state: &State,
        name: RolloutName,
        settings: RolloutSettings,
        bundles: Vec<Bundle>,
    ) -> Result<Next, Refused> {
        if state.layout.place(&name).is_some() {
            return Err(Refused(format!(
                "the rollout {name} is under way: abort or promote it first, or choose another name"
            )));
        }
        let candidates: Vec<_> = bundles.iter().map(|bundle| bundle.id().clone()).collect();
        let base = state.layout.base();
        if candidates.iter().all(|id| base.find(id.digest).is_some()) {
            return Err(Refused(format!(
                "there is nothing to roll out: {} in force already",
                listed(&candidates)
            )));
        }
        let action = format!("rollout start {name} {}", listed(&candidates));
        let plan = new_plan(name, settings, &bundles);
        let mut layout = state.layout.clone();
        blocking(move || {
            layout.catalog = layout.catalog.with(&bundles)?;
            let layout = layout.starting(plan, now_ms())?;
            Ok(Next {
                bundles,
                lines: layout.live.last().map(describe).into_iter().collect(),
                ..Next::new(layout, action)
            })
        })
        .await
    }

    async fn steer_locked(
        &self,
        state: &mut State,
        name: &RolloutName,
        steer: Steer,
        author: Author,
    ) -> Result<Accepted, Refused> {
        let layout = &state.layout;
        let place = layout.place(name).ok_or_else(|| state.unknown(name))?;
        let Some(mut rollout) = layout.live.get(place).cloned() else {
            return Err(state.unknown(name));
        };
        let (free, now) = (layout.free(place), now_ms());
        let (transition, verb) = match steer {
            Steer::Set(weight) => (rollout.set_weight(weight, &free, now), "set"),
            Steer::Advance => (rollout.advance(&free, now), "step"),
            Steer::Pause => (rollout.pause(now), "pause"),
            Steer::Resume => (rollout.resume(&free, now), "resume"),
            Steer::Promote => (rollout.promote(now), "promote"),
            Steer::Abort(reason) => (rollout.abort(now, &reason), "abort"),
        };
        let transition = transition.map_err(refused)?;
        let action = match verb {
            "set" | "step" => format!("rollout {verb} {name} {}", rollout.weight()),
            _ => format!("rollout {verb} {name}"),
        };
        let lines = vec![describe(&rollout)];
        let next = match is_over(&rollout) {
            false => Next::new(layout.reweighed(place, rollout), action),
            true => {
                let layout = layout.clone();
                let rest = blocking(move || without(&layout, place, &rollout));
                let (layout, rollout) = rest.await?;
                Next {
                    over: vec![rollout],
                    ..Next::new(layout, action)
                }
            }
        };
        let accepted = self
            .carry_out(state, Next { lines, ..next }, author)
            .await?;
        tracing::info!("{transition}");
        state.watch.stalled.remove(name);
        state.watch.retries.remove(name);
        Ok(accepted)
    }
}

impl State {
    /// Gives each rollout the requests since the last look.
    fn observe(&mut self, samples: &[EntrySample]) {
        for rollout in &mut self.layout.live {
            let (mut old, mut new) = (Sample::default(), Sample::default());
            for sample in samples {
                let Some(bit) = self.watch.bits.of(sample.epoch, rollout.name()) else {
                    continue;
                };
                if sample.ruled & bit != 0 {
                    continue;
                }
                let to = if sample.mask & bit == 0 {
                    &mut old
                } else {
                    &mut new
                };
                to.requests += sample.sample.requests;
                to.errors += sample.sample.errors;
                to.latency.add(&sample.sample.latency);
            }
            if old.requests + new.requests > 0 {
                rollout.observe(&old, &new);
            }
        }
    }

    fn unknown(&self, name: &RolloutName) -> Refused {
        let live: Vec<_> = self
            .layout
            .live
            .iter()
            .map(|live| live.name().as_str())
            .collect();
        let over = self
            .kept
            .get(name)
            .map(|kept| kept.rollout.state().to_string());
        Refused(match (over, live.is_empty()) {
            (Some(over), _) => format!("the rollout {name} is over: it is {over}"),
            (None, true) => format!("there is no rollout {name}; none is under way"),
            (None, false) => {
                format!(
                    "there is no rollout {name}; under way are {}",
                    live.join(", ")
                )
            }
        })
    }
}

impl Bits {
    /// Remembers the rollouts of a table that is about to be published.
    pub(super) fn remember(&mut self, epoch: u64, live: &[Rollout]) {
        let names = live.iter().map(|rollout| rollout.name().clone()).collect();
        self.0.push_back((epoch, names));
        if self.0.len() > MAX_SAMPLED_EPOCHS {
            self.0.pop_front();
        }
    }

    fn of(&self, epoch: u64, name: &RolloutName) -> Option<Mask> {
        let (_, names) = self.0.iter().rev().find(|(known, _)| *known == epoch)?;
        let place = names.iter().position(|known| known == name)?;
        1_u8.checked_shl(u32::try_from(place).ok()?)
    }
}

/// The plan of a rollout that is about to start, with a salt of its own.
pub(super) fn new_plan(
    name: RolloutName,
    settings: RolloutSettings,
    bundles: &[Bundle],
) -> RolloutPlan {
    RolloutPlan {
        name,
        salt: Salt(fastrand::u64(..)),
        candidates: bundles.iter().map(|bundle| bundle.id().clone()).collect(),
        steps: settings.steps,
        matches: settings.matches,
        shadow: settings.shadow,
        judge: settings.judge,
    }
}

/// Whether a rollout has come to its end.
pub(super) fn is_over(rollout: &Rollout) -> bool {
    matches!(
        rollout.state(),
        RolloutState::Promoted { .. } | RolloutState::Aborted { .. }
    )
}

/// `auth-2: running in step 1, 1 % of keys see auth@2.0.0`
fn describe(rollout: &Rollout) -> String {
    let plan = rollout.plan();
    let (state, weight) = (rollout.state(), rollout.weight());
    let candidates = listed(&plan.candidates);
    match is_over(rollout) {
        true => format!("{}: {state}", plan.name),
        false => format!("{}: {state}, {weight} of keys see {candidates}", plan.name),
    }
}

fn listed(candidates: &[isolith_versions::BundleId]) -> String {
    let names: Vec<_> = candidates.iter().map(ToString::to_string).collect();
    names.join(" ")
}

/// The layout without a rollout that is over, and the rollout.
fn without(layout: &Layout, place: usize, rollout: &Rollout) -> Result<(Layout, Rollout), Refused> {
    let promoted = matches!(rollout.state(), RolloutState::Promoted { .. });
    let plan = match promoted {
        true => layout.promoted(place)?,
        false => layout.plan(),
    };
    let mut live = layout.live.clone();
    live.remove(place);
    let rest = Layout::new(plan, live.clone()).map_err(|misfit| {
        let other = live.get(misfit.place);
        let other = other.map_or(String::new(), |other| other.name().to_string());
        Refused(format!(
            "the rollout {other} could not go on with that: abort one of the two, or promote {other} \
             first\n{}",
            misfit.reason
        ))
    })?;
    Ok((rest, rollout.clone()))
}
