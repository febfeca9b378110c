//! Where outbound requests may go: `https://api.example.com`, `https://*.example.com:8443`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

/// What a rule may look like, for whoever wrote another thing.
pub const ORIGIN_HINT: &str = "write a scheme and a host, as in `https://api.example.com`, \
                               `https://*.example.com` or `http://10.0.0.7:9000`";

/// One origin that requests may go to, or all subdomains of a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OriginRule {
    https: bool,
    host: RuleHost,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum RuleHost {
    /// This name and no other; lower case, as ASCII.
    Name(String),
    /// Every name under this one, and not the name itself.
    Under(String),
    /// A written address: it also says that this very address may be reached, private or not.
    Address(IpAddr),
}

/// Why a text is not an [`OriginRule`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an origin: {reason}")]
pub struct OriginError {
    text: String,
    reason: &'static str,
}

impl OriginRule {
    /// Whether a request to `url` keeps to this rule.
    pub fn allows(&self, url: &Url) -> bool {
        let Some(host) = url.host() else { return false };
        let https = url.scheme() == "https";
        if !(https || url.scheme() == "http") || https != self.https {
            return false;
        }
        url.port_or_known_default() == Some(self.port)
            && match (&self.host, host) {
                (RuleHost::Name(name), Host::Domain(host)) => name == host,
                (RuleHost::Under(name), Host::Domain(host)) => is_under(host, name),
                (RuleHost::Address(address), Host::Ipv4(host)) => *address == host,
                (RuleHost::Address(address), Host::Ipv6(host)) => *address == host,
                _ => false,
            }
    }

    /// Whether everything that `other` allows is allowed by this rule, too.
    pub fn covers(&self, other: &Self) -> bool {
        let host = match (&self.host, &other.host) {
            (RuleHost::Under(own), RuleHost::Name(name)) => is_under(name, own),
            (RuleHost::Under(own), RuleHost::Under(name)) => own == name || is_under(name, own),
            (own, other) => own == other,
        };
        host && self.https == other.https && self.port == other.port
    }
}

fn is_under(host: &str, name: &str) -> bool {
    host.strip_suffix(name)
        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

impl FromStr for OriginRule {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let refuse = |reason| OriginError {
            text: text.to_owned(),
            reason,
        };
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| refuse("it has no scheme"))?;
        let (under, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        // Parsed as any URL is, so that a name has one spelling only.
        let url = Url::parse(&format!("{scheme}://{rest}"))
            .map_err(|_| refuse("it cannot be parsed as a URL"))?;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(refuse("its scheme is neither https nor http")),
        };
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it has a path; a rule is for a whole origin"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it has a user name or password"));
        }
        let host = match (url.host(), under) {
            (Some(Host::Domain(name)), _) if name.contains('*') => {
                return Err(refuse("a `*.` may stand only at the beginning of the host"));
            }
            (Some(Host::Domain(name)), true) => RuleHost::Under(name.to_owned()),
            (Some(Host::Domain(name)), false) => RuleHost::Name(name.to_owned()),
            (Some(Host::Ipv4(address)), false) => RuleHost::Address(address.into()),
            (Some(Host::Ipv6(address)), false) => RuleHost::Address(address.into()),
            (_, true) => return Err(refuse("an address has no subdomains")),
            (None, _) => return Err(refuse("it has no host")),
        };
        let port = url
            .port_or_known_default()
            .ok_or_else(|| refuse("it has no port"))?;
        Ok(OriginRule { https, host, port })
    }
}

impl fmt::Display for OriginRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.https { "https://" } else { "http://" })?;
        match &self.host {
            RuleHost::Name(name) => f.write_str(name)?,
            RuleHost::Under(name) => write!(f, "*.{name}")?,
            RuleHost::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            RuleHost::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        match (self.https, self.port) {
            (true, 443) | (false, 80) => Ok(()),
            (_, port) => write!(f, ":{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> OriginRule {
        text.parse().unwrap()
    }

    #[test]
    fn a_rule_allows_its_origin_however_the_url_is_spelt_and_no_other() {
        let cases = [
            (
                "https://api.example.com",
                "https://API.example.com:443/a?b",
                true,
            ),
            ("https://api.example.com", "http://api.example.com/", false),
            (
                "https://api.example.com",
                "https://api.example.com:8443/",
                false,
            ),
            (
                "https://api.example.com",
                "https://api.example.com.evil.org/",
                false,
            ),
            (
                "https://api.example.com",
                "https://evil.org/@api.example.com",
                false,
            ),
            (
                "https://api.example.com",
                "https://api.example.com@evil.org/",
                false,
            ),
            (
                "https://api.example.com",
                "https://evil.org\\@api.example.com/",
                false,
            ),
            ("https://*.example.com", "https://a.b.example.com/", true),
            ("https://*.example.com", "https://example.com/", false),
            ("https://*.example.com", "https://badexample.com/", false),
            ("https://*.example.com", "https://.example.com/", false),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000/", true),
            ("http://127.0.0.1:9000", "http://2130706433:9000/", true),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9001/", false),
            ("http://127.0.0.1:9000", "http://localhost:9000/", false),
            (
                "http://127.0.0.1:9000",
                "http://[::ffff:127.0.0.1]:9000/",
                false,
            ),
            ("http://[::1]:9000", "http://[0:0::1]:9000/", true),
            (
                "https://bücher.example",
                "https://xn--bcher-kva.example/",
                true,
            ),
        ];
        for (text, url, allowed) in cases {
            let url = Url::parse(url).unwrap();
            assert_eq!(rule(text).allows(&url), allowed, "{text} and {url}");
        }
        assert!(!rule("http://a:80").allows(&Url::parse("ftp://a:80/").unwrap()));
    }

    #[test]
    fn a_rule_covers_what_allows_no_more() {
        let cases = [
            ("https://a.com", "https://a.com", true),
            ("https://*.a.com", "https://b.a.com", true),
            ("https://*.a.com", "https://*.b.a.com", true),
            ("https://*.b.a.com", "https://*.a.com", false),
            ("https://*.a.com", "https://a.com", false),
            ("https://*.a.com", "http://b.a.com", false),
            ("https://a.com", "https://a.com:444", false),
        ];
        for (own, other, covered) in cases {
            assert_eq!(rule(own).covers(&rule(other)), covered, "{own} {other}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_the_reason() {
        let cases = [
            ("api.example.com", "no scheme"),
            ("ftp://a.com", "neither https nor http"),
            ("https://a.com/v1", "whole origin"),
            ("https://u:p@a.com", "user name"),
            ("https://*.*.a.com", "only at the beginning"),
            ("https://a.*.com", "only at the beginning"),
            ("https://*", "only at the beginning"),
            ("https://*.10.0.0.1", "no subdomains"),
            ("https://", "cannot be parsed"),
        ];
        for (text, reason) in cases {
            let error = text.parse::<OriginRule>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        for text in ["https://*.a.com:444", "http://[::1]:9000", "http://a.com"] {
            assert_eq!(rule(text).to_string(), text);
        }
    }
}
