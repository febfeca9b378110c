//! What a service can reach: the hosts that it was granted, its own secrets, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::case;
use crate::support::command::run;
use crate::support::copy_project;
use crate::support::eventually;
use crate::support::http1::Request;
use crate::support::origin::Origin;
use crate::support::server::Server;
use crate::support::tls::Authority;

/// The probe, asking for these origins. The folder keeps the bundle.
struct Probe {
    folder: tempfile::TempDir,
    bundle: PathBuf,
}

impl Probe {
    fn build(origins: &[String], vars: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_project(&case("reach/probe"), folder.path());
        let manifest = format!(
            "[service]\nname = \"probe\"\nversion = \"1.0.0\"\nmain = \"src/main.ts\"\n\
             [imports.GEO]\nfetch = {}\n{vars}",
            json!(origins)
        );
        fs::write(folder.path().join("isolith.toml"), manifest).unwrap();
        let bundle = folder.path().join("probe.isolith");
        run([
            "build".as_ref(),
            folder.path().as_os_str(),
            "-o".as_ref(),
            bundle.as_os_str(),
        ])
        .done();
        Probe { folder, bundle }
    }

    fn serve(&self, more: &str, environment: &[(&str, &str)]) -> Server {
        Server::start_in(&app(more), std::slice::from_ref(&self.bundle), environment)
    }
}

fn app(more: &str) -> String {
    format!(
        "[app]\nname = \"reach\"\nentry = \"probe\"\nbundles = [\"dist/*.isolith\"]\n\
         [http]\nrequest_timeout_ms = 3000\n[runtime]\nshards = 1\n{more}"
    )
}

fn grants(origins: &[String], more: &str) -> String {
    format!("[grants.probe]\nfetch = {}\n{more}", json!(origins))
}

fn order(server: &Server, order: &Value) -> Value {
    let reply = server.send(&Request::new("POST", "/order").json(order));
    assert_eq!(reply.status, 200, "{order}: {}", reply.text());
    reply.json()
}

/// A proxy in the environment is not used: the only way there is the direct one.
const PROXIES: [(&str, &str); 3] = [
    ("HTTP_PROXY", "http://127.0.0.1:1"),
    ("http_proxy", "http://127.0.0.1:1"),
    ("ALL_PROXY", "http://127.0.0.1:1"),
];

#[test]
fn a_granted_binding_sends_requests_and_reads_answers() {
    let origin = Origin::start();
    let origins = [origin.url("")];
    let probe = Probe::build(&origins, "");
    let server = probe.serve(&grants(&origins, ""), &PROXIES);

    let plain = order(&server, &json!({ "url": origin.url("/a?b=c#d") }));
    assert_eq!(
        (&plain["status"], &plain["redirected"]),
        (&json!(200), &json!(false))
    );
    assert_eq!(plain["url"], origin.url("/a?b=c"));
    assert_eq!(plain["type"], "text/plain");
    assert!(
        plain["text"]
            .as_str()
            .unwrap()
            .starts_with("GET /a?b=c HTTP/1.1\n"),
        "{plain}"
    );

    let headers = json!({
        "x-own": "1", "authorization": "Bearer t", "host": "elsewhere.example", "connection": "x-own2",
        "x-own2": "2", "content-length": "7", "transfer-encoding": "chunked",
    });
    let posted = order(
        &server,
        &json!({
            "url": origin.url("/"), "init": { "method": "POST", "body": "hello", "headers": headers },
        }),
    );
    let text = posted["text"].as_str().unwrap();
    assert!(text.ends_with("\n\nhello"), "{text}");
    assert!(
        text.contains("x-own: 1") && text.contains("authorization: Bearer t"),
        "{text}"
    );
    assert!(
        text.contains(&format!("host: {}", origin.address)),
        "{text}"
    );
    assert!(text.contains("content-length: 5"), "{text}");
    for refused in ["elsewhere", "x-own2", "chunked"] {
        assert!(!text.contains(refused), "{refused}: {text}");
    }

    let streamed = order(
        &server,
        &json!({
            "url": origin.url("/"), "init": { "method": "PUT", "streamed": ["one ", "two ", "three"] },
        }),
    );
    assert!(
        streamed["text"]
            .as_str()
            .unwrap()
            .ends_with("\n\none two three"),
        "{streamed}"
    );

    let long = server.get(&format!("/proxy?url={}", origin.url("/bytes/3000000")));
    assert_eq!((long.status, long.body.len()), (200, 3_000_000));
}

#[test]
fn redirects_are_followed_within_the_grant_and_refused_beyond_it() {
    let (origin, other) = (Origin::start(), Origin::start());
    let origins = [origin.url("")];
    let probe = Probe::build(&origins, "");
    let server = probe.serve(&grants(&origins, ""), &[]);

    let inside = order(
        &server,
        &json!({
            "url": origin.url("/to/302//there"),
            "init": { "method": "POST", "body": "x", "headers": { "content-language": "de" } },
        }),
    );
    assert_eq!(
        (&inside["redirected"], &inside["url"]),
        (&json!(true), &json!(origin.url("/there")))
    );
    let text = inside["text"].as_str().unwrap();
    assert!(
        text.starts_with("GET /there") && !text.contains("content-language"),
        "{text}"
    );

    let kept = json!({ "url": origin.url("/to/307//kept"), "init": { "method": "POST", "body": "again" } });
    assert!(
        order(&server, &kept)["text"]
            .as_str()
            .unwrap()
            .ends_with("\n\nagain")
    );

    let outside = format!("/to/302/{}", other.url("/x"));
    let refused = order(&server, &json!({ "url": origin.url(&outside) }));
    assert_eq!(
        (&refused["error"], &refused["kind"]),
        (&json!("CallError"), &json!("notGranted"))
    );
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains(&other.url("")),
        "{refused}"
    );
    assert_eq!(other.seen(), [""; 0], "the other server was asked");

    let manual = json!({ "url": origin.url(&outside), "init": { "redirect": "manual" } });
    assert_eq!(order(&server, &manual)["status"], 302);
    let error = json!({ "url": origin.url("/to/302//x"), "init": { "redirect": "error" } });
    assert_eq!(order(&server, &error)["kind"], "failed");
    let endless = origin.url("/to/302/");
    let looped = order(
        &server,
        &json!({ "url": format!("{endless}{}", "/to/302/".repeat(25)) }),
    );
    assert!(looped["error"] == "CallError", "{looped}");
    let spent =
        json!({ "url": origin.url("/to/307//x"), "init": { "method": "POST", "streamed": ["a"] } });
    assert_eq!(order(&server, &spent)["kind"], "badArgument");
}

#[test]
fn other_hosts_and_names_that_resolve_to_private_addresses_are_refused() {
    let (origin, other) = (Origin::start(), Origin::start());
    let named = format!("http://localhost:{}", other.address.port());
    let origins = [origin.url(""), named.clone()];
    let probe = Probe::build(&origins, "");
    let server = probe.serve(&grants(&origins, ""), &[]);

    let port = other.address.port();
    let disguised = [
        other.url("/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://127.0.0.1.nip.io:{port}/"),
        format!("http://127.0.0.2:{port}/"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://example.com/".to_owned(),
        format!("https://127.0.0.1:{}/", origin.address.port()),
    ];
    for url in disguised {
        let refused = order(&server, &json!({ "url": url }));
        assert_eq!(refused["kind"], "notGranted", "{url}: {refused}");
    }
    for url in [
        "file:///etc/passwd",
        "data:text/plain,x",
        "ftp://example.com/",
        "//x",
        "blob:x",
    ] {
        let refused = order(&server, &json!({ "url": url }));
        assert!(refused["error"].is_string(), "{url}: {refused}");
    }
    // The name is granted, the address that it resolves to is not.
    let private = order(&server, &json!({ "url": format!("{named}/") }));
    assert_eq!(private["kind"], "notGranted", "{private}");
    assert!(
        private["message"]
            .as_str()
            .unwrap()
            .contains("private_networks"),
        "{private}"
    );
    let global = order(&server, &json!({ "url": origin.url("/"), "global": true }));
    assert!(
        global["message"]
            .as_str()
            .unwrap()
            .contains("env.NAME.fetch"),
        "{global}"
    );
    assert_eq!(other.seen(), [""; 0], "the other server was asked");
    assert_eq!(origin.seen(), [""; 0], "the server was asked");
    drop(server);

    let networks = "private_networks = [\"127.0.0.0/8\", \"::1/128\"]\n";
    let server = probe.serve(&grants(&origins, networks), &[]);
    assert_eq!(
        order(&server, &json!({ "url": format!("{named}/") }))["status"],
        200
    );
}

#[test]
fn what_is_asked_for_and_not_granted_is_refused_before_anything_is_served() {
    let probe = Probe::build(&["https://*.example.com".to_owned()], "");
    let file = probe.folder.path().join("app.toml");
    for (more, refused) in [
        ("", true),
        (
            "[grants.probe]\nfetch = [\"https://a.example.com\"]\n",
            true,
        ),
        ("[grants.probe]\nfetch = [\"http://*.example.com\"]\n", true),
        (
            "[grants.other]\nfetch = [\"https://*.example.com\"]\n",
            true,
        ),
        (
            "[grants.probe]\nfetch = [\"https://*.example.com\"]\n",
            false,
        ),
    ] {
        let text = app(more).replace("dist/*.isolith", "probe.isolith");
        fs::write(&file, text).unwrap();
        let ran = run(["check".as_ref(), file.as_os_str()]);
        assert_eq!(ran.code, Some(i32::from(refused)), "{more}: {ran:?}");
        if refused {
            let line = "probe@1.0.0: binding GEO asks to fetch https://*.example.com, which is not granted";
            assert!(ran.stderr.contains(line), "{ran:?}");
        }
    }
}

#[test]
fn an_outbound_request_is_work_of_its_request_and_bounded() {
    let origin = Origin::start();
    let origins = [origin.url("")];
    let probe = Probe::build(&origins, "");
    let server = probe.serve(&grants(&origins, ""), &[]);
    let never = origin.url("/never");

    // Its deadline is that of the request.
    let late = server.send(&Request::new("POST", "/order").json(&json!({ "url": never })));
    assert_eq!(late.status, 504, "{}", late.text());
    let aborted = order(&server, &json!({ "url": never, "init": { "abort": true } }));
    assert_eq!(aborted["message"], "enough");

    let flooded = server.get(&format!("/flood?url={}", origin.url("/bytes/10")));
    assert_eq!(flooded.json()["kind"], "overloaded", "{}", flooded.text());
    assert_eq!(flooded.json()["failed"], 6);
    let bound = "outbound_in_flight_per_isolate (64)";
    assert!(flooded.json()["message"].as_str().unwrap().contains(bound));

    // Answers that nobody reads are let go of with their request: the bound is not used up.
    for _ in 0..30 {
        let reply = server.get(&format!("/unread?url={}", origin.url("/bytes/300000")));
        assert_eq!(reply.json(), json!([200, 200, 200]));
    }

    // An answer to a request that nobody waited for is told of its end.
    server.get(&format!(
        "/left-behind?url={}",
        origin.url("/bytes/3000000")
    ));
    server.await_log("left behind: the request that it belongs to has ended");
    assert_eq!(
        order(&server, &json!({ "url": origin.url("/") }))["status"],
        200
    );
}

#[test]
fn secrets_reach_their_service_and_nothing_that_is_printed() {
    let origins = ["https://example.com".to_owned()];
    let probe = Probe::build(&origins, "[vars.TOKEN]\nsecret = true\n");
    let granted = grants(&origins, "");
    let value = "hunter2-and-more";
    let secret = "[secrets.probe]\nTOKEN = { env = \"PROBE_TOKEN\" }\n";
    let server = probe.serve(&format!("{granted}{secret}"), &[("PROBE_TOKEN", value)]);

    let seen = server.get("/secret").json();
    assert_eq!(seen["length"], value.len());
    assert_eq!(seen["listed"], json!(["GEO"]));
    assert!(!seen["json"].as_str().unwrap().contains(value), "{seen}");
    let failed = server.get("/secret?throw");
    assert_eq!(failed.status, 500);
    let log = server.await_log("cannot log in with [secret TOKEN]");
    assert!(log.contains("the token is [secret TOKEN]"), "{log}");
    let status = server.control(&["status"]).done();
    let inspected = run(["inspect".as_ref(), probe.bundle.as_os_str()]).done();
    assert!(
        inspected.contains("TOKEN") && inspected.contains("secret"),
        "{inspected}"
    );
    for text in [log.as_str(), failed.text(), &status, &inspected] {
        assert!(!text.contains(value), "{text}");
    }
    drop(server);

    // From a file; one that is not there is named, and so is a secret that nobody gives.
    let file = probe.folder.path().join("app.toml");
    fs::write(probe.folder.path().join("token"), format!("{value}\n")).unwrap();
    for (source, expected) in [
        ("[secrets.probe]\nTOKEN = { file = \"token\" }\n", None),
        (
            "[secrets.probe]\nTOKEN = { file = \"tokken\" }\n",
            Some("cannot read"),
        ),
        (
            "[secrets.probe]\nTOKEN = { env = \"NO_SUCH_TOKEN\" }\n",
            Some("has no variable NO_SUCH_TOKEN"),
        ),
        (
            "",
            Some("secret TOKEN has no value; say under [secrets.probe]"),
        ),
    ] {
        let text = app(&format!("{granted}{source}")).replace("dist/*.isolith", "probe.isolith");
        fs::write(&file, text).unwrap();
        let ran = run(["check".as_ref(), file.as_os_str()]);
        match expected {
            None => assert_eq!(ran.code, Some(0), "{ran:?}"),
            Some(expected) => assert!(ran.stderr.contains(expected), "{ran:?}"),
        }
    }
}

/// Ed25519 private keys as `openssl genpkey` writes them, of no secret.
const KEYS: [&str; 2] = [
    "MC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB",
    "MC4CAQAwBQYDK2VwBCIEIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC",
];

#[test]
fn only_bundles_signed_by_a_trusted_key_are_served_where_that_is_required() {
    let origins = ["https://example.com".to_owned()];
    let probe = Probe::build(&origins, "");
    let folder = probe.folder.path();
    let sign = |bundle: &Path, key: usize| {
        let file = folder.join("key.pem");
        let body = KEYS[key];
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        fs::write(&file, pem).unwrap();
        let key = ["--key".as_ref(), file.as_os_str()];
        let line = ["sign".as_ref(), bundle.as_os_str()].into_iter().chain(key);
        run(line).done().trim().to_owned()
    };
    let unsigned = folder.join("unsigned.isolith");
    let foreign = folder.join("foreign.isolith");
    fs::copy(&probe.bundle, &unsigned).unwrap();
    fs::copy(&probe.bundle, &foreign).unwrap();
    let before = run(["inspect".as_ref(), probe.bundle.as_os_str()]).done();
    let (signer, other) = (sign(&probe.bundle, 0), sign(&foreign, 1));
    let after = run(["inspect".as_ref(), probe.bundle.as_os_str()]).done();
    assert!(before.contains("signed   no"), "{before}");
    assert!(after.contains(&format!("signed   by {signer}")), "{after}");
    assert_ne!(signer, other);

    let trust = format!("[trust]\nkeys = [\"{signer}\"]\nrequire = true\n");
    let more = grants(&origins, "") + &trust;
    let server = probe.serve(&more, &[]);
    assert_eq!(server.get("/").status, 200);
    for (bundle, reason) in [
        (
            &unsigned,
            "probe@1.0.0 is not signed, and [trust] requires it",
        ),
        (
            &foreign,
            &*format!("is signed by {other}, which is none of the keys"),
        ),
    ] {
        let ran = server.deploy(bundle);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains(reason), "{reason}: {ran:?}");
    }
    drop(server);

    let mut bytes = fs::read(&probe.bundle).unwrap();
    let at = bytes.len() - 40;
    bytes[at] ^= 1;
    let broken = folder.join("broken.isolith");
    fs::write(&broken, bytes).unwrap();
    let file = folder.join("app.toml");
    for (bundle, trust, reason) in [
        ("unsigned", &*trust, "is not signed"),
        ("foreign", &*trust, "none of the keys"),
        ("broken", "", "corrupt"),
        ("probe", "[trust]\nrequire = true\n", "names no key"),
        (
            "probe",
            "[trust]\nkeys = [\"ed25519:12\"]\n",
            "is not a public key",
        ),
    ] {
        let text = app(&(grants(&origins, "") + trust));
        fs::write(&file, text.replace("dist/*", bundle)).unwrap();
        let ran = run(["check".as_ref(), file.as_os_str()]);
        assert_eq!(ran.code, Some(1), "{bundle}: {ran:?}");
        assert!(ran.stderr.contains(reason), "{bundle}: {ran:?}");
    }
}

#[test]
fn a_granted_authority_is_trusted_and_no_other() {
    let (company, other) = (Authority::new("Company"), Authority::new("Other"));
    let origin = Origin::start_tls(&company.certify("127.0.0.1"));
    let misnamed = Origin::start_tls(&company.certify("elsewhere.test"));
    let origins = [origin.url(""), misnamed.url("")];
    let probe = Probe::build(&origins, "");
    let folder = probe.folder.path();
    let ours = company.write(folder, "company");
    let theirs = other.write(folder, "other");
    let granted = |file: &Path| {
        let more = format!("certificate_authorities = [{file:?}]\n");
        probe.serve(&grants(&origins, &more), &PROXIES)
    };

    let server = granted(&ours);
    let answer = order(&server, &json!({ "url": origin.url("/a") }));
    assert_eq!(answer["status"], 200, "{answer}");
    let refused = order(&server, &json!({ "url": misnamed.url("/a") }));
    let text = refused["message"].as_str().unwrap();
    assert!(text.contains("not valid for name"), "{text}");
    for server in [
        granted(&theirs),
        probe.serve(&grants(&origins, ""), &PROXIES),
    ] {
        let refused = order(&server, &json!({ "url": origin.url("/b") }));
        assert_eq!(refused["kind"], "failed", "{refused}");
        let text = refused["message"].as_str().unwrap();
        assert!(
            text.contains("TLS with 127.0.0.1: ") && text.contains("UnknownIssuer"),
            "{text}"
        );
    }
    assert_eq!((origin.seen().len(), misnamed.seen().len()), (1, 0));

    fs::write(folder.join("empty.pem"), "nothing").unwrap();
    let more = "certificate_authorities = [\"empty.pem\"]\n";
    let app = folder.join("app.toml");
    fs::create_dir(folder.join("dist")).unwrap();
    fs::copy(&probe.bundle, folder.join("dist/probe.isolith")).unwrap();
    fs::write(&app, self::app(&grants(&origins, more))).unwrap();
    let said = run(["serve".as_ref(), app.as_os_str()]).refused();
    assert!(
        said.contains("[grants.probe] certificate_authorities: "),
        "{said}"
    );
    assert!(said.contains("empty.pem: it has no certificate"), "{said}");
}

/// A copy of a request is marked where it goes, and changes nothing there.
#[test]
fn a_shadow_request_reads_marked_and_writes_only_if_that_is_granted() {
    let origin = Origin::start();
    let origins = [origin.url("")];
    let probe = Probe::build(&origins, "");
    let next = Probe::build(&origins, "");
    let manifest = next.folder.path().join("isolith.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("1.0.0", "1.1.0")).unwrap();
    let build = [
        Path::new("build"),
        next.folder.path(),
        Path::new("-o"),
        &next.bundle,
    ];
    run(build).done();
    let shadowed = |more: &str| {
        let server = probe.serve(&grants(&origins, more), &PROXIES);
        let start = ["rollout", "start", "next", next.bundle.to_str().unwrap()];
        server
            .control(&[&start[..], &["--manual", "--shadow", "100%"]].concat())
            .done();
        server
    };
    let copies = |server: &Server, count: u64| {
        eventually("the copies are compared", || {
            let status = server.control(&["rollout", "status", "--json"]).done();
            let shadows = crate::support::command::json(&status)["rollouts"][0]["shadows"].clone();
            let names = ["alike", "different", "failed"];
            let sum: u64 = names
                .iter()
                .map(|name| shadows[name].as_u64().unwrap())
                .sum();
            (sum == count).then_some(())
        });
    };
    let marked = |target: &str| -> Vec<bool> {
        let heads = origin.heads().into_iter();
        let to = heads.filter(|head| head[0].contains(target));
        let mut marks: Vec<_> = to
            .map(|head| {
                head.iter()
                    .any(|line| line.eq_ignore_ascii_case("isolith-shadow: ?1"))
            })
            .collect();
        marks.sort();
        marks
    };
    let read = |target: &str| {
        // A service cannot say of itself that it is a copy.
        json!({ "url": origin.url(target), "init": { "headers": { "isolith-shadow": "?1" } } })
    };
    let write = |target: &str| json!({ "url": origin.url(target), "init": { "method": "POST", "body": "x" } });

    let server = shadowed("");
    assert_eq!(order(&server, &read("/read"))["status"], 200);
    assert_eq!(order(&server, &write("/write"))["status"], 200);
    copies(&server, 2);
    assert_eq!(marked("/read"), [false, true]);
    assert_eq!(marked("/write"), [false]);
    drop(server);

    let server = shadowed("shadow_fetch = true\n");
    assert_eq!(order(&server, &write("/granted"))["status"], 200);
    copies(&server, 1);
    assert_eq!(marked("/granted"), [false, true]);
}
