use super::*;

fn errors(text: &str) -> String {
    AppConfig::parse("app.toml", text).unwrap_err().to_string()
}

const MINIMAL: &str = "[app]\nname = \"a\"\nentry = \"shop\"\nbundles = [\"*.isolith\"]\n";

#[test]
fn defaults_and_values() {
    let config = AppConfig::parse("app.toml", MINIMAL).unwrap();
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.http.max_body_bytes, 10_485_760);
    assert_eq!(config.data_dir(), Path::new("./data"));
    assert!(config.runtime.shards >= 1);

    let text = format!(
        "{MINIMAL}[http]\nlisten = \"[::1]:0\"\nrequest_timeout_ms = 1500\n\
         [vars.auth]\nSECRET = \"s\"\n"
    );
    let config = AppConfig::parse("app.toml", &text).unwrap();
    assert_eq!(config.http.listen.to_string(), "[::1]:0");
    assert_eq!(config.http.request_timeout, Duration::from_millis(1500));
    assert_eq!(config.vars["auth"]["SECRET"], "s");
}

#[test]
fn limits_are_read_by_name_and_keep_their_defaults() {
    let table = "[limits]\nheap_mib = 32\nlog_kib_per_second = 7\noutbound_connect_ms = 250\n";
    let config = AppConfig::parse("app.toml", &format!("{MINIMAL}{table}")).unwrap();
    let (limits, default) = (&config.limits, Limits::default());
    assert_eq!((limits.heap_mib, limits.log_kib_per_second), (32, 7));
    assert_eq!(limits.outbound_connect, Duration::from_millis(250));
    assert_eq!(limits.outbound_redirects, default.outbound_redirects);
    assert_eq!(limits.load, default.load);
    // Each key that a person may write is one.
    for key in Limits::KEYS {
        let text = format!("{MINIMAL}[limits]\n{key} = 5000000000\n");
        let error = errors(&text);
        assert!(error.contains("5000000000 is not from"), "{key}: {error}");
    }
    let error = errors(&format!("{MINIMAL}[limits]\nheap_mb = 5\n"));
    assert!(error.contains("did you mean `heap_mib`?"), "{error}");
}

#[test]
fn every_unknown_key_is_named_with_its_line() {
    let text = format!("{MINIMAL}dta_dir = \"x\"\n[http]\nlissen = \"x\"\n[htp]\n");
    assert_eq!(
        errors(&text),
        "app.toml:5:1: [app] has no key `dta_dir`\n  hint: did you mean `data_dir`?\n\
         app.toml:7:1: [http] has no key `lissen`\n  hint: did you mean `listen`?\n\
         app.toml:8:2: the application file has no key `htp`\n  hint: did you mean `http`?"
    );
}

#[test]
fn wrong_values_are_refused_at_their_place() {
    let cases = [
        (
            "[http]\nlisten = \"localhost\"",
            "app.toml:6:10: `localhost` is not an address",
        ),
        (
            "[http]\nrequest_timeout_ms = 0",
            "app.toml:6:22: 0 is not from 1 to 86400000",
        ),
        (
            "[runtime]\nshards = -1",
            "app.toml:6:10: -1 is not from 1 to 256",
        ),
        (
            "[vars.auth]\nSECRET = 5",
            "app.toml:6:10: invalid type: integer `5`",
        ),
        (
            "[vars.Auth]\nSECRET = \"5\"",
            "the service name `Auth` has 'A'",
        ),
        ("[http", "app.toml:5:6: "),
    ];
    for (text, expected) in cases {
        let found = errors(&format!("{MINIMAL}{text}\n"));
        assert!(found.contains(expected), "{text}: {found}");
    }
    assert!(errors("[app]\nname = \"a\"\nentry = \"b\"").contains("missing field `bundles`"));
    assert!(errors(&MINIMAL.replace("\"*.isolith\"", "")).contains("names no file"));
}

#[test]
fn patterns_are_relative_to_the_file_and_must_match() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("app.toml");
    std::fs::write(&file, MINIMAL).unwrap();
    let config = AppConfig::load(&file).unwrap();
    let error = config.bundle_files().unwrap_err().to_string();
    assert!(
        error.contains("app.toml:4:12: `*.isolith` matches no file in"),
        "{error}"
    );

    for name in ["b.isolith", "a.isolith", "a.txt"] {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    let files = config.bundle_files().unwrap();
    assert_eq!(
        files,
        [dir.path().join("a.isolith"), dir.path().join("b.isolith")]
    );
}

#[test]
fn every_key_in_the_list_is_one() {
    // serde names the keys of a table when it meets one that it does not know.
    for (table, keys) in KEYS.iter().filter(|(_, keys)| !keys.is_empty()) {
        let text = match *table {
            "app" => format!("{MINIMAL}zzz = 1"),
            _ => format!("{MINIMAL}[{table}]\nzzz = 1"),
        };
        let error = toml::from_str::<AppConfig>(&text).unwrap_err().to_string();
        let listed: Vec<_> = error.split("expected").nth(1).unwrap().split('`').collect();
        for key in *keys {
            assert!(listed.contains(key), "{error}");
        }
        assert_eq!(listed.len() / 2, keys.len(), "{error}");
    }
}
