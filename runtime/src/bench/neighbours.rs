//! What services have to wait for when another one on their shard behaves badly.
//!
//! One shard with its ingress, over real sockets: the hard case, since a request cannot move to
//! another thread. Good requests come at a fixed rate whether or not the ones before were answered,
//! and each counts from when it was due, so a stall is seen by all that fall into it. Meanwhile
//! clients ask the bad neighbour again and again.
//!
//! The slowest hundredth of half a minute is 300 ms, and a virtual machine's host may take more than
//! that for others. So what is measured is that in a calm time ([`super::stolen`]), with a neighbour
//! as without.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use isolith_versions::{RoutingTable, ServiceName};

use crate::config::{Http, Routing};
use crate::ingress::Ingress;
use crate::ingress::admission::Admissions;
use crate::limits::Limits;
use crate::overrides;
use crate::pin_token::PinKey;
use crate::program::Program;
use crate::sample::{Sample, SampleSchema, solve_samples};
use crate::shard;

use super::stolen::{self, Calm, Processors};

type Error = Box<dyn std::error::Error>;

/// Changes how long each neighbour is borne, in seconds.
const SECONDS: &str = "ISOLITH_BENCH_NEIGHBOUR_SECONDS";
const DEFAULT_SECONDS: u64 = 30;

/// Good requests, all connections together.
const REQUESTS_PER_SECOND: u32 = 200;
/// Connections with good requests.
const CONNECTIONS: u32 = 4;
/// Connections that ask the neighbour, one request after the other.
const ASKERS: u32 = 2;
/// How long they wait before they ask again.
const ASK_PAUSE: Duration = Duration::from_millis(5);
/// Requests of each connection before anything is measured, as fast as they are answered. V8
/// optimises what ran some thousand times, once more if it takes another path then, and holds the
/// shard for up to 40 ms while it does: no neighbour is to blame for that. So two requests of three
/// go to the neighbour, which does nothing yet, and to a twin of it, that fails as it will.
const WARM_UP_REQUESTS: usize = 10_000;
/// Less of it where the twin takes long to fail.
const WARM_UP_AT_MOST: Duration = Duration::from_secs(10);

/// Of thirty seconds on two processors, 600 ms.
const CALM: Calm = Calm {
    share: 0.01,
    tries: 5,
};

/// What the good requests ask for.
const GOOD_PATH: &str = "GOOD/good";

const SCHEMA: &str = "
@0xc1f2d3e4a5968778;
interface Work { work @0 (way :Text) -> (text :Text); }
";

const FRONT: &str = "
export default {
  async fetch(request, env) {
    const [, name, way] = new URL(request.url).pathname.split('/');
    try {
      return new Response((await env[name].work({ way })).text);
    } catch (error) {
      return new Response(error.kind, { status: error.kind === 'overloaded' ? 503 : 500 });
    }
  },
};
";

const GOOD: &str = "
export class GoodService { work({ way }) { return { text: `${way} work` }; } }
";

/// What the neighbours do, until they are ended.
const BAD: &str = "
const ways = {
  rests() {},
  loops() { for (;;); },
  allocates() { const a = []; for (;;) a.push({ i: a.length, list: [1, 2, 3] }); },
  buffers() { const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1)); },
  async calls(env) {
    const call = () => env.GOOD.work({ way: 'flood' });
    for (;;) await Promise.all(Array.from({ length: 1000 }, call));
  },
  async promises() {
    for (;;) await Promise.all(Array.from({ length: 1e4 }, async (_, i) => { await null; return i; }));
  },
  async timers() {
    const timer = () => new Promise((done) => setTimeout(done, 1));
    for (;;) await Promise.all(Array.from({ length: 5000 }, timer));
  },
  async logs() {
    for (;;) { console.log('x'.repeat(1000), { a: [1, 2, 3] }); await null; }
  },
};
export class BadService {
  constructor(env) { this.env = env; }
  async work({ way }) { await ways[way](this.env); return { text: '' }; }
}
";

/// The neighbours, each by the way in which it is bad.
const KINDS: [&str; 7] = [
    "loops",
    "allocates",
    "buffers",
    "calls",
    "promises",
    "timers",
    "logs",
];

/// The 99th percentile of how long good requests took.
#[derive(Clone, Copy)]
pub(super) struct Borne {
    pub(super) alone_us: f64,
    pub(super) beside_us: f64,
    /// The share of the processors' time that others took meanwhile, beside or alone, if that is
    /// more.
    pub(super) stolen: f64,
}

impl Borne {
    pub(super) fn ratio(self) -> f64 {
        self.beside_us / self.alone_us
    }
}

/// What became of the requests of one stretch of time.
#[derive(Default)]
struct Seen {
    took_us: Vec<f64>,
    /// Good requests that were not answered with status 200: their status, and when.
    failed: Vec<(u16, Duration)>,
    /// By its status, how often the neighbour answered.
    asked: BTreeMap<u16, u32>,
    /// The share of the processors' time that others took.
    stolen: f64,
}

/// Bears each kind of neighbour, or each of `only`, for [`SECONDS`], after as long alone: so the 99th
/// percentile of either is of as many requests.
///
/// # Errors
/// If a good request fails, or nothing can be served.
pub(super) async fn measure(only: &[&str]) -> Result<Vec<(&'static str, Borne)>, Error> {
    let seconds = std::env::var(SECONDS)
        .ok()
        .and_then(|text| text.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(DEFAULT_SECONDS).max(1));
    let mut borne = Vec::new();
    for kind in KINDS {
        if !only.is_empty() && !only.contains(&kind) {
            continue;
        }
        let (one, _) = stolen::calmest(CALM, async || {
            let borne = measure_one(kind, time).await?;
            Ok::<_, Error>((borne, borne.stolen))
        })
        .await?;
        borne.push((kind, one));
    }
    Ok(borne)
}

async fn measure_one(kind: &'static str, time: Duration) -> Result<Borne, Error> {
    let programs = programs()?;
    let set = solve_samples(&programs, "front")?;
    let table = RoutingTable::single(1, Arc::clone(&set));
    let routing = Arc::new(ArcSwap::from_pointee(table));
    let folder = tempfile::tempdir()?;
    let (overrides, _asked) = overrides::queue();
    let http = Http {
        listen: ([127, 0, 0, 1], 0).into(),
        ..Http::default()
    };
    let admissions = Admissions {
        routing: Routing::default(),
        pin_key: PinKey::open(&folder.path().join("pin.key"))?,
        overrides,
    };
    let ingress = Ingress::bind(http, Arc::new(admissions)).await?;
    let (entry, limits) = (ServiceName::new("front")?, Limits::default());
    let shard = shard::spawn(0, limits, routing, entry, None, ingress.server())?;
    for program in programs {
        shard.load(program).await?;
    }
    shard.wire(set).await?;

    let address = ingress.address();
    let shards = [shard];
    let load = async {
        blocking(move || warm_up(address, kind)).await?;
        let load = async |neighbour| {
            let seen = blocking(move || load(address, time, neighbour)).await?;
            let stolen = seen.stolen;
            Ok::<_, Error>((seen, stolen))
        };
        let (alone, _) = stolen::calmest(CALM, async || load(None).await).await?;
        let (beside, _) = load(Some(kind)).await?;
        Ok::<_, Error>((alone, beside))
    };
    let (alone, beside) = tokio::select! {
        () = ingress.accept(&shards) => return Err("the ingress has ended".into()),
        done = load => done?,
    };
    let [shard] = shards;
    shard.drain();
    drop(ingress);
    shard.ended().await;

    let asked: Vec<_> = beside.asked.iter().collect();
    let borne = Borne {
        alone_us: p99(alone.took_us),
        beside_us: p99(beside.took_us),
        stolen: alone.stolen.max(beside.stolen),
    };
    eprintln!(
        "{kind:10} p99 of others {:.0} us, alone {:.0} us: {:.2} x; stolen {:.1} %, alone {:.1} %; \
         the neighbour's answers: {asked:?}",
        borne.beside_us,
        borne.alone_us,
        borne.ratio(),
        100.0 * beside.stolen,
        100.0 * alone.stolen,
    );
    Ok(borne)
}

/// Runs what blocks on a thread of its own.
async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    Ok(tokio::task::spawn_blocking(what).await??)
}

fn programs() -> Result<Vec<Arc<Program>>, Error> {
    let schema = SampleSchema::new(SCHEMA)?;
    let good: (&str, &str, &str, &str) = ("GOOD", "good", "^1", "Work");
    let bad = ("BAD", "bad", "^1", "Work");
    let twin = ("TWIN", "twin", "^1", "Work");
    let sample = |service, source, exports, imports, http| Sample {
        service,
        version: "1.0.0",
        source,
        exports,
        imports,
        http,
    };
    [
        sample("good", GOOD, &[("GOOD", "Work", "GoodService")], &[], false),
        sample("bad", BAD, &[("BAD", "Work", "BadService")], &[good], false),
        sample(
            "twin",
            BAD,
            &[("BAD", "Work", "BadService")],
            &[good],
            false,
        ),
        sample("front", FRONT, &[], &[good, bad, twin], true),
    ]
    .iter()
    .map(|sample| schema.program(sample))
    .collect()
}

fn warm_up(address: SocketAddr, kind: &str) -> io::Result<()> {
    let twin = format!("TWIN/{kind}");
    let paths = [GOOD_PATH, &twin, "BAD/rests"].map(str::to_owned);
    let ask = move || -> io::Result<()> {
        let mut client = Client::connect(address)?;
        let end = Instant::now() + WARM_UP_AT_MOST;
        let paths = paths.iter().cycle().take(WARM_UP_REQUESTS);
        let mut paths = paths.take_while(|_| Instant::now() < end);
        paths.try_for_each(|path| client.get(path).map(drop))
    };
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| thread::spawn(ask.clone()))
        .collect();
    clients.into_iter().try_for_each(|client| {
        let ended = client.join();
        ended.map_err(|_| io::Error::other("a client panicked"))?
    })
}

/// Good requests for so long, and meanwhile those to the neighbour, if there is one. An error if one
/// of the good ones fails.
fn load(address: SocketAddr, time: Duration, neighbour: Option<&str>) -> io::Result<Seen> {
    let processors = Processors::now()?;
    let start = Instant::now();
    let end = start + time;
    thread::scope(|scope| {
        let good = (0..CONNECTIONS).map(|number| {
            let interval = Duration::from_secs(1) * CONNECTIONS / REQUESTS_PER_SECOND;
            let first = start + interval * number / CONNECTIONS;
            scope.spawn(move || ask_steadily(address, start, first, interval, end))
        });
        let bad = neighbour.into_iter().flat_map(|kind| {
            let ask = move |_| scope.spawn(move || ask_again(address, kind, end));
            (0..ASKERS).map(ask)
        });
        let all: Vec<_> = good.chain(bad).collect();
        let mut seen = Seen::default();
        for part in all {
            let part = part
                .join()
                .map_err(|_| io::Error::other("a client panicked"))??;
            seen.took_us.extend(part.took_us);
            seen.failed.extend(part.failed);
            for (status, count) in part.asked {
                *seen.asked.entry(status).or_default() += count;
            }
        }
        if let Some((status, when)) = seen.failed.iter().min_by_key(|(_, when)| *when) {
            return Err(io::Error::other(format!(
                "{} good requests failed, {}, the first with status {status} after {when:?}",
                seen.failed.len(),
                neighbour.map_or("alone".into(), |kind| format!("beside one that {kind}")),
            )));
        }
        seen.stolen = processors.stolen_since()?;
        Ok(seen)
    })
}

fn ask_steadily(
    address: SocketAddr,
    start: Instant,
    first: Instant,
    interval: Duration,
    end: Instant,
) -> io::Result<Seen> {
    let mut client = Client::connect(address)?;
    let mut seen = Seen::default();
    let mut due = first;
    while due < end {
        let early = due.saturating_duration_since(Instant::now());
        thread::sleep(early);
        // What the system wakes this thread too late by is not the shard's.
        let since = match early.is_zero() {
            true => due,
            false => Instant::now(),
        };
        let status = client.get(GOOD_PATH)?;
        seen.took_us.push(since.elapsed().as_secs_f64() * 1e6);
        if status != 200 {
            seen.failed.push((status, start.elapsed()));
        }
        due += interval;
    }
    Ok(seen)
}

fn ask_again(address: SocketAddr, kind: &str, end: Instant) -> io::Result<Seen> {
    let path = format!("BAD/{kind}");
    let mut client = Client::connect(address)?;
    let mut seen = Seen::default();
    while Instant::now() < end {
        *seen.asked.entry(client.get(&path)?).or_default() += 1;
        thread::sleep(ASK_PAUSE);
    }
    Ok(seen)
}

/// One connection, one request at a time.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client(BufReader::new(stream)))
    }

    /// The status of the answer, whose body has arrived.
    fn get(&mut self, path: &str) -> io::Result<u16> {
        let request = format!("GET /{path} HTTP/1.1\r\nhost: bench.test\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let wrong = |line: &str| io::Error::other(format!("no answer of HTTP: {line:?}"));
        let (mut status, mut length) = (None, None);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().ok();
                }
                _ if status.is_none() => {
                    status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
                }
                _ => {}
            }
        }
        let length: usize = length.ok_or_else(|| wrong("without a length"))?;
        self.0.read_exact(&mut vec![0; length])?;
        status.ok_or_else(|| wrong("without a status"))
    }
}

fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = values.len().saturating_sub(1) * 99 / 100;
    values.get(place).copied().unwrap_or(0.0)
}
