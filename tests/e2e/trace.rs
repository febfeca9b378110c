//! The trace, and `isolith verify`: what is promised shows from the outside, afterwards.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::bundles::{bundle, bundles};
use crate::support::command::{Ran, run};
use crate::support::http1::Request;
use crate::support::server::Server;
use crate::support::{case, eventually};

const LAB: [&str; 2] = ["tests/cases/lab/front", "tests/cases/lab/greeter"];
const NEXT: &str = "tests/cases/refused/next";
const REQUESTS: usize = 50;

fn verify(trace: &Path) -> Ran {
    run([Path::new("verify"), trace])
}

/// Serves the lab with a trace, has it do some requests on either side of a deployment, one of them
/// open throughout, and one of them in background work; gives the trace.
fn traced(folder: &Path, settings: &str) -> Vec<Value> {
    let file = folder.join("trace.jsonl");
    let app = fs::read_to_string(case("lab/app.toml")).unwrap();
    let app = format!("{app}\n[trace]\nfile = {file:?}\n{settings}");
    let server = Server::start_with(&app, &bundles(&LAB));
    let mut holder = server.connect();
    holder.write(b"GET /hold?id=a HTTP/1.1\r\nhost: lab.test\r\n\r\n");
    server.await_log("holding a");
    let mut client = server.connect();
    let hello = Request::new("GET", "/hello?name=Ada");
    for _ in 0..REQUESTS {
        assert_eq!(client.send(&hello).json()["servedBy"], "1.0.0");
    }
    server.deploy(&bundle(NEXT)).done();
    for _ in 0..REQUESTS {
        assert_eq!(client.send(&hello).json()["servedBy"], "1.1.0");
    }
    server
        .control(&["call", "greeter", "greet", "{\"name\": \"Bob\"}"])
        .done();
    drop(holder);
    eventually("the held request is over", || {
        (server.status()["requests_in_flight"] == 0).then_some(())
    });
    server.terminate();
    assert!(server.ended().0.success());
    records(&file)
}

fn records(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn write(folder: &Path, records: &[Value]) -> std::path::PathBuf {
    let file = folder.join("changed.jsonl");
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    fs::write(&file, lines).unwrap();
    file
}

fn of_kind<'r>(records: &'r [Value], kind: &str) -> Vec<&'r Value> {
    records
        .iter()
        .filter(|record| record["record"] == kind)
        .collect()
}

/// P12: each request, each call, and what they were entitled to.
#[test]
fn a_trace_shows_that_promises_were_kept_and_a_changed_one_that_they_were_not() {
    let folder = tempfile::tempdir().unwrap();
    let records = traced(folder.path(), "");
    // Those of the client, the held one, and the one of the command line.
    assert_eq!(of_kind(&records, "admit").len(), 2 * REQUESTS + 2);
    assert_eq!(of_kind(&records, "end").len(), 2 * REQUESTS + 2);
    assert_eq!(of_kind(&records, "call").len(), 2 * REQUESTS);
    assert_eq!(of_kind(&records, "table").len(), 2);
    let said = verify(&folder.path().join("trace.jsonl")).done();
    let counts = format!(
        "{} requests (0 not ended), {} calls, 2 tables, 2 sets, 0 records dropped",
        2 * REQUESTS + 2,
        2 * REQUESTS
    );
    assert!(said.contains(&counts), "{said}");
    assert!(said.ends_with("no violations\n"), "{said}");

    // One call of an old request led to the new version; one request was given a set of its own.
    let calls = of_kind(&records, "call");
    let (first, last) = (calls[0].clone(), calls[calls.len() - 1].clone());
    assert_ne!(first["callee"], last["callee"]);
    let broken = |kind: &str, field: &str, to: &Value, expected: &str| {
        let mut changed = records.clone();
        let record = changed
            .iter_mut()
            .find(|record| record["record"] == kind)
            .unwrap();
        record[field] = to.clone();
        let ran = verify(&write(folder.path(), &changed));
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        assert!(ran.stdout.contains(expected), "{ran:#?}");
        assert!(ran.stderr.contains("violation"), "{ran:#?}");
    };
    let led_astray = "front@1.0.0 called bundle";
    broken("call", "callee", &last["callee"], led_astray);
    broken("call", "set", &last["set"], "P3: ");
    broken("admit", "set", &last["set"], "P1: ");
    let set = of_kind(&records, "set")[0]["text"].as_str().unwrap();
    let text = Value::from(set.replace("greeter@1.0.0", "greeter@1.0.1"));
    broken("set", "text", &text, "P2: ");

    let other = folder.path().join("other");
    fs::write(&other, "no trace\n").unwrap();
    assert!(verify(&other).refused().contains("line 1 is no record"));
}

/// The next process goes on where the last one was killed in the middle of a line.
#[test]
fn a_trace_that_was_cut_off_is_still_one() {
    let folder = tempfile::tempdir().unwrap();
    traced(folder.path(), "");
    let file = folder.path().join("trace.jsonl");
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str("{\"record\":\"admit\",\"root\":\"0123");
    fs::write(&file, &text).unwrap();
    let said = verify(&file).done();
    assert!(said.contains("no violations"), "{said}");

    // Written on, and the part of a line is gone.
    traced(folder.path(), "");
    let said = verify(&file).done();
    let twice = format!("{} requests (0 not ended)", 2 * (2 * REQUESTS + 2));
    assert!(
        said.contains(&twice) && said.contains("no violations"),
        "{said}"
    );
}

/// A bounded trace begins a new file that can be checked alone.
#[test]
fn a_full_file_makes_room_for_one_that_is_complete_in_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace.jsonl");
    let app = fs::read_to_string(case("lab/app.toml")).unwrap();
    let app = format!("{app}\n[trace]\nfile = {file:?}\nmax_mib = 1\n");
    let server = Server::start_with(&app, &bundles(&LAB));
    let mut holder = server.connect();
    holder.write(b"GET /hold?id=a HTTP/1.1\r\nhost: lab.test\r\n\r\n");
    server.await_log("holding a");
    let former = folder.path().join("trace.jsonl.1");
    let mut client = server.connect();
    let hello = Request::new("GET", "/hello?name=Ada");
    eventually("a second file is begun", || {
        (0..100).for_each(|_| assert_eq!(client.send(&hello).status, 200));
        former.exists().then_some(())
    });
    (0..10).for_each(|_| assert_eq!(client.send(&hello).status, 200));
    drop(holder);
    server.terminate();
    assert!(server.ended().0.success());
    for file in [&former, &file] {
        // A record more than the bound, at most.
        assert!(fs::metadata(file).unwrap().len() <= (1 << 20) + 4_096);
        let said = verify(file).done();
        assert!(said.contains("no violations"), "{said}");
    }
    // The request that was open all the time is in both.
    let open = &of_kind(&records(&former), "admit")[0]["root"].clone();
    let again = records(&file);
    assert!(
        of_kind(&again, "admit")
            .iter()
            .any(|admit| admit["root"] == *open)
    );
}
