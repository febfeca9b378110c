//! `isolith holders` and `isolith evict`.

use std::time::Duration;

use super::print;
use super::remote::Target;
use crate::app::Failure;
use crate::control::BundleHolders;

/// `isolith holders SERVICE[@VERSION] [--json]`
pub(super) fn holders(service: &str, json: bool, target: &Target) -> Result<(), Failure> {
    let (service, version) = service.split_once('@').unwrap_or((service, ""));
    let found = target.ask(async |client| Ok(client.holders(service, version).await?))?;
    match json {
        true => print(serde_json::to_string_pretty(&found)?),
        false => print(found.iter().map(describe).collect::<Vec<_>>().join("\n")),
    }
}

/// `isolith evict SERVICE@VERSION --reason TEXT`
pub(super) fn evict(bundle: &str, reason: &str, target: &Target) -> Result<(), Failure> {
    let (service, version) = bundle.split_once('@').unwrap_or((bundle, ""));
    let ask =
        async |client: crate::control::Client| Ok(client.evict(service, version, reason).await?);
    let (count, in_force) = target.ask(ask)?;
    print(format_args!("evicted {count} requests from {bundle}"))?;
    match in_force {
        true => print("new requests get it still: deploy another version, or roll back"),
        false => Ok(()),
    }
}

fn describe(bundle: &BundleHolders) -> String {
    let state = if bundle.in_force {
        "in force"
    } else {
        "not in force"
    };
    let mut lines = vec![format!(
        "{}: {state}, held by {}",
        bundle.bundle, bundle.total
    )];
    for holder in &bundle.holders {
        let age = humantime::format_duration(Duration::from_millis(holder.age_ms));
        let digest = holder.set.trim_start_matches("sha256:");
        lines.push(format!(
            "  {} x {}, {age} old, request {}, shard {}, set {}",
            holder.count,
            holder.kind,
            holder.request,
            holder.shard,
            digest.get(..12).unwrap_or(digest)
        ));
    }
    if bundle.total > bundle.holders.len() as u64 {
        lines.push("  and more".to_owned());
    }
    lines.join("\n")
}
