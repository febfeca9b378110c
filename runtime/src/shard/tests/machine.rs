//! Random histories of deployments, rollouts, requests and crashes, on real isolates that report
//! their own version and digest, against an oracle that knows the promises and nothing else.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use isolith_versions::evidence::Choice;
use isolith_versions::{Digest, Salt, Weight};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

const CASES: u32 = 48;
const MAX_STEPS: usize = 48;
/// Of auth; the other services have one each.
const VERSIONS: [&str; 4] = ["1.0.0", "1.1.0", "1.2.0", "2.0.0"];
const KEYS: u64 = 12;

const AUTH: &str = "
export class AuthService {
  async version({ pause }, { bundle }) {
    if (pause > 0) await new Promise((done) => setTimeout(done, pause));
    return { version: `${bundle.version} ${bundle.digest}`, times: 0 };
  }
}";

/// Meets auth directly and through middle. `/detach` leaves that to be done after the response, once
/// `/finish` lets it, whoever asks for that.
const FRONT: &str = "
const gates = {};
const done = {};
async function meet(env) {
  const first = (await env.AUTH.version({ pause: 1 })).version;
  const { versions } = await env.MIDDLE.ask({ pause: 1 });
  await new Promise((done) => setTimeout(done, 1));
  const last = (await env.AUTH.version({})).version;
  return [...new Set([first, ...versions, last])].join(', ');
}
export default {
  async fetch(request, env, ctx) {
    const { pathname, searchParams } = new URL(request.url);
    const id = searchParams.get('id');
    if (pathname === '/detach') {
      const work = new Promise((go) => { gates[id] = go; }).then(() => meet(env));
      ctx.waitUntil(work.then(
        (seen) => { done[id] = seen; }, (error) => { done[id] = `error ${error.kind}`; }));
    }
    if (pathname === '/finish') {
      gates[id]();
      while (!(id in done)) await new Promise((done) => setTimeout(done, 1));
      return new Response(done[id]);
    }
    return new Response(await meet(env));
  },
};";

#[derive(Clone, Debug)]
enum Step {
    /// While a request's response is taken, of which the shard hears between wiring and publishing.
    Deploy(usize, usize),
    /// Starts a rollout of a version, at a weight in per cent.
    Start(usize, u16),
    SetWeight(u16),
    Promote,
    Abort,
    /// To what was in force before some change.
    Rollback(usize),
    Admit(u64),
    Call(usize),
    /// Leaves work behind with `waitUntil`.
    Detach(usize),
    /// Lets such work go on.
    Finish(usize),
    /// The response was taken.
    End(usize),
    /// A new request with the pin token of an earlier one.
    Retry(usize),
    Evict(usize),
    /// All rest, for so long that who is idle goes, until it is called.
    Rest,
    /// The process is killed; another one begins with what was in force.
    Crash,
    /// Time for what has nothing to do with any step.
    Tick,
}

fn step() -> impl Strategy<Value = Step> {
    let version = || 0..VERSIONS.len();
    let any = || 0..1_000_usize;
    prop_oneof![
        2 => (version(), any()).prop_map(|(version, ends)| Step::Deploy(version, ends)),
        2 => (version(), 0..=100_u16).prop_map(|(version, weight)| Step::Start(version, weight)),
        3 => (0..=100_u16).prop_map(Step::SetWeight),
        1 => Just(Step::Promote),
        1 => Just(Step::Abort),
        2 => any().prop_map(Step::Rollback),
        8 => (0..KEYS).prop_map(Step::Admit),
        6 => any().prop_map(Step::Call),
        3 => any().prop_map(Step::Detach),
        3 => any().prop_map(Step::Finish),
        4 => any().prop_map(Step::End),
        4 => any().prop_map(Step::Retry),
        1 => version().prop_map(Step::Evict),
        3 => Just(Step::Rest),
        1 => Just(Step::Crash),
        1 => Just(Step::Tick),
    ]
}

/// What is known of all versions; made once.
struct Known {
    /// auth's, by version; then middle and front.
    programs: Vec<Arc<Program>>,
    /// By version of auth.
    sets: Vec<Arc<VersionSet>>,
}

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let schema = SampleSchema::new(SCHEMA).unwrap();
        let auth_of = |version| Sample {
            source: AUTH,
            ..auth(version)
        };
        let auths = programs(&schema, &VERSIONS.map(auth_of));
        let front = Sample {
            source: FRONT,
            ..super::FRONT
        };
        let others = programs(&schema, &[MIDDLE, front]);
        let set = |auth: &Arc<Program>| {
            let programs = [&[Arc::clone(auth)], &others[..]].concat();
            solve_samples(&programs, "front").unwrap()
        };
        Known {
            sets: auths.iter().map(set).collect(),
            programs: [auths, others].concat(),
        }
    })
}

/// A rollout, and what the oracle knows of the keys that it has seen.
#[derive(Clone)]
struct Candidate {
    version: usize,
    weight: u16,
    buckets: Buckets,
    salt: Salt,
    /// The least weight at which a key was shown the new version, and the greatest at which it was
    /// shown the old one.
    shown: BTreeMap<u64, (Option<u16>, Option<u16>)>,
}

/// One request that was admitted, and what it is entitled to.
struct Admitted {
    version: usize,
    /// `None` once its response was taken.
    pin: Option<Pin>,
    /// The ids of work left behind that has not been let go on.
    left: Vec<u32>,
    evicted: bool,
}

/// What a run of the test has to have met for it to mean something.
#[derive(Debug, Default)]
struct Reached {
    called_after_change: u32,
    finished_after_change: u32,
    retried_after_change: u32,
    gone: u32,
    evicted: u32,
    rested: u32,
    sticky: u32,
    crashed_with_requests: u32,
}

/// The system under test, and the oracle.
struct Machine<'r> {
    world: World,
    pump: tokio::task::JoinHandle<()>,
    base: usize,
    candidate: Option<Candidate>,
    /// Every base there was.
    history: Vec<usize>,
    requests: Vec<Admitted>,
    /// The versions and sets of all requests there ever were: their pin tokens.
    tokens: Vec<(usize, Digest)>,
    next_id: u32,
    reached: &'r RefCell<Reached>,
}

async fn boot(base: usize) -> (World, tokio::task::JoinHandle<()>) {
    let Known { programs, sets } = known();
    let own = [&programs[base..=base], &programs[VERSIONS.len()..]].concat();
    let limits = Limits {
        memory_budget_mib_per_shard: Some(1),
        ..Limits::ample()
    };
    let served = serve_samples(&own, &sets[base], "front", limits);
    let (shard, routing) = served.await.unwrap();
    let pump = tokio::task::spawn_local(Rc::clone(&shard).pump());
    (World { shard, routing }, pump)
}

impl<'r> Machine<'r> {
    async fn new(reached: &'r RefCell<Reached>) -> Self {
        let (world, pump) = boot(0).await;
        Machine {
            world,
            pump,
            base: 0,
            candidate: None,
            history: vec![0],
            requests: Vec::new(),
            tokens: Vec::new(),
            next_id: 0,
            reached,
        }
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Deploy(version, ends) => {
                let ends = self.pick(ends);
                self.change(*version, None, ends).await;
            }
            Step::Start(version, weight) if *version != self.base => {
                let candidate = Candidate {
                    version: *version,
                    weight: 0,
                    buckets: Buckets::none(),
                    salt: Salt(u64::from(self.next_id) << 8 | *version as u64),
                    shown: BTreeMap::new(),
                };
                let candidate = weighed(candidate, *weight);
                self.change(self.base, Some(candidate), None).await;
            }
            Step::SetWeight(weight) => {
                let candidate = self.candidate.take();
                let candidate = candidate.map(|candidate| weighed(candidate, *weight));
                self.change(self.base, candidate, None).await;
            }
            Step::Promote => {
                let to = self.candidate.as_ref().map_or(self.base, |to| to.version);
                self.change(to, None, None).await;
            }
            Step::Abort => self.change(self.base, None, None).await,
            Step::Rollback(to) => {
                self.change(self.history[to % self.history.len()], None, None)
                    .await
            }
            Step::Admit(key) => self.admit(*key),
            Step::Retry(token) => self.retry(token),
            Step::Evict(version) => self.evict(*version),
            Step::Rest => self.rest(),
            Step::Crash => self.crash().await,
            Step::Tick => tokio::time::sleep(Duration::from_millis(2)).await,
            Step::Start(..) => {}
            Step::Call(which) => {
                if let Some(request) = self.pick(which) {
                    let expected = self.entitled(request);
                    let seen = self.ask(request, "http://shop/").await;
                    assert_eq!(seen, expected);
                    let mut reached = self.reached.borrow_mut();
                    reached.evicted += u32::from(seen.is_err());
                    let changed = self.requests[request].version != self.base;
                    reached.called_after_change += u32::from(changed && seen.is_ok());
                }
            }
            Step::Detach(which) => {
                if let Some(request) = self.pick(which) {
                    let id = self.next_id;
                    self.next_id += 1;
                    let expected = self.entitled(request);
                    let url = format!("http://shop/detach?id={id}");
                    assert_eq!(self.ask(request, &url).await, expected);
                    if expected.is_ok() {
                        self.requests[request].left.push(id);
                    }
                }
            }
            Step::Finish(which) => self.finish(which).await,
            Step::End(which) => {
                if let Some(request) = self.pick(which) {
                    self.requests[request].pin = None;
                }
            }
        }
        self.settle().await;
    }

    /// An open request.
    fn pick(&self, which: &usize) -> Option<usize> {
        let open = |(place, request): (usize, &Admitted)| request.pin.as_ref().map(|_| place);
        let open: Vec<_> = self.requests.iter().enumerate().filter_map(open).collect();
        (!open.is_empty()).then(|| open[which % open.len()])
    }

    /// P3, P10: what a request must see now, whatever has changed since.
    fn entitled(&self, request: usize) -> Result<String, Kind> {
        let request = &self.requests[request];
        match request.evicted {
            true => Err(Kind::Evicted),
            false => Ok(name(request.version)),
        }
    }

    async fn ask(&self, request: usize, url: &str) -> Result<String, Kind> {
        let pin = self.requests[request].pin.as_ref().unwrap();
        let answer = self.world.get(pin, url).await;
        answer.map_err(|error| error.kind)
    }

    /// Puts something into force as a deployment does.
    async fn change(&mut self, base: usize, candidate: Option<Candidate>, ends: Option<usize>) {
        let Known { programs, sets } = known();
        for version in [Some(base), candidate.as_ref().map(|one| one.version)] {
            let Some(version) = version else { continue };
            let program = Arc::clone(&programs[version]);
            self.world.shard.load(program).await.unwrap();
            self.world.shard.wire(Arc::clone(&sets[version])).unwrap();
        }
        if let Some(request) = ends {
            self.requests[request].pin = None;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if base != self.base {
            self.history.push(base);
        }
        self.base = base;
        self.candidate = candidate;
        self.publish();
    }

    fn publish(&self) {
        let sets = &known().sets;
        let mut of_masks = vec![Some(Arc::clone(&sets[self.base]))];
        let mut splits = Vec::new();
        if let Some(candidate) = &self.candidate {
            of_masks.push(Some(Arc::clone(&sets[candidate.version])));
            splits.push(Split {
                rollout: "canary".parse().unwrap(),
                buckets: candidate.buckets.clone(),
                matches: vec![],
                shadow: Weight::ZERO,
            });
        }
        let combinations = Combinations::new(of_masks).unwrap();
        self.world.publish_splits(splits, combinations);
        self.world.shard.sweep_all();
    }

    /// P1, P9: one of the versions in force, and for a key that was seen before the same one, unless
    /// the weight has gone beyond where that was.
    fn admit(&mut self, key: u64) {
        let pin = self.world.shard.admit(key, None, arrival()).unwrap();
        let version = self.remember(pin);
        let Some(candidate) = &mut self.candidate else {
            assert_eq!(version, self.base);
            return;
        };
        let is_new = version == candidate.version;
        assert!(is_new || version == self.base);
        let weight = candidate.weight;
        let (new, old) = candidate.shown.entry(key).or_default();
        let (must_be_new, must_be_old) = (
            weight == 100 || new.is_some_and(|least| least <= weight),
            weight == 0 || old.is_some_and(|greatest| greatest >= weight),
        );
        assert!(is_new || !must_be_new, "key {key} was moved back");
        assert!(!is_new || !must_be_old, "key {key} was moved on");
        self.reached.borrow_mut().sticky += u32::from(must_be_new || must_be_old);
        match is_new {
            true => *new = Some(new.map_or(weight, |least| least.min(weight))),
            false => *old = Some(old.map_or(weight, |greatest| greatest.max(weight))),
        }
    }

    /// P7, P6: the token's set if it is still loaded, and never another.
    fn retry(&mut self, which: &usize) {
        if self.tokens.is_empty() {
            return;
        }
        let (version, set) = self.tokens[which % self.tokens.len()];
        let admitted = self.world.shard.admit_to(set, Choice::Token, arrival());
        let mut reached = self.reached.borrow_mut();
        match self.held().contains(&version) {
            true => {
                reached.retried_after_change += u32::from(version != self.base);
                drop(reached);
                assert_eq!(self.remember(admitted.unwrap()), version);
            }
            false => {
                let error = admitted.map(|_| "a request").unwrap_err();
                assert_eq!(error.kind, Kind::PinnedVersionGone);
                reached.gone += 1;
            }
        }
    }

    fn remember(&mut self, pin: Pin) -> usize {
        let set = pin.set().digest();
        let sets = &known().sets;
        let version = sets.iter().position(|known| known.digest() == set);
        let version = version.unwrap();
        self.tokens.push((version, set));
        self.requests.push(Admitted {
            version,
            pin: Some(pin),
            left: Vec::new(),
            evicted: false,
        });
        version
    }

    /// P8: another request lets the work go on, and it is still that of the one that left it.
    async fn finish(&mut self, which: &usize) {
        let left = |(place, request): (usize, &Admitted)| {
            let ids = request.left.iter();
            ids.map(move |id| (place, *id)).collect::<Vec<_>>()
        };
        let all: Vec<_> = self.requests.iter().enumerate().flat_map(left).collect();
        if all.is_empty() {
            return;
        }
        let (place, id) = all[which % all.len()];
        let other = self.world.shard.admit(0, None, arrival()).unwrap();
        let url = format!("http://shop/finish?id={id}");
        let seen = self.world.get(&other, &url).await.unwrap();
        let request = &mut self.requests[place];
        request.left.retain(|known| *known != id);
        let mut reached = self.reached.borrow_mut();
        if request.evicted {
            assert_eq!(seen, "error requestEnded");
            return;
        }
        assert_eq!(seen, name(request.version));
        reached.finished_after_change += u32::from(request.version != self.base);
    }

    fn evict(&mut self, version: usize) {
        let digest = known().programs[version].id().digest;
        let count = self.world.shard.evict(digest, "it misbehaves");
        let holds = |request: &&mut Admitted| request.holds() && request.version == version;
        let mut expected = 0;
        for request in self.requests.iter_mut().filter(holds) {
            request.evicted = true;
            expected += 1;
        }
        assert_eq!(count, expected);
    }

    /// Only what a request is not entitled to any more may go with an isolate.
    fn rest(&mut self) {
        self.world.rest();
        if self.world.is_evicted("front") {
            let mut requests = self.requests.iter();
            assert!(requests.all(|request| request.evicted || request.left.is_empty()));
            for request in &mut self.requests {
                request.left.clear();
            }
            self.reached.borrow_mut().rested += 1;
        }
    }

    async fn crash(&mut self) {
        let held = self.requests.iter().any(Admitted::holds);
        self.reached.borrow_mut().crashed_with_requests += u32::from(held);
        self.requests.clear();
        self.pump.abort();
        (self.world, self.pump) = boot(self.base).await;
        let candidate = self.candidate.clone();
        self.change(self.base, candidate, None).await;
    }

    /// Versions of auth that must be loaded.
    fn held(&self) -> BTreeSet<usize> {
        let held = self.requests.iter().filter(|request| request.holds());
        let in_force = self.candidate.iter().map(|candidate| candidate.version);
        let in_force = in_force.chain([self.base]);
        in_force
            .chain(held.map(|request| request.version))
            .collect()
    }

    /// P5: what must be loaded is, all the time, and nothing else stays.
    async fn settle(&mut self) {
        self.requests
            .retain(|request| request.holds() || !request.left.is_empty() || request.pin.is_some());
        let held = self.held().into_iter();
        let auths = held.map(|version| format!("auth@{}", VERSIONS[version]));
        let mut expected: Vec<_> = auths.collect();
        expected.extend(["front@1.0.0", "middle@1.0.0"].map(String::from));
        for _ in 0..4_000 {
            let loaded = self.world.loaded();
            let missing = expected.iter().find(|name| !loaded.contains(name));
            assert_eq!(missing, None, "unloaded while it was held");
            if loaded == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{:?} are loaded, not {expected:?}", self.world.loaded());
    }
}

impl Admitted {
    /// Whether it keeps its versions loaded.
    fn holds(&self) -> bool {
        !self.evicted && (self.pin.is_some() || !self.left.is_empty())
    }
}

/// The candidate at another weight.
fn weighed(candidate: Candidate, percent: u16) -> Candidate {
    let weight = Weight::new(percent * 100).unwrap();
    let resized = candidate
        .buckets
        .resized(weight, candidate.salt, &Buckets::all());
    Candidate {
        weight: percent,
        buckets: resized.unwrap(),
        ..candidate
    }
}

/// As the services report it.
fn name(version: usize) -> String {
    let id = known().programs[version].id();
    format!("{} {}", id.version, id.digest)
}

async fn live(steps: &[Step], reached: &RefCell<Reached>) {
    let mut machine = Machine::new(reached).await;
    for step in steps {
        machine.take(step).await;
    }
}

#[test]
fn random_histories_keep_the_promises() {
    let reached = RefCell::new(Reached::default());
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    });
    let run = runner.run(&vec(step(), 1..MAX_STEPS), |steps| {
        on_shard(|| live(&steps, &reached));
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
    println!("{:?}", reached.into_inner());
}

/// What random histories only most likely come to.
#[test]
fn one_history_meets_everything() {
    use Step::*;

    let reached = RefCell::new(Reached::default());
    let steps = [
        // Two requests of the first version, one of them with work left behind.
        [Admit(0), Admit(1), Detach(0), Start(1, 100)].as_slice(),
        // The second version for all keys, and that for good.
        &[Admit(2), SetWeight(50), SetWeight(100), Admit(2), Promote],
        // The first goes on, and a retry gets it.
        &[Call(0), Call(1), Finish(0), Retry(0), Deploy(2, 0)],
        // Going back moves nobody.
        &[
            Rollback(1),
            Call(0),
            Tick,
            Rest,
            Call(0),
            Evict(0),
            Call(0),
            Evict(1),
        ],
        &[
            Call(0),
            Call(1),
            Call(2),
            Call(3),
            End(0),
            End(0),
            End(0),
            End(0),
            End(0),
            End(0),
        ],
        &[Retry(0), Deploy(3, 0), Admit(0), Crash, Admit(0), Call(0)],
    ];
    let steps = steps.concat();
    on_shard(|| live(&steps, &reached));
    let reached = reached.into_inner();
    let counts = [
        reached.called_after_change,
        reached.finished_after_change,
        reached.retried_after_change,
        reached.gone,
        reached.evicted,
        reached.rested,
        reached.sticky,
        reached.crashed_with_requests,
    ];
    assert!(counts.iter().all(|count| *count > 0), "{reached:?}");
}
