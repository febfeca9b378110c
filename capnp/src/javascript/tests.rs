use super::*;
use crate::fixtures;

#[test]
fn dump() {
    let schema = fixtures::schema();
    let id = schema.interface("fixture.capnp:Fixture").unwrap().0.id;
    std::fs::write("/tmp/cx/gen.js", generate(&schema, &[id]).unwrap()).unwrap();
}
