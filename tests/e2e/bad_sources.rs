//! `isolith build` on what cannot be built: each mistake gets its file, line and hint.
//!
//! The expected texts lie beside the inputs, as `NAME.stderr`.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use serde_json::json;

use crate::support::command::{json, run};
use crate::support::{case, copy_project, root};

#[test]
fn a_manifest_with_each_kind_of_mistake_is_refused_with_file_line_and_hint() {
    let cases = files(&case("manifests"), "toml");
    assert!(cases.len() >= 10, "{cases:?}");
    for manifest in cases {
        let project = tempfile::tempdir().unwrap();
        copy_project(&case("lab/front/src"), &project.path().join("src"));
        fs::copy(&manifest, project.path().join("isolith.toml")).unwrap();
        expect_refusal(project.path(), &manifest);
    }
}

#[test]
fn a_folder_without_a_manifest_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = run([Path::new("build"), folder.path()]).refused();
    assert!(
        text.starts_with("error: isolith.toml: cannot be read"),
        "{text}"
    );
}

#[test]
fn bad_sources_schemas_and_lock_files_are_refused_with_file_line_and_hint() {
    // All of them together: one imports a file that lies beside its folder.
    let temp = tempfile::tempdir().unwrap();
    copy_project(&case("sources"), temp.path());
    let mut tried = 0;
    for entry in fs::read_dir(case("sources")).unwrap() {
        let folder = entry.unwrap().path();
        if folder.is_dir() {
            expect_refusal(&temp.path().join(folder.file_name().unwrap()), &folder);
            tried += 1;
        }
    }
    assert!(tried >= 12, "{tried}");
}

#[test]
fn an_installed_package_that_differs_from_the_lock_file_is_refused() {
    let (_temp, project) = installed();
    let file = project.join("node_modules/zod/package.json");
    let mut package = json(&fs::read_to_string(&file).unwrap());
    package["version"] = json!("3.24.3");
    fs::write(&file, package.to_string()).unwrap();
    let text = run([Path::new("build"), &project]).refused();
    for part in [
        "package-lock.json",
        "`zod` 3.24.4",
        "`zod` 3.24.3 is installed",
        "hint: ",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn an_installed_package_whose_files_were_altered_is_refused() {
    let (_temp, project) = installed();
    let lib = project.join("node_modules/zod/lib");
    let altered = files(&lib, "mjs").into_iter().chain(files(&lib, "js"));
    for file in altered {
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, text + "\nglobalThis.altered = true;\n").unwrap();
    }
    let text = run([Path::new("build"), &project]).refused();
    assert!(
        text.contains("the installed `zod` 3.24.4 was altered"),
        "{text}"
    );
}

#[test]
fn a_tarball_that_the_lock_file_does_not_promise_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let project = temp.path();
    copy_project(&case("majors/three"), project);
    let file = project.join("package-lock.json");
    let mut lock = json(&fs::read_to_string(&file).unwrap());
    // The hash of something else, so that it cannot be in any cache.
    let other = format!("sha512-{}==", "B".repeat(86));
    lock["packages"]["node_modules/zod"]["integrity"] = json!(other);
    fs::write(&file, lock.to_string()).unwrap();
    let ran = run([Path::new("build"), project]);
    assert_eq!(ran.code, Some(1));
    let text = ran.stderr;
    assert!(
        text.contains("error: the tarball of `zod` 3.24.4"),
        "{text}"
    );
    assert!(text.contains("hash differs"), "{text}");
    assert!(
        !project.join("node_modules").exists(),
        "something was installed"
    );
}

/// A project whose packages were installed by a build.
fn installed() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let project = temp.path().join("three");
    copy_project(&root().join("tests/cases/majors/three"), &project);
    run([Path::new("build"), &project]).done();
    (temp, project)
}

/// Builds `project`, and compares what is said with the file beside `input`.
fn expect_refusal(project: &Path, input: &Path) {
    let text = run([Path::new("build"), project]).refused();
    assert!(
        !project.join("dist").exists(),
        "{} left something",
        input.display()
    );
    expect_file![input.with_extension("stderr")].assert_eq(&text);
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}
