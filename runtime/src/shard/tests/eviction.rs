//! Idle isolates go while the shard holds more than its budget, and come back when they are called.

use futures_util::FutureExt;

use super::*;
use crate::shard::Looks;

const SCHEMA: &str = "
@0xc1d8ba1a4c9ad6b4;
interface Keeper {
  keep @0 (mib :UInt32) -> (times :UInt32);
  object @1 () -> (object :Object);
  wait @2 () -> ();
  open @3 () -> ();
  background @4 () -> ();
  timer @5 () -> ();
}
interface Object { again @0 () -> (times :UInt32); }
interface Driver {
  run @0 (what :Text) -> (times :UInt32);
  open @1 () -> ();
}
";

/// Keeps what it is told to in its module, and has work pending in ways that need no timer.
const KEEPER: &str = "
let times = 0;
let open;
const gate = new Promise((done) => { open = done; });
const kept = [];
export class KeeperService {
  keep({ mib }) {
    kept.push(new Uint8Array(mib << 20).fill(1));
    return { times: ++times };
  }
  object() { return { object: { again: () => ({ times: ++times }) } }; }
  async wait() { await gate; }
  open() { open(); }
  background(_, ctx) { ctx.waitUntil(gate.then(() => { times += 100; })); }
  timer() { setTimeout(() => {}, 1500); }
}";

const DRIVER: &str = "
let open;
const gate = new Promise((done) => { open = done; });
let times = 0;
export class DriverService {
  constructor(env) { this.env = env; }
  async run({ what }) {
    const { KEEPER } = this.env;
    if (what === 'wait') await KEEPER.wait({});
    if (what === 'leave') KEEPER.wait({}).catch(() => {});
    if (what === 'background') await KEEPER.background({});
    if (what === 'timer') await KEEPER.timer({});
    if (what === 'object') {
      const { object } = await KEEPER.object({});
      await gate;
      return await object.again({});
    }
    if (what === 'many') {
      const calls = Array.from({ length: 600 }, () => KEEPER.keep({}));
      return (await Promise.all(calls)).at(-1);
    }
    return { times: ++times };
  }
  open() { open(); }
}
export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/wait') await gate;
    if (pathname === '/stream') {
      return new Response(new ReadableStream({
        async pull(to) { await gate; to.close(); },
      }));
    }
    return new Response(`${++times}`);
  },
};";

fn keeper<'a>(service: &'a str, source: &'a str) -> Sample<'a> {
    Sample {
        service,
        version: "1.0.0",
        source,
        exports: &[("KEEPER", "Keeper", "KeeperService")],
        imports: &[],
        http: false,
    }
}

const FRONT: Sample<'_> = Sample {
    service: "front",
    version: "1.0.0",
    source: DRIVER,
    exports: &[("DRIVER", "Driver", "DriverService")],
    imports: &[
        ("KEEPER", "keeper", "^1", "Keeper"),
        ("A", "a", "^1", "Keeper"),
        ("B", "b", "^1", "Keeper"),
        ("C", "c", "^1", "Keeper"),
    ],
    http: true,
};

fn budget(mib: impl Into<Option<u32>>) -> Limits {
    Limits {
        memory_budget_mib_per_shard: mib.into(),
        ..Limits::ample()
    }
}

/// The driver, and four keepers that differ in their names.
async fn keepers(limits: Limits) -> Rc<World> {
    keepers_like(KEEPER, limits).await
}

async fn keepers_like(source: &str, limits: Limits) -> Rc<World> {
    let schema = SampleSchema::new(SCHEMA).unwrap();
    let own = ["keeper", "a", "b", "c"].map(|name| (name, format!("{source}// {name}")));
    let mut samples: Vec<_> = own.iter().map(|(name, text)| keeper(name, text)).collect();
    samples.push(FRONT);
    let programs = programs(&schema, &samples);
    let set = solve_samples(&programs, "front").unwrap();
    let served = serve_samples(&programs, &set, "front", limits).await;
    let (shard, routing) = served.unwrap();
    tokio::task::spawn_local(Rc::clone(&shard).pump());
    Rc::new(World { shard, routing })
}

impl World {
    /// Has the shard look at its isolates as if a second and a half had passed since the last time.
    pub(super) fn look(&self) {
        let Looks { due } = &self.shard.looks;
        let now = due.get().unwrap_or_else(Instant::now) + Duration::from_millis(1500);
        due.set(Some(now));
        self.shard.keep_to_budget(now);
    }

    /// Long enough for all to be evicted that can be.
    pub(super) fn rest(&self) {
        for _ in 0..4 {
            self.look();
        }
    }

    pub(super) fn is_evicted(&self, service: &str) -> bool {
        self.isolate(service).is_evicted()
    }

    fn evicted(&self) -> Vec<&'static str> {
        let services = ["a", "b", "c", "front", "keeper"].into_iter();
        services
            .filter(|service| self.is_evicted(service))
            .collect()
    }

    async fn keep(&self, service: &str, mib: u32) -> u64 {
        let kept = self
            .call(service, "keep", &format!("{{\"mib\": {mib}}}"))
            .await;
        kept["times"].as_u64().unwrap()
    }

    async fn until_evicted(&self, service: &str) {
        for _ in 0..2_000 {
            self.rest();
            if self.is_evicted(service) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{service} stays");
    }

    /// Waits until a call of another service is there, or answered.
    async fn until_called(&self, service: &str) {
        let callee = self.isolate(service);
        loop {
            let under_way = self.shard.calls.borrow().root_at(&callee).is_some();
            if under_way || callee.stats().requests > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Runs a method of the driver beside the test.
    fn drive(self: &Rc<Self>, what: &str) -> tokio::task::JoinHandle<serde_json::Value> {
        let (world, argument) = (Rc::clone(self), format!("{{\"what\": \"{what}\"}}"));
        tokio::task::spawn_local(async move { world.call("front", "run", &argument).await })
    }
}

#[test]
fn who_has_rested_longest_goes_first_and_comes_back_as_new() {
    on_shard(|| async {
        let world = keepers(budget(27)).await;
        // More than what they hold without it, together.
        for service in ["front", "b", "a", "keeper", "c"] {
            match service {
                "front" => assert_eq!(world.drive("").await.unwrap()["times"], 1),
                _ => assert_eq!(world.keep(service, 6).await, 1),
            }
            world.look();
        }
        assert_eq!(world.evicted(), ["b", "front"]);
        // Within the budget nobody else goes.
        world.rest();
        assert_eq!(world.evicted(), ["b", "front"]);
        let stats = |service| world.isolate(service).stats();
        assert_eq!(
            (stats("b").idle_evictions, stats("b").is_loaded),
            (1, false)
        );
        assert_eq!((stats("b").heap_bytes, stats("b").external_bytes), (0, 0));
        assert_eq!((stats("a").idle_evictions, stats("a").is_loaded), (0, true));
        for (service, times) in [("a", 2), ("b", 1), ("c", 2)] {
            assert_eq!(world.keep(service, 0).await, times, "{service}");
        }
        assert!(stats("b").is_loaded && stats("b").heap_bytes > 0);
        // What it did before still counts.
        assert_eq!((stats("b").requests, stats("b").idle_evictions), (2, 1));
        let pin = world.shard.admit(0, None, arrival()).unwrap();
        assert_eq!(world.get(&pin, "http://shop/").await.unwrap(), "1");
        assert_eq!(world.get(&pin, "http://shop/").await.unwrap(), "2");
    });
}

#[test]
fn nobody_goes_without_a_budget_within_it_or_without_rest() {
    on_shard(|| async {
        for limits in [budget(None), budget(100)] {
            let world = keepers(limits).await;
            world.keep("a", 20).await;
            world.rest();
            assert!(world.evicted().is_empty());
            assert_eq!(world.keep("a", 0).await, 2);
        }
        let world = keepers(budget(1)).await;
        for times in 1..5 {
            assert_eq!(world.keep("a", 0).await, times);
            world.look();
            assert!(!world.is_evicted("a"), "it was called since the last look");
        }
    });
}

/// Who holds much may hold garbage. That is collected first, and is perhaps all there is.
#[test]
fn garbage_goes_before_isolates() {
    on_shard(|| async {
        let world = keepers(budget(32)).await;
        let garbage = "for (let i = 0; i < 30; i++) new Uint8Array(1 << 20).fill(1); 'made'";
        assert_eq!(world.in_isolate("a", garbage), "made");
        world.keep("b", 20).await;
        let held = |service| world.isolate(service).stats().external_bytes >> 20;
        assert!(held("a") >= 20 && held("b") >= 20);
        for _ in 0..2_000 {
            world.look();
            if held("a") < 5 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.rest();
        assert!(held("a") < 5 && !world.is_evicted("a") && !world.is_evicted("b"));
        // What is no garbage is no reason to stay.
        world.keep("c", 20).await;
        world.until_evicted("b").await;
        assert!(!world.is_evicted("c"));
    });
}

/// As long as something is pending, nobody who takes part in it goes; afterwards all do.
#[test]
fn who_has_something_pending_stays() {
    on_shard(|| async {
        // What the driver begins; whether it, and the keeper, take part.
        let cases = [
            ("wait", true, true),
            ("leave", true, true),
            ("background", false, true),
            ("timer", false, true),
            ("object", true, true),
        ];
        for (what, driver_stays, keeper_stays) in cases {
            let world = keepers(budget(1)).await;
            let driven = world.drive(what);
            let ends_itself = ["leave", "background", "timer"].contains(&what);
            match ends_itself {
                true => assert_eq!(driven.await.unwrap()["times"], 1),
                false => {
                    world.until_called("keeper").await;
                    tokio::task::spawn_local(driven);
                }
            }
            world.rest();
            assert_eq!(world.is_evicted("front"), !driver_stays, "{what}");
            assert_eq!(world.is_evicted("keeper"), !keeper_stays, "{what}");
            assert!(world.is_evicted("a") && world.is_evicted("b"));
            if what != "timer" {
                world.call("keeper", "open", "{}").await;
            }
            world.call("front", "open", "{}").await;
            world.until_evicted("keeper").await;
            world.until_evicted("front").await;
        }
        // Called from the command line.
        let world = keepers(budget(1)).await;
        let (called, opened) = tokio::join!(world.call("keeper", "wait", "{}"), async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            world.rest();
            assert!(world.is_evicted("a") && !world.is_evicted("keeper"));
            world.call("keeper", "open", "{}").await
        });
        assert_eq!(called, opened);
        world.until_evicted("keeper").await;
    });
}

#[test]
fn who_answers_a_client_stays() {
    on_shard(|| async {
        for path in ["/wait", "/stream"] {
            let world = keepers(budget(1)).await;
            let pin = world.shard.admit(0, None, arrival()).unwrap();
            let request = HttpRequest {
                method: "GET".into(),
                url: format!("http://shop{path}"),
                headers: Vec::new(),
                body: None,
            };
            let mut response = Box::pin(world.shard.fetch(&pin, request));
            let streams = match path {
                "/stream" => Some((&mut response).await.unwrap().body),
                _ => (&mut response).now_or_never().map(|_| panic!("it waits")),
            };
            // For its turn.
            tokio::time::sleep(Duration::from_millis(20)).await;
            world.rest();
            assert_eq!(world.evicted(), ["a", "b", "c", "keeper"], "{path}");
            world.call("front", "open", "{}").await;
            if streams.is_none() {
                assert_eq!((&mut response).await.unwrap().status, 200);
            }
            drop((streams, response));
            drop(pin);
            world.until_evicted("front").await;
        }
    });
}

/// P3: a pin is no matter of the isolates.
#[test]
fn an_older_request_meets_its_versions_in_isolates_that_came_back() {
    on_shard(|| async {
        let services = [auth("1.4.0"), MIDDLE, super::FRONT];
        let world = serve(&services, "front", budget(1)).await;
        let held = world.shard.admit(0, None, arrival()).unwrap();
        let schema = SampleSchema::new(super::SCHEMA).unwrap();
        let new = programs(&schema, &[auth("2.0.0"), MIDDLE, super::FRONT]);
        let set = solve_samples(&new, "front").unwrap();
        world.shard.load(Arc::clone(&new[0])).await.unwrap();
        world.shard.wire(Arc::clone(&set)).unwrap();
        world.publish(set);
        world.shard.sweep();
        let fresh = world.shard.admit(0, None, arrival()).unwrap();
        for _ in 0..3 {
            world.rest();
            let isolates = world.shard.isolates.borrow().clone();
            assert!(
                isolates
                    .iter()
                    .flatten()
                    .all(|isolate| isolate.is_evicted())
            );
            // Deployed again while it is not there, it stays known.
            world.shard.load(Arc::clone(&new[0])).await.unwrap();
            for (pin, version) in [(&held, "1.4.0"), (&fresh, "2.0.0")] {
                let seen = world.get(pin, "http://shop/?pause=1").await.unwrap();
                assert_eq!(seen, [version; 7].join(" "));
            }
        }
        assert_eq!(world.loaded().len(), 4);
        drop(held);
        world.rest();
        // P5: whether it is there or not, the old version is unloaded.
        while world.loaded().contains(&"auth@1.4.0".to_owned()) {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn all_that_came_while_nobody_was_there_is_served_at_once() {
    on_shard(|| async {
        let world = keepers(budget(1)).await;
        world.keep("keeper", 1).await;
        world.until_evicted("keeper").await;
        // More than the ring has room for.
        assert_eq!(world.drive("many").await.unwrap()["times"], 600);
        assert_eq!(world.isolate("keeper").stats().idle_evictions, 1);
    });
}

/// They could not be there in time for their turn.
#[test]
fn modules_that_await_are_not_evicted() {
    on_shard(|| async {
        let world = keepers(budget(1)).await;
        let schema = SampleSchema::new(SCHEMA).unwrap();
        let awaits = format!("await new Promise((done) => setTimeout(done, 1));{KEEPER}");
        let awaits = schema.program(&keeper("awaits", &awaits)).unwrap();
        world.shard.load(awaits).await.unwrap();
        world.until_evicted("a").await;
        world.rest();
        assert!(!world.is_evicted("awaits"));
    });
}

#[test]
fn who_does_not_load_again_is_refused_and_nobody_else() {
    on_shard(|| async {
        let later = std::time::SystemTime::now() + Duration::from_secs(3);
        let later = later.duration_since(std::time::UNIX_EPOCH).unwrap();
        let breaks = format!(
            "if (Date.now() > {}) throw new Error('no more');\n{KEEPER}",
            later.as_millis()
        );
        let world = keepers_like(&breaks, budget(1)).await;
        world.until_evicted("a").await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let called = world.call_by("a", "keep", "{}", soon()).await;
        let error = called.unwrap_err();
        assert_eq!(error.kind, Kind::Disconnected);
        assert!(error.message.contains("no more"), "{error}");
        // Until it loads, it is refused as one that was lost.
        let called = world.call_by("a", "keep", "{}", soon()).await;
        assert_eq!(called.unwrap_err().kind, Kind::Overloaded);
        assert_eq!(world.drive("").await.unwrap()["times"], 1);
    });
}
