//! The process's end of the control socket.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use capnp_rpc::{RpcSystem, rpc_twoparty_capnp::Side, twoparty};
use isolith_capnp::control_capnp::{control, deploy_result};
use isolith_services::bundle::Bundle;
use isolith_versions::{Digest, Version, VersionSet};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use super::status::{BundleStatus, EdgeStatus, SetStatus, Status};
use crate::deployment::{Accepted, Deployment, Refused, Snapshot};
use crate::error::{CallError, ErrorKind};
use crate::shard::JsonReply;

/// The listening socket. Dropping it removes the file.
pub(crate) struct ControlServer {
    listener: UnixListener,
    path: PathBuf,
    /// The user who runs this process; nobody else is heard.
    user: u32,
    slots: Arc<Semaphore>,
}

/// What the control plane acts on.
pub(crate) struct Service {
    pub(crate) deployment: Rc<Deployment>,
    pub(crate) app: String,
    pub(crate) entry: String,
    pub(crate) listen: SocketAddr,
    pub(crate) started: Instant,
    /// How long a call may take.
    pub(crate) call_timeout: Duration,
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

    /// Serves clients, each in a task of its own on this thread, until dropped.
    pub(crate) async fn serve(&self, service: Service) {
        let client: control::Client = capnp_rpc::new_client(service);
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
                return;
            };
            let stream = match self.accept().await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!("a control client was turned away: {error}");
                    tokio::time::sleep(super::ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let client = client.clone();
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

    async fn accept(&self) -> io::Result<UnixStream> {
        let (stream, _) = self.listener.accept().await?;
        let peer = stream.peer_cred()?.uid();
        if peer != self.user {
            let message = format!("it runs as user {peer}, and this process as {}", self.user);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        Ok(stream)
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        // Left behind, the next process replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl control::Server for Service {
    async fn deploy(
        self: Rc<Self>,
        params: control::DeployParams,
        mut results: control::DeployResults,
    ) -> Result<(), capnp::Error> {
        let files = params.get()?.get_bundles()?;
        let outcome = if files.len() > super::MAX_DEPLOY_BUNDLES {
            let most = super::MAX_DEPLOY_BUNDLES;
            Err(Refused(format!(
                "{} bundles at once; {most} are the most",
                files.len()
            )))
        } else {
            let files = files.iter().map(|file| Ok(file?.to_vec()));
            let files = files.collect::<Result<Vec<_>, capnp::Error>>()?;
            // A task of its own: a client that goes away does not stop a change halfway.
            let task = tokio::task::spawn_local(deploy(Rc::clone(&self.deployment), files));
            task.await
                .map_err(|error| capnp::Error::failed(error.to_string()))?
        };
        let result = results.get().init_result();
        match outcome {
            Ok(accepted) => write_accepted(&accepted, result),
            Err(Refused(reason)) => {
                tracing::warn!("a deployment was refused:\n{reason}");
                result.init_refused().set_reason(&reason[..]);
            }
        }
        Ok(())
    }

    async fn status(
        self: Rc<Self>,
        _: control::StatusParams,
        mut results: control::StatusResults,
    ) -> Result<(), capnp::Error> {
        let snapshot = self.deployment.snapshot().await;
        self.describe(&snapshot).write(results.get().init_status());
        Ok(())
    }

    async fn call(
        self: Rc<Self>,
        params: control::CallParams,
        mut results: control::CallResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let service = params.get_service()?.to_string()?;
        let version = params.get_version()?.to_string()?;
        let method = params.get_method()?.to_string()?;
        let argument = params.get_argument()?.to_string()?;
        let outcome = self.run(service, &version, &method, argument).await;
        let mut reply = results.get().init_reply();
        match outcome {
            Ok(answer) => {
                let mut ok = reply.init_ok();
                ok.set_json(&answer.json[..]);
                ok.set_bundle(&answer.bundle.to_string()[..]);
                ok.set_set_digest(&answer.set.0);
            }
            Err(error) => error.write(reply.reborrow().init_error()),
        }
        Ok(())
    }
}

impl Service {
    async fn run(
        &self,
        service: String,
        version: &str,
        method: &str,
        argument: String,
    ) -> Result<JsonReply, CallError> {
        let version = match version {
            "" => None,
            text => Some(Version::parse(text).map_err(|error| {
                let message = format!("`{text}` is not a version: {error}; write `1.4.0`");
                CallError::host(ErrorKind::BadArgument, message)
            })?),
        };
        let (export, method) = match method.split_once('.') {
            Some((export, method)) => (Some(export.to_owned()), method.to_owned()),
            None => (None, method.to_owned()),
        };
        let deadline = Instant::now() + self.call_timeout;
        let (callee, target) = ((service, version), (export, method));
        self.deployment
            .call(callee, target, argument, deadline)
            .await
    }

    fn describe(&self, snapshot: &Snapshot) -> Status {
        let sets = sets(snapshot);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            app: self.app.clone(),
            entry: self.entry.clone(),
            pid: std::process::id(),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            shards: u16::try_from(snapshot.shards.len()).unwrap_or(u16::MAX),
            listen: self.listen.to_string(),
            epoch: snapshot.table.epoch(),
            requests: snapshot
                .shards
                .iter()
                .map(|shard| shard.requests_admitted)
                .sum(),
            requests_in_flight: {
                let sum: u64 = snapshot
                    .shards
                    .iter()
                    .map(|shard| shard.requests_in_flight)
                    .sum();
                u32::try_from(sum).unwrap_or(u32::MAX)
            },
            bundles: bundles(snapshot, &sets),
            sets,
        }
    }
}

async fn deploy(deployment: Rc<Deployment>, files: Vec<Vec<u8>>) -> Result<Accepted, Refused> {
    let read = tokio::task::spawn_blocking(move || {
        let mut bundles = Vec::with_capacity(files.len());
        for (place, file) in files.iter().enumerate() {
            let bundle = Bundle::read(file);
            bundles.push(bundle.map_err(|error| Refused(format!("file {}: {error}", place + 1)))?);
        }
        Ok(bundles)
    });
    let bundles = read
        .await
        .unwrap_or_else(|error| Err(Refused(error.to_string())))?;
    deployment.deploy(bundles).await
}

fn write_accepted(accepted: &Accepted, result: deploy_result::Builder<'_>) {
    let mut to = result.init_accepted();
    to.set_epoch(accepted.epoch);
    to.set_set_digest(&accepted.set.0);
    let count = u32::try_from(accepted.wiring.len()).unwrap_or(u32::MAX);
    let mut lines = to.init_wiring(count);
    for (place, line) in (0..).zip(&accepted.wiring) {
        lines.set(place, &line[..]);
    }
}

/// Sets in force, then former ones that something holds.
fn sets(snapshot: &Snapshot) -> Vec<SetStatus> {
    let mut pins: BTreeMap<Digest, u64> = BTreeMap::new();
    for (digest, count) in snapshot.shards.iter().flat_map(|shard| &shard.pins) {
        *pins.entry(*digest).or_default() += count;
    }
    let mut sets = Vec::new();
    for (set, weight) in snapshot.table.sets() {
        let held = pins.remove(&set.digest()).unwrap_or_default();
        sets.push(set_status(set, u32::from(weight.parts()), "serving", held));
    }
    for set in snapshot.former.iter().rev() {
        if let Some(held) = pins.remove(&set.digest()).filter(|held| *held > 0) {
            sets.push(set_status(set, 0, "draining", held));
        }
    }
    // Held, and so long out of force that its wiring is forgotten.
    for (digest, held) in pins.into_iter().filter(|(_, held)| *held > 0) {
        let (digest, state) = (digest.to_string(), "draining".to_owned());
        sets.push(SetStatus {
            digest,
            state,
            pins: held,
            ..SetStatus::default()
        });
    }
    sets
}

fn set_status(set: &VersionSet, weight: u32, state: &str, pins: u64) -> SetStatus {
    let mut edges = Vec::new();
    for (place, caller) in set.bundles().iter().enumerate() {
        for (import, edge) in caller.imports.iter().zip(set.edges(place)) {
            let Some(callee) = set.bundles().get(edge.callee) else {
                continue;
            };
            let export = callee.exports.get(edge.export);
            edges.push(EdgeStatus {
                caller: caller.id.to_string(),
                import: import.name.to_string(),
                callee: callee.id.to_string(),
                export: export.map_or(String::new(), |export| export.name.to_string()),
                range: import.range.to_string(),
            });
        }
    }
    SetStatus {
        digest: set.digest().to_string(),
        weight,
        state: state.to_owned(),
        pins,
        bundles: set
            .bundles()
            .iter()
            .map(|bundle| bundle.id.to_string())
            .collect(),
        edges,
    }
}

fn bundles(snapshot: &Snapshot, sets: &[SetStatus]) -> Vec<BundleStatus> {
    let status = |bundle: &Arc<isolith_versions::BundleFacts>| {
        let id = &bundle.id;
        let name = id.to_string();
        let naming = || sets.iter().filter(|set| set.bundles.contains(&name));
        let isolates = snapshot.shards.iter().flat_map(|shard| &shard.isolates);
        let isolates: Vec<_> = isolates
            .filter(|isolate| isolate.digest == id.digest)
            .collect();
        let serving = naming().any(|set| set.state == "serving");
        let state = match (isolates.is_empty(), serving) {
            (false, true) => "running",
            (false, false) => "draining",
            // Every shard of a set in force had an isolate when it was wired.
            (true, true) => "failed",
            (true, false) => "loaded",
        };
        BundleStatus {
            service: id.service.to_string(),
            version: id.version.to_string(),
            digest: id.digest.to_string(),
            state: state.to_owned(),
            isolates: u32::try_from(isolates.len()).unwrap_or(u32::MAX),
            heap_bytes: isolates.iter().map(|isolate| isolate.heap_bytes).sum(),
            external_bytes: isolates.iter().map(|isolate| isolate.external_bytes).sum(),
            requests: isolates.iter().map(|isolate| isolate.requests).sum(),
            errors: isolates.iter().map(|isolate| isolate.errors).sum(),
            leases: naming().map(|set| set.pins).sum(),
        }
    };
    snapshot.world.bundles().iter().map(status).collect()
}
