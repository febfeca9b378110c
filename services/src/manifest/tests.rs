use super::*;

const GOOD: &str = r#"
[service]
name = "frontend"
version = "3.2.0"
main = "src/main.ts"

[imports.AUTH]
service = "auth"
version = "^2.1"
interface = "schema/auth.capnp:Auth"

[exports.SHOP]
interface = "schema/shop.capnp:Shop.Inner"
class = "ShopService"

[vars]
PAGE_SIZE = "20"
TOKEN_SECRET = { required = true }

[limits]
cpu_ms_per_request = 50
heap_mib = 64

[vars.API_KEY]
secret = true

[imports.GEO]
fetch = ["https://geo.example.com", "http://127.0.0.1:9000"]
"#;

#[test]
fn a_whole_manifest() {
    let manifest = Manifest::parse(GOOD).unwrap();
    assert_eq!(manifest.service.as_str(), "frontend");
    assert_eq!(manifest.version, Version::new(3, 2, 0));
    assert_eq!(manifest.main, "src/main.ts");
    assert!(
        manifest.imports["AUTH"]
            .range
            .contains(&Version::new(2, 9, 0))
    );
    assert_eq!(
        manifest.imports["AUTH"].interface.to_string(),
        "schema/auth.capnp:Auth"
    );
    assert_eq!(manifest.exports["SHOP"].interface.name, "Shop.Inner");
    assert_eq!(manifest.vars["PAGE_SIZE"].as_deref(), Some("20"));
    assert_eq!(manifest.vars["TOKEN_SECRET"], None);
    assert_eq!(manifest.secrets, ["API_KEY".to_owned()].into());
    let origins: Vec<_> = manifest.fetches["GEO"]
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        origins,
        ["http://127.0.0.1:9000", "https://geo.example.com"]
    );
    assert_eq!(
        manifest.limits,
        Limits {
            cpu_ms_per_request: 50,
            heap_mib: 64
        }
    );
}

/// Each mistake is GOOD with one piece replaced, then the place and words that the error must have.
#[test]
fn each_mistake_has_its_place_and_hint() {
    let mistakes = [
        (
            "[service]\nname",
            "[servic]\nname",
            "1:1: has no [service]",
            "begin with [service]",
        ),
        (
            "[limits]",
            "[limit]",
            "20:2: the manifest has no key `limit`",
            "did you mean `limits`?",
        ),
        (
            "main =",
            "mian =",
            "5:1: [service] has no key `mian`",
            "did you mean `main`?",
        ),
        (
            "main = \"src/main.ts\"",
            "",
            "2:1: [service] has no `main`",
            "add `main = ",
        ),
        (
            "\"src/main.ts\"",
            "\"../main.ts\"",
            "5:8: `../main.ts` is not a path inside",
            "relative",
        ),
        (
            "\"3.2.0\"",
            "\"3.2\"",
            "4:11: `3.2` is not a semver version",
            "three numbers",
        ),
        (
            "\"frontend\"",
            "\"Front\"",
            "3:8: the service name `Front` has 'F'",
            "lower-case",
        ),
        (
            "\"frontend\"",
            "7",
            "3:8: [service] name is a number, not a text",
            "write `name =",
        ),
        (
            "\"^2.1\"",
            "\"^x\"",
            "9:11: the version range `^x` cannot be read",
            "`^2.1`",
        ),
        (
            "auth.capnp:Auth",
            "auth.capnp",
            "10:13: `schema/auth.capnp` does not name",
            "a colon",
        ),
        (
            "class = \"ShopService\"\n",
            "",
            "12:1: [exports.SHOP] has no `class`",
            "add `class =",
        ),
        (
            "\"ShopService\"",
            "\"a b\"",
            "14:9: `a b` is not a class name",
            "main module exports",
        ),
        (
            "= 50",
            "= -1",
            "21:22: [limits] cpu_ms_per_request must be a whole",
            "from 1 to",
        ),
        (
            "= 64",
            "= 1",
            "22:12: [limits] heap_mib must be a whole number of MiB",
            "from 4 to",
        ),
        (
            "imports.AUTH",
            "imports.\"a b\"",
            "7:10: the import name `a b` is not",
            "such as `AUTH`",
        ),
        (
            "PAGE_SIZE = \"20\"",
            "AUTH = \"1\"",
            "17:1: `AUTH` is both an import and",
            "rename",
        ),
        (
            "PAGE_SIZE = \"20\"",
            "PAGE_SIZE = 20",
            "17:13: [vars] PAGE_SIZE is neither",
            "quotes",
        ),
        (
            "[vars]",
            "[exports.SHOP]\n[vars]",
            "16:10: duplicate key",
            "",
        ),
        ("[vars]", "[vars", "16:6: ", ""),
        (
            "\"https://geo.example.com\"",
            "\"geo.example.com\"",
            "28:10: `geo.example.com` is not an origin: it has no scheme",
            "write a scheme and a host",
        ),
        (
            "fetch = [",
            "service = \"x\"\nfetch = [",
            "28:1: [imports.GEO] has no key `service`",
            "there is `fetch`",
        ),
    ];
    for (from, to, place, hint) in mistakes {
        assert!(GOOD.contains(from), "{from} is not in the manifest");
        let error = Manifest::parse(&GOOD.replacen(from, to, 1))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("isolith.toml:{place}")),
            "{from} -> {to}: {error}"
        );
        assert!(error.contains(hint), "{from} -> {to}: {error}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = GOOD
        .replace("3.2.0", "3")
        .replace("^2.1", "?")
        .replace("= 64", "= 0");
    assert_eq!(Manifest::parse(&text).unwrap_err().0.len(), 3);
}
