//! The load. An open loop is what latency is measured with: visits begin at fixed times, whether or
//! not those before have ended, and what waits for its turn counts. A closed one, in which a slow
//! server is asked less often, warms up and shows how much can be carried.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;
use hdrhistogram::Histogram;
use http::Request;
use http_body::Body;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::task::LocalSet;

use crate::Failure;
use crate::shop::{self, Step};

/// Visitors that take turns; each has its cookies.
const VISITORS: usize = 100;
/// The longest that an answer may take until it counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// A visit's time is waited for in sleep up to here, then awake: sleeping is not that exact.
const AWAKE: Duration = Duration::from_micros(80);

/// How visits begin.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    /// So many each second, at fixed times.
    Open {
        /// Visits.
        arrivals_per_second: u64,
    },
    /// So many at any time: each ends before the next one begins.
    Closed {
        /// Visits.
        in_flight: usize,
    },
}

/// What came back.
pub(crate) struct Served {
    /// Of each request, in ns: the first of a visit from the time when the visit had to begin, the
    /// others from the answer before.
    pub(crate) latency: Histogram<u64>,
    /// How much later than they had to visits began, in ns: the generator's own doing.
    pub(crate) lateness: Histogram<u64>,
    /// Requests without the right answer, by what was wrong.
    pub(crate) wrong: BTreeMap<String, u64>,
    pub(crate) took: Duration,
}

type Cookies = Rc<RefCell<BTreeMap<String, String>>>;

/// What visits share.
struct Ground {
    client: Client<HttpConnector, String>,
    address: SocketAddr,
    served: RefCell<Served>,
}

impl Load {
    /// Loads a shop for so long; the same seed gives the same visits.
    ///
    /// # Errors
    /// If the generator itself cannot work. What the shop does wrong is counted.
    pub(crate) fn run(
        &self,
        shop: SocketAddr,
        length: Duration,
        seed: u64,
    ) -> Result<Served, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let ground = Rc::new(Ground {
            client: Client::builder(TokioExecutor::new()).build(connector),
            address: shop,
            served: RefCell::new(Served::new()?),
        });
        let load = async {
            let mut rng = Rng::with_seed(seed);
            let visitors: Vec<Cookies> = (0..VISITORS).map(|_| Cookies::default()).collect();
            for cookies in &visitors {
                let _ = ground.ask(&shop::index(), cookies).await;
            }
            let begun = Instant::now();
            match *self {
                Load::Open {
                    arrivals_per_second,
                } => {
                    let interval = Duration::from_nanos(1_000_000_000 / arrivals_per_second.max(1));
                    ground.open(interval, length, &visitors, &mut rng).await;
                }
                Load::Closed { in_flight } => {
                    ground.closed(in_flight, length, &visitors, &mut rng).await
                }
            }
            ground.served.borrow_mut().took = begun.elapsed();
        };
        LocalSet::new().block_on(&runtime, load);
        drop(runtime);
        let ground = Rc::into_inner(ground).ok_or("a visit did not end")?;
        Ok(ground.served.into_inner())
    }
}

/// Tells when each visit is due. A thread of its own, because the runtime's timers count whole
/// milliseconds.
fn clock(
    begun: Instant,
    interval: Duration,
    count: u32,
) -> tokio::sync::mpsc::Receiver<(usize, Instant)> {
    let (tell, told) = tokio::sync::mpsc::channel(count as usize + 1);
    std::thread::spawn(move || {
        for number in 0..count {
            let due = begun + interval * number;
            std::thread::sleep(due.saturating_duration_since(Instant::now() + AWAKE));
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            if tell.blocking_send((number as usize, due)).is_err() {
                return;
            }
        }
    });
    told
}

impl Ground {
    async fn open(
        self: &Rc<Self>,
        interval: Duration,
        length: Duration,
        visitors: &[Cookies],
        rng: &mut Rng,
    ) {
        let count = length.as_nanos() / interval.as_nanos();
        let mut clock = clock(Instant::now(), interval, count as u32);
        let mut visits = Vec::new();
        while let Some((number, due)) = clock.recv().await {
            let cookies = Rc::clone(&visitors[number % visitors.len()]);
            let (ground, steps) = (Rc::clone(self), shop::visit(rng));
            visits.push(tokio::task::spawn_local(async move {
                ground.visit(due, &steps, &cookies).await;
            }));
        }
        for visit in visits {
            let _ = visit.await;
        }
    }

    async fn closed(
        self: &Rc<Self>,
        in_flight: usize,
        length: Duration,
        visitors: &[Cookies],
        rng: &mut Rng,
    ) {
        let end = Instant::now() + length;
        let share = visitors.len() / in_flight.max(1);
        let lanes = visitors.chunks(share.max(1)).map(|own| {
            let (ground, own, mut rng) = (Rc::clone(self), own.to_vec(), rng.fork());
            tokio::task::spawn_local(async move {
                for cookies in own.iter().cycle().take_while(|_| Instant::now() < end) {
                    ground
                        .visit(Instant::now(), &shop::visit(&mut rng), cookies)
                        .await;
                }
            })
        });
        for lane in lanes.collect::<Vec<_>>() {
            let _ = lane.await;
        }
    }

    async fn visit(&self, due: Instant, steps: &[Step], cookies: &Cookies) {
        let late = due.elapsed().as_nanos() as u64;
        self.served.borrow_mut().lateness.saturating_record(late);
        let mut since = due;
        for (at, step) in steps.iter().enumerate() {
            let asked = tokio::time::timeout(PATIENCE, self.ask(step, cookies)).await;
            let wrong = asked.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            let mut served = self.served.borrow_mut();
            let latency = since.elapsed().as_nanos() as u64;
            served.latency.saturating_record(latency);
            since = Instant::now();
            if let Err(what) = wrong {
                // The rest of the visit makes no sense then.
                let lost = (steps.len() - at) as u64;
                *served.wrong.entry(what).or_default() += lost;
                return;
            }
        }
    }

    /// One request; an error says what is wrong with the answer.
    async fn ask(&self, step: &Step, cookies: &Cookies) -> Result<(), String> {
        let pairs = cookies
            .borrow()
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect::<Vec<_>>();
        let request = Request::builder()
            .method(step.method)
            .uri(format!("http://{}{}", self.address, step.target))
            .header("cookie", pairs.join("; "))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(step.form.clone())
            .map_err(|error| error.to_string())?;
        let response = self.client.request(request).await;
        let mut response = response.map_err(|error| format!("{error:?}"))?;
        let body = read(response.body_mut()).await?;
        for cookie in response.headers().get_all("set-cookie") {
            let text = cookie.to_str().unwrap_or_default();
            let pair = text.split(';').next().and_then(|pair| pair.split_once('='));
            if let Some((name, value)) = pair {
                cookies
                    .borrow_mut()
                    .insert(name.to_owned(), value.to_owned());
            }
        }
        let status = response.status();
        if status != step.status || !body.contains(step.has) {
            let Step { method, target, .. } = step;
            return Err(format!("{method} {target}: {status}, {} bytes", body.len()));
        }
        Ok(())
    }
}

async fn read<B>(body: &mut B) -> Result<String, String>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        let frame = frame.map_err(|error| error.to_string())?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Served {
    /// Visits that were begun.
    pub(crate) fn visits(&self) -> u64 {
        self.lateness.len()
    }

    fn new() -> Result<Self, Failure> {
        // Up to a minute, to three digits.
        let histogram = Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?;
        Ok(Served {
            latency: histogram.clone(),
            lateness: histogram,
            wrong: BTreeMap::new(),
            took: Duration::ZERO,
        })
    }
}
