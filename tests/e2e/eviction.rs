//! Services that keep more together than the memory budget allows.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::command::run;
use crate::support::server::Server;
use crate::support::{case, copy_project, eventually};

/// Services that keep 16 MiB each, where a budget of 100 MiB has room for five.
const KEEPERS: u64 = 20;
const KEPT_MIB: u64 = 16;
/// What the process may have: the budget, and what it has without any service and for one that comes
/// back before another goes.
const RESIDENT_MIB: u64 = 250;
const _: () = assert!(KEEPERS * KEPT_MIB > RESIDENT_MIB, "else it shows nothing");

/// Copies a project, changes its manifest, and builds it.
fn build(folder: &Path, project: &str, name: &str, manifest: impl Fn(String) -> String) -> PathBuf {
    let copy = folder.join(name);
    copy_project(&case("eviction").join(project), &copy);
    let file = copy.join("isolith.toml");
    fs::write(&file, manifest(fs::read_to_string(&file).unwrap())).unwrap();
    let bundle = folder.join(format!("{name}.isolith"));
    run([Path::new("build"), &copy, Path::new("-o"), &bundle]).done();
    bundle
}

/// How many services have an isolate, and how many were evicted so far.
fn loaded_and_evicted(server: &Server) -> (u64, u64) {
    let status = server.status();
    let bundles = status["bundles"].as_array().unwrap().iter();
    let sum = |name: &str| {
        let counts = bundles.clone().map(|bundle| bundle[name].as_u64().unwrap());
        counts.sum()
    };
    (sum("isolates"), sum("idle_evictions"))
}

#[test]
fn more_services_than_the_budget_has_room_for_all_keep_answering() {
    let folder = tempfile::tempdir().unwrap();
    let mut bundles: Vec<_> = (0..KEEPERS)
        .map(|place| {
            let name = format!("keeper{place}");
            build(folder.path(), "keeper", &name, |text| {
                text.replace("\"keeper\"", &format!("\"{name}\""))
            })
        })
        .collect();
    bundles.push(build(folder.path(), "front", "front", |mut text| {
        for place in 0..KEEPERS {
            text += &format!(
                "\n[imports.K{place}]\nservice = \"keeper{place}\"\nversion = \"^1\"\n\
                 interface = \"schema/keeper.capnp:Keeper\"\n"
            );
        }
        text
    }));
    let server = Server::start(&case("eviction/app.toml"), &bundles);
    let settled = || {
        eventually("what is loaded fits into the budget", || {
            let (loaded, evicted) = loaded_and_evicted(&server);
            // With the entry.
            (loaded <= 6).then_some(evicted)
        })
    };
    let mut evicted_before = settled();
    assert!(evicted_before >= KEEPERS - 5);
    let times = |place| server.get(&format!("/K{place}")).json()["times"].clone();
    for _ in 0..3 {
        let fresh = (0..KEEPERS).filter(|place| times(*place) == 1);
        assert!(
            fresh.count() as u64 >= KEEPERS - 5,
            "who comes back begins anew"
        );
        let evicted = settled();
        assert!(evicted >= evicted_before + KEEPERS - 5);
        evicted_before = evicted;
        // The allocator is told a little later.
        eventually("memory is given back", || {
            (server.resident_mib() < RESIDENT_MIB).then_some(())
        });
    }
    // Who is asked all the time keeps what it counts.
    let first = times(0).as_u64().unwrap();
    for more in 1..100 {
        assert_eq!(times(0), first + more);
    }
    server.await_log("idle isolates were evicted");
}
