//! Cap'n Proto RPC for clients outside: `[rpc]` of the application file.
//!
//! ```text
//!  client ── TCP, TLS, Unix socket ──▶ thread "isolith-rpc"  ── Ask ──▶  shard
//!                                      capnp-rpc, its bounds ◀── Told ── (a party like an isolate)
//! ```
//!
//! A client's first interface is `Isolith` ([`rpc.capnp`](isolith_capnp::rpc_capnp)). Opening an
//! export begins a session: a root, admitted and pinned as an HTTP request is, which lasts as long
//! as the client holds one of its capabilities. All sessions of a connection are on one shard.
//!
//! What clients send is read on a thread of its own, so that nothing of it can take a shard along.
//! A connection's memory is bounded: see [`bounds`].

mod bootstrap;
mod bounds;
mod errors;
mod listener;
mod message;
mod session;
mod socket;
mod stub;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Weak;
use std::sync::Arc;

use crate::config::Rpc;
use crate::error::{CallError, ErrorKind};
use crate::ingress::admission::Admissions;
use crate::shard::ShardHandle;
pub(crate) use listener::RpcListener;
use session::Session;
use stub::Stub;

/// What every connection needs to know.
struct Settings {
    rpc: Rpc,
    admissions: Arc<Admissions>,
}

/// One client.
struct Connection {
    settings: Arc<Settings>,
    /// The shard of all its sessions.
    shard: ShardHandle,
    is_loopback: bool,
    sessions: RefCell<Vec<Weak<Session>>>,
    /// What it was given, by address: so that it is known again when it comes back.
    stubs: RefCell<HashMap<usize, Weak<Stub>>>,
    calls: Cell<usize>,
}

impl Connection {
    /// Sessions that are not over.
    fn sessions(&self) -> usize {
        let mut sessions = self.sessions.borrow_mut();
        sessions.retain(|session| session.upgrade().is_some_and(|session| !session.is_over()));
        sessions.len()
    }

    /// Ends what the client has: it is gone.
    fn end(&self) {
        let sessions = self.sessions.take();
        for session in sessions.iter().filter_map(Weak::upgrade) {
            let reason = "the connection has ended";
            session.end(CallError::host(ErrorKind::Disconnected, reason));
        }
    }
}
