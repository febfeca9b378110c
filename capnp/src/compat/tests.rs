use super::*;
use crate::schema;

/// Ids of the interfaces of the cases, which share a file so that it is compiled once.
fn id(case: usize) -> u64 {
    0xf69e_1436_b19f_9000 + case as u64
}

fn read(cases: &[String]) -> Schema {
    let mut text = String::from("@0xd1f2a85b60c943e8;\n");
    for (case, body) in cases.iter().enumerate() {
        let id = id(case);
        text += &format!("struct C{case} {{ interface A @0x{id:016x} {body} }}\n");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.capnp"), text).unwrap();
    let bytes = schema::compile(folder.path(), &["a.capnp"], &[] as &[&str]).unwrap();
    Schema::read(&bytes).unwrap()
}

/// For each case, what stands between a caller and a service, and with the two exchanged.
fn diff(go: &str, cases: &[(&str, &str)]) -> Vec<[Vec<String>; 2]> {
    let callers: Vec<String> = cases.iter().map(|(one, _)| format!("{go} {one}")).collect();
    let callees: Vec<String> = cases
        .iter()
        .map(|(_, other)| format!("{go} {other}"))
        .collect();
    let (callers, callees) = (read(&callers), read(&callees));
    let lines = |one: &Schema, other: &Schema, case| match check(one, other, id(case)) {
        Ok(()) => Vec::new(),
        Err(found) => found.iter().map(ToString::to_string).collect(),
    };
    let both = |case| {
        [
            lines(&callers, &callees, case),
            lines(&callees, &callers, case),
        ]
    };
    (0..cases.len()).map(both).collect()
}

#[test]
fn what_evolution_allows_passes_in_both_directions() {
    let go = "{ go @0 (s :S) -> (s :S); }";
    let cases = [
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
    ];
    for (found, case) in diff(go, &cases).iter().zip(cases) {
        assert!(
            found.iter().all(Vec::is_empty),
            "{case:?}
{found:?}"
        );
    }
}

#[test]
fn what_breaks_the_wire_is_named() {
    let go = "{ go @0 (s :S) -> (); }";
    let cases = [
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
            "a @0: the caller has type List(Bool), the service List(C5.S.T)",
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
            "e @0: C8.E.x is 0 for the caller, 1 for the service",
        ),
        (
            "struct S { t @0 :List(T); struct T { a @0 :Text; } }",
            "struct S { t @0 :List(T); struct T { a @0 :Data; } }",
            "t.a @0: the caller has type Text, the service Data",
        ),
    ];
    let sides = cases.map(|(one, other, _)| (one, other));
    for (case, ([found, _], (_, _, want))) in diff(go, &sides).iter().zip(cases).enumerate() {
        let first = found.first().map_or("", String::as_str);
        let member = format!("a.capnp:C{case}.A.go params, s.");
        assert_eq!(
            first.strip_prefix(&member).unwrap_or(first),
            want,
            "{:?}",
            sides[case]
        );
    }
}

#[test]
fn the_callee_may_have_more_methods_but_not_fewer() {
    let found = diff(
        "",
        &[(
            "{ go @0 () -> (); }",
            "{ go @0 () -> (); more @1 () -> (); }",
        )],
    );
    let [older, newer] = &found[0];
    assert!(older.is_empty());
    assert_eq!(
        newer,
        &["a.capnp:C0.A.more @1: the service does not have this method"]
    );
}

#[test]
fn inherited_methods_capabilities_and_type_parameters_are_compared() {
    let cases = [
        (
            "extends(B) {} interface B { b @0 (); }",
            "{} interface B { b @0 (); }",
            "B.b @0: the service does not have this method",
            "",
        ),
        // Who gets a capability calls it: the service for one in the params, the caller for others.
        (
            "{ go @0 (w :W); } interface W { seen @0 (); }",
            "{ go @0 (w :W); } interface W { seen @0 (); more @1 (); }",
            "W.more @1: the caller, which has to implement it, does not have this method",
            "",
        ),
        (
            "{ go @0 () -> (w :W); } interface W { seen @0 (); }",
            "{ go @0 () -> (w :W); } interface W { seen @0 (); more @1 (); }",
            "",
            "W.more @1: the service does not have this method",
        ),
        (
            "{ go @0 () -> (w :W); } interface W { seen @0 (); }",
            "{ go @0 () -> (w :V); } interface W { seen @0 (); } interface V extends(W) {}",
            "",
            "",
        ),
        (
            "{ go @0 (x :G(Text)); } struct G(T) { x @0 :T; }",
            "{ go @0 (x :G(Data)); } struct G(T) { x @0 :T; }",
            "A.go params, x.x @0: the caller has type Text, the service Data",
            "A.go params, x.x @0: the caller has type Data, the service Text",
        ),
        (
            "{ go @0 (x :G(Text), y :AnyStruct); } struct G(T) { x @0 :T; }",
            "{ go @0 (x :G, y :G(Data)); } struct G(T) { x @0 :T; }",
            "",
            "",
        ),
        (
            "{ go @0 (x :AnyStruct); }",
            "{ go @0 (x :Text); }",
            "A.go params, x @0: the caller has type AnyStruct, the service Text",
            "A.go params, x @0: the caller has type Text, the service AnyStruct",
        ),
        (
            "{ go @0 (); }",
            "{ go @0 () -> stream; }",
            "A.go @0: it is a streaming method (`-> stream`) on one side",
            "A.go @0: it is a streaming method (`-> stream`) on one side",
        ),
    ];
    let sides = cases.map(|(one, other, ..)| (one, other));
    for (case, (found, (.., want, back))) in diff("", &sides).iter().zip(cases).enumerate() {
        for (found, want) in found.iter().zip([want, back]) {
            let first = found.first().map_or("", String::as_str);
            let place = format!("a.capnp:C{case}.");
            let first = first.strip_prefix(&place).unwrap_or(first);
            assert_eq!(first, want, "{:?}", sides[case]);
        }
    }
}
