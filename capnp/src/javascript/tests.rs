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
fn what_cannot_be_generated_is_named() {
    let error = generate(&read(""), &[7]).unwrap_err().to_string();
    assert!(error.contains("@0x0000000000000007"), "{error}");
    // Each of its fields has another type, without end.
    let error = refusal(
        "interface A { go @0 (g :G(Text, Text, Text, Text)) -> (); }
         struct G(A, B, C, D) {
           a @0 :G(Box(A), B, C, D); b @1 :G(A, Box(B), C, D);
           c @2 :G(A, B, Box(C), D); d @3 :G(A, B, C, Box(D)); }
         struct Box(T) {}",
    );
    assert!(error.contains("more than 4096 structs"), "{error}");
}

#[test]
fn a_generic_struct_is_generated_once_for_each_set_of_types() {
    let schema = read(
        "interface A { go @0 (x :G(Text), y :G(Data), z :G(Text), w :G) -> (g :Grow(Text)); }
         struct G(T) { x @0 :T; }
         struct Grow(T) { x @0 :T; more @1 :Grow(Box(T)); }
         struct Box(T) {}",
    );
    let id = schema.interface("a.capnp:A").unwrap().0.id;
    let code = generate(&schema, &[id]).unwrap();
    assert_eq!(code.matches("// a.capnp:G\n").count(), 3, "{code}");
    // A type that grows without end ends as an AnyPointer.
    let grown = code.matches("// a.capnp:Grow\n").count();
    assert!((30..140).contains(&grown), "{grown}");
}

#[test]
fn constants_and_type_ids_are_a_module_of_each_file() {
    let modules = modules(&fixtures::schema());
    assert_eq!(modules.keys().collect::<Vec<_>>(), ["isolith:fixture"]);
    let module = modules["isolith:fixture"].replace("/*@__PURE__*/", "");
    let value = |name: &str| {
        let start = format!("export const {name} = ");
        let mut values = module.lines().filter_map(|line| line.strip_prefix(&start));
        values.next().unwrap().replace("_f(", "f(")
    };
    assert_eq!(value("limit"), "500;");
    assert_eq!(value("delete_"), r#"f(["a", "b\u000a"]);"#);
    assert_eq!(
        value("admin"),
        r#"f({ id: 1n, name: "admin", tags: f(["root"]) });"#
    );
    let schema = fixtures::schema();
    let id = |name: &str| {
        let found = schema.nodes().find(|node| node.path() == name).unwrap();
        format!("typeId: \"{:016x}\" }});", found.id)
    };
    assert_eq!(value("User"), format!("f({{ {}", id("User")));
    assert_eq!(value("Color"), format!("f({{ {}", id("Color")));
    let size = format!("f({{ most: -9000000000n, {}", id("Size"));
    assert_eq!(value("Size"), size);
    assert!(
        value("Tree").starts_with("f({ Inner: f({ typeId: "),
        "{module}"
    );
    let deep = value("deep");
    for part in [
        r#"pair: f({ a: f({ id: 2n, name: "", tags: f([]) }), b: f(["blue"]) })"#,
        r#"children: f([f({ value: f({ id: 0n, name: "c", tags: f([]) }), children: f([]), node: f({ weight: -4 }) })])"#,
        r#"int32s: f([1, -2, 3]), users: f([f({ id: 7n, name: "seven", tags: f([]) }), "#,
        r#"bools: f([true, false, true]), matrix: f([f(["a"]), f([]), f(["b", "c"])])"#,
        "any: null, struct: null, list: null, cap: null, anys: f([])",
    ] {
        assert!(deep.contains(part), "{part} is not in {deep}");
    }
    let odds = value("odds");
    for part in [
        "bool: false, int8: -3, int16: 0, int32: -7, int64: 0n, uint8: 0, uint16: 0, uint32: 1, uint64: 0n, float32: NaN, float64: -0.5,",
        r#"text: "default", data: new Uint8Array([255, 0]), color: "blue", user: f({ id: 0n, name: "", tags: f([]), friend: f({"#,
        "voids: f([null]), bools: f([true, false, true]), int8s: f([-1])",
        "float64s: f([Infinity, 1e300])",
        "matrix: f([f([1]), f([2, 3])])",
        r#"pair: f({ left: -2, right: "" })"#,
        "contact: f({ phone: 9 })",
    ] {
        assert!(odds.contains(part), "{part} is not in {odds}");
    }
    assert!(
        !odds.contains("number:") && !odds.contains("email:"),
        "{odds}"
    );
}
