use super::*;
use crate::testing::bundles;
use crate::{BUCKETS, Histogram};

const MINUTE: u64 = 60_000;

fn weight(parts: u16) -> Weight {
    Weight::new(parts).unwrap()
}

fn step(parts: u16) -> Step {
    Step {
        weight: weight(parts),
        wait_ms: MINUTE,
        min_requests: 200,
    }
}

fn plan(steps: &[u16]) -> RolloutPlan {
    RolloutPlan {
        name: "auth-2".parse().unwrap(),
        salt: Salt(1),
        candidates: vec![bundles("auth@2.0.0")[0].id.clone()],
        steps: steps.iter().map(|parts| step(*parts)).collect(),
        matches: vec![],
        shadow: None,
        judge: JudgeSettings::default(),
    }
}

fn running(steps: &[u16]) -> Rollout {
    Rollout::start(plan(steps), &Buckets::all(), 1_000).unwrap()
}

/// Requests of which `errors` failed, all equally fast.
fn sample(requests: u64, errors: u64) -> Sample {
    let mut latency = Histogram::new();
    (0..requests).for_each(|_| latency.record(1_000));
    Sample {
        requests,
        errors,
        latency,
    }
}

#[test]
fn an_equal_version_goes_through_its_steps_and_is_promoted() {
    let mut rollout = running(&[100, 5_000]);
    assert_eq!(rollout.weight(), weight(100));
    // Enough requests, but not the time; the time, but not the requests.
    rollout.observe(&sample(900, 9), &sample(199, 2));
    assert_eq!(rollout.tick(1_000 + 2 * MINUTE), None);
    rollout.observe(&sample(0, 0), &sample(1, 0));
    assert_eq!(rollout.tick(999 + MINUTE), None);
    assert_eq!(rollout.tick(1_000 + MINUTE), Some(Action::Advance));

    let transition = rollout.advance(&Buckets::all(), 100_000).unwrap();
    assert_eq!(
        transition.to_string(),
        "rollout auth-2 was running in step 1 and is running in step 2, at 50 %"
    );
    // A step needs requests of its own.
    assert_eq!(rollout.tick(100_000 + MINUTE), None);
    rollout.observe(&sample(900, 9), &sample(900, 9));
    assert_eq!(rollout.tick(100_000 + MINUTE), Some(Action::Promote));
    rollout.promote(170_000).unwrap();
    assert_eq!(rollout.state(), &RolloutState::Promoted { at_ms: 170_000 });
    assert_eq!(rollout.tick(u64::MAX), None);
}

#[test]
fn a_clock_that_jumped_between_two_processes_skips_no_wait_and_begins_none_anew() {
    const YEAR: u64 = 365 * 24 * 60 * MINUTE;
    // Half of the wait had passed when it was written down last.
    let then = 1_000 + MINUTE / 2;
    for now in [0, 1, then - YEAR.min(then), then, then + 1, then + YEAR] {
        let now = now + YEAR;
        let mut rollout = running(&[100, 5_000]);
        rollout.observe(&sample(900, 9), &sample(900, 9));
        rollout.change_clock(then, now);
        assert_eq!(rollout.tick(now + MINUTE / 2 - 1), None, "{now}");
        assert_eq!(rollout.tick(now + MINUTE / 2), Some(Action::Advance));
    }
    // Written by a process whose clock was behind that of the step's beginning: it waits anew.
    let mut rollout = running(&[100, 5_000]);
    rollout.observe(&sample(900, 9), &sample(900, 9));
    rollout.change_clock(0, YEAR);
    assert_eq!(rollout.tick(YEAR + MINUTE - 1), None);
    assert_eq!(rollout.tick(YEAR + MINUTE), Some(Action::Advance));
    let mut paused = running(&[100]);
    paused.pause(11_000).unwrap();
    let before = paused.clone();
    paused.change_clock(then, YEAR);
    assert_eq!(paused, before);
}

#[test]
fn a_worse_version_is_aborted_in_whatever_state_it_is() {
    let bad = |mut rollout: Rollout| {
        rollout.observe(&sample(900, 0), &sample(100, 20));
        match rollout.tick(2_000) {
            Some(Action::Abort { reason }) => reason,
            other => panic!("{other:?}"),
        }
    };
    let mut paused = running(&[1_000]);
    paused.pause(1_500).unwrap();
    let mut holding = running(&[]);
    holding
        .set_weight(weight(1_000), &Buckets::all(), 1_500)
        .unwrap();
    for rollout in [running(&[1_000]), paused, holding] {
        let reason = bad(rollout);
        assert_eq!(
            reason,
            "the new version fails more often: 20 of 100 requests, the old one 0 of 900"
        );
    }
    let mut rollout = running(&[1_000]);
    rollout.abort(3_000, "worse").unwrap();
    assert_eq!(rollout.buckets(), &Buckets::none());
    assert_eq!(rollout.state().to_string(), "aborted (worse)");
}

#[test]
fn a_pause_does_not_count_as_waiting() {
    let mut rollout = running(&[1_000]);
    rollout.observe(&sample(900, 0), &sample(300, 0));
    rollout.pause(1_000 + MINUTE / 2).unwrap();
    assert_eq!(rollout.tick(1_000 + 10 * MINUTE), None);
    rollout
        .resume(&Buckets::all(), 1_000 + 10 * MINUTE)
        .unwrap();
    assert_eq!(rollout.tick(999 + 10 * MINUTE + MINUTE / 2), None);
    let then = 1_000 + 10 * MINUTE + MINUTE / 2;
    assert_eq!(rollout.tick(then), Some(Action::Promote));
}

#[test]
fn a_weight_given_by_hand_is_held_until_resumed_with_the_next_higher_step() {
    let mut rollout = running(&[100, 1_000, 5_000]);
    let free = Buckets::all();
    rollout.set_weight(weight(2_000), &free, 5_000).unwrap();
    assert_eq!(rollout.state(), &RolloutState::Holding { since_ms: 5_000 });
    rollout.observe(&sample(9_000, 0), &sample(9_000, 0));
    assert_eq!(rollout.tick(1_000 * MINUTE), None);
    rollout.resume(&free, 6_000).unwrap();
    let third = RolloutState::Running {
        step: 2,
        since_ms: 6_000,
    };
    assert_eq!((rollout.state(), rollout.weight()), (&third, weight(5_000)));
    rollout.set_weight(weight(9_000), &free, 7_000).unwrap();
    assert_eq!(
        rollout.resume(&free, 8_000).unwrap_err().to_string(),
        "the rollout auth-2 is holding its weight: it has no step with a higher weight; promote or \
         abort it"
    );
}

#[test]
fn what_is_not_allowed_says_what_is_and_changes_nothing() {
    let free = Buckets::all();
    let mut over = running(&[100]);
    over.abort(2_000, "by hand").unwrap();
    type Verb = fn(&mut Rollout, &Buckets) -> Result<Transition, RolloutError>;
    let verbs: [(&str, Verb); 6] = [
        ("advance", |rollout, free| rollout.advance(free, 9)),
        ("set", |rollout, free| {
            rollout.set_weight(weight(5_000), free, 9)
        }),
        ("pause", |rollout, _| rollout.pause(9)),
        ("resume", |rollout, free| rollout.resume(free, 9)),
        ("promote", |rollout, _| rollout.promote(9)),
        ("abort", |rollout, _| rollout.abort(9, "again")),
    ];
    let mut paused = running(&[100]);
    paused.pause(2_000).unwrap();
    let mut holding = running(&[100]);
    holding.set_weight(weight(1), &free, 2_000).unwrap();
    for (rollout, allowed) in [
        (running(&[100]), vec!["set", "pause", "promote", "abort"]),
        (
            running(&[100, 200]),
            vec!["advance", "set", "pause", "promote", "abort"],
        ),
        (paused, vec!["set", "resume", "promote", "abort"]),
        (holding, vec!["set", "resume", "promote", "abort"]),
        (over, vec![]),
    ] {
        for (name, verb) in verbs {
            let mut changed = rollout.clone();
            let done = verb(&mut changed, &free);
            assert_eq!(done.is_ok(), allowed.contains(&name), "{name}: {rollout:?}");
            assert_eq!(done.is_ok(), changed != rollout, "{name}: {rollout:?}");
        }
    }
    // Nor does a weight that cannot be had.
    let mut rollout = running(&[100]);
    let half = Buckets::of(|bucket| bucket < BUCKETS / 2);
    let before = rollout.clone();
    let error = rollout.set_weight(weight(9_000), &half, 9).unwrap_err();
    assert!(matches!(error, RolloutError::NoRoom { .. }), "{error}");
    assert_eq!(rollout, before);
}

#[test]
fn a_plan_that_contradicts_itself_is_refused() {
    let refused = |change: fn(&mut RolloutPlan)| {
        let mut plan = plan(&[100, 200]);
        change(&mut plan);
        let error = Rollout::start(plan, &Buckets::all(), 0).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        refused(|plan| plan.steps.reverse()),
        "the rollout auth-2 cannot start: the weights of its steps do not rise: give each step more \
         than the one before"
    );
    for (change, says) in [
        (
            (|plan| plan.candidates.clear()) as fn(&mut RolloutPlan),
            "candidate",
        ),
        (|plan| plan.judge.alpha = f64::NAN, "alpha"),
        (|plan| plan.judge.alpha = 0.0, "alpha"),
        (|plan| plan.matches.push(Match::default()), "condition"),
        (
            |plan| plan.steps = (0..=100).map(step).collect(),
            "more than 100 steps",
        ),
    ] {
        let error = refused(change);
        assert!(error.contains(says), "{error}");
    }
}

/// A process that is killed and started again goes on where it was: with the same keys, in the same
/// step, with what it knew against the new version.
#[test]
fn text_and_back() {
    let half = |rollout: &mut Rollout| rollout.observe(&sample(900, 3), &sample(100, 4));
    let mut rollout = running(&[1_000, 5_000]);
    half(&mut rollout);
    assert_eq!(rollout.tick(1_000 + MINUTE), None);
    let json = serde_json::to_string(&rollout).unwrap();
    let mut again: Rollout = serde_json::from_str(&json).unwrap();
    assert_eq!(again.buckets(), rollout.buckets());
    assert_eq!(again.state(), rollout.state());
    half(&mut again);
    let action = again.tick(1_000 + MINUTE);
    assert!(matches!(action, Some(Action::Abort { .. })), "{action:?}");
}
