//! Objects and streams that pass between services, with bundles as users build them.

use std::fs;

use serde_json::json;

use crate::support::bundles::bundles;
use crate::support::case;
use crate::support::server::{Server, memory_kib};

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

/// What is under way is within the window of 1 MiB. Besides, each side's isolate has up to 4 MiB of
/// dead chunks before they are collected, and what the allocator keeps of them.
#[test]
fn a_long_stream_keeps_the_process_s_memory_flat() {
    let server = Server::start(&case("capabilities/app.toml"), &bundles(&FOLDERS));
    let push = |mib: u64| {
        let reply = server.get(&format!("/push?mib={mib}"));
        assert_eq!(reply.status, 200, "{}\n{}", reply.text(), server.log());
        assert_eq!(reply.json(), json!(mib << 20));
    };
    push(1);
    let status = server.status();
    let idle = memory_kib(&status, "VmRSS");
    // From here on `VmHWM` is the most.
    fs::write(format!("/proc/{}/clear_refs", status["pid"]), "5").unwrap();
    push(1024);
    let peak = memory_kib(&status, "VmHWM");
    println!("{} KiB more than idle", peak - idle);
    assert!(peak - idle < 40 << 10, "{idle} KiB, then {peak} KiB");
}

#[test]
fn a_service_s_stream_becomes_a_response() {
    let server = Server::start(&case("capabilities/app.toml"), &bundles(&FOLDERS));
    let reply = server.get("/files");
    assert_eq!(reply.status, 200, "{}", server.log());
    assert_eq!(reply.body.len(), 100_000, "{}", server.log());
    assert!(reply.text().ends_with(".0\n"));
}
