//! Rollouts: shares and keys, judgement, `isolith apply`, and reaching or evicting one version.

use std::fs;

use serde_json::{Value, json};

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
/// greeter 1.3.0, of which one answer in ten is slow.
const SLOW: &str = "tests/cases/rollouts/slow";
/// front 1.1.0
const FRONT: &str = "tests/cases/rollouts/front";
/// front 1.2.0, which asks for greeter 1.0 alone.
const PICKY: &str = "tests/cases/rollouts/picky";

/// Keys whose versions are compared.
const KEYS: usize = 400;

fn lab() -> Server {
    let text = fs::read_to_string(case("lab/app.toml")).unwrap();
    let routing = "\n[routing]\nkey = \"header:x-user\"\noverride = \"loopback\"\n";
    Server::start_with(&(text + routing), &bundles(&LAB))
}

fn start(server: &Server, name: &str, folder: &str, options: &[&str]) {
    let file = bundle(folder);
    let words = ["rollout", "start", name, file.to_str().unwrap()];
    server.control(&[&words[..], options].concat()).done();
}

fn set(server: &Server, name: &str, weight: &str) {
    server.control(&["rollout", "set", name, weight]).done();
}

fn rollouts(server: &Server) -> Value {
    json(&server.control(&["rollout", "status", "--json"]).done())
}

fn rollout(server: &Server, name: &str) -> Value {
    let all = rollouts(server);
    let mut all = all["rollouts"].as_array().unwrap().iter();
    all.find(|rollout| rollout["name"] == name).unwrap().clone()
}

/// The versions of front and greeter that each key gets.
fn versions(server: &Server) -> Vec<(String, String)> {
    let mut connection = server.connect();
    let mut ask = |key: usize| {
        let request = Request::new("GET", "/hello?name=Ada").header("x-user", format!("u{key}"));
        let reply = connection.send(&request);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let reply = reply.json();
        let front = reply["front"].as_str().unwrap_or("1.0.0");
        (
            front.to_owned(),
            reply["servedBy"].as_str().unwrap().to_owned(),
        )
    };
    (0..KEYS).map(&mut ask).collect()
}

fn share(versions: &[(String, String)], sees: impl Fn(&(String, String)) -> bool) -> f64 {
    versions.iter().filter(|versions| sees(versions)).count() as f64 / versions.len() as f64
}

#[test]
fn two_rollouts_keep_their_shares_and_their_keys() {
    let server = lab();
    start(&server, "greeter", NEXT, &["--manual"]);
    start(&server, "front", FRONT, &["--manual"]);
    assert_eq!(
        share(&versions(&server), |seen| seen.0 == "1.1.0"
            || seen.1 == "1.1.0"),
        0.0
    );
    set(&server, "greeter", "50%");
    set(&server, "front", "30%");
    let first = versions(&server);
    let new_greeter = |seen: &(String, String)| seen.1 == "1.1.0";
    let new_front = |seen: &(String, String)| seen.0 == "1.1.0";
    // 400 keys are a small sample: four standard deviations.
    assert!((share(&first, new_greeter) - 0.5).abs() < 0.1, "{first:?}");
    assert!((share(&first, new_front) - 0.3).abs() < 0.1, "{first:?}");
    let both = share(&first, |seen| new_greeter(seen) && new_front(seen));
    assert!((both - 0.15).abs() < 0.08, "{both}");

    set(&server, "greeter", "70%");
    let second = versions(&server);
    assert!(share(&second, new_greeter) > share(&first, new_greeter));
    for (before, after) in first.iter().zip(&second) {
        assert!(
            !new_greeter(before) || new_greeter(after),
            "a key went back"
        );
        assert_eq!(before.0, after.0, "the other rollout's keys moved");
    }
    // The buckets outlive the process.
    let server = server.restart();
    assert_eq!(versions(&server), second);
    let status = rollout(&server, "greeter");
    assert_eq!(
        (&status["state"], &status["weight"]),
        (&json!("holding"), &json!(7_000))
    );
    let sets = server.status()["sets"].as_array().unwrap().len();
    assert_eq!(sets, 4);

    // Promoting one leaves the other where it is; so does aborting.
    server.control(&["rollout", "promote", "greeter"]).done();
    let third = versions(&server);
    assert_eq!(share(&third, new_greeter), 1.0);
    assert_eq!(share(&third, new_front), share(&second, new_front));
    server
        .control(&["rollout", "abort", "front", "-m", "no"])
        .done();
    assert_eq!(share(&versions(&server), new_front), 0.0);
    let refusal = server.control(&["rollout", "set", "front", "5%"]).refused();
    assert!(refusal.contains("aborted (no)"), "{refusal}");
    let server = server.restart();
    assert_eq!(share(&versions(&server), new_greeter), 1.0);
    assert_eq!(rollout(&server, "front")["detail"], "aborted (no)");
}

#[test]
fn rollouts_that_cannot_be_combined_share_no_request_and_the_status_says_why() {
    let server = lab();
    start(&server, "greeter", NEXT, &["--manual"]);
    start(&server, "front", PICKY, &["--manual"]);
    set(&server, "greeter", "40%");
    set(&server, "front", "60%");
    let seen = versions(&server);
    assert_eq!(
        share(&seen, |seen| *seen == ("1.2.0".into(), "1.1.0".into())),
        0.0
    );
    // Everything is taken: who sees neither is nobody.
    assert_eq!(
        share(&seen, |seen| *seen == ("1.0.0".into(), "1.0.0".into())),
        0.0
    );
    let status = rollouts(&server);
    let unsolved = &status["unsolved"][0];
    assert_eq!(unsolved["rollouts"], json!(["greeter", "front"]));
    let reason = unsolved["reason"].as_str().unwrap();
    assert!(
        reason.contains("front@1.2.0") && reason.contains("~1.0"),
        "{reason}"
    );
    let refusal = server
        .control(&["rollout", "set", "greeter", "41%"])
        .refused();
    assert!(
        refusal.contains("41 %") && refusal.contains("40 %"),
        "{refusal}"
    );
    let refusal = server.control(&["rollout", "promote", "greeter"]).refused();
    assert!(
        refusal.contains("the rollout front could not go on"),
        "{refusal}"
    );
    assert_eq!(versions(&server), seen);
}

#[test]
fn a_bad_version_is_aborted_and_an_equal_one_promoted_with_nobody_watching() {
    let server = lab();
    let fast = ["--steps", "30%,60%", "--wait", "0s", "--min-requests", "20"];
    start(&server, "flaky", FLAKY, &fast);
    start(&server, "next", NEXT, &["--manual"]);
    let drive = |name: &str, state: &str| {
        let mut connection = server.connect();
        let mut user = 0;
        eventually(&format!("{name} is {state}"), || {
            for _ in 0..200 {
                user += 1;
                let request = Request::new("GET", "/hello?name=Ada");
                connection.send(&request.header("x-user", format!("u{user}")));
            }
            let status = rollout(&server, name);
            (status["state"] == state).then_some(status)
        })
    };
    let status = drive("flaky", "aborted");
    let reason = status["detail"].as_str().unwrap();
    assert!(
        reason.contains("the new version fails more often"),
        "{reason}"
    );
    assert_eq!(status["weight"], 0);
    assert_eq!(share(&versions(&server), |seen| seen.1 == "1.0.0"), 1.0);

    server.control(&["rollout", "abort", "next"]).done();
    start(&server, "next", NEXT, &fast);
    drive("next", "promoted");
    assert_eq!(share(&versions(&server), |seen| seen.1 == "1.1.0"), 1.0);
    let entries = json(&server.control(&["history", "--json"]).done());
    let own: Vec<_> = entries
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["who"] == "isolith")
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    let expected = [
        "rollout promote next",
        "rollout step next 60 %",
        "rollout abort flaky",
    ];
    // The bad one may have taken its second step before it was found out.
    assert_eq!(own[..3], expected, "{own:?}");
}

#[test]
fn a_version_whose_slowest_answers_are_slower_is_aborted_with_nobody_watching() {
    let server = lab();
    // It would go on after an hour at the earliest.
    let settings = ["--steps", "50%", "--wait", "1h", "--min-requests", "50"];
    start(&server, "slow", SLOW, &settings);
    let mut connection = server.connect();
    let mut user = 0;
    let status = eventually("the slow version is aborted", || {
        for _ in 0..100 {
            user += 1;
            let request = Request::new("GET", "/hello?name=Ada");
            let reply = connection.send(&request.header("x-user", format!("u{user}")));
            assert_eq!(reply.status, 200);
        }
        let status = rollout(&server, "slow");
        (status["state"] == "aborted").then_some(status)
    });
    let reason = status["detail"].as_str().unwrap();
    assert!(reason.contains("slower"), "{reason}");
    assert_eq!(share(&versions(&server), |seen| seen.1 == "1.0.0"), 1.0);
}

/// Requests that an operator evicts say nothing against the version that they were for.
#[test]
fn what_the_host_ends_is_not_held_against_a_version() {
    let server = lab();
    start(&server, "next", NEXT, &["--manual"]);
    set(&server, "next", "50%");
    let next = (0..).find(|key| {
        let request = Request::new("GET", "/hello?name=Ada").header("x-user", format!("u{key}"));
        server.send(&request).json()["servedBy"] == "1.1.0"
    });
    let key = format!("u{}", next.unwrap());
    for round in 0..3 {
        std::thread::scope(|scope| {
            let held: Vec<_> = (0..16)
                .map(|number| {
                    let request = Request::new("GET", format!("/hold?id={round}-{number}"));
                    let request = request.header("x-user", &*key);
                    scope.spawn(|| server.connect().send(&{ request }).status)
                })
                .collect();
            for number in 0..16 {
                server.await_log(&format!("holding {round}-{number} "));
            }
            let evict = [
                "evict",
                "greeter@1.1.0",
                "--reason",
                "the building is closing",
            ];
            server.control(&evict).done();
            for held in held {
                assert_eq!(held.join().unwrap(), 503);
            }
        });
        // The other version does well meanwhile.
        versions(&server);
    }
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    let status = rollout(&server, "next");
    assert_eq!(status["state"], "holding", "{status}");
}

#[test]
fn applying_a_file_twice_changes_nothing_the_second_time() {
    let server = lab();
    let (dist, app) = (
        server.folder().join("dist"),
        server.folder().join("app.toml"),
    );
    let apply =
        |options: &[&str]| server.control(&[&["apply", app.to_str().unwrap()], options].concat());
    let history = || {
        json(&server.control(&["history", "--json"]).done())
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(apply(&["--dry-run"]).done(), "nothing to do\n");

    fs::copy(bundle(NEXT), dist.join("greeter.isolith")).unwrap();
    fs::create_dir(server.folder().join("next")).unwrap();
    fs::copy(bundle(FRONT), server.folder().join("next/front.isolith")).unwrap();
    let text = fs::read_to_string(&app).unwrap();
    let table = "\n[rollouts.front]\nbundles = [\"next/*.isolith\"]\nsteps = [\"20%:1h\"]\n";
    fs::write(
        &app,
        format!("{text}{table}match = [\"header:x-team=front\"]\n"),
    )
    .unwrap();
    let plan = "- greeter@1.0.0\n+ greeter@1.1.0\nstart rollout front front@1.1.0\n";
    assert_eq!(apply(&["--dry-run"]).done(), plan);
    assert_eq!((server.status()["epoch"].clone(), history()), (json!(1), 1));
    let said = apply(&[]).done();
    assert!(
        said.starts_with(plan) && said.contains("applied: epoch 2"),
        "{said}"
    );
    assert!(apply(&[]).done().starts_with("nothing to do\n"));
    assert_eq!((server.status()["epoch"].clone(), history()), (json!(2), 2));
    assert_eq!(rollout(&server, "front")["weight"], 2_000);
    let ruled = server.send(&Request::new("GET", "/?name=Ada").header("x-team", "front"));
    assert_eq!(ruled.json()["front"], "1.1.0");

    // Promoted, it is what the file wants; and the file leads back from what it does not name.
    server.control(&["rollout", "promote", "front"]).done();
    assert!(apply(&[]).done().starts_with("nothing to do\n"));
    server.deploy(&bundle(FLAKY)).done();
    assert_eq!(
        apply(&["--dry-run"]).done(),
        "- greeter@1.2.0\n+ greeter@1.1.0\n"
    );
    fs::write(&app, text.replace("\"lab\"", "\"shop\"")).unwrap();
    let refusal = apply(&[]).refused();
    assert!(refusal.contains("serves the application lab"), "{refusal}");
}

#[test]
fn a_version_without_traffic_is_reached_by_name_and_goes_when_it_is_replaced() {
    let server = lab();
    start(&server, "greeter", NEXT, &["--manual"]);
    let named = |version: &str| {
        let text = format!("greeter=\"{version}\"");
        server.send(&Request::new("GET", "/hello?name=Ada").header("isolith-override", &text))
    };
    for _ in 0..2 {
        assert_eq!(named("1.1.0").json()["servedBy"], "1.1.0");
    }
    let gone = named("1.2.0");
    assert_eq!(gone.status / 100, 4, "{}", gone.text());
    assert!(
        gone.text().contains("greeter@1.2.0 is not deployed"),
        "{}",
        gone.text()
    );
    server.control(&["rollout", "abort", "greeter"]).done();
    assert_eq!(named("1.1.0").json()["servedBy"], "1.1.0");
    let isolates = || {
        let status = server.status();
        let mut bundles = status["bundles"].as_array().unwrap().iter();
        let is_it =
            |bundle: &&Value| bundle["service"] == "greeter" && bundle["version"] == "1.1.0";
        let next = bundles.find(is_it).unwrap();
        next["isolates"].as_u64().unwrap()
    };
    assert_eq!(isolates(), 1);
    server.deploy(&bundle(FRONT)).done();
    // It was solved beside what was in force before.
    eventually("greeter 1.1.0 is unloaded", || {
        (isolates() == 0).then_some(())
    });
    server.control(&["rollback", "1"]).done();
}

#[test]
fn holders_are_listed_and_evicted_with_a_reason() {
    let server = lab();
    std::thread::scope(|scope| {
        let held = scope.spawn(|| server.get("/hold?id=a"));
        server.await_log("holding a");
        server.deploy(&bundle(FRONT)).done();
        let holders = || json(&server.control(&["holders", "front@1.0.0", "--json"]).done());
        let old = holders();
        assert_eq!(
            (&old[0]["in_force"], &old[0]["total"]),
            (&json!(false), &json!(1))
        );
        assert_eq!(old[0]["holders"][0]["kind"], "request");
        let text = server.control(&["holders", "front"]).done();
        assert!(
            text.contains("front@1.0.0: not in force, held by 1"),
            "{text}"
        );
        assert!(text.contains("front@1.1.0: in force, held by 0"), "{text}");
        let evict = [
            "evict",
            "front@1.0.0",
            "--reason",
            "the building is closing",
        ];
        let said = server.control(&evict).done();
        assert_eq!(said, "evicted 1 requests from front@1.0.0\n");
        assert_eq!(held.join().unwrap().status / 100, 5);
        assert_eq!(holders()[0]["total"], 0);
    });
    let refusal = server.control(&["holders", "front@9.9.9"]).refused();
    assert!(refusal.contains("no bundle front@9.9.9"), "{refusal}");
}
