//! Handlers that fail: each way gets its status and its problem document, nothing that a service
//! threw reaches the client, and the next request is served.

use std::fs;

use crate::support::bundles::bundles;
use crate::support::http1::{Connection, Request};
use crate::support::server::Server;
use crate::support::{case, positions};

fn source(service: &str) -> String {
    fs::read_to_string(case("lab").join(service).join("src/main.ts")).unwrap()
}

/// Line and column of a text in a source.
fn position(source: &str, text: &str) -> (usize, usize) {
    let mut lines = (1..).zip(source.lines());
    let found = lines.find_map(|(line, content)| Some((line, content.find(text)? + 1)));
    found.unwrap()
}

fn lab() -> Server {
    lab_with("")
}

/// The lab, with more lines under `[http]`.
fn lab_with(settings: &str) -> Server {
    let app = fs::read_to_string(case("lab/app.toml")).unwrap();
    let app = app.replace("[http]\n", &format!("[http]\n{settings}\n"));
    let parts = bundles(&["tests/cases/lab/front", "tests/cases/lab/greeter"]);
    Server::start_with(&app, &parts)
}

fn expect_next_is_served(connection: &mut Connection) {
    let next = connection.send(&Request::new("GET", "/hello?name=Ada"));
    assert_eq!(
        (next.status, &next.json()["text"]),
        (200, &"Hello, Ada".into())
    );
}

#[test]
fn a_handler_that_throws_or_rejects_gives_500_and_its_typescript_position_goes_to_the_log_only() {
    let server = lab();
    let mut connection = server.connect();
    let cases = [
        (
            "/throw",
            "front",
            "Error: the password is hunter2",
            "new Error(\"the password",
        ),
        (
            "/reject",
            "front",
            "TypeError: rejected with hunter2",
            "new TypeError(\"rejected",
        ),
        (
            "/hello?name=",
            "greeter",
            "RangeError: a name must not be empty",
            "new RangeError(",
        ),
    ];
    for (target, service, thrown, place) in cases {
        let reply = connection.send(&Request::new("GET", target));
        let problem = reply.problem(500);
        assert_eq!(problem["type"], "urn:isolith:error:failed", "{target}");
        assert_eq!(problem["service"], service, "{target}");
        assert_eq!(problem["version"], "1.0.0", "{target}");
        for secret in ["hunter2", "must not be empty", "main.ts"] {
            assert!(!reply.text().contains(secret), "{}", reply.text());
        }
        // The log has the request's name, what was thrown and where.
        let request = reply.header("isolith-request").unwrap();
        let log = server.await_log(request);
        let (_, entry) = log.split_once(request).unwrap();
        assert!(entry.contains(thrown), "{target}:\n{entry}");
        let source = source(service);
        let positions = positions(entry);
        assert_eq!(
            positions.first(),
            Some(&position(&source, place)),
            "{target}:\n{entry}"
        );
        // What is not the service's own code has no position in it.
        if service == "front" {
            let length = source.lines().count();
            let beyond = positions.iter().find(|(line, _)| *line > length);
            assert_eq!(beyond, None, "of {length} lines, {target}:\n{entry}");
        }
        expect_next_is_served(&mut connection);
    }
}

#[test]
fn clients_see_what_was_thrown_where_the_application_file_says_so() {
    let server = lab_with("debug_errors = true");
    let reply = server.get("/throw");
    assert_eq!(
        reply.problem(500)["detail"],
        "Error: the password is hunter2"
    );
    assert!(!reply.text().contains("main.ts"), "{}", reply.text());
}

#[test]
fn a_handler_that_returns_no_response_gives_500_and_is_told_what_it_returned() {
    let server = lab();
    let mut connection = server.connect();
    for (target, returned) in [("/number", "number"), ("/nothing", "undefined")] {
        connection.send(&Request::new("GET", target)).problem(500);
        server.await_log(&format!("fetch must return a Response, got {returned}"));
        expect_next_is_served(&mut connection);
    }
}

#[test]
fn a_handler_that_never_settles_gives_504_at_the_deadline() {
    let server = lab_with("request_timeout_ms = 500");
    let mut connection = server.connect();
    for target in ["/never", "/waiting"] {
        let problem = connection.send(&Request::new("GET", target)).problem(504);
        assert_eq!(problem["type"], "urn:isolith:error:deadline-exceeded");
        assert!(
            problem["detail"].as_str().unwrap().contains("deadline"),
            "{problem}"
        );
        expect_next_is_served(&mut connection);
    }
    assert_eq!(server.status()["requests_in_flight"], 0);
}

#[test]
fn a_response_that_fails_halfway_is_cut_off_rather_than_ended() {
    let server = lab();
    let mut connection = server.connect();
    connection.write(b"GET /broken-stream HTTP/1.1\r\nhost: lab.test\r\n\r\n");
    let head = connection.head();
    assert_eq!(head.status, 200);
    assert_eq!(
        connection.read_chunk().as_deref(),
        Some(&b"the first part"[..])
    );
    assert_eq!(server.get("/break-stream").status, 200);
    assert_eq!(connection.read_chunk(), None);
    server.await_log("Error: the second part is missing");
    expect_next_is_served(&mut server.connect());
}

#[test]
fn a_service_that_never_ends_its_turn_is_stopped_and_the_next_request_is_served() {
    let server = lab();
    let mut connection = server.connect();
    let problem = connection.send(&Request::new("GET", "/spin")).problem(500);
    assert_eq!(
        problem["type"], "urn:isolith:error:cpu-exceeded",
        "{problem}"
    );
    expect_next_is_served(&mut connection);
}
