use super::*;
use crate::schema;

const HEAD: &str = "@0xd1f2a85b60c943e8;\ninterface A @0xf69e1436b19f9122 ";

/// What stands between a caller built against one text and a service built against another.
fn diff(caller: &str, callee: &str) -> Vec<String> {
    let read = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.capnp"), format!("{HEAD}{text}")).unwrap();
        let bytes = schema::compile(folder.path(), &["a.capnp"], &[] as &[&str]).unwrap();
        Schema::read(&bytes).unwrap()
    };
    match check(&read(caller), &read(callee), 0xf69e_1436_b19f_9122) {
        Ok(()) => Vec::new(),
        Err(found) => found.iter().map(ToString::to_string).collect(),
    }
}

fn both(one: &str, other: &str) -> [Vec<String>; 2] {
    [diff(one, other), diff(other, one)]
}

#[test]
fn what_evolution_allows_passes_in_both_directions() {
    let none = [Vec::<String>::new(), Vec::new()];
    let go = "{ go @0 (s :S) -> (s :S); }";
    for (one, other) in [
        (
            "struct S { a @0 :Int32; }",
            "struct S { renamed @0 :Int32; b @1 :Text; }",
        ),
        (
            "struct S { a @0 :Int32; }",
            "struct S { union { a @0 :Int32; b @1 :Text; } }",
        ),
        (
            "struct S { a @0 :Text; }",
            "struct S { g :group { a @0 :Text; } }",
        ),
        (
            "struct S { a @0 :List(UInt16); }",
            "struct S { a @0 :List(T); struct T { x @0 :UInt16; y @1 :Text; } }",
        ),
        (
            "struct S { e @0 :E; } enum E { x @0; }",
            "struct S { e @0 :E; } enum E { x @0; y @1; }",
        ),
        (
            "struct S { next @0 :S; a @1 :Int8; }",
            "struct S { next @0 :S; a @1 :Int8; b @2 :Bool; }",
        ),
        (
            "struct S { union { a @0 :Int32; b @1 :Text; } }",
            "struct S { union { a @0 :Int32; b @1 :Text; c @2 :Void; } d @3 :Int64; }",
        ),
    ] {
        assert_eq!(
            both(&format!("{go} {one}"), &format!("{go} {other}")),
            none,
            "{one} {other}"
        );
    }
}

#[test]
fn what_breaks_the_wire_is_named() {
    let go = "{ go @0 (s :S) -> (); }";
    let at = "a.capnp:A.go params, s.";
    for (one, other, want) in [
        (
            "struct S { a @0 :Int32; }",
            "struct S { a @0 :Text; }",
            "a @0: the caller has type Int32, the service Text",
        ),
        (
            "struct S { a @0 :Int32; }",
            "struct S { a @0 :UInt32; }",
            "a @0: the caller has type Int32, the service UInt32",
        ),
        (
            "struct S { a @0 :Int32 = 1; }",
            "struct S { a @0 :Int32; }",
            "a @0: its default differs",
        ),
        (
            "struct S { a @0 :Int32; b @1 :Int64; }",
            "struct S { a @0 :Int32; b @1 :Int64; c @2 :Text; union { d @3 :Text; e @4 :Void; } }",
            "",
        ),
        (
            "struct S { a @0 :List(Int32); }",
            "struct S { a @0 :List(Text); }",
            "a @0: the caller has type List(Int32), the service List(Text)",
        ),
        (
            "struct S { a @0 :List(Bool); }",
            "struct S { a @0 :List(T); struct T { x @0 :Bool; } }",
            "a @0: the caller has type List(Bool), the service List(S.T)",
        ),
        (
            "struct S { union { a @0 :Int32; b @1 :Int32; } }",
            "struct S { a @0 :Int32; b @1 :Int32; }",
            "b @1: its place differs: slot 0, now 1",
        ),
        (
            "struct S { union { a @0 :Text; b @1 :Void; } }",
            "struct S { a @0 :Text; b @1 :Void; }",
            "b @1: its place in a union differs",
        ),
        (
            "struct S { e @0 :E; } enum E { x @0; y @1; }",
            "struct S { e @0 :E; } enum E { y @0; x @1; }",
            "e @0: E.x is 0 for the caller, 1 for the service",
        ),
        (
            "struct S { t @0 :List(T); struct T { a @0 :Text; } }",
            "struct S { t @0 :List(T); struct T { a @0 :Data; } }",
            "t.a @0: the caller has type Text, the service Data",
        ),
    ] {
        let found = diff(&format!("{go} {one}"), &format!("{go} {other}"));
        let first = found.first().cloned().unwrap_or_default();
        let want = if want.is_empty() {
            String::new()
        } else {
            format!("{at}{want}")
        };
        assert_eq!(first, want, "{one} {other}");
    }
}

#[test]
fn the_callee_may_have_more_methods_but_not_fewer() {
    let [older, newer] = both(
        "{ go @0 () -> (); }",
        "{ go @0 () -> (); more @1 () -> (); }",
    );
    assert!(older.is_empty());
    assert_eq!(
        newer,
        ["a.capnp:A.more @1: the service does not have this method"]
    );
}
