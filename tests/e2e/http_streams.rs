//! Bodies that stream both ways, connections that are kept, left or drained.

use std::net::TcpStream;

use bytes::Bytes;

use crate::support::bundles::bundles;
use crate::support::http1::{Reply, Request};
use crate::support::http2;
use crate::support::server::Server;
use crate::support::{case, eventually};

const CHUNK_BYTES: usize = 64 * 1024;
const CHUNKS: usize = 64;

fn lab() -> Server {
    let parts = bundles(&["tests/cases/lab/front", "tests/cases/lab/greeter"]);
    Server::start(&case("lab/app.toml"), &parts)
}

/// Bytes that differ from those of every other chunk.
fn chunk(number: usize) -> Vec<u8> {
    (0..CHUNK_BYTES)
        .map(|place| (place * 31 + number * 7) as u8)
        .collect()
}

#[test]
fn a_streamed_body_comes_back_chunk_by_chunk_over_http_1() {
    let server = lab();
    let mut connection = server.connect();
    connection.begin_chunked("POST", "/echo");
    let mut head = None;
    for number in 0..CHUNKS {
        connection.chunk(&chunk(number));
        // The next chunk is not sent before this one is back, so nothing waits for the end.
        let head: &Reply = head.get_or_insert_with(|| connection.head());
        assert_eq!(head.status, 200);
        let mut back = Vec::new();
        while back.len() < CHUNK_BYTES {
            back.extend(connection.read_chunk().expect("the body broke off"));
        }
        assert!(back == chunk(number), "chunk {number} came back changed");
    }
    connection.chunk(b"");
    assert_eq!(connection.read_chunk().as_deref(), Some(&b""[..]));
    assert_eq!(
        connection.send(&Request::new("GET", "/text")).text(),
        "twelve bytes"
    );
}

#[test]
fn a_body_of_several_mib_comes_back_whole_over_http_1() {
    let server = lab();
    let body: Vec<u8> = (0..CHUNKS).flat_map(chunk).collect();
    let mut connection = server.connect();
    let mut writer = connection.writer();
    let back = std::thread::scope(|scope| {
        let head = format!(
            "POST /echo HTTP/1.1\r\nhost: lab.test\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let body = &body;
        scope.spawn(move || {
            writer.write(head.as_bytes());
            writer.write(body);
        });
        connection.reply(false)
    });
    assert_eq!(back.status, 200);
    assert!(
        back.body == body,
        "{} bytes of {} came back",
        back.body.len(),
        body.len()
    );
}

#[test]
fn a_streamed_body_comes_back_chunk_by_chunk_over_http_2() {
    let server = lab();
    http2::with_connection(server.address(), async |mut requests| {
        let (response, mut body) = http2::begin(&mut requests, "POST", "/echo", false).await;
        assert!(http2::send(&mut body, chunk(0).into(), false).await);
        let mut answer = http2::answer(response).await;
        assert_eq!(answer.status, 200);
        assert!(answer.headers.contains_key("isolith-set"));
        for number in 0..CHUNKS {
            if number > 0 {
                assert!(http2::send(&mut body, chunk(number).into(), false).await);
            }
            let mut back = Vec::new();
            while back.len() < CHUNK_BYTES {
                back.extend(answer.next().await.expect("the body broke off"));
            }
            assert!(back == chunk(number), "chunk {number} came back changed");
        }
        body.send_data(Bytes::new(), true).unwrap();
        assert_eq!(answer.next().await, None);
    });
}

#[test]
fn one_http_2_connection_carries_many_requests_at_once() {
    let server = lab();
    http2::with_connection(server.address(), async |mut requests| {
        let mut open = Vec::new();
        for number in 0..50 {
            let (response, body) = http2::begin(&mut requests, "POST", "/measure", false).await;
            open.push((number, response, body));
        }
        // All of them are open, and end in another order than they began in.
        for (number, response, mut body) in open.into_iter().rev() {
            assert!(http2::send(&mut body, vec![0; number + 1].into(), true).await);
            let answer = http2::answer(response).await.all().await;
            assert_eq!(
                answer,
                format!("{{\"length\":{}}}", number + 1).into_bytes()
            );
        }
    });
}

#[test]
fn a_connection_is_kept_for_further_requests_whatever_became_of_the_earlier_ones() {
    let server = lab();
    let mut connection = server.connect();
    for _ in 0..3 {
        assert_eq!(
            connection.send(&Request::new("GET", "/text")).text(),
            "twelve bytes"
        );
        assert_eq!(
            connection.send(&Request::new("GET", "/nowhere")).status,
            404
        );
        assert_eq!(connection.send(&Request::new("GET", "/throw")).status, 500);
        // A body that the handler never looks at.
        let unread = Request::new("POST", "/text").body(vec![1; 100_000]);
        assert_eq!(connection.send(&unread).text(), "twelve bytes");
    }
}

#[test]
fn a_head_request_gets_the_headers_of_get_and_no_body() {
    let server = lab();
    let mut connection = server.connect();
    let get = connection.send(&Request::new("GET", "/text"));
    let head = connection.send(&Request::new("HEAD", "/text"));
    assert_eq!(head.status, 200);
    for name in ["content-length", "content-type", "x-from", "isolith-set"] {
        assert!(get.header(name).is_some(), "GET has no {name}");
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    // Bytes of a body would be taken for the next response.
    assert_eq!(
        connection.send(&Request::new("GET", "/text")).text(),
        "twelve bytes"
    );
}

#[test]
fn a_client_that_leaves_before_the_response_aborts_the_requests_signal() {
    let server = lab();
    let mut waiting = server.connect();
    waiting.write(b"GET /hold?id=waiting HTTP/1.1\r\nhost: lab.test\r\n\r\n");
    server.await_log("holding waiting");
    assert_eq!(server.get("/abandoned?id=waiting").text(), "false");
    drop(waiting);
    expect_abandoned(&server, "waiting");
}

#[test]
fn a_client_that_leaves_in_the_middle_of_the_response_aborts_the_requests_signal() {
    let server = lab();
    let mut reading = server.connect();
    reading.write(b"GET /endless?id=reading HTTP/1.1\r\nhost: lab.test\r\n\r\n");
    assert_eq!(reading.head().status, 200);
    assert!(reading.read_chunk().is_some_and(|chunk| !chunk.is_empty()));
    assert_eq!(server.get("/abandoned?id=reading").text(), "false");
    drop(reading);
    expect_abandoned(&server, "reading");
}

/// Sooner or later the service learns that the client is gone, and the request's pin is released.
fn expect_abandoned(server: &Server, id: &str) {
    eventually("the pin is released", || {
        (server.status()["requests_in_flight"] == 0).then_some(())
    });
    eventually("the signal is aborted", || {
        (server.get(&format!("/abandoned?id={id}")).text() == "true").then_some(())
    });
}

#[test]
fn sigterm_lets_open_requests_finish_refuses_new_connections_and_exits_with_0() {
    let server = lab();
    let mut idle = server.connect();
    assert_eq!(idle.send(&Request::new("GET", "/text")).status, 200);
    // Half of a body: the request is open until the other half comes.
    let mut open = server.connect();
    open.begin_chunked("POST", "/measure");
    open.chunk(&[1; 1000]);
    eventually("the request is admitted", || {
        (server.status()["requests_in_flight"] == 1).then_some(())
    });

    server.terminate();
    eventually("new connections are refused", || {
        TcpStream::connect(server.address()).is_err().then_some(())
    });
    assert!(idle.is_closed(), "an idle connection stays open");
    open.chunk(&[2; 1000]);
    open.chunk(b"");
    let reply = open.reply(false);
    assert_eq!((reply.status, &reply.json()["length"]), (200, &2000.into()));

    let (status, log) = server.ended();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("every request has ended"), "{log}");
}
