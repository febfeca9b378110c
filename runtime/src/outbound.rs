//! Outbound HTTP requests: what a service's granted `fetch` bindings do.
//!
//! A service reaches a host only if its manifest asks for the origin and the application grants
//! it; [`Rules`] holds what both allow. Every hop is held against the rules: the first request
//! and each redirect, by URL, and each connection, by the address that its name resolved to
//! ([`connect`]). The connection goes to the checked address, so a name that resolves to another
//! one a moment later changes nothing. Proxy settings in the environment are not read.

mod address;
mod connect;
mod send;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use ipnet::IpNet;
use isolith_services::origin::OriginRule;
use rustls::pki_types::CertificateDer;
use url::Url;

use crate::http::BodyStream;
use crate::limits::Limits;
pub(crate) use send::{Answer, Client};

/// Where one service may send requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// Its bindings: the name on `env`, and the origins that manifest and grant both allow.
    pub(crate) bindings: Vec<(String, Vec<OriginRule>)>,
    /// Networks that names may resolve to although they are not public.
    pub(crate) private_networks: Arc<[IpNet]>,
    /// Certificate authorities that are trusted beside the system's.
    pub(crate) authorities: Arc<[CertificateDer<'static>]>,
    /// Whether copies of requests may make requests that can have an effect.
    pub(crate) shadow_fetch: bool,
}

/// Bounds of one isolate's outbound requests: those of [`Limits`] that have the same names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutboundLimits {
    pub(crate) in_flight: usize,
    pub(crate) connect: Duration,
    pub(crate) redirects: usize,
    pub(crate) response_bytes: usize,
}

impl OutboundLimits {
    pub(crate) fn of(limits: &Limits) -> Self {
        OutboundLimits {
            in_flight: limits.outbound_in_flight_per_isolate,
            connect: limits.outbound_connect,
            redirects: limits.outbound_redirects,
            response_bytes: limits.outbound_response_bytes,
        }
    }
}

/// What happens when the server answers with another place to go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    Follow,
    /// The redirect itself is the response.
    Manual,
    Error,
}

/// A request that a service makes.
pub(crate) struct OutboundRequest {
    /// The index of the binding in [`Rules::bindings`].
    pub(crate) binding: usize,
    pub(crate) method: Method,
    /// Absolute, without credentials.
    pub(crate) url: Url,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: OutboundBody,
    pub(crate) redirect: Redirect,
    /// Whether it is made for a copy of a request, whose answer nobody gets.
    pub(crate) shadow: bool,
}

/// The body of a request on its way out.
pub(crate) enum OutboundBody {
    Empty,
    Full(Bytes),
    Stream(BodyStream),
}

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboundError {
    #[error(
        "{url} is none of the origins that binding {binding} may fetch ({allowed}); ask for it \
         under [imports.{binding}] in isolith.toml and grant it in the application file"
    )]
    NotGranted {
        /// Without path and query, which may hold secrets.
        url: String,
        binding: String,
        allowed: String,
    },
    #[error(
        "{host} resolves to {address}, which is not a public address; if it is meant, grant its \
         network as private_networks under [grants] in the application file"
    )]
    PrivateAddress { host: String, address: String },
    #[error(
        "this is a copy of a request, and {0} may have an effect: look at ctx.shadow and leave it \
         out, or set shadow_fetch under [grants] in the application file"
    )]
    Shadow(Method),
    #[error("the server at {0} redirected, which this request does not follow")]
    Redirected(String),
    #[error("more than {0} redirects")]
    RedirectedTooOften(usize),
    #[error("the redirect cannot be followed: a streamed body was sent already")]
    BodySpent,
    #[error("the request cannot be sent: {0}")]
    Invalid(String),
    #[error("{0}")]
    Network(String),
}

impl Rules {
    /// Whether a copy of a request may use `method`.
    fn check_shadow(&self, method: &Method) -> Result<(), OutboundError> {
        match method.is_safe() || self.shadow_fetch {
            true => Ok(()),
            false => Err(OutboundError::Shadow(method.clone())),
        }
    }

    /// Whether a request through binding number `binding` may go to `url`.
    fn check(&self, binding: usize, url: &Url) -> Result<(), OutboundError> {
        let (name, rules) = self
            .bindings
            .get(binding)
            .ok_or_else(|| OutboundError::Invalid("there is no such binding".to_owned()))?;
        if rules.iter().any(|rule| rule.allows(url)) {
            return Ok(());
        }
        let allowed: Vec<_> = rules.iter().map(ToString::to_string).collect();
        Err(OutboundError::NotGranted {
            url: url.origin().ascii_serialization(),
            binding: name.clone(),
            allowed: allowed.join(", "),
        })
    }
}
