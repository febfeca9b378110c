//! The load, and what its answers must have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::client::{Answer, Client};

/// Violations that are told; more are not collected.
const MAX_TOLD: usize = 20;

/// Clients that ask without end.
pub(super) struct Load {
    place: Arc<Place>,
    workers: Vec<JoinHandle<Seen>>,
}

/// Where the process is.
struct Place {
    address: Mutex<SocketAddr>,
    /// Odd while it is being killed and started again.
    generation: AtomicU64,
    stop: AtomicBool,
}

/// What clients saw.
#[derive(Default)]
pub(super) struct Seen {
    answers: BTreeMap<&'static str, u64>,
    /// Bundles that were met, all requests together.
    meetings: u64,
    /// Requests that brought a pin token back and got the same set.
    retried: u64,
    /// Those of a set that was gone.
    gone: u64,
    /// Requests that a kill broke off.
    killed: u64,
    /// Who is met on each edge of a set.
    wiring: BTreeMap<String, BTreeMap<String, String>>,
    violations: Vec<String>,
}

impl Load {
    pub(super) fn start(workers: u64, address: SocketAddr, seed: u64) -> Self {
        let place = Arc::new(Place {
            address: Mutex::new(address),
            generation: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let worker = |number| {
            let place = Arc::clone(&place);
            let rng = fastrand::Rng::with_seed(seed.wrapping_add(number));
            std::thread::spawn(move || work(&place, rng))
        };
        Load {
            workers: (1..=workers).map(worker).collect(),
            place,
        }
    }

    /// From here on, what breaks off is the kill's.
    pub(super) fn goes_down(&self) {
        self.place.generation.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn is_up(&self, address: SocketAddr) {
        *self.place.address.lock().unwrap() = address;
        self.place.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits for the last answers.
    pub(super) fn stop(self) -> Seen {
        self.place.stop.store(true, Ordering::SeqCst);
        let mut seen = Seen::default();
        for worker in self.workers {
            seen.add(worker.join().unwrap());
        }
        seen
    }
}

fn work(place: &Place, mut rng: fastrand::Rng) -> Seen {
    let mut seen = Seen::default();
    let mut client: Option<(u64, Client)> = None;
    // Of the last answer: the set, and its token.
    let mut last: Option<(String, String)> = None;
    while !place.stop.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(rng.u64(1..10)));
        let generation = place.generation.load(Ordering::SeqCst);
        if generation % 2 == 1 {
            continue;
        }
        let path = ["/", "/", "/stream", "/later"][rng.usize(0..4)];
        let target = format!("{path}?pause={}", rng.u32(0..12));
        let user = format!("u{}", rng.u32(0..1000));
        let token = last.take().filter(|_| rng.u32(0..5) == 0);
        let mut headers = vec![("x-user", &*user)];
        headers.extend(token.iter().map(|(_, token)| ("isolith-pin", &**token)));

        let open = client.take().filter(|(of, _)| *of == generation);
        let answered = match open {
            Some((_, client)) => Ok(client),
            None => Client::connect(*place.address.lock().unwrap()),
        }
        .and_then(|mut client| Ok((client.get(&target, &headers)?, client)));
        match answered {
            Ok((answer, kept)) => {
                client = Some((generation, kept));
                last = seen.answer(path, &answer, token.as_ref().map(|(set, _)| &**set));
            }
            Err(_) if place.generation.load(Ordering::SeqCst) != generation => seen.killed += 1,
            Err(error) => seen.violated(format!("{target}: {error}, and nobody killed it")),
        }
    }
    seen
}

impl Seen {
    /// Judges one answer; gives its set and its token. `pinned` is the set whose token it brought.
    fn answer(
        &mut self,
        path: &'static str,
        answer: &Answer,
        pinned: Option<&str>,
    ) -> Option<(String, String)> {
        if answer.status == 410 && pinned.is_some() {
            self.gone += 1;
            return None;
        }
        if answer.status != 200 {
            self.violated(format!("{path}: status {}: {}", answer.status, answer.body));
            return None;
        }
        *self.answers.entry(path).or_default() += 1;
        let set = answer.header("isolith-set").unwrap_or_default().to_owned();
        if let Some(pinned) = pinned {
            self.retried += 1;
            if pinned != set {
                self.violated(format!("{path}: pinned to {pinned}, served by {set}"));
            }
        }
        for line in answer.body.lines() {
            let Some((edge, who)) = line.split_once(' ') else {
                self.violated(format!("{path}: what is {line:?}?"));
                continue;
            };
            self.meetings += 1;
            self.meets(&set, edge, who);
        }
        let token = answer.header("isolith-pin")?.to_owned();
        Some((set, token))
    }

    /// One version on an edge: within a request, and among all requests of a set.
    fn meets(&mut self, set: &str, edge: &str, who: &str) {
        let wiring = self.wiring.entry(set.to_owned()).or_default();
        let known = wiring
            .entry(edge.to_owned())
            .or_insert_with(|| who.to_owned());
        if known != who {
            let text = format!("in set {set}, {edge} led to {known} and to {who}");
            self.violated(text);
        }
    }

    fn violated(&mut self, what: String) {
        if self.violations.len() < MAX_TOLD {
            self.violations.push(what);
        }
    }

    fn add(&mut self, other: Seen) {
        for (path, count) in other.answers {
            *self.answers.entry(path).or_default() += count;
        }
        self.meetings += other.meetings;
        self.retried += other.retried;
        self.gone += other.gone;
        self.killed += other.killed;
        for (set, wiring) in other.wiring {
            for (edge, who) in wiring {
                self.meets(&set, &edge, &who);
            }
        }
        other
            .violations
            .into_iter()
            .for_each(|what| self.violated(what));
    }

    /// # Panics
    /// If a promise was broken, or too little happened to tell.
    pub(super) fn check(&self) {
        assert!(self.violations.is_empty(), "{:#?}", self.violations);
        for path in ["/", "/stream", "/later"] {
            assert!(self.answers.contains_key(path), "nobody asked for {path}");
        }
        assert!(self.wiring.len() > 3, "hardly anything was changed");
        assert!(self.retried > 0, "no pin token was brought back");
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bundles: BTreeSet<_> = self.wiring.values().flat_map(BTreeMap::values).collect();
        let total: u64 = self.answers.values().sum();
        let paths = self
            .answers
            .iter()
            .map(|(path, count)| format!("{path} {count}"));
        let rows = [
            ("answers", total, paths.collect::<Vec<_>>().join(", ")),
            (
                "meetings",
                self.meetings,
                "each of one version on its edge".into(),
            ),
            (
                "version sets seen",
                self.wiring.len() as u64,
                format!("of {} bundles", bundles.len()),
            ),
            (
                "pin tokens brought back",
                self.retried + self.gone,
                format!("{} of a set that was gone", self.gone),
            ),
            ("broken off by a kill", self.killed, String::new()),
            ("other errors", self.violations.len() as u64, String::new()),
        ];
        for (name, count, note) in rows {
            let line = format!("{name:24}{count:>9}  {note}");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
