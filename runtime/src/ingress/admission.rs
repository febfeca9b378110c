//! Which version set a request gets: that of its pin token, or that of the routing table.

use std::rc::Rc;
use std::time::SystemTime;

use http::Request;
use http::header::{HeaderMap, HeaderValue};

use super::{PIN, Settings};
use crate::error::{CallError, ErrorKind};
use crate::http_error::Problem;
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
/// A request that presents a pin token gets the set that the token names or an error, and never
/// another set (P6); its response carries the same token.
pub(super) fn admit<B>(
    shard: &Rc<Shard>,
    settings: &Settings,
    request: &Request<B>,
    arrival: Arrival,
) -> Result<Admitted, Refusal> {
    if let Some(token) = single(request.headers())? {
        return by_token(shard, settings, token, arrival);
    }
    let draw = fastrand::u64(..);
    let pin = shard.admit(draw, arrival).map_err(Refusal::Failed)?;
    let token = token_for(settings, &pin);
    Ok(Admitted { pin, token })
}

fn by_token(
    shard: &Rc<Shard>,
    settings: &Settings,
    token: &HeaderValue,
    arrival: Arrival,
) -> Result<Admitted, Refusal> {
    if !settings.routing.pin_token {
        return Err(asked(Problem::bad_request(
            "pin tokens are not taken here: leave the isolith-pin header out",
        )));
    }
    let set = settings
        .pin_key
        .read(token.as_bytes(), SystemTime::now())
        .map_err(|error| asked(Problem::pin_token(&error)))?;
    match shard.admit_to(set, arrival) {
        Ok(pin) => Ok(Admitted {
            pin,
            token: Some(token.clone()),
        }),
        Err(error) if error.kind == ErrorKind::PinnedVersionGone => {
            Err(asked(Problem::pinned_version_gone(&set.short())))
        }
        Err(error) => Err(Refusal::Failed(error)),
    }
}

/// The token of a set that takes new requests.
fn token_for(settings: &Settings, pin: &Pin) -> Option<HeaderValue> {
    if !settings.routing.pin_token {
        return None;
    }
    let expires = SystemTime::now() + settings.routing.pin_token_lifetime;
    let token = settings.pin_key.sign(pin.set().digest(), expires);
    HeaderValue::try_from(token).ok()
}

/// The request's only pin token.
fn single(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Refusal> {
    let mut tokens = headers.get_all(PIN).iter();
    match (tokens.next(), tokens.next()) {
        (token, None) => Ok(token),
        (_, Some(_)) => Err(asked(Problem::pin_token(&TokenError::Forged))),
    }
}

fn asked(problem: Problem) -> Refusal {
    Refusal::Asked(problem)
}
