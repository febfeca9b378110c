//! A schema in TypeScript: the declarations hold under `tsc --strict`, and constants are there.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::support::bundles::bundle;
use crate::support::command::{json, run};
use crate::support::http1::Request;
use crate::support::server::Server;
use crate::support::{case, copy_project, root};

/// Services with a schema: the second one has all that a schema can say.
const SERVICES: [&str; 4] = [
    "tests/cases/language",
    "tests/cases/fixture",
    "tests/cases/lab/front",
    "services/examples/boutique/auth",
];

/// Needs no Node: the compiler is a service.
#[test]
fn generated_declarations_pass_the_compiler_s_strict_checks() {
    let temp = tempfile::tempdir().unwrap();
    let project = temp.path().join("tsc");
    copy_project(&case("tsc"), &project);
    let said = run([Path::new("build"), &project]).done();
    let (file, _) = said.trim_end().rsplit_once(' ').unwrap();
    let server = Server::start(&case("tsc/app.toml"), &[file.into()]);

    let mut library = Map::new();
    for entry in fs::read_dir(project.join("node_modules/typescript/lib")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("lib.") && name.ends_with(".d.ts") {
            library.insert(name, Value::from(fs::read_to_string(path).unwrap()));
        }
    }
    let complaints = |files: &[(&str, String)]| {
        let mut posted = library.clone();
        for (name, text) in files {
            posted.insert((*name).to_owned(), Value::from(text.as_str()));
        }
        let request = Request::new("POST", "/").json(&Value::from(posted));
        let reply = server.send(&request);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.text().to_owned()
    };
    for (index, service) in SERVICES.iter().enumerate() {
        let folder = temp.path().join(index.to_string());
        if *service == "tests/cases/fixture" {
            fixture(&folder);
        } else {
            copy_project(&root().join(service), &folder);
        }
        run([Path::new("types"), &folder]).done();
        let declared = fs::read_to_string(folder.join("isolith-schema.d.ts")).unwrap();
        let mut files = vec![("isolith-schema.d.ts", declared)];
        if *service == "tests/cases/language" {
            files.push((
                "main.ts",
                fs::read_to_string(folder.join("src/main.ts")).unwrap(),
            ));
            let (before, after) = files[0].1.split_once("readonly name: string;").unwrap();
            let broken = format!("{before}readonly name: strin;{after}");
            let found = complaints(&[("isolith-schema.d.ts", broken)]);
            assert!(found.contains("Cannot find name 'strin'"), "{found}");
        }
        assert_eq!(complaints(&files), "", "{service}");
    }
}

/// A service with the schema that the generators are tested with.
fn fixture(folder: &Path) {
    fs::create_dir_all(folder.join("schema")).unwrap();
    let schema = root().join("capnp/js/fixture.capnp");
    fs::copy(schema, folder.join("schema/fixture.capnp")).unwrap();
    let mut manifest =
        "[service]\nname = \"fixture\"\nversion = \"1.0.0\"\nmain = \"main.ts\"\n".to_owned();
    for name in ["Fixture", "Open"] {
        manifest += &format!(
            "[exports.{}]\ninterface = \"schema/fixture.capnp:{name}\"\nclass = \"{name}\"\n",
            name.to_uppercase()
        );
    }
    fs::write(folder.join("isolith.toml"), manifest).unwrap();
}

#[test]
fn constants_and_type_ids_are_there_at_run_time() {
    let app = "[app]\nname = \"language\"\nentry = \"language\"\nbundles = [\"dist/*.isolith\"]\n\
               [http]\nlisten = \"127.0.0.1:0\"\n[runtime]\nshards = 1\n";
    let server = Server::start_with(app, &[bundle("tests/cases/language")]);
    let said = server.control(&["call", "language", "constants"]).done();
    assert_eq!(
        json(&said)["text"],
        "500 Infinity new+used 2 -9000000000000000000 price 5 j used a+b true 15 typed"
    );
    let said = server.control(&["call", "language", "find", r#"{"id": 9}"#]);
    assert_eq!(json(&said.done())["item"]["which_"], Value::Null);
}
