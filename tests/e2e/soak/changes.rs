//! Random changes, and what must be left of them after a kill.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::support::command::{Ran, json};
use crate::support::http1::Request;
use crate::support::server::{Controls, Server};

/// Changes that the history keeps.
const KEPT: u64 = 1_000;
/// Rollouts that this test may have under way at once.
const ROLLOUTS: usize = 4;
/// Users whose versions are compared before and after a kill.
const USERS: u32 = 24;

/// Makes changes by the command line, one after the other.
pub(super) struct Changes {
    controls: Controls,
    /// By service, the oldest first.
    versions: Vec<Vec<PathBuf>>,
    rng: fastrand::Rng,
    /// What was acknowledged: the message by its number in the history.
    acknowledged: BTreeMap<u64, String>,
    last: u64,
    orders: u64,
    /// Rollouts that are most likely under way: the controller ends some.
    live: BTreeSet<String>,
    /// By verb: done, without effect, refused, broken off by a kill.
    counts: BTreeMap<&'static str, [u64; 4]>,
    violations: Vec<String>,
}

/// What a process has in force.
#[derive(Debug, PartialEq)]
pub(super) struct Held {
    pub(super) change: u64,
    /// Digest and weight.
    sets: BTreeSet<(String, u64)>,
    /// Name, state and weight of those under way.
    pub(super) rollouts: Vec<(String, String, u64)>,
    /// The set of each user.
    users: Vec<String>,
}

/// A change to be.
struct Order {
    verb: &'static str,
    /// The command line without the target.
    line: Vec<String>,
    /// For the history, and like no other's.
    message: String,
}

impl Changes {
    pub(super) fn new(controls: Controls, versions: Vec<Vec<PathBuf>>, seed: u64) -> Self {
        Changes {
            controls,
            versions,
            rng: fastrand::Rng::with_seed(seed),
            acknowledged: BTreeMap::new(),
            last: 1,
            orders: 0,
            live: BTreeSet::new(),
            counts: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// Makes one random change, and waits for it.
    pub(super) fn make_one(&mut self) {
        let order = self.order();
        let ran = run(&self.controls, &order);
        self.note(&order, &ran, false);
    }

    /// Kills the process, in the middle of a change or between two.
    pub(super) fn with_kill(&mut self, changing: bool, kill: impl FnOnce()) {
        if !changing {
            return kill();
        }
        let order = self.order();
        let pause = Duration::from_millis(self.rng.u64(1..40));
        let ran = std::thread::scope(|scope| {
            let change = scope.spawn(|| run(&self.controls, &order));
            std::thread::sleep(pause);
            kill();
            change.join().unwrap()
        });
        self.note(&order, &ran, true);
    }

    fn order(&mut self) -> Order {
        let is_start = self.live.is_empty() || self.rng.u32(0..4) == 0;
        let names: Vec<_> = (0..ROLLOUTS).map(|number| format!("r{number}")).collect();
        let fits = |name: &&String| self.live.contains(*name) != is_start;
        let fitting: Vec<_> = names.iter().filter(fits).collect();
        let name = self.rng.choice(fitting).unwrap_or(&names[0]).clone();
        let (verb, mut rest) = match self.rng.u32(0..20) {
            0..4 => ("deploy", vec![self.bundle()]),
            4..15 if is_start => {
                // By hand, or by the controller, which is in a hurry.
                let how = match self.rng.bool() {
                    true => "--manual",
                    false => "--steps 10%,50% --wait 300ms --min-requests 10",
                };
                let mut rest = vec![name, self.bundle()];
                rest.extend(how.split(' ').map(String::from));
                ("rollout start", rest)
            }
            4..11 => {
                let weight = ["0%", "1%", "5%", "20%", "50%"][self.rng.usize(0..5)];
                ("rollout set", vec![name, weight.to_owned()])
            }
            11..13 => ("rollout promote", vec![name]),
            13..15 => ("rollout abort", vec![name]),
            _ => {
                let number = match self.rng.u32(0..4) {
                    // To the beginning, where all versions are new.
                    0 if self.last < KEPT => 1,
                    _ => self.last.saturating_sub(self.rng.u64(0..20)).max(1),
                };
                ("rollback", vec![number.to_string()])
            }
        };
        self.orders += 1;
        let message = format!("order {}", self.orders);
        rest.extend(["--message".to_owned(), message.clone()]);
        let mut line: Vec<_> = verb.split(' ').map(String::from).collect();
        line.append(&mut rest);
        Order {
            verb,
            line,
            message,
        }
    }

    fn bundle(&mut self) -> String {
        let service = self.rng.usize(0..self.versions.len());
        let files = &self.versions[service];
        files[self.rng.usize(0..files.len())].display().to_string()
    }

    fn note(&mut self, order: &Order, ran: &Ran, killed: bool) {
        let counts = self.counts.entry(order.verb).or_default();
        let number = ran.stdout.lines().next().and_then(|line| {
            let (_, number) = line.rsplit_once(", change ")?;
            number.parse().ok()
        });
        match (order.verb, ran.code) {
            ("rollout start", Some(0)) => _ = self.live.insert(order.line[2].clone()),
            ("rollout promote" | "rollout abort", Some(0)) | ("rollout set", Some(1)) => {
                self.live.remove(&order.line[2]);
            }
            _ => {}
        }
        match (ran.code, number) {
            (Some(0), Some(number)) if number <= self.last => counts[1] += 1,
            (Some(0), Some(number)) => {
                counts[0] += 1;
                self.last = number;
                self.acknowledged.insert(number, order.message.clone());
            }
            (Some(1), _) if ran.stderr.starts_with("error: refused: ") => counts[2] += 1,
            (Some(1), _) if killed => counts[3] += 1,
            _ => self.violations.push(format!("{:?}: {ran:?}", order.line)),
        }
    }

    /// Every acknowledged change is in the history, and none is missing in between.
    pub(super) fn check_history(&mut self) {
        let most = KEPT.to_string();
        let line = ["history", "--json", "--most", &most];
        let entries = json(&self.controls.run(&line).done());
        let entries: BTreeMap<u64, &Value> = entries
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (entry["number"].as_u64().unwrap(), entry))
            .collect();
        let (&oldest, _) = entries.first_key_value().unwrap();
        let (&newest, _) = entries.last_key_value().unwrap();
        let count = entries.len() as u64;
        assert_eq!(count, newest - oldest + 1);
        assert!(oldest == 1 || count == KEPT);
        for (number, message) in self.acknowledged.range(oldest..) {
            let entry = entries.get(number).copied().unwrap_or(&Value::Null);
            // What has no effect is answered with the last change, which may be the controller's.
            assert!(
                entry["message"] == message.as_str() || entry["who"] == "isolith",
                "change {number}, {message}, was acknowledged; the history has {entry}"
            );
        }
        // A change may have been written down whose order was broken off.
        self.last = self.last.max(newest);
    }

    /// # Panics
    /// If a command failed that nobody broke off, or one verb was never done.
    pub(super) fn check(&self) {
        assert!(self.violations.is_empty(), "{:#?}", self.violations);
        let done: Vec<_> = self
            .counts
            .iter()
            .filter(|(_, counts)| counts[0] > 0)
            .collect();
        assert!(done.len() >= 4, "too little was done: {:?}", self.counts);
    }
}

impl Held {
    pub(super) fn of(server: &Server) -> Self {
        loop {
            let held = Self::look(server);
            // The controller may have made a change in the meantime.
            if server.status()["change"] == held.change {
                return held;
            }
        }
    }

    fn look(server: &Server) -> Self {
        let status = server.status();
        let sets = status["sets"].as_array().unwrap().iter();
        let rollouts = json(&server.control(&["rollout", "status", "--json"]).done());
        let rollouts = rollouts["rollouts"].as_array().unwrap().iter();
        let mut client = server.connect();
        let user = |number: u32| {
            let request = Request::new("GET", "/?pause=0");
            let reply = client.send(&request.header("x-user", format!("user {number}")));
            assert_eq!(reply.status, 200, "{}", reply.text());
            reply.header("isolith-set").unwrap().to_owned()
        };
        Held {
            change: status["change"].as_u64().unwrap(),
            sets: sets
                .filter(|set| set["state"] == "serving")
                .map(|set| (text(&set["digest"]), set["weight"].as_u64().unwrap()))
                .collect(),
            rollouts: rollouts
                .filter(|rollout| rollout["state"] != "promoted" && rollout["state"] != "aborted")
                .map(|rollout| {
                    let weight = rollout["weight"].as_u64().unwrap();
                    (text(&rollout["name"]), text(&rollout["detail"]), weight)
                })
                .collect(),
            users: (0..USERS).map(user).collect(),
        }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["changes", "done", "no effect", "refused", "killed"];
        let [name, rest @ ..] = heading;
        writeln!(
            f,
            "{name:24}{}",
            rest.map(|cell| format!("{cell:>10}")).concat()
        )?;
        for (verb, counts) in &self.counts {
            let cells = counts.map(|count| format!("{count:>10}")).concat();
            writeln!(f, "{:24}{cells}", format!("  {verb}"))?;
        }
        let acknowledged = self.acknowledged.len();
        write!(f, "{:24}{acknowledged:>9}, none lost", "acknowledged")
    }
}

fn run(controls: &Controls, order: &Order) -> Ran {
    let line: Vec<_> = order.line.iter().map(String::as_str).collect();
    controls.run(&line)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
