//! What HTTP clients may not do, and what they are told.

use std::fs;

use crate::support::bundles::bundles;
use crate::support::case;
use crate::support::http1::{Connection, Request};
use crate::support::http2;
use crate::support::server::Server;

/// The most that a request body may have here.
const LIMIT_BYTES: usize = 1 << 20;

fn lab() -> Server {
    let app = fs::read_to_string(case("lab/app.toml")).unwrap();
    let app = app.replace(
        "max_body_bytes = 8388608",
        &format!("max_body_bytes = {LIMIT_BYTES}"),
    );
    assert!(app.contains(&LIMIT_BYTES.to_string()));
    let parts = bundles(&["tests/cases/lab/front", "tests/cases/lab/greeter"]);
    Server::start_with(&app, &parts)
}

fn expect_refusal(connection: &mut Connection) {
    let problem = connection.reply(false).problem(413);
    assert_eq!(problem["type"], "urn:isolith:error:body-too-large");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("1048576") && detail.contains("max_body_bytes"),
        "{detail}"
    );
}

fn expect_next_is_served(server: &Server) {
    assert_eq!(server.get("/hello?name=Ada").json()["text"], "Hello, Ada");
}

#[test]
fn a_request_over_the_size_limit_gives_413_and_the_next_one_is_served() {
    let server = lab();
    let full = Request::new("POST", "/measure").body(vec![7; LIMIT_BYTES]);
    assert_eq!(server.send(&full).json()["length"], LIMIT_BYTES);

    // Its length is declared: refused before anything of it is read.
    let mut declared = server.connect();
    let head = format!(
        "POST /measure HTTP/1.1\r\nhost: lab.test\r\ncontent-length: {}\r\n\r\n",
        LIMIT_BYTES + 1
    );
    declared.write(head.as_bytes());
    expect_refusal(&mut declared);
    expect_next_is_served(&server);

    // Its length shows only as it comes.
    let mut chunked = server.connect();
    chunked.begin_chunked("POST", "/measure");
    for _ in 0..LIMIT_BYTES / 65_536 {
        chunked.chunk(&[7; 65_536]);
    }
    chunked.chunk(b"x");
    expect_refusal(&mut chunked);
    expect_next_is_served(&server);
}

#[test]
fn a_request_over_the_size_limit_gives_413_over_http_2() {
    let server = lab();
    http2::with_connection(server.address(), async |mut requests| {
        let (response, mut body) = http2::begin(&mut requests, "POST", "/measure", false).await;
        // As far as the server lets it; it answers before all of it is sent.
        for _ in 0..=LIMIT_BYTES / 65_536 {
            if !http2::send(&mut body, vec![7; 65_536].into(), false).await {
                break;
            }
        }
        let answer = http2::answer(response).await;
        assert_eq!(answer.status, 413);
        let (next, _) = http2::begin(&mut requests, "GET", "/text", true).await;
        assert_eq!(http2::answer(next).await.all().await, b"twelve bytes");
    });
}

#[test]
fn a_malformed_request_gives_400_and_the_next_one_is_served() {
    let server = lab();
    let malformed: [&[u8]; 3] = [
        b"GET /text HTTP/1.1\r\n\r\n",
        b"GET /text HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"NOT HTTP\r\n\r\n",
    ];
    for bytes in malformed {
        let mut connection = server.connect();
        connection.write(bytes);
        assert_eq!(connection.reply(false).status, 400);
        expect_next_is_served(&server);
    }
}
