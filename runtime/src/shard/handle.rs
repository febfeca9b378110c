//! Talking to a shard from other threads.

use std::io;
use std::net::TcpStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use arc_swap::ArcSwap;
use isolith_capnp::error_capnp::call_error::Kind;
use isolith_versions::{BundleId, Digest, RolloutName, RoutingTable, ServiceName, VersionSet};
use semver::Version;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

use super::connections::{Connection, Connections};
use super::{EntrySample, Holders, ShadowCounts, Shard};
use crate::error::{CallError, LoadError};
use crate::isolate::IsolateStats;
use crate::limits::Limits;
use crate::park::on_park;
use crate::program::Program;
use crate::trace::Trace;

/// Commands that wait for a shard; a sender past them waits.
const COMMANDS_IN_FLIGHT: usize = 1_024;

/// A method call with a JSON argument.
pub(crate) struct JsonCall {
    pub(crate) service: String,
    /// `None`: the one that the request's set has.
    pub(crate) version: Option<Version>,
    /// `None`: the only one.
    pub(crate) export: Option<String>,
    pub(crate) method: String,
    /// A JSON object; empty stands for `{}`.
    pub(crate) argument: String,
    pub(crate) deadline: Instant,
}

/// What a JSON call returned, and who answered.
pub(crate) struct JsonReply {
    pub(crate) json: String,
    pub(crate) bundle: BundleId,
    pub(crate) set: Digest,
}

/// What a shard holds and did.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShardStats {
    /// Requests and background work that hold each set.
    pub(crate) pins: Vec<(Digest, u64)>,
    pub(crate) isolates: Vec<IsolateStats>,
    /// Now.
    pub(crate) requests_in_flight: u64,
    /// Since the start.
    pub(crate) requests_admitted: u64,
    /// What became of copies of requests, by rollout, since it began.
    #[allow(dead_code, reason = "for the control plane")]
    pub(crate) shadows: Vec<(RolloutName, ShadowCounts)>,
}

enum Command {
    Load(Arc<Program>, oneshot::Sender<Result<(), LoadError>>),
    Wire(Arc<VersionSet>, oneshot::Sender<Result<(), Digest>>),
    Keep(Arc<[Digest]>, oneshot::Sender<()>),
    Sweep,
    Call(JsonCall, oneshot::Sender<Result<JsonReply, CallError>>),
    Stats(oneshot::Sender<ShardStats>),
    Samples(oneshot::Sender<Vec<EntrySample>>),
    Holders(Digest, oneshot::Sender<Holders>),
    Evict(Digest, String, oneshot::Sender<usize>),
    Connection(TcpStream, Connection),
    Run(Task),
}

/// Something that runs on the shard's thread, and that a shard which drains waits for; the receiver
/// turns true when it does.
pub(crate) type Task =
    Box<dyn FnOnce(Rc<Shard>, watch::Receiver<bool>) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// Where a shard's thread is in its life.
///
/// ```text
/// Running ──▶ Ended
///    └──────▶ Parked, with all that it holds; another one takes its place
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShardLife {
    Running,
    Ended,
    Parked,
}

/// A shard, as other threads see it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ShardHandle {
    index: usize,
    /// To the thread that stands in for the shard now.
    link: Arc<ArcSwap<Link>>,
    /// Starts another one; `None` once the shard drains.
    starter: Arc<Mutex<Option<Starter>>>,
}

type Starter = Box<dyn Fn() -> io::Result<Link> + Send>;

/// The way to one shard's thread.
struct Link {
    commands: mpsc::Sender<Command>,
    drain: watch::Sender<bool>,
    life: watch::Receiver<ShardLife>,
    connections: Arc<Connections>,
}

/// Serves one connection on the shard's thread; the receiver turns true when the shard drains.
pub(crate) type ServeConnection = Arc<
    dyn Fn(
            Rc<Shard>,
            TcpStream,
            Connection,
            watch::Receiver<bool>,
        ) -> Pin<Box<dyn Future<Output = ()>>>
        + Send
        + Sync,
>;

/// Starts a shard's thread.
///
/// It ends when it was told to drain and its last connection is served, or when the last handle
/// is dropped.
///
/// # Errors
/// If the operating system refuses the thread or its event loop.
pub(crate) fn spawn(
    index: usize,
    limits: Limits,
    routing: Arc<ArcSwap<RoutingTable>>,
    entry: ServiceName,
    trace: Option<Trace>,
    serve: ServeConnection,
) -> io::Result<ShardHandle> {
    let starter: Starter = Box::new(move || {
        let (limits, entry, trace) = (limits.clone(), entry.clone(), trace.clone());
        start(
            index,
            limits,
            Arc::clone(&routing),
            entry,
            trace,
            Arc::clone(&serve),
        )
    });
    Ok(ShardHandle {
        index,
        link: Arc::new(ArcSwap::from_pointee(starter()?)),
        starter: Arc::new(Mutex::new(Some(starter))),
    })
}

fn start(
    index: usize,
    limits: Limits,
    routing: Arc<ArcSwap<RoutingTable>>,
    entry: ServiceName,
    trace: Option<Trace>,
    serve: ServeConnection,
) -> io::Result<Link> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (commands, receiver) = mpsc::channel(COMMANDS_IN_FLIGHT);
    let (drain, draining) = watch::channel(false);
    let (tell, life) = watch::channel(ShardLife::Running);
    thread::Builder::new()
        .name(format!("isolith-shard-{index}"))
        .spawn(move || {
            let tell = Rc::new(tell);
            let local = LocalSet::new();
            let shard = Shard::new(index, limits, entry, routing, trace);
            let (watch, parked) = (Arc::clone(&shard.watch), Rc::clone(&tell));
            on_park(move || {
                watch.abandon();
                parked.send_replace(ShardLife::Parked);
            });
            local.block_on(&runtime, run(shard, receiver, draining, serve));
            // Tasks that still hold isolates go before the thread that they belong to.
            drop(local);
            tell.send_replace(ShardLife::Ended);
        })?;
    Ok(Link {
        commands,
        drain,
        life,
        connections: Arc::default(),
    })
}

async fn run(
    shard: Rc<Shard>,
    mut commands: mpsc::Receiver<Command>,
    mut draining: watch::Receiver<bool>,
    serve: ServeConnection,
) {
    let pump = tokio::task::spawn_local(Rc::clone(&shard).pump());
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let command = tokio::select! {
            command = commands.recv() => command,
            _ = draining.wait_for(|draining| *draining) => None,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Some(command) = command else { break };
        match command {
            Command::Load(program, reply) => {
                let shard = Rc::clone(&shard);
                tokio::task::spawn_local(async move {
                    let _ = reply.send(shard.load(program).await);
                });
            }
            Command::Wire(set, reply) => {
                let _ = reply.send(shard.wire(set));
            }
            Command::Keep(kept, reply) => {
                shard.keep(kept);
                let _ = reply.send(());
            }
            Command::Sweep => {
                shard.sweep_all();
            }
            Command::Call(call, reply) => {
                let shard = Rc::clone(&shard);
                tokio::task::spawn_local(async move {
                    let _ = reply.send(shard.call_json(call).await);
                });
            }
            Command::Stats(reply) => {
                let _ = reply.send(shard.stats());
            }
            Command::Samples(reply) => {
                let _ = reply.send(shard.samples.borrow_mut().take());
            }
            Command::Holders(bundle, reply) => {
                let _ = reply.send(shard.holders(bundle));
            }
            Command::Evict(bundle, reason, reply) => {
                let _ = reply.send(shard.evict(bundle, &reason));
            }
            Command::Run(task) => {
                connections.spawn_local(task(Rc::clone(&shard), draining.clone()));
            }
            Command::Connection(stream, connection) => {
                let served = serve(Rc::clone(&shard), stream, connection, draining.clone());
                connections.spawn_local(served);
            }
        }
    }
    while connections.join_next().await.is_some() {}
    pump.abort();
}

impl ShardHandle {
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let link = self.link.load_full();
        let mut life = link.life.clone();
        let reply = async {
            link.commands.send(command(sender)).await.ok()?;
            receiver.await.ok()
        };
        tokio::select! {
            biased;
            reply = reply => reply,
            // What a parked thread holds is never dropped, and so answers nobody.
            Ok(_) = life.wait_for(|life| *life == ShardLife::Parked) => None,
        }
    }

    /// Makes an isolate for the bundle and evaluates it. Does nothing if it is loaded already.
    pub(crate) async fn load(&self, program: Arc<Program>) -> Result<(), LoadError> {
        self.ask(|reply| Command::Load(program, reply))
            .await
            .unwrap_or(Err(LoadError::ShardGone { shard: self.index }))
    }

    /// Compiles a set whose bundles are all loaded; then the routing table may name it.
    pub(crate) async fn wire(&self, set: Arc<VersionSet>) -> Result<(), LoadError> {
        match self.ask(|reply| Command::Wire(set, reply)).await {
            Some(Ok(())) => Ok(()),
            Some(Err(digest)) => Err(LoadError::Schema {
                bundle: digest.to_string(),
                reason: format!(
                    "it was unloaded from shard {} meanwhile; deploy again",
                    self.index
                ),
            }),
            None => Err(LoadError::ShardGone { shard: self.index }),
        }
    }

    /// Keeps sets with these digests, and no others, though nothing names them.
    pub(crate) async fn keep(&self, kept: Arc<[Digest]>) {
        // A shard that is gone keeps nothing.
        let _ = self.ask(|reply| Command::Keep(kept, reply)).await;
    }

    /// Unloads what neither the routing table nor a pin names, and is not kept. Call it after the
    /// table changed, and after a deployment was refused.
    pub(crate) async fn sweep(&self) {
        // A shard that is gone has nothing to unload.
        let _ = self.link.load().commands.try_send(Command::Sweep);
    }

    /// Calls one method with a JSON argument, admitted like any request.
    pub(crate) async fn call(&self, call: JsonCall) -> Result<JsonReply, CallError> {
        self.ask(|reply| Command::Call(call, reply))
            .await
            .unwrap_or_else(|| {
                Err(CallError::host(
                    Kind::Disconnected,
                    format!("shard {} has ended", self.index),
                ))
            })
    }

    /// What the shard holds and did. Enters each isolate for a moment.
    pub(crate) async fn stats(&self) -> ShardStats {
        self.ask(Command::Stats).await.unwrap_or_default()
    }

    /// What requests were like since the last time, by what they were admitted to.
    pub(crate) async fn take_samples(&self) -> Vec<EntrySample> {
        self.ask(Command::Samples).await.unwrap_or_default()
    }

    /// What keeps the bundle with this digest loaded on the shard.
    pub(crate) async fn holders(&self, bundle: Digest) -> Holders {
        let asked = self.ask(|reply| Command::Holders(bundle, reply));
        asked.await.unwrap_or_default()
    }

    /// P10: ends what holds the bundle with this digest, with the typed error `evicted` and this
    /// reason. Returns how many requests that were. Later admissions are the routing table's.
    pub(crate) async fn evict(&self, bundle: Digest, reason: &str) -> usize {
        let asked = self.ask(|reply| Command::Evict(bundle, reason.to_owned(), reply));
        asked.await.unwrap_or_default()
    }

    /// Hands an accepted socket to the shard.
    ///
    /// # Errors
    /// The socket, if the shard cannot take it now.
    pub(crate) fn connection(&self, stream: TcpStream) -> Result<(), TcpStream> {
        let link = self.link.load();
        if *link.life.borrow() == ShardLife::Parked {
            return Err(stream);
        }
        match (link.commands.try_reserve(), link.connections.add(&stream)) {
            (Ok(place), Ok(connection)) => {
                place.send(Command::Connection(stream, connection));
                Ok(())
            }
            _ => Err(stream),
        }
    }

    /// Runs something on the shard's thread.
    ///
    /// # Errors
    /// `Overloaded`, if the shard cannot take it now.
    pub(crate) fn run(&self, task: Task) -> Result<(), CallError> {
        let sent = self.link.load().commands.try_send(Command::Run(task));
        sent.map_err(|_| {
            let text = format!("shard {} has too much to do; try again later", self.index);
            CallError::host(Kind::Overloaded, text)
        })
    }

    /// Waits until the shard's thread of now is parked, or has ended.
    pub(crate) async fn lost(&self) {
        let mut life = self.link.load().life.clone();
        // An error means that the thread is gone.
        let _ = life.wait_for(|life| *life != ShardLife::Running).await;
    }

    /// Tells the shard to take no more connections and to end when those it has are served.
    pub(crate) fn drain(&self) {
        self.starter().take();
        self.link.load().drain.send_replace(true);
    }

    /// Waits until the shard's thread has let go of everything, or never will.
    pub(crate) async fn ended(&self) -> ShardLife {
        let mut life = self.link.load().life.clone();
        let ended = life.wait_for(|life| *life != ShardLife::Running).await;
        // An error means that the thread is gone.
        ended.map_or(ShardLife::Ended, |life| *life)
    }

    /// Closes the connections of a shard that is parked, and tells their clients. Returns how
    /// many it had begun to serve.
    pub(crate) fn give_up(&self) -> usize {
        self.link.load().connections.give_up()
    }

    /// Starts a thread that can take the place of one that is parked: it gets nothing to do
    /// before [`replace`](Self::replace).
    ///
    /// # Errors
    /// If the operating system refuses it, or the shard drains.
    pub(crate) fn successor(&self) -> io::Result<ShardHandle> {
        let link = match &*self.starter() {
            Some(start) => start()?,
            None => return Err(io::Error::other("the process is stopping")),
        };
        Ok(ShardHandle {
            index: self.index,
            link: Arc::new(ArcSwap::from_pointee(link)),
            starter: Arc::default(),
        })
    }

    /// Puts `successor`, which is loaded by now, in the place of the thread so far.
    pub(crate) fn replace(&self, successor: &ShardHandle) {
        self.link.store(successor.link.load_full());
    }

    fn starter(&self) -> MutexGuard<'_, Option<Starter>> {
        // Either there or not whenever the lock is free.
        self.starter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
