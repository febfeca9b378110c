//! Services that loop, leak, flood and lie: each harms only its own requests.
//!
//! Every hostile service is a bundle of its own in one process of two shards, beside a good one.
//! One after the other they are called; the test prints what came of each. Afterwards the process
//! is the same one, and the good service answers on every shard.

mod soak;

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::command::run;
use crate::support::eventually;
use crate::support::http1::Request;
use crate::support::server::Server;

/// What may come of a hostile call.
#[derive(Clone, Copy)]
enum Outcome {
    /// An error of one of these kinds.
    Kinds(&'static [&'static str]),
    /// It returns: what it does is harmless, or comes later.
    Returns,
    /// It never answers: the client is told so at the deadline.
    NoAnswer,
    /// V8's own out-of-memory: the shard is lost and replaced, and the client is told so.
    ShardLost,
}

use Outcome::{Kinds, NoAnswer, Returns, ShardLost};

const CPU: Outcome = Kinds(&["cpuExceeded"]);
/// The second where V8 ends it between two microtasks: no context names a request there.
const MICROTASKS: Outcome = Kinds(&["cpuExceeded", "disconnected"]);
const MEMORY: Outcome = Kinds(&["memoryExceeded", "failed"]);

struct Hostile {
    name: &'static str,
    /// The body of the method that is called.
    body: &'static str,
    outcome: Outcome,
}

const fn hostile(name: &'static str, body: &'static str, outcome: Outcome) -> Hostile {
    Hostile {
        name,
        body,
        outcome,
    }
}

const BATTERY: &[Hostile] = &[
    // Those that never end.
    hostile("loop", "for (;;);", CPU),
    hostile("microtask", "await null; for (;;);", CPU),
    hostile("await-chain", "for (;;) await null;", MICROTASKS),
    hostile(
        "then-chain",
        "const f = () => Promise.resolve().then(f); await f();",
        MICROTASKS,
    ),
    hostile(
        "getter-in-encode",
        "return { get text() { for (;;); } };",
        CPU,
    ),
    hostile(
        "proxy-in-encode",
        "return new Proxy({}, { get() { for (;;); } });",
        CPU,
    ),
    hostile(
        "to-string-in-encode",
        "return { text: { toString() { for (;;); } } };",
        Kinds(&["cpuExceeded", "failed"]),
    ),
    hostile("thenable", "return { then() { for (;;); } };", CPU),
    hostile(
        "thenable-chain",
        "const t = { then(resolve) { resolve(t); } }; await t;",
        MICROTASKS,
    ),
    hostile(
        "iterator",
        "for (const x of { [Symbol.iterator]: () => ({ next: () => ({}) }) });",
        CPU,
    ),
    hostile(
        "generator",
        "function* g() { for (;;) yield 1; } for (const x of g());",
        CPU,
    ),
    hostile("regexp", "/^(a+)+$/.test('a'.repeat(40) + 'b');", CPU),
    hostile(
        "regexp-replace",
        "'x'.replace(/x/, () => { for (;;); });",
        CPU,
    ),
    hostile("sort", "[3, 1, 2].sort(() => { for (;;); });", CPU),
    hostile(
        "sort-often",
        "for (;;) Array.from({ length: 1e4 }, (_, i) => -i).sort();",
        CPU,
    ),
    hostile(
        "json-stringify",
        "const a = Array(1e3).fill({ x: 1 }); for (;;) JSON.stringify(a);",
        CPU,
    ),
    hostile(
        "to-json",
        "JSON.stringify({ toJSON() { for (;;); } });",
        CPU,
    ),
    hostile(
        "json-parse",
        "const t = JSON.stringify(Array(1e4).fill(1)); for (;;) JSON.parse(t);",
        CPU,
    ),
    hostile("reviver", "JSON.parse('[1]', () => { for (;;); });", CPU),
    hostile(
        "catch-all",
        "for (;;) try { for (;;); } catch {} finally { continue; }",
        CPU,
    ),
    hostile(
        "bigint",
        "let n = 3n; for (;;) n = (n * n) % (10n ** 5000n);",
        CPU,
    ),
    hostile(
        "bigint-optimised",
        "const f = (a, b, n) => { let sum = 0n; for (let i = 0; i < n; i++) sum ^= a * b; return sum; }; for (let i = 0; i < 2e4; i++) f(1n << 70n, 1n << 80n, 10); f(3n ** 200000n, 7n ** 100000n, 1e8);",
        CPU,
    ),
    hostile(
        "clone",
        "const a = Array(1e4).fill({}); for (;;) structuredClone(a);",
        CPU,
    ),
    hostile(
        "text-encoder",
        "const e = new TextEncoder(); for (;;) e.encode('x'.repeat(1e5));",
        CPU,
    ),
    hostile(
        "busy-timer",
        "await new Promise(() => setTimeout(() => { for (;;); }, 1));",
        CPU,
    ),
    hostile(
        "busy-interval",
        "await new Promise(() => setInterval(() => { const t = performance.now() + 5; while (performance.now() < t); }, 1));",
        CPU,
    ),
    hostile(
        "abort-listener",
        "const c = new AbortController(); c.signal.addEventListener('abort', () => { for (;;); }); c.abort();",
        CPU,
    ),
    hostile(
        "event-storm",
        "const e = new EventTarget(); e.addEventListener('x', () => e.dispatchEvent(new Event('x'))); for (;;) try { e.dispatchEvent(new Event('x')); } catch {}",
        CPU,
    ),
    hostile(
        "stream",
        "const s = new ReadableStream({ pull(c) { c.enqueue('x'); } }); for await (const x of s);",
        MICROTASKS,
    ),
    hostile("stack-trace", "for (;;) new Error('x').stack;", CPU),
    hostile(
        "wasm-loop",
        "const code = new Uint8Array([0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,7,5,1,1,102,0,0,10,9,1,7,0,3,64,12,0,11,11]); new WebAssembly.Instance(new WebAssembly.Module(code)).exports.f();",
        CPU,
    ),
    // Those that take more than they are given.
    hostile(
        "array",
        "const a = []; for (;;) a.push({ i: a.length });",
        MEMORY,
    ),
    hostile(
        "numbers",
        "const a = []; for (;;) a.push(Math.random());",
        MEMORY,
    ),
    hostile(
        "closures",
        "let f = () => 0; for (;;) { const g = f; f = () => [g, Array(100)]; }",
        MEMORY,
    ),
    hostile(
        "map",
        "const m = new Map(); for (let i = 0; ; i++) m.set(i, [i]);",
        MEMORY,
    ),
    hostile(
        "set",
        "const s = new Set(); for (let i = 0; ; i++) s.add('k' + i);",
        MEMORY,
    ),
    hostile(
        "properties",
        "const o = {}; for (let i = 0; ; i++) o['k' + i] = i;",
        MEMORY,
    ),
    hostile(
        "strings",
        "const a = []; for (let i = 0; ; i++) a.push('x'.repeat(1000) + i);",
        MEMORY,
    ),
    hostile(
        "rope",
        "let s = 'x'; for (;;) { s += s; s.charCodeAt(s.length - 1); }",
        MEMORY,
    ),
    hostile(
        "symbols",
        "const a = []; for (;;) a.push(Symbol('x'.repeat(50)));",
        MEMORY,
    ),
    hostile(
        "bigints",
        "const a = []; for (let i = 1n; ; i++) a.push(10n ** 1000n + i);",
        MEMORY,
    ),
    hostile(
        "errors",
        "const a = []; for (;;) a.push(new Error('x').stack);",
        MEMORY,
    ),
    hostile(
        "promises",
        "const a = []; for (;;) a.push(new Promise(() => {}));",
        MEMORY,
    ),
    hostile(
        "promise-all",
        "await Promise.all(Array.from({ length: 5e6 }, async () => { await null; return {}; }));",
        MEMORY,
    ),
    hostile(
        "microtask-flood",
        "for (;;) queueMicrotask(() => {});",
        MEMORY,
    ),
    hostile(
        "array-buffer",
        "const a = []; for (;;) a.push(new ArrayBuffer(1 << 20).slice(0));",
        MEMORY,
    ),
    hostile(
        "typed-arrays",
        "const a = []; for (;;) a.push(new Uint8Array(4096).fill(1));",
        MEMORY,
    ),
    hostile("one-buffer", "new Uint8Array(2 ** 30).fill(1);", MEMORY),
    hostile(
        "resizable",
        "const b = new ArrayBuffer(8, { maxByteLength: 2 ** 29 }); b.resize(2 ** 29); new Uint8Array(b).fill(1); for (;;);",
        Kinds(&["memoryExceeded", "cpuExceeded", "failed"]),
    ),
    hostile(
        "wasm-memory",
        "const m = new WebAssembly.Memory({ initial: 1 }); for (;;) { m.grow(16); new Uint8Array(m.buffer).fill(1); }",
        MEMORY,
    ),
    hostile(
        "blob",
        "let b = new Blob(['x'.repeat(1e6)]); for (;;) b = new Blob([b, b]);",
        MEMORY,
    ),
    hostile(
        "clone-big",
        "let o = { a: 'x'.repeat(1e5) }; const a = []; for (;;) a.push(structuredClone(o));",
        MEMORY,
    ),
    hostile(
        "decoder",
        "const b = new Uint8Array(1e6).fill(120); const a = []; for (;;) a.push(new TextDecoder().decode(b));",
        MEMORY,
    ),
    hostile(
        "big-result",
        "return { text: 'x'.repeat(2e8) };",
        Kinds(&[
            "failed",
            "badMessage",
            "tooLarge",
            "memoryExceeded",
            "badArgument",
        ]),
    ),
    hostile(
        "sparse",
        "const a = []; a.length = 4294967295; a.fill(0);",
        ShardLost,
    ),
    hostile(
        "timers",
        "for (;;) setTimeout(() => {}, 1e9);",
        Kinds(&["failed"]),
    ),
    hostile(
        "recursion",
        "const f = () => f() + 1; f();",
        Kinds(&["failed"]),
    ),
    hostile(
        "nested-json",
        "JSON.parse('['.repeat(1e4) + ']'.repeat(1e4));",
        Returns,
    ),
    hostile(
        "calls-itself",
        "return this.env.SELF.go({});",
        Kinds(&["overloaded", "failed"]),
    ),
    // Those that run on inside one built-in function.
    hostile(
        "fill-map",
        "new Array(1e8).fill(0).map((x) => [x]);",
        ShardLost,
    ),
    // Those that come later, or lie.
    hostile(
        "finalizer",
        "const r = new FinalizationRegistry(() => { for (;;); }); for (let i = 0; i < 1e3; i++) r.register({}, i);",
        Returns,
    ),
    hostile(
        "left-behind",
        "setTimeout(() => { for (;;); }, 5);",
        Returns,
    ),
    hostile("forever", "await new Promise(() => {});", NoAnswer),
    hostile(
        "throws-getter",
        "throw { get message() { for (;;); } };",
        CPU,
    ),
    hostile(
        "throws-proxy",
        "throw new Proxy({}, { has() { throw 1; }, get() { throw 2; } });",
        Kinds(&["failed"]),
    ),
    hostile(
        "patched",
        "Promise.prototype.then = () => { for (;;); }; Array.prototype.push = null; Object.defineProperty(Object.prototype, 'text', { get() { for (;;); } }); return {};",
        Kinds(&["cpuExceeded", "failed"]),
    ),
];

/// Those that need more CPU time to do their harm than the others are given.
fn takes_memory(outcome: Outcome) -> bool {
    matches!(outcome, ShardLost) || matches!(outcome, Kinds(kinds) if kinds[0] != "cpuExceeded")
}

const INTERFACE: &str = "@0xb7a1c5d2e3f40917;\ninterface Bomb { go @0 () -> (text :Text); }\n";

fn import(binding: &str, service: &str) -> String {
    format!(
        "[imports.{binding}]\nservice = \"{service}\"\nversion = \"^1.0\"\n\
         interface = \"schema/bomb.capnp:Bomb\"\n"
    )
}

fn build(folder: &Path, name: &str, rest: &str, source: &str) -> PathBuf {
    let project = folder.join(name);
    fs::create_dir_all(project.join("src")).unwrap();
    fs::create_dir_all(project.join("schema")).unwrap();
    let manifest = format!(
        "[service]\nname = \"{name}\"\nversion = \"1.0.0\"\nmain = \"src/main.js\"\n{rest}"
    );
    fs::write(project.join("isolith.toml"), manifest).unwrap();
    fs::write(project.join("src/main.js"), source).unwrap();
    fs::write(project.join("schema/bomb.capnp"), INTERFACE).unwrap();
    let file = folder.join(format!("{name}.isolith"));
    run([Path::new("build"), &project, Path::new("-o"), &file]).done();
    file
}

fn service(folder: &Path, name: &str, body: &str, limits: &str, more: &str) -> PathBuf {
    let manifest = format!(
        "[exports.BOMB]\ninterface = \"schema/bomb.capnp:Bomb\"\nclass = \"Bomb\"\n\
         [limits]\n{limits}\n{more}"
    );
    let source = format!(
        "export class Bomb {{\n  constructor(env) {{ this.env = env; }}\n  \
         async go() {{ {body} return {{ text: 'returned' }}; }}\n}}\n"
    );
    build(folder, name, &manifest, &source)
}

/// Answers with what came of a call to the service that the path names.
const FRONT: &str = "
export default {
  async fetch(request, env) {
    const name = new URL(request.url).pathname.slice(1);
    try {
      const { text } = await env[name].go({});
      return new Response(text);
    } catch (error) {
      return new Response(`${error.kind} ${error.service} ${error.message}`, { status: 500 });
    }
  },
};
";

/// `array-buffer` is `ARRAY_BUFFER` on the front's `env`.
fn binding(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

/// The application of all of them, a good service and the front: its file and its bundles, built
/// in `folder`. Those that take memory have so much CPU time to do it.
fn application(folder: &Path, memory_cpu_ms: u32) -> (String, Vec<PathBuf>) {
    let mut bundles = vec![service(folder, "good", "", "heap_mib = 64", "")];
    let mut imports = import("GOOD", "good");
    for Hostile {
        name,
        body,
        outcome,
    } in BATTERY
    {
        let cpu_ms = if takes_memory(*outcome) {
            memory_cpu_ms
        } else {
            30
        };
        let limits = format!("heap_mib = 64\ncpu_ms_per_request = {cpu_ms}");
        let full = format!("bomb-{name}");
        let own = match *name {
            "calls-itself" => import("SELF", "bomb-calls-itself"),
            _ => String::new(),
        };
        bundles.push(service(folder, &full, body, &limits, &own));
        imports += &import(&binding(name), &full);
    }
    bundles.push(build(folder, "front", &imports, FRONT));
    let grants: String = BATTERY
        .iter()
        .filter(|bomb| bomb.name.starts_with("wasm"))
        .map(|bomb| format!("[grants.bomb-{}]\nwasm = true\n", bomb.name))
        .collect();
    let app = format!(
        "[app]\nname = \"hostile\"\nentry = \"front\"\nbundles = [\"dist/*.isolith\"]\n\
         [http]\nrequest_timeout_ms = 10000\n[runtime]\nshards = 2\n{grants}"
    );
    (app, bundles)
}

#[test]
fn hostile_services_harm_only_their_own_requests() {
    let temp = tempfile::tempdir().unwrap();
    let (app, bundles) = application(temp.path(), 20_000);
    let server = Server::start_with(&app, &bundles);
    let mut wrong = Vec::new();
    let good = || {
        // A connection each, so that both shards are asked.
        (0..4).all(|_| server.get("/GOOD").status == 200)
    };
    assert!(good());
    for Hostile { name, outcome, .. } in BATTERY {
        let reply = server.send(&Request::new("GET", format!("/{}", binding(name))));
        let text = reply.text();
        let kind = text.split(' ').next().unwrap_or_default();
        println!(
            "{name:20} {} {}",
            reply.status,
            &text[..text.len().min(110)]
        );
        let as_expected = match outcome {
            Kinds(kinds) => reply.status == 500 && kinds.contains(&kind),
            Returns => reply.status == 200,
            NoAnswer => reply.status == 504,
            ShardLost => reply.status == 503 && text.contains("ran out of memory"),
        };
        if !as_expected {
            wrong.push(format!("{name}: {} {text}", reply.status));
        }
        match outcome {
            ShardLost => eventually("a new shard serves", || good().then_some(())),
            _ => assert!(
                good(),
                "{name}: the good service does not answer\n{}",
                server.log()
            ),
        }
    }
    println!("{} hostile services", BATTERY.len());
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", server.log());
    let lost = BATTERY
        .iter()
        .filter(|bomb| matches!(bomb.outcome, ShardLost));
    let status = server.status();
    assert_eq!(status["parked_shards"], lost.count(), "{status}");
}
