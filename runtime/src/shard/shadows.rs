//! Copies of requests, sent to a rollout's new version and compared with what the client got.
//!
//! A copy has a root of its own, pinned to the set that the rollout would give the request. Its
//! services see `ctx.shadow`, so that they can refuse to act. Its answer is compared and thrown
//! away, and counts for nothing but the rollout's shadow counts.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isolith_versions::evidence::Choice;
use isolith_versions::{Admission, Mask, RolloutName, RoutingTable, VersionSet};

use super::Shard;
use super::requests::Arrival;
use super::roots::Asker;
use crate::error::CallError;
use crate::http::{Answer, HttpBody, HttpRequest, RequestId};

/// What a request's copy is for.
pub(crate) struct Shadow {
    table: Arc<RoutingTable>,
    rollout: RolloutName,
    /// The combination of rollouts that the copy sees, and its set.
    mask: Mask,
    set: Arc<VersionSet>,
    /// How long the copy may take.
    time: Duration,
}

/// What became of the copies for one rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShadowCounts {
    /// Answered as the client was.
    pub(crate) alike: u64,
    /// Answered otherwise.
    pub(crate) different: u64,
    /// Not answered.
    pub(crate) failed: u64,
    /// Not sent: too many were under way, or the body was not there.
    pub(crate) skipped: u64,
}

/// The copies of one shard.
#[derive(Default)]
pub(super) struct Shadows {
    in_flight: usize,
    counts: HashMap<RolloutName, ShadowCounts>,
}

impl Shadows {
    /// The counts of the rollouts that `table` has; the others are forgotten.
    pub(super) fn read(&mut self, table: &RoutingTable) -> Vec<(RolloutName, ShadowCounts)> {
        let splits = table.splits();
        self.counts
            .retain(|name, _| splits.iter().any(|split| split.rollout == *name));
        let counts = self.counts.iter();
        counts
            .map(|(name, counts)| (name.clone(), *counts))
            .collect()
    }

    fn of(&mut self, rollout: &RolloutName) -> &mut ShadowCounts {
        self.counts.entry(rollout.clone()).or_default()
    }
}

impl Shadow {
    /// Draws whether a request that was just admitted is to be copied.
    pub(super) fn draw(
        table: &Arc<RoutingTable>,
        admission: &Admission<'_>,
        arrival: Arrival,
    ) -> Option<Box<Self>> {
        let (place, mask, set) = table.shadow(admission, fastrand::u64(..))?;
        Some(Box::new(Shadow {
            table: Arc::clone(table),
            rollout: table.splits().get(place)?.rollout.clone(),
            mask,
            set: Arc::clone(set),
            time: arrival.deadline.saturating_duration_since(arrival.now),
        }))
    }
}

impl Shard {
    /// Counts a copy that cannot be sent.
    pub(crate) fn shadow_skipped(&self, shadow: &Shadow) {
        self.shadows.borrow_mut().of(&shadow.rollout).skipped += 1;
    }

    /// Sends a copy, and compares its answer with what the client got.
    pub(crate) async fn send_shadow(
        self: Rc<Self>,
        shadow: Shadow,
        request: HttpRequest,
        shown: Answer,
    ) {
        if self.shadows.borrow().in_flight >= self.limits.shadows_in_flight_per_shard {
            return self.shadow_skipped(&shadow);
        }
        self.shadows.borrow_mut().in_flight += 1;
        let alike = self.compare(&shadow, request, shown).await;
        let mut shadows = self.shadows.borrow_mut();
        shadows.in_flight -= 1;
        let counts = shadows.of(&shadow.rollout);
        match alike {
            Ok(true) => counts.alike += 1,
            Ok(false) => counts.different += 1,
            Err(error) => {
                counts.failed += 1;
                tracing::debug!(rollout = %shadow.rollout, %error, "a shadow request failed");
            }
        }
    }

    async fn compare(
        self: &Rc<Self>,
        shadow: &Shadow,
        request: HttpRequest,
        shown: Answer,
    ) -> Result<bool, CallError> {
        let set = self.find_set(&shadow.set).ok_or_else(super::set_gone)?;
        let now = Instant::now();
        let arrival = Arrival {
            id: RequestId::random(),
            now,
            deadline: now + shadow.time,
        };
        let mut pin = self.pin(set, &shadow.table, Choice::Table(shadow.mask), arrival)?;
        pin.mark_as_shadow();
        let response = self.fetch(&pin, request).await?;
        let body = match response.body {
            HttpBody::Empty => Some(bytes::Bytes::new()),
            HttpBody::Full(bytes) => Some(bytes),
            // Dropped, which tells the service that nobody reads.
            HttpBody::Stream(_) => None,
        };
        if response.status != shown.status {
            return Ok(false);
        }
        let answer = Answer {
            status: response.status,
            headers: response.headers,
            body,
        };
        let (_, entry) = self.entry(&pin)?;
        let (id, verdict) = entry.compare(pin.root(), shown, answer);
        let asker = Asker::Json(entry, id);
        self.roots.borrow_mut().set_asker(pin.root(), asker);
        Ok(self.by_deadline(&pin, verdict).await? == "alike")
    }
}
