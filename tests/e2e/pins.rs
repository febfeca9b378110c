//! Pin tokens: a response says which version set it came from, and a retry may ask for it again.

use std::fs;

use crate::support::bundles::{bundle, bundles};
use crate::support::http1::{Reply, Request};
use crate::support::server::Server;
use crate::support::{case, eventually};

const LAB: [&str; 2] = ["tests/cases/lab/front", "tests/cases/lab/greeter"];
const NEXT: &str = "tests/cases/refused/next";

fn lab(routing: &str) -> Server {
    let app = fs::read_to_string(case("lab/app.toml")).unwrap();
    Server::start_with(&format!("{app}\n[routing]\n{routing}\n"), &bundles(&LAB))
}

fn hello(server: &Server, token: Option<&str>) -> Reply {
    let request = Request::new("GET", "/hello?name=Ada");
    server.send(&match token {
        Some(token) => request.header("isolith-pin", token),
        None => request,
    })
}

fn token(reply: &Reply) -> String {
    reply.header("isolith-pin").unwrap().to_owned()
}

/// P7 and P6: with its token, a retry gets the set of its first attempt for as long as that is
/// loaded, and an error once it is not.
#[test]
fn a_retry_with_its_token_gets_the_same_versions_or_an_error() {
    let server = lab("");
    let first = hello(&server, None);
    assert_eq!(first.json()["servedBy"], "1.0.0");
    let pinned = token(&first);
    assert_eq!(pinned.len(), 98);

    // Somebody who holds the old set open.
    let mut holder = server.connect();
    holder.write(b"GET /hold?id=a HTTP/1.1\r\nhost: lab.test\r\n\r\n");
    server.await_log("holding a");
    server.deploy(&bundle(NEXT)).done();

    assert_eq!(hello(&server, None).json()["servedBy"], "1.1.0");
    let retried = hello(&server, Some(&pinned));
    assert_eq!(retried.json()["servedBy"], "1.0.0");
    assert_eq!(retried.header("isolith-set"), first.header("isolith-set"));
    // No new one: a chain of tokens must not keep the old set for ever.
    assert_eq!(token(&retried), pinned);

    drop(holder);
    let gone = eventually("the old set is gone", || {
        let reply = hello(&server, Some(&pinned));
        (reply.status != 200).then_some(reply)
    });
    let problem = gone.problem(410);
    assert_eq!(problem["type"], "urn:isolith:error:pinned-version-gone");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("no longer loaded")
    );
    assert_eq!(gone.header("isolith-set"), None);
    // A token of the set in force is good.
    let now = hello(&server, None);
    let again = hello(&server, Some(&token(&now)));
    assert_eq!(again.json()["servedBy"], "1.1.0");
}

#[test]
fn a_token_that_is_forged_expired_or_not_wanted_is_an_error_and_never_another_set() {
    let server = lab("");
    let good = token(&hello(&server, None));
    let swapped = good.replacen(
        &good[10..11],
        if &good[10..11] == "A" { "B" } else { "A" },
        1,
    );
    let other = token(&hello(&lab(""), None));
    for forged in ["", "AQ", "not a token", &swapped, &good[1..], &other] {
        let problem = hello(&server, Some(forged)).problem(400);
        assert_eq!(problem["type"], "urn:isolith:error:pin-token", "{forged:?}");
    }
    let twice = Request::new("GET", "/hello?name=Ada");
    let twice = twice
        .header("isolith-pin", &good)
        .header("isolith-pin", &good);
    server.send(&twice).problem(400);

    let hasty = lab("pin_token_lifetime_ms = 1");
    let old = token(&hello(&hasty, None));
    let problem = eventually("the token expires", || {
        let reply = hello(&hasty, Some(&old));
        (reply.status != 200).then(|| reply.problem(400))
    });
    assert!(problem["detail"].as_str().unwrap().contains("expired"));

    let without = lab("pin_token = false");
    let reply = hello(&without, None);
    assert_eq!((reply.status, reply.header("isolith-pin")), (200, None));
    hello(&without, Some(&good)).problem(400);
}
