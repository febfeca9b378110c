//! The benchmark: what a call costs, beside what V8 alone would cost.
//!
//! All figures come from one process and one run, in interleaved rounds, so that their ratios
//! hold on a machine whose speed drifts. The binary `isolith-bench` calls [`run`].

mod bare;
mod density;
mod neighbours;
mod overrun;
mod pins;
mod shards;
mod stolen;
mod typed;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::limits::Limits;
pub use density::{BARE, bare as bare_isolates, density};

/// Rounds of each measurement; the median counts.
const ROUNDS: usize = 9;
/// Calls in a round.
const CALLS: u32 = 100_000;

/// What a run measured.
#[derive(Serialize)]
struct Figures {
    bare_hop_ns: f64,
    bare_async_hop_ns: f64,
    call_small_ns: f64,
    call_small_32_in_flight_ns: f64,
    call_1mib_ns: f64,
    pipelined_chain_of_three_ns: f64,
    /// With three rollouts under way.
    admission_ns: f64,
    pin_per_call_ns: f64,
    read_scalar_ns: f64,
    encode_small_ns: f64,
    json_stringify_small_ns: f64,
    decode_small_ns: f64,
    json_parse_small_ns: f64,
    call_small_per_bare_async_hop: f64,
    call_1mib_per_call_small: f64,
    pin_share_of_call: f64,
    /// Both in requests of a hundred, by turns.
    pipelined_chain_of_three_per_call_small: f64,
    /// The throughput of two shards by that of one. Needs two cores.
    two_shards_ratio: f64,
    #[serde(flatten)]
    overrun: OverrunFigures,
    #[serde(flatten)]
    neighbours: NeighbourFigures,
}

#[derive(Serialize)]
struct OverrunFigures {
    /// CPU time that requests ran past their budget before they were ended.
    cpu_overrun_p99_us: f64,
}

#[derive(Serialize)]
struct NeighbourFigures {
    /// By kind of neighbour: the 99th percentile of others' requests beside it, in that of the same
    /// requests alone.
    neighbour_p99_ratio: BTreeMap<&'static str, f64>,
    neighbour_p99_ratio_worst: f64,
    /// By kind of neighbour: the share of the processors' time that other guests of the host took
    /// from what was measured.
    neighbour_stolen_share: BTreeMap<&'static str, f64>,
    /// Of the good requests alone, the 99th percentile, the median of all kinds.
    neighbour_alone_p99_us: f64,
}

/// Measures, prints a table, and writes the figures to `file` as JSON.
///
/// # Errors
/// If a service cannot be loaded, a call fails, or the file cannot be written.
pub fn run(file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let figures = block_on(measure())?;
    println!("| what | ns | |\n|---|---:|---|");
    let row = |what: &str, ns: f64, note: String| println!("| {what} | {ns:.0} | {note} |");
    row("bare hop, synchronous", figures.bare_hop_ns, String::new());
    row("bare hop, queued", figures.bare_async_hop_ns, String::new());
    row(
        "typed call, small",
        figures.call_small_ns,
        format!(
            "{:.2} x the queued bare hop",
            figures.call_small_per_bare_async_hop
        ),
    );
    row(
        "typed call, small, 32 in flight",
        figures.call_small_32_in_flight_ns,
        String::new(),
    );
    row(
        "typed call, 1 MiB there and back",
        figures.call_1mib_ns,
        format!("{:.2} x the small call", figures.call_1mib_per_call_small),
    );
    row(
        "three calls, pipelined",
        figures.pipelined_chain_of_three_ns,
        format!(
            "{:.2} x the small call beside it",
            figures.pipelined_chain_of_three_per_call_small
        ),
    );
    row(
        "admission and release, three rollouts",
        figures.admission_ns,
        String::new(),
    );
    row(
        "the pin, per call",
        figures.pin_per_call_ns,
        format!(
            "{:.1} % of the small call",
            100.0 * figures.pin_share_of_call
        ),
    );
    let per_read = format!("{:.1} ns", figures.read_scalar_ns);
    row(
        "read a number of a message",
        figures.read_scalar_ns,
        per_read,
    );
    let beside = |json: f64, what: &str| format!("{json:.0} with JSON.{what}");
    row(
        "object of 5 fields into a message",
        figures.encode_small_ns,
        beside(figures.json_stringify_small_ns, "stringify"),
    );
    row(
        "message read, all 5 fields",
        figures.decode_small_ns,
        beside(figures.json_parse_small_ns, "parse"),
    );
    println!(
        "\nthroughput of two shards: {:.2} x that of one",
        figures.two_shards_ratio
    );
    figures.overrun.print();
    figures.neighbours.print();
    merge(file, &figures)
}

/// Measures by how much requests overrun their budget of CPU time alone, for some seconds.
///
/// # Errors
/// As [`run`].
pub fn overrun(file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let figures = block_on(measure_overrun())?;
    figures.print();
    merge(file, &figures)
}

/// Measures bad neighbours alone: those of these kinds, or of all, for some 70 seconds each where
/// the machine is calm.
///
/// # Errors
/// As [`run`].
pub fn neighbours(kinds: &[&str], file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let figures = block_on(measure_neighbours(kinds))?;
    figures.print();
    merge(file, &figures)
}

fn block_on<T>(
    measure: impl Future<Output = Result<T, Box<dyn std::error::Error>>>,
) -> Result<T, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, measure)
}

impl OverrunFigures {
    fn print(&self) {
        let us = self.cpu_overrun_p99_us;
        println!("\nCPU time past the budget, p99: {us:.0} us");
    }
}

impl NeighbourFigures {
    fn print(&self) {
        println!("\n| neighbour | p99 of others, in that alone | stolen |\n|---|---:|---:|");
        for (kind, ratio) in &self.neighbour_p99_ratio {
            let stolen = 100.0 * self.neighbour_stolen_share.get(kind).unwrap_or(&0.0);
            println!("| {kind} | {ratio:.2} | {stolen:.1} % |");
        }
    }
}

/// Measures small calls and pipelined chains alone, in some seconds, and prints both beside the
/// queued bare hop.
///
/// # Errors
/// If a service cannot be loaded, or a call fails.
pub fn calls() -> Result<(), Box<dyn std::error::Error>> {
    block_on(async {
        let bench = typed::Bench::new(limits()).await?;
        bench.calls(CALLS / 2).await?;
        let mut columns: [Vec<f64>; 4] = Default::default();
        for _ in 0..ROUNDS {
            let bare = bare::measure(CALLS, 1).ok_or("the bare hop failed")?;
            let (small, chains) = bench.calls(CALLS).await?;
            let figures = [bare.async_ns, small, chains.ns, chains.in_calls];
            for (column, figure) in columns.iter_mut().zip(figures) {
                column.push(figure);
            }
        }
        let [bare, small, chain, in_calls] = columns.each_mut().map(|column| median(column));
        println!("bare hop, queued: {bare:.0} ns");
        println!("small call: {small:.0} ns, {:.2} x that", small / bare);
        println!("three calls, pipelined: {chain:.0} ns, {in_calls:.2} x one beside them");
        Ok(())
    })
}

/// Writes figures to a file of JSON; those of other names that it holds stay.
fn merge(file: &Path, figures: &impl Serialize) -> Result<(), Box<dyn std::error::Error>> {
    let mut all: BTreeMap<String, serde_json::Value> = match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
        Err(_) => BTreeMap::new(),
    };
    let figures = serde_json::to_value(figures)?;
    all.extend(figures.as_object().cloned().unwrap_or_default());
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, serde_json::to_string_pretty(&all)? + "\n")?;
    println!("\nwritten to {}", file.display());
    Ok(())
}

async fn measure_overrun() -> Result<OverrunFigures, Box<dyn std::error::Error>> {
    Ok(OverrunFigures {
        cpu_overrun_p99_us: overrun::p99_us().await?,
    })
}

async fn measure_neighbours(
    kinds: &[&str],
) -> Result<NeighbourFigures, Box<dyn std::error::Error>> {
    let borne = neighbours::measure(kinds).await?;
    let mut alone_us: Vec<f64> = borne.iter().map(|(_, borne)| borne.alone_us).collect();
    let ratios = borne.iter().map(|(kind, borne)| (*kind, borne.ratio()));
    let neighbour_p99_ratio: BTreeMap<&'static str, f64> = ratios.collect();
    Ok(NeighbourFigures {
        neighbour_p99_ratio_worst: neighbour_p99_ratio.values().copied().fold(0.0, f64::max),
        neighbour_p99_ratio,
        neighbour_stolen_share: borne
            .iter()
            .map(|(kind, borne)| (*kind, borne.stolen))
            .collect(),
        neighbour_alone_p99_us: median(&mut alone_us),
    })
}

async fn measure() -> Result<Figures, Box<dyn std::error::Error>> {
    let bench = typed::Bench::new(limits()).await?;
    let pins = pins::Pins::new(limits()).await?;
    // Once unmeasured: the engines compile, memory is touched for the first time.
    bench.round(CALLS / 2).await?;
    pins.round(CALLS / 2)?;
    let mut values = values::Loops::new()?;
    values.round(CALLS)?;
    let mut columns: [Vec<f64>; 14] = Default::default();
    for round in 0..ROUNDS {
        eprintln!("round {} of {ROUNDS}", round + 1);
        let bare = bare::measure(CALLS, 1).ok_or("the bare hop failed")?;
        let typed = bench.round(CALLS).await?;
        let pinned = pins.round(CALLS)?;
        let value = values.round(CALLS)?;
        let figures = [
            bare.sync_ns,
            bare.async_ns,
            typed.small_ns,
            typed.small_32_ns,
            typed.mib_ns,
            typed.chains.ns,
            typed.chains.in_calls,
            pinned.admission_ns,
            pinned.per_call_ns,
            value.read_scalar_ns,
            value.encode_small_ns,
            value.json_stringify_small_ns,
            value.decode_small_ns,
            value.json_parse_small_ns,
        ];
        for (column, figure) in columns.iter_mut().zip(figures) {
            column.push(figure);
        }
    }
    let [
        bare_hop_ns,
        bare_async_hop_ns,
        call_small_ns,
        call_small_32_in_flight_ns,
        call_1mib_ns,
        pipelined_chain_of_three_ns,
        pipelined_chain_of_three_per_call_small,
        admission_ns,
        pin_per_call_ns,
        read_scalar_ns,
        encode_small_ns,
        json_stringify_small_ns,
        decode_small_ns,
        json_parse_small_ns,
    ] = columns.each_mut().map(|column| median(column));
    Ok(Figures {
        bare_hop_ns,
        bare_async_hop_ns,
        call_small_ns,
        call_small_32_in_flight_ns,
        call_1mib_ns,
        pipelined_chain_of_three_ns,
        admission_ns,
        pin_per_call_ns,
        read_scalar_ns,
        encode_small_ns,
        json_stringify_small_ns,
        decode_small_ns,
        json_parse_small_ns,
        call_small_per_bare_async_hop: call_small_ns / bare_async_hop_ns,
        pipelined_chain_of_three_per_call_small,
        call_1mib_per_call_small: call_1mib_ns / call_small_ns,
        pin_share_of_call: pin_per_call_ns / call_small_ns,
        two_shards_ratio: shards::two_shards_ratio()
            .await
            .map_err(|error| error.to_string())?,
        overrun: measure_overrun().await?,
        neighbours: measure_neighbours(&[]).await?,
    })
}

/// Those of a shard, but one request makes all the calls of a round.
fn limits() -> Limits {
    Limits {
        cpu_ms_per_request: u32::MAX,
        ..Limits::default()
    }
}

/// The middle value; 0 for none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
