//! What a rollout is to do, as people write it: in `[rollouts.NAME]` of the application file, and
//! as options of `isolith rollout start`.

use std::time::Duration;

use isolith_versions::{JudgeSettings, Match, Step, Weight};
use serde::de::{Deserialize, Deserializer, Error as _};

/// `[rollouts.NAME]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RolloutTable {
    /// Glob patterns, relative to the file. They belong to the rollout alone, even where
    /// `[app] bundles` matches them too.
    pub(super) bundles: Vec<String>,
    /// Each `WEIGHT` or `WEIGHT:WAIT`.
    #[serde(default = "default_steps")]
    steps: Vec<String>,
    /// Of steps that name no wait.
    #[serde(
        default = "default_wait",
        rename = "wait_ms",
        deserialize_with = "super::millis"
    )]
    wait: Duration,
    /// Requests to the new version in each step.
    #[serde(default = "default_min_requests")]
    min_requests: u64,
    #[serde(default = "default_alpha")]
    alpha: f64,
    /// Each some conditions, separated by blanks.
    #[serde(default, rename = "match")]
    matches: Vec<String>,
    #[serde(default, deserialize_with = "weight")]
    shadow: Option<Weight>,
    /// From the texts above.
    #[serde(skip)]
    pub(crate) settings: RolloutSettings,
}

/// What a rollout is to do, apart from its name and its bundles.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RolloutSettings {
    pub(crate) steps: Vec<Step>,
    pub(crate) matches: Vec<Match>,
    pub(crate) shadow: Option<Weight>,
    pub(crate) judge: JudgeSettings,
}

/// What steps, rules and judgement are made of, as texts.
pub(crate) struct Texts<'a> {
    pub(crate) steps: &'a [String],
    pub(crate) wait: Duration,
    pub(crate) min_requests: u64,
    pub(crate) alpha: f64,
    pub(crate) matches: &'a [String],
    pub(crate) shadow: Option<Weight>,
}

impl RolloutTable {
    /// Every key there is.
    pub(super) const KEYS: &[&str] = &[
        "bundles",
        "steps",
        "wait_ms",
        "min_requests",
        "alpha",
        "match",
        "shadow",
    ];

    /// Makes the settings from their texts.
    ///
    /// # Errors
    /// The first text that is wrong.
    pub(super) fn check(&mut self) -> Result<(), String> {
        if self.bundles.is_empty() {
            return Err("it names no bundle file; write `bundles = [\"next/*.isolith\"]`".into());
        }
        self.settings = RolloutSettings::parse(&Texts {
            steps: &self.steps,
            wait: self.wait,
            min_requests: self.min_requests,
            alpha: self.alpha,
            matches: &self.matches,
            shadow: self.shadow,
        })?;
        Ok(())
    }
}

impl RolloutSettings {
    /// Makes settings from texts.
    ///
    /// # Errors
    /// The first text that is wrong, and what would be right.
    pub(crate) fn parse(texts: &Texts<'_>) -> Result<Self, String> {
        let step = |text: &String| parse_step(text, texts.wait, texts.min_requests);
        Ok(RolloutSettings {
            steps: texts.steps.iter().map(step).collect::<Result<_, _>>()?,
            matches: texts
                .matches
                .iter()
                .map(|text| parse_match(text))
                .collect::<Result<_, _>>()?,
            shadow: texts.shadow,
            judge: JudgeSettings {
                alpha: texts.alpha,
                min_requests: texts.min_requests,
            },
        })
    }
}

/// The steps of a rollout that names none.
pub(crate) fn default_steps() -> Vec<String> {
    ["1%", "10%", "50%"].map(str::to_owned).to_vec()
}

fn default_wait() -> Duration {
    Duration::from_secs(60)
}

pub(crate) fn default_min_requests() -> u64 {
    JudgeSettings::default().min_requests
}

pub(crate) fn default_alpha() -> f64 {
    JudgeSettings::default().alpha
}

/// `5%`, `0.25 %`
///
/// # Errors
/// If it is no share, and how one is written.
pub(crate) fn parse_weight(text: &str) -> Result<Weight, String> {
    let number = text.trim().strip_suffix('%').map(str::trim_end);
    let parts = number
        .and_then(|number| number.parse::<f64>().ok())
        .map(|percent| percent * 100.0)
        .filter(|parts| (0.0..=10_000.0).contains(parts) && (parts - parts.round()).abs() < 1e-6)
        .and_then(|parts| Weight::new(parts.round() as u16).ok());
    parts.ok_or_else(|| {
        format!("`{text}` is no share: write it from `0%` to `100%`, such as `5%` or `0.25%`")
    })
}

/// `60s`, `5m`, `1h 30m`
///
/// # Errors
/// If it is no time, and how one is written.
pub(crate) fn parse_wait(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim())
        .map_err(|error| format!("`{text}` is no time ({error}): write such as `60s` or `5m`"))
}

/// `WEIGHT` or `WEIGHT:WAIT`
fn parse_step(text: &str, wait: Duration, min_requests: u64) -> Result<Step, String> {
    let (weight, wait) = match text.split_once(':') {
        Some((weight, wait)) => (weight, parse_wait(wait)?),
        None => (text, wait),
    };
    Ok(Step {
        weight: parse_weight(weight)?,
        wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        min_requests,
    })
}

/// Conditions that must all hold: `header:NAME=VALUE`, `path:/PREFIX`, `method:GET`.
fn parse_match(text: &str) -> Result<Match, String> {
    let wrong = |what: &str| {
        format!(
            "`{text}` is no rule: {what}; write conditions such as `header:x-team=auth`, \
             `path:/cart` or `method:GET`, separated by blanks where all must hold"
        )
    };
    let mut rule = Match::default();
    for condition in text.split_whitespace() {
        let twice = match condition.split_once(':') {
            Some(("header", header)) => {
                let (name, value) = header
                    .split_once('=')
                    .filter(|(name, _)| !name.is_empty())
                    .ok_or_else(|| wrong("a header has a name and a value"))?;
                let header = (name.to_ascii_lowercase(), value.to_owned());
                rule.header.replace(header).is_some()
            }
            Some(("path", path)) if path.starts_with('/') => {
                rule.path_prefix.replace(path.to_owned()).is_some()
            }
            Some(("method", method)) if !method.is_empty() => {
                rule.method.replace(method.to_ascii_uppercase()).is_some()
            }
            _ => return Err(wrong(&format!("`{condition}` is no condition"))),
        };
        if twice {
            return Err(wrong("it has two conditions of one kind"));
        }
    }
    match rule == Match::default() {
        true => Err(wrong("it is empty")),
        false => Ok(rule),
    }
}

fn weight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Weight>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_weight(&text).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(steps: &[&str], matches: &[&str]) -> Result<RolloutSettings, String> {
        let texts = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        RolloutSettings::parse(&Texts {
            steps: &texts(steps),
            wait: Duration::from_secs(60),
            min_requests: 7,
            alpha: 0.01,
            matches: &texts(matches),
            shadow: None,
        })
    }

    #[test]
    fn steps_have_weights_and_waits() {
        let steps = parse(&["1%", "0.25 %:5m", "100%:0s"], &[]).unwrap().steps;
        let told: Vec<_> = steps
            .iter()
            .map(|step| (step.weight.parts(), step.wait_ms, step.min_requests))
            .collect();
        assert_eq!(told, [(100, 60_000, 7), (25, 300_000, 7), (10_000, 0, 7)]);
        for bad in ["1", "101%", "-1%", "0.001%", "x%", "1%:", "1%:soon"] {
            assert!(parse(&[bad], &[]).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn rules_have_conditions() {
        let rules = parse(&[], &["header:X-Team=a=b path:/cart", "method:get"])
            .unwrap()
            .matches;
        let first = Match {
            header: Some(("x-team".into(), "a=b".into())),
            path_prefix: Some("/cart".into()),
            method: None,
        };
        assert_eq!(rules[0], first);
        assert_eq!(rules[1].method.as_deref(), Some("GET"));
        for bad in [
            "",
            "header:x",
            "header:=v",
            "path:cart",
            "method:",
            "x",
            "path:/a path:/b",
        ] {
            assert!(parse(&[], &[bad]).is_err(), "{bad} was taken");
        }
    }
}
