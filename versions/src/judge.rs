//! Judging a new version by its requests: is it worse than the old one?
//!
//! # The test
//! Between two observations some requests went to the old version and some to the new one; some
//! failed. If the new version fails no more often, then which of the failed requests were the new
//! version's is as if drawn from all requests: the number `x` of its failures among all `e` is
//! hypergeometric, with the new version's share `s` of requests. For any factor `r > 1`,
//!
//! ```text
//! r^x / (1 - s + s r)^e
//! ```
//!
//! has an expected value of at most 1 then, whatever the error rate is and however it varies from
//! one observation to the next: the denominator is the moment of the binomial distribution, which
//! bounds that of the hypergeometric one (W. Hoeffding, *Probability inequalities for sums of bounded
//! random variables*, JASA 58, 1963, section 6). So the product over all observations is a
//! supermartingale, and by Ville's inequality it ever reaches `1 / alpha` with a probability of at
//! most `alpha`, no matter how often one looks. An average over several factors `r` keeps that, and
//! finds small and large differences alike. See A. Ramdas et al., *Game-theoretic statistics and safe
//! anytime-valid inference*, Statistical Science 38, 2023, and for the same idea in canary analysis
//! M. Lindon et al., *Rapid regression detection in software deployments through sequential testing*,
//! KDD 2022.
//!
//! Latency is put to the same test: a request "fails" if it took longer than the old version's p99,
//! or 1.4 times that, taken from what was observed before, so that the limit does not depend on the
//! requests it is applied to.
//!
//! # Stages
//! Long good conduct would outweigh a failure that comes with a higher weight, so the test begins
//! anew with each step. Stage `k` may raise a false alarm with probability `alpha / (k (k + 1))`;
//! together that is at most `alpha` for the rollout, however many there are.
//!
//! # What it takes for granted
//! That requests fail independently of each other. If a few keys make most of the requests and fail
//! by their own fault, failures come in clusters and false alarms are more frequent than stated.

use serde::{Deserialize, Serialize};

use crate::histogram::{Bin, Histogram};
use crate::seeded;

/// What some requests of one version looked like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// How many there were.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
    /// How long they took.
    pub latency: Histogram,
}

/// How strict a judgement is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JudgeSettings {
    /// The highest probability that a version which is not worse is aborted by mistake, in the
    /// whole rollout.
    pub alpha: f64,
    /// Requests that each version must have had in a step before it can be found good or bad.
    pub min_requests: u64,
}

/// A judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It cannot be said yet, and why.
    Wait(String),
    /// Nothing speaks against the new version.
    NotWorse,
    /// The new version is worse, and in what.
    Worse(String),
}

/// The evidence against a new version so far.
///
/// Feed it what happened since the last time with [`observe`](Judge::observe). It is kept with its
/// rollout, so that a restart does not begin the test anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    settings: JudgeSettings,
    stage: u32,
    old: Counts,
    new: Counts,
    /// ln of the evidence, by measure and factor.
    evidence: [[f64; FACTORS.len()]; MEASURES.len()],
    /// The old version's latencies in the last observations, up to twice [`LATENCY_WINDOW_REQUESTS`]:
    /// those of the window before, and of the one that is being filled.
    #[serde(skip)]
    latency: [Histogram; 2],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    requests: u64,
    errors: u64,
}

/// What versions are compared in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Measure {
    Errors,
    /// Requests slower than the old version's p99 times 2 to this power.
    Slower(f64),
}

const MEASURES: [Measure; 3] = [Measure::Errors, Measure::Slower(0.0), Measure::Slower(0.5)];

/// How much more often the new version may fail: the alternatives that evidence is gathered for.
const FACTORS: [f64; 8] = [1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];

/// Evidence, as odds, from which on a version is not found good.
const SUSPICION: f64 = 5.0;

/// Old requests that must have been seen before latency is compared.
const MIN_LATENCIES: u64 = 100;

/// Old requests whose p99 is the limit for the next ones: enough to know it, and no more, as what is
/// slow changes with the time of day.
const LATENCY_WINDOW_REQUESTS: u64 = 500;

impl Default for JudgeSettings {
    /// One false alarm in 100 rollouts, 50 requests.
    fn default() -> Self {
        Self {
            alpha: 0.01,
            min_requests: 50,
        }
    }
}

impl Judge {
    /// A judge that has seen nothing.
    pub fn new(settings: JudgeSettings) -> Self {
        Self {
            settings,
            stage: 1,
            old: Counts::default(),
            new: Counts::default(),
            evidence: [[0.0; FACTORS.len()]; MEASURES.len()],
            latency: Default::default(),
        }
    }

    /// Requests of the new version in this stage.
    pub fn new_requests(&self) -> u64 {
        self.new.requests
    }

    /// Begins the test anew; call it where the weight changes.
    pub fn next_stage(&mut self) {
        if seeded("judge-remembers-good-conduct") {
            return;
        }
        self.stage = self.stage.saturating_add(1);
        self.old = Counts::default();
        self.new = Counts::default();
        self.evidence = [[0.0; FACTORS.len()]; MEASURES.len()];
    }

    /// Takes in what happened since the last observation: the requests that the rollout sent to the
    /// old version by their key, and those that it sent to the new one.
    pub fn observe(&mut self, old: &Sample, new: &Sample) {
        let p99 = self.p99();
        for (evidence, measure) in self.evidence.iter_mut().zip(MEASURES) {
            let (of_old, of_new) = match (measure, p99) {
                (Measure::Errors, _) => ((old.errors, old.requests), (new.errors, new.requests)),
                (Measure::Slower(_), _) if seeded("judge-blind-to-latency") => continue,
                (Measure::Slower(octaves), Some(p99)) => {
                    let limit = p99.up(octaves);
                    let over = |sample: &Sample| {
                        (sample.latency.count_over(limit), sample.latency.count())
                    };
                    (over(old), over(new))
                }
                (Measure::Slower(_), None) => continue,
            };
            gather(evidence, of_old, of_new);
        }
        for (counts, sample) in [(&mut self.old, old), (&mut self.new, new)] {
            counts.requests += sample.requests;
            counts.errors += sample.errors;
        }
        let [before, filling] = &mut self.latency;
        if filling.count() >= LATENCY_WINDOW_REQUESTS {
            *before = std::mem::take(filling);
        }
        filling.add(&old.latency);
    }

    /// The old version's p99 lately, once it is known.
    fn p99(&self) -> Option<Bin> {
        let [before, filling] = &self.latency;
        let mut latency = before.clone();
        latency.add(filling);
        match latency.count() {
            ..MIN_LATENCIES => None,
            _ => latency.quantile(0.99),
        }
    }

    /// What the evidence says. `min_requests` is the step's own minimum of requests to the new
    /// version; `compared` is whether the old version gets requests too.
    pub fn verdict(&self, min_requests: u64, compared: bool) -> Verdict {
        let settings = self.settings;
        let missing = |counts: Counts, min: u64| min.saturating_sub(counts.requests);
        let of_new = missing(self.new, settings.min_requests);
        let of_old = match compared {
            true => missing(self.old, settings.min_requests),
            false => 0,
        };
        let of_new = match seeded("judge-without-minimum-sample") {
            true => 0,
            false => of_new,
        };
        if of_new > 0 {
            return Verdict::Wait(format!("for {of_new} more requests to the new version"));
        }
        if of_old > 0 {
            return Verdict::Wait(format!("for {of_old} more requests to the old version"));
        }
        let odds = self.odds();
        let stage = f64::from(self.stage);
        let limit = match seeded("judge-without-alpha") {
            true => 1.0,
            false => stage * (stage + 1.0) / settings.alpha,
        };
        if odds >= limit {
            return Verdict::Worse(self.reason());
        }
        if odds >= SUSPICION {
            return Verdict::Wait("for more requests: the new version looks worse".to_owned());
        }
        let more = missing(self.new, min_requests);
        if more > 0 {
            return Verdict::Wait(format!("for {more} more requests to the new version"));
        }
        Verdict::NotWorse
    }

    /// The evidence of all measures and factors together, as odds.
    fn odds(&self) -> f64 {
        let all = self.evidence.iter().flatten();
        all.map(|log| log.exp()).sum::<f64>() / (FACTORS.len() * MEASURES.len()) as f64
    }

    fn reason(&self) -> String {
        let of = |evidence: &[f64]| evidence.iter().map(|log| log.exp()).sum::<f64>();
        let mut worst = Measure::Errors;
        let mut most = f64::MIN;
        for (evidence, measure) in self.evidence.iter().zip(MEASURES) {
            if of(evidence) > most {
                (worst, most) = (measure, of(evidence));
            }
        }
        match worst {
            Measure::Errors => format!(
                "the new version fails more often: {} of {} requests, the old one {} of {}",
                self.new.errors, self.new.requests, self.old.errors, self.old.requests
            ),
            Measure::Slower(_) => {
                let p99 = self.p99().map_or(0, Bin::end_micros);
                format!(
                    "the new version is slower: more than 1 % of its requests take longer than the \
                     old one's p99 of {} ms",
                    p99 as f64 / 1000.0
                )
            }
        }
    }
}

/// Adds the evidence of one observation: failures and requests of each version.
fn gather(
    evidence: &mut [f64; FACTORS.len()],
    (old_failures, old_requests): (u64, u64),
    (new_failures, new_requests): (u64, u64),
) {
    let failures = (old_failures + new_failures) as f64;
    let requests = (old_requests + new_requests) as f64;
    if failures == 0.0 {
        return;
    }
    let share = new_requests as f64 / requests;
    for (log, factor) in evidence.iter_mut().zip(FACTORS) {
        *log += new_failures as f64 * factor.ln() - failures * (share * (factor - 1.0)).ln_1p();
    }
}

#[cfg(test)]
mod tests;
