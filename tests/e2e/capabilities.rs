//! Objects and streams that pass between services, with bundles as users build them.

use serde_json::json;

use crate::support::bundles::bundles;
use crate::support::case;
use crate::support::server::Server;

const FOLDERS: [&str; 2] = [
    "tests/cases/capabilities/front",
    "tests/cases/capabilities/auth",
];

#[test]
fn objects_travel_for_as_long_as_their_request_runs() {
    let server = Server::start(&case("capabilities/app.toml"), &bundles(&FOLDERS));
    for stale in ["none", "requestEnded", "requestEnded"] {
        let reply = server.get("/");
        assert_eq!(reply.status, 200, "{}\n{}", reply.text(), server.log());
        let expected = json!({
            "pipelined": "Ada",
            "stub": "Ada",
            "same": true,
            "callback": "Ada greets front itself",
            "early": "Ada greets Bob",
            "stale": stale,
        });
        assert_eq!(reply.json(), expected);
    }
}

#[test]
fn a_service_s_stream_becomes_a_response() {
    let server = Server::start(&case("capabilities/app.toml"), &bundles(&FOLDERS));
    let reply = server.get("/files");
    assert_eq!(reply.status, 200, "{}", server.log());
    assert_eq!(reply.body.len(), 100_000, "{}", server.log());
    assert!(reply.text().ends_with(".0\n"));
}
