//! HTTP/2 in clear text with prior knowledge.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use tokio::net::TcpStream;

use super::PATIENCE;

/// A response whose body is still to come.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: RecvStream,
}

/// Runs a client on a connection of its own.
pub(crate) fn with_connection<T>(
    address: SocketAddr,
    client: impl AsyncFnOnce(SendRequest<Bytes>) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        // Ends with an error when a test has seen enough.
        let connection = tokio::spawn(async { drop(connection.await) });
        let done = tokio::time::timeout(PATIENCE, client(requests)).await;
        connection.abort();
        done.expect("the exchange did not end")
    })
}

/// Begins a request; more of its body may follow unless it `ends`.
pub(crate) async fn begin(
    requests: &mut SendRequest<Bytes>,
    method: &str,
    target: &str,
    ends: bool,
) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("http://lab.test{target}"))
        .body(())
        .unwrap();
    *requests = requests.clone().ready().await.unwrap();
    requests.send_request(request, ends).unwrap()
}

/// Waits for the head of a response.
pub(crate) async fn answer(response: h2::client::ResponseFuture) -> Answer {
    let (head, body) = response.await.unwrap().into_parts();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    }
}

impl Answer {
    /// The next bytes of the body; `None` at its end.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            let data = self.body.data().await?.unwrap();
            self.body
                .flow_control()
                .release_capacity(data.len())
                .unwrap();
            // A body may end with a frame that has nothing in it.
            if !data.is_empty() {
                return Some(data);
            }
        }
    }

    /// The whole body.
    pub(crate) async fn all(mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(part) = self.next().await {
            body.extend_from_slice(&part);
        }
        body
    }
}

/// Sends a part of a request body as fast as the server takes it; false if it wants no more.
pub(crate) async fn send(body: &mut SendStream<Bytes>, mut data: Bytes, ends: bool) -> bool {
    while !data.is_empty() {
        body.reserve_capacity(data.len());
        let Some(Ok(capacity)) = std::future::poll_fn(|cx| body.poll_capacity(cx)).await else {
            return false;
        };
        let part = data.split_to(capacity.min(data.len()));
        if body.send_data(part, ends && data.is_empty()).is_err() {
            return false;
        }
    }
    true
}
