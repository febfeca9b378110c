//! `[routing]`: what a request says about the versions it wants, and how long a drain takes.

use std::str::FromStr;
use std::time::Duration;

use http::header::HeaderName;

/// `[routing]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Routing {
    /// What a client is recognised by, so that a rollout shows it one version.
    #[serde(deserialize_with = "super::parsed")]
    pub(crate) key: StickyKey,
    /// Whether responses carry a pin token, and requests may bring one back.
    pub(crate) pin_token: bool,
    /// How long a pin token is good for, at most: its set may be gone before.
    #[serde(rename = "pin_token_lifetime_ms", deserialize_with = "super::millis")]
    pub(crate) pin_token_lifetime: Duration,
    /// Whose requests may name versions.
    #[serde(rename = "override")]
    pub(crate) overrides: OverrideGate,
    /// As [`crate::limits::Limits::drain`].
    #[serde(rename = "drain_timeout_ms", deserialize_with = "super::millis")]
    pub(crate) drain_timeout: Duration,
}

/// What a client is recognised by. A request that lacks it counts as a client of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StickyKey {
    /// `random`: nothing; each request is drawn on its own.
    Random,
    /// `header:NAME`
    Header(HeaderName),
    /// `cookie:NAME`
    Cookie(String),
}

/// Whose requests may name versions. Whoever may can reach each version that is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OverrideGate {
    /// Nobody's.
    Off,
    /// Those that come over the loopback interface. Behind a proxy on this machine, that is all.
    Loopback,
    /// Everybody's.
    Any,
}

impl Routing {
    /// The keys of the table.
    pub(super) const KEYS: &[&str] = &[
        "key",
        "pin_token",
        "pin_token_lifetime_ms",
        "override",
        "drain_timeout_ms",
    ];
}

impl Default for Routing {
    fn default() -> Self {
        Routing {
            key: StickyKey::Random,
            pin_token: true,
            pin_token_lifetime: Duration::from_secs(600),
            overrides: OverrideGate::Off,
            drain_timeout: crate::limits::Limits::default().drain,
        }
    }
}

impl FromStr for StickyKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` says nothing that a client is recognised by: write `header:NAME`, \
                 `cookie:NAME` or `random`"
            )
        };
        match text.split_once(':') {
            None if text == "random" => Ok(StickyKey::Random),
            Some(("header", name)) => HeaderName::from_str(name)
                .map(StickyKey::Header)
                .map_err(|_| wrong()),
            // Cookies' names have the characters that those of headers have (RFC 6265, 4.1.1).
            Some(("cookie", name)) if HeaderName::from_str(name).is_ok() => {
                Ok(StickyKey::Cookie(name.to_owned()))
            }
            _ => Err(wrong()),
        }
    }
}
