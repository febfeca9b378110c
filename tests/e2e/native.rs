//! Services written in Rust, beside others: a binary of one's own (tests/native/main.rs) serves them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::bundles::{bundles, workshop};
use crate::support::command::{finish, run};
use crate::support::http1::Connection;
use crate::support::server::Server;
use crate::support::{case, copy_project};

const FOLDERS: [&str; 2] = ["tests/cases/native/front", "tests/cases/native/rates"];

/// An `isolith` that has the service `ledger`, version 1.4.0 or `LEDGER_VERSION`.
fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_isolith-ledger"))
}

fn app() -> String {
    fs::read_to_string(case("native/app.toml")).unwrap()
}

fn serve_with(app: &str, environment: &[(&str, &str)]) -> Result<Server, String> {
    Server::start_of(binary(), app, &bundles(&FOLDERS), environment)
}

fn serve() -> Server {
    serve_with(&app(), &[]).unwrap_or_else(|said| panic!("it does not serve: {said}"))
}

fn get(server: &Server, case: &str) -> Value {
    let reply = server.get(&format!("/{case}"));
    assert_eq!(reply.status, 200, "{}\n{}", reply.text(), server.log());
    reply.json()
}

/// The project with something in one of its files replaced, as a bundle.
fn changed(project: &str, name: &str, file: &str, from: &str, to: &str) -> PathBuf {
    let folder = workshop().join(format!("native-{name}"));
    copy_project(&case(&format!("native/{project}")), &folder);
    let path = folder.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    let bundle = folder.with_extension("isolith");
    run([Path::new("build"), &folder, Path::new("-o"), &bundle]).done();
    bundle
}

fn newer(project: &str) -> PathBuf {
    let name = format!("{project}-1.1.0");
    changed(project, &name, "isolith.toml", "1.0.0", "1.1.0")
}

#[test]
fn javascript_and_rust_call_each_other_and_pass_each_other_objects() {
    let server = serve();
    // Ada had 10 and 5, gave the purse 3 and Bob 4; it is another shard's ledger each time.
    let expected = json!({
        "pipelined": 15,
        "purse": 3,
        "notes": ["ada has 8, says front", "bob has 4, says front"],
    });
    assert_eq!(get(&server, "objects"), expected, "{}", server.log());
    assert_eq!(get(&server, "streams"), json!({ "bytes": 2_000_000 }));
    assert_eq!(get(&server, "cancels"), json!({ "error": "AbortError" }));

    let status = server.status();
    let known = status["bundles"].as_array().unwrap();
    let ledger = known.iter().find(|one| one["service"] == "ledger").unwrap();
    assert_eq!(
        (&ledger["native"], &ledger["state"]),
        (&json!(true), &json!("running"))
    );
    assert!(ledger["requests"].as_u64().unwrap() > 20, "{ledger}");
}

/// Lengths on both sides of where messages move, and some that end inside of a word.
#[test]
fn bytes_cross_whole_however_many_they_are() {
    let server = serve();
    for length in [1, 1_000, 16_000, 16_384, 16_385, 100_001, 3_000_007] {
        let stamped = get(&server, &format!("stamps?length={length}"));
        let moved = length >= 16_384;
        let expected = json!({
            "length": length,
            "told": length,
            "wrong": -1,
            "readOnly": moved,
        });
        assert_eq!(stamped, expected, "{length}: {}", server.log());
    }
}

#[test]
fn errors_cross_with_their_kinds_and_say_where_they_arose() {
    let server = serve();
    let failed = |kind: &str, text: &str| {
        let message = format!("ledger.{text}");
        json!({ "kind": kind, "from": "ledger@1.4.0", "message": message })
    };
    let expected = json!({
        "chosen": failed("notFound", "refuse (ledger@1.4.0): there is no such thing"),
        "plain": failed("overloaded", "refuse (ledger@1.4.0): too much to do"),
        "handedOn": failed(
            "failed",
            "convert (ledger@1.4.0): rates@1.0.0: RangeError: no such currency: XXX",
        ),
        "auditors": failed("failed", "audit (ledger@1.4.0): front@1.0.0: TypeError: not today"),
        "builtOn": failed("notFound", "open (ledger@1.4.0): an account has a name"),
    });
    assert_eq!(get(&server, "errors"), expected);
}

#[test]
fn a_panic_fails_its_call_alone_and_is_counted() {
    let server = serve();
    let panics = get(&server, "panics");
    let message = panics["panicked"]["message"].as_str().unwrap();
    assert!(
        message.ends_with("Panic: a mistake in the ledger"),
        "{message}"
    );
    assert_eq!(
        (&panics["by"], &panics["after"]),
        (&json!("1.0.0"), &json!("1.0.0"))
    );
    let status = server.status();
    let known = status["bundles"].as_array().unwrap();
    let ledger = known.iter().find(|one| one["service"] == "ledger").unwrap();
    assert_eq!(
        (&ledger["ended"], &ledger["errors"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(status["parked_shards"], 0);
}

/// P3 and P12: a request stays on its versions through Rust and back, whatever is deployed meanwhile.
#[test]
fn calls_that_rust_makes_stay_in_the_set_of_their_request() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.jsonl");
    let app = app() + &format!("[trace]\nfile = {trace:?}\n");
    let server = serve_with(&app, &[]).unwrap_or_else(|said| panic!("{said}"));
    let (front, rates) = (newer("front"), newer("rates"));

    let mut open = server.connect();
    open.write(b"POST /pinned HTTP/1.1\r\nhost: native.test\r\ncontent-length: 1\r\n\r\n");
    server.await_log("the request is open");
    let files = [front.to_str().unwrap(), rates.to_str().unwrap()];
    server.control(&["deploy", files[0], files[1]]).done();
    let new = finish_pinned(&mut post(&server));
    assert_eq!(new, pinned("1.1.0"));
    open.write(b"x");
    assert_eq!(finish_pinned(&mut open), pinned("1.0.0"));

    drop((open, server));
    run([Path::new("verify"), &trace]).done();
}

fn post(server: &Server) -> Connection {
    let mut connection = server.connect();
    let head = b"POST /pinned HTTP/1.1\r\nhost: native.test\r\ncontent-length: 1\r\n\r\nx";
    connection.write(head);
    connection
}

fn finish_pinned(connection: &mut Connection) -> Value {
    let reply = connection.reply(false);
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn pinned(version: &str) -> Value {
    json!({
        "front": version,
        "seen": [version, version, version],
        "notes": [format!("ada has 0, says {version}")],
    })
}

#[test]
fn a_native_service_whose_schema_does_not_fit_its_callers_is_refused() {
    // What `open` returns is no text in the ledger's own schema.
    let (file, from) = ("schema/ledger.capnp", "-> (account :Account);");
    let odd = changed("front", "front-odd", file, from, "-> (account :Text);");
    let rates = bundles(&FOLDERS[1..]);
    let refused = Server::start_of(binary(), &app(), &[odd, rates[0].clone()], &[]);
    let said = refused.err().unwrap();
    assert!(said.contains("ledger@1.4.0"), "{said}");
    assert!(said.contains("does not fit the schema"), "{said}");

    // And one whose version nobody asks for.
    let refused = serve_with(&app(), &[("LEDGER_VERSION", "1.3.0")]);
    let said = refused.err().unwrap();
    assert!(said.contains("ledger ^1.4"), "{said}");
}

/// A new binary is how a native service is deployed: what is in force follows.
#[test]
fn a_restart_with_another_version_of_it_puts_that_into_force() {
    let server = serve();
    server.deploy(&newer("rates")).done();
    let mut server = server.restart_with(&[("LEDGER_VERSION", "1.5.0")]);
    let refused = get(&server, "errors")["chosen"]["from"].clone();
    assert_eq!(refused, "ledger@1.5.0");
    assert_eq!(get(&server, "panics")["by"], "1.1.0");
    let history = server.control(&["history"]).done();
    assert!(
        history.contains("start with other native services"),
        "{history}"
    );

    // What the application file says has the native services of the process beside it.
    let app = server.folder().join("app.toml");
    let applied = server.control(&["apply", app.to_str().unwrap()]).done();
    assert!(applied.contains("+ rates@1.0.0"), "{applied}");
    assert!(!applied.contains("ledger"), "{applied}");
    assert_eq!(get(&server, "panics")["by"], "1.0.0");

    // The ordinary binary does not have it, and says so.
    let mut plain = Command::new(crate::support::command::binary());
    plain.arg("serve").arg(server.folder().join("app.toml"));
    plain.args(["--listen", "127.0.0.1:0"]);
    server.kill();
    let said = finish(plain).refused();
    assert!(said.contains("built with ledger@1.5.0"), "{said}");
}
