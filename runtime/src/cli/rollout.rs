//! `isolith rollout`: starting, steering and looking at rollouts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use isolith_versions::{RolloutName, Weight};

use super::print;
use super::remote::{Target, read_files, report};
use crate::app::Failure;
use crate::config::{
    RolloutSettings, Texts, default_alpha, default_min_requests, default_steps, parse_wait,
    parse_weight,
};
use crate::control::{Client, RolloutSpec, RolloutStatus, Rollouts};
use crate::deployment::Steer;

#[derive(Subcommand)]
pub(super) enum RolloutCommand {
    /// Begin to shift requests to new versions, step by step
    Start(Start),
    /// Give a rollout a weight by hand, which it holds until resumed
    Set {
        name: RolloutName,
        /// Its share of keys, such as 10%
        #[arg(value_parser = parse_weight)]
        weight: Weight,
        #[command(flatten)]
        how: How,
    },
    /// Stay in the step; it is still aborted if it is found worse
    Pause {
        name: RolloutName,
        #[command(flatten)]
        how: How,
    },
    /// Go on with the steps
    Resume {
        name: RolloutName,
        #[command(flatten)]
        how: How,
    },
    /// Put the new versions into force for all new requests
    Promote {
        name: RolloutName,
        #[command(flatten)]
        how: How,
    },
    /// Give all new requests the old versions again
    Abort {
        name: RolloutName,
        #[command(flatten)]
        how: How,
    },
    /// Show rollouts under way, and those that are over
    Status {
        /// This one alone
        name: Option<RolloutName>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
}

/// Why, and to which process.
#[derive(Args)]
pub(super) struct How {
    /// Why, for the history
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    message: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub(super) struct Start {
    /// What to call it
    name: RolloutName,
    /// Bundle files of the new versions
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Its steps: shares of keys, each with a wait of its own where it differs
    #[arg(
        long,
        value_name = "WEIGHT[:WAIT],...",
        value_delimiter = ',',
        default_values_t = default_steps()
    )]
    steps: Vec<String>,
    /// No steps: it holds the weights that `set` gives it
    #[arg(long, conflicts_with = "steps")]
    manual: bool,
    /// The least time that a step takes
    #[arg(long, default_value = "60s", value_parser = parse_wait)]
    wait: Duration,
    /// The fewest requests to the new version in a step
    #[arg(long, value_name = "COUNT", default_value_t = default_min_requests())]
    min_requests: u64,
    /// The highest probability of aborting a version that is not worse
    #[arg(long, value_name = "PROBABILITY", default_value_t = default_alpha())]
    alpha: f64,
    /// Requests that see the new version whatever their key: header:NAME=VALUE, path:/PREFIX,
    /// method:METHOD, separated by blanks where all must hold
    #[arg(long = "match", value_name = "RULE")]
    matches: Vec<String>,
    /// The share of requests of which the new version gets a copy, whose answer is thrown away
    #[arg(long, value_name = "WEIGHT", value_parser = parse_weight)]
    shadow: Option<Weight>,
    #[command(flatten)]
    how: How,
}

/// `isolith rollout ...`
pub(super) fn run(command: RolloutCommand) -> Result<(), Failure> {
    match command {
        RolloutCommand::Start(start) => begin(start),
        RolloutCommand::Set { name, weight, how } => change(&name, Steer::Set(weight), &how),
        RolloutCommand::Pause { name, how } => change(&name, Steer::Pause, &how),
        RolloutCommand::Resume { name, how } => change(&name, Steer::Resume, &how),
        RolloutCommand::Promote { name, how } => change(&name, Steer::Promote, &how),
        RolloutCommand::Abort { name, how } => change(&name, Steer::Abort(String::new()), &how),
        RolloutCommand::Status { name, json, target } => status(name.as_ref(), json, &target),
    }
}

fn begin(start: Start) -> Result<(), Failure> {
    let steps = if start.manual {
        Vec::new()
    } else {
        start.steps
    };
    let settings = RolloutSettings::parse(&Texts {
        steps: &steps,
        wait: start.wait,
        min_requests: start.min_requests,
        alpha: start.alpha,
        matches: &start.matches,
        shadow: start.shadow,
    })?;
    let spec = RolloutSpec {
        name: start.name.to_string(),
        bundles: read_files(&start.files)?,
        settings,
    };
    let How { message, target } = &start.how;
    let changed = target.ask(async |client| Ok(client.start_rollout(&spec, message).await?))?;
    report("started", changed)
}

fn change(name: &RolloutName, steer: Steer, how: &How) -> Result<(), Failure> {
    let How { message, target } = how;
    let ask =
        async |client: Client| Ok(client.steer_rollout(name.as_str(), &steer, message).await?);
    report("done", target.ask(ask)?)
}

fn status(name: Option<&RolloutName>, json: bool, target: &Target) -> Result<(), Failure> {
    let mut rollouts = target.ask(async |client| Ok(client.rollouts().await?))?;
    if let Some(name) = name {
        let is_it = |text: &String| text == name.as_str();
        rollouts.rollouts.retain(|rollout| is_it(&rollout.name));
        rollouts
            .unsolved
            .retain(|unsolved| unsolved.rollouts.iter().any(is_it));
        if rollouts.rollouts.is_empty() {
            return Err(format!("there is no rollout {name}").into());
        }
    }
    match json {
        true => print(serde_json::to_string_pretty(&rollouts)?),
        false => print(describe(&rollouts)),
    }
}

fn describe(Rollouts { rollouts, unsolved }: &Rollouts) -> String {
    let mut lines = Vec::new();
    for rollout in rollouts {
        lines.extend(lines_of(rollout));
    }
    for pair in unsolved {
        lines.push(format!(
            "{} cannot be combined, so no request sees both:",
            pair.rollouts.join(" and ")
        ));
        lines.extend(pair.reason.lines().map(|line| format!("  {line}")));
    }
    match lines.is_empty() {
        true => "no rollout is under way".to_owned(),
        false => lines.join("\n"),
    }
}

fn lines_of(rollout: &RolloutStatus) -> Vec<String> {
    let percent = |parts: u32| format!("{} %", f64::from(parts) / 100.0);
    let mut lines = vec![format!(
        "{}: {}, {} of keys see {}",
        rollout.name,
        rollout.detail,
        percent(rollout.weight),
        rollout.candidates.join(" ")
    )];
    let steps: Vec<_> = rollout
        .steps
        .iter()
        .map(|step| percent(u32::from(step.weight.parts())))
        .collect();
    if !steps.is_empty() {
        lines.push(format!("  steps {}", steps.join(", ")));
    }
    let shadows = rollout.shadows;
    if shadows != Default::default() {
        lines.push(format!(
            "  copies of requests: {} answered alike, {} differently, {} not, {} not sent",
            shadows.alike, shadows.different, shadows.failed, shadows.skipped
        ));
    }
    if !rollout.waits.is_empty() {
        lines.push(format!("  waits {}", rollout.waits.replace('\n', "\n  ")));
    }
    lines
}
