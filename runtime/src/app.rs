//! The composition root of `isolith serve`: configuration in; parts built, served, drained.
//!
//! The main thread accepts connections, answers the control socket and plans deployments; shards
//! have their own threads. Nothing is accepted before the first deployment is in force.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::select_all;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::LocalSet;
use tracing_subscriber::EnvFilter;

use crate::config::AppConfig;
use crate::control::{ControlServer, Service, user_name};
use crate::data_dir::DataDir;
use crate::deployment::{Deployment, Stores};
use crate::ingress::Ingress;
use crate::ingress::admission::Admissions;
use crate::limits::Limits;
use crate::native::{NativeService, Natives};
use crate::overrides::{self, OverrideQueue};
use crate::park::park_on_failure;
use crate::rpc::RpcListener;
use crate::shard::{self, ShardHandle, ShardLife};
use crate::state::Author;
use crate::trace::Trace;

/// Which records are logged, as in `info,isolith_runtime=debug`.
const LOG_VARIABLE: &str = "ISOLITH_LOG";

/// How long the end of the trace is waited for.
const TRACE_PATIENCE: Duration = Duration::from_secs(5);

/// Why serving could not begin or go on.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// The `isolith` command with services written in Rust: what a binary of one's own runs.
///
/// See [`native`](crate::native) for how.
#[derive(Debug, Default)]
pub struct Isolith {
    natives: Vec<NativeService>,
}

impl Isolith {
    /// The command as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a service. A service may be added in several versions.
    #[must_use]
    pub fn native(mut self, service: NativeService) -> Self {
        self.natives.push(service);
        self
    }

    /// Runs the command that the process was started with, such as `serve app.toml`: everything that
    /// `isolith` does, with these services.
    pub fn main(self) -> ExitCode {
        crate::cli::run(self.natives)
    }

    /// Serves an application until the process is asked to stop and its requests have ended.
    ///
    /// # Errors
    /// Why it cannot be served, for a person.
    pub fn serve(self, file: impl Into<PathBuf>) -> Result<(), Failure> {
        serve(ServeOptions {
            file: file.into(),
            listen: None,
            data_dir: None,
            natives: Natives::new(self.natives)?,
        })
    }
}

/// What `isolith serve` is told.
pub(crate) struct ServeOptions {
    /// The application file.
    pub(crate) file: PathBuf,
    /// Instead of the file's `[http] listen`.
    pub(crate) listen: Option<SocketAddr>,
    /// Instead of the file's `[app] data_dir`.
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) natives: Natives,
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Serves an application until the process is asked to stop and its requests have ended.
///
/// # Errors
/// Why it cannot be served.
pub(crate) fn serve(options: ServeOptions) -> Result<(), Failure> {
    log_to_stderr();
    let mut config = AppConfig::load(&options.file)?;
    config.natives = options.natives;
    config.http.listen = options.listen.unwrap_or(config.http.listen);
    let data_dir = options.data_dir.unwrap_or_else(|| config.data_dir());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, run(config, DataDir::open(&data_dir)?))
}

async fn run(config: AppConfig, data_dir: DataDir) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let http = config.http.clone();
    let pin_key = data_dir.pin_key()?;
    let (overrides, queue) = overrides::queue();
    let admissions = Arc::new(Admissions {
        routing: config.routing.clone(),
        pin_key,
        overrides,
    });
    let bound = Ingress::bind(http.clone(), Arc::clone(&admissions)).await;
    let ingress = bound.map_err(|error| format!("cannot listen on {}: {error}", http.listen))?;
    let allowed = config.control.allow_uids.clone();
    let mut control = ControlServer::bind(data_dir.control_socket(), allowed)?;
    if let Some(listen) = &config.control.listen {
        let tls = listen.tls(config.dir());
        let tls = tls.map_err(|error| format!("[control.listen]: {error}"))?;
        let address = control.listen(listen.address, tls).await?;
        tracing::info!("control over mutual TLS at {address}");
    }
    let rpc = config.rpc().map(|rpc| RpcListener::bind(rpc, admissions));
    let rpc = rpc.transpose()?;

    let limits = Limits {
        move_threshold_bytes: config.runtime.move_threshold_bytes,
        drain: config.routing.drain_timeout,
        ..config.limits.clone()
    };
    let opened = config.trace.as_ref();
    let opened = opened.map(|trace| Trace::open(&config.trace_file(trace), trace.max_mib));
    let (trace, trace_writer) = opened.transpose()?.unzip();
    let entry = config.app.entry.clone();
    let parked_shards_max = limits.parked_shards_max;
    park_on_failure();
    let (shards, shard_limits) = (config.runtime.shards, limits.clone());
    let stores = Stores {
        bundles: data_dir.store()?,
        state: data_dir.state()?,
    };
    let author = Author {
        who: user_name(control.user()),
        message: String::new(),
    };
    let deployment = Deployment::start(&config, limits, stores, author, |routing| {
        let spawn = |index| {
            let (limits, entry, trace) = (shard_limits.clone(), entry.clone(), trace.clone());
            shard::spawn(
                index,
                limits,
                routing.clone(),
                entry,
                trace,
                ingress.server(),
            )
        };
        (0..shards).map(spawn).collect()
    });
    let deployment = tokio::select! {
        deployment = deployment => Rc::new(deployment?),
        () = signals.stop() => return Ok(()),
    };
    // Only the shards have it now: it ends when they do.
    drop(trace);
    let service = Service {
        deployment: Rc::clone(&deployment),
        app: config.app.name.clone(),
        entry: config.app.entry.to_string(),
        listen: ingress.address(),
        started: Instant::now(),
        call_timeout: http.request_timeout,
    };
    let rpc_places = rpc.as_ref().map(RpcListener::places).unwrap_or_default();
    let rpc = rpc.map(|rpc| rpc.serve(deployment.shards().to_vec()));
    let rpc = rpc.transpose()?;
    if let Err(error) = announce(&ingress, &control, &rpc_places) {
        // Whoever reads it may have left; that is no reason not to serve.
        tracing::warn!("standard output cannot be written: {error}");
    }

    let lost: Result<(), Failure> = tokio::select! {
        () = ingress.accept(deployment.shards()) => Ok(()),
        () = control.serve(service) => Ok(()),
        () = serve_overrides(&deployment, queue) => Ok(()),
        () = deployment.watch_rollouts() => Ok(()),
        failure = supervise(&deployment, &ingress, parked_shards_max) => Err(failure),
        () = signals.stop() => Ok(()),
    };
    drop((ingress, control, rpc));
    tracing::info!(
        "stopping: no new connections; those open have {:?}",
        http.drain_timeout
    );
    tokio::select! {
        () = deployment.drain() => tracing::info!("stopped: every request has ended"),
        () = tokio::time::sleep(http.drain_timeout) => {
            tracing::warn!("stopped with requests in flight, which took too long");
        }
        () = signals.stop() => tracing::warn!("stopped at once: asked a second time"),
    }
    if let Some(trace) = trace_writer {
        // Threads that did not end in time still hold it.
        let _ = tokio::time::timeout(TRACE_PATIENCE, trace.ended()).await;
    }
    lost
}

/// Too many shards are parked: the process was to be started again.
#[derive(Debug, thiserror::Error)]
#[error("{0} shards are parked for good, and what they hold is lost; start the process again")]
pub(crate) struct TooManyParked(u32);

/// Puts another thread in the place of each shard's that is parked. Ends with the reason why the
/// process cannot go on.
async fn supervise(
    deployment: &Deployment,
    ingress: &Ingress,
    parked_shards_max: usize,
) -> Failure {
    loop {
        let (shard, life) = first_ended(deployment).await;
        if life == ShardLife::Ended {
            return "a shard's thread has ended, which it never should; see the log".into();
        }
        ingress.forgive(shard.give_up());
        let parked = deployment.count_parked();
        if parked as usize > parked_shards_max {
            return TooManyParked(parked).into();
        }
        match deployment.revive(shard).await {
            Ok(()) => tracing::warn!(parked, "a new shard stands in the place of a parked one"),
            Err(error) => return format!("no shard in the place of a parked one: {error}").into(),
        }
    }
}

/// Answers shards that ask for the sets of overrides, each in a task of its own.
async fn serve_overrides(deployment: &Rc<Deployment>, mut queue: OverrideQueue) {
    while let Some(asked) = queue.next().await {
        let deployment = Rc::clone(deployment);
        tokio::task::spawn_local(async move {
            let set = deployment
                .set_for_override(&asked.versions, asked.base)
                .await;
            asked.answer(set);
        });
    }
}

/// Tells whoever started the process where it can be reached: all that standard output gets.
fn announce(ingress: &Ingress, control: &ControlServer, rpc: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on http://{}", ingress.address())?;
    writeln!(out, "control socket {}", control.path().display())?;
    for place in rpc {
        writeln!(out, "{place}")?;
    }
    out.flush()
}

/// Waits until a shard's thread has ended or is parked.
async fn first_ended(deployment: &Deployment) -> (&ShardHandle, ShardLife) {
    let ended = deployment
        .shards()
        .iter()
        .map(|shard| Box::pin(async move { (shard, shard.ended().await) }));
    let ended: Vec<_> = ended.collect();
    // Selecting from none would panic; there always is one shard.
    if ended.is_empty() {
        return std::future::pending().await;
    }
    select_all(ended).await.0
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // Fails only if somebody set a log up before, which then serves.
    let _ = log.try_init();
}

impl Signals {
    fn new() -> io::Result<Self> {
        // Otherwise a write past a limit on file sizes would end the process, instead of failing.
        // The handler stays when the receiver goes.
        drop(signal(SignalKind::from_raw(libc::SIGXFSZ))?);
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits until one arrives.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
