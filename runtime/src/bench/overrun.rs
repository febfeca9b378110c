//! By how much a request overruns its CPU budget before it is ended.

use std::time::{Duration, Instant};

use crate::limits::Limits;
use crate::sample::{Sample, SampleSchema, serve_samples, solve_samples};
use crate::shard::{JsonCall, thread_cpu_time};

type Error = Box<dyn std::error::Error>;

const SCHEMA: &str = "
@0xe0f1d2c3a4958671;
interface Busy { compute @0 (way :UInt32) -> (); }
";

/// An empty loop, one in a microtask, a regular expression, JSON, sorting, promises.
const BUSY: &str = "
const ways = [
  () => { for (;;); },
  async () => { await null; for (;;); },
  () => /^(a+)+$/.test('a'.repeat(40) + 'b'),
  () => { const a = Array(1000).fill({ x: 1 }); for (;;) JSON.stringify(a); },
  () => { for (;;) Array.from({ length: 1000 }, (_, i) => -i).sort((a, b) => a - b); },
  async () => { for (;;) await null; },
];
export class BusyService { compute({ way }) { return ways[way % ways.length](); } }
";

/// The budget of each request.
const BUDGET_MS: u32 = 10;
/// Requests that are ended.
const REQUESTS: u32 = 300;

/// Microseconds that requests ran past their budget, the 99th percentile. On this thread's CPU
/// clock, what it costs to ask and to answer included.
pub(super) async fn p99_us() -> Result<f64, Error> {
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
    let pump = tokio::task::spawn_local(std::rc::Rc::clone(&shard).pump());
    let mut overruns = Vec::new();
    let budget = Duration::from_millis(u64::from(BUDGET_MS));
    for way in 0..REQUESTS {
        let start = thread_cpu_time();
        let call = shard.call_json(JsonCall {
            service: "busy".into(),
            version: None,
            export: None,
            method: "compute".into(),
            argument: format!("{{\"way\": {way}}}"),
            deadline: Instant::now() + Duration::from_secs(60),
        });
        match call.await {
            Ok(_) => return Err("a request that never ends has returned".into()),
            // Its isolate was ended often and is being made anew.
            Err(error) if error.is_transient() => tokio::time::sleep(budget).await,
            Err(_) => {
                let used = thread_cpu_time().saturating_sub(start);
                overruns.push(used.as_secs_f64() * 1e6 - budget.as_secs_f64() * 1e6);
            }
        }
    }
    pump.abort();
    overruns.sort_by(f64::total_cmp);
    Ok(overruns
        .get(overruns.len() * 99 / 100)
        .copied()
        .unwrap_or(0.0))
}
