//! `[routing]`: what a request says about the versions it wants, and how long a drain takes.

use std::time::Duration;

/// `[routing]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Routing {
    /// Whether responses carry a pin token, and requests may bring one back.
    pub(crate) pin_token: bool,
    /// How long a pin token is good for, at most: its set may be gone before.
    #[serde(rename = "pin_token_lifetime_ms", deserialize_with = "super::millis")]
    pub(crate) pin_token_lifetime: Duration,
    /// As [`crate::limits::Limits::drain`].
    #[serde(rename = "drain_timeout_ms", deserialize_with = "super::millis")]
    pub(crate) drain_timeout: Duration,
}

impl Routing {
    /// The keys of the table.
    pub(super) const KEYS: &[&str] = &["pin_token", "pin_token_lifetime_ms", "drain_timeout_ms"];
}

impl Default for Routing {
    fn default() -> Self {
        Routing {
            pin_token: true,
            pin_token_lifetime: Duration::from_secs(600),
            drain_timeout: crate::limits::Limits::default().drain,
        }
    }
}
