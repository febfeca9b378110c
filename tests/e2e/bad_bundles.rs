//! Bundle files that are not what a build wrote.

use std::fs;
use std::path::Path;

use crate::support::bundles::{bundle, bundles};
use crate::support::case;
use crate::support::command::run;
use crate::support::server::Server;

const GREETER: &str = "tests/cases/lab/greeter";

/// Damaged files, and what is said of them.
fn damaged() -> Vec<(String, Vec<u8>, &'static str)> {
    let whole = fs::read(bundle("tests/cases/refused/next")).unwrap();
    let mut cases = vec![
        ("empty".to_owned(), Vec::new(), "truncated"),
        (
            "text".to_owned(),
            fs::read(case("lab/app.toml")).unwrap(),
            "not a bundle",
        ),
    ];
    for length in [1, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        let name = format!("the first {length} bytes");
        cases.push((name, whole[..length].to_vec(), "truncated"));
    }
    let longer = [&whole[..], &[0; 8]].concat();
    cases.push(("with 8 bytes more".to_owned(), longer, "corrupt"));
    // From the first word to the last, spread over the whole file. The first 8 bytes say how long
    // the file is, so a flip there can look as if the rest were missing.
    let step = whole.len() / 40;
    let offsets = (0..whole.len()).step_by(step).chain([whole.len() - 1]);
    for offset in offsets {
        let mut flipped = whole.clone();
        flipped[offset] ^= 1 << (offset % 8);
        let reason = if offset < 8 { "the file is" } else { "corrupt" };
        cases.push((
            format!("bit {} of byte {offset} flipped", offset % 8),
            flipped,
            reason,
        ));
    }
    cases
}

#[test]
fn a_truncated_or_bit_flipped_bundle_is_refused_by_inspect() {
    let temp = tempfile::tempdir().unwrap();
    for (name, bytes, reason) in damaged() {
        let file = temp.path().join("damaged.isolith");
        fs::write(&file, bytes).unwrap();
        expect_refusal(&name, &run([Path::new("inspect"), &file]).refused(), reason);
    }
    let absent = temp.path().join("absent.isolith");
    let text = run([Path::new("inspect"), &absent]).refused();
    assert!(
        text.contains("absent.isolith") && text.contains("No such file"),
        "{text}"
    );
}

#[test]
fn a_damaged_bundle_is_refused_by_deploy_and_nothing_that_runs_is_touched() {
    let parts = bundles(&["tests/cases/lab/front", GREETER]);
    let server = Server::start(&case("lab/app.toml"), &parts);
    let before = server.get("/hello?name=Ada");
    assert_eq!(before.status, 200);
    let temp = tempfile::tempdir().unwrap();
    for (name, bytes, reason) in damaged() {
        let file = temp.path().join("damaged.isolith");
        fs::write(&file, bytes).unwrap();
        expect_refusal(&name, &server.deploy(&file).refused(), reason);
    }
    let after = server.get("/hello?name=Ada");
    assert_eq!(after.json(), before.json());
    for header in ["isolith-set", "isolith-epoch"] {
        assert_eq!(after.header(header), before.header(header));
    }
    // The whole one is taken.
    server.deploy(&bundle("tests/cases/refused/next")).done();
    assert_eq!(server.get("/hello?name=Ada").json()["servedBy"], "1.1.0");
}

#[test]
fn a_process_does_not_start_on_a_damaged_bundle() {
    let temp = tempfile::tempdir().unwrap();
    let dist = temp.path().join("dist");
    fs::create_dir(&dist).unwrap();
    let mut bytes = fs::read(bundle(GREETER)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(dist.join("greeter.isolith"), bytes).unwrap();
    let app = temp.path().join("app.toml");
    fs::copy(case("lab/app.toml"), &app).unwrap();
    let text = run([Path::new("serve"), &app]).refused();
    expect_refusal("serve", &text, "corrupt");
}

/// The file, what is wrong with it, and what to do.
fn expect_refusal(name: &str, text: &str, reason: &str) {
    for part in ["error: ", ".isolith: ", reason, "copy or build it again"] {
        assert!(text.contains(part), "{name}: {part:?} is not in {text}");
    }
}
