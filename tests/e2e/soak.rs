//! The soak: constant load, a random change every 100 ms, kill -9 and restart in between. And kills
//! alone, each in the middle of a change.
//!
//! `make soak` runs the first for two minutes and `make kills` the second 200 times, or as long and
//! as often as they are told; the other tests take short ones with them. What is done depends on a
//! seed, which they print; when things happen does not.

mod changes;
pub(crate) mod client;
mod load;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{fmt, fs};

use serde_json::Value;

use crate::support::bundles::workshop;
use crate::support::command::run;
use crate::support::server::{Server, memory_kib};
use crate::support::{PATIENCE, case, copy_project, eventually};
use changes::{Changes, Held};
use load::Load;

/// Variables of the environment: how long, how often, and which random choices.
const SECONDS: &str = "ISOLITH_SOAK_SECONDS";
const KILLS: &str = "ISOLITH_SOAK_KILLS";
const SEED: &str = "ISOLITH_SOAK_SEED";
const FEW_SECONDS: u64 = 12;
const FEW_KILLS: u64 = 6;

const WORKERS: u64 = 6;
const BETWEEN_CHANGES: Duration = Duration::from_millis(100);
/// The last part of the time is without kills, so that what one process gathers shows.
const KILLED_PART: f64 = 0.7;

/// From then on a process is as large as it is for its load.
const WARM_UP: Duration = Duration::from_secs(2);
/// What a process may grow by from then to the end of all changes: isolates are of other ages, and
/// the allocator keeps some of what it was given.
const MAX_GROWTH_KIB: u64 = 64 << 10;

/// What the test counts beside what the load and the changes do.
#[derive(Default)]
struct Restarts {
    kills: u64,
    /// Those after which nothing had been changed since the last look, so that all could be
    /// compared.
    compared: u64,
    rollouts_compared: u64,
}

#[test]
fn no_request_ever_sees_two_versions_whatever_is_done_to_the_process() {
    let seconds = from_environment(SECONDS).unwrap_or(FEW_SECONDS).max(5);
    let seed = seed();
    println!("soak: {seconds} s, {SEED}={seed}");
    let time = Duration::from_secs(seconds);
    let kills = (seconds / 12).clamp(3, 10);

    let versions = versions();
    let first: Vec<_> = versions.iter().map(|files| files[0].clone()).collect();
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.jsonl");
    let app = fs::read_to_string(case("soak/app.toml")).unwrap();
    let app = format!("{app}\n[trace]\nfile = {trace:?}\nmax_mib = 8192\n");
    let mut server = Server::start_with(&app, &first);
    let mut changes = Changes::new(server.controls(), versions, seed);
    let load = Load::start(WORKERS, server.address(), seed);
    let mut restarts = Restarts::default();

    let started = Instant::now();
    let (mut early_kib, mut born) = (0, started);
    let mut next_kill = 1;
    let mut tick = started + Duration::from_secs(1);
    while started.elapsed() < time || next_kill <= kills || early_kib == 0 {
        std::thread::sleep(tick.saturating_duration_since(Instant::now()));
        tick = (tick + BETWEEN_CHANGES).max(Instant::now());
        if early_kib == 0 && born.elapsed() > WARM_UP {
            early_kib = memory_kib(&server.status(), "VmRSS");
        }
        let due = time.mul_f64(KILLED_PART * next_kill as f64 / kills as f64);
        if next_kill <= kills && started.elapsed() >= due {
            let changing = next_kill % 2 == 0;
            server = restarts.kill(server, &mut changes, changing, || load.goes_down());
            load.is_up(server.address());
            (early_kib, born) = (0, Instant::now());
            next_kill += 1;
        } else {
            changes.make_one();
        }
    }
    // The load outlives the changes, and the last sets drain beneath it.
    std::thread::sleep(Duration::from_millis(500));
    let load = load.stop();
    let status = settled(&server);
    let late_kib = memory_kib(&status, "VmRSS");
    let log = server.log();
    assert_clean(&log);
    changes.check_history();
    server.terminate();
    assert!(server.ended().0.success());
    let verified = run(["verify".as_ref(), trace.as_os_str()]).done();

    let mib = |kib: u64| kib.div_ceil(1024);
    println!("{load}{changes}");
    println!("{restarts}");
    println!(
        "{:24}{:>9} MiB of the last process once warm, {} MiB at the end",
        "resident",
        mib(early_kib),
        mib(late_kib)
    );
    println!("{:24}{}", "verify", verified.trim_end().replace('\n', "; "));

    load.check();
    changes.check();
    assert_eq!(restarts.kills, kills);
    assert!(verified.ends_with("no violations\n"), "{verified}");
    assert!(
        late_kib <= early_kib + MAX_GROWTH_KIB,
        "{early_kib} KiB have become {late_kib}"
    );
}

/// Somewhere in solving, loading, writing bundles or the state, publishing, answering.
#[test]
fn a_process_killed_in_the_middle_of_changes_loses_none_that_it_acknowledged() {
    let kills = from_environment(KILLS).unwrap_or(FEW_KILLS);
    let seed = seed();
    println!("kills: {kills}, {SEED}={seed}");
    let versions = versions();
    let first: Vec<_> = versions.iter().map(|files| files[0].clone()).collect();
    let mut server = Server::start(&case("soak/app.toml"), &first);
    let mut changes = Changes::new(server.controls(), versions, seed);
    let mut restarts = Restarts::default();
    for _ in 0..kills {
        (0..3).for_each(|_| changes.make_one());
        server = restarts.kill(server, &mut changes, true, || {});
        assert_eq!(server.get("/?pause=0").status, 200);
    }
    println!("{changes}\n{restarts}");
    assert_eq!(restarts.kills, kills);
}

impl Restarts {
    /// Kills the process, in the middle of a change if `changing`, serves again, and compares.
    fn kill(
        &mut self,
        mut server: Server,
        changes: &mut Changes,
        changing: bool,
        before_kill: impl FnOnce(),
    ) -> Server {
        let before = Held::of(&server);
        assert_clean(&server.log());
        changes.with_kill(changing, || {
            before_kill();
            server.kill();
        });
        let server = server.restart();
        changes.check_history();
        let after = Held::of(&server);
        self.kills += 1;
        if after.change == before.change {
            assert_eq!(after, before, "the restart changed what is in force");
            self.compared += 1;
            self.rollouts_compared += before.rollouts.len() as u64;
        }
        server
    }
}

impl fmt::Display for Restarts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Restarts {
            kills,
            compared,
            rollouts_compared,
        } = self;
        write!(
            f,
            "{:24}{kills:>9}, {compared} compared in full with {rollouts_compared} rollouts under way",
            "kill -9 and restart"
        )
    }
}

pub(crate) fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

pub(crate) fn seed() -> u64 {
    from_environment(SEED).unwrap_or_else(|| fastrand::u64(..))
}

/// Nothing the services complain of, and no panic.
fn assert_clean(log: &str) {
    for bad in ["switched: ", "failed: ", "panicked"] {
        let found = log.lines().find(|line| line.contains(bad));
        assert_eq!(found, None, "{bad:?}");
    }
}

/// Waits until nothing is in flight, and nothing but the sets in force is loaded.
fn settled(server: &Server) -> Value {
    let mut last = Value::Null;
    let started = Instant::now();
    eventually("everything that drained is unloaded", || {
        last = server.status();
        let sets = last["sets"].as_array()?;
        let serving = sets.iter().all(|set| set["state"] == "serving");
        let named = |bundle: &Value| {
            let name = format!(
                "{}@{}",
                bundle["service"].as_str().unwrap_or_default(),
                bundle["version"].as_str().unwrap_or_default()
            );
            let has = |set: &Value| {
                let names = set["bundles"].as_array();
                names.is_some_and(|names| names.iter().any(|other| *other == name.as_str()))
            };
            sets.iter().any(has)
        };
        let bundles = last["bundles"].as_array()?;
        let unloaded = bundles.iter().all(|b| b["isolates"] == 0 || named(b));
        let idle = last["requests_in_flight"] == 0;
        if started.elapsed() > PATIENCE / 2 {
            println!("still not settled: {last:#}");
        }
        (serving && unloaded && idle).then_some(())
    });
    last
}

/// The bundles of each service, the oldest first.
fn versions() -> Vec<Vec<PathBuf>> {
    static BUILT: OnceLock<Vec<Vec<PathBuf>>> = OnceLock::new();
    let build_all = || {
        let counts = [("front", 3), ("middle", 4), ("auth", 6)];
        let built = counts.map(|(service, count)| {
            let build = move |minor| version(service, minor);
            (0..count).map(build).collect()
        });
        built.into()
    };
    BUILT.get_or_init(build_all).clone()
}

/// Version 1.MINOR.0 of a service. From middle 1.2.0 on it wants auth 1.1.0, so that not all of
/// them go together.
fn version(service: &str, minor: u32) -> PathBuf {
    let project = workshop().join(format!("soak-{service}-{minor}"));
    copy_project(&case("soak").join(service), &project);
    let manifest = project.join("isolith.toml");
    let mut text = fs::read_to_string(&manifest).unwrap();
    text = text.replacen("1.0.0", &format!("1.{minor}.0"), 1);
    if service == "middle" && minor >= 2 {
        text = text.replace("\"^1\"", "\"^1.1\"");
    }
    fs::write(&manifest, text).unwrap();
    let file = project.with_extension("isolith");
    run([
        "build".as_ref(),
        project.as_os_str(),
        "-o".as_ref(),
        file.as_os_str(),
    ])
    .done();
    file
}
