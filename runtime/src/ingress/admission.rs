//! Which version set a request gets: that of its pin token, that of its override, or that of the
//! routing table.

use std::rc::Rc;
use std::time::SystemTime;

use http::Request;
use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use isolith_versions::evidence::Choice;
use isolith_versions::{RequestHead, seeded, sticky_key};

use super::{OVERRIDE, PIN};
use crate::config::{OverrideGate, Routing, StickyKey};
use crate::error::{CallError, ErrorKind};
use crate::http_error::Problem;
use crate::overrides::{self, OverrideError, Overrides};
use crate::pin_token::{PinKey, TokenError};
use crate::shard::{Arrival, Pin, Shard};

/// What decides about admissions. Shared by all shards and by all ways in.
pub(crate) struct Admissions {
    pub(crate) routing: Routing,
    /// Signs and checks pin tokens.
    pub(crate) pin_key: PinKey,
    /// Finds the sets of requests that name versions.
    pub(crate) overrides: Overrides,
}

/// What a request says about its versions.
pub(crate) struct Asked<'a> {
    /// A pin token.
    pub(crate) token: Option<&'a [u8]>,
    /// A dictionary of versions, in as many lines as it came in.
    pub(crate) overrides: Vec<&'a [u8]>,
    /// What decides what a rollout shows to the client: see [`sticky_key`].
    pub(crate) key: u64,
    /// What the routing table's rules see.
    pub(crate) head: &'a dyn RequestHead,
    /// Whether it comes from this machine.
    pub(crate) is_loopback: bool,
}

/// A request that has its pin.
pub(crate) struct Admitted {
    pub(crate) pin: Pin,
    /// What the response carries.
    pub(crate) token: Option<String>,
}

/// Why a request was not admitted.
pub(crate) enum Refusal {
    /// What it asks for cannot be given.
    Asked(Problem),
    /// What admission itself met.
    Failed(CallError),
}

/// Admits a request, once (P1).
///
/// A request that presents a pin token or an override gets the set that it asks for or an error,
/// and never another set (P6). The response to a token carries the same token.
pub(crate) async fn admit(
    shard: &Rc<Shard>,
    admissions: &Admissions,
    asked: Asked<'_>,
    arrival: Arrival,
) -> Result<Admitted, Refusal> {
    let token = asked.token.filter(|_| !seeded("retry-readmits"));
    let overrides = !asked.overrides.is_empty() && !seeded("override-ignored");
    let pin = match (token, overrides) {
        (None, false) => {
            let pin = shard.admit(asked.key, Some(asked.head), arrival);
            pin.map_err(Refusal::Failed)?
        }
        (Some(token), false) => {
            return Ok(Admitted {
                pin: by_token(shard, admissions, token, arrival)?,
                token: Some(String::from_utf8_lossy(token).into_owned()),
            });
        }
        (None, true) => by_override(shard, admissions, asked, arrival).await?,
        (Some(_), true) => {
            let text = "the request has both an isolith-pin and an isolith-override header: one of \
                        them has to go";
            return Err(refused(Problem::bad_request(text)));
        }
    };
    let token = token_for(admissions, &pin);
    Ok(Admitted { pin, token })
}

fn by_token(
    shard: &Rc<Shard>,
    admissions: &Admissions,
    token: &[u8],
    arrival: Arrival,
) -> Result<Pin, Refusal> {
    if !admissions.routing.pin_token {
        return Err(refused(Problem::bad_request(
            "pin tokens are not taken here: leave the isolith-pin header out",
        )));
    }
    let set = admissions
        .pin_key
        .read(token, SystemTime::now())
        .map_err(|error| refused(Problem::pin_token(&error)))?;
    shard
        .admit_to(set, Choice::Token, arrival)
        .map_err(|error| match error.kind {
            ErrorKind::PinnedVersionGone => refused(Problem::pinned_version_gone(&set.short())),
            _ => Refusal::Failed(error),
        })
}

async fn by_override(
    shard: &Rc<Shard>,
    admissions: &Admissions,
    asked: Asked<'_>,
    arrival: Arrival,
) -> Result<Pin, Refusal> {
    match admissions.routing.overrides {
        OverrideGate::Any => {}
        OverrideGate::Loopback if asked.is_loopback => {}
        OverrideGate::Loopback | OverrideGate::Off => {
            return Err(refused(Problem::override_forbidden()));
        }
    }
    let lines = asked.overrides.into_iter();
    let versions = overrides::parse(lines).map_err(|reason| {
        refused(Problem::bad_request(format!(
            "the isolith-override header: {reason}"
        )))
    })?;
    let base = shard.set_in_force(asked.key, Some(asked.head));
    let set = admissions.overrides.set_for(versions, base).await;
    let set = set.map_err(|error| match error {
        OverrideError::Refused(reason) => refused(Problem::override_refused(reason.to_string())),
        OverrideError::Busy => {
            Refusal::Failed(CallError::host(ErrorKind::Overloaded, error.to_string()))
        }
    })?;
    shard
        .admit_to(set.digest(), Choice::Override, arrival)
        .map_err(Refusal::Failed)
}

/// The token of a set that the request was given without one.
fn token_for(admissions: &Admissions, pin: &Pin) -> Option<String> {
    if !admissions.routing.pin_token {
        return None;
    }
    let expires = SystemTime::now() + admissions.routing.pin_token_lifetime;
    Some(admissions.pin_key.sign(pin.set().digest(), expires))
}

impl<'a> Asked<'a> {
    /// What an HTTP request says.
    pub(super) fn of<B>(
        head: &'a Head<'a, B>,
        routing: &Routing,
        is_loopback: bool,
    ) -> Result<Self, Refusal> {
        let headers = head.0.headers();
        let overrides = headers.get_all(OVERRIDE).iter();
        Ok(Asked {
            token: single_token(headers)?.map(HeaderValue::as_bytes),
            overrides: overrides.map(HeaderValue::as_bytes).collect(),
            key: key(&routing.key, headers),
            head,
            is_loopback,
        })
    }
}

/// The request's only pin token.
fn single_token(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Refusal> {
    let mut tokens = headers.get_all(PIN).iter();
    match (tokens.next(), tokens.next()) {
        (token, None) => Ok(token),
        (_, Some(_)) => Err(refused(Problem::pin_token(&TokenError::Forged))),
    }
}

/// The key that decides what a rollout shows to the client.
fn key(by: &StickyKey, headers: &HeaderMap) -> u64 {
    let text = match by {
        _ if seeded("key-ignored") => None,
        StickyKey::Random => None,
        StickyKey::Header(name) => headers.get(name).map(HeaderValue::as_bytes),
        StickyKey::Cookie(name) => cookie(headers, name.as_bytes()),
    };
    text.map_or_else(|| fastrand::u64(..), sticky_key)
}

/// The value of the first cookie of this name.
fn cookie<'a>(headers: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    let lines = headers.get_all(COOKIE).iter();
    let cookies = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    cookies
        .filter_map(|cookie| cookie.trim_ascii().strip_prefix(name))
        .find_map(|rest| rest.strip_prefix(b"="))
}

fn refused(problem: Problem) -> Refusal {
    Refusal::Asked(problem)
}

/// A request as the routing table's rules see it.
pub(super) struct Head<'a, B>(pub(super) &'a Request<B>);

impl<B> RequestHead for Head<'_, B> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn path(&self) -> &str {
        self.0.uri().path()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        self.0.headers().get(name)?.to_str().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_client_keeps_its_key_and_another_has_another() {
        let by = |text: &str| text.parse::<StickyKey>().unwrap();
        let ada = headers(&[("x-user", "ada"), ("cookie", "a=1; uid=7;b=2")]);
        let bob = headers(&[
            ("x-user", "bob"),
            ("cookie", "a=1"),
            ("cookie", "uid=8; uid=7"),
        ]);
        for rule in ["header:X-User", "cookie:uid"] {
            let rule = by(rule);
            assert_eq!(key(&rule, &ada), key(&rule, &ada.clone()));
            assert_ne!(key(&rule, &ada), key(&rule, &bob));
        }
        assert_eq!(key(&by("header:x-user"), &ada), sticky_key(b"ada"));
        assert_eq!(key(&by("cookie:uid"), &ada), sticky_key(b"7"));
        assert_eq!(key(&by("cookie:uid"), &bob), sticky_key(b"8"));
        // Without it each request is on its own.
        let lone = [by("random"), by("header:x-session"), by("cookie:id")];
        for rule in lone {
            assert_ne!(key(&rule, &ada), key(&rule, &ada), "{rule:?}");
        }
    }
}
