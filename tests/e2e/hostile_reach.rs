//! Hostile bundles that lie, tamper and flood. For each: a typed error for its own requests or a
//! harmless answer, while the process and every other service go on.
//!
//! Those of the first table are called through a front service, all in one process and on one
//! shard, beside a good service that must answer after each of them. Those of the second answer
//! HTTP themselves, each in a process of its own.

mod table;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use table::{ATTACKS, Attack, Expect, HANDLERS};
use tempfile::TempDir;

use crate::support::case;
use crate::support::command::run;
use crate::support::server::Server;

/// Bundles of this file, built from texts.
struct Forge {
    folder: TempDir,
}

impl Forge {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Forge { folder }
    }

    /// Builds a service that has this main module, and the lines besides `[service]` in its
    /// manifest.
    fn build(&self, service: &str, manifest: &str, source: &str) -> PathBuf {
        let folder = self.folder.path().join(service);
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::create_dir_all(folder.join("schema")).unwrap();
        fs::write(folder.join("src/main.js"), source).unwrap();
        fs::copy(
            case("hostile/attack.capnp"),
            folder.join("schema/attack.capnp"),
        )
        .unwrap();
        let head = format!(
            "[service]\nname = \"{service}\"\nversion = \"1.0.0\"\nmain = \"src/main.js\"\n"
        );
        fs::write(folder.join("isolith.toml"), head + manifest).unwrap();
        let bundle = self.folder.path().join(format!("{service}.isolith"));
        let arguments: [&Path; 4] = ["build".as_ref(), &folder, "-o".as_ref(), &bundle];
        run(arguments).done();
        bundle
    }

    /// Builds services beside each other.
    fn build_all(&self, services: &[(String, String, String)]) -> Vec<PathBuf> {
        std::thread::scope(|scope| {
            let parts = services.chunks(services.len().div_ceil(4).max(1));
            let builds: Vec<_> = parts
                .map(|part| {
                    let build = |(name, manifest, source): &(String, String, String)| {
                        self.build(name, manifest, source)
                    };
                    scope.spawn(move || part.iter().map(build).collect::<Vec<_>>())
                })
                .collect();
            builds
                .into_iter()
                .flat_map(|build| build.join().unwrap())
                .collect()
        })
    }
}

const EXPORT: &str = "[exports.ATTACK]\ninterface = \"schema/attack.capnp:Attack\"\n\
                      class = \"AttackService\"\n";

fn import(name: &str, service: &str) -> String {
    format!(
        "[imports.{name}]\nservice = \"{service}\"\nversion = \"^1\"\n\
         interface = \"schema/attack.capnp:Attack\"\n"
    )
}

const GOOD: &str =
    "export class AttackService { async run({ how }) { return { text: `good ${how}` }; } }";

fn app(entry: &str) -> String {
    format!(
        "[app]\nname = \"hostile\"\nentry = \"{entry}\"\nbundles = [\"dist/*.isolith\"]\n\
         [http]\nrequest_timeout_ms = 4000\n[runtime]\nshards = 1\n\
         [grants.explorer]\nfetch = [\"https://127.0.0.1:9\"]\n"
    )
}

/// Passes calls on, and tells what came of them.
const FRONT: &str = r#"
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const name = url.pathname.slice(1);
    try {
      const reply = await env[name].run({ how: url.search.slice(1), data: new Uint8Array([1, 2, 3]) });
      const plain = (key, value) => (typeof value === 'bigint' ? `${value}` : value);
      return new Response(JSON.stringify({ answer: reply.toObject() }, plain));
    } catch (error) {
      return Response.json({ kind: error.kind, message: error.message, service: error.service });
    }
  },
};
"#;

/// `throwing-proxy` is `THROWING_PROXY` on the front's `env`.
fn binding(service: &str) -> String {
    service.replace('-', "_").to_uppercase()
}

fn source(attack: &Attack) -> String {
    format!(
        "{}\nexport class AttackService {{\n  constructor(env) {{ this.env = env; }}\n  \
         async run(params, ctx) {{\n{}\n  }}\n}}\n",
        attack.module, attack.run
    )
}

/// What came of it, in short, and whether that was expected.
fn outcome(expect: &Expect, status: u16, body: &Value) -> (String, bool) {
    let outcome = match body {
        body if status != 200 => format!("status {status} {}", body["type"]),
        body if body["kind"].is_string() => format!("{}: {}", body["kind"], body["message"]),
        body if body["answer"].is_object() => format!("answer {}", body["answer"]),
        body => format!("body {body}"),
    };
    let shown: String = outcome.chars().take(150).collect();
    let fits = match expect {
        Expect::Kind(kind, text) => {
            status == 200
                && (kind.is_empty() || body["kind"] == *kind)
                && body["kind"].is_string()
                && body["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(text))
        }
        Expect::Text(text) => {
            status == 200
                && body["answer"]["text"]
                    .as_str()
                    .is_some_and(|found| found.starts_with(text))
        }
        Expect::Status(expected) => status == *expected,
    };
    (shown, fits)
}

#[test]
fn hostile_services_harm_only_their_own_requests() {
    let forge = Forge::new();
    let mut services: Vec<_> = ATTACKS
        .iter()
        .map(|attack| {
            // What they do to the processor is not what this is about.
            let limits = "[limits]\ncpu_ms_per_request = 5000\n";
            let manifest = EXPORT.to_owned() + limits + attack.manifest;
            (attack.name.to_owned(), manifest, source(attack))
        })
        .collect();
    services.push(("good".to_owned(), EXPORT.to_owned(), GOOD.to_owned()));
    let imports: String = services
        .iter()
        .map(|(name, ..)| import(&binding(name), name))
        .collect();
    services.push(("front".to_owned(), imports, FRONT.to_owned()));
    let server = Server::start_with(&app("front"), &forge.build_all(&services));

    let (mut outcomes, mut wrong) = (Vec::new(), Vec::new());
    for round in 0..2 {
        for attack in ATTACKS {
            let reply = server.get(&format!("/{}?{round}", binding(attack.name)));
            let (outcome, fits) = outcome(&attack.expect, reply.status, &reply.json());
            if !fits {
                wrong.push(format!(
                    "{}: {:?}, but {outcome}",
                    attack.name, attack.expect
                ));
            }
            let good = server.get(&format!("/GOOD?{round}"));
            let expected = format!("good {round}");
            assert_eq!(
                good.json()["answer"]["text"],
                expected,
                "after {}",
                attack.name
            );
            if round == 1 {
                outcomes.push(format!("{:28} {outcome}", attack.name));
            }
        }
    }
    println!(
        "{} hostile services:\n{}",
        outcomes.len(),
        outcomes.join("\n")
    );
    assert!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
    let log = server.log();
    assert!(log.len() < 8 << 20, "the log has {} bytes", log.len());
    assert!(
        log.contains("log_kib_per_second"),
        "nothing was dropped from the log"
    );
}

#[test]
fn hostile_http_handlers_harm_only_their_own_requests() {
    let forge = Forge::new();
    let mut services: Vec<_> = HANDLERS
        .iter()
        .map(|(name, source, _)| {
            let manifest = import("GOOD", "good");
            ((*name).to_owned(), manifest, (*source).to_owned())
        })
        .collect();
    services.push(("good".to_owned(), EXPORT.to_owned(), GOOD.to_owned()));
    let bundles = forge.build_all(&services);
    let (good, handlers) = bundles.split_last().unwrap();
    let mut outcomes = Vec::new();
    for ((name, _, expected), bundle) in HANDLERS.iter().zip(handlers) {
        let server = Server::start_with(&app(name), &[bundle.clone(), good.clone()]);
        for _ in 0..2 {
            let outcome = ask(&server);
            assert!(
                outcome.starts_with(expected),
                "{name}: expected {expected}, got {outcome}"
            );
            let call = server
                .control(&["call", "good", "run", "{\"how\": \"x\"}"])
                .done();
            assert!(call.contains("good x"), "after {name}: {call}");
            outcomes.push(format!("{name:28} {outcome}"));
        }
    }
    outcomes.dedup();
    println!(
        "{} hostile HTTP handlers:\n{}",
        HANDLERS.len(),
        outcomes.join("\n")
    );
}

/// Status and size of what a handler answers, or `cut` if its body broke off.
fn ask(server: &Server) -> String {
    let mut connection = server.connect();
    connection.write(b"GET / HTTP/1.1\r\nhost: lab.test\r\n\r\n");
    if connection.is_closed() {
        return "cut at the head".to_owned();
    }
    let head = connection.head();
    if head.header("transfer-encoding").is_some() {
        let mut length = 0;
        loop {
            match connection.read_chunk() {
                None => return format!("cut after {length} bytes"),
                Some(chunk) if chunk.is_empty() => {
                    return format!("{} {length} bytes", head.status);
                }
                Some(chunk) => length += chunk.len(),
            }
        }
    }
    let reply = server.get("/");
    let forged = ["isolith-set", "isolith-epoch", "isolith-request"]
        .iter()
        .any(|name| matches!(reply.header(name), None | Some("forged" | "999")));
    let kind = match reply.status {
        200 => String::new(),
        _ => format!(", {}", reply.json()["type"]),
    };
    let set = if forged { "forged set" } else { "own set" };
    format!("{} {} bytes, {set}{kind}", reply.status, reply.body.len())
}

/// The outside check of reach: a bundle tries each way out that is known, and gets none.
#[test]
fn a_bundle_that_tries_every_way_out_finds_none() {
    let forge = Forge::new();
    let explorer = include_str!("hostile_reach/explorer.js");
    let manifest = EXPORT.to_owned() + "[imports.WEB]\nfetch = [\"https://127.0.0.1:9\"]\n";
    let front = import("EXPLORER", "explorer");
    let bundles = forge.build_all(&[
        ("explorer".to_owned(), manifest, explorer.to_owned()),
        ("front".to_owned(), front, FRONT.to_owned()),
    ]);
    let server = Server::start_in(&app("front"), &bundles, &[("ISOLITH_CANARY", "canary")]);
    let reply = server.get("/EXPLORER").json();
    let text = reply["answer"]["text"].as_str();
    let found: Value = serde_json::from_str(text.unwrap_or_else(|| panic!("{reply}"))).unwrap();
    let tries = found.as_object().unwrap();
    println!("{} ways out were tried:", tries.len());
    for (way, outcome) in tries {
        println!("{way:40} {}", outcome.as_str().unwrap_or_default());
    }
    let got: Vec<_> = tries
        .iter()
        .filter(|(_, outcome)| {
            outcome
                .as_str()
                .is_none_or(|outcome| outcome.starts_with("GOT"))
        })
        .collect();
    assert_eq!(json!(got), json!([]), "ways that lead somewhere");
    assert!(tries.len() >= 50, "{} ways", tries.len());
}
