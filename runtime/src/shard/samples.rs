//! What requests were like, by what they were admitted to: the material of a rollout's judgement.
//!
//! Only requests count for which the routing table chose a set while rollouts were under way: one
//! that names its version has nothing to be compared with.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Instant;

use isolith_versions::{Admission, Mask, RoutingTable, Sample};

/// Combinations that a shard keeps samples of, until somebody takes them; past it, those of the
/// oldest table go.
const MAX_SAMPLES: usize = 512;

/// HTTP requests that were admitted by one table to one combination of rollouts.
#[derive(Clone, Debug)]
pub(crate) struct EntrySample {
    pub(crate) epoch: u64,
    pub(crate) mask: Mask,
    /// The rollouts of the mask that a rule chose.
    pub(crate) ruled: Mask,
    pub(crate) sample: Sample,
}

/// What a request was admitted to: epoch, mask and ruled mask.
type Place = (u64, Mask, Mask);

/// The samples of one shard.
#[derive(Default)]
pub(super) struct Samples(HashMap<Place, Sample>);

/// How one request counts.
pub(super) struct Counted {
    place: Place,
    admitted: Instant,
    state: Cell<State>,
}

/// What became of a request, for whoever judges its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeded,
    Failed,
    /// It failed, and no version is to blame: it is as if there had been no request.
    LostByHost,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not answered.
    Open,
    Counted(Outcome),
}

impl Samples {
    /// All samples since the last time.
    pub(super) fn take(&mut self) -> Vec<EntrySample> {
        let samples = self.0.drain();
        samples
            .map(|((epoch, mask, ruled), sample)| EntrySample {
                epoch,
                mask,
                ruled,
                sample,
            })
            .collect()
    }

    /// The request was answered now; only its first answer counts.
    pub(super) fn answered(&mut self, request: &Counted, outcome: Outcome) {
        if request.state.get() != State::Open {
            return;
        }
        request.state.set(State::Counted(outcome));
        if outcome == Outcome::LostByHost {
            return;
        }
        let micros = u64::try_from(request.admitted.elapsed().as_micros());
        let sample = self.at(request.place);
        sample.requests += 1;
        sample.errors += u64::from(outcome == Outcome::Failed);
        sample.latency.record(micros.unwrap_or(u64::MAX));
    }

    /// The request's response broke off after its head.
    pub(super) fn broke_off(&mut self, request: &Counted) {
        if request.state.get() == State::Counted(Outcome::Succeeded) {
            request.state.set(State::Counted(Outcome::Failed));
            let sample = self.at(request.place);
            // It may have been counted in a sample that was taken; then this one has an error more.
            sample.errors += 1;
            sample.requests = sample.requests.max(sample.errors);
        }
    }

    fn at(&mut self, place: Place) -> &mut Sample {
        if self.0.len() >= MAX_SAMPLES
            && !self.0.contains_key(&place)
            && let Some(oldest) = self.0.keys().map(|(epoch, ..)| *epoch).min()
        {
            self.0.retain(|(epoch, ..), _| *epoch != oldest);
        }
        self.0.entry(place).or_default()
    }
}

impl Counted {
    /// `None` if there is nothing to compare the request with.
    pub(super) fn new(
        table: &RoutingTable,
        admission: &Admission<'_>,
        admitted: Instant,
    ) -> Option<Self> {
        let place = (admission.epoch, admission.mask, admission.ruled);
        let counted = Counted {
            place,
            admitted,
            state: Cell::new(State::Open),
        };
        (!table.splits().is_empty()).then_some(counted)
    }
}
