//! HTTP ingress: where requests come in and are given to shards.
//!
//! The process's main thread accepts connections and hands each socket to a shard, in turn; from
//! then on the connection, its requests and their isolates stay on that shard's thread. HTTP/1.1
//! and HTTP/2 (cleartext, prior knowledge) share the port. Each request is admitted once
//! ([`Shard::admit`](crate::shard::Shard::admit)) and holds its pin until its response's body was
//! taken or dropped.

pub(crate) mod admission;
mod connection;
mod exchange;
mod request;
mod response;
mod shadow;
mod socket;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::config::Http;
use crate::shard::{ServeConnection, ShardHandle};
use admission::Admissions;
use connection::serve;
pub(crate) use request::{connection_options, is_hop_by_hop};

/// Carries a pin token, each way.
const PIN: HeaderName = HeaderName::from_static("isolith-pin");

/// Names versions, in a request.
const OVERRIDE: HeaderName = HeaderName::from_static("isolith-override");

/// Headers of a request that are the host's business alone.
const FOR_HOST: [HeaderName; 2] = [PIN, OVERRIDE];

/// How long accepting pauses after an error that another attempt would meet at once, such as
/// too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a connection is offered to the shards, with that pause between, before it is dropped.
const HAND_OVER_TRIES: usize = 50;

/// What every connection needs to know. Shared by all shards.
pub(crate) struct Settings {
    pub(crate) http: Http,
    admissions: Arc<Admissions>,
    /// Where connections come in, the port resolved.
    pub(crate) address: SocketAddr,
    /// One permit for each connection that may be open.
    slots: Semaphore,
}

/// The listening socket, before and while it accepts.
pub(crate) struct Ingress {
    listener: TcpListener,
    settings: Arc<Settings>,
}

impl Ingress {
    /// Listens where `http` says; nothing is accepted before [`accept`](Self::accept).
    ///
    /// # Errors
    /// If the address is taken or not this machine's.
    pub(crate) async fn bind(http: Http, admissions: Arc<Admissions>) -> io::Result<Self> {
        let listener = TcpListener::bind(http.listen).await?;
        let address = listener.local_addr()?;
        let slots = Semaphore::new(http.max_connections);
        let settings = Arc::new(Settings {
            http,
            admissions,
            address,
            slots,
        });
        Ok(Ingress { listener, settings })
    }

    /// Where it listens, the port resolved.
    pub(crate) fn address(&self) -> SocketAddr {
        self.settings.address
    }

    /// What a shard serves a connection with.
    pub(crate) fn server(&self) -> ServeConnection {
        let settings = Arc::clone(&self.settings);
        Arc::new(move |shard, stream, connection, drain| {
            let settings = Arc::clone(&settings);
            Box::pin(serve(shard, stream, connection, drain, settings))
        })
    }

    /// Lets as many connections more be open: so many were given up without being closed.
    pub(crate) fn forgive(&self, connections: usize) {
        self.settings.slots.add_permits(connections);
    }

    /// Accepts connections and hands them to `shards` in turn, until dropped.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection is handed over, still in the kernel's queue, or closed.
    pub(crate) async fn accept(&self, shards: &[ShardHandle]) {
        for turn in 0.. {
            // At the bound, further clients wait in the kernel's queue, which has its own.
            if let Ok(slot) = self.settings.slots.acquire().await {
                drop(slot);
            }
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("accepting a connection failed: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if let Err(error) = hand_over(stream, shards, turn).await {
                tracing::warn!("a connection was dropped: {error}");
            }
        }
    }
}

/// Gives the connection to shard number `turn`, or to the next one that takes it. While none does,
/// as when another one takes the place of the only one, further clients wait in the kernel's queue.
async fn hand_over(
    stream: tokio::net::TcpStream,
    shards: &[ShardHandle],
    turn: usize,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = stream.into_std()?;
    let start = turn % shards.len().max(1);
    for _ in 0..HAND_OVER_TRIES {
        for shard in shards.iter().cycle().skip(start).take(shards.len()) {
            match shard.connection(stream) {
                Ok(()) => return Ok(()),
                Err(declined) => stream = declined,
            }
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
    Err(io::Error::other("no shard takes connections"))
}
