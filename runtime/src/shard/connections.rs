//! The connections that a shard was given, as its supervisor sees them.
//!
//! A shard whose thread is parked answers nobody any more, and its sockets stay open for ever. So
//! each one is known here by a second handle, through which its client can be told.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;

/// What a client is told whose request was lost with its shard.
const LOST: &str = "HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\n\
    content-length: 179\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\r\n\
    {\"type\":\"urn:isolith:error:disconnected\",\"title\":\"The service went away\",\"status\":503,\
    \"detail\":\"the thread that served this request ran out of memory and was given up; try again\"}";

/// What an HTTP/2 client is told then, GOAWAY: use this connection no more; any stream on it may
/// have had an effect (the last one is the highest there can be), and it ended by an internal error.
const GO_AWAY: [u8; 17] = [
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 2,
];

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    /// The shard has not begun to serve it.
    Queued = 0,
    /// Served; no request is open, or parts of its response are out.
    Other = 1,
    /// An HTTP/1 request waits for the head of its response.
    Waiting = 2,
    /// Served, and its client speaks HTTP/2.
    Http2 = 3,
}

/// The connections of one shard.
#[derive(Default)]
pub(super) struct Connections(Mutex<Slab<(TcpStream, Arc<AtomicU8>)>>);

/// One connection's entry, for as long as it is served.
pub(crate) struct Connection {
    all: Arc<Connections>,
    key: usize,
    stage: Arc<AtomicU8>,
}

impl Connections {
    /// Takes a connection in.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    pub(super) fn add(self: &Arc<Self>, stream: &TcpStream) -> std::io::Result<Connection> {
        let stage = Arc::new(AtomicU8::new(Stage::Queued as u8));
        let entry = (stream.try_clone()?, Arc::clone(&stage));
        let key = self.lock().insert(entry);
        Ok(Connection {
            all: Arc::clone(self),
            key,
            stage,
        })
    }

    /// Tells every client whose request is unanswered, and closes all connections. Returns how
    /// many of them the shard had begun to serve.
    pub(super) fn give_up(&self) -> usize {
        let mut served = 0;
        for (mut stream, stage) in self.lock().drain() {
            let stage = stage.load(Ordering::Acquire);
            served += usize::from(stage != Stage::Queued as u8);
            // Nobody waits for a client that takes nothing. Where half of an HTTP/2 frame is out,
            // there is no room for more either.
            let _ = stream.set_nonblocking(true);
            let _ = match stage {
                _ if stage == Stage::Other as u8 => Ok(()),
                _ if stage == Stage::Http2 as u8 => stream.write_all(&GO_AWAY),
                _ => stream.write_all(LOST.as_bytes()),
            };
            let _ = stream.shutdown(Shutdown::Both);
        }
        served
    }

    fn lock(&self) -> MutexGuard<'_, Slab<(TcpStream, Arc<AtomicU8>)>> {
        // The table is whole whenever the lock is free.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// The shard serves it now.
    pub(crate) fn served(&self) {
        self.stage.store(Stage::Other as u8, Ordering::Release);
    }

    /// A request came by HTTP/2.
    pub(crate) fn speaks_http2(&self) {
        self.stage.store(Stage::Http2 as u8, Ordering::Release);
    }

    /// An HTTP/1 request was read, and nothing of its response is out.
    pub(crate) fn waits(&self) {
        self.stage.store(Stage::Waiting as u8, Ordering::Release);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.lock().try_remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_that_of_the_body() {
        let (head, body) = LOST.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
