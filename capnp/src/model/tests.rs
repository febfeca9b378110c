use super::*;
use crate::fixtures;

#[test]
fn reads_interfaces_structs_and_enums() {
    let schema = fixtures::schema();
    let (node, interface) = schema.interface("fixture.capnp:Fixture").unwrap();
    assert_eq!(
        schema.interface_by_id(node.id).unwrap().0.name,
        "fixture.capnp:Fixture"
    );
    let method = &interface.methods[0];
    assert_eq!((method.name.as_str(), method.ordinal), ("kinds", 0));
    let (params, layout) = schema.struct_by_id(method.params).unwrap();
    assert_eq!(params.short, "kinds$Params");
    let FieldKind::Slot {
        ty: Type::Struct(kinds, _),
        ..
    } = &layout.fields[0].kind
    else {
        panic!("{layout:?}")
    };
    let (_, kinds) = schema.struct_by_id(*kinds).unwrap();
    let int32 = kinds
        .fields
        .iter()
        .find(|field| field.name == "int32")
        .unwrap();
    let FieldKind::Slot { ty, default, .. } = &int32.kind else {
        panic!("{int32:?}")
    };
    assert_eq!(
        (ty, default),
        (&Type::Int32, &Value::Bits((-7_i64).cast_unsigned()))
    );
    let color = schema.nodes().find(|node| node.short == "Color").unwrap();
    assert_eq!(
        schema.enum_by_id(color.id).unwrap().1,
        ["red", "green", "blue"]
    );
}

#[test]
fn hostile_bytes_are_errors() {
    let bytes = fixtures::compiled();
    assert!(Schema::read(&[]).is_err());
    for length in (0..bytes.len()).step_by(97) {
        assert!(Schema::read(&bytes[..length]).is_err(), "{length}");
    }
    let original = fixtures::schema();
    // Bytes damaged in turn: whatever comes out, no panic, and generators survive it too.
    for at in (0..bytes.len()).step_by(bytes.len() / 60) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x5a;
        if let Ok(schema) = Schema::read(&damaged) {
            let ids: Vec<u64> = schema.interfaces().map(|(node, _)| node.id).collect();
            let _ = crate::javascript::generate(&schema, &ids);
            let _ = crate::typescript::generate(&schema);
            for id in ids {
                let _ = crate::compat::check(&schema, &original, id);
            }
        }
    }
}

/// Names go into generated source text.
#[test]
fn a_name_that_is_no_identifier_is_refused() {
    let mut bytes = fixtures::compiled();
    let at = bytes
        .windows(6)
        .position(|window| window == b"int32\0")
        .unwrap();
    bytes[at + 2] = b'\"';
    let error = Schema::read(&bytes).unwrap_err().to_string();
    assert!(error.contains("not an identifier"), "{error}");
}
