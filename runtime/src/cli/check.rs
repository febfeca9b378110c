//! `isolith check`: what a deployment would be, without one.

use std::collections::BTreeSet;
use std::path::PathBuf;

use isolith_services::bundle::Bundle;
use isolith_versions::ServiceName;

use super::{files, print};
use crate::app::Failure;
use crate::config::AppConfig;
use crate::deployment::{Catalog, Pool, require_http};
use crate::native::Natives;

/// Wires the bundles of an application file, or the given bundle files, and prints the wiring.
/// Files have no entry, so every service that no other one among them asks for is one.
pub(super) fn check(paths: &[PathBuf], natives: Natives) -> Result<(), Failure> {
    let mut app = match paths {
        [path]
            if path
                .extension()
                .is_some_and(|extension| extension == "toml") =>
        {
            Some(AppConfig::load(path)?)
        }
        _ => None,
    };
    let found = match &app {
        Some(app) => app.bundle_files()?,
        None => paths.to_vec(),
    };
    let mut bundles = found
        .iter()
        .map(|file| files::open(file))
        .collect::<Result<Vec<_>, _>>()?;
    bundles.extend(natives.bundles().cloned());
    if let Some(app) = &mut app {
        app.natives = natives;
    }
    let entries = match &app {
        Some(app) => BTreeSet::from([app.app.entry.clone()]),
        None => roots(&bundles),
    };
    let plan = Catalog::new(entries)?.plan(&Pool::new(), &bundles)?;
    if let Some(app) = &app {
        require_http(&plan.set, &app.app.entry)?;
        // As a deployment would, short of running code: what is given, and interfaces.
        let given = app.given()?;
        for bundle in &bundles {
            if plan.set.find(bundle.digest()).is_some() {
                given.program(bundle)?;
            }
        }
    }
    print(format_args!("set {}", plan.set.digest()))?;
    print(plan.wiring().join("\n"))
}

/// The services that no other one asks for; all of them if they ask for each other in a circle.
fn roots(bundles: &[Bundle]) -> BTreeSet<ServiceName> {
    let services: BTreeSet<_> = bundles.iter().map(|bundle| &bundle.id().service).collect();
    let imported: BTreeSet<_> = bundles
        .iter()
        .flat_map(|bundle| bundle.imports())
        .map(|import| &import.service)
        .collect();
    let roots: BTreeSet<_> = services.difference(&imported).copied().cloned().collect();
    match roots.is_empty() {
        true => services.into_iter().cloned().collect(),
        false => roots,
    }
}
