//! The command line's end of the control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use capnp_rpc::{RpcSystem, rpc_twoparty_capnp::Side, twoparty};
use isolith_capnp::control_capnp::{call_reply, change_result, control};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use super::history::{read_entry, texts};
use super::holders::BundleHolders;
use super::rollouts::{RolloutSpec, RolloutStatus, Rollouts, Unsolved, write_steering};
use super::status::{Status, digest_text};
use crate::deployment::Steer;
use crate::error::CallError;
use crate::state::Entry;

/// A connection to a running process. Needs a `LocalSet`.
pub(crate) struct Client {
    control: control::Client,
}

/// What became of a change.
pub(crate) enum Changed {
    Accepted {
        /// Of its entry in the history.
        number: u64,
        /// From which requests use the set.
        epoch: u64,
        /// The set's digest, `sha256:...`.
        set: String,
        wiring: Vec<String>,
    },
    /// Why not: lines for a person.
    Refused(String),
}

/// What a call returned.
pub(crate) struct Called {
    pub(crate) json: String,
    /// Who answered: `auth@2.0.0`.
    pub(crate) bundle: String,
    /// The set's digest, `sha256:...`.
    pub(crate) set: String,
}

/// Why the process could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens.
    #[error(
        "no isolith process answers at {}: start one with `isolith serve APP.toml`, or name \
         another with --app, --data-dir, --socket or ISOLITH_SOCKET ({source})",
        socket.display()
    )]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Nobody listens, or it is not whom the authority certified.
    #[error(
        "no isolith process answers at {address}: check the address, and [control.listen] of the \
         application file there ({reason})"
    )]
    OutOfReach {
        /// The address, as it was given.
        address: String,
        /// What the system or TLS says.
        reason: String,
    },
    /// The connection broke, or the process is of an incompatible version.
    #[error("the isolith process did not answer: {0}; see its log")]
    Protocol(#[from] capnp::Error),
    /// The method itself failed.
    #[error(transparent)]
    Call(Box<CallError>),
}

/// A process's control on the network, and what both show each other.
pub(crate) struct NetworkEnd {
    /// `HOST:PORT`
    pub(crate) address: String,
    pub(crate) tls: Arc<rustls::ClientConfig>,
}

impl NetworkEnd {
    async fn connect(self) -> Result<TlsStream<TcpStream>, String> {
        let text = |error: io::Error| error.to_string();
        let host = self.address.rsplit_once(':').map_or("", |(host, _)| host);
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
        let stream = TcpStream::connect(&self.address).await.map_err(text)?;
        let connector = TlsConnector::from(self.tls);
        connector.connect(name, stream).await.map_err(text)
    }
}

impl Client {
    /// Connects to a process's control on the network.
    ///
    /// # Errors
    /// If nobody listens there, or another one than the certificate says. Whether the process
    /// hears this client shows with the first request.
    pub(crate) async fn connect_network(end: NetworkEnd) -> Result<Self, ClientError> {
        let address = end.address.clone();
        let stream = end.connect().await;
        let stream = stream.map_err(|reason| ClientError::OutOfReach { address, reason })?;
        Ok(Self::over(stream))
    }

    /// Connects to the control socket at `path`.
    ///
    /// # Errors
    /// If nobody listens there.
    pub(crate) async fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream =
            UnixStream::connect(path)
                .await
                .map_err(|source| ClientError::Unreachable {
                    socket: path.to_owned(),
                    source,
                })?;
        Ok(Self::over(stream))
    }

    fn over(stream: impl AsyncRead + AsyncWrite + 'static) -> Self {
        let (read, write) = tokio::io::split(stream);
        let (read, write) = (read.compat(), write.compat_write());
        let options = super::reader_options();
        let network = twoparty::VatNetwork::new(read, write, Side::Client, options);
        let mut system = RpcSystem::new(Box::new(network), None);
        let control = system.bootstrap(Side::Server);
        tokio::task::spawn_local(async move {
            // Whoever waits for an answer gets the same error.
            let _ = system.await;
        });
        Client { control }
    }

    /// Deploys bundle files, given as bytes.
    ///
    /// # Errors
    /// If the process could not be asked; a refusal is a result.
    pub(crate) async fn deploy(
        &self,
        bundles: &[Vec<u8>],
        message: &str,
    ) -> Result<Changed, ClientError> {
        let mut request = self.control.deploy_request();
        let mut params = request.get();
        params.set_message(message);
        let count = u32::try_from(bundles.len()).unwrap_or(u32::MAX);
        let mut list = params.init_bundles(count);
        for (place, bundle) in (0..).zip(bundles) {
            list.set(place, bundle);
        }
        let response = request.send().promise.await?;
        Ok(changed(response.get()?.get_result()?)?)
    }

    /// Goes back to what change number `number` left.
    ///
    /// # Errors
    /// As [`deploy`](Self::deploy).
    pub(crate) async fn rollback(
        &self,
        number: u64,
        message: &str,
    ) -> Result<Changed, ClientError> {
        let mut request = self.control.rollback_request();
        let mut params = request.get();
        params.set_number(number);
        params.set_message(message);
        let response = request.send().promise.await?;
        Ok(changed(response.get()?.get_result()?)?)
    }

    /// The newest `most` changes, newest first.
    ///
    /// # Errors
    /// If the process could not be asked.
    pub(crate) async fn history(&self, most: u32) -> Result<Vec<Entry>, ClientError> {
        let mut request = self.control.history_request();
        request.get().set_most(most);
        let response = request.send().promise.await?;
        let entries = response.get()?.get_entries()?.iter().map(read_entry);
        Ok(entries.collect::<Result<_, _>>()?)
    }

    /// Starts a rollout.
    ///
    /// # Errors
    /// As [`deploy`](Self::deploy).
    pub(crate) async fn start_rollout(
        &self,
        spec: &RolloutSpec,
        message: &str,
    ) -> Result<Changed, ClientError> {
        let mut request = self.control.start_rollout_request();
        let mut params = request.get();
        spec.write(params.reborrow().init_spec());
        params.set_message(message);
        let response = request.send().promise.await?;
        Ok(changed(response.get()?.get_result()?)?)
    }

    /// Does something to a rollout.
    ///
    /// # Errors
    /// As [`deploy`](Self::deploy).
    pub(crate) async fn steer_rollout(
        &self,
        name: &str,
        steer: &Steer,
        message: &str,
    ) -> Result<Changed, ClientError> {
        let mut request = self.control.steer_rollout_request();
        let mut params = request.get();
        params.set_name(name);
        write_steering(steer, params.reborrow().init_steering());
        params.set_message(message);
        let response = request.send().promise.await?;
        Ok(changed(response.get()?.get_result()?)?)
    }

    /// Makes what is in force what an application file says, or says what that would change.
    ///
    /// # Errors
    /// As [`deploy`](Self::deploy).
    pub(crate) async fn apply(
        &self,
        app: &str,
        bundles: &[Vec<u8>],
        rollouts: &[RolloutSpec],
        dry_run: bool,
        message: &str,
    ) -> Result<Changed, ClientError> {
        let mut request = self.control.apply_request();
        let mut params = request.get();
        params.set_app(app);
        params.set_dry_run(dry_run);
        params.set_message(message);
        let count = u32::try_from(bundles.len()).unwrap_or(u32::MAX);
        let mut list = params.reborrow().init_bundles(count);
        for (place, bundle) in (0..).zip(bundles) {
            list.set(place, bundle);
        }
        let count = u32::try_from(rollouts.len()).unwrap_or(u32::MAX);
        let mut list = params.init_rollouts(count);
        for (place, rollout) in (0..).zip(rollouts) {
            rollout.write(list.reborrow().get(place));
        }
        let response = request.send().promise.await?;
        Ok(changed(response.get()?.get_result()?)?)
    }

    /// What keeps the versions of a service loaded, or one of them.
    ///
    /// # Errors
    /// If there is no such bundle, or the process could not be asked.
    pub(crate) async fn holders(
        &self,
        service: &str,
        version: &str,
    ) -> Result<Vec<BundleHolders>, ClientError> {
        let mut request = self.control.holders_request();
        request.get().set_service(service);
        request.get().set_version(version);
        let response = request.send().promise.await?;
        let bundles = response
            .get()?
            .get_bundles()?
            .iter()
            .map(BundleHolders::read);
        Ok(bundles.collect::<Result<_, _>>()?)
    }

    /// Cancels what holds a bundle. Returns how many requests that were, and whether new ones can
    /// get the bundle still.
    ///
    /// # Errors
    /// If there is no such bundle, or the process could not be asked.
    pub(crate) async fn evict(
        &self,
        service: &str,
        version: &str,
        reason: &str,
    ) -> Result<(u64, bool), ClientError> {
        let mut request = self.control.evict_request();
        request.get().set_service(service);
        request.get().set_version(version);
        request.get().set_reason(reason);
        let response = request.send().promise.await?;
        let response = response.get()?;
        Ok((response.get_count(), response.get_in_force()))
    }

    /// Every rollout that the process tells of.
    ///
    /// # Errors
    /// If the process could not be asked.
    pub(crate) async fn rollouts(&self) -> Result<Rollouts, ClientError> {
        let response = self.control.rollouts_request().send().promise.await?;
        let response = response.get()?;
        let rollouts = response.get_rollouts()?.iter().map(RolloutStatus::read);
        let unsolved = response.get_unsolved()?.iter().map(Unsolved::read);
        Ok(Rollouts {
            rollouts: rollouts.collect::<Result<_, _>>()?,
            unsolved: unsolved.collect::<Result<_, _>>()?,
        })
    }

    /// What runs now.
    ///
    /// # Errors
    /// If the process could not be asked.
    pub(crate) async fn status(&self) -> Result<Status, ClientError> {
        let response = self.control.status_request().send().promise.await?;
        Ok(Status::read(response.get()?.get_status()?)?)
    }

    /// Calls `method` (`EXPORT.method` or `method`) with a JSON argument. An empty `version` is
    /// that of new requests.
    ///
    /// # Errors
    /// The call's own, or that the process could not be asked.
    pub(crate) async fn call(
        &self,
        service: &str,
        version: &str,
        method: &str,
        argument: &str,
    ) -> Result<Called, ClientError> {
        let mut request = self.control.call_request();
        let mut params = request.get();
        params.set_service(service);
        params.set_version(version);
        params.set_method(method);
        params.set_argument(argument);
        let response = request.send().promise.await?;
        match response
            .get()?
            .get_reply()?
            .which()
            .map_err(capnp::Error::from)?
        {
            call_reply::Ok(ok) => Ok(Called {
                json: ok.get_json()?.to_string().map_err(capnp::Error::from)?,
                bundle: ok.get_bundle()?.to_string().map_err(capnp::Error::from)?,
                set: digest_text(ok.get_set_digest()?)?,
            }),
            call_reply::Error(error) => Err(ClientError::Call(Box::new(CallError::from_message(
                error?,
            )?))),
        }
    }
}

fn changed(result: change_result::Reader<'_>) -> Result<Changed, capnp::Error> {
    match result.which()? {
        change_result::Accepted(accepted) => Ok(Changed::Accepted {
            number: accepted.get_number(),
            epoch: accepted.get_epoch(),
            set: digest_text(accepted.get_set_digest()?)?,
            wiring: texts(accepted.get_wiring()?)?,
        }),
        change_result::Refused(refused) => Ok(Changed::Refused(refused.get_reason()?.to_string()?)),
    }
}
