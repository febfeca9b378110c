//! The workspace keeps its own rules: the rooms' edges, the sizes of files, the lints.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

use crate::support::root;

/// Every room, and the other rooms whose code it may use.
const EDGES: [(&str, &[&str]); 5] = [
    ("versions", &[]),
    ("capnp", &[]),
    ("services", &["versions", "capnp"]),
    ("runtime", &["versions", "capnp", "services"]),
    // Users have the binary and the public API.
    ("tests", &["versions", "capnp", "services", "runtime"]),
];

/// What only the named rooms may depend on. V8 stays in the runtime; `versions` is pure.
const CONFINED: [(&str, &[&str]); 4] = [
    ("v8", &["runtime"]),
    ("serde_v8", &["runtime"]),
    ("tokio", &["services", "runtime", "tests"]),
    ("hyper", &["runtime"]),
];

/// What `versions` must not name: time, chance, disks and networks are its callers' business.
const IMPURE: [&str; 9] = [
    "fs",
    "net",
    "env",
    "thread",
    "process",
    "tokio",
    "Instant",
    "SystemTime",
    "rand",
];

const MAX_LINES: usize = 800;

#[test]
fn the_workspace_has_the_rooms_of_the_design_and_no_other_edges_between_them() {
    let workspace = manifest("Cargo.toml");
    let members: BTreeSet<_> = texts(&workspace["workspace"]["members"]).collect();
    assert_eq!(members, EDGES.iter().map(|(room, _)| *room).collect());
    for (room, allowed) in EDGES {
        let package = manifest(&format!("{room}/Cargo.toml"));
        assert_eq!(
            package["package"]["name"].as_str(),
            Some(&*format!("isolith-{room}"))
        );
        for dependency in dependencies(&package) {
            if let Some(other) = dependency.strip_prefix("isolith-") {
                assert!(
                    allowed.contains(&other),
                    "{room} must not depend on {other}"
                );
            }
            let confined = CONFINED.iter().find(|(name, _)| *name == dependency);
            assert!(
                confined.is_none_or(|(_, rooms)| rooms.contains(&room)),
                "{room} must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn versions_knows_no_clock_no_chance_no_disk_and_no_network() {
    let versions = root().join("versions");
    // Models run threads that are simulated; seeded bugs are not in what is shipped.
    let exempt = [versions.join("src/model"), versions.join("src/seeded.rs")];
    for file in sources(&versions, &["rs"]) {
        if exempt.iter().any(|path| file.starts_with(path)) {
            continue;
        }
        for (number, line) in lines(&file) {
            let code = line.split("//").next().unwrap();
            // As parts of a path: `std::fs`, `use std::{fs, net}`, `Instant::now`.
            let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            let path = code.contains("::");
            let named = words.find(|word| path && IMPURE.contains(word));
            assert_eq!(named, None, "{}:{number}: {line}", file.display());
        }
    }
}

#[test]
fn no_source_file_is_longer_than_800_lines() {
    let files: Vec<_> = rooms()
        .flat_map(|room| sources(&room, &["rs", "js", "ts"]))
        .collect();
    assert!(files.len() > 100, "only {} files were found", files.len());
    for file in files {
        let length = lines(&file).len();
        assert!(length <= MAX_LINES, "{} has {length} lines", file.display());
    }
}

#[test]
fn every_member_takes_the_shared_lints_and_none_is_switched_off_outside_of_tests() {
    let shared = &manifest("Cargo.toml")["workspace"]["lints"]["clippy"];
    for lint in ["unwrap_used", "expect_used", "panic"] {
        assert_eq!(shared[lint].as_str(), Some("deny"), "{lint}");
    }
    for (room, _) in EDGES {
        let package = manifest(&format!("{room}/Cargo.toml"));
        let lints = package
            .get("lints")
            .and_then(|lints| lints.get("workspace")?.as_bool());
        assert_eq!(lints, Some(true), "{room} does not take the shared lints");
    }
    let tests = |file: &Path| file.ends_with("tests.rs") || file.iter().any(|part| part == "tests");
    for file in rooms().flat_map(|room| sources(&room, &["rs"])) {
        if tests(file.strip_prefix(root()).unwrap()) {
            continue;
        }
        let lines = lines(&file);
        for (place, (number, line)) in lines.iter().enumerate() {
            let switched_off = (line.contains("allow(") || line.contains("expect("))
                && ["unwrap_used", "expect_used", "clippy::panic"]
                    .iter()
                    .any(|lint| line.contains(lint));
            // A module that capnpc wrote.
            let following = lines.iter().skip(place).take(3);
            let generated = following
                .into_iter()
                .any(|(_, line)| line.contains("OUT_DIR"));
            assert!(
                !switched_off || generated,
                "{}:{number} switches a lint off",
                file.display()
            );
        }
    }
}

#[test]
fn the_bundlers_parts_are_locked_at_one_version() {
    let lock = manifest("Cargo.lock");
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let (name, version) = (
            package["name"].as_str().unwrap(),
            package["version"].as_str().unwrap(),
        );
        let family = match name {
            // Released together, and asking for each other loosely.
            "string_wizard" => "rolldown",
            _ if name == "rolldown" || name.starts_with("rolldown_") => "rolldown",
            "oxc" => "oxc",
            _ => continue,
        };
        versions.entry(family).or_default().insert(version);
    }
    assert_eq!(
        versions["rolldown"],
        BTreeSet::from(["1.2.5"]),
        "run `cargo update -p NAME --precise 1.2.5`"
    );
    assert_eq!(versions["oxc"].len(), 1, "{versions:?}");
}

/// The rooms' folders.
fn rooms() -> impl Iterator<Item = PathBuf> {
    EDGES.iter().map(|(room, _)| root().join(room))
}

fn manifest(path: &str) -> Table {
    fs::read_to_string(root().join(path))
        .unwrap()
        .parse()
        .unwrap()
}

fn texts(value: &toml::Value) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
}

/// Everything that a package depends on, whatever for and wherever.
fn dependencies(package: &Table) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = package.get("target").and_then(toml::Value::as_table);
    let tables = targets
        .into_iter()
        .flat_map(Table::values)
        .filter_map(toml::Value::as_table);
    for table in tables.chain([package]) {
        for kind in kinds {
            for (name, value) in table
                .get(kind)
                .and_then(toml::Value::as_table)
                .into_iter()
                .flatten()
            {
                let renamed = value.get("package").and_then(toml::Value::as_str);
                found.insert(renamed.unwrap_or(name).to_owned());
            }
        }
    }
    found
}

/// Source files that people write: nothing installed, nothing generated.
fn sources(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !["node_modules", "target", "dist", "data"].contains(&name) {
                found.extend(sources(&path, extensions));
            }
        } else if extensions
            .iter()
            .any(|extension| name.ends_with(&format!(".{extension}")))
            && !name.ends_with(".d.ts")
        {
            found.push(path);
        }
    }
    found
}

fn lines(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).unwrap();
    (1..).zip(text.lines().map(str::to_owned)).collect()
}
