//! `isolith history` and `rollback`, and what is left after the process was killed.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::bundles::{bundle, bundles};
use crate::support::case;
use crate::support::command::json;
use crate::support::server::{Controls, Server};

const LAB: [&str; 2] = ["tests/cases/lab/front", "tests/cases/lab/greeter"];
/// greeter 1.1.0
const NEXT: &str = "tests/cases/refused/next";

/// How often the process is killed while it is being changed. `ISOLITH_TEST_KILLS=200` has it
/// killed more often.
const KILLS: u64 = 20;

fn lab() -> Server {
    Server::start(&case("lab/app.toml"), &bundles(&LAB))
}

fn history(controls: &Controls) -> Vec<Value> {
    let entries = json(
        &controls
            .run(&["history", "--json", "--most", "1000"])
            .done(),
    );
    entries.as_array().unwrap().clone()
}

fn greeter(server: &Server) -> String {
    let reply = server.get("/hello?name=Ada").json();
    reply["servedBy"].as_str().unwrap().to_owned()
}

#[test]
fn the_history_says_what_changed_and_a_rollback_leads_back() {
    let server = lab();
    let next = bundle(NEXT);
    let deploy = ["deploy", next.to_str().unwrap(), "--message", "says more"];
    server.control(&deploy).done();
    assert_eq!(greeter(&server), "1.1.0");
    let said = server
        .control(&["rollback", "1", "-m", "says too much"])
        .done();
    assert!(
        said.starts_with("rolled back: epoch 3, set sha256:"),
        "{said}"
    );
    assert_eq!(greeter(&server), "1.0.0");

    let entries = history(&server.controls());
    let told: Vec<_> = entries
        .iter()
        .map(|entry| {
            json!([
                entry["number"],
                entry["action"],
                entry["message"],
                entry["epoch"]
            ])
        })
        .collect();
    let expected = [
        json!([3, "rollback 1", "says too much", 3]),
        json!([2, "deploy greeter@1.1.0", "says more", 2]),
        json!([1, "start", "", 1]),
    ];
    assert_eq!(told, expected);
    assert_eq!(
        entries[1]["bundles"],
        json!(["front@1.0.0", "greeter@1.1.0"])
    );
    assert_eq!(entries[0]["set"], entries[2]["set"]);
    assert_eq!(entries[0]["who"], entries[2]["who"]);
    assert_ne!(entries[0]["who"], "");

    // A change that leaves all as it is has no entry; one that cannot be is refused.
    server.control(&["rollback", "1"]).done();
    let refusal = server.control(&["rollback", "9"]).refused();
    assert!(refusal.contains("no change 9"), "{refusal}");
    assert_eq!(history(&server.controls()).len(), 3);
    let text = server.control(&["history", "--most", "1"]).done();
    assert!(
        text.starts_with("3  ") && text.contains("rollback 1"),
        "{text}"
    );
    assert!(
        text.contains("says too much") && !text.contains("says more"),
        "{text}"
    );

    // What was rolled back can be deployed again, and gone back to.
    server.deploy(&next).done();
    server.control(&["rollback", "3"]).done();
    server.control(&["rollback", "2"]).done();
    assert_eq!(greeter(&server), "1.1.0");
    assert_eq!(server.status()["change"], 6);
}

#[test]
fn a_restart_comes_back_to_what_was_acknowledged() {
    let server = lab();
    server.deploy(&bundle(NEXT)).done();
    let before = server.status();

    // Neither the files nor what they say matter then; the log tells of it.
    let (folder, dist) = (server.folder().to_owned(), server.folder().join("dist"));
    fs::copy(bundle(NEXT), dist.join("next.isolith")).unwrap();
    let server = server.restart();
    let log = server.await_log("came back to what was in force");
    assert!(log.contains("deploy greeter@1.1.0"), "{log}");
    server.await_log("the application file names other bundles");
    assert_eq!(greeter(&server), "1.1.0");
    let after = server.status();
    assert_eq!(after["sets"][0]["digest"], before["sets"][0]["digest"]);
    assert_eq!(after["change"], 2);
    assert_eq!((&before["epoch"], &after["epoch"]), (&json!(2), &json!(3)));

    fs::remove_dir_all(dist).unwrap();
    let server = server.restart();
    server.control(&["rollback", "1"]).done();
    let server = server.restart();
    assert_eq!(greeter(&server), "1.0.0");
    // Known, and out of force: a way there stays open.
    server.control(&["rollback", "2"]).done();
    assert_eq!(greeter(&server), "1.1.0");

    // Another application keeps its hands off.
    let app = folder.join("app.toml");
    let text = fs::read_to_string(&app).unwrap();
    fs::write(&app, text.replace("\"lab\"", "\"shop\"")).unwrap();
    let said = server.try_restart().err().unwrap();
    assert!(said.contains("belongs to the application lab"), "{said}");
}

#[test]
fn a_state_file_that_cannot_be_used_is_named_with_what_to_do() {
    let mut server = lab();
    server.kill();
    let state = server.folder().join("data/state.redb");
    fs::write(&state, b"what is this?").unwrap();
    let said = server.try_restart().err().unwrap();
    assert!(
        said.contains("data/state.redb is damaged, or no state file"),
        "{said}"
    );
    assert!(said.contains("move it away to begin anew"), "{said}");
}

#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let mut server = lab();
    server.deploy(&bundle(NEXT)).done();
    let controls = server.controls();
    // The number of the newest change.
    let mut acknowledged = 2;
    let kills = std::env::var("ISOLITH_TEST_KILLS");
    let kills = kills.map_or(KILLS, |kills| kills.parse().unwrap());
    for round in 0..kills {
        let stop = AtomicBool::new(false);
        let newest = std::thread::scope(|scope| {
            let changes = scope.spawn(|| {
                let mut newest = acknowledged;
                for back_to in [1, 2].iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let ran = controls.run(&["rollback", &back_to.to_string()]);
                    if ran.code == Some(0) {
                        let number = ran.stdout.lines().next().unwrap().rsplit(' ').next();
                        newest = number.unwrap().parse::<u64>().unwrap();
                    }
                }
                newest
            });
            // Anywhere in a change: they follow each other without a pause.
            std::thread::sleep(Duration::from_millis(40 + round * 13 % 50));
            server.kill();
            stop.store(true, Ordering::Relaxed);
            changes.join().unwrap()
        });
        server = server.restart();
        let entries = history(&controls);
        let last = entries[0]["number"].as_u64().unwrap();
        assert!(
            last == newest || last == newest + 1,
            "{newest} was acknowledged, and {last} is the last"
        );
        let numbers: Vec<_> = entries
            .iter()
            .map(|entry| entry["number"].as_u64().unwrap())
            .collect();
        assert_eq!(numbers, (1..=last).rev().collect::<Vec<_>>());
        let status = server.status();
        assert_eq!(status["sets"][0]["digest"], entries[0]["set"]);
        assert!(
            status["epoch"].as_u64() > entries[0]["epoch"].as_u64(),
            "{status:#}"
        );
        let expected = entries[0]["bundles"][1].as_str().unwrap();
        assert_eq!(format!("greeter@{}", greeter(&server)), expected);
        acknowledged = last;
    }
    assert!(
        acknowledged > 2 + kills / 2,
        "hardly anything was changed: {acknowledged}"
    );
}
