use std::fs;

use super::*;

/// A folder with these files.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = temp.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    temp
}

fn run_in(temp: &tempfile::TempDir) -> Result<Bundled, Problems> {
    let schema = "const f = Object.freeze;
        const c0 = 500; export { c0 as limit };
        const c1 = /*@__PURE__*/f({ of: /*@__PURE__*/f(['shaken']), typeId: '1' }); export { c1 as User };";
    let modules = BTreeMap::from([("isolith:schema/users".to_owned(), schema.to_owned())]);
    bundle(&temp.path().canonicalize().unwrap(), "src/main.ts", modules)
}

#[test]
fn constants_of_a_schema_are_imported_and_what_is_not_used_is_left_out() {
    let main = "import { limit } from 'isolith:schema/users'; export const most = () => limit + 1;";
    let bundled = run_in(&project(&[("src/main.ts", main)])).unwrap();
    assert!(bundled.source.contains("501"), "{}", bundled.source);
    assert!(!bundled.source.contains("shaken"), "{}", bundled.source);
    assert!(!bundled.source.contains("isolith:"), "{}", bundled.source);
    assert_eq!(bundled.files.len(), 1);
    let main = "import { missing } from 'isolith:schema/users'; export const most = () => missing;";
    let error = run_in(&project(&[("src/main.ts", main)])).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn one_module_of_typescript_json_and_packages() {
    let files = [
        (
            "package.json",
            r#"{"dependencies": {"esm": "1", "cjs": "1"}}"#,
        ),
        (
            "node_modules/esm/package.json",
            r#"{"name": "esm", "exports": {"node": "./node.js", "worker": "./worker.js"}}"#,
        ),
        (
            "node_modules/esm/node.js",
            "import 'node:fs'; export const where = 'node'",
        ),
        (
            "node_modules/esm/worker.js",
            "export const where = 'worker'; export const unused = 'shaken'",
        ),
        (
            "node_modules/cjs/package.json",
            r#"{"name": "cjs", "main": "index.js", "browser": {"fs": false}}"#,
        ),
        (
            "node_modules/cjs/index.js",
            "require('fs'); let c; try { c = require('crypto') } catch {} exports.mode = process.env.NODE_ENV",
        ),
        ("src/data.json", r#"{"answer": 42}"#),
        ("src/lazy.ts", "export const lazy: number = 1"),
        (
            "src/main.ts",
            "import type { Auth } from 'isolith:schema/auth';\n\
            import { where } from 'esm';\nimport { mode } from 'cjs';\nimport data from './data.json';\n\
            export class AuthService implements Auth.Server {\n  answer(): number { return data.answer }\n}\n\
            export default { async fetch() { return [where, mode, await import('./lazy')] } };\n",
        ),
    ];
    let temp = project(&files);
    let bundled = run_in(&temp).unwrap();
    for part in ["worker", "production", "42", "AuthService = class"] {
        assert!(
            bundled.source.contains(part),
            "{part} is not in {}",
            bundled.source
        );
    }
    for part in [
        "isolith:",
        "shaken",
        "node:fs",
        "import(",
        "sourceMappingURL",
        "implements",
    ] {
        assert!(
            !bundled.source.contains(part),
            "{part} is in {}",
            bundled.source
        );
    }
    let mut exports = bundled.exports.clone();
    exports.sort();
    assert_eq!(exports, ["AuthService", "default"]);
    let map: serde_json::Value = serde_json::from_str(&bundled.source_map).unwrap();
    let sources: Vec<_> = map["sources"].as_array().unwrap().iter().collect();
    assert!(sources.iter().any(|s| *s == "src/main.ts"), "{sources:?}");
    assert!(
        map["sourcesContent"]
            .to_string()
            .contains("implements Auth.Server")
    );

    let again = run_in(&project(&files)).unwrap();
    assert_eq!(
        (again.source, again.source_map),
        (bundled.source, bundled.source_map)
    );
}

#[test]
fn each_mistake_has_its_place_and_hint() {
    let package = (
        "package.json",
        r#"{"dependencies": {"used": "1", "absent": "1"}, "devDependencies": {"dev": "1"}}"#,
    );
    let used = (
        "node_modules/used/package.json",
        r#"{"name": "used", "dependencies": {"deep": "1"}}"#,
    );
    let mistakes = [
        (
            "import fs from 'node:fs';\nfs.x",
            "src/main.ts:1:16: `node:fs` is built into Node",
            "an isolate has no file system",
        ),
        (
            "import { x } from\n  'path';\nx()",
            "src/main.ts:2:3: `path` is built into Node",
            "",
        ),
        (
            "const x = await import('zlib');",
            "src/main.ts:1:24: `zlib` is built into Node",
            "web's APIs",
        ),
        (
            "import { A } from 'isolith:schema/a';\nnew A()",
            "src/main.ts:1:19: there is no `isolith:schema/a`",
            "the manifest names",
        ),
        (
            "import x from 'nowhere';\nx()",
            "src/main.ts:1:15: cannot find `nowhere`",
            "npm install nowhere",
        ),
        (
            "import x from 'absent/x';\nx()",
            "src/main.ts:1:15: cannot find `absent/x`",
            "npm ci",
        ),
        (
            "\nimport x from './gone';\nx()",
            "src/main.ts:2:15: Could not resolve './gone'",
            "",
        ),
        (
            "// from 'deep'\nimport x from 'deep';\nx()",
            "src/main.ts:2:15: imports `deep`, which package.json does not declare",
            "another package needs it",
        ),
        (
            "import x from 'dev';\nx()",
            "src/main.ts:1:15: imports `dev`",
            "--save-prod dev",
        ),
        (
            "import 'used';",
            "node_modules/used/index.js:1:8: `os` is built into Node, not into isolates (imported by the package `used`)",
            "choose a package",
        ),
        (
            "import x from '../../outside';\nx()",
            "src/main.ts:1:15: imports `outside.ts` from outside",
            "one folder",
        ),
        (
            "import x from 'https://example.com/x.js';\nx()",
            "src/main.ts:1:15: `https://example.com/x.js` is an address",
            "npm package",
        ),
        ("const x: = 1;", "src/main.ts:1:10: ", ""),
        (
            "import { gone } from './here';\ngone()",
            "src/main.ts:1:10: ",
            "gone",
        ),
    ];
    for (main, place, hint) in mistakes {
        let outer = project(&[("outside.ts", "export default () => {}")]);
        let inner = [
            package,
            used,
            ("node_modules/used/index.js", "import 'os'"),
            ("node_modules/deep/package.json", r#"{"name": "deep"}"#),
            ("node_modules/deep/index.js", "export default () => {}"),
            ("node_modules/dev/package.json", r#"{"name": "dev"}"#),
            ("node_modules/dev/index.js", "export default () => {}"),
            ("src/here.ts", "export const here = 1"),
            ("src/main.ts", main),
        ];
        for (path, text) in inner {
            let path = outer.path().join("service").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let dir = outer.path().join("service").canonicalize().unwrap();
        let error = bundle(&dir, "src/main.ts", BTreeMap::new())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(place) && error.contains(hint),
            "{main}\n{error}"
        );
    }
}

#[test]
fn nothing_outside_of_the_folder_is_read() {
    let outer = project(&[
        ("secret.json", r#"{"token": "hidden"}"#),
        ("secret.js", "export default 'hidden'"),
        ("secret.txt", "not a module: hidden"),
    ]);
    let outer_dir = outer.path().canonicalize().unwrap();
    let absolute = |name: &str| outer_dir.join(name).display().to_string();
    let of_package = "node_modules/greedy/index.js:1:21: imports `secret.json` from outside";
    let cases = [
        (
            format!("import x from '{}';\nx()", absolute("secret.js")),
            "src/main.ts:1:15: imports `secret.js`",
        ),
        (
            format!("import x from '{}';\nx()", absolute("secret.txt")),
            "src/main.ts:1:15: imports `secret.txt`",
        ),
        (
            format!(
                "const x = await import('file://{}');",
                absolute("secret.txt")
            ),
            "src/main.ts:1:24: imports `secret.txt`",
        ),
        (
            "import x from '../../secret.txt' with { type: 'text' };\nx()".to_owned(),
            "src/main.ts:1:15: imports `secret.txt`",
        ),
        (
            "import x from './link.json';\nx()".to_owned(),
            "src/main.ts:1:15: imports `secret.json`",
        ),
        (
            "import { gone } from './linked/secret.js';\ngone()".to_owned(),
            "src/main.ts:1:22: imports `secret.js`",
        ),
        ("import 'greedy';".to_owned(), of_package),
    ];
    for (main, place) in cases {
        let dir = outer_dir.join("service");
        let files = [
            ("package.json", r#"{"dependencies": {"greedy": "1"}}"#),
            ("node_modules/greedy/package.json", r#"{"name": "greedy"}"#),
            (
                "node_modules/greedy/index.js",
                "console.log(require('../../../secret.json'))",
            ),
            ("src/main.ts", &main),
        ];
        for (path, text) in files {
            fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
            fs::write(dir.join(path), text).unwrap();
        }
        let _ = std::os::unix::fs::symlink("../../secret.json", dir.join("src/link.json"));
        let _ = std::os::unix::fs::symlink("../..", dir.join("src/linked"));
        let error = bundle(&dir, "src/main.ts", BTreeMap::new())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(place) && error.contains("hint: "),
            "{main}\n{error}"
        );
        assert!(!error.contains("hidden"), "{error}");
    }
}
