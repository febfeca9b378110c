//! Which versions a request gets: what it may ask for by name.

use std::fs;

use serde_json::Value;

use crate::support::bundles::bundles;
use crate::support::case;
use crate::support::http1::Request;
use crate::support::server::Server;

const LAB: [&str; 2] = ["tests/cases/lab/front", "tests/cases/lab/greeter"];

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
