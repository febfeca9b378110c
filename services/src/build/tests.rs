use super::*;
use crate::inspect::Inspection;

const SCHEMA: &str = "@0xb5f0a1c2d3e4f506;\n\
    interface Auth { check @0 (token :Text) -> (user :Text); }\n\
    interface Admin { ban @0 (user :Text); }\n";

const MANIFEST: &str = "[service]\nname = \"auth\"\nversion = \"1.4.0\"\nmain = \"src/main.ts\"\n\
    [exports.AUTH]\ninterface = \"schema/auth.capnp:Auth\"\nclass = \"AuthService\"\n\
    [imports.OTHER]\nservice = \"other\"\nversion = \"^2\"\ninterface = \"schema/auth.capnp:Admin\"\n\
    [vars]\nA = \"1\"\nB = { required = true }\n";

const MAIN: &str = "import { small } from 'small';\n\
    export class AuthService { check() { return { user: small } } }\n\
    export default { fetch() { return new Response('x') } }\n";

/// A service with one npm package, in a folder of the given name.
fn service(folder: &str) -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join(folder);
    for (path, text) in [
        ("isolith.toml", MANIFEST),
        ("package.json", r#"{"dependencies": {"small": "1"}}"#),
        (
            "package-lock.json",
            r#"{"lockfileVersion": 3, "packages": {
            "": {"dependencies": {"small": "1"}},
            "node_modules/small": {"version": "1.0.0", "integrity": "sha512-AAAA"}}}"#,
        ),
        (
            "node_modules/small/package.json",
            r#"{"name": "small", "version": "1.0.0", "main": "i.js"}"#,
        ),
        ("node_modules/small/i.js", "exports.small = 'tiny'"),
        ("schema/auth.capnp", SCHEMA),
        ("src/main.ts", MAIN),
    ] {
        write(&dir.join(path), text);
    }
    (temp, dir)
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn run(dir: &Path) -> Result<BuildOutput, BuildError> {
    build(
        dir,
        &BuildOptions {
            env: Env::new(),
            progress: &|_| {},
        },
    )
}

#[test]
fn a_service_becomes_a_bundle_wherever_it_lies() {
    let (_one, dir) = service("a");
    let output = run(&dir).unwrap();
    assert!(output.warnings.is_empty(), "{:?}", output.warnings);
    let bundle = &output.bundle;
    assert!(bundle.http());
    assert_eq!(bundle.exports()[0].class, "AuthService");
    let schema = Schema::read(bundle.schema()).unwrap();
    assert_eq!(
        schema
            .interface_by_id(bundle.exports()[0].interface)
            .unwrap()
            .0
            .path(),
        "Auth"
    );
    assert_eq!(
        schema
            .interface_by_id(bundle.imports()[0].interface)
            .unwrap()
            .0
            .path(),
        "Admin"
    );
    assert_eq!(bundle.dependencies()[0].name, "small");
    assert!(bundle.modules().next().unwrap().source.contains("tiny"));

    let (_two, other) = service("elsewhere/and deeper");
    write(&other.parent().unwrap().join("tsconfig.json"), "{ broken");
    assert_eq!(run(&other).unwrap().bundle.digest(), bundle.digest());

    let path = output.write(&dir, None).unwrap();
    assert_eq!(path, dir.join("dist/auth-1.4.0.isolith"));
    let read = Bundle::open(&path).unwrap();
    assert_eq!(read.digest(), bundle.digest());

    let text = Inspection::of(&read).to_string();
    for part in [
        "auth@1.4.0\n",
        &bundle.digest().to_string(),
        "http     yes",
        "  AUTH  schema/auth.capnp:Auth  class AuthService\n",
        "  OTHER  other ^2  schema/auth.capnp:Admin\n",
        "  B  required\n",
        "  small  1.0.0  sha512-AAAA\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let json = serde_json::to_value(Inspection::of(&read)).unwrap();
    assert_eq!(json["dependencies"][0]["integrity"], "sha512-AAAA");
}

#[test]
fn mistakes_across_files_are_found() {
    let mistakes = [
        (
            "src/main.ts",
            MAIN.replace("AuthService", "AuthServise"),
            "isolith.toml:7:9: src/main.ts does not export `AuthService`\n  hint: did you mean `AuthServise`?",
        ),
        (
            "isolith.toml",
            MANIFEST.replace("capnp:Auth", "capnp:Aut"),
            "isolith.toml:6:13: schema/auth.capnp has no interface `Aut`\n  hint: did you mean `Auth`?",
        ),
        (
            "isolith.toml",
            MANIFEST.replace("auth.capnp:Admin", "admin.capnp:Admin"),
            "isolith.toml:11:13: there is no schema file schema/admin.capnp",
        ),
        (
            "isolith.toml",
            MANIFEST.replace("src/main.ts", "src/gone.ts"),
            "isolith.toml:4:1: there is no file src/gone.ts",
        ),
        (
            "schema/auth.capnp",
            SCHEMA.replace("token :Text", "token :Txt"),
            "schema/auth.capnp:2:",
        ),
        (
            "node_modules/small/package.json",
            r#"{"name": "small", "version": "1.0.1", "main": "i.js"}"#.into(),
            "package-lock.json: says `small` 1.0.0, but `small` 1.0.1 is installed",
        ),
        (
            "package.json",
            r#"{"dependencies": {"small": "2"}}"#.into(),
            "out of step with package.json",
        ),
    ];
    for (path, text, message) in mistakes {
        let (_temp, dir) = service("a");
        write(&dir.join(path), &text);
        let error = run(&dir).unwrap_err().to_string();
        assert!(error.contains(message), "{path}:\n{error}");
    }
    let (_temp, dir) = service("a");
    fs::remove_file(dir.join(LOCK_FILE)).unwrap();
    let error = run(&dir).unwrap_err().to_string();
    assert!(
        error.contains("package-lock.json: is missing, but package.json has"),
        "{error}"
    );
    let (_temp, dir) = service("a");
    fs::remove_file(dir.join("isolith.toml")).unwrap();
    assert!(
        run(&dir)
            .unwrap_err()
            .to_string()
            .contains("isolith.toml: cannot be read")
    );
}
