//! What was measured, as tables and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::hosting::HOSTINGS;
use crate::{Failure, Measured, Plan, Round, SHARES};

/// The figures of all rounds.
pub(crate) struct Figures(Vec<Total>);

/// One hosting, all rounds together.
struct Total {
    name: &'static str,
    title: &'static str,
    full: Stretches,
    fixed: [Stretches; SHARES.len()],
    memory_bytes: u64,
    processes: usize,
    ready: Vec<Duration>,
}

/// A ratio that the comparison is to show: a figure of another hosting over Isolith's.
struct Goal {
    /// In `target/bench.json`.
    name: &'static str,
    what: &'static str,
    other: &'static str,
    figure: &'static str,
    least: f64,
}

/// What was measured under one kind of load.
struct Stretches {
    latency: Histogram<u64>,
    lateness: Histogram<u64>,
    cpu: Duration,
    took: Duration,
    wrong: BTreeMap<String, u64>,
    /// CPU and median latency of each round, in us, for the spread.
    cpu_us: Vec<f64>,
    p50_us: Vec<f64>,
}

const GOALS: [Goal; 8] = [
    Goal {
        name: "boutique_cpu_ratio_grpc",
        what: "CPU per request at half load, Node over gRPC / Isolith",
        other: "node-grpc",
        figure: "cpu_us_per_request",
        least: 20.0,
    },
    Goal {
        name: "boutique_high_cpu_ratio_grpc",
        what: "CPU per request at high load, Node over gRPC / Isolith",
        other: "node-grpc",
        figure: "high_cpu_us_per_request",
        least: 20.0,
    },
    Goal {
        name: "boutique_full_cpu_ratio_grpc",
        what: "CPU per request with as much as it carries, Node over gRPC / Isolith",
        other: "node-grpc",
        figure: "full_cpu_us_per_request",
        least: 20.0,
    },
    Goal {
        name: "boutique_p50_ratio_grpc",
        what: "p50 at half load, Node over gRPC / Isolith",
        other: "node-grpc",
        figure: "p50_us",
        least: 20.0,
    },
    Goal {
        name: "boutique_high_p50_ratio_grpc",
        what: "p50 at high load, Node over gRPC / Isolith",
        other: "node-grpc",
        figure: "high_p50_us",
        least: 20.0,
    },
    Goal {
        name: "boutique_cpu_ratio_workerd",
        what: "CPU per request at half load, workerd / Isolith",
        other: "workerd",
        figure: "cpu_us_per_request",
        least: 3.0,
    },
    Goal {
        name: "boutique_high_cpu_ratio_workerd",
        what: "CPU per request at high load, workerd / Isolith",
        other: "workerd",
        figure: "high_cpu_us_per_request",
        least: 3.0,
    },
    Goal {
        name: "boutique_full_cpu_ratio_workerd",
        what: "CPU per request with as much as it carries, workerd / Isolith",
        other: "workerd",
        figure: "full_cpu_us_per_request",
        least: 3.0,
    },
];

/// One round in a line.
pub(crate) fn line(round: &Round) -> String {
    let Round { full, fixed, .. } = round;
    let rate = |stretch: &Measured| {
        stretch.served.latency.len() as f64 / stretch.served.took.as_secs_f64()
    };
    let at_rates = fixed.iter().map(|fixed| {
        format!(
            "at {:.0} requests/s: {:.0} us, p50 {:.2} ms, p99 {:.2} ms; ",
            rate(fixed),
            cpu_us(fixed),
            us(&fixed.served.latency, 0.5) / 1e3,
            us(&fixed.served.latency, 0.99) / 1e3,
        )
    });
    let stretches = fixed.iter().chain([full]);
    let wrong = stretches.flat_map(|stretch| stretch.served.wrong.values());
    format!(
        "{}: ready in {:.0} ms; full: {:.0} requests/s, {:.0} us CPU a request; {}{:.0} MiB, {} wrong",
        round.hosting,
        round.ready.as_secs_f64() * 1e3,
        rate(full),
        cpu_us(full),
        at_rates.collect::<String>(),
        mib(round.memory_bytes),
        wrong.sum::<u64>(),
    )
}

impl Figures {
    pub(crate) fn of(rounds: &[Round]) -> Self {
        let totals = HOSTINGS.iter().filter_map(|hosting| {
            let own: Vec<_> = rounds
                .iter()
                .filter(|round| round.hosting == hosting.name)
                .collect();
            let mut ready: Vec<_> = own.iter().map(|round| round.ready).collect();
            ready.sort();
            Some(Total {
                name: hosting.name,
                title: hosting.title,
                full: Stretches::of(own.iter().map(|round| &round.full))?,
                fixed: [
                    Stretches::of(own.iter().map(|round| &round.fixed[0]))?,
                    Stretches::of(own.iter().map(|round| &round.fixed[1]))?,
                ],
                memory_bytes: own.iter().map(|round| round.memory_bytes).max()?,
                processes: own.first()?.processes,
                ready,
            })
        });
        Figures(totals.collect())
    }

    /// Requests without the right answer, in all hostings.
    pub(crate) fn lost(&self) -> u64 {
        self.0.iter().map(Total::lost).sum()
    }

    pub(crate) fn json(&self, plan: &Plan, rates: [u64; SHARES.len()]) -> Value {
        let hostings: serde_json::Map<_, _> = self
            .0
            .iter()
            .map(|total| (total.name.to_owned(), total.json()))
            .collect();
        json!({
            "visits_per_second": rates,
            "rounds": plan.rounds,
            "hostings": hostings,
            "lost": self.lost(),
        })
    }

    /// The figures that the project's goals name.
    pub(crate) fn ratios(&self) -> Value {
        let ratios = GOALS.iter().filter_map(|goal| {
            let ratio = self.ratio(goal.other, goal.figure)?;
            Some((goal.name.to_owned(), json!(ratio)))
        });
        let lost = ("boutique_lost".to_owned(), json!(self.lost()));
        ratios.chain([lost]).collect()
    }

    /// A figure of another hosting over that of Isolith.
    fn ratio(&self, name: &str, figure: &str) -> Option<f64> {
        let of = |name: &str| {
            let total = self.0.iter().find(|total| total.name == name)?;
            total.json()[figure].as_f64()
        };
        Some(of(name)? / of("isolith")?)
    }

    pub(crate) fn tables(&self) -> String {
        let mut text = String::new();
        for (load, share) in SHARES.iter().enumerate() {
            let rate = self.0.first().map_or(0.0, |total| total.fixed[load].rate());
            let _ = writeln!(
                text,
                "| {rate:.0} requests a second, {:.0} % of what the slowest carries | CPU per request | p50 | p99 | p99.9 | requests |\n\
                 |---|---:|---:|---:|---:|---:|",
                100.0 * share,
            );
            for total in &self.0 {
                let fixed = &total.fixed[load];
                let ms = |quantile| us(&fixed.latency, quantile) / 1e3;
                let _ = writeln!(
                    text,
                    "| {} | {:.0} µs ({}) | {:.2} ms ({}) | {:.2} ms | {:.2} ms | {} |",
                    total.title,
                    fixed.cpu_us(),
                    spread(&fixed.cpu_us, 0, 1.0),
                    ms(0.5),
                    spread(&fixed.p50_us, 2, 1e3),
                    ms(0.99),
                    ms(0.999),
                    fixed.latency.len(),
                );
            }
            text.push('\n');
        }
        text += "| hosting | processes | ready | memory | lost |\n|---|---:|---:|---:|---:|\n";
        for total in &self.0 {
            let _ = writeln!(
                text,
                "| {} | {} | {:.0} ms | {:.0} MiB | {} |",
                total.title,
                total.processes,
                total.ready().as_secs_f64() * 1e3,
                mib(total.memory_bytes),
                total.lost(),
            );
        }
        text += "\n| as much as it carries | requests per second | CPU per request | requests per second and core |\n|---|---:|---:|---:|\n";
        for total in &self.0 {
            let cpu_us = total.full.cpu_us();
            let _ = writeln!(
                text,
                "| {} | {:.0} | {cpu_us:.0} µs ({}) | {:.0} |",
                total.title,
                total.full.rate(),
                spread(&total.full.cpu_us, 0, 1.0),
                1e6 / cpu_us,
            );
        }
        text += "\n| Isolith against | CPU per request, half load | high load | full | p50, half load | high load | memory | time to ready |\n|---|---:|---:|---:|---:|---:|---:|---:|\n";
        for total in self.0.iter().filter(|total| total.name != "isolith") {
            let times = |figure| self.ratio(total.name, figure).unwrap_or(f64::NAN);
            let figures = [
                "cpu_us_per_request",
                "high_cpu_us_per_request",
                "full_cpu_us_per_request",
                "p50_us",
                "high_p50_us",
                "memory_mib",
                "ready_ms",
            ];
            let cells: Vec<_> = figures
                .iter()
                .map(|figure| format!("{:.1} x less", times(figure)))
                .collect();
            let _ = writeln!(text, "| {} | {} |", total.title, cells.join(" | "));
        }
        for total in &self.0 {
            for (wrong, count) in total.stretches().flat_map(|stretch| &stretch.wrong) {
                let _ = writeln!(text, "\n{}: {count} x {wrong}", total.name);
            }
        }
        text
    }

    /// The page for readers.
    pub(crate) fn document(
        &self,
        plan: &Plan,
        rates: [u64; SHARES.len()],
        root: &Path,
        calls: &str,
    ) -> Result<String, Failure> {
        let isolith = &HOSTINGS[0].command.join(" ").replace("ISOLITH", "isolith");
        let commands = HOSTINGS
            .iter()
            .skip(1)
            .map(|hosting| hosting.command.join(" "));
        let commands: Vec<_> = commands.map(|line| format!("`{line}`")).collect();
        let lateness = self
            .0
            .iter()
            .flat_map(|total| total.fixed.iter().map(|fixed| us(&fixed.lateness, 0.99)))
            .fold(0.0, f64::max);
        // What the slowest carried in these rounds: the machine may have changed its speed.
        let carried = self.0.iter().map(|total| total.full.rate());
        let slowest = carried.fold(f64::INFINITY, f64::min);
        let of_slowest = self.0.first().map_or(0.0, |total| {
            100.0 * total.fixed[SHARES.len() - 1].rate() / slowest
        });
        let goals = GOALS.iter().filter_map(|goal| {
            let ratio = self.ratio(goal.other, goal.figure)?;
            let Goal { what, least, .. } = goal;
            let met = if ratio >= *least { "reached" } else { "missed" };
            Some(format!(
                "| {what} | {ratio:.1} | at least {least:.0} | {met} |\n"
            ))
        });
        Ok(format!(
            "# The boutique on three hostings
This page is written by `make compare`; no figure in it is by hand. The eleven services of [the boutique](../services/examples/boutique/README.md), the same logic files for all, run on Isolith, on workerd as its documentation recommends (service bindings, RPC), and as Node processes over gRPC (`@grpc/grpc-js`, protobuf), one after the other on the same machine under the same load.

{tables}
The first two tables are what an operator sees at loads that all of them can bear: with time to rest between two requests, and with little of it. A later one is what each of them can bear on this machine, which the generator shares. In brackets: the lowest and the highest of the {rounds} rounds. Memory: resident at the end of a round, what processes share counted once (PSS), the most of all rounds. Ready: from the start of the hosting's command to the first page, median. CPU: user and system time of all processes of the hosting, from `/proc`; the load generator's is not in it.

| ratio | measured | goal | |
|---|---:|---:|---|
{goals}| requests lost, all hostings | {lost} | 0 | {lost_met} |

## How it was measured
- Visits begin at fixed times, {low} and {high} a second, whatever became of those before: an open loop. The rates are {shares} % of what the slowest hosting carried before the rounds; in the rounds the higher was {of_slowest:.0} % of what it carried. Visits are the [Online Boutique's own mix](https://github.com/GoogleCloudPlatform/microservices-demo/blob/main/src/loadgenerator/locustfile.py) (index 1, set currency 2, browse a product 10, add to cart 2, view cart 3, check out 1), by 100 visitors with cookies.
- The latency of a visit's first request counts from the time at which the visit had to begin, so waiting for a busy server is in it; that of the others from the answer before. The generator itself began visits at most {lateness:.0} µs late in 99 % of cases, in the worst hosting.
- Rounds: {rounds}; in each, every hosting is started anew, warmed up for {warmup} s, given as much as it carries for {full} s (10 visits in flight, so its figures have no latencies), and loaded at each fixed rate for {fixed} s. Each begins a round in its turn.
- Every answer is checked: its status, and that the page has what it is for. The load generator (`tests/compare`) runs on the same machine, on the same two sides of loopback for all.
- Commands: `{isolith}`; {commands}.

{calls}
## Where
{machine}

{versions}

To repeat it: `make compare`.
",
            tables = self.tables(),
            rounds = plan.rounds,
            goals = goals.collect::<String>(),
            lost = self.lost(),
            lost_met = if self.lost() == 0 { "reached" } else { "missed" },
            low = rates[0],
            high = rates[1],
            shares = SHARES.map(|share| format!("{:.0}", 100.0 * share)).join(" and "),
            warmup = plan.warmup.as_secs(),
            full = plan.full.as_secs(),
            fixed = plan.fixed.as_secs(),
            commands = commands.join("; "),
            machine = machine(),
            versions = versions(root)?,
        ))
    }
}

impl Total {
    fn ready(&self) -> Duration {
        self.ready
            .get(self.ready.len() / 2)
            .copied()
            .unwrap_or_default()
    }

    fn stretches(&self) -> impl Iterator<Item = &Stretches> {
        self.fixed.iter().chain([&self.full])
    }

    fn lost(&self) -> u64 {
        self.stretches().flat_map(|one| one.wrong.values()).sum()
    }

    fn json(&self) -> Value {
        let Total { full, .. } = self;
        let [fixed, high] = &self.fixed;
        json!({
            "high_cpu_us_per_request": high.cpu_us(),
            "high_p50_us": us(&high.latency, 0.5),
            "high_p99_us": us(&high.latency, 0.99),
            "high_p50_us_by_round": high.p50_us,
            "cpu_us_per_request": fixed.cpu_us(),
            "p50_us": us(&fixed.latency, 0.5),
            "p99_us": us(&fixed.latency, 0.99),
            "p999_us": us(&fixed.latency, 0.999),
            "requests": fixed.latency.len(),
            "full_cpu_us_per_request": full.cpu_us(),
            "full_requests_per_second": full.rate(),
            "memory_mib": mib(self.memory_bytes),
            "processes": self.processes,
            "ready_ms": self.ready().as_secs_f64() * 1e3,
            "lost": self.lost(),
            "cpu_us_by_round": fixed.cpu_us,
            "p50_us_by_round": fixed.p50_us,
            "full_cpu_us_by_round": full.cpu_us,
            "generator_lateness_p99_us": us(&fixed.lateness, 0.99),
        })
    }
}

impl Stretches {
    fn of<'a>(rounds: impl Iterator<Item = &'a Measured>) -> Option<Self> {
        rounds.fold(None, |all, Measured { cpu, served }| {
            let mut all = all.unwrap_or_else(|| Stretches {
                latency: Histogram::new_from(&served.latency),
                lateness: Histogram::new_from(&served.lateness),
                cpu: Duration::ZERO,
                took: Duration::ZERO,
                wrong: BTreeMap::new(),
                cpu_us: Vec::new(),
                p50_us: Vec::new(),
            });
            all.latency += &served.latency;
            all.lateness += &served.lateness;
            all.cpu += *cpu;
            all.took += served.took;
            for (what, count) in &served.wrong {
                *all.wrong.entry(what.clone()).or_default() += count;
            }
            all.cpu_us
                .push(cpu.as_secs_f64() * 1e6 / served.latency.len() as f64);
            all.p50_us.push(us(&served.latency, 0.5));
            Some(all)
        })
    }

    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.latency.len() as f64
    }

    fn rate(&self) -> f64 {
        self.latency.len() as f64 / self.took.as_secs_f64()
    }
}

fn cpu_us(Measured { cpu, served }: &Measured) -> f64 {
    cpu.as_secs_f64() * 1e6 / served.latency.len() as f64
}

fn us(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e3
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn spread(values: &[f64], digits: usize, unit: f64) -> String {
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min) / unit;
    let highest = values.iter().copied().fold(0.0, f64::max) / unit;
    format!("{lowest:.digits$}-{highest:.digits$}")
}

/// The processor, the memory and the kernel.
fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or_else(String::new, |line| {
            line.trim_start_matches([' ', '\t', ':']).to_owned()
        })
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kib = field(&memory, "MemTotal");
    let kib: f64 = kib.trim_end_matches(" kB").parse().unwrap_or_default();
    format!(
        "{cores} x {}, {:.0} GiB of memory, Linux {}.",
        field(&cpu, "model name"),
        kib / f64::from(1 << 20),
        read("/proc/sys/kernel/osrelease").trim(),
    )
}

fn versions(root: &Path) -> Result<String, Failure> {
    let hosting = root.join("services/examples/boutique/hosting");
    let said = |program: &Path| -> Result<String, Failure> {
        let output = Command::new(program).arg("--version").output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let isolith = said(&root.join("target/release/isolith"))?;
    let node = said(Path::new("node"))?;
    let package = std::fs::read_to_string(hosting.join("package.json"))?;
    let package: Value = serde_json::from_str(&package)?;
    let packages = package["dependencies"].as_object().into_iter().flatten();
    let packages: Vec<_> = packages
        .map(|(name, version)| format!("{name} {}", version.as_str().unwrap_or_default()))
        .collect();
    Ok(format!("{isolith}; Node {node}; {}.", packages.join(", ")))
}
