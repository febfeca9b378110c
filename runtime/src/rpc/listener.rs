//! Where clients come in, and the thread that serves them.

use std::cell::{Cell, RefCell};
use std::fs::{self, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{RpcSystem, twoparty};
use isolith_capnp::rpc_capnp::isolith;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use super::bootstrap::Bootstrap;
use super::bounds::{Bounds, Guarded};
use super::message::reader_options;
use super::socket::split;
use super::{Connection, Settings};
use crate::config::{Rpc, Tls};
use crate::ingress::admission::Admissions;
use crate::shard::ShardHandle;

/// How long accepting pauses after an error that another attempt would meet at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client may take for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a client may take to hear why its connection ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// The sockets under `[rpc]`, before and while they accept.
pub(crate) struct RpcListener {
    tcp: Option<(StdTcpListener, SocketAddr)>,
    tls: Option<TlsAcceptor>,
    unix: Option<(StdUnixListener, PathBuf)>,
    settings: Arc<Settings>,
}

/// The thread that serves clients. Dropping it ends accepting; who is connected is served on.
pub(crate) struct RpcServer {
    stop: watch::Sender<bool>,
    socket: Option<PathBuf>,
}

impl RpcListener {
    /// Listens where `rpc` says; nothing is accepted before [`serve`](Self::serve).
    ///
    /// # Errors
    /// If an address is taken or not this machine's, or a file of TLS cannot be used.
    pub(crate) fn bind(rpc: Rpc, admissions: Arc<Admissions>) -> io::Result<Self> {
        let tls = rpc.tls.as_ref().map(acceptor).transpose()?;
        let tcp = rpc.listen.map(|address| {
            let place = |error: io::Error| at(&format!("[rpc] listen {address}"), &error);
            let listener = StdTcpListener::bind(address).map_err(place)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok::<_, io::Error>((listener, address))
        });
        let unix = rpc.socket.clone().map(|path| {
            let listener = bind_unix(&path);
            let place = |error: io::Error| at(&format!("[rpc] socket {}", path.display()), &error);
            Ok::<_, io::Error>((listener.map_err(place)?, path.clone()))
        });
        Ok(RpcListener {
            tcp: tcp.transpose()?,
            tls,
            unix: unix.transpose()?,
            settings: Arc::new(Settings { rpc, admissions }),
        })
    }

    /// Where clients can reach it, for people.
    pub(crate) fn places(&self) -> Vec<String> {
        let tcp = self.tcp.as_ref().map(|(_, address)| match self.tls {
            Some(_) => format!("rpc on {address} with TLS"),
            None => format!("rpc on {address}"),
        });
        let unix = self.unix.as_ref();
        let unix = unix.map(|(_, path)| format!("rpc socket {}", path.display()));
        tcp.into_iter().chain(unix).collect()
    }

    /// Serves clients on a thread of its own, their sessions on `shards` in turn.
    ///
    /// # Errors
    /// If the operating system refuses the thread.
    pub(crate) fn serve(self, shards: Vec<ShardHandle>) -> io::Result<RpcServer> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, mut stopped) = watch::channel(false);
        let socket = self.unix.as_ref().map(|(_, path)| path.clone());
        let thread = thread::Builder::new().name("isolith-rpc".into());
        thread.spawn(move || {
            let local = LocalSet::new();
            local.block_on(&runtime, async move {
                tokio::select! {
                    Err(error) = accept(self, shards) => {
                        tracing::error!("no more RPC clients are taken: {error}");
                    }
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                }
                // Those that are connected end with their sessions, or with the process.
                std::future::pending::<()>().await;
            });
        })?;
        Ok(RpcServer { stop, socket })
    }
}

impl Drop for RpcServer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(path) = &self.socket {
            // Left behind, the next process replaces it.
            let _ = fs::remove_file(path);
        }
    }
}

/// Replaces a socket that an earlier process left, and nothing else.
fn bind_unix(path: &Path) -> io::Result<StdUnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let listener = StdUnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn acceptor(tls: &Tls) -> io::Result<TlsAcceptor> {
    let certificates = read_certificates(&tls.certificates)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key);
    let key = key.map_err(|error| at(&tls.key.display().to_string(), &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = match &tls.client_authorities {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let place = |error: &dyn std::fmt::Display| at(&file.display().to_string(), error);
            let mut roots = RootCertStore::empty();
            for certificate in read_certificates(file)? {
                roots.add(certificate).map_err(|error| place(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|error| place(&error))?)
        }
    };
    let config = builder.with_single_cert(certificates, key);
    let config = config.map_err(|error| at("[rpc] tls", &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read_certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = || CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
    read().map_err(|error| at(&file.display().to_string(), &error))
}

fn at(place: &str, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{place}: {error}"))
}

/// What connections share.
struct Clients {
    settings: Arc<Settings>,
    shards: Vec<ShardHandle>,
    turn: AtomicUsize,
    slots: Arc<Semaphore>,
}

async fn accept(listener: RpcListener, shards: Vec<ShardHandle>) -> io::Result<()> {
    let clients = Rc::new(Clients {
        slots: Arc::new(Semaphore::new(listener.settings.rpc.max_connections)),
        settings: listener.settings,
        shards,
        turn: AtomicUsize::new(0),
    });
    let tcp = listener
        .tcp
        .map(|(tcp, _)| TcpListener::from_std(tcp))
        .transpose()?;
    let unix = listener
        .unix
        .map(|(unix, _)| UnixListener::from_std(unix))
        .transpose()?;
    let (tls, from_tcp) = (listener.tls, Rc::clone(&clients));
    let by_tcp = async move {
        let Some(tcp) = tcp else { return };
        loop {
            from_tcp.room().await;
            let Some((stream, peer)) = settled(tcp.accept().await).await else {
                continue;
            };
            // Small messages, and each is waited for.
            let _ = stream.set_nodelay(true);
            let is_loopback = peer.ip().to_canonical().is_loopback();
            let (clients, tls) = (Rc::clone(&from_tcp), tls.clone());
            tokio::task::spawn_local(async move {
                match tls {
                    None => clients.serve(stream, is_loopback).await,
                    Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                        Ok(Ok(stream)) => clients.serve(stream, is_loopback).await,
                        Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
                        Err(_) => tracing::debug!("a TLS handshake took too long"),
                    },
                }
            });
        }
    };
    let by_unix = async move {
        let Some(unix) = unix else { return };
        loop {
            clients.room().await;
            let Some((stream, _)) = settled(unix.accept().await).await else {
                continue;
            };
            let clients = Rc::clone(&clients);
            tokio::task::spawn_local(async move { clients.serve(stream, true).await });
        }
    };
    tokio::join!(by_tcp, by_unix);
    std::future::pending().await
}

async fn settled<T>(accepted: io::Result<T>) -> Option<T> {
    match accepted {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!("accepting an RPC connection failed: {error}");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

impl Clients {
    /// Waits until one more client may connect; others wait in the kernel's queue.
    async fn room(&self) {
        if let Ok(slot) = self.slots.acquire().await {
            drop(slot);
        }
    }

    /// Serves a client until it leaves, is silent for too long, or passes a bound.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
        stream: S,
        is_loopback: bool,
    ) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.shards.len().max(1);
        let (Ok(_slot), Some(shard)) = (self.slots.try_acquire(), self.shards.get(turn)) else {
            tracing::debug!("an RPC connection was dropped: as many are open as may be");
            return;
        };
        let rpc = &self.settings.rpc;
        let bounds = Bounds::new(
            rpc.calls_in_flight_per_connection,
            rpc.bytes_in_flight_per_connection,
        );
        let connection = Rc::new(Connection {
            settings: Arc::clone(&self.settings),
            shard: shard.clone(),
            is_loopback,
            sessions: RefCell::default(),
            stubs: RefCell::default(),
            calls: Cell::new(0),
        });
        let (read, write) = split(stream, &bounds);
        let options = reader_options(rpc.message_bytes);
        let network = twoparty::VatNetwork::new(read, write, Side::Server, options);
        let network = Guarded {
            network,
            bounds: Rc::clone(&bounds),
        };
        let bootstrap: isolith::Client = capnp_rpc::new_client(Bootstrap(Rc::clone(&connection)));
        let system = RpcSystem::new(Box::new(network), Some(bootstrap.client));
        let disconnector = system.get_disconnector();
        let mut system = tokio::task::spawn_local(system);
        let reason = tokio::select! {
            ended = &mut system => match ended {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            },
            error = bounds.broken() => Some(error.to_string()),
            () = bounds.idle(rpc.idle_timeout) => Some("idle_timeout_ms has passed".to_owned()),
        };
        if let Some(reason) = reason {
            tracing::debug!("an RPC connection ended: {reason}");
        }
        connection.end();
        // So that whatever still refers to the connection lets go of it.
        let _ = tokio::time::timeout(FAREWELL, disconnector).await;
        system.abort();
    }
}
