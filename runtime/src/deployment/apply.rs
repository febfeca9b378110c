//! `isolith apply`: making what is in force what an application file says.

use std::collections::BTreeSet;

use isolith_services::bundle::Bundle;
use isolith_versions::{Digest, Rollout, RolloutName, RolloutState, VersionSet};

use super::change::goes_on;
use super::layout::Layout;
use super::rollouts::{is_over, new_plan};
use super::{Accepted, Deployment, Next, Pool, Refused, State, blocking, now_ms, refused};
use crate::config::RolloutSettings;
use crate::state::Author;

/// What an application file says.
pub(crate) struct Declared {
    /// The application's name.
    pub(crate) app: String,
    /// Those of no rollout.
    pub(crate) bundles: Vec<Bundle>,
    pub(crate) rollouts: Vec<DeclaredRollout>,
}

/// A rollout that an application file names.
pub(crate) struct DeclaredRollout {
    pub(crate) name: RolloutName,
    pub(crate) settings: RolloutSettings,
    pub(crate) bundles: Vec<Bundle>,
}

/// What is to be done about a rollout that the file names.
enum Todo {
    /// It goes on, or is over as the file wants it.
    Nothing,
    /// Its candidates are what the file wants in force.
    Promoted,
    Start,
    /// One of that name is under way with other candidates.
    Replace,
}

impl Deployment {
    /// Puts into force what the file says: these bundles and no others, and these rollouts. Those
    /// that the file does not name go on. Applied again, it changes nothing.
    ///
    /// With `dry_run` it only says, in the lines of the result, what it would do.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    ///
    /// # Cancel safety
    /// As [`deploy`](Self::deploy).
    pub(crate) async fn apply(
        &self,
        declared: Declared,
        dry_run: bool,
        author: Author,
    ) -> Result<Accepted, Refused> {
        let mut state = self.state.lock().await;
        if declared.app != state.head.app {
            return Err(Refused(format!(
                "the process serves the application {}, and the file is that of {}",
                state.head.app, declared.app
            )));
        }
        let natives = self.given.natives.bundles().cloned();
        let mut declared = declared;
        declared.bundles.extend(natives);
        let next = plan(&state, declared).await?;
        if dry_run {
            return Ok(Accepted {
                number: state.number,
                epoch: state.head.epoch,
                set: next.layout.base().digest(),
                lines: next.lines,
            });
        }
        self.carry_out(&mut state, next, author).await
    }
}

async fn plan(state: &State, declared: Declared) -> Result<Next, Refused> {
    let mut todos = Vec::new();
    for rollout in declared.rollouts {
        let known = state.kept.get(&rollout.name).map(|kept| &kept.rollout);
        todos.push((todo(known, &rollout)?, rollout));
    }
    let before = state.layout.clone();
    let bundles = declared.bundles;
    blocking(move || next(before, bundles, todos)).await
}

fn todo(known: Option<&Rollout>, rollout: &DeclaredRollout) -> Result<Todo, Refused> {
    let Some(known) = known else {
        return Ok(Todo::Start);
    };
    let plan = known.plan();
    let wanted: BTreeSet<_> = rollout.bundles.iter().map(Bundle::digest).collect();
    let candidates: BTreeSet<_> = plan.candidates.iter().map(|id| id.digest).collect();
    Ok(match (wanted == candidates, known.state()) {
        (true, RolloutState::Promoted { .. }) => Todo::Promoted,
        (true, RolloutState::Aborted { .. }) => Todo::Nothing,
        (true, _) if same_settings(known, &rollout.settings) => Todo::Nothing,
        (true, _) => {
            let name = &rollout.name;
            return Err(Refused(format!(
                "the rollout {name} is under way with other settings: abort it first, or give this \
                 one another name"
            )));
        }
        (false, _) if is_over(known) => Todo::Start,
        (false, _) => Todo::Replace,
    })
}

fn same_settings(known: &Rollout, settings: &RolloutSettings) -> bool {
    let plan = known.plan();
    plan.steps == settings.steps
        && plan.matches == settings.matches
        && plan.shadow == settings.shadow
        && plan.judge == settings.judge
}

fn next(
    before: Layout,
    mut bundles: Vec<Bundle>,
    todos: Vec<(Todo, DeclaredRollout)>,
) -> Result<Next, Refused> {
    let declared: Pool = bundles.iter().map(Bundle::digest).collect();
    let fresh = todos
        .iter()
        .flat_map(|(_, rollout)| rollout.bundles.iter().cloned());
    let all: Vec<_> = bundles.iter().cloned().chain(fresh).collect();
    let catalog = before.catalog.with(&all)?;
    let mut pool = declared.clone();
    for (_, rollout) in todos
        .iter()
        .filter(|(todo, _)| matches!(todo, Todo::Promoted))
    {
        let candidates: Vec<Digest> = rollout.bundles.iter().map(Bundle::digest).collect();
        pool = catalog.clone().pinned(&pool, &candidates)?.pool;
    }
    let plan = catalog.clone().rewire(pool)?;
    bundles.retain(|bundle| plan.pool.contains(&bundle.digest()));
    catalog.require_all_usable(&plan, &bundles)?;
    let mut lines = differences(before.base(), &plan.set);

    let mut live = before.live.clone();
    let mut over = Vec::new();
    for (todo, DeclaredRollout { name, .. }) in &todos {
        let place = live.iter().position(|rollout| rollout.name() == name);
        if let (Todo::Replace, Some(place)) = (todo, place) {
            let mut rollout = live.remove(place);
            let aborted = rollout.abort(now_ms(), "the application file names other bundles");
            aborted.map_err(refused)?;
            lines.push(format!(
                "abort rollout {name}: the file names other bundles"
            ));
            over.push(rollout);
        }
    }
    let mut layout = goes_on(plan, live)?;
    for (todo, rollout) in todos {
        if let Todo::Start | Todo::Replace = todo {
            let plan = new_plan(rollout.name, rollout.settings, &rollout.bundles);
            let names: Vec<_> = plan.candidates.iter().map(ToString::to_string).collect();
            lines.push(format!("start rollout {} {}", plan.name, names.join(" ")));
            layout = layout.starting(plan, now_ms())?;
        }
    }
    if lines.is_empty() {
        lines.push("nothing to do".to_owned());
    }
    Ok(Next {
        over,
        declared: Some(declared),
        bundles: all,
        lines,
        ..Next::new(layout, "apply".to_owned())
    })
}

/// What changes for requests outside of every rollout.
fn differences(before: &VersionSet, after: &VersionSet) -> Vec<String> {
    let gone = before
        .bundles()
        .iter()
        .filter(|bundle| after.find(bundle.id.digest).is_none());
    let new = after
        .bundles()
        .iter()
        .filter(|bundle| before.find(bundle.id.digest).is_none());
    let gone = gone.map(|bundle| format!("- {}", bundle.id));
    gone.chain(new.map(|bundle| format!("+ {}", bundle.id)))
        .collect()
}
