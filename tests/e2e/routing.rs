//! Which versions a request gets: what it may ask for by name.

use std::fs;

use serde_json::Value;

use crate::support::bundles::{bundle, bundles};
use crate::support::command::json;
use crate::support::http1::Request;
use crate::support::server::Server;
use crate::support::{case, eventually};

const LAB: [&str; 2] = ["tests/cases/lab/front", "tests/cases/lab/greeter"];
/// greeter 1.1.0, as good as 1.0.0.
const NEXT: &str = "tests/cases/refused/next";
/// greeter 1.2.0, which fails every third time.
const FLAKY: &str = "tests/cases/rollouts/flaky";

fn lab(routing: &str) -> Server {
    let app = fs::read_to_string(case("lab/app.toml")).unwrap();
    Server::start_with(&format!("{app}\n[routing]\n{routing}\n"), &bundles(&LAB))
}

fn hello() -> Request {
    Request::new("GET", "/hello?name=Ada")
}

fn problem(server: &Server, status: u16, versions: &[&str]) -> Value {
    let request = versions.iter().fold(hello(), |request, line| {
        request.header("isolith-override", *line)
    });
    server.send(&request).problem(status)
}

/// P6: an override that cannot apply is an error, never another version.
#[test]
fn an_override_that_cannot_apply_is_an_error_that_says_why() {
    // Whoever may name versions reaches all that is deployed, so nobody may unless it is said.
    let server = lab("");
    let detail = problem(&server, 403, &["greeter=\"1.0.0\""])["detail"].clone();
    assert!(
        detail.as_str().unwrap().contains("[routing] override"),
        "{detail}"
    );
    assert_eq!(server.send(&hello()).status, 200);

    let server = lab("override = \"loopback\"");
    for (versions, expected) in [
        (&["greeter"][..], "not a string in quotes"),
        (&["greeter=1"], "not a string in quotes"),
        (&["greeter=\"1.0\""], "`1.0` is not a version of greeter"),
        (&["greeter=\"1.0.0\"", "=\"1.0.0\""], "not a dictionary"),
        (&[""], "names no service"),
    ] {
        let detail = problem(&server, 400, versions)["detail"].clone();
        assert!(
            detail.as_str().unwrap().contains(expected),
            "{versions:?}: {detail}"
        );
    }
    for version in ["greeter=\"9.9.9\"", "nobody=\"1.0.0\""] {
        let refused = problem(&server, 409, &[version]);
        assert_eq!(refused["type"], "urn:isolith:error:override");
        let detail = refused["detail"].as_str().unwrap();
        let (service, version) = version.split_once('=').unwrap();
        assert!(detail.contains(service), "{detail}");
        assert!(detail.contains(version.trim_matches('"')), "{detail}");
    }
    let pin = server
        .send(&hello())
        .header("isolith-pin")
        .unwrap()
        .to_owned();
    let both = hello().header("isolith-pin", pin);
    let both = both.header("isolith-override", "greeter=\"1.0.0\"");
    server.send(&both).problem(400);
}

fn start(server: &Server, name: &str, folder: &str, options: &[&str]) {
    let file = bundle(folder);
    let words = ["rollout", "start", name, file.to_str().unwrap(), "--manual"];
    server.control(&[&words[..], options].concat()).done();
}

fn served_by(server: &Server, request: Request) -> String {
    let reply = server.send(&request);
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["servedBy"].as_str().unwrap().to_owned()
}

/// P9: what a client is recognised by decides, whichever connection it comes by; a rule goes before.
#[test]
fn a_client_is_recognised_by_its_cookie_and_a_rule_goes_before() {
    let server = lab("key = \"cookie:uid\"");
    start(&server, "greeter", NEXT, &["--match", "header:x-team=blue"]);
    server.control(&["rollout", "set", "greeter", "50%"]).done();
    let as_user = |user: usize| hello().header("cookie", format!("a=b; uid=user-{user}"));
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for user in 0..60 {
        let first = served_by(&server, as_user(user));
        assert_eq!(served_by(&server, as_user(user)), first, "user {user}");
        *seen.entry(first).or_default() += 1;
        assert_eq!(
            served_by(&server, as_user(user).header("x-team", "blue")),
            "1.1.0"
        );
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    // A token holds against the rollout, too.
    let old = (0..60)
        .find(|user| served_by(&server, as_user(*user)) == "1.0.0")
        .unwrap();
    let token = server
        .send(&as_user(old))
        .header("isolith-pin")
        .unwrap()
        .to_owned();
    let pinned = || {
        as_user(old)
            .header("x-team", "blue")
            .header("isolith-pin", &token)
    };
    assert_eq!(served_by(&server, pinned()), "1.0.0");
}

/// A version that no request sees gets copies; what they are answered is counted, and no client
/// notices.
#[test]
fn copies_of_requests_are_compared_and_counted() {
    let server = lab("");
    start(&server, "greeter", FLAKY, &["--shadow", "100%"]);
    for _ in 0..30 {
        assert_eq!(served_by(&server, hello()), "1.0.0");
    }
    let counts = eventually("all copies are compared", || {
        let status = json(&server.control(&["rollout", "status", "--json"]).done());
        let shadows = status["rollouts"][0]["shadows"].clone();
        let sum: u64 = shadows
            .as_object()?
            .values()
            .filter_map(Value::as_u64)
            .sum();
        (sum == 30).then_some(shadows)
    });
    // Every third one fails, which the front answers with a status of its own.
    assert_eq!(counts["alike"].as_u64().unwrap() / 10, 2, "{counts}");
    assert_eq!(counts["skipped"], 0);
}
