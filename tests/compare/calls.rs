//! What a single call takes, with a small object and by bytes, and by how many are under way: the two services of
//! `services/examples/echo`, and the same caller on other ways to call.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failure;
use crate::hosting::{Hosting, ISOLITH, Running};
use crate::plot::{Line, Plot};

/// There and back.
const BYTES: [u64; 6] = [64, 1 << 10, 16 << 10, 256 << 10, 1 << 20, 16 << 20];
/// Calls under way at the same time.
const IN_FLIGHT: [u64; 4] = [1, 4, 16, 64];
/// How long a measurement takes at least; the request around the calls is no part of that size.
const LENGTH: Duration = Duration::from_millis(150);
/// How often all ways are measured by turns, and how often each figure in a round; the median counts.
/// What the machine does meanwhile so concerns all ways alike.
const ROUNDS: usize = 3;
const TIMES: usize = 3;
const WARMUP: Duration = Duration::from_secs(2);
/// Of one way: by bytes, then by calls under way.
const FIGURES: usize = BYTES.len() + IN_FLIGHT.len();
const NODE: &str = "services/examples/boutique/hosting";

/// Who calls whom.
const WAYS: [Hosting; 6] = [
    Hosting {
        name: "isolith",
        title: "Isolith",
        folder: "services/examples/echo",
        command: &[ISOLITH, "serve", "app.toml", "--listen", "127.0.0.1:PORT"],
    },
    Hosting {
        name: "workerd",
        title: "workerd RPC",
        folder: NODE,
        command: &[
            "node_modules/workerd/bin/workerd",
            "serve",
            "echo/config.capnp",
            "--socket-addr",
            "http=127.0.0.1:PORT",
        ],
    },
    Hosting {
        name: "worker_threads",
        title: "Node worker thread, transferred",
        folder: NODE,
        command: &["node", "dist/echo/main.mjs", "worker"],
    },
    Hosting {
        name: "grpc",
        title: "Node, gRPC on loopback",
        folder: NODE,
        command: &["node", "dist/echo/main.mjs", "grpc"],
    },
    Hosting {
        name: "clone",
        title: "Node, await with structuredClone",
        folder: NODE,
        command: &["node", "dist/echo/main.mjs", "clone"],
    },
    Hosting {
        name: "plain",
        title: "Node, await of a function",
        folder: NODE,
        command: &["node", "dist/echo/main.mjs", "plain"],
    },
];

/// What a call passes.
#[derive(Clone, Copy)]
enum Passes {
    /// A token in, a user with a number and a name out.
    Object,
    /// There and back.
    Bytes(u64),
}

/// Nanoseconds per call.
pub(crate) struct Calls(Vec<Way>);

struct Way {
    name: &'static str,
    title: &'static str,
    by_bytes: Vec<f64>,
    /// Of calls with a small object.
    by_in_flight: Vec<f64>,
}

impl Calls {
    /// Measures all ways, one after the other, in each of some rounds.
    pub(crate) fn measure(root: &Path) -> Result<Self, Failure> {
        let mut rounds: Vec<Vec<Vec<f64>>> = vec![vec![Vec::new(); FIGURES]; WAYS.len()];
        for _ in 0..ROUNDS {
            for (way, figures) in WAYS.iter().zip(&mut rounds) {
                measure_way(way, root, figures)?;
            }
        }
        let ways = WAYS.iter().zip(rounds).map(|(way, figures)| {
            let mut by_bytes: Vec<_> = figures.into_iter().map(median).collect();
            let by_in_flight = by_bytes.split_off(BYTES.len());
            println!("{}: {by_bytes:.0?} {by_in_flight:.0?}", way.title);
            Way {
                name: way.name,
                title: way.title,
                by_bytes,
                by_in_flight,
            }
        });
        Ok(Calls(ways.collect()))
    }

    pub(crate) fn json(&self) -> Value {
        let ways = self.0.iter().map(|way| {
            let (by_bytes, by_in_flight) = (&way.by_bytes, &way.by_in_flight);
            let figures =
                json!({ "ns_by_bytes": by_bytes, "object_ns_by_calls_in_flight": by_in_flight });
            (way.name.to_owned(), figures)
        });
        json!({
            "bytes": BYTES,
            "calls_in_flight": IN_FLIGHT,
            "ways": ways.collect::<serde_json::Map<_, _>>(),
        })
    }

    /// The figures that the project's goals name.
    pub(crate) fn ratios(&self) -> Value {
        let way = |name| self.0.iter().find(|way| way.name == name);
        let small = |name| way(name).and_then(|way| way.by_in_flight.first().copied());
        let mib = |name| {
            let at = BYTES.iter().position(|&bytes| bytes == 1 << 20)?;
            way(name)?.by_bytes.get(at).copied()
        };
        let over = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a / b);
        json!({
            "compare_call_small_ns": small("isolith"),
            "compare_call_1mib_ns": mib("isolith"),
            "workerd_call_small_ns": small("workerd"),
            "workerd_call_1mib_ns": mib("workerd"),
            "workerd_call_small_ratio": over(small("workerd"), small("isolith")),
            "workerd_call_1mib_ratio": over(mib("workerd"), mib("isolith")),
            "node_clone_call_ns": small("clone"),
            "node_clone_call_ratio": over(small("clone"), small("isolith")),
        })
    }

    /// Writes the two plots into a folder, and says what is in them.
    pub(crate) fn document(&self, folder: &Path) -> Result<String, Failure> {
        let plot = |title: &str, x: &str, at: &[u64], of: fn(&Way) -> &[f64]| {
            let line = |way: &Way| Line {
                title: way.title,
                points: at
                    .iter()
                    .zip(of(way))
                    .map(|(&x, &y)| (x as f64, y))
                    .collect(),
            };
            Plot {
                title: title.to_owned(),
                x: x.to_owned(),
                y: "ns per call".to_owned(),
                lines: self.0.iter().map(line).collect(),
            }
        };
        let bytes = plot(
            "One call at a time",
            "bytes, there and back",
            &BYTES,
            |way| &way.by_bytes,
        );
        let many = plot(
            "A small object, several calls under way",
            "calls under way",
            &IN_FLIGHT,
            |way| &way.by_in_flight,
        );
        std::fs::write(folder.join("calls-by-bytes.svg"), bytes.svg())?;
        std::fs::write(folder.join("calls-in-flight.svg"), many.svg())?;
        let row = |head: &str, values: &[f64]| {
            let cells: Vec<_> = values.iter().map(|&ns| time(ns)).collect();
            format!("| {head} | {} |\n", cells.join(" | "))
        };
        let rows = |of: fn(&Way) -> &[f64]| {
            self.0
                .iter()
                .map(|way| row(way.title, of(way)))
                .collect::<String>()
        };
        Ok(format!(
            "## Single calls
[Two services](../services/examples/echo/README.md), of which one calls the other with bytes and gets them back, or with a small object (a Text of 16 characters in, an object of a number and a Text out, whose fields are read). The time per call, of at least {length} ms of calls in one request; the median of {all}, {TIMES} in each of {ROUNDS} rounds, in which all have their turn. In Isolith and in the worker thread large buffers change hands; the others copy them, but the plain function, which hands over a reference within one isolate.

![Time per call by bytes](calls-by-bytes.svg)

| one at a time | {bytes} |
|---|{columns}
{by_bytes}
![Time per call by calls under way](calls-in-flight.svg)

| a small object | {in_flight} |
|---|{few}
{by_in_flight}
",
            length = LENGTH.as_millis(),
            all = TIMES * ROUNDS,
            bytes = BYTES.map(size).join(" | "),
            columns = "---:|".repeat(BYTES.len()),
            by_bytes = rows(|way| &way.by_bytes),
            in_flight = IN_FLIGHT.map(|many| format!("{many} under way")).join(" | "),
            few = "---:|".repeat(IN_FLIGHT.len()),
            by_in_flight = rows(|way| &way.by_in_flight),
        ))
    }
}

/// Adds to each of a way's figures what one round gives, in nanoseconds per call.
fn measure_way(way: &Hosting, root: &Path, figures: &mut [Vec<f64>]) -> Result<(), Failure> {
    let running = Running::start(way, root)?;
    let address = running.address();
    // Until the code is compiled.
    let started = Instant::now();
    while started.elapsed() < WARMUP {
        ask(address, "/?bytes=64&inFlight=1&calls=1000")?;
        ask(address, "/?inFlight=1&calls=1000")?;
    }
    let by_bytes = BYTES.map(|bytes| (Passes::Bytes(bytes), 1));
    let by_in_flight = IN_FLIGHT.map(|many| (Passes::Object, many));
    let all = by_bytes.into_iter().chain(by_in_flight);
    for ((passes, in_flight), figure) in all.zip(figures) {
        figure.extend(ns_per_call(address, passes, in_flight)?);
    }
    running.stop()
}

fn ns_per_call(
    address: SocketAddr,
    passes: Passes,
    in_flight: u64,
) -> Result<[f64; TIMES], Failure> {
    let time = |calls: u64| -> Result<Duration, Failure> {
        let bytes = match passes {
            Passes::Object => String::new(),
            Passes::Bytes(bytes) => format!("bytes={bytes}&"),
        };
        let target = format!("/?{bytes}inFlight={in_flight}&calls={calls}");
        let started = Instant::now();
        ask(address, &target)?;
        Ok(started.elapsed())
    };
    let mut calls = in_flight;
    while time(calls)? < LENGTH {
        calls *= 2;
    }
    let mut times = [0.0; TIMES];
    for ns in &mut times {
        *ns = time(calls)?.as_nanos() as f64 / calls as f64;
    }
    Ok(times)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn ask(address: SocketAddr, target: &str) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nhost: echo\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.contains(" 200 ") && answer.contains("done\n") {
        true => Ok(()),
        false => Err(format!("{target}: {answer}").into()),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0x10_0000.. => format!("{} MiB", bytes >> 20),
        0x400.. => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

fn time(ns: f64) -> String {
    match ns {
        ..1e4 => format!("{ns:.0} ns"),
        ..1e7 => format!("{:.0} µs", ns / 1e3),
        _ => format!("{:.0} ms", ns / 1e6),
    }
}
