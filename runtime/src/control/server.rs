//! The process's ends of the control plane: the socket, and the network if that is wanted.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use capnp_rpc::{RpcSystem, rpc_twoparty_capnp::Side, twoparty};
use isolith_capnp::control_capnp::control;
use isolith_versions::Digest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use super::service::{Service, Session, user_name};

/// How long a client on the network may take to say who it is.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// The listening socket. Dropping it removes the file.
pub(crate) struct ControlServer {
    listener: UnixListener,
    path: PathBuf,
    /// The user who runs this process.
    user: u32,
    /// Who else is heard, beside root.
    allowed: Vec<u32>,
    network: Option<Network>,
}

/// The listening end on the network: mutual TLS, so only those whom an authority certified.
struct Network {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl ControlServer {
    /// Listens at `path`. A socket that an earlier process left there is replaced: the caller
    /// holds the data directory's lock, so that process is gone. `allowed` are users who are heard
    /// beside the one who runs this process, and root.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub(crate) fn bind(path: PathBuf, allowed: Vec<u32>) -> io::Result<Self> {
        let fail = |error: io::Error| {
            let hint =
                "its path may have about 100 bytes: choose a shorter --data-dir if it is longer";
            io::Error::new(
                error.kind(),
                format!("{}: {error} ({hint})", path.display()),
            )
        };
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(fail)?;
        // Whoever connects is asked who it is; the mode only keeps out those whom nobody allows.
        let mode = if allowed.is_empty() { 0o600 } else { 0o666 };
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).map_err(fail)?;
        let user = std::fs::metadata(&path).map_err(fail)?.uid();
        Ok(ControlServer {
            listener,
            path,
            user,
            allowed,
            network: None,
        })
    }

    /// Listens on the network too, where `tls` says who is heard. Returns the address, the port
    /// resolved.
    ///
    /// # Errors
    /// If the address is taken or not this machine's.
    pub(crate) async fn listen(
        &mut self,
        address: SocketAddr,
        tls: rustls::ServerConfig,
    ) -> io::Result<SocketAddr> {
        let fail = |error: io::Error| {
            let text = format!("[control.listen] cannot listen on {address}: {error}");
            io::Error::new(error.kind(), text)
        };
        let listener = TcpListener::bind(address).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        self.network = Some(Network {
            listener,
            acceptor: TlsAcceptor::from(Arc::new(tls)),
        });
        Ok(address)
    }

    /// Where it listens.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The user who runs this process.
    pub(crate) fn user(&self) -> u32 {
        self.user
    }

    /// Serves clients, each in a task of its own on this thread, until dropped.
    pub(crate) async fn serve(&self, service: Service) {
        let service = Rc::new(service);
        let network = async {
            if let Some(network) = &self.network {
                network.serve(&service).await;
            }
        };
        tokio::join!(self.serve_socket(&service), network);
    }

    async fn serve_socket(&self, service: &Rc<Service>) {
        let slots = Arc::new(Semaphore::new(super::MAX_CONNECTIONS));
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            match self.accept().await {
                Ok((stream, user)) => {
                    let session = Session::new(service, user_name(user));
                    tokio::task::spawn_local(serve_client(stream, session, slot));
                }
                Err(error) => turned_away(error).await,
            }
        }
    }

    /// The next client, and the user whom it runs as.
    async fn accept(&self) -> io::Result<(UnixStream, u32)> {
        let (stream, _) = self.listener.accept().await?;
        let peer = stream.peer_cred()?.uid();
        // Root could read this process's memory; there is no point in turning it away.
        if peer != self.user && peer != 0 && !self.allowed.contains(&peer) {
            let message = format!(
                "it runs as user {peer}, this process as {}, and [control] allow_uids has {:?}",
                self.user, self.allowed
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        Ok((stream, peer))
    }
}

impl Network {
    async fn serve(&self, service: &Rc<Service>) {
        // Their own: strangers who connect must not keep the socket's clients waiting.
        let slots = Arc::new(Semaphore::new(super::MAX_CONNECTIONS));
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    turned_away(error).await;
                    continue;
                }
            };
            let (acceptor, service) = (self.acceptor.clone(), Rc::clone(service));
            tokio::task::spawn_local(async move {
                match identified(&acceptor, stream).await {
                    Ok((stream, who)) => {
                        serve_client(stream, Session::new(&service, who), slot).await;
                    }
                    Err(error) => {
                        tracing::warn!("the control client {peer} was turned away: {error}");
                    }
                }
            });
        }
    }
}

/// A client that has shown its certificate, and what it is called in the history.
async fn identified(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> io::Result<(tokio_rustls::server::TlsStream<TcpStream>, String)> {
    let accepted = tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await;
    let stream = accepted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let shown = stream.get_ref().1.peer_certificates();
    let own = shown.and_then(<[_]>::first).ok_or_else(|| {
        io::Error::new(io::ErrorKind::PermissionDenied, "it shows no certificate")
    })?;
    let who = format!("certificate {}", Digest::of(own));
    Ok((stream, who))
}

async fn serve_client(
    stream: impl AsyncRead + AsyncWrite + 'static,
    session: Session,
    _slot: OwnedSemaphorePermit,
) {
    let client: control::Client = capnp_rpc::new_client(session);
    let (read, write) = tokio::io::split(stream);
    let (read, write) = (read.compat(), write.compat_write());
    let network = twoparty::VatNetwork::new(read, write, Side::Server, super::reader_options());
    if let Err(error) = RpcSystem::new(Box::new(network), Some(client.client)).await {
        tracing::debug!("a control connection ended: {error}");
    }
}

async fn turned_away(error: io::Error) {
    tracing::warn!("a control client was turned away: {error}");
    tokio::time::sleep(super::ACCEPT_PAUSE).await;
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        // Left behind, the next process replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}
