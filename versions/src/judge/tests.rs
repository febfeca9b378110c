//! The judge against simulated canaries: is the stated false-alarm rate kept, and is what is worse
//! found out?

use super::*;
use crate::testing::{Chance, bundles};
use crate::{Action, Buckets, Rollout, RolloutPlan, RolloutState, Salt, Step, Weight};

/// What a version's requests are like.
#[derive(Clone, Copy)]
struct Conduct {
    /// The share of them that fails, in calm times.
    errors: f64,
    /// Their latency is multiplied by this,
    slowness: f64,
    /// and that of the slowest 2 % again by this.
    tail: f64,
}

const USUAL: Conduct = Conduct {
    errors: 0.01,
    slowness: 1.0,
    tail: 1.0,
};

const TICKS: u64 = 400;
const REQUESTS_PER_TICK: u64 = 100;

/// Latencies of 5 ms and more, the p99 at 51 ms.
fn sample(chance: &mut Chance, requests: u64, conduct: Conduct, trouble: f64) -> Sample {
    let mut sample = Sample {
        requests,
        ..Sample::default()
    };
    for _ in 0..requests {
        sample.errors += u64::from(chance.unit() < conduct.errors * trouble);
        let draw = 1.0 - chance.unit();
        let tail = if draw < 0.02 { conduct.tail } else { 1.0 };
        let millis = (5.0 - 10.0 * draw.ln()) * conduct.slowness * tail * trouble.sqrt();
        sample.latency.record((millis * 1000.0) as u64);
    }
    sample
}

fn rollout(alpha: f64) -> Rollout {
    let step = |parts| Step {
        weight: Weight::new(parts).unwrap(),
        wait_ms: 20_000,
        min_requests: 50,
    };
    let plan = RolloutPlan {
        name: "auth-2".parse().unwrap(),
        salt: Salt(1),
        candidates: vec![bundles("auth@2.0.0")[0].id.clone()],
        steps: [500, 2_500, 5_000].map(step).to_vec(),
        matches: vec![],
        shadow: None,
        judge: JudgeSettings {
            alpha,
            min_requests: 50,
        },
    };
    Rollout::start(plan, &Buckets::all(), 0).unwrap()
}

/// Runs one rollout to its end, a tick a second, and tells how it ended and with how many requests
/// to the new version. Unless `steady`, everybody has trouble now and then: five times the errors and
/// twice the latency.
fn run(seed: u64, alpha: f64, new: Conduct, steady: bool) -> (RolloutState, u64) {
    let mut chance = Chance(seed);
    let mut rollout = rollout(alpha);
    let mut to_new = 0;
    for tick in 1..=TICKS {
        let trouble = match tick / 10 % 4 == seed % 4 && !steady {
            true => 5.0,
            false => 1.0,
        };
        let weight = f64::from(rollout.weight().parts()) / 10_000.0;
        let draws = (0..REQUESTS_PER_TICK).filter(|_| chance.unit() < weight);
        let share = draws.count() as u64;
        to_new += share;
        let old = sample(&mut chance, REQUESTS_PER_TICK - share, USUAL, trouble);
        let new = sample(&mut chance, share, new, trouble);
        rollout.observe(&old, &new);
        let now_ms = tick * 1000;
        match rollout.tick(now_ms) {
            None => continue,
            Some(Action::Advance) => rollout.advance(&Buckets::all(), now_ms).map(drop),
            Some(Action::Promote) => rollout.promote(now_ms).map(drop),
            Some(Action::Abort { reason }) => rollout.abort(now_ms, &reason).map(drop),
        }
        .unwrap();
    }
    (rollout.state().clone(), to_new)
}

fn count(runs: u64, alpha: f64, new: Conduct) -> [usize; 2] {
    let mut promoted = 0;
    let mut aborted = 0;
    for seed in 0..runs {
        match run(seed, alpha, new, false).0 {
            RolloutState::Promoted { .. } => promoted += 1,
            RolloutState::Aborted { .. } => aborted += 1,
            _ => {}
        }
    }
    [promoted, aborted]
}

/// Looking 400 times with a test that is good for one look would abort most of them.
#[test]
fn of_1000_equal_canaries_no_more_are_aborted_than_stated() {
    let [promoted, aborted] = count(1000, 0.01, USUAL);
    println!("alpha 0.01: {promoted} promoted, {aborted} aborted of 1000");
    assert!(aborted <= 10, "{aborted} of 1000 were aborted");
    assert!(promoted >= 985, "only {promoted} of 1000 were promoted");
    let [_, aborted] = count(300, 0.2, USUAL);
    println!("alpha 0.2: {aborted} aborted of 300");
    assert!(aborted <= 60, "{aborted} of 300 were aborted");
}

#[test]
fn a_canary_that_is_worse_is_aborted() {
    for (what, new, within) in [
        (
            "5 points more errors",
            Conduct {
                errors: 0.06,
                ..USUAL
            },
            400,
        ),
        (
            "twice as slow",
            Conduct {
                slowness: 2.0,
                ..USUAL
            },
            800,
        ),
        (
            "a tail twice as slow",
            Conduct { tail: 2.0, ..USUAL },
            2_000,
        ),
        (
            "always failing",
            Conduct {
                errors: 1.0,
                ..USUAL
            },
            100,
        ),
    ] {
        let mut requests = Vec::new();
        for seed in 0..200 {
            let (state, to_new) = run(seed, 0.01, new, new.tail > 1.0);
            if matches!(state, RolloutState::Aborted { .. }) {
                requests.push(to_new);
            }
        }
        let aborted = requests.len();
        // That only one request in 50 is slower can stay undiscovered.
        let expected = if new.tail > 1.0 { 190 } else { 200 };
        assert!(aborted >= expected, "{what}: {aborted} of 200 were aborted");
        requests.sort_unstable();
        let (median, most) = (requests[aborted / 2], requests[aborted * 95 / 100]);
        println!("{what}: {aborted} of 200 aborted, after {median} requests, p95 {most}");
        assert!(most <= within, "{what}: {most} requests");
    }
}

#[test]
fn a_better_canary_is_promoted() {
    let better = Conduct {
        errors: 0.0,
        slowness: 0.5,
        tail: 1.0,
    };
    assert_eq!(count(50, 0.01, better), [50, 0]);
}

#[test]
fn nothing_is_said_before_the_minimum_sample() {
    let settings = JudgeSettings::default();
    let mut chance = Chance(1);
    let failing = Conduct {
        errors: 1.0,
        ..USUAL
    };
    let mut judge = Judge::new(settings);
    let old = sample(&mut chance, 1000, USUAL, 1.0);
    judge.observe(&old, &sample(&mut chance, 49, failing, 1.0));
    let wait = |what: &str| Verdict::Wait(format!("for {what}"));
    assert_eq!(
        judge.verdict(0, true),
        wait("1 more requests to the new version")
    );
    judge.observe(&Sample::default(), &sample(&mut chance, 1, failing, 1.0));
    assert_eq!(
        judge.verdict(0, true),
        Verdict::Worse(
            "the new version fails more often: 50 of 50 requests, the old one 5 of 1000".to_owned()
        )
    );
    // The old version has its minimum too, unless it gets no requests any more.
    let mut judge = Judge::new(settings);
    judge.observe(&Sample::default(), &sample(&mut chance, 60, USUAL, 1.0));
    assert_eq!(
        judge.verdict(0, true),
        wait("50 more requests to the old version")
    );
    assert_eq!(judge.verdict(60, false), Verdict::NotWorse);
    assert_eq!(
        judge.verdict(61, false),
        wait("1 more requests to the new version")
    );
}

/// A failure that comes only with a higher weight is not outweighed by long good conduct.
#[test]
fn each_stage_begins_anew() {
    let settings = JudgeSettings::default();
    let mut chance = Chance(1);
    let mut judge = Judge::new(settings);
    for _ in 0..1000 {
        let old = sample(&mut chance, 90, USUAL, 1.0);
        judge.observe(&old, &sample(&mut chance, 10, USUAL, 1.0));
    }
    judge.next_stage();
    assert_eq!(judge.new_requests(), 0);
    let bad = Conduct {
        errors: 0.06,
        ..USUAL
    };
    for _ in 0..4 {
        let old = sample(&mut chance, 100, USUAL, 1.0);
        judge.observe(&old, &sample(&mut chance, 100, bad, 1.0));
    }
    assert!(matches!(judge.verdict(0, true), Verdict::Worse(_)));
}

/// Each factor's evidence has an expected value of at most 1 when versions are equal: summed over
/// all outcomes, however errors come.
#[test]
fn the_evidence_of_equal_versions_is_worth_1_at_most() {
    let choose = |n: u64, k: u64| {
        (0..k)
            .map(|i| ((n - i) as f64) / ((k - i) as f64))
            .product::<f64>()
    };
    for (old, new, failures) in [
        (90, 10, 5),
        (50, 50, 20),
        (99, 1, 3),
        (10, 90, 60),
        (5, 5, 10),
    ] {
        let mut expected = [0.0; FACTORS.len()];
        for of_new in 0..=failures.min(new) {
            let of_old = failures - of_new;
            if of_old > old {
                continue;
            }
            let chance = choose(new, of_new) * choose(old, of_old) / choose(old + new, failures);
            let mut evidence = [0.0; FACTORS.len()];
            gather(&mut evidence, (of_old, old), (of_new, new));
            for (sum, log) in expected.iter_mut().zip(evidence) {
                *sum += chance * f64::exp(log);
            }
        }
        for (factor, expected) in FACTORS.iter().zip(expected) {
            assert!(
                expected <= 1.0 + 1e-9,
                "{old} {new} {failures} {factor}: {expected}"
            );
        }
    }
}
