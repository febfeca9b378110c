//! A shard with real isolates: pins, errors, bounds, moved buffers, unloading.

mod capabilities;
mod cpu;
mod dispatch;
mod eviction;
mod leases;
mod machine;
mod messages;
mod natives;
mod parking;
mod samples;
mod shadows;
mod streams;
mod unloading;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isolith_capnp::error_capnp::call_error::Kind;
use isolith_versions::{Buckets, Combinations, RoutingTable, Split, VersionSet, Weight};

use super::{Arrival, JsonCall, Pin, Shard};
use crate::error::{CallError, LoadError};
use crate::http::{HttpBody, HttpRequest, RequestId};
use crate::isolate::Isolate;
use crate::limits::Limits;
use crate::program::Program;
use crate::sample::{Sample, SampleSchema, serve_samples, solve_samples};

const SCHEMA: &str = "
@0xd3b07384d113edec;
interface Auth { version @0 (pause :UInt32) -> (version :Text, times :UInt32); }
interface Middle { ask @0 (pause :UInt32) -> (versions :List(Text)); }
interface Blobs {
  keep @0 (blob :Data) -> (blob :Data);
  size @1 (blob :Data, name :Text) -> (size :UInt32, name :Text);
}
interface Sender {
  prepare @0 (bytes :UInt32) -> ();
  send @1 () -> (size :UInt32);
}
interface Busy {
  compute @0 (way :Text) -> (times :UInt32);
  wait @1 (pause :UInt32) -> (times :UInt32);
}
interface Listener { note @0 () -> (); }
interface Teller {
  tell @0 (to :Listener) -> (times :UInt32);
  give @1 (holds :UInt32) -> (one :Listener, other :Listener);
}
interface Ping { ping @0 (depth :UInt32) -> (depth :UInt32, reentered :Bool); }
interface Odd {
  fail @0 (how :Text) -> ();
  late @1 () -> ();
  held @2 (pauseMs :UInt32) -> ();
  log @3 () -> (lines :List(Text));
}
";

fn auth(version: &str) -> Sample<'_> {
    Sample {
        service: "auth",
        version,
        source: "
let times = 0;
export class AuthService {
  async version({ pause }, ctx) {
    if (pause > 0) await new Promise((done) => setTimeout(done, pause));
    return { version: ctx.bundle.version, times: ++times };
  }
}",
        exports: &[("AUTH", "Auth", "AuthService")],
        imports: &[],
        http: false,
    }
}

const MIDDLE: Sample<'_> = Sample {
    service: "middle",
    version: "1.0.0",
    source: "
export class MiddleService {
  constructor(env) { this.env = env; }
  async ask({ pause }) {
    const first = await this.env.AUTH.version({ pause });
    await new Promise((done) => setTimeout(done, pause));
    const second = await this.env.AUTH.version({});
    return { versions: [first.version, second.version] };
  }
}",
    exports: &[("MIDDLE", "Middle", "MiddleService")],
    imports: &[("AUTH", "auth", ">=1", "Auth")],
    http: false,
};

/// Calls auth at once, after awaits, from timers, concurrently, and through another service, and
/// answers with every version that it met.
const FRONT: Sample<'_> = Sample {
    service: "front",
    version: "1.0.0",
    source: "
export default {
  async fetch(request, env, ctx) {
    const pause = Number(new URL(request.url).searchParams.get('pause'));
    const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
    const seen = [(await env.AUTH.version({})).version];
    await sleep(pause);
    const [a, b, nested] = await Promise.all([
      env.AUTH.version({ pause }),
      sleep(pause).then(() => env.AUTH.version({})),
      env.MIDDLE.ask({ pause }),
    ]);
    seen.push(a.version, b.version, ...nested.versions);
    const fromTimer = await new Promise((done, fail) =>
      setTimeout(() => env.AUTH.version({}).then(done, fail), pause));
    seen.push(fromTimer.version);
    await null;
    seen.push((await env.MIDDLE.ask({})).versions.at(0));
    return new Response(seen.join(' '));
  },
};",
    exports: &[],
    imports: &[
        ("AUTH", "auth", ">=1", "Auth"),
        ("MIDDLE", "middle", "^1", "Middle"),
    ],
    http: true,
};

const BLOBS: Sample<'_> = Sample {
    service: "blobs",
    version: "1.0.0",
    source: "
export class BlobService {
  async keep({ blob }) {
    globalThis.seen = blob;
    return { blob };
  }
  async size({ blob, name }) { return { size: blob.length, name }; }
}",
    exports: &[("BLOBS", "Blobs", "BlobService")],
    imports: &[],
    http: false,
};

const SENDER: Sample<'_> = Sample {
    service: "sender",
    version: "1.0.0",
    source: "
export class SenderService {
  constructor(env) { this.env = env; }
  prepare({ bytes }) {
    globalThis.seen = new Uint8Array(bytes).fill(7);
  }
  async send() {
    const sent = globalThis.seen;
    const { blob } = await this.env.BLOBS.keep({ blob: sent });
    if (sent.length !== 0) throw new Error('the sender can still write what was sent');
    if (blob.some((byte) => byte !== 7)) throw new Error('the bytes changed');
    try {
      blob[0] = 1;
      throw new Error('what was received can be written');
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    globalThis.seen = blob;
    return { size: blob.length };
  }
}",
    exports: &[("SENDER", "Sender", "SenderService")],
    imports: &[("BLOBS", "blobs", "^1", "Blobs")],
    http: false,
};

fn ping(service: &'static str, other: &'static str) -> (String, &'static str, &'static str) {
    let source = "
let inside = 0;
export class PingService {
  constructor(env) { this.env = env; }
  async ping({ depth }) {
    const reentered = inside > 0;
    inside++;
    const call = depth > 0 ? this.env.OTHER.ping({ depth: depth - 1 }) : null;
    inside--;
    if (call === null) return { depth: 0, reentered };
    const below = await call;
    return { depth: below.depth + 1, reentered: reentered || below.reentered };
  }
}";
    (source.to_owned(), service, other)
}

const ODD: Sample<'_> = Sample {
    service: "odd",
    version: "1.2.3",
    source: "
const lines = [];
class Refusal extends Error { get name() { return 'Refusal'; } }
export class OddService {
  constructor(env) { this.env = env; }
  async fail({ how }) {
    if (how === 'throw') throw new Refusal('no such user');
    if (how === 'reject') return Promise.reject(new TypeError('bad state'));
    if (how === 'string') throw 'plain text';
    if (how === 'hostile') throw { get message() { throw new Error('hidden'); } };
    if (how === 'wrong') return { nonsense: 1 };
    if (how === 'loop') for (;;);
    if (how === 'loopLater') { await null; for (;;); }
    if (how === 'recurse') { const f = () => f(); f(); }
    if (how === 'never') await new Promise(() => {});
  }
  late() {
    // Nobody waits for this, and nothing holds the request for it.
    setTimeout(() => this.env.AUTH.version({}).then(
      () => lines.push('late: answered'), (error) => lines.push('late: ' + error.kind)), 20);
  }
  held({ pauseMs }, ctx) {
    ctx.waitUntil((async () => {
      await new Promise((done) => setTimeout(done, pauseMs));
      lines.push('held: ' + (await this.env.AUTH.version({})).version);
    })());
  }
  log() { return { lines }; }
}",
    exports: &[("ODD", "Odd", "OddService")],
    imports: &[("AUTH", "auth", ">=1", "Auth")],
    http: false,
};

/// Runs `test` on a thread's local set, the shard's loop beside it.
fn on_shard<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test());
}

struct World {
    shard: Rc<Shard>,
    routing: Arc<arc_swap::ArcSwap<RoutingTable>>,
}

async fn serve(samples: &[Sample<'_>], entry: &str, limits: Limits) -> World {
    let schema = SampleSchema::new(SCHEMA).unwrap();
    let programs = programs(&schema, samples);
    let set = solve_samples(&programs, entry).unwrap();
    let (shard, routing) = serve_samples(&programs, &set, entry, limits).await.unwrap();
    tokio::task::spawn_local(Rc::clone(&shard).pump());
    World { shard, routing }
}

fn programs(schema: &SampleSchema, samples: &[Sample<'_>]) -> Vec<Arc<Program>> {
    samples
        .iter()
        .map(|sample| schema.program(sample).unwrap())
        .collect()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

fn arrival() -> Arrival {
    Arrival {
        id: RequestId::random(),
        now: Instant::now(),
        deadline: soon(),
    }
}

impl World {
    async fn get(&self, pin: &Pin, url: &str) -> Result<String, CallError> {
        let request = HttpRequest {
            method: "GET".into(),
            url: url.into(),
            headers: Vec::new(),
            body: None,
        };
        let response = self.shard.fetch(pin, request).await?;
        assert_eq!(response.status, 200);
        match response.body {
            HttpBody::Full(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
            _ => panic!("expected a body"),
        }
    }

    async fn call_by(
        &self,
        service: &str,
        method: &str,
        argument: &str,
        deadline: Instant,
    ) -> Result<serde_json::Value, CallError> {
        let reply = self.shard.call_json(JsonCall {
            service: service.into(),
            version: None,
            export: None,
            method: method.into(),
            argument: argument.into(),
            deadline,
        });
        let reply = reply.await?;
        Ok(serde_json::from_str(&reply.json).unwrap())
    }

    async fn call(&self, service: &str, method: &str, argument: &str) -> serde_json::Value {
        self.call_by(service, method, argument, soon())
            .await
            .unwrap()
    }

    async fn failure(&self, how: &str) -> CallError {
        let argument = format!("{{\"how\": \"{how}\"}}");
        let deadline = Instant::now() + Duration::from_millis(300);
        self.call_by("odd", "fail", &argument, deadline)
            .await
            .unwrap_err()
    }

    /// Where the bytes of a service's `globalThis.seen` lie.
    fn seen_at(&self, service: &str) -> usize {
        self.isolate(service).address_of_global("seen").unwrap()
    }

    /// Leaves a trace in the isolate of a service.
    fn mark(&self, service: &str) {
        self.in_isolate(service, "globalThis.mark = 1");
    }

    fn is_marked(&self, service: &str) -> bool {
        self.in_isolate(service, "globalThis.mark") == "1"
    }

    fn in_isolate(&self, service: &str, source: &str) -> String {
        self.isolate(service).run(source)
    }

    fn isolate(&self, service: &str) -> Rc<Isolate> {
        let isolates = self.shard.isolates.borrow();
        let is_it = |isolate: &&Rc<Isolate>| isolate.program.id().service.as_str() == service;
        Rc::clone(isolates.iter().flatten().find(is_it).unwrap())
    }

    /// Asks until there is an answer, as a client does that is told to try again.
    async fn retry(&self, service: &str, method: &str, argument: &str) -> serde_json::Value {
        for _ in 0..500 {
            match self.call_by(service, method, argument, soon()).await {
                Ok(reply) => return reply,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no answer from {service}");
    }

    fn publish(&self, set: Arc<VersionSet>) {
        self.publish_splits(vec![], Combinations::single(set));
    }

    fn publish_splits(&self, splits: Vec<Split>, combinations: Combinations) {
        let next = self.routing.load().next(splits, combinations).unwrap();
        self.routing.store(Arc::new(next));
    }

    fn loaded(&self) -> Vec<String> {
        let isolates = self.shard.isolates.borrow();
        let mut loaded: Vec<String> = isolates
            .iter()
            .flatten()
            .map(|isolate| isolate.program.id().to_string())
            .collect();
        loaded.sort();
        loaded
    }
}

/// P3: 240 requests at once, half of them pinned to each of two sets that share the isolates of
/// `front` and `middle`.
///
/// Taking the pin from the isolate instead of the async context fails this test: make `call` in
/// `call.js` use the frame of the last call or request that was begun instead of `getContext()`.
#[test]
fn every_request_meets_one_version_throughout() {
    on_shard(|| async {
        let schema = SampleSchema::new(SCHEMA).unwrap();
        let old = programs(&schema, &[auth("1.4.0"), MIDDLE, FRONT]);
        let new = programs(&schema, &[auth("2.0.0"), MIDDLE, FRONT]);
        let old_set = solve_samples(&old, "front").unwrap();
        let new_set = solve_samples(&new, "front").unwrap();
        let all = [&old[..], &new[..1]].concat();
        let (shard, routing) = serve_samples(&all, &old_set, "front", Limits::ample())
            .await
            .unwrap();
        shard.wire(Arc::clone(&new_set)).unwrap();
        tokio::task::spawn_local(Rc::clone(&shard).pump());
        let world = Rc::new(World { shard, routing });
        let split = Split {
            rollout: "auth-2".parse().unwrap(),
            buckets: Buckets::of(|bucket| bucket % 2 == 0),
            matches: vec![],
            shadow: Weight::ZERO,
        };
        let sets = vec![Some(Arc::clone(&old_set)), Some(new_set)];
        world.publish_splits(vec![split], Combinations::new(sets).unwrap());
        // Keys of both sets by turns.
        let table = world.routing.load_full();
        let keys_of = |mask| (0..).filter(move |key| table.admit(*key, None).mask == mask);
        let keys = keys_of.clone()(0)
            .zip(keys_of(1))
            .flat_map(|(old, new)| [old, new]);
        let mut requests = tokio::task::JoinSet::new();
        for (i, key) in keys.take(240).enumerate() {
            let world = Rc::clone(&world);
            let old_set = Arc::clone(&old_set);
            requests.spawn_local(async move {
                let pin = world.shard.admit(key, None, arrival()).unwrap();
                let version = match Arc::ptr_eq(pin.set(), &old_set) {
                    true => "1.4.0",
                    false => "2.0.0",
                };
                let url = format!("http://shop/?pause={}", i % 7);
                let seen = world.get(&pin, &url).await.unwrap();
                assert_eq!(seen, [version; 7].join(" "), "request {i}");
                version
            });
        }
        let versions = requests.join_all().await;
        let old_ones = versions
            .iter()
            .filter(|version| **version == "1.4.0")
            .count();
        assert_eq!(old_ones, 120);
    });
}

#[test]
fn a_mebibyte_reaches_the_callee_and_comes_back_without_a_copy() {
    on_shard(|| async {
        let world = serve(&[BLOBS, SENDER], "sender", Limits::ample()).await;
        world
            .call("sender", "prepare", "{\"bytes\": 1048576}")
            .await;
        let made_at = world.seen_at("sender");
        let reply = world.call("sender", "send", "{}").await;
        assert_eq!(reply["size"], 1 << 20);
        assert_eq!(world.seen_at("blobs"), made_at);
        assert_eq!(world.seen_at("sender"), made_at);
    });
}

#[test]
fn below_the_threshold_the_sender_keeps_its_bytes() {
    on_shard(|| async {
        let limits = Limits {
            move_threshold_bytes: 4096,
            ..Limits::ample()
        };
        let world = serve(&[BLOBS, SENDER], "sender", limits).await;
        world.call("sender", "prepare", "{\"bytes\": 4088}").await;
        let error = world
            .call_by("sender", "send", "{}", soon())
            .await
            .unwrap_err();
        assert!(
            error.message.contains("the sender can still write"),
            "{error}"
        );
    });
}

/// Threshold 0 moves every message; the services must not notice.
#[test]
fn at_threshold_0_every_message_moves() {
    on_shard(|| async {
        let limits = Limits {
            move_threshold_bytes: 0,
            ..Limits::ample()
        };
        let world = serve(&[auth("1.4.0"), MIDDLE, FRONT], "front", limits).await;
        let pin = world.shard.admit(0, None, arrival()).unwrap();
        let seen = world.get(&pin, "http://shop/?pause=0").await.unwrap();
        assert_eq!(seen, ["1.4.0"; 7].join(" "));
    });
}

#[test]
fn services_that_call_each_other_are_never_entered_twice_on_one_stack() {
    on_shard(|| async {
        let (source, _, _) = ping("a", "b");
        let sample = |service, other| Sample {
            service,
            version: "1.0.0",
            source: &source,
            exports: &[("PING", "Ping", "PingService")],
            imports: other,
            http: false,
        };
        let a = sample("a", &[("OTHER", "b", "^1", "Ping")]);
        let b = sample("b", &[("OTHER", "a", "^1", "Ping")]);
        let nested = Limits {
            nested_calls_per_request: 50,
            ..Limits::ample()
        };
        let in_flight = Limits {
            calls_in_flight_per_request: 50,
            ..Limits::ample()
        };
        for (limits, name) in [
            (nested, "nested_calls_per_request (50)"),
            (in_flight, "calls_in_flight_per_request (50)"),
        ] {
            let world = serve(&[a.clone(), b.clone()], "a", limits).await;
            let reply = world.call("a", "ping", "{\"depth\": 50}").await;
            assert_eq!(reply["depth"], 50);
            assert_eq!(reply["reentered"], false);

            // One level more.
            let call = world.call_by("a", "ping", "{\"depth\": 51}", soon());
            let error = call.await.unwrap_err();
            assert_eq!(error.kind, Kind::Overloaded);
            assert!(error.message.contains(name), "{error}");
            assert_eq!(world.call("a", "ping", "{\"depth\": 3}").await["depth"], 3);
        }
    });
}

#[test]
fn what_a_handler_does_wrong_is_a_typed_error_and_the_next_call_is_served() {
    on_shard(|| async {
        let limits = Limits {
            cpu_ms_per_request: 30,
            cpu_ms_wasted: 1_000,
            ..Limits::ample()
        };
        let world = serve(&[auth("1.4.0"), ODD], "odd", limits).await;
        for (how, kind, text) in [
            ("throw", Kind::Failed, "no such user"),
            ("reject", Kind::Failed, "bad state"),
            ("string", Kind::Failed, "plain text"),
            ("hostile", Kind::Failed, "cannot be described"),
            ("wrong", Kind::Failed, "field \"nonsense\" is not in struct"),
            ("recurse", Kind::Failed, "Maximum call stack size exceeded"),
            (
                "never",
                Kind::DeadlineExceeded,
                "no answer came before the deadline",
            ),
            ("loop", Kind::CpuExceeded, "cpu_ms_per_request (30)"),
            ("loopLater", Kind::CpuExceeded, "cpu_ms_per_request (30)"),
        ] {
            let error = match how {
                "loop" | "loopLater" => world
                    .call_by("odd", "fail", &format!("{{\"how\": \"{how}\"}}"), soon())
                    .await
                    .unwrap_err(),
                _ => world.failure(how).await,
            };
            assert_eq!(error.kind, kind, "{how}: {error}");
            assert!(error.message.contains(text), "{how}: {error}");
            let origin = error.origin.as_ref().map(|origin| origin.to_string());
            assert!(
                origin.as_deref() == Some("odd@1.2.3") || kind == Kind::DeadlineExceeded,
                "{how}"
            );
            assert_eq!(
                world.call("odd", "fail", "{\"how\": \"\"}").await,
                serde_json::json!({})
            );
        }
        // Everything above has let go of its pin.
        assert_eq!(world.shard.roots.borrow().len(), 0);
    });
}

/// P8: work that nothing holds ends with its request; `waitUntil` keeps the pin.
#[test]
fn work_left_behind_may_call_only_if_the_request_waits_for_it() {
    on_shard(|| async {
        let world = serve(&[auth("1.4.0"), ODD], "odd", Limits::ample()).await;
        world.call("odd", "late", "{}").await;
        world.call("odd", "held", "{\"pauseMs\": 30}").await;
        let mut lines = serde_json::Value::Null;
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            lines = world.call("odd", "log", "{}").await["lines"].clone();
            if lines.as_array().is_some_and(|lines| lines.len() == 2) {
                break;
            }
        }
        assert_eq!(
            lines,
            serde_json::json!(["late: requestEnded", "held: 1.4.0"])
        );
        assert_eq!(world.shard.roots.borrow().len(), 0);
    });
}

/// P8, P11: background work that never ends does not keep its set loaded.
#[test]
fn background_work_has_a_deadline_after_which_its_pin_is_gone() {
    on_shard(|| async {
        let limits = Limits {
            background: Duration::from_millis(50),
            ..Limits::ample()
        };
        let world = serve(&[auth("1.4.0"), ODD], "odd", limits).await;
        world.call("odd", "held", "{\"pauseMs\": 100000000}").await;
        assert_eq!(world.shard.roots.borrow().len(), 1);
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if world.shard.roots.borrow().len() == 0 {
                return;
            }
        }
        panic!("the pin is still there");
    });
}

#[test]
fn what_cannot_be_loaded_is_refused_with_the_reason_and_leaves_nothing() {
    on_shard(|| async {
        let limits = Limits {
            load: Duration::from_millis(100),
            ..Limits::ample()
        };
        let world = serve(&[auth("1.4.0")], "auth", limits).await;
        let schema = SampleSchema::new(SCHEMA).unwrap();
        for (source, expected) in [
            ("export class {", "SyntaxError"),
            ("throw new Error('no database')", "no database"),
            (
                "await Promise.reject(new Error('late trouble'))",
                "late trouble",
            ),
            (
                "await new Promise(() => {})",
                "were not evaluated within 100 ms",
            ),
            (
                "export class Other {}",
                "which the main module does not export",
            ),
            (
                "export class BlobService { keep() {} }",
                "lacks method \"size\"",
            ),
            (
                "export class BlobService { constructor() { null.x } }",
                "Cannot read properties",
            ),
            ("import 'somewhere'", "\"somewhere\" is not in the bundle"),
        ] {
            let program = schema.program(&Sample { source, ..BLOBS }).unwrap();
            let error: LoadError = world.shard.load(program).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{source}: {error}");
            assert!(error.to_string().starts_with("blobs@1.0.0: "), "{error}");
            assert_eq!(world.loaded(), ["auth@1.4.0"]);
        }
        assert_eq!(
            world.call("auth", "version", "{}").await["version"],
            "1.4.0"
        );
    });
}

/// A service that replaces built-ins spoils neither the call path nor its neighbours.
#[test]
fn patched_built_ins_stay_inside_their_isolate() {
    on_shard(|| async {
        let vandal = Sample {
            source: "
Array.prototype.map = () => { throw new Error('patched map'); };
Array.prototype.push = () => { throw new Error('patched push'); };
JSON.parse = () => { throw new Error('patched parse'); };
Promise.prototype.then = () => { throw new Error('patched then'); };
Object.prototype.then = function (done) { done('hijacked'); };
Object.defineProperty(Array.prototype, 0, { set() { throw new Error('patched setter'); } });
String.prototype.charCodeAt = () => 63;
Uint8Array.prototype.set = () => { throw new Error('patched set'); };
globalThis.Promise = class {};
export class BlobService {
  keep({ blob }) { return { blob }; }
  size({ blob, name }) { return { __proto__: null, size: blob.length, name }; }
}",
            ..BLOBS
        };
        let asker = Sample {
            service: "asker",
            source: "
export class SenderService {
  constructor(env) { this.env = env; }
  prepare() {}
  async send() {
    const name = 'a name that is longer than what is encoded in JavaScript itself';
    const reply = await this.env.BLOBS.size({ blob: new Uint8Array([1, 2, 3]), name });
    if (reply.name !== name) throw new Error(reply.name);
    return { size: [reply.size].map((n) => n * 2)[0] };
  }
}",
            ..SENDER
        };
        let world = serve(&[vandal, asker], "asker", Limits::ample()).await;
        assert_eq!(world.call("asker", "send", "{}").await["size"], 6);
    });
}

/// V8 finishes an asynchronous compilation on the isolate's own thread.
#[test]
fn wasm_compiles_asynchronously() {
    on_shard(|| async {
        let source = "
// (module (func (export \"add\") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1,
  0, 7, 7, 1, 3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11]);
export class BlobService {
  keep({ blob }) { return { blob }; }
  async size({ blob, name }) {
    const { instance } = await WebAssembly.instantiate(bytes);
    return { size: instance.exports.add(40, 2), name };
  }
}";
        let world = serve(&[Sample { source, ..BLOBS }], "blobs", Limits::ample()).await;
        assert_eq!(world.call("blobs", "size", "{}").await["size"], 42);
    });
}
