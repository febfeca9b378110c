//! Rollouts, as they cross the socket and as `isolith rollout status --json` prints them.

use isolith_capnp::control_capnp::{
    match_rule, rollout_spec, rollout_status, rollout_step, steering, unsolved,
};
use isolith_versions::{JudgeSettings, Match, Rollout, RolloutState, Step, Verdict, Weight};
use serde::Serialize;

use super::history::{texts, write_texts};
use crate::config::RolloutSettings;
use crate::deployment::{Snapshot, Steer};

/// Every rollout that a process tells of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Rollouts {
    /// Those under way, in the order they were started, then those that are over.
    pub(crate) rollouts: Vec<RolloutStatus>,
    /// Rollouts that no request sees together.
    pub(crate) unsolved: Vec<Unsolved>,
}

/// As the schema's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct RolloutStatus {
    pub(crate) name: String,
    /// `running`, `paused`, `holding`, `promoted` or `aborted`.
    pub(crate) state: String,
    /// The state in words.
    pub(crate) detail: String,
    /// Share of keys that see the new versions, in ten-thousandths.
    pub(crate) weight: u32,
    pub(crate) steps: Vec<Step>,
    /// From 1; 0 if it is in none.
    pub(crate) step: u32,
    /// `service@version`
    pub(crate) candidates: Vec<String>,
    /// `sha256:...`; empty if it is over.
    pub(crate) set: String,
    /// What it waits for, for people; empty if it is over.
    pub(crate) waits: String,
    /// Copies of requests that the new versions got.
    pub(crate) shadows: Shadows,
}

/// As the schema's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Shadows {
    pub(crate) alike: u64,
    pub(crate) different: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

/// As the schema's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Unsolved {
    pub(crate) rollouts: Vec<String>,
    pub(crate) reason: String,
}

/// A rollout to be started.
pub(crate) struct RolloutSpec {
    pub(crate) name: String,
    /// Bundle files.
    pub(crate) bundles: Vec<Vec<u8>>,
    pub(crate) settings: RolloutSettings,
}

impl Rollouts {
    /// What a snapshot says of rollouts.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let layout = &snapshot.layout;
        let live = layout.live.iter().zip(0_u8..).map(|(rollout, place)| {
            let set = layout.combinations.get(1 << place);
            let stalled = snapshot.stalled.get(rollout.name());
            RolloutStatus {
                set: set.map_or(String::new(), |set| set.digest().to_string()),
                shadows: Shadows::of(rollout, snapshot),
                waits: stalled.cloned().unwrap_or_else(|| waits(rollout)),
                ..RolloutStatus::of(rollout)
            }
        });
        let unsolved = layout.unsolved.iter().map(|(mask, reason)| Unsolved {
            rollouts: layout.names(*mask),
            reason: reason.clone(),
        });
        Rollouts {
            rollouts: live
                .chain(snapshot.over.iter().rev().map(RolloutStatus::of))
                .collect(),
            unsolved: unsolved.collect(),
        }
    }
}

impl RolloutStatus {
    fn of(rollout: &Rollout) -> Self {
        let plan = rollout.plan();
        let (state, step) = match rollout.state() {
            RolloutState::Running { step, .. } => ("running", step + 1),
            RolloutState::Paused { step, .. } => ("paused", step + 1),
            RolloutState::Holding { .. } => ("holding", 0),
            RolloutState::Promoted { .. } => ("promoted", 0),
            RolloutState::Aborted { .. } => ("aborted", 0),
        };
        RolloutStatus {
            name: plan.name.to_string(),
            state: state.to_owned(),
            detail: rollout.state().to_string(),
            weight: u32::from(rollout.weight().parts()),
            steps: plan.steps.clone(),
            step: u32::try_from(step).unwrap_or(u32::MAX),
            candidates: plan.candidates.iter().map(ToString::to_string).collect(),
            set: String::new(),
            waits: String::new(),
            shadows: Shadows::default(),
        }
    }

    /// Writes the status into its message.
    pub(super) fn write(&self, mut to: rollout_status::Builder<'_>) {
        to.set_name(&self.name[..]);
        to.set_state(&self.state[..]);
        to.set_detail(&self.detail[..]);
        to.set_weight(self.weight);
        let count = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        write_steps(&self.steps, to.reborrow().init_steps(count));
        to.set_step(self.step);
        write_texts(&self.candidates, |count| {
            to.reborrow().init_candidates(count)
        });
        to.set_set(&self.set[..]);
        to.set_waits(&self.waits[..]);
        let mut shadows = to.init_shadows();
        shadows.set_alike(self.shadows.alike);
        shadows.set_different(self.shadows.different);
        shadows.set_failed(self.shadows.failed);
        shadows.set_skipped(self.shadows.skipped);
    }

    /// Reads the status from its message.
    ///
    /// # Errors
    /// If the message is malformed.
    pub(super) fn read(from: rollout_status::Reader<'_>) -> Result<Self, capnp::Error> {
        let shadows = from.get_shadows()?;
        Ok(RolloutStatus {
            name: from.get_name()?.to_string()?,
            state: from.get_state()?.to_string()?,
            detail: from.get_detail()?.to_string()?,
            weight: from.get_weight(),
            steps: read_steps(from.get_steps()?)?,
            step: from.get_step(),
            candidates: texts(from.get_candidates()?)?,
            set: from.get_set()?.to_string()?,
            waits: from.get_waits()?.to_string()?,
            shadows: Shadows {
                alike: shadows.get_alike(),
                different: shadows.get_different(),
                failed: shadows.get_failed(),
                skipped: shadows.get_skipped(),
            },
        })
    }
}

impl Shadows {
    fn of(rollout: &Rollout, snapshot: &Snapshot) -> Self {
        let counts = snapshot.shards.iter().flat_map(|shard| &shard.shadows);
        let counts = counts.filter(|(name, _)| name == rollout.name());
        counts.fold(Shadows::default(), |sum, (_, counts)| Shadows {
            alike: sum.alike + counts.alike,
            different: sum.different + counts.different,
            failed: sum.failed + counts.failed,
            skipped: sum.skipped + counts.skipped,
        })
    }
}

impl Unsolved {
    /// Writes the value into its message.
    pub(super) fn write(&self, mut to: unsolved::Builder<'_>) {
        write_texts(&self.rollouts, |count| to.reborrow().init_rollouts(count));
        to.set_reason(&self.reason[..]);
    }

    /// Reads the value from its message.
    ///
    /// # Errors
    /// If the message is malformed.
    pub(super) fn read(from: unsolved::Reader<'_>) -> Result<Self, capnp::Error> {
        Ok(Unsolved {
            rollouts: texts(from.get_rollouts()?)?,
            reason: from.get_reason()?.to_string()?,
        })
    }
}

impl RolloutSpec {
    /// Writes the spec into its message.
    pub(super) fn write(&self, mut to: rollout_spec::Builder<'_>) {
        let settings = &self.settings;
        to.set_name(&self.name[..]);
        let count = u32::try_from(self.bundles.len()).unwrap_or(u32::MAX);
        let mut bundles = to.reborrow().init_bundles(count);
        for (place, bundle) in (0..).zip(&self.bundles) {
            bundles.set(place, bundle);
        }
        let count = u32::try_from(settings.steps.len()).unwrap_or(u32::MAX);
        write_steps(&settings.steps, to.reborrow().init_steps(count));
        let count = u32::try_from(settings.matches.len()).unwrap_or(u32::MAX);
        let mut matches = to.reborrow().init_matches(count);
        for (place, rule) in (0..).zip(&settings.matches) {
            write_match(rule, matches.reborrow().get(place));
        }
        to.set_shadow(settings.shadow.unwrap_or(Weight::ZERO).parts());
        to.set_alpha(settings.judge.alpha);
        to.set_min_requests(settings.judge.min_requests);
    }

    /// Reads the spec from its message.
    ///
    /// # Errors
    /// If the message is malformed.
    pub(super) fn read(from: rollout_spec::Reader<'_>) -> Result<Self, capnp::Error> {
        let shadow = Some(weight(from.get_shadow())?).filter(|shadow| *shadow > Weight::ZERO);
        let settings = RolloutSettings {
            steps: read_steps(from.get_steps()?)?,
            matches: from
                .get_matches()?
                .iter()
                .map(read_match)
                .collect::<Result<_, _>>()?,
            shadow,
            judge: JudgeSettings {
                alpha: from.get_alpha(),
                min_requests: from.get_min_requests(),
            },
        };
        Ok(RolloutSpec {
            name: from.get_name()?.to_string()?,
            bundles: super::service::copied(from.get_bundles()?)?,
            settings,
        })
    }
}

/// Writes what is to be done to a rollout.
pub(super) fn write_steering(steer: &Steer, mut to: steering::Builder<'_>) {
    match steer {
        Steer::Set(weight) => to.set_set(weight.parts()),
        Steer::Pause => to.set_pause(()),
        // The controller's own; from outside, resuming does as much.
        Steer::Resume | Steer::Advance => to.set_resume(()),
        Steer::Promote => to.set_promote(()),
        Steer::Abort(_) => to.set_abort(()),
    }
}

/// Reads what is to be done to a rollout; `reason` is why it is aborted if it is.
///
/// # Errors
/// If the message is malformed.
pub(super) fn read_steering(
    from: steering::Reader<'_>,
    reason: String,
) -> Result<Steer, capnp::Error> {
    Ok(match from.which()? {
        steering::Set(parts) => Steer::Set(weight(parts)?),
        steering::Pause(()) => Steer::Pause,
        steering::Resume(()) => Steer::Resume,
        steering::Promote(()) => Steer::Promote,
        steering::Abort(()) => Steer::Abort(reason),
    })
}

fn waits(rollout: &Rollout) -> String {
    match (rollout.state(), rollout.verdict()) {
        (_, Verdict::Wait(what)) => what,
        (RolloutState::Running { .. }, _) => "for the end of its step".to_owned(),
        (RolloutState::Paused { .. }, _) => "to be resumed".to_owned(),
        (RolloutState::Holding { .. }, _) => {
            "for a weight, or to be promoted or aborted".to_owned()
        }
        (RolloutState::Promoted { .. } | RolloutState::Aborted { .. }, _) => String::new(),
    }
}

fn write_steps(steps: &[Step], mut to: capnp::struct_list::Builder<'_, rollout_step::Owned>) {
    for (place, step) in (0..).zip(steps) {
        let mut to = to.reborrow().get(place);
        to.set_weight(step.weight.parts());
        to.set_wait_ms(step.wait_ms);
        to.set_min_requests(step.min_requests);
    }
}

fn read_steps(
    steps: capnp::struct_list::Reader<'_, rollout_step::Owned>,
) -> Result<Vec<Step>, capnp::Error> {
    let step = |step: rollout_step::Reader<'_>| {
        Ok(Step {
            weight: weight(step.get_weight())?,
            wait_ms: step.get_wait_ms(),
            min_requests: step.get_min_requests(),
        })
    };
    steps.iter().map(step).collect()
}

fn write_match(rule: &Match, mut to: match_rule::Builder<'_>) {
    if let Some((name, value)) = &rule.header {
        to.set_header_name(&name[..]);
        to.set_header_value(&value[..]);
    }
    to.set_path_prefix(rule.path_prefix.as_deref().unwrap_or_default());
    to.set_method(rule.method.as_deref().unwrap_or_default());
}

fn read_match(from: match_rule::Reader<'_>) -> Result<Match, capnp::Error> {
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let value = from.get_header_value()?.to_string()?;
    Ok(Match {
        header: given(from.get_header_name()?.to_string()?).map(|name| (name, value)),
        path_prefix: given(from.get_path_prefix()?.to_string()?),
        method: given(from.get_method()?.to_string()?),
    })
}

fn weight(parts: u16) -> Result<Weight, capnp::Error> {
    Weight::new(parts).map_err(|error| capnp::Error::failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_crosses_whole() {
        let rule = |header: Option<(&str, &str)>, path: Option<&str>, method: Option<&str>| Match {
            header: header.map(|(name, value)| (name.to_owned(), value.to_owned())),
            path_prefix: path.map(str::to_owned),
            method: method.map(str::to_owned),
        };
        let spec = RolloutSpec {
            name: "auth-2".into(),
            bundles: vec![vec![1, 2], vec![3]],
            settings: RolloutSettings {
                steps: vec![Step {
                    weight: Weight::new(100).unwrap(),
                    wait_ms: 5,
                    min_requests: 6,
                }],
                matches: vec![
                    rule(Some(("x", "")), None, Some("GET")),
                    rule(None, Some("/a"), None),
                ],
                shadow: Some(Weight::new(7).unwrap()),
                judge: JudgeSettings {
                    alpha: 0.25,
                    min_requests: 9,
                },
            },
        };
        let mut message = capnp::message::Builder::new_default();
        spec.write(message.init_root());
        let read = RolloutSpec::read(message.get_root_as_reader().unwrap()).unwrap();
        assert_eq!(read.settings, spec.settings);
        assert_eq!((read.name, read.bundles), (spec.name, spec.bundles));
    }
}
