//! Starts and density: many small services in one process, each called.
//!
//! What is bare (an isolate with an empty context and nothing around it) is measured in a child
//! process of the same binary and the same run, so that neither disturbs the other's memory.

use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use isolith_versions::{RoutingTable, ServiceName};
use serde::{Deserialize, Serialize};

use crate::capacity::{self, Capacity};
use crate::isolate;
use crate::limits::Limits;
use crate::program::Program;
use crate::sample::{Sample, SampleSchema, serve_samples, solve_samples};
use crate::shard::{JsonCall, Shard, thread_cpu_time};

type Error = Box<dyn std::error::Error>;

const SCHEMA: &str = "
@0xa5b4c3d2e1f00918;
interface Greeter { greet @0 (name :Text) -> (text :Text, visits :UInt32); }
interface Driver {
  one @0 (index :UInt32) -> (sum :Float64);
  random @1 (calls :UInt32, services :UInt32, seed :UInt32) -> (sum :Float64);
}
";

/// A small service: some state, some code.
const GREETER: &str = "
const greetings = new Map([['en', 'Hello'], ['fr', 'Bonjour'], ['pl', 'Witaj']]);
let visits = 0;
function greeting(language) {
  return greetings.get(language) ?? greetings.get('en');
}
export class GreeterService {
  greet({ name }) {
    visits += 1;
    return { text: `${greeting('fr')}, ${name}!`, visits };
  }
}
";

const DRIVER: &str = "
export class DriverService {
  constructor(env) { this.env = env; }
  async one({ index }) {
    const { text } = await this.env[`S${index}`].greet({ name: 'Ada' });
    return { sum: text.length };
  }
  async random({ calls, services, seed }) {
    let sum = 0;
    for (let i = 0; i < calls; i++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      const { text } = await this.env[`S${(seed >>> 8) % services}`].greet({ name: 'Ada' });
      sum += text.length;
    }
    return { sum };
  }
}
";

/// Calls to random services in one sample.
const CALLS_PER_SAMPLE: u32 = 256;
/// Samples of them; the median counts.
const SAMPLES: u32 = 400;
/// Times that a Node process is started.
const NODE_STARTS: usize = 21;
/// Services that are loaded with a pause before each.
const STARTS_AT_REST: usize = 200;
const PAUSE: Duration = Duration::from_millis(20);
/// How long the process is left alone before its memory is read: collections that are due run.
const REST: Duration = Duration::from_secs(3);

/// What bare isolates take, as the child process says it.
#[derive(Serialize, Deserialize)]
struct Bare {
    kib_per_isolate: f64,
    maps_per_isolate: f64,
    start_cpu_us_p50: f64,
}

/// What a run measured.
#[derive(Serialize)]
struct Figures {
    density_services: u32,
    density_kib_per_service: f64,
    density_kib_per_bare_isolate: f64,
    density_memory_ratio: f64,
    density_maps_per_service: f64,
    density_maps_per_bare_isolate: f64,
    /// A call to a random one of the services, the median of samples of [`CALLS_PER_SAMPLE`].
    density_random_call_ns_p50: f64,
    /// The first call to a service that was never used and all that it takes to have it loaded,
    /// on a shard that was not busy before.
    cold_call_cpu_us_p50: f64,
    cold_call_cpu_us_p99: f64,
    cold_call_wall_us_p50: f64,
    /// The same on a shard that loads one service after the other.
    cold_call_without_spare_cpu_us_p50: f64,
    bare_isolate_start_cpu_us_p50: f64,
    /// `node -e 0`, from its start to its end; missing if there is no node.
    #[serde(skip_serializing_if = "Option::is_none")]
    node_start_wall_us_p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_start_over_cold_call: Option<f64>,
}

/// Loads `services` small services into this process, calls each, and writes what that took to
/// `file`, beside what it holds already.
///
/// # Errors
/// If the system has no room for so many, if one cannot be loaded, a call fails, or the file
/// cannot be written.
pub fn density(services: u32, file: &Path) -> Result<(), Error> {
    Capacity::of_this_process().check(services as usize + 1)?;
    let bare = bare_in_child(services)?;
    let node_start_us = node_start_us();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    let mut figures = local.block_on(&runtime, measure(services, &bare))?;
    figures.node_start_wall_us_p50 = node_start_us;
    figures.node_start_over_cold_call = node_start_us.map(|us| us / figures.cold_call_wall_us_p50);
    print(&figures);
    super::merge(file, &figures)?;
    println!("\nwritten to {}", file.display());
    Ok(())
}

fn print(figures: &Figures) {
    let row = |what: &str, value: f64, unit: &str, note: String| {
        println!("| {what} | {value:.0} {unit} | {note} |");
    };
    println!(
        "| {} services in one process | | |\n|---|---:|---|",
        figures.density_services
    );
    row(
        "memory per idle service",
        figures.density_kib_per_service,
        "KiB",
        format!("{:.2} x a bare isolate", figures.density_memory_ratio),
    );
    row(
        "memory per bare isolate",
        figures.density_kib_per_bare_isolate,
        "KiB",
        String::new(),
    );
    row(
        "maps per service",
        figures.density_maps_per_service,
        "",
        format!(
            "{:.1} per bare isolate",
            figures.density_maps_per_bare_isolate
        ),
    );
    row(
        "call to a random service",
        figures.density_random_call_ns_p50,
        "ns",
        String::new(),
    );
    row(
        "first call to a service, CPU",
        figures.cold_call_cpu_us_p50,
        "us",
        format!(
            "p99 {:.0} us; {:.0} us while others start; a bare isolate alone {:.0} us",
            figures.cold_call_cpu_us_p99,
            figures.cold_call_without_spare_cpu_us_p50,
            figures.bare_isolate_start_cpu_us_p50
        ),
    );
    let note = match (
        figures.node_start_wall_us_p50,
        figures.node_start_over_cold_call,
    ) {
        (Some(us), Some(ratio)) => format!("starting node takes {us:.0} us, {ratio:.0} x"),
        _ => "node is not on PATH: not compared".into(),
    };
    row(
        "first call to a service, wall",
        figures.cold_call_wall_us_p50,
        "us",
        note,
    );
}

async fn measure(services: u32, bare: &Bare) -> Result<Figures, Error> {
    let schema = SampleSchema::new(SCHEMA)?;
    warm_up(&schema).await?;
    let before = (capacity::resident_kib(), capacity::maps());

    let names: Vec<(String, String)> = (0..services)
        .map(|index| (format!("S{index}"), format!("greeter-{index}")))
        .collect();
    let greeters = names
        .iter()
        .map(|(_, service)| greeter(&schema, service))
        .collect::<Result<Vec<_>, _>>()?;
    let imports: Vec<_> = names
        .iter()
        .map(|(name, service)| (name.as_str(), service.as_str(), "^1", "Greeter"))
        .collect();
    let driver = schema.program(&Sample {
        service: "driver",
        version: "1.0.0",
        source: DRIVER,
        exports: &[("DRIVER", "Driver", "DriverService")],
        imports: &imports,
        http: false,
    })?;
    let programs: Vec<_> = [Arc::clone(&driver)]
        .into_iter()
        .chain(greeters.iter().cloned())
        .collect();
    // As a deployment does before it loads anything.
    isolate::compile(&programs);
    eprintln!("resolving {services} edges");
    let set = solve_samples(&programs, "driver")?;
    drop(programs);
    eprintln!("loading {services} services");
    let routing = RoutingTable::single(1, Arc::clone(&set));
    let routing = Arc::new(ArcSwap::from_pointee(routing));
    let shard = Shard::new(0, limits(), ServiceName::new("driver")?, routing, None);
    let pump = tokio::task::spawn_local(Rc::clone(&shard).pump());
    shard.load(driver).await?;
    let rested = STARTS_AT_REST.min(services as usize / 2);
    let mut starts = Vec::new();
    for (index, program) in greeters.into_iter().enumerate() {
        if index < rested {
            // Starts come seldom: the shard has had time to make a spare isolate.
            tokio::time::sleep(PAUSE).await;
        }
        let start = Clocks::now();
        shard.load(program).await?;
        starts.push(start.elapsed());
    }
    let wired = shard.wire(set);
    wired.map_err(|digest| format!("{digest} is not loaded"))?;

    eprintln!("calling each");
    let driver = Driver { shard };
    // So that the driver's own first call is none of those that are measured.
    driver.one(services - 1).await?;
    let mut cpu_us = Vec::new();
    let mut wall_us = Vec::new();
    for (index, load) in (0..services).zip(&starts) {
        let start = Clocks::now();
        driver.one(index).await?;
        let call = start.elapsed();
        cpu_us.push((load.cpu + call.cpu).as_secs_f64() * 1e6);
        wall_us.push((load.wall + call.wall).as_secs_f64() * 1e6);
    }
    tokio::time::sleep(REST).await;
    let resident_kib = capacity::resident_kib() - before.0;
    let maps = capacity::maps() - before.1;
    let mut without_spare_us = cpu_us.split_off(rested);
    wall_us.truncate(rested);

    eprintln!("calling random ones");
    let mut random_ns = Vec::new();
    for seed in 0..SAMPLES {
        random_ns.push(driver.random(services, seed).await?);
    }
    pump.abort();
    let per_service = |total: usize| total as f64 / f64::from(services);
    let kib = per_service(resident_kib);
    Ok(Figures {
        density_services: services,
        density_kib_per_service: kib,
        density_kib_per_bare_isolate: bare.kib_per_isolate,
        density_memory_ratio: kib / bare.kib_per_isolate,
        density_maps_per_service: per_service(maps),
        density_maps_per_bare_isolate: bare.maps_per_isolate,
        density_random_call_ns_p50: super::median(&mut random_ns),
        cold_call_cpu_us_p50: super::median(&mut cpu_us),
        cold_call_cpu_us_p99: cpu_us.get(cpu_us.len() * 99 / 100).copied().unwrap_or(0.0),
        cold_call_wall_us_p50: super::median(&mut wall_us),
        cold_call_without_spare_cpu_us_p50: super::median(&mut without_spare_us),
        bare_isolate_start_cpu_us_p50: bare.start_cpu_us_p50,
        node_start_wall_us_p50: None,
        node_start_over_cold_call: None,
    })
}

fn greeter(schema: &SampleSchema, service: &str) -> Result<Arc<Program>, Error> {
    schema.program(&Sample {
        service,
        version: "1.0.0",
        source: GREETER,
        exports: &[("GREETER", "Greeter", "GreeterService")],
        imports: &[],
        http: false,
    })
}

/// Loads and calls a few services in a shard of their own: what a process pays once is paid.
async fn warm_up(schema: &SampleSchema) -> Result<(), Error> {
    let driver = schema.program(&Sample {
        service: "driver",
        version: "1.0.0",
        source: DRIVER,
        exports: &[("DRIVER", "Driver", "DriverService")],
        imports: &[("S0", "greeter-0", "^1", "Greeter")],
        http: false,
    })?;
    let programs = [driver, greeter(schema, "greeter-0")?];
    let set = solve_samples(&programs, "driver")?;
    let (shard, _routing) = serve_samples(&programs, &set, "driver", limits()).await?;
    let pump = tokio::task::spawn_local(Rc::clone(&shard).pump());
    let driver = Driver { shard };
    for seed in 0..SAMPLES {
        driver.random(1, seed).await?;
    }
    pump.abort();
    Ok(())
}

/// One request may take its time: it makes many calls.
fn limits() -> Limits {
    Limits {
        cpu_ms_per_request: u32::MAX,
        ..Limits::default()
    }
}

/// The service that calls the others.
struct Driver {
    shard: Rc<Shard>,
}

impl Driver {
    async fn run(&self, method: &str, argument: String) -> Result<(), Error> {
        let call = self.shard.call_json(JsonCall {
            service: "driver".into(),
            version: None,
            export: None,
            method: method.into(),
            argument,
            deadline: Instant::now() + Duration::from_secs(300),
        });
        match call.await?.json.contains("sum") {
            true => Ok(()),
            false => Err("an unexpected reply".into()),
        }
    }

    async fn one(&self, index: u32) -> Result<(), Error> {
        self.run("one", format!("{{\"index\": {index}}}")).await
    }

    /// Nanoseconds per call.
    async fn random(&self, services: u32, seed: u32) -> Result<f64, Error> {
        let calls = CALLS_PER_SAMPLE;
        let argument =
            format!("{{\"calls\": {calls}, \"services\": {services}, \"seed\": {seed}}}");
        let start = Instant::now();
        self.run("random", argument).await?;
        Ok(start.elapsed().as_nanos() as f64 / f64::from(calls))
    }
}

/// The two clocks at one moment, or what went by on them.
struct Clocks {
    cpu: Duration,
    wall: Instant,
}

struct Elapsed {
    cpu: Duration,
    wall: Duration,
}

impl Clocks {
    fn now() -> Self {
        Clocks {
            wall: Instant::now(),
            cpu: thread_cpu_time(),
        }
    }

    fn elapsed(&self) -> Elapsed {
        Elapsed {
            cpu: thread_cpu_time().saturating_sub(self.cpu),
            wall: self.wall.elapsed(),
        }
    }
}

/// Measures bare isolates in another process of this binary.
fn bare_in_child(isolates: u32) -> Result<Bare, Error> {
    eprintln!("making {isolates} bare isolates, in another process");
    let child = Command::new(std::env::current_exe()?)
        .args([BARE, &isolates.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    if !child.status.success() {
        return Err(format!("bare isolates could not be measured: {}", child.status).into());
    }
    Ok(serde_json::from_slice(&child.stdout)?)
}

/// The argument by which the child process is told to measure bare isolates.
pub const BARE: &str = "bare-isolates";

/// Makes so many isolates with an empty context each, and prints what they take as JSON.
///
/// # Errors
/// If the figures cannot be written.
pub fn bare(isolates: u32) -> Result<(), Error> {
    crate::platform::init_once();
    let mut held = vec![bare_isolate()];
    let before = (capacity::resident_kib(), capacity::maps());
    let mut starts = Vec::new();
    for _ in 0..isolates {
        let start = Clocks::now();
        held.push(bare_isolate());
        starts.push(start.elapsed().cpu.as_secs_f64() * 1e6);
    }
    std::thread::sleep(REST);
    let per_isolate = |total: usize| total as f64 / f64::from(isolates);
    let bare = Bare {
        kib_per_isolate: per_isolate(capacity::resident_kib() - before.0),
        maps_per_isolate: per_isolate(capacity::maps() - before.1),
        start_cpu_us_p50: super::median(&mut starts),
    };
    println!("{}", serde_json::to_string(&bare)?);
    // The process ends here; taking so many isolates apart would only take time.
    std::mem::forget(held);
    Ok(())
}

fn bare_isolate() -> (v8::OwnedIsolate, v8::Global<v8::Context>) {
    let mut isolate = v8::Isolate::new(v8::CreateParams::default());
    let context = {
        v8::scope!(let scope, &mut isolate);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        v8::Global::new(scope, context)
    };
    // SAFETY: `new` entered it; it is never used or dropped again.
    unsafe { isolate.exit() };
    (isolate, context)
}

/// The median wall time of starting a Node process that does nothing, if there is one.
fn node_start_us() -> Option<f64> {
    let mut walls = Vec::new();
    for _ in 0..NODE_STARTS {
        let start = Instant::now();
        let status = Command::new("node").args(["-e", "0"]).status().ok()?;
        walls.push(start.elapsed().as_secs_f64() * 1e6);
        if !status.success() {
            return None;
        }
    }
    Some(super::median(&mut walls))
}
