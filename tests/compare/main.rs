//! The boutique on Isolith, on workerd and as Node processes over gRPC: the same logic under the
//! same load on the same machine, in turn, for several rounds; then what single calls take.
//! `make compare` runs it.
//!
//! Usage: `compare [--report FILE]`, in the repository, once everything is built. `FILE` gets the
//! tables, its folder the plots, `target/compare.json` the figures, `target/bench.json` the ratios.
//! `COMPARE_ROUNDS`, and of each hosting in each round `COMPARE_WARMUP_SECONDS`,
//! `COMPARE_FULL_SECONDS` and `COMPARE_SECONDS` change the run; `COMPARE_ONLY` names the only hosting
//! to measure. As it is, it takes some fifteen minutes.
//!
//! The generator is this project's own, because it has to be open-loop, follow redirections with
//! cookies, mix what visitors do, and come from the registries alone: oha and wrk2 send the same
//! requests from each connection, autocannon waits for answers. Latencies go into HDR histograms.

mod calls;
mod hosting;
mod load;
mod plot;
mod processes;
mod report;
mod shop;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use calls::Calls;
use hosting::{HOSTINGS, Hosting, Running};
use load::{Load, Served};

/// An error with what was being done.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// Of the visits per second that the slowest hosting carries, the share that all are given at a fixed
/// rate: with time to rest between two, and with little of it.
pub(crate) const SHARES: [f64; 2] = [0.5, 0.85];

/// What a run is told to do.
pub(crate) struct Plan {
    pub(crate) rounds: u64,
    pub(crate) warmup: Duration,
    pub(crate) full: Duration,
    pub(crate) fixed: Duration,
}

/// What was measured of one hosting in one round.
pub(crate) struct Round {
    pub(crate) hosting: &'static str,
    pub(crate) ready: Duration,
    /// With as much as it carries.
    pub(crate) full: Measured,
    /// At the fixed rates.
    pub(crate) fixed: [Measured; SHARES.len()],
    pub(crate) memory_bytes: u64,
    pub(crate) processes: usize,
}

/// A stretch of load, and the CPU time that the hosting took for it.
pub(crate) struct Measured {
    pub(crate) cpu: Duration,
    pub(crate) served: Served,
}

/// Visits at the same time while as much is asked for as a hosting carries.
const FULL: Load = Load::Closed { in_flight: 10 };

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().collect();
    // What cargo itself adds to the line is not for us.
    let report = arguments.windows(2).find(|pair| pair[0] == "--report");
    let report = report.map(|pair| Path::new(&pair[1]));
    let seconds = |variable, default| Duration::from_secs(number(variable, default));
    let plan = Plan {
        rounds: number("COMPARE_ROUNDS", 5),
        warmup: seconds("COMPARE_WARMUP_SECONDS", 5),
        full: seconds("COMPARE_FULL_SECONDS", 5),
        fixed: seconds("COMPARE_SECONDS", 15),
    };
    let only = std::env::var("COMPARE_ONLY").ok();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()?;

    let is_asked_for = |hosting: &&Hosting| only.as_deref().is_none_or(|only| only == hosting.name);
    let hostings: Vec<_> = HOSTINGS.iter().filter(is_asked_for).collect();
    let carried = hostings
        .iter()
        .map(|hosting| carries(hosting, &plan, &root))
        .collect::<Result<Vec<_>, _>>()?;
    let slowest = carried.into_iter().fold(f64::INFINITY, f64::min);
    let rates = SHARES.map(|share| (share * slowest) as u64);
    println!("the slowest carries {slowest:.0} visits/s, so the fixed rates are {rates:?}");

    let mut rounds = Vec::new();
    for round in 0..plan.rounds {
        // Each begins a round in its turn, so that none always follows the same neighbour.
        let in_turn = hostings.iter().cycle().skip(round as usize);
        for hosting in in_turn.take(hostings.len()) {
            let measured = measure(hosting, &plan, rates, &root, round)?;
            println!("round {}, {}", round + 1, report::line(&measured));
            rounds.push(measured);
        }
    }
    let figures = report::Figures::of(&rounds);
    println!("\n{}", figures.tables());
    let calls = Calls::measure(&root)?;
    let mut json = figures.json(&plan, rates);
    json["calls"] = calls.json();
    let json = serde_json::to_string_pretty(&json)?;
    std::fs::write(root.join("target/compare.json"), json)?;
    merge(
        &root.join("target/bench.json"),
        [figures.ratios(), calls.ratios()],
    )?;
    if let Some(file) = report {
        let calls = calls.document(file.parent().unwrap_or(Path::new(".")))?;
        std::fs::write(file, figures.document(&plan, rates, &root, &calls)?)?;
        println!("written: {}", file.display());
    }
    let lost = figures.lost();
    if lost > 0 {
        return Err(format!("{lost} requests were lost or answered wrongly").into());
    }
    Ok(())
}

/// Writes figures beside those of other names that the file of the benchmark holds.
fn merge(file: &Path, figures: [Value; 2]) -> Result<(), Failure> {
    let mut all: BTreeMap<String, Value> = match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
        Err(_) => BTreeMap::new(),
    };
    for figures in figures {
        all.extend(figures.as_object().cloned().unwrap_or_default());
    }
    std::fs::write(file, serde_json::to_string_pretty(&all)? + "\n")?;
    Ok(())
}

/// The visits per second that a hosting carries.
fn carries(hosting: &Hosting, plan: &Plan, root: &Path) -> Result<f64, Failure> {
    let running = Running::start(hosting, root)?;
    FULL.run(running.address(), plan.warmup, 0)?;
    let served = FULL.run(running.address(), plan.full, 0)?;
    running.stop()?;
    Ok(served.visits() as f64 / served.took.as_secs_f64())
}

/// One round of one hosting, from its start to its end.
fn measure(
    hosting: &Hosting,
    plan: &Plan,
    rates: [u64; SHARES.len()],
    root: &Path,
    seed: u64,
) -> Result<Round, Failure> {
    let running = Running::start(hosting, root)?;
    let stretch = |load: Load, length| -> Result<Measured, Failure> {
        let before = running.processes()?.cpu();
        let served = load.run(running.address(), length, seed)?;
        let cpu = running.processes()?.cpu().saturating_sub(before);
        Ok(Measured { cpu, served })
    };
    stretch(FULL, plan.warmup)?;
    let full = stretch(FULL, plan.full)?;
    let at = |arrivals_per_second| {
        let load = Load::Open {
            arrivals_per_second,
        };
        stretch(load, plan.fixed)
    };
    let [low, high] = rates.map(at);
    let fixed = [low?, high?];
    let processes = running.processes()?;
    let round = Round {
        hosting: hosting.name,
        ready: running.ready(),
        full,
        fixed,
        memory_bytes: processes.memory_bytes(),
        processes: processes.count(),
    };
    running.stop()?;
    Ok(round)
}

fn number(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}
