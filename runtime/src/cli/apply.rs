//! `isolith apply`: what is in force becomes what the application file says.

use std::path::Path;

use super::print;
use super::remote::{Target, read_files};
use crate::app::Failure;
use crate::config::AppConfig;
use crate::control::{Changed, RolloutSpec};

/// `isolith apply APP.toml [--dry-run]`: prints the plan, and carries it out.
pub(super) fn apply(
    file: &Path,
    dry_run: bool,
    message: &str,
    target: &Target,
) -> Result<(), Failure> {
    let config = AppConfig::load(file)?;
    let bundles = read_files(&config.bundle_files()?)?;
    let mut rollouts = Vec::new();
    for (name, table) in &config.rollouts {
        rollouts.push(RolloutSpec {
            name: name.to_string(),
            bundles: read_files(&config.rollout_files(name)?)?,
            settings: table.settings.clone(),
        });
    }
    let target = target.or_app(file);
    target.ask(async |client| {
        let app = &config.app.name;
        let planned = client
            .apply(app, &bundles, &rollouts, true, message)
            .await?;
        let Changed::Accepted { wiring, .. } = accepted(planned)? else {
            return Ok(());
        };
        print(wiring.join("\n"))?;
        if dry_run {
            return Ok(());
        }
        let applied = client
            .apply(app, &bundles, &rollouts, false, message)
            .await?;
        if let Changed::Accepted {
            number, epoch, set, ..
        } = accepted(applied)?
        {
            print(format_args!(
                "applied: epoch {epoch}, set {set}, change {number}"
            ))?;
        }
        Ok(())
    })
}

fn accepted(changed: Changed) -> Result<Changed, Failure> {
    match changed {
        Changed::Refused(reason) => Err(format!("refused: {reason}").into()),
        accepted => Ok(accepted),
    }
}
