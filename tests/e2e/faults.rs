//! Disks that are full or read-only, files that are damaged, threads that die: each leads back to
//! the last acknowledged state, or to a refusal that says what to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::bundles::{bundle, bundles};
use crate::support::case;
use crate::support::command::{Ran, binary, finish, run};
use crate::support::http1::Request;
use crate::support::http2;
use crate::support::server::Server;

const LAB: [&str; 2] = ["tests/cases/lab/front", "tests/cases/lab/greeter"];
/// greeter 1.1.0
const NEXT: &str = "tests/cases/refused/next";
/// front 1.1.0
const FRONT: &str = "tests/cases/rollouts/front";
/// A front that loses its shard on request.
const BOMB: &str = "tests/cases/faults/bomb";

/// Shorter than any file that a process has written once it served something.
const FULL: Option<u64> = Some(2_048);

/// The lab, traced, where greeter 1.1.0 was deployed as change 2.
fn lab(trace: &Path) -> Server {
    let app = fs::read_to_string(case("lab/app.toml")).unwrap();
    let app = format!("{app}\n[trace]\nfile = {trace:?}\n");
    let server = Server::start_with(&app, &bundles(&LAB));
    greet(&server, "1.0.0");
    server.deploy(&bundle(NEXT)).done();
    greet(&server, "1.1.0");
    server
}

/// Some requests, which this version must answer.
fn greet(server: &Server, version: &str) {
    let mut client = server.connect();
    for _ in 0..20 {
        let reply = client.send(&Request::new("GET", "/hello?name=Ada"));
        assert_eq!(reply.json()["servedBy"], version);
    }
}

/// What a killed process's folder is refused with.
fn refusal(server: &Server) -> String {
    let said = server.again().err();
    said.expect("it serves what it should refuse")
}

/// Serves a killed process's folder from a shell script, which must come to `exec "$@"`.
fn serve_in(server: &Server, script: &str) -> Ran {
    let mut line = Command::new("sh");
    line.args(["-c", script, "sh"]).arg(binary()).arg("serve");
    line.arg(server.folder().join("app.toml"));
    line.args(["--listen", "127.0.0.1:0"]);
    finish(line)
}

/// Changes a byte in the middle of a file; gives what the file was.
fn damage(file: &Path) -> Vec<u8> {
    let good = fs::read(file).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 0x10;
    fs::write(file, bad).unwrap();
    good
}

/// Where the store keeps a bundle.
fn stored(server: &Server, file: &Path) -> PathBuf {
    let content = fs::read(file).unwrap();
    let entries = fs::read_dir(server.folder().join("data/bundles")).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths
        .find(|path| fs::read(path).unwrap() == content)
        .unwrap()
}

#[test]
fn a_full_disk_refuses_changes_and_serves_on_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.jsonl");
    let mut server = lab(&trace);
    server.limit_files(FULL);
    for what in [
        &["rollback", "1"][..],
        &["deploy", bundle(FRONT).to_str().unwrap()],
    ] {
        let said = server.control(what).refused();
        assert!(said.contains("File too large"), "{said}");
        assert!(said.contains("data/"), "{said}");
        greet(&server, "1.1.0");
        assert_eq!(server.status()["change"], 2);
    }
    let log = server.await_log("trace.jsonl cannot be written");
    assert_eq!(log.matches("cannot be written").count(), 1, "{log}");

    // Nothing has to be started anew once there is room.
    server.limit_files(None);
    server.control(&["rollback", "1"]).done();
    greet(&server, "1.0.0");
    assert_eq!(server.status()["change"], 3);
    server.deploy(&bundle(FRONT)).done();

    // A process that ends while it is full comes back to what was acknowledged.
    server.limit_files(FULL);
    let said = server.control(&["rollback", "2"]).refused();
    assert!(said.contains("what was acknowledged is kept"), "{said}");
    server.kill();
    // `ulimit` counts blocks.
    let said = serve_in(&server, "ulimit -f 1 && exec \"$@\"").refused();
    assert!(
        said.contains("state.redb: ") && said.contains("has space"),
        "{said}"
    );
    let server = server.again().unwrap();
    assert_eq!(server.status()["change"], 4);
    greet(&server, "1.0.0");

    // What the trace has is whole, and of use with a line that is not.
    server.terminate();
    assert!(server.ended().0.success());
    let ran = run([Path::new("verify"), &trace]);
    assert_eq!(ran.stderr, "", "{ran:?}");
    assert!(ran.done().contains("no violations"));
    let text = fs::read_to_string(&trace).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    let end = lines
        .iter()
        .rposition(|line| line.contains("\"end\""))
        .unwrap();
    lines[end] = &lines[end][..15];
    fs::write(&trace, lines.join("\n") + "\n").unwrap();
    let ran = run([Path::new("verify"), &trace]);
    let named = format!("line {} is no record of a trace", end + 1);
    assert!(ran.stderr.contains(&named), "{ran:?}");
    assert!(ran.stderr.contains("lines left out: 1"), "{ran:?}");
    assert!(ran.done().contains("no violations"));
}

#[test]
fn a_data_directory_that_cannot_be_written_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = lab(&folder.path().join("trace.jsonl"));
    server.kill();
    // Nobody makes folders there, root neither.
    let said = serve_in(&server, "exec \"$@\" --data-dir /sys/isolith").refused();
    assert!(
        said.contains("/sys/isolith: ") && said.contains("--data-dir"),
        "{said}"
    );

    // Permissions bind nobody who is root; a disk that is mounted read-only binds everybody.
    let data = server.folder().join("data");
    let remount = format!(
        "unshare -rm sh -c 'mount --bind {0} {0} && mount -o remount,bind,ro {0} && exec \"$@\"' \
         sh \"$@\"",
        data.display()
    );
    let before = fs::read(data.join("state.redb")).unwrap();
    match finish(probe()).code {
        Some(0) => {
            let said = serve_in(&server, &remount).refused();
            assert!(said.contains(&format!("cannot use the data directory {}", data.display())));
            assert!(said.contains("Read-only file system"), "{said}");
        }
        _ => println!("not tried: the system lets nobody mount here"),
    }
    assert!(fs::read(data.join("state.redb")).unwrap() == before);
    greet(&server.again().unwrap(), "1.1.0");
}

/// Whether file systems can be mounted, in a name space of one's own.
fn probe() -> Command {
    let mut line = Command::new("sh");
    line.args(["-c", "unshare -rm mount --bind /tmp /tmp"]);
    line
}

#[test]
fn a_damaged_state_file_is_refused_and_its_copy_leads_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = lab(&folder.path().join("trace.jsonl"));
    server.kill();
    let state = server.folder().join("data/state.redb");
    let good = fs::read(&state).unwrap();
    let change = b"deploy greeter@1.1.0";
    let places: Vec<_> = (0..good.len() - change.len())
        .filter(|place| good[*place..].starts_with(change))
        .collect();
    assert!(!places.is_empty());
    let mut bad = good.clone();
    // The text stays one, and the value JSON.
    places.iter().for_each(|place| bad[*place] ^= 1);
    for damaged in [&bad[..], &good[..good.len() / 2], &good[..100]] {
        fs::write(&state, damaged).unwrap();
        let said = refusal(&server);
        assert!(said.contains("state.redb is damaged"), "{said}");
        assert!(said.contains("restore it from a copy"), "{said}");
    }
    fs::write(&state, &good).unwrap();
    let server = server.again().unwrap();
    assert_eq!(server.status()["change"], 2);
    greet(&server, "1.1.0");
}

#[test]
fn a_damaged_bundle_is_named_and_the_others_serve_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = lab(&folder.path().join("trace.jsonl"));
    server.kill();
    let file = stored(&server, &bundle(NEXT));
    let good = damage(&file);
    let said = refusal(&server);
    assert!(
        said.contains(&format!("{} is damaged", file.display())),
        "{said}"
    );
    assert!(
        said.contains("put the file back, or move state.redb away"),
        "{said}"
    );
    fs::write(&file, &good).unwrap();
    let mut server = server.again().unwrap();
    greet(&server, "1.1.0");

    // Out of force, it keeps nothing from being served.
    server.control(&["rollback", "1"]).done();
    server.kill();
    damage(&file);
    let server = server.again().unwrap();
    server.await_log("a bundle that is not in force is lost");
    let said = server.control(&["rollback", "2"]).refused();
    assert!(said.contains("is damaged"), "{said}");
    greet(&server, "1.0.0");
    server.deploy(&bundle(NEXT)).done();
    greet(&server, "1.1.0");
    assert_eq!(fs::read(&file).unwrap(), good);
}

fn bomb(settings: &str) -> Server {
    let app = "[app]\nname = \"bomb\"\nentry = \"front\"\nbundles = [\"dist/*.isolith\"]\n";
    Server::start_with(&format!("{app}{settings}"), &[bundle(BOMB)])
}

#[test]
fn past_the_bound_on_parked_shards_the_process_ends_what_is_open_and_asks_to_be_started_again() {
    let server = bomb("[limits]\nparked_shards_max = 0\n[runtime]\nshards = 2\n");
    std::thread::scope(|scope| {
        // Connections go to the shards in turn.
        let slow = scope.spawn(|| server.get("/slow"));
        server.await_log("slow");
        let lost = server.get("/bomb");
        lost.problem(503);
        let slow = slow.join().unwrap();
        assert_eq!((slow.status, slow.text()), (200, "slow, and whole"));
    });
    let (status, log) = server.ended();
    assert_eq!(status.code(), Some(75), "{log}");
    assert!(log.contains("1 shards are parked for good"), "{log}");
    assert!(log.contains("start the process again"), "{log}");
}

#[test]
fn a_client_of_a_lost_shard_is_told_to_go_away_and_served_by_the_next() {
    let server = bomb("[runtime]\nshards = 1\n");
    http2::with_connection(server.address(), async |mut requests| {
        let (fine, _) = http2::begin(&mut requests, "GET", "/fine", true).await;
        assert_eq!(http2::answer(fine).await.all().await, b"fine");
        let (held, _) = http2::begin(&mut requests, "GET", "/slow", true).await;
        let (bomb, _) = http2::begin(&mut requests, "GET", "/bomb", true).await;
        for response in [bomb, held] {
            // Whether they had an effect, nobody knows.
            assert!(response.await.is_err());
        }
        let error = requests.ready().await.err().unwrap();
        assert!(error.is_go_away() && error.is_remote(), "{error:?}");
    });
    // A connection waits for the shard's successor.
    assert_eq!(server.get("/fine").text(), "fine");
    assert_eq!(server.status()["parked_shards"], 1);
}
