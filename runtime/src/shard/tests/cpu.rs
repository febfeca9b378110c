//! Requests that compute for too long, beside others that do not.

use isolith_capnp::error_capnp::call_error::Kind;

use super::*;
use crate::isolate::{GateState, optimising_time};

/// Computes in many ways, and answers what was asked before and after.
const BUSY: Sample<'_> = Sample {
    service: "busy",
    version: "1.0.0",
    source: r#"
const forever = () => { for (;;); };
let fired = 0;
let open;
const opened = new Promise((resolve) => { open = resolve; });
const ways = {
  leaver: () => {
    for (let i = 0; i < 1000; i++) setTimeout(() => { fired++; }, 20);
    forever();
  },
  fired: () => ({ times: fired }),
  quick: () => ({ times: 1 }),
  leaves: () => {
    opened.then(() => {
      const until = performance.now() + 8;
      while (performance.now() < until);
    });
    return { times: 1 };
  },
  opens: () => { open(); return { times: 1 }; },
  computes: () => {
    const until = performance.now() + 20;
    while (performance.now() < until);
    return { times: 1 };
  },
  handler: forever,
  microtask: async () => { await null; forever(); },
  chain: async () => { for (;;) await null; },
  getter: () => ({ get times() { return forever(); } }),
  regexp: () => /^(a+)+$/.test('a'.repeat(40) + 'b'),
  json: () => { const a = []; for (let i = 0; i < 1e5; i++) a.push({ i }); for (;;) JSON.stringify(a); },
  sort: () => { for (;;) Array.from({ length: 1e5 }, (_, i) => -i).sort((a, b) => a - b); },
  catcher: () => { for (;;) try { forever(); } catch {} finally { continue; } },
  timer: () => new Promise(() => setTimeout(forever, 1)),
  products: () => {
    const products = (a, b, times) => {
      let sum = 0n;
      for (let i = 0; i < times; i++) sum ^= a * b;
      return sum;
    };
    for (let i = 0; i < 2e4; i++) products(1n << 70n, 1n << 80n, 10);
    products(3n ** 200000n, 7n ** 100000n, 1e8);
  },
  hot: () => {
    const step = (sum, i) => (sum * 31 + i) % 1000;
    let sum = 0;
    for (let i = 0; i < 2e6; i++) sum = step(sum, i);
    return { times: sum };
  },
  slices: async () => {
    for (;;) {
      const until = performance.now() + 4;
      while (performance.now() < until);
      await new Promise((done) => setTimeout(done, 1));
    }
  },
};
export class BusyService {
  constructor(env) { this.env = env; }
  compute({ way }) { return ways[way](); }
  async wait({ pause }) {
    await new Promise((done) => setTimeout(done, pause));
    return { times: 7 };
  }
}
"#,
    exports: &[("BUSY", "Busy", "BusyService")],
    imports: &[],
    http: false,
};

/// Lets several calls reach `busy` in one turn.
const CROWD: Sample<'_> = Sample {
    service: "crowd",
    version: "1.0.0",
    source: r#"
export class CrowdService {
  constructor(env) { this.env = env; }
  async compute({ way }) { return this.env.BUSY.compute({ way }); }
  async wait({ pause }) { return this.env.BUSY.wait({ pause }); }
}
"#,
    exports: &[("BUSY", "Busy", "CrowdService")],
    imports: &[("BUSY", "busy", "^1", "Busy")],
    http: false,
};

/// Calls `busy` without end, and never waits long.
const FLOOD: Sample<'_> = Sample {
    service: "flood",
    version: "1.0.0",
    source: r#"
export class FloodService {
  constructor(env) { this.env = env; }
  async compute() {
    const call = () => this.env.BUSY.compute({ way: 'quick' });
    for (;;) await Promise.all(Array.from({ length: 500 }, call));
  }
  wait() { return { times: 7 }; }
}
"#,
    exports: &[("BUSY", "Busy", "FloodService")],
    imports: &[("BUSY", "busy", "^1", "Busy")],
    http: false,
};

/// Asks for more memory than there is.
const GREEDY: Sample<'_> = Sample {
    service: "greedy",
    version: "1.0.0",
    source: r#"
const allocate = () => { const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1)); };
const wake = () => {
  const all = [];
  try { for (;;) all.push(setTimeout(() => {}, 1e6)); } finally { all.forEach(clearTimeout); }
};
const ways = {
  allocate,
  wake,
  probe: () => {
    let times = 0;
    for (let i = 0; i < 10; i++) {
      try { new ArrayBuffer(2 ** 30); } catch (error) { times += error instanceof RangeError; }
    }
    return { times };
  },
  drop: () => {
    const all = [];
    for (let i = 0; i < 2e5; i++) all.push({ i, list: [1, 2, 3] });
    for (let i = 0; i < 20; i++) all.push(new Uint8Array(1 << 20).fill(1));
    return { times: all.length };
  },
  churn: () => {
    const window = new Array(5e4);
    for (let i = 0; i < 3e6; i++) window[i % window.length] = { i, list: [1, 2, 3] };
    return { times: window.length };
  },
  litter: () => ({ times: Array.from({ length: 2e4 }, (_, i) => ({ i })).length }),
};
export class GreedyService {
  compute({ way }) { return ways[way](); }
  wait() { return { times: 7 }; }
}
"#,
    exports: &[("BUSY", "Busy", "GreedyService")],
    imports: &[],
    http: false,
};

const WAYS: [&str; 10] = [
    "handler",
    "microtask",
    "chain",
    "getter",
    "regexp",
    "json",
    "sort",
    "catcher",
    "timer",
    "slices",
];

fn limits() -> Limits {
    Limits {
        cpu_ms_per_request: 10,
        ..Limits::ample()
    }
}

#[test]
fn only_the_request_that_computes_too_long_fails() {
    on_shard(|| async {
        for way in WAYS {
            let world = serve(&[BUSY], "busy", limits()).await;
            let argument = format!("{{\"way\": \"{way}\"}}");
            let (waited, ended) = tokio::join!(
                world.call("busy", "wait", "{\"pause\": 30}"),
                world.call_by("busy", "compute", &argument, soon()),
            );
            assert_eq!(waited["times"], 7, "{way}");
            let error = ended.unwrap_err();
            assert_eq!(error.kind, Kind::CpuExceeded, "{way}: {error}");
            assert!(
                error.message.contains("more CPU time than"),
                "{way}: {error}"
            );
            // The same isolate goes on.
            assert_eq!(world.call("busy", "wait", "{}").await["times"], 7, "{way}");
        }
    });
}

/// A call that computes between others of the same turn: those that V8 lost are told to try
/// again, none is left without an answer, and nobody but the culprit is told that he overran.
#[test]
fn the_others_of_a_turn_are_answered() {
    on_shard(|| async {
        for way in WAYS {
            let world = serve(&[BUSY, CROWD], "crowd", limits()).await;
            let argument = format!("{{\"way\": \"{way}\"}}");
            let wait = || world.call_by("crowd", "wait", "{}", soon());
            let compute = world.call_by("crowd", "compute", &argument, soon());
            let (a, b, ended, c, d) = tokio::join!(wait(), wait(), compute, wait(), wait());
            assert_eq!(ended.unwrap_err().kind, Kind::CpuExceeded, "{way}");
            for other in [a, b, c, d] {
                match other {
                    Ok(reply) => assert_eq!(reply["times"], 7),
                    Err(error) => assert_eq!(error.kind, Kind::Disconnected, "{way}: {error}"),
                }
            }
            assert_eq!(world.call("crowd", "wait", "{}").await["times"], 7, "{way}");
        }
    });
}

#[test]
fn the_timers_of_a_request_that_was_ended_go_with_it() {
    on_shard(|| async {
        let world = serve(&[BUSY], "busy", limits()).await;
        let (waited, ended) = tokio::join!(
            world.call("busy", "wait", "{\"pause\": 100}"),
            world.call_by("busy", "compute", "{\"way\": \"leaver\"}", soon()),
        );
        assert_eq!(ended.unwrap_err().kind, Kind::CpuExceeded);
        // Nobody else's.
        assert_eq!(waited["times"], 7);
        let fired = world.call("busy", "compute", "{\"way\": \"fired\"}").await;
        assert_eq!(fired["times"], 0);
    });
}

/// Optimised code that multiplies large numbers: V8 knows no place in it, and would give itself up
/// if it were asked for one.
#[test]
fn products_of_large_numbers_are_ended_in_optimised_code() {
    on_shard(|| async {
        let limits = Limits {
            cpu_ms_per_request: 500,
            cpu_ms_wasted: 600_000,
            ..Limits::ample()
        };
        let world = serve(&[BUSY], "busy", limits).await;
        // Where it is ended differs.
        for _ in 0..8 {
            let call = world.call_by("busy", "compute", "{\"way\": \"products\"}", soon());
            assert_eq!(call.await.unwrap_err().kind, Kind::CpuExceeded);
        }
    });
}

/// Each has less than its budget to do, and all of it is done in one turn.
#[test]
fn what_requests_left_behind_has_one_budget_together() {
    on_shard(|| async {
        let world = serve(&[BUSY], "busy", limits()).await;
        for _ in 0..40 {
            world.call("busy", "compute", "{\"way\": \"leaves\"}").await;
        }
        assert_eq!(world.isolate("busy").gate.ended(), 0);
        let opens = "{\"way\": \"opens\"}";
        let _ = world.call_by("busy", "compute", opens, soon()).await;
        assert_eq!(world.isolate("busy").gate.ended(), 1);
        assert_eq!(world.call("busy", "wait", "{}").await["times"], 7);
    });
}

#[test]
fn what_v8_takes_to_optimise_is_known_on_the_shard() {
    on_shard(|| async {
        let world = serve(&[BUSY], "busy", Limits::ample()).await;
        let before = optimising_time();
        let way = "{\"way\": \"hot\"}";
        world.call_by("busy", "compute", way, soon()).await.unwrap();
        assert!(optimising_time() > before);
    });
}

/// Two overruns hold everybody up for no longer than what may be wasted.
#[test]
fn after_an_overrun_a_request_has_what_is_left_to_waste() {
    on_shard(|| async {
        let limits = Limits {
            cpu_ms_per_request: 100,
            cpu_ms_wasted: 150,
            ..Limits::ample()
        };
        let world = serve(&[BUSY], "busy", limits).await;
        let overrun = || world.call_by("busy", "compute", "{\"way\": \"handler\"}", soon());
        let [first, second] = [overrun().await, overrun().await].map(Result::unwrap_err);
        let whole = "cpu_ms_per_request (100) allows";
        assert!(first.message.contains(whole), "{first}");
        let less = "have all of cpu_ms_per_request (100) again some seconds after";
        assert_eq!(second.kind, Kind::CpuExceeded);
        assert!(second.message.contains(less), "{second}");
        assert!(world.isolate("busy").gate.state().is_held());
    });
}

/// What one does lies in the same turns as what the others do, so they are lost together.
#[test]
fn what_was_lost_with_another_counts_as_wasted() {
    on_shard(|| async {
        let limits = Limits {
            cpu_ms_per_request: 100,
            ..Limits::ample()
        };
        let crowd = Sample {
            imports: &[("BUSY", "flood", "^1", "Busy")],
            ..CROWD
        };
        // Who is the entry is not held to account for its calls.
        let world = serve(&[BUSY, FLOOD, crowd], "crowd", limits).await;
        let flood = || world.call_by("flood", "compute", "{\"way\": \"\"}", soon());
        let (a, b, c) = tokio::join!(flood(), flood(), flood());
        for error in [a, b, c].map(Result::unwrap_err) {
            let expected = [Kind::CpuExceeded, Kind::Disconnected];
            assert!(expected.contains(&error.kind), "{error}");
        }
        // That of one, and what another one had used until then.
        let wasted = world.isolate("flood").gate.wasted_cpu();
        assert!(wasted > Duration::from_millis(120), "{wasted:?}");
    });
}

#[test]
fn a_deadline_ends_what_computes() {
    on_shard(|| async {
        let limits = Limits {
            cpu_ms_per_request: 60_000,
            ..Limits::ample()
        };
        let world = serve(&[BUSY], "busy", limits).await;
        let deadline = Instant::now() + Duration::from_millis(30);
        let call = world.call_by("busy", "compute", "{\"way\": \"handler\"}", deadline);
        assert_eq!(call.await.unwrap_err().kind, Kind::DeadlineExceeded);
        assert_eq!(world.call("busy", "wait", "{}").await["times"], 7);
    });
}

#[test]
fn one_overrun_is_forgiven_whatever_the_budget() {
    on_shard(|| async {
        let limits = Limits {
            cpu_ms_per_request: 300,
            ..Limits::ample()
        };
        assert!(limits.cpu_ms_wasted < limits.cpu_ms_per_request);
        let world = serve(&[BUSY], "busy", limits).await;
        let call = world.call_by("busy", "compute", "{\"way\": \"handler\"}", soon());
        assert_eq!(call.await.unwrap_err().kind, Kind::CpuExceeded);
        assert_eq!(world.isolate("busy").gate.state(), GateState::Open);
        assert_eq!(world.call("busy", "wait", "{}").await["times"], 7);
    });
}

#[test]
fn an_isolate_that_keeps_failing_is_held_back_and_tried_again() {
    on_shard(|| async {
        let limits = Limits {
            cpu_ms_per_request: 40,
            ..Limits::ample()
        };
        let world = serve(&[BUSY], "busy", limits).await;
        let mut kinds = Vec::new();
        for _ in 0..12 {
            let call = world.call_by("busy", "compute", "{\"way\": \"handler\"}", soon());
            kinds.push(call.await.unwrap_err().kind);
        }
        assert_eq!(kinds[0], Kind::CpuExceeded);
        assert_eq!(kinds.last(), Some(&Kind::Overloaded));
        let stats = world.shard.stats().isolates.remove(0);
        assert!(stats.gate.is_held());
        assert_eq!(
            stats.ended as usize,
            kinds
                .iter()
                .filter(|kind| **kind == Kind::CpuExceeded)
                .count()
        );
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_eq!(world.call("busy", "wait", "{}").await["times"], 7);
        assert!(!world.shard.stats().isolates.remove(0).gate.is_held());
    });
}

fn greedy_limits() -> Limits {
    Limits {
        heap_mib: 64,
        // Far more than it takes to come to the end of the memory.
        cpu_ms_per_request: 1_000,
        ..Limits::ample()
    }
}

#[test]
fn who_always_computes_until_there_is_no_memory_is_held_back() {
    is_held_back_for("allocate", "RangeError");
}

#[test]
fn who_always_makes_timers_until_there_may_be_no_more_is_held_back() {
    is_held_back_for("wake", "QuotaExceededError");
}

fn is_held_back_for(way: &'static str, refusal: &'static str) {
    on_shard(move || async move {
        let world = serve(&[GREEDY], "greedy", greedy_limits()).await;
        let error = loop {
            let asked = format!("{{\"way\": \"{way}\"}}");
            let call = world.call_by("greedy", "compute", &asked, soon());
            let error = call.await.unwrap_err();
            if error.kind != Kind::Failed {
                break error;
            }
            assert!(error.to_string().contains(refusal), "{error}");
            let used = world.isolate("greedy").stats().cpu;
            assert!(used < Duration::from_secs(20), "never held back");
        };
        assert_eq!(error.kind, Kind::Overloaded, "{error}");
        let stats = world.shard.stats().isolates.remove(0);
        assert!(stats.gate.is_held());
        assert_eq!(stats.ended, 0);
    });
}

#[test]
fn who_meets_the_end_of_the_memory_once_goes_on() {
    on_shard(|| async {
        let world = serve(&[GREEDY], "greedy", greedy_limits()).await;
        let probe = "{\"way\": \"probe\"}";
        assert_eq!(world.call("greedy", "compute", probe).await["times"], 10);
        let greedy = world.isolate("greedy");
        assert_eq!(greedy.gate.state(), GateState::Open);
        // Ten times in one turn, whose time counts once.
        let (wasted, used) = (greedy.gate.wasted_cpu(), greedy.stats().cpu);
        assert!(
            Duration::ZERO < wasted && wasted <= used,
            "{wasted:?} of {used:?}"
        );
        assert_eq!(world.call("greedy", "wait", "{}").await["times"], 7);
    });
}

#[test]
fn who_rests_gives_back_what_it_needs_no_longer() {
    on_shard(|| async {
        let world = serve(&[GREEDY], "greedy", Limits::ample()).await;
        let held = || {
            let stats = world.isolate("greedy").stats();
            (stats.heap_bytes + stats.external_bytes) >> 20
        };
        let dropped = "{\"way\": \"drop\"}";
        world.call("greedy", "compute", dropped).await;
        assert!(held() > 20, "{} MiB", held());
        let mut rested = Duration::ZERO;
        while held() > 10 {
            assert!(rested < Duration::from_secs(60), "{} MiB", held());
            tokio::time::sleep(Duration::from_millis(100)).await;
            rested += Duration::from_millis(100);
        }
        assert_eq!(world.call("greedy", "wait", "{}").await["times"], 7);
    });
}

/// V8 keeps what it once needed for young objects, however few of them are left.
#[test]
fn who_rests_gives_back_what_it_does_not_use() {
    on_shard(|| async {
        let world = serve(&[GREEDY], "greedy", Limits::ample()).await;
        let committed = || world.isolate("greedy").committed_bytes() >> 20;
        let compute = |way| world.call("greedy", "compute", way);
        compute("{\"way\": \"churn\"}").await;
        // Until little of it is in use.
        while world.isolate("greedy").stats().heap_bytes > 4 << 20 {
            compute("{\"way\": \"litter\"}").await;
        }
        assert!(committed() > 16, "{} MiB", committed());
        let mut rested = Duration::ZERO;
        while committed() > 8 {
            assert!(rested < Duration::from_secs(60), "{} MiB", committed());
            tokio::time::sleep(Duration::from_millis(100)).await;
            rested += Duration::from_millis(100);
        }
        assert_eq!(world.call("greedy", "wait", "{}").await["times"], 7);
    });
}

#[test]
fn who_is_served_is_answered_before_one_who_is_ahead_goes_on() {
    on_shard(|| async {
        let world = serve(&[BUSY, FLOOD], "flood", Limits::ample()).await;
        let compute = || world.call("busy", "compute", "{\"way\": \"computes\"}");
        let answered = || world.isolate("busy").stats().requests;
        let mut before = 0;
        for _ in 0..10 {
            compute().await;
            let computed = answered();
            // Whether it is ahead is known by looks: not each time.
            tokio::join!(compute(), async {
                world.call("flood", "wait", "{}").await;
                before += u32::from(answered() == computed);
            });
        }
        assert!(before > 3, "{before} of 10 times");
    });
}

/// The time that its calls take together is the flooder's: who was called goes on.
#[test]
fn who_is_flooded_with_calls_is_not_held_back_for_it() {
    on_shard(|| async {
        let front = Sample {
            imports: &[("BUSY", "flood", "^1", "Busy")],
            ..CROWD
        };
        let world = serve(&[BUSY, FLOOD, front], "crowd", limits()).await;
        for _ in 0..8 {
            let flood = world.call_by("crowd", "compute", "{\"way\": \"\"}", soon());
            let error = flood.await.unwrap_err();
            assert!(!error.message.contains("busy@"), "{}", error.message);
        }
        assert!(world.isolate("flood").gate.state().is_held());
        assert_eq!(world.isolate("busy").gate.state(), GateState::Open);
        assert_eq!(world.isolate("crowd").gate.state(), GateState::Open);
        assert_eq!(world.call("busy", "wait", "{}").await["times"], 7);
    });
}

#[test]
fn an_isolate_whose_code_was_ended_often_is_made_anew_in_its_place() {
    on_shard(|| async {
        let limits = Limits {
            cpu_ms_per_request: 1,
            cpu_ms_wasted: 600_000,
            ..Limits::ample()
        };
        let world = serve(&[BUSY, CROWD], "crowd", limits).await;
        world.mark("busy");
        for _ in 1..=16 {
            assert!(world.is_marked("busy"));
            let call = world.call_by("crowd", "compute", "{\"way\": \"handler\"}", soon());
            assert_eq!(call.await.unwrap_err().kind, Kind::CpuExceeded);
            let busy = world.isolate("busy");
            // The last time, it is lost.
            while busy.gate.state() == GateState::Replacing {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        assert_eq!(world.retry("crowd", "wait", "{}").await["times"], 7);
        assert!(!world.is_marked("busy"));
    });
}
