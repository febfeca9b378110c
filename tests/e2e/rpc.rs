//! Clients outside, over Cap'n Proto RPC.

mod client;
mod hostile;
mod limits;
mod sticky;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::bundles::{bundles, workshop};
use crate::support::command::{finish, run};
use crate::support::server::Server;
use crate::support::{case, copy_project, eventually, root};

const FOLDERS: [&str; 2] = ["tests/cases/rpc/front", "tests/cases/rpc/auth"];

fn serve() -> Server {
    Server::start(&case("rpc/app.toml"), &bundles(&FOLDERS))
}

/// A later version of auth.
fn auth(version: &str) -> PathBuf {
    let project = workshop().join(format!("rpc-auth-{version}"));
    copy_project(&case("rpc/auth"), &project);
    let manifest = project.join("isolith.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("1.0.0", version, 1)).unwrap();
    let file = project.with_extension("isolith");
    let line = [Path::new("build"), &project, Path::new("-o"), &file];
    run(line).done();
    file
}

/// A Python that has pycapnp, from the Python package index, its hash checked.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let folder = workshop().join("python");
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&folder);
        finish(venv).done();
        let python = folder.join("bin/python");
        let mut install = Command::new(&python);
        install
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(["--only-binary=:all:", "--no-deps", "--require-hashes", "-r"])
            .arg(case("rpc/requirements.txt"));
        finish(install).done();
        python
    })
}

#[test]
fn a_client_in_another_language_stays_on_its_versions_while_new_ones_are_deployed() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.jsonl");
    let app = fs::read_to_string(case("rpc/app.toml")).unwrap();
    let app = app + &format!("[trace]\nfile = {trace:?}\n");
    let server = Server::start_with(&app, &bundles(&FOLDERS));
    let second = auth("1.1.0");
    let mut client = Command::new(python())
        .arg(case("rpc/client.py"))
        .arg(root().join("capnp/schema/rpc.capnp"))
        .arg(case("rpc/auth/schema/auth.capnp"))
        .arg("127.0.0.1")
        .arg(server.rpc().port().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let ready = lines.next().unwrap().unwrap();
    assert_eq!(ready, "ready", "{}", server.log());
    server.deploy(&second).done();
    let held = server.control(&["holders", "auth@1.0.0"]).done();
    assert!(held.contains("capability"), "{held}");
    client.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    let told: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert!(client.wait().unwrap().success(), "{}", server.log());

    let at = |version: &str| json!({ "version": version, "object": version, "pipelined": version });
    assert_eq!(told["before"], at("1.0.0"), "{told:#}");
    assert_eq!(told["after"], at("1.0.0"), "{told:#}");
    assert_eq!(told["old object"], "1.0.0");
    assert_eq!(told["fresh"], at("1.1.0"), "{told:#}");
    assert_eq!(told["retried"], at("1.0.0"), "{told:#}");
    assert_eq!(told["override"], at("1.0.0"), "{told:#}");
    assert_eq!(told["token"], true);
    assert_eq!(told["callback"], "Hello, Grace");
    assert_eq!(told["chain"], "Grace");
    assert_eq!(told["echo"], true);
    assert_eq!(told["inherited"], "Ada");
    let text = |key: &str| told[key].as_str().unwrap();
    assert!(text("failed").contains("failed: auth@1.0.0: "), "{told:#}");
    assert!(!text("failed").contains("secret"), "{told:#}");
    assert!(text("refused").contains("may not be opened"), "{told:#}");
    assert!(text("other set").contains("other-version-set"), "{told:#}");
    assert!(text("unknown version").contains("override: "), "{told:#}");
    assert!(text("forged").contains("pin-token: "), "{told:#}");

    // The client is gone, and what it held.
    eventually("nothing holds the old version", || {
        let held = server.control(&["holders", "auth@1.0.0"]);
        (!held.stdout.contains("capability")).then_some(())
    });
    server.terminate();
    server.ended();
    run([Path::new("verify"), &trace]).done();
}
