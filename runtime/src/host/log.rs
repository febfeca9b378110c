//! What of a service's messages reaches the log: no secrets, and no more than its share.

use std::cell::Cell;
use std::time::Instant;

use crate::config::Secret;

/// Values shorter than this are not looked for: they would be found in every other text.
const MIN_REDACTED_BYTES: usize = 6;

/// The secrets of a service, as they must not appear outside of it.
#[derive(Default)]
pub(crate) struct Redaction {
    secrets: Vec<(String, Secret)>,
}

impl Redaction {
    pub(crate) fn new(secrets: &[(String, Secret)]) -> Self {
        let long = |(_, secret): &&(String, Secret)| secret.expose().len() >= MIN_REDACTED_BYTES;
        Redaction {
            secrets: secrets.iter().filter(long).cloned().collect(),
        }
    }

    /// The text with each secret in it replaced by its name. A secret that the service has
    /// encoded, or cut, is not found.
    pub(super) fn apply(&self, text: String) -> String {
        let mut text = text;
        for (name, secret) in &self.secrets {
            if text.contains(secret.expose()) {
                text = text.replace(secret.expose(), &format!("[secret {name}]"));
            }
        }
        text
    }
}

/// How much one isolate may still write: a bucket that holds one second's worth.
pub(super) struct Allowance {
    bytes_per_second: f64,
    bytes: Cell<f64>,
    since: Cell<Instant>,
    dropped_messages: Cell<u64>,
}

/// What to do with a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Write,
    /// Write it, and say before that so many messages are missing.
    WriteAfterGap(u64),
    /// The first that is dropped: say so.
    BeginGap,
    Drop,
}

impl Allowance {
    pub(super) fn new(kib_per_second: u32, now: Instant) -> Self {
        let bytes_per_second = f64::from(kib_per_second) * 1024.0;
        Allowance {
            bytes_per_second,
            bytes: Cell::new(bytes_per_second),
            since: Cell::new(now),
            dropped_messages: Cell::new(0),
        }
    }

    pub(super) fn take(&self, message_bytes: usize, now: Instant) -> Verdict {
        let passed = now.saturating_duration_since(self.since.replace(now));
        let refilled = self.bytes.get() + passed.as_secs_f64() * self.bytes_per_second;
        let left = refilled.min(self.bytes_per_second) - message_bytes as f64;
        if left < 0.0 {
            self.bytes.set(left + message_bytes as f64);
            let dropped = self.dropped_messages.get();
            self.dropped_messages.set(dropped.saturating_add(1));
            return match dropped {
                0 => Verdict::BeginGap,
                _ => Verdict::Drop,
            };
        }
        self.bytes.set(left);
        match self.dropped_messages.take() {
            0 => Verdict::Write,
            dropped => Verdict::WriteAfterGap(dropped),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn past_the_allowance_messages_are_dropped_and_counted_until_time_has_passed() {
        let start = Instant::now();
        let allowance = Allowance::new(1, start);
        assert_eq!(allowance.take(1000, start), Verdict::Write);
        assert_eq!(allowance.take(1000, start), Verdict::BeginGap);
        assert_eq!(allowance.take(1000, start), Verdict::Drop);
        // The first message left a little, and a quarter of a second brings 256 bytes.
        let later = start + Duration::from_millis(250);
        assert_eq!(allowance.take(1000, later), Verdict::Drop);
        assert_eq!(allowance.take(280, later), Verdict::WriteAfterGap(3));
        let much_later = start + Duration::from_secs(100);
        assert_eq!(allowance.take(1024, much_later), Verdict::Write);
        assert_eq!(allowance.take(1, much_later), Verdict::BeginGap);
    }

    #[test]
    fn secrets_are_replaced_by_their_names() {
        let secrets = [("TOKEN", "s3cr3t-value"), ("SHORT", "abc")]
            .map(|(name, value)| (name.to_owned(), Secret::new(value.to_owned())));
        let redaction = Redaction::new(&secrets);
        let text = redaction.apply("x s3cr3t-value y s3cr3t-value abc".to_owned());
        assert_eq!(text, "x [secret TOKEN] y [secret TOKEN] abc");
        assert_eq!(format!("{secrets:?}").matches("[secret]").count(), 2);
    }
}
