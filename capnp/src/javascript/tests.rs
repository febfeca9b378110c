use super::*;
use crate::{fixtures, schema};

fn read(text: &str) -> Schema {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("@0xd1f2a85b60c943e9;\n{text}");
    std::fs::write(folder.path().join("a.capnp"), text).unwrap();
    let bytes = schema::compile(folder.path(), &["a.capnp"], &[] as &[&str]).unwrap();
    Schema::read(&bytes).unwrap()
}

fn refusal(text: &str) -> String {
    let schema = read(text);
    let (node, _) = schema.interface("a.capnp:A").unwrap();
    generate(&schema, &[node.id]).unwrap_err().to_string()
}

/// What it does is for `fixtures::MESSAGE_TEST_JS` to say, which needs an engine.
#[test]
fn the_code_declares_all_that_it_uses() {
    let schema = fixtures::schema();
    let id = schema.interface("fixture.capnp:Fixture").unwrap().0.id;
    let code = generate(&schema, &[id]).unwrap();
    assert_eq!(code, generate(&schema, &[id]).unwrap());
    for (open, close) in [('{', '}'), ('(', ')'), ('[', ']')] {
        assert_eq!(
            code.matches(open).count(),
            code.matches(close).count(),
            "{open}"
        );
    }
    let words = code.split(|c: char| !c.is_ascii_alphanumeric());
    let mut used = 0;
    for word in words {
        let digits = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let kind = &word[..word.len() - digits.len()];
        let declaration = match kind {
            "S" | "L" => "class ",
            "E" | "N" | "F" | "U" | "I" | "P" => "const ",
            "put" | "enc" | "list" => "function ",
            _ => continue,
        };
        if !digits.is_empty() {
            assert!(
                code.contains(&format!("{declaration}{word}")),
                "{word} is not declared"
            );
            used += 1;
        }
    }
    assert!(used > 100, "{used}");
    assert!(code.contains(&format!("\"{id:016x}\"")));
}

#[test]
fn only_what_the_interfaces_use_is_generated() {
    let schema = read(
        "interface A { go @0 (s :S) -> (); } interface B { go @0 (t :T) -> (); }
         struct S { x @0 :Int8; } struct T { any @0 :AnyPointer; }",
    );
    let id = schema.interface("a.capnp:A").unwrap().0.id;
    let code = generate(&schema, &[id]).unwrap();
    assert!(
        code.contains("a.capnp:S") && !code.contains("a.capnp:T"),
        "{code}"
    );
}

#[test]
fn what_is_not_supported_is_named() {
    for (text, want) in [
        (
            "interface A { go @0 (x :AnyPointer) -> (); }",
            "`a.capnp:A.go$Params.x` is an AnyPointer",
        ),
        (
            "interface A { go @0 (x :G(Text)) -> (); } struct G(T) { x @0 :T; }",
            "`a.capnp:G` has type parameters",
        ),
        (
            "interface A { go @0 (s :S) -> (); } struct S { x @0 :List(Int8) = [1]; }",
            "`a.capnp:S.x` has a default that is a list or struct",
        ),
        (
            "interface A { go @0 (s :S) -> (); } struct S { which @0 :Int8; }",
            "field `a.capnp:S.which` has a name that readers use",
        ),
    ] {
        let error = refusal(text);
        assert!(error.starts_with(want), "{text}\n{error}");
    }
    let error = generate(&read(""), &[7]).unwrap_err().to_string();
    assert!(error.contains("@0x0000000000000007"), "{error}");
}
