//! Which version set a request gets: that of its pin token, that of its override, or that of the
//! routing table.

use std::rc::Rc;
use std::time::SystemTime;

use http::Request;
use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use isolith_versions::evidence::Choice;
use isolith_versions::{RequestHead, seeded, sticky_key};

use super::{OVERRIDE, PIN, Settings};
use crate::config::{OverrideGate, StickyKey};
use crate::error::{CallError, ErrorKind};
use crate::http_error::Problem;
use crate::overrides::{self, OverrideError};
use crate::pin_token::TokenError;
use crate::shard::{Arrival, Pin, Shard};

/// A request that has its pin.
pub(super) struct Admitted {
    pub(super) pin: Pin,
    /// What the response carries.
    pub(super) token: Option<HeaderValue>,
}

/// Why a request was not admitted.
pub(super) enum Refusal {
    /// What it asks for cannot be given.
    Asked(Problem),
    /// What admission itself met.
    Failed(CallError),
}

/// Admits a request, once (P1).
///
/// A request that presents a pin token or an override gets the set that it asks for or an error,
/// and never another set (P6). The response to a token carries the same token.
pub(super) async fn admit<B>(
    shard: &Rc<Shard>,
    settings: &Settings,
    request: &Request<B>,
    is_loopback: bool,
    arrival: Arrival,
) -> Result<Admitted, Refusal> {
    let headers = request.headers();
    let token = single_token(headers)?.filter(|_| !seeded("retry-readmits"));
    let overrides = headers.contains_key(OVERRIDE) && !seeded("override-ignored");
    let pin = match (token, overrides) {
        (None, false) => {
            let key = key(&settings.routing.key, headers);
            let pin = shard.admit(key, Some(&Head(request)), arrival);
            pin.map_err(Refusal::Failed)?
        }
        (Some(token), false) => {
            return Ok(Admitted {
                pin: by_token(shard, settings, token, arrival)?,
                token: Some(token.clone()),
            });
        }
        (None, true) => by_override(shard, settings, request, is_loopback, arrival).await?,
        (Some(_), true) => {
            let text = "the request has both an isolith-pin and an isolith-override header: one of \
                        them has to go";
            return Err(asked(Problem::bad_request(text)));
        }
    };
    let token = token_for(settings, &pin);
    Ok(Admitted { pin, token })
}

fn by_token(
    shard: &Rc<Shard>,
    settings: &Settings,
    token: &HeaderValue,
    arrival: Arrival,
) -> Result<Pin, Refusal> {
    if !settings.routing.pin_token {
        return Err(asked(Problem::bad_request(
            "pin tokens are not taken here: leave the isolith-pin header out",
        )));
    }
    let set = settings
        .pin_key
        .read(token.as_bytes(), SystemTime::now())
        .map_err(|error| asked(Problem::pin_token(&error)))?;
    shard
        .admit_to(set, Choice::Token, arrival)
        .map_err(|error| match error.kind {
            ErrorKind::PinnedVersionGone => asked(Problem::pinned_version_gone(&set.short())),
            _ => Refusal::Failed(error),
        })
}

async fn by_override<B>(
    shard: &Rc<Shard>,
    settings: &Settings,
    request: &Request<B>,
    is_loopback: bool,
    arrival: Arrival,
) -> Result<Pin, Refusal> {
    match settings.routing.overrides {
        OverrideGate::Any => {}
        OverrideGate::Loopback if is_loopback => {}
        OverrideGate::Loopback | OverrideGate::Off => {
            return Err(asked(Problem::override_forbidden()));
        }
    }
    let headers = request.headers();
    let lines = headers.get_all(OVERRIDE).iter().map(HeaderValue::as_bytes);
    let versions = overrides::parse(lines).map_err(|reason| {
        asked(Problem::bad_request(format!(
            "the isolith-override header: {reason}"
        )))
    })?;
    let key = key(&settings.routing.key, headers);
    let base = shard.set_in_force(key, Some(&Head(request)));
    let set = settings.overrides.set_for(versions, base).await;
    let set = set.map_err(|error| match error {
        OverrideError::Refused(reason) => asked(Problem::override_refused(reason.to_string())),
        OverrideError::Busy => {
            Refusal::Failed(CallError::host(ErrorKind::Overloaded, error.to_string()))
        }
    })?;
    shard
        .admit_to(set.digest(), Choice::Override, arrival)
        .map_err(Refusal::Failed)
}

/// The token of a set that the request was given without one.
fn token_for(settings: &Settings, pin: &Pin) -> Option<HeaderValue> {
    if !settings.routing.pin_token {
        return None;
    }
    let expires = SystemTime::now() + settings.routing.pin_token_lifetime;
    let token = settings.pin_key.sign(pin.set().digest(), expires);
    HeaderValue::try_from(token).ok()
}

/// The request's only pin token.
fn single_token(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Refusal> {
    let mut tokens = headers.get_all(PIN).iter();
    match (tokens.next(), tokens.next()) {
        (token, None) => Ok(token),
        (_, Some(_)) => Err(asked(Problem::pin_token(&TokenError::Forged))),
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

fn asked(problem: Problem) -> Refusal {
    Refusal::Asked(problem)
}

/// A request as the routing table's rules see it.
struct Head<'a, B>(&'a Request<B>);

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
