//! What the calls and requests that an isolate handled were like.

use std::time::Instant;

use isolith_capnp::error_capnp::call_error::Kind;
use isolith_versions::Histogram;

use super::native::KINDS;

/// Counts since the isolate was made.
#[derive(Default)]
pub(crate) struct Metrics {
    /// By place in [`KINDS`].
    errors: [u64; KINDS.len()],
    latency: Histogram,
}

impl Metrics {
    pub(crate) fn failed(&mut self, kind: Kind) {
        let place = KINDS.iter().position(|(known, _)| *known == kind);
        if let Some(count) = place.and_then(|place| self.errors.get_mut(place)) {
            *count += 1;
        }
    }

    pub(crate) fn took(&mut self, since: Instant) {
        let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.latency.record(micros);
    }

    /// Kinds of errors that there were, by the names that the schema has for them.
    pub(crate) fn errors(&self) -> Vec<(&'static str, u64)> {
        let kinds = KINDS.iter().zip(self.errors);
        let named = kinds.map(|((_, name), count)| (*name, count));
        named.filter(|(_, count)| *count > 0).collect()
    }

    pub(crate) fn latency(&self) -> &Histogram {
        &self.latency
    }
}
