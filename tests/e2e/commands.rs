//! `isolith call`, `check`, `types`, `status`, and what they say when something is wrong.

use std::fs;
use std::path::Path;

use expect_test::expect_file;
use serde_json::json;

use crate::support::bundles::{bundle, bundles};
use crate::support::command::{json, run, run_in};
use crate::support::server::Server;
use crate::support::{case, copy_project, positions};

const FRONT: &str = "tests/cases/lab/front";
const GREETER: &str = "tests/cases/lab/greeter";

#[test]
fn call_gives_the_result_as_json_or_the_error_with_its_mapped_stack() {
    let server = Server::start(&case("lab/app.toml"), &bundles(&[FRONT, GREETER]));
    let called = server.control(&["call", "greeter", "greet", r#"{"name": "Ada"}"#]);
    assert!(
        called.stderr.starts_with("greeter@1.0.0 in set sha256:"),
        "{called:?}"
    );
    let greeting = json!({ "text": "Hello, Ada", "servedBy": "1.0.0", "length": 10 });
    assert_eq!(json(&called.done()), json!({ "greeting": greeting }));
    // With its version and its export; and with the default argument.
    let exactly = ["call", "greeter@1.0.0", "GREETER.count", r#"{"from": 41}"#];
    assert_eq!(json(&server.control(&exactly).done()), json!({ "to": 42 }));
    let default = server.control(&["call", "greeter", "count"]).done();
    assert_eq!(json(&default), json!({ "to": 1 }));

    let source = fs::read_to_string(case("lab/greeter/src/main.ts")).unwrap();
    let line = |text: &str| 1 + source.lines().position(|line| line.contains(text)).unwrap();
    let thrown = format!("at required (src/main.ts:{}:", line("throw new"));
    let mistakes: [(&[&str], &[&str]); 8] = [
        (
            &["greeter", "greet", r#"{"name": ""}"#],
            &[
                "greeter@1.0.0: RangeError: a name must not be empty",
                &thrown,
            ],
        ),
        (
            &["greeter", "gret", "{}"],
            &["greeter@1.0.0", "gret", "greet", "count"],
        ),
        (&["greeter", "greet", "{name"], &["JSON", "position 1"]),
        (
            &["greeter", "greet", r#"{"name": 5}"#],
            &["\"name\"", "expected a string, got 5"],
        ),
        (
            &["greeter", "count", r#"{"from": -1}"#],
            &["\"from\"", "-1"],
        ),
        (&["greeter@9.9.9", "greet", "{}"], &["greeter", "1.0.0"]),
        (&["greeter@one", "greet", "{}"], &["`one` is not a version"]),
        (&["greter", "greet", "{}"], &["no service greter"]),
    ];
    for (arguments, reasons) in mistakes {
        let text = server.control(&[&["call"], arguments].concat()).refused();
        for reason in reasons {
            assert!(
                text.contains(reason),
                "{arguments:?}: {reason:?} is not in {text}"
            );
        }
    }
    // The stack has the service's own frames and no others.
    let text = server.control(&["call", "greeter", "greet"]).refused();
    let lines: Vec<_> = positions(&text).into_iter().map(|(line, _)| line).collect();
    assert_eq!(
        lines,
        [line("throw new"), line("required({ name })")],
        "{text}"
    );
    // Nothing of it did any harm.
    assert_eq!(server.get("/hello?name=Ada").json(), greeting);
}

#[test]
fn check_prints_the_wiring_or_the_reason_against_it() {
    let parts = bundles(&[FRONT, GREETER]);
    let front = parts[0].to_str().unwrap();
    let greeter = parts[1].to_str().unwrap();
    let wiring = run(["check", front, greeter]).done();
    for part in [
        "set sha256:",
        "front@1.0.0",
        "GREETER -> greeter@1.0.0 GREETER  (asks for ^1)",
    ] {
        assert!(wiring.contains(part), "{part:?} is not in {wiring}");
    }
    let alone = run(["check", front]).refused();
    assert!(
        alone.contains("front@1.0.0") && alone.contains("greeter ^1"),
        "{alone}"
    );
    let changed = bundle("tests/cases/refused/field-changed");
    let unfit = run(["check", front, changed.to_str().unwrap()]).refused();
    assert!(
        unfit.contains("greeter@1.1.0") && unfit.contains("length"),
        "{unfit}"
    );
}

#[test]
fn types_declares_the_services_interfaces() {
    let temp = tempfile::tempdir().unwrap();
    copy_project(&case("lab/greeter"), temp.path());
    let said = run([Path::new("types"), temp.path()]).done();
    let file = temp.path().join("isolith-schema.d.ts");
    assert_eq!(Path::new(said.trim_end()), file);
    let text = fs::read_to_string(file).unwrap();
    expect_file![case("types").join("greeter.d.ts")].assert_eq(&text);
}

#[test]
fn types_reports_a_schema_error_as_build_does() {
    let text = run([Path::new("types"), &case("sources/schema-error")]).refused();
    let expected = fs::read_to_string(case("sources").join("schema-error.stderr")).unwrap();
    assert_eq!(text, expected);
}

#[test]
fn an_application_file_with_mistakes_is_refused_with_file_line_and_hint() {
    for entry in fs::read_dir(case("applications")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let temp = tempfile::tempdir().unwrap();
            fs::copy(&path, temp.path().join("app.toml")).unwrap();
            let text = run_in(temp.path(), ["serve", "app.toml"]).refused();
            expect_file![path.with_extension("stderr")].assert_eq(&text);
        }
    }
}

#[test]
fn commands_to_a_process_that_is_not_there_say_so() {
    let temp = tempfile::tempdir().unwrap();
    let socket = temp.path().join("control.sock");
    let socket = socket.to_str().unwrap();
    let greeter = bundle(GREETER);
    let commands: [&[&str]; 3] = [
        &["status", "--socket", socket],
        &["call", "--socket", socket, "greeter", "greet"],
        &["deploy", "--socket", socket, greeter.to_str().unwrap()],
    ];
    for command in commands {
        let text = run(command).refused();
        assert!(
            text.contains(socket) && text.contains("isolith serve"),
            "{text}"
        );
    }
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for line in [&["depoly"][..], &["build"], &["inspect", "a", "b"], &[]] {
        let ran = run(line);
        assert_eq!(ran.code, Some(2), "{line:?}: {ran:?}");
        assert!(
            ran.stderr.contains("Usage:") || ran.stdout.contains("Usage:"),
            "{ran:?}"
        );
    }
}
