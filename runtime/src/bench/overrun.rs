//! By how much a request overruns its CPU budget before it is ended.

use std::rc::Rc;
use std::time::{Duration, Instant};

use isolith_capnp::error_capnp::call_error::Kind;

use crate::error::CallError;
use crate::isolate::GateState;
use crate::limits::Limits;
use crate::sample::{Sample, SampleSchema, serve_samples, solve_samples};
use crate::shard::{JsonCall, Shard, thread_cpu_time};

use super::stolen::{self, Calm, Processors};

type Error = Box<dyn std::error::Error>;

const SCHEMA: &str = "
@0xe0f1d2c3a4958671;
interface Busy { compute @0 (way :UInt32) -> (); }
";

/// Ways to compute without end. V8 looks for interrupts differently in each: those that call one
/// built-in function again and again are the hardest to end.
const BUSY: &str = "
const ways = [
  () => { for (;;); },
  async () => { await null; for (;;); },
  () => /^(a+)+$/.test('a'.repeat(40) + 'b'),
  () => { const a = Array(1000).fill({ x: 1 }); for (;;) JSON.stringify(a); },
  () => { for (;;) Array.from({ length: 1000 }, (_, i) => -i).sort((a, b) => a - b); },
  async () => { for (;;) await null; },
  () => { const t = JSON.stringify(Array(1000).fill({ x: 1 })); for (;;) JSON.parse(t); },
  () => { const a = Array.from({ length: 1000 }, (_, i) => 'k' + i); for (;;) [...a]; },
  () => { const e = new TextEncoder(); for (;;) e.encode('x'.repeat(1e5)); },
];
export class BusyService { compute({ way }) { return ways[way](); } }
";

/// What the ways do, in order.
const WAYS: [&str; 9] = [
    "loop",
    "microtask",
    "regular expression",
    "JSON.stringify",
    "sort",
    "await",
    "JSON.parse",
    "spread",
    "encode text",
];

/// The budget of each request.
const BUDGET_MS: u32 = 10;
/// Requests of each way that are ended.
const REQUESTS: usize = 40;
/// Of six seconds on two processors, 24 ms: two or three of the requests are above the percentile.
const CALM: Calm = Calm {
    share: 0.002,
    tries: 10,
};

/// Microseconds that requests ran past their budget, the 99th percentile, in a calm time: who waits
/// for a watchdog whose processor the host has lent to others runs on. On this thread's CPU clock,
/// what it costs to ask and to answer included. Prints what it was for each way.
pub(super) async fn p99_us() -> Result<f64, Error> {
    let (p99, _) = stolen::calmest(CALM, async || {
        let processors = Processors::now()?;
        let p99 = measure_p99_us().await?;
        Ok::<_, Error>((p99, processors.stolen_since()?))
    })
    .await?;
    Ok(p99)
}

async fn measure_p99_us() -> Result<f64, Error> {
    let schema = SampleSchema::new(SCHEMA)?;
    let busy = schema.program(&Sample {
        service: "busy",
        version: "1.0.0",
        source: BUSY,
        exports: &[("BUSY", "Busy", "BusyService")],
        imports: &[],
        http: false,
    })?;
    let limits = Limits {
        cpu_ms_per_request: BUDGET_MS,
        // The isolate is to keep failing.
        cpu_ms_wasted: u32::MAX,
        ..Limits::default()
    };
    let programs = [busy];
    let set = solve_samples(&programs, "busy")?;
    let (shard, _routing) = serve_samples(&programs, &set, "busy", limits).await?;
    let pump = tokio::task::spawn_local(Rc::clone(&shard).pump());
    let budget = Duration::from_millis(u64::from(BUDGET_MS));
    let mut by_way: [Vec<f64>; WAYS.len()] = Default::default();
    for _ in 0..REQUESTS {
        for (way, overruns) in by_way.iter_mut().enumerate() {
            let start = thread_cpu_time();
            let error = compute(&shard, way).await?;
            let used = thread_cpu_time().saturating_sub(start);
            let isolates = shard.stats().isolates;
            if isolates.iter().any(|it| it.gate == GateState::Replacing) {
                // It was ended often. Making it anew is not the request's time, nor is what the
                // first request after that, which fails at once, still pays for it.
                tokio::time::sleep(5 * budget).await;
                compute(&shard, WAYS.len()).await?;
            } else if error.kind == Kind::CpuExceeded {
                overruns.push(used.as_secs_f64() * 1e6 - budget.as_secs_f64() * 1e6);
            } else {
                return Err(error.into());
            }
        }
    }
    pump.abort();
    for (way, overruns) in WAYS.iter().zip(&mut by_way) {
        let p99 = p99(overruns);
        eprintln!("{way:20} {p99:>8.0} us past the budget, p99");
    }
    Ok(p99(&mut by_way.concat()))
}

/// Has it compute in a way, and gives the error that this comes to.
async fn compute(shard: &Rc<Shard>, way: usize) -> Result<CallError, Error> {
    let call = shard.call_json(JsonCall {
        service: "busy".into(),
        version: None,
        export: None,
        method: "compute".into(),
        argument: format!("{{\"way\": {way}}}"),
        deadline: Instant::now() + Duration::from_secs(60),
    });
    match call.await {
        Ok(_) => Err("a request that never ends has returned".into()),
        Err(error) => Ok(error),
    }
}

fn p99(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = values.len().saturating_sub(1) * 99 / 100;
    values.get(place).copied().unwrap_or(0.0)
}
