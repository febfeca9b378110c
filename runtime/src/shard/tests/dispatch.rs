//! Calls whose callees run on top of their callers.

use std::time::Duration;

use super::*;

/// Calls `auth` in some way, `deep` with little of the stack left.
const CALLER: Sample<'_> = Sample {
    service: "caller",
    version: "1.0.0",
    source: "
const ways = {
  async oneByOne(env) {
    let times = 0;
    for (let i = 0; i < 50; i++) ({ times } = await env.AUTH.version({}));
    return times;
  },
  async together(env) {
    const calls = Array.from({ length: 50 }, () => env.AUTH.version({}));
    const times = (await Promise.all(calls)).map((reply) => reply.times);
    // In the order in which they were made.
    if (times.some((n, i) => n !== times[0] + i)) throw new Error(times.join());
    return times.at(-1);
  },
  async slow(env) {
    let times = 0;
    for (let i = 0; i < 5; i++) ({ times } = await env.AUTH.version({ pause: 1 }));
    return times;
  },
  async forever(env) { for (;;) await env.AUTH.version({}); },
  flood(env) { for (;;) env.AUTH.version({ pause: 1 }).catch(() => {}); },
  async listen(env) {
    let noted = 0;
    const { times } = await env.TELLER.tell({ to: { note() { noted++; } } });
    return times + noted;
  },
  async giveAndTell(env) {
    const heard = [0, 0];
    const listener = (i) => ({ note() { heard[i]++; } });
    await env.TELLER.tell({ to: listener(0) });
    await new Promise((done) => setTimeout(done, 1));
    env.TELLER.give({ holds: 255 }).catch(() => {});
    const { times } = await env.TELLER.tell({ to: listener(1) });
    return times + heard[0] + 10 * heard[1];
  },
  async deep(env) {
    const down = (left) => (left === 0 ? env.AUTH.version({}) : [down(left - 1)]);
    let depth = 16;
    try {
      for (; depth < 1e6; depth *= 2) down(depth);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
    // As deep as it can be, less a little.
    return (await [down(depth / 2 - 8)].flat(Infinity)[0]).times;
  },
};
export class BusyService {
  constructor(env) { this.env = env; }
  async compute({ way }) { return { times: await ways[way](this.env) }; }
  wait() {}
}",
    exports: &[("BUSY", "Busy", "BusyService")],
    imports: &[
        ("AUTH", "auth", ">=1", "Auth"),
        ("TELLER", "teller", "^1", "Teller"),
    ],
    http: false,
};

/// Calls back, waits for nothing, and returns.
const TELLER: Sample<'_> = Sample {
    service: "teller",
    version: "1.0.0",
    source: "
export class TellerService {
  tell({ to }) { to.note(); return { times: 100 }; }
  // The ring is full when the first capability is in it, so that the second finds it gone.
  give({ holds }, ctx) {
    for (let i = 0; i < holds; i++) ctx.waitUntil(null);
    let looks = 0;
    const other = new Proxy({ note() {} }, {
      getPrototypeOf() {
        if (++looks < 2) return Object.prototype;
        ctx.waitUntil(null);
        throw new Error('no prototype');
      },
    });
    return { one: { note() {} }, other };
  }
}",
    exports: &[("TELLER", "Teller", "TellerService")],
    imports: &[],
    http: false,
};

/// Goes 2,000 functions deep before it answers.
const DEEP_AUTH: &str = "
const down = (left) => (left === 0 ? 0 : 1 + down(left - 1));
export class AuthService {
  version() { return { version: '', times: down(2000) }; }
}";

async fn world(auth: Sample<'_>) -> World {
    serve(&[auth, TELLER, CALLER], "caller", Limits::ample()).await
}

impl World {
    /// The turns that a call takes, and what comes of it.
    async fn turns(&self, way: &str) -> (u64, serde_json::Value) {
        let before = self.shard.watch.begun();
        let argument = format!("{{\"way\": \"{way}\"}}");
        let reply = self.call("caller", "compute", &argument).await;
        (self.shard.watch.begun() - before, reply["times"].clone())
    }
}

#[test]
fn who_calls_an_idle_service_gets_the_answer_in_the_same_turn() {
    on_shard(|| async {
        let world = world(auth("1.4.0")).await;
        // The first message comes with its chunk, which only a turn can bring.
        world.turns("oneByOne").await;
        let (turns, times) = world.turns("oneByOne").await;
        assert_eq!(times, 100);
        // One of the callee each, and one of the caller; or some more, if a look fell into it.
        assert!((51..80).contains(&turns), "{turns}");
    });
}

#[test]
fn calls_that_are_made_together_go_together() {
    on_shard(|| async {
        let world = world(auth("1.4.0")).await;
        world.turns("together").await;
        let (turns, times) = world.turns("together").await;
        assert_eq!(times, 100);
        // The caller; the first call; the rest, in rings of 32 either way.
        assert!(turns < 12, "{turns}");
    });
}

#[test]
fn an_answer_that_takes_time_comes_as_mail() {
    on_shard(|| async {
        let world = world(auth("1.4.0")).await;
        let (_, times) = world.turns("slow").await;
        assert_eq!(times, 5);
        assert_eq!(world.shard.calls.borrow().iter().count(), 0);
    });
}

/// The results do not overtake what came for the caller before them.
#[test]
fn who_is_called_back_hears_that_before_the_results() {
    on_shard(|| async {
        let world = world(auth("1.4.0")).await;
        for _ in 0..3 {
            let (_, times) = world.turns("listen").await;
            assert_eq!(times, 101);
        }
    });
}

/// What a callee left half posted belongs to nobody's message.
#[test]
fn what_a_callee_began_to_pass_on_does_not_go_with_its_callers_next_call() {
    on_shard(|| async {
        let world = world(auth("1.4.0")).await;
        let (_, times) = world.turns("giveAndTell").await;
        assert_eq!(times, 111);
    });
}

/// It is ended while a call of its is on the way more often than not.
#[test]
fn who_is_ended_while_it_calls_keeps_its_isolate() {
    on_shard(|| async {
        let limits = Limits {
            cpu_ms_per_request: 20,
            cpu_ms_wasted: 100_000,
            ..Limits::ample()
        };
        // What a flood leaves over is ended, too: two of them, and an isolate may be replaced for
        // that.
        for _ in 0..2 {
            let world = serve(&[auth("1.4.0"), TELLER, CALLER], "caller", limits.clone()).await;
            world.mark("caller");
            let argument = "{\"way\": \"flood\"}";
            let call = world.call_by("caller", "compute", argument, soon());
            let error = call.await.unwrap_err();
            assert_eq!(error.kind, Kind::CpuExceeded, "{error}");
            // What it had asked for is answered now.
            world
                .retry("caller", "compute", "{\"way\": \"slow\"}")
                .await;
            let ended = world.isolate("caller").gate.ended();
            assert!(world.is_marked("caller"), "ended {ended} times");
        }
    });
}

#[test]
fn one_who_calls_without_end_leaves_the_others_their_turns() {
    on_shard(|| async {
        let world = Rc::new(world(auth("1.4.0")).await);
        let forever = tokio::task::spawn_local({
            let world = Rc::clone(&world);
            let soon = Instant::now() + Duration::from_millis(500);
            async move {
                let argument = "{\"way\": \"forever\"}";
                world.call_by("caller", "compute", argument, soon).await
            }
        });
        let mut others = 0;
        while !forever.is_finished() {
            world.call("auth", "version", "{}").await;
            others += 1;
        }
        let error = forever.await.unwrap().unwrap_err();
        assert_eq!(error.kind, Kind::DeadlineExceeded);
        assert!(others > 20, "{others}");
    });
}

/// Whoever calls from far down would leave the callee next to nothing of the stack.
#[test]
fn a_callee_has_its_own_room_on_the_stack() {
    on_shard(|| async {
        let deep = Sample {
            source: DEEP_AUTH,
            ..auth("1.4.0")
        };
        let world = world(deep).await;
        let (_, times) = world.turns("deep").await;
        assert_eq!(times, 2000);
    });
}
