//! How long versions live: what is unloaded gives its memory back.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::bundles::bundles;
use crate::support::command::run;
use crate::support::http1::Request;
use crate::support::server::Server;
use crate::support::{case, copy_project, eventually, root};

const LAB: [&str; 2] = ["tests/cases/lab/front", "tests/cases/lab/greeter"];
/// Versions that are deployed one after the other, and what each keeps in memory.
const VERSIONS: u64 = 12;
const MIB_EACH: u64 = 24;

/// A greeter of another version that keeps memory of its own, in its heap and outside of it.
fn heavy_greeter(folder: &Path, version: u64) -> PathBuf {
    let project = folder.join(version.to_string());
    copy_project(&root().join(LAB[1]), &project);
    let edit = |file: &str, change: &dyn Fn(String) -> String| {
        let file = project.join(file);
        fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
    };
    edit("isolith.toml", &|text| {
        text.replace("\"1.0.0\"", &format!("\"1.{version}.0\""))
    });
    let half = MIB_EACH << 19;
    edit("src/main.ts", &|text| {
        format!(
            "{text}\nconst bytes = new Uint8Array({half}).fill(1);\n\
             const numbers = new Array({half} / 8).fill(0.5);\n\
             Object.assign(globalThis, {{ kept: [bytes, numbers] }});\n"
        )
    });
    let file = folder.join(format!("{version}.isolith"));
    run([Path::new("build"), &project, Path::new("-o"), &file]).done();
    file
}

fn loaded(server: &Server) -> Vec<String> {
    let status = server.status();
    let bundles = status["bundles"].as_array().unwrap().iter();
    bundles
        .filter(|bundle| bundle["isolates"] != 0)
        .map(|bundle| format!("{}@{}", bundle["service"], bundle["version"]))
        .map(|name| name.replace('"', ""))
        .collect()
}

/// P5, P11: each version goes when the next one is in force and its last request is over, and its
/// memory with it.
#[test]
fn versions_that_are_not_needed_any_more_give_their_memory_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&case("lab/app.toml"), &bundles(&LAB));
    let hello = Request::new("GET", "/hello?name=Ada");
    let mut before = 0;
    for version in 1..=VERSIONS {
        let mut holder = server.connect();
        holder.write(b"GET /hold?id=a HTTP/1.1\r\nhost: lab.test\r\n\r\n");
        eventually("it is held", || {
            let held = server.log().matches("holding a").count() as u64;
            (held == version).then_some(())
        });
        server.deploy(&heavy_greeter(folder.path(), version)).done();
        let served = server.send(&hello).json()["servedBy"].clone();
        assert_eq!(served, format!("1.{version}.0"));
        let former = format!("greeter@1.{}.0", version - 1);
        // As long as a request holds it, it stays.
        assert!(loaded(&server).contains(&former));
        drop(holder);
        eventually("the former version is unloaded", || {
            (!loaded(&server).contains(&former)).then_some(())
        });
        if version == 1 {
            before = server.resident_mib();
        }
    }
    let now = format!("greeter@1.{VERSIONS}.0");
    assert_eq!(loaded(&server), ["front@1.0.0", &now]);
    let after = server.resident_mib();
    let kept = (VERSIONS - 1) * MIB_EACH;
    assert!(
        after < before + kept / 4,
        "{before} MiB with one version, {after} MiB after {VERSIONS}: all would be {kept} more"
    );
}
