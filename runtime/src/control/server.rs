//! The process's end of the control socket.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use capnp_rpc::{RpcSystem, rpc_twoparty_capnp::Side, twoparty};
use isolith_capnp::control_capnp::control;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use super::service::{Service, Session};

/// The listening socket. Dropping it removes the file.
pub(crate) struct ControlServer {
    listener: UnixListener,
    path: PathBuf,
    /// The user who runs this process; nobody else is heard.
    user: u32,
    slots: Arc<Semaphore>,
}

impl ControlServer {
    /// Listens at `path`. A socket that an earlier process left there is replaced: the caller
    /// holds the data directory's lock, so that process is gone.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub(crate) fn bind(path: PathBuf) -> io::Result<Self> {
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
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).map_err(fail)?;
        let user = std::fs::metadata(&path).map_err(fail)?.uid();
        let slots = Arc::new(Semaphore::new(super::MAX_CONNECTIONS));
        Ok(ControlServer {
            listener,
            path,
            user,
            slots,
        })
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
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
                return;
            };
            let (stream, user) = match self.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("a control client was turned away: {error}");
                    tokio::time::sleep(super::ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let session = Session::new(&service, user);
            let client: control::Client = capnp_rpc::new_client(session);
            tokio::task::spawn_local(async move {
                let _slot = slot;
                let (read, write) = stream.into_split();
                let (read, write) = (read.compat(), write.compat_write());
                let options = super::reader_options();
                let network = twoparty::VatNetwork::new(read, write, Side::Server, options);
                if let Err(error) = RpcSystem::new(Box::new(network), Some(client.client)).await {
                    tracing::debug!("a control connection ended: {error}");
                }
            });
        }
    }

    /// The next client, and the user whom it runs as.
    async fn accept(&self) -> io::Result<(UnixStream, u32)> {
        let (stream, _) = self.listener.accept().await?;
        let peer = stream.peer_cred()?.uid();
        // Root could read this process's memory; there is no point in turning it away.
        if peer != self.user && peer != 0 {
            let message = format!("it runs as user {peer}, and this process as {}", self.user);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        Ok((stream, peer))
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        // Left behind, the next process replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}
