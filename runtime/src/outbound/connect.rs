//! Opening connections: resolve, check the addresses, connect to one that was checked, encrypt.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::is_public;
use super::{OutboundError, Rules};
use crate::tls::{self, TlsError};

/// Look-ups of names that one service has under way. The system cannot be told to give one up.
const LOOKUPS_IN_FLIGHT: usize = 8;

/// Makes connections for one service.
#[derive(Clone)]
pub(super) struct Connector {
    private_networks: Arc<[IpNet]>,
    lookups: Arc<Semaphore>,
    /// How long one address may take to answer.
    patience: Duration,
    authorities: Arc<[CertificateDer<'static>]>,
    /// Made when first needed, and shared by clones.
    tls: Arc<OnceLock<Result<Arc<ClientConfig>, TlsError>>>,
}

/// A connection, perhaps encrypted.
pub(super) enum Stream {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl Connector {
    pub(super) fn new(rules: &Rules, patience: Duration) -> Self {
        Connector {
            private_networks: Arc::clone(&rules.private_networks),
            authorities: Arc::clone(&rules.authorities),
            tls: Arc::default(),
            lookups: Arc::new(Semaphore::new(LOOKUPS_IN_FLIGHT)),
            patience,
        }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<Stream>, OutboundError> {
        let invalid = || OutboundError::Invalid("its URL has no host".to_owned());
        let host = uri.host().ok_or_else(invalid)?;
        // A URI keeps an IPv6 address in its brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let encrypted = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let addresses = match host.parse::<IpAddr>() {
            // A rule allows a written address by naming it.
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => self.resolve(host, port).await?,
        };
        let stream = dial(host, &addresses, self.patience).await?;
        if !encrypted {
            return Ok(TokioIo::new(Stream::Plain(stream)));
        }
        let failed = |error: String| OutboundError::Network(format!("TLS with {host}: {error}"));
        let name = ServerName::try_from(host.to_owned()).map_err(|e| failed(e.to_string()))?;
        let connector = TlsConnector::from(self.tls().map_err(|e| failed(e.to_string()))?);
        let stream = tokio::time::timeout(self.patience, connector.connect(name, stream))
            .await
            .map_err(|_| failed("no answer".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        Ok(TokioIo::new(Stream::Encrypted(Box::new(stream))))
    }

    /// HTTP/1.1, with the authorities that are trusted.
    fn tls(&self) -> Result<Arc<ClientConfig>, TlsError> {
        // The system's alone are read once for all services.
        static SYSTEM: OnceLock<Result<Arc<ClientConfig>, TlsError>> = OnceLock::new();
        let config = match self.authorities.is_empty() {
            true => &SYSTEM,
            false => &*self.tls,
        };
        let make = || tls::client(&self.authorities).map(Arc::new);
        config.get_or_init(make).clone()
    }

    /// The addresses of `host` that may be reached.
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, OutboundError> {
        let failed = |error: String| OutboundError::Network(format!("looking up {host}: {error}"));
        let permit = Arc::clone(&self.lookups).acquire_owned().await;
        let question = (host.to_owned(), port);
        // A task of its own keeps the permit until the system has answered.
        let lookup = tokio::spawn(async move {
            let _permit = permit;
            let found = tokio::net::lookup_host(question).await;
            found.map(|found| found.collect::<Vec<_>>())
        });
        let found = lookup
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
        self.allowed(host, found)
    }

    fn allowed(
        &self,
        host: &str,
        found: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, OutboundError> {
        let (allowed, refused): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| {
            let ip = address.ip().to_canonical();
            is_public(ip) || self.private_networks.iter().any(|net| net.contains(&ip))
        });
        match (allowed.is_empty(), refused.first()) {
            (false, _) => Ok(allowed),
            (true, Some(address)) => Err(OutboundError::PrivateAddress {
                host: host.to_owned(),
                address: address.ip().to_string(),
            }),
            (true, None) => Err(OutboundError::Network(format!("{host} has no address"))),
        }
    }
}

/// Connects to the first address that answers.
async fn dial(
    host: &str,
    addresses: &[SocketAddr],
    patience: Duration,
) -> Result<TcpStream, OutboundError> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match tokio::time::timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request goes out in one piece mostly; if this fails it is only slower.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(OutboundError::Network(format!(
        "connecting to {host}: {last}"
    )))
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = OutboundError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, OutboundError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OutboundError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Encrypted(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Encrypted(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(networks: &[&str], addresses: &[&str]) -> Result<Vec<String>, String> {
        let networks: Vec<IpNet> = networks.iter().map(|net| net.parse().unwrap()).collect();
        let found = addresses
            .iter()
            .map(|address| SocketAddr::new(address.parse().unwrap(), 80));
        let rules = Rules {
            private_networks: networks.into(),
            ..Rules::default()
        };
        Connector::new(&rules, Duration::from_secs(1))
            .allowed("geo.test", found.collect())
            .map(|list| list.iter().map(|a| a.ip().to_string()).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn of_a_names_addresses_only_public_and_granted_ones_are_left() {
        let mixed = ["10.0.0.1", "1.1.1.1", "::1"];
        assert_eq!(allowed(&[], &mixed).unwrap(), ["1.1.1.1"]);
        assert_eq!(
            allowed(&["10.0.0.0/8"], &mixed).unwrap(),
            ["10.0.0.1", "1.1.1.1"]
        );
        assert_eq!(
            allowed(&["127.0.0.0/8"], &["::ffff:127.0.0.1"]).unwrap(),
            ["::ffff:127.0.0.1"]
        );
        let error = allowed(&["10.0.0.0/8"], &["169.254.169.254"]).unwrap_err();
        assert!(
            error.contains("geo.test resolves to 169.254.169.254"),
            "{error}"
        );
        assert!(allowed(&[], &[]).unwrap_err().contains("no address"));
    }
}
