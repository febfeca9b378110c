//! `isolith build` and `isolith inspect`: the same bytes everywhere, and what is in them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::bundles::bundle;
use crate::support::command::{finish, isolith, json, run, run_in};
use crate::support::{case, copy_project, root};

/// The folder of a project with npm packages, schemas and exports.
const AUTH: &str = "services/examples/demo/auth-1";

#[test]
fn building_twice_in_different_folders_gives_equal_digests_without_node_or_a_capnp_compiler() {
    let temp = tempfile::tempdir().unwrap();
    let nothing = temp.path().join("no-programs-here");
    fs::create_dir(&nothing).unwrap();
    let build = |folder: &str| {
        let project = temp.path().join(folder);
        if !project.exists() {
            copy_project(&root().join(AUTH), &project);
        }
        let mut command = isolith();
        command.env("PATH", &nothing).arg("build").arg(&project);
        let said = finish(command).done();
        let (file, digest) = said.trim_end().rsplit_once(' ').unwrap();
        assert_eq!(Path::new(file), project.join("dist/auth-1.4.0.isolith"));
        (digest.to_owned(), fs::read(file).unwrap())
    };
    // The second build finds installed packages and a bundle where the first one found none.
    let (first, again, elsewhere) = (build("a"), build("a"), build("somewhere/else/entirely"));
    assert!(first.0.starts_with("sha256:") && first.0.len() == "sha256:".len() + 64);
    assert!(first == again, "{} is not {}", again.0, first.0);
    assert!(first == elsewhere, "{} is not {}", elsewhere.0, first.0);
}

#[test]
fn a_change_in_the_sources_changes_the_digest() {
    let temp = tempfile::tempdir().unwrap();
    copy_project(&case("lab/greeter"), temp.path());
    let main = temp.path().join("src/main.ts");
    let changed = fs::read_to_string(&main)
        .unwrap()
        .replace("Hello", "Good morning");
    fs::write(main, changed).unwrap();
    let said = run([Path::new("build"), temp.path()]).done();
    assert!(!said.contains(digest_of(&inspect("tests/cases/lab/greeter"))));
}

#[test]
fn a_bundle_is_written_where_it_is_asked_for() {
    let temp = tempfile::tempdir().unwrap();
    copy_project(&case("lab/greeter"), &temp.path().join("greeter"));
    for output in ["greeter.isolith", "new/folder/greeter.isolith"] {
        let said = run_in(temp.path(), ["build", "greeter", "-o", output]).done();
        assert!(said.starts_with(&format!("{output} sha256:")), "{said}");
        assert!(temp.path().join(output).is_file());
    }
}

#[test]
fn inspect_lists_inlined_npm_packages_with_version_and_integrity() {
    for (project, names) in [
        (AUTH, vec!["jose", "zod"]),
        ("services/examples/demo/frontend", vec!["zod"]),
    ] {
        let lock = fs::read_to_string(root().join(project).join("package-lock.json")).unwrap();
        let lock = json(&lock);
        let expected: Vec<Value> = names
            .iter()
            .map(|name| {
                let locked = &lock["packages"][format!("node_modules/{name}")];
                json!({ "name": name, "version": locked["version"], "integrity": locked["integrity"] })
            })
            .collect();
        assert_eq!(
            inspect(project)["dependencies"],
            Value::from(expected.clone())
        );

        let file = bundle(project);
        let text = run([Path::new("inspect"), &file]).done();
        for package in &expected {
            let words = ["name", "version", "integrity"].map(|key| package[key].as_str().unwrap());
            let listed = text.lines().any(|line| line.split_whitespace().eq(words));
            assert!(listed, "{words:?} is not in\n{text}");
        }
    }
}

#[test]
fn inspect_tells_what_a_bundle_serves_and_asks_for() {
    let front = inspect("tests/cases/lab/front");
    assert_eq!(
        (&front["service"], &front["version"]),
        (&json!("front"), &json!("1.0.0"))
    );
    assert_eq!(
        (&front["http"], &front["signed_by"]),
        (&json!(true), &json!(null))
    );
    assert_eq!(front["dependencies"], json!([]));
    let import = &front["imports"][0];
    assert_eq!(
        (&import["service"], &import["range"]),
        (&json!("greeter"), &json!("^1"))
    );
    let greeter = inspect("tests/cases/lab/greeter");
    let export = &greeter["exports"][0];
    assert_eq!(export["class"], "GreeterService");
    assert_eq!(export["interface_id"], import["interface_id"]);
}

fn inspect(project: &str) -> Value {
    let file = bundle(project);
    json(&run(["inspect", "--json", file.to_str().unwrap()]).done())
}

fn digest_of(inspection: &Value) -> &str {
    inspection["digest"].as_str().unwrap()
}
