use super::*;
use crate::model::Schema;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

const NO_PATHS: &[&str] = &[];

#[test]
fn a_mistake_names_file_line_and_column() {
    let folder = folder(&[(
        "schema/a.capnp",
        "@0xc3e9a1f0527d4b61;\nstruct A {\n  x @0 :Nope;\n  y @2 :Text;\n}\n",
    )]);
    let error = compile(folder.path(), &["schema/a.capnp"], NO_PATHS).unwrap_err();
    let SchemaError::Invalid(found) = error else {
        panic!("{error}")
    };
    let places: Vec<_> = found
        .iter()
        .map(|d| (d.file.as_str(), d.line, d.column))
        .collect();
    assert!(places.contains(&("schema/a.capnp", 3, 9)), "{found:?}");
    assert!(places.contains(&("schema/a.capnp", 4, 6)), "{found:?}");
    assert!(found.iter().all(|d| d.hint.is_some()), "{found:?}");
}

#[test]
fn a_file_without_id_is_told_one() {
    let folder = folder(&[("a.capnp", "struct A {}\n")]);
    let error = compile(folder.path(), &["a.capnp"], NO_PATHS).unwrap_err();
    assert!(error.to_string().contains("hint: put `@0x"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let folder = folder(&[]);
    let error = compile(folder.path(), &["schema/gone.capnp"], NO_PATHS).unwrap_err();
    assert!(error.to_string().contains("schema/gone.capnp"), "{error}");
}

#[test]
fn bytes_do_not_depend_on_the_place_or_on_comments() {
    let shared = "@0xc3e9a1f0527d4b62;\nstruct B { x @0 :Int32 = 5; }\n";
    let text = "@0xc3e9a1f0527d4b61;\nusing B = import \"/shared/b.capnp\";\n\
                interface A { go @0 (b :B.B) -> stream; }\n";
    let one = folder(&[("schema/a.capnp", text)]);
    let two = folder(&[("schema/a.capnp", &format!("# A comment.\n{text}"))]);
    let lib = folder(&[("shared/b.capnp", shared)]);
    let first = compile(one.path(), &["schema/a.capnp"], &[lib.path()]).unwrap();
    let second = compile(two.path(), &["schema/a.capnp"], &[lib.path()]).unwrap();
    assert!(first == second);
    let schema = Schema::read(&first).unwrap();
    let mut names: Vec<_> = schema.nodes().map(|node| node.name.as_str()).collect();
    names.sort_unstable();
    assert!(
        names.contains(&"capnp/stream.capnp:StreamResult"),
        "{names:?}"
    );
    assert!(names.contains(&"shared/b.capnp:B"), "{names:?}");
}
