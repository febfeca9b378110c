use isolith_services::manifest::Manifest;

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
    for (table, keys) in KEYS.iter().filter(|(_, keys)| !keys.is_empty()) {
        let known = known_in(table);
        for key in *keys {
            assert!(known.contains(*key), "[{table}] {key}: {known:?}");
        }
        assert_eq!(known.len(), keys.len(), "[{table}]: {known:?}");
    }
}

/// What docs/configuration.md says of the manifest, and of the application file.
fn page() -> (&'static str, &'static str) {
    let page = include_str!("../../../docs/configuration.md");
    let mut parts = page.split("\n## ").skip(1);
    (parts.next().unwrap(), parts.next().unwrap())
}

/// The tables that a part of the page has sections for: of `[exports.NAME]` its beginning.
fn sections(part: &str) -> BTreeSet<String> {
    let headings = part
        .lines()
        .filter_map(|line| line.strip_prefix("### `["))
        .filter_map(|heading| heading.split(['.', ']']).next());
    headings.map(str::to_owned).collect()
}

/// The keys of a section, each with the cells behind it: its value, its default, what it is.
fn rows<'p>(part: &'p str, table: &str) -> BTreeMap<&'p str, Vec<&'p str>> {
    let heading = format!("`[{table}]`\n");
    let section = part
        .split("\n### ")
        .find(|section| section.starts_with(heading.as_str()));
    let section = section.unwrap_or_else(|| panic!("no section is about [{table}]"));
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let key = cells.next().unwrap().trim_matches('`');
        (key, cells.collect())
    })
    .collect()
}

fn keys(part: &str, table: &str) -> BTreeSet<String> {
    rows(part, table).into_keys().map(str::to_owned).collect()
}

/// The words that stand in backticks.
fn named_in(text: &str) -> BTreeSet<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// An application file that ends in the table which a section is about.
fn up_to(table: &str) -> String {
    match table {
        "app" => MINIMAL.to_owned(),
        "secrets.SERVICE" => format!("{MINIMAL}[secrets.service.name]\n"),
        _ => format!("{MINIMAL}[{}]\n", table.to_lowercase()),
    }
}

/// The keys of a table of the application file: serde names them when it meets one that it does not
/// know.
fn known_in(table: &str) -> BTreeSet<String> {
    let text = format!("{}zzz = 1\n", up_to(table));
    let error = toml::from_str::<AppConfig>(&text).unwrap_err();
    let (_, known) = error.message().split_once("expected").unwrap();
    named_in(known)
}

#[test]
fn the_page_has_every_key_of_the_application_file_and_no_other() {
    let (_, page) = page();
    let tables = KEYS.iter().map(|(table, _)| (*table).to_owned());
    assert_eq!(sections(page), tables.collect());
    let plain = KEYS.iter().map(|(table, _)| *table);
    let others = [
        "rpc.tls",
        "secrets.SERVICE",
        "grants.SERVICE",
        "rollouts.NAME",
        "control.listen",
    ];
    for table in plain.filter(|table| !NAMED.contains(table)).chain(others) {
        assert_eq!(keys(page, table), known_in(table), "[{table}]");
    }
}

#[test]
fn the_page_tells_the_defaults_and_bounds_of_the_application_file() {
    let (_, page) = page();
    let tables = [
        ("app", ""),
        ("http", ""),
        ("routing", ""),
        ("rpc", "listen = \"127.0.0.1:0\"\nexports = [\"a.A\"]\n"),
        ("trace", "file = \"trace.jsonl\"\n"),
        ("runtime", ""),
        ("limits", ""),
        ("grants.SERVICE", ""),
        ("rollouts.NAME", "bundles = [\"*.isolith\"]\n"),
        ("trust", ""),
        ("control", ""),
    ];
    for (table, required) in tables {
        let least = format!("{}{required}", up_to(table));
        let mut written_out = least.clone();
        for (key, cells) in rows(page, table) {
            let (value, default) = (cells[0].replace(',', ""), cells[1]);
            if let Some(default) = default.strip_prefix('`') {
                let (default, _) = default.split_once('`').unwrap();
                written_out.push_str(&format!("{key} = {default}\n"));
            }
            let too_much = format!("{least}{key} = 5000000000\n");
            let refused = AppConfig::parse("app.toml", &too_much).err();
            let error = refused.map(|problems| problems.to_string());
            if let Some((_, bounds)) = error
                .as_deref()
                .and_then(|error| error.split_once("5000000000 is not from "))
            {
                let told = value.ends_with(&format!(" {bounds}"));
                assert!(told, "[{table}] {key} is from {bounds}, not {value}");
            }
        }
        let read = |text: &str| format!("{:?}", AppConfig::parse("app.toml", text).unwrap());
        assert_eq!(
            read(&written_out),
            read(&least),
            "the defaults of [{table}]"
        );
    }
}

#[test]
fn the_page_has_every_key_of_the_manifest_and_its_bounds() {
    let (page, _) = page();
    // So unlike any key that the hint lists them all.
    let word = "z".repeat(32);
    let known = |table: &str| {
        let problems = Manifest::parse(&format!("{table}{word} = 1\n")).unwrap_err();
        let unknown = format!(" has no key `{word}`");
        let mut problems = problems.0.iter();
        let problem = problems.find(|problem| problem.message.ends_with(&unknown));
        named_in(&problem.unwrap().hint)
    };
    assert_eq!(sections(page), known(""));
    for table in ["service", "exports.NAME", "imports.NAME", "limits"] {
        let known = known(&format!("[{table}]\n"));
        assert_eq!(keys(page, table), known, "[{table}]");
    }
    for (key, cells) in rows(page, "limits") {
        let too_much = format!("[limits]\n{key} = 5000000000\n");
        let problems = Manifest::parse(&too_much).unwrap_err();
        let mut hints = problems.0.iter().map(|problem| &problem.hint);
        let bounds = hints.find_map(|hint| hint.strip_prefix("from ")).unwrap();
        let value = cells[0].replace(',', "");
        assert!(value.ends_with(&format!(" {bounds}")), "{key}: {bounds}");
    }
}

#[test]
fn the_examples_of_the_page_are_valid() {
    let (manifest, application) = page();
    let example = |part: &'static str| {
        let block = part.split("```").nth(1).unwrap();
        block.strip_prefix("toml\n").unwrap()
    };
    Manifest::parse(example(manifest)).unwrap();
    AppConfig::parse("app.toml", example(application)).unwrap();
}
