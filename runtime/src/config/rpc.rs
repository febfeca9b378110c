//! `[rpc]`: which exports clients outside may call over Cap'n Proto RPC, where, and how much.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use isolith_versions::ServiceName;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// `[rpc]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rpc {
    /// Where to listen by TCP, if at all.
    #[serde(default, deserialize_with = "listen")]
    pub(crate) listen: Option<SocketAddr>,
    /// The Unix socket to listen on, if any, relative to the file. Its owner alone may connect.
    #[serde(default)]
    pub(crate) socket: Option<PathBuf>,
    /// TLS, on TCP only.
    #[serde(default)]
    pub(crate) tls: Option<Tls>,
    /// What may be opened, as `service.EXPORT`.
    pub(crate) exports: Vec<Exported>,
    /// Connections at once; more wait in the kernel's queue.
    #[serde(
        default = "max_connections",
        deserialize_with = "super::within::<_, _, 1, 100_000>"
    )]
    pub(crate) max_connections: usize,
    /// Sessions that one connection has open.
    #[serde(
        default = "sessions",
        deserialize_with = "super::within::<_, _, 1, 100_000>"
    )]
    pub(crate) sessions_per_connection: usize,
    /// Calls of one connection that are not answered yet.
    #[serde(
        default = "calls",
        deserialize_with = "super::within::<_, _, 1, 100_000>"
    )]
    pub(crate) calls_in_flight_per_connection: usize,
    /// One message, each way.
    #[serde(
        default = "message_bytes",
        deserialize_with = "super::within::<_, _, 1024, 0x1000_0000>"
    )]
    pub(crate) message_bytes: usize,
    /// Calls and results of one connection that its client has not finished, together.
    #[serde(
        default = "bytes",
        deserialize_with = "super::within::<_, _, 1024, 0x4000_0000>"
    )]
    pub(crate) bytes_in_flight_per_connection: usize,
    /// A connection on which nothing moves is closed after this time, unless a call is under way.
    #[serde(
        rename = "idle_timeout_ms",
        default = "idle_timeout",
        deserialize_with = "super::millis"
    )]
    pub(crate) idle_timeout: Duration,
    /// How long a session may last.
    #[serde(
        rename = "session_timeout_ms",
        default = "session_timeout",
        deserialize_with = "super::millis"
    )]
    pub(crate) session_timeout: Duration,
    /// Whether clients see the messages of services' errors.
    #[serde(default)]
    pub(crate) debug_errors: bool,
}

/// Files in PEM form, relative to the application file.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The certificate chain, the server's own first.
    pub(crate) certificates: PathBuf,
    pub(crate) key: PathBuf,
    /// Whose certificates clients must show, if any.
    #[serde(default)]
    pub(crate) client_authorities: Option<PathBuf>,
}

/// An export that may be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exported {
    pub(crate) service: ServiceName,
    pub(crate) export: String,
}

impl Rpc {
    /// The keys of the table.
    pub(super) const KEYS: &[&str] = &[
        "listen",
        "socket",
        "tls",
        "exports",
        "max_connections",
        "sessions_per_connection",
        "calls_in_flight_per_connection",
        "message_bytes",
        "bytes_in_flight_per_connection",
        "idle_timeout_ms",
        "session_timeout_ms",
        "debug_errors",
    ];

    /// What is wrong with the values together.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self {
            Rpc {
                listen: None,
                socket: None,
                ..
            } => Err("it listens nowhere: give it `listen`, `socket` or both"),
            Rpc {
                listen: None,
                tls: Some(_),
                ..
            } => Err("`tls` is for TCP: give it `listen`, too"),
            _ if self.exports.is_empty() => {
                Err("`exports` lists nothing: name what clients may open, such as \"auth.AUTH\"")
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for Exported {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, export) = text
            .split_once('.')
            .filter(|(_, export)| !export.is_empty())
            .ok_or_else(|| format!("`{text}` is not an export: write service.EXPORT"))?;
        Ok(Exported {
            service: ServiceName::new(service).map_err(|error| error.to_string())?,
            export: export.to_owned(),
        })
    }
}

impl<'de> Deserialize<'de> for Exported {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    super::listen(deserializer).map(Some)
}

fn max_connections() -> usize {
    256
}

fn sessions() -> usize {
    64
}

fn calls() -> usize {
    256
}

fn message_bytes() -> usize {
    8 << 20
}

fn bytes() -> usize {
    64 << 20
}

fn idle_timeout() -> Duration {
    Duration::from_secs(600)
}

fn session_timeout() -> Duration {
    Duration::from_secs(3600)
}
