//! One connection, on its shard's thread.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::socket::Socket;
use super::{Settings, exchange};
use crate::shard::{Connection, Shard};

/// Header lines of one HTTP/1 request; more are answered with status 431.
const MAX_HEADERS: usize = 128;
/// A request's head, and what is buffered of an HTTP/1 connection in each direction.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// Response bytes that wait on one HTTP/2 stream.
const MAX_SEND_BUFFER_BYTES: usize = 128 << 10;
/// How often an HTTP/2 peer is asked whether it is there, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Spawns tasks beside the shard's isolates; hyper needs them for HTTP/2.
#[derive(Clone, Copy)]
struct LocalExec;

impl<F: Future<Output = ()> + 'static> Executor<F> for LocalExec {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

/// Serves a connection until it closes; once `drain` turns true, only the requests that it
/// already carries.
pub(super) async fn serve(
    shard: Rc<Shard>,
    stream: std::net::TcpStream,
    connection: Connection,
    drain: watch::Receiver<bool>,
    settings: Arc<Settings>,
) {
    let Ok(_slot) = settings.slots.try_acquire() else {
        // Accepted in the moment in which the last slot was taken.
        tracing::debug!("a connection was dropped: as many are open as may be");
        return;
    };
    connection.served();
    if let Err(error) = run(shard, stream, connection, drain, Arc::clone(&settings)).await {
        tracing::debug!("a connection ended: {error}");
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn run(
    shard: Rc<Shard>,
    stream: std::net::TcpStream,
    known: Connection,
    mut drain: watch::Receiver<bool>,
    settings: Arc<Settings>,
) -> Result<(), Failure> {
    let patience = settings.http.header_timeout;
    let is_loopback = stream.peer_addr()?.ip().to_canonical().is_loopback();
    let io = TokioIo::new(Socket::new(TcpStream::from_std(stream)?, patience));
    let protocols = protocols(patience);
    let requests = Rc::new(Cell::new(0_u64));
    let counter = Rc::clone(&requests);
    let known = Rc::new(known);
    let service = service_fn(move |request: http::Request<_>| {
        counter.set(counter.get().wrapping_add(1));
        let known = Rc::clone(&known);
        let one_at_a_time = request.version() < http::Version::HTTP_2;
        match one_at_a_time {
            true => known.waits(),
            false => known.speaks_http2(),
        }
        let (shard, settings) = (Rc::clone(&shard), Arc::clone(&settings));
        async move {
            let answer = exchange::respond(&shard, &settings, request, is_loopback);
            let answer = answer.await;
            if one_at_a_time {
                known.served();
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = pin!(protocols.serve_connection(io, service));
    tokio::select! {
        biased;
        result = connection.as_mut() => return result,
        // True, or the shard is gone: both mean to end.
        _ = drain.wait_for(|drain| *drain) => {}
        // hyper bounds the time of a request's head only once it knows the protocol.
        () = silence(&requests, patience) => return Ok(()),
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

/// Ends if no request has come after `patience`.
async fn silence(requests: &Cell<u64>, patience: Duration) {
    tokio::time::sleep(patience).await;
    if requests.get() > 0 {
        std::future::pending::<()>().await;
    }
}

fn protocols(header_timeout: Duration) -> auto::Builder<LocalExec> {
    let mut builder = auto::Builder::new(LocalExec);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}
