//! What a process's status says of a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use isolith_versions::{Bin, Digest, Histogram, VersionSet};

use super::service::Service;
use super::status::{BundleStatus, EdgeStatus, SetStatus, Status};
use crate::deployment::Snapshot;

impl Service {
    pub(super) fn describe(&self, snapshot: &Snapshot) -> Status {
        let sets = sets(snapshot);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            app: self.app.clone(),
            entry: self.entry.clone(),
            pid: std::process::id(),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            parked_shards: self.deployment.parked(),
            shards: u16::try_from(snapshot.shards.len()).unwrap_or(u16::MAX),
            listen: self.listen.to_string(),
            epoch: snapshot.table.epoch(),
            change: snapshot.number,
            requests: snapshot
                .shards
                .iter()
                .map(|shard| shard.requests_admitted)
                .sum(),
            requests_in_flight: {
                let sum: u64 = snapshot
                    .shards
                    .iter()
                    .map(|shard| shard.requests_in_flight)
                    .sum();
                u32::try_from(sum).unwrap_or(u32::MAX)
            },
            bundles: bundles(snapshot, &sets),
            sets,
        }
    }
}

/// Sets in force, then former ones that something holds.
fn sets(snapshot: &Snapshot) -> Vec<SetStatus> {
    let mut pins: BTreeMap<Digest, u64> = BTreeMap::new();
    for (digest, count) in snapshot.shards.iter().flat_map(|shard| &shard.pins) {
        *pins.entry(*digest).or_default() += count;
    }
    let mut sets = Vec::new();
    for (set, weight) in snapshot.table.sets() {
        let held = pins.remove(&set.digest()).unwrap_or_default();
        sets.push(set_status(set, u32::from(weight.parts()), "serving", held));
    }
    for set in snapshot.former.iter().rev() {
        if let Some(held) = pins.remove(&set.digest()).filter(|held| *held > 0) {
            sets.push(set_status(set, 0, "draining", held));
        }
    }
    // Held, and so long out of force that its wiring is forgotten.
    for (digest, held) in pins.into_iter().filter(|(_, held)| *held > 0) {
        let (digest, state) = (digest.to_string(), "draining".to_owned());
        sets.push(SetStatus {
            digest,
            state,
            pins: held,
            ..SetStatus::default()
        });
    }
    sets
}

fn set_status(set: &VersionSet, weight: u32, state: &str, pins: u64) -> SetStatus {
    let mut edges = Vec::new();
    for (place, caller) in set.bundles().iter().enumerate() {
        for (import, edge) in caller.imports.iter().zip(set.edges(place)) {
            let Some(callee) = set.bundles().get(edge.callee) else {
                continue;
            };
            let export = callee.exports.get(edge.export);
            edges.push(EdgeStatus {
                caller: caller.id.to_string(),
                import: import.name.to_string(),
                callee: callee.id.to_string(),
                export: export.map_or(String::new(), |export| export.name.to_string()),
                range: import.range.to_string(),
            });
        }
    }
    SetStatus {
        digest: set.digest().to_string(),
        weight,
        state: state.to_owned(),
        pins,
        bundles: set
            .bundles()
            .iter()
            .map(|bundle| bundle.id.to_string())
            .collect(),
        edges,
    }
}

fn bundles(snapshot: &Snapshot, sets: &[SetStatus]) -> Vec<BundleStatus> {
    let status = |bundle: &Arc<isolith_versions::BundleFacts>| {
        let id = &bundle.id;
        let name = id.to_string();
        let naming = || sets.iter().filter(|set| set.bundles.contains(&name));
        let isolates = snapshot.shards.iter().flat_map(|shard| &shard.isolates);
        let isolates: Vec<_> = isolates
            .filter(|isolate| isolate.digest == id.digest)
            .collect();
        let serving = naming().any(|set| set.state == "serving");
        let state = match (isolates.is_empty(), serving) {
            (false, true) => "running",
            (false, false) => "draining",
            // Every shard of a set in force had one when it was wired.
            (true, true) => "failed",
            (true, false) => "loaded",
        };
        let mut error_kinds = BTreeMap::<String, u64>::new();
        let mut latency = Histogram::new();
        for isolate in &isolates {
            latency.add(&isolate.latency);
            for (kind, count) in &isolate.errors_by_kind {
                *error_kinds.entry((*kind).to_owned()).or_default() += count;
            }
        }
        let at = |quantile| latency.quantile(quantile).map_or(0, Bin::end_micros);
        BundleStatus {
            service: id.service.to_string(),
            version: id.version.to_string(),
            digest: id.digest.to_string(),
            state: state.to_owned(),
            native: bundle.native,
            isolates: isolates
                .iter()
                .map(|isolate| u32::from(isolate.is_loaded))
                .sum(),
            heap_bytes: isolates.iter().map(|isolate| isolate.heap_bytes).sum(),
            external_bytes: isolates.iter().map(|isolate| isolate.external_bytes).sum(),
            requests: isolates.iter().map(|isolate| isolate.requests).sum(),
            errors: isolates.iter().map(|isolate| isolate.errors).sum(),
            leases: naming().map(|set| set.pins).sum(),
            error_kinds,
            p50_micros: at(0.5),
            p99_micros: at(0.99),
            cpu_us: isolates
                .iter()
                .map(|isolate| isolate.cpu.as_micros() as u64)
                .sum(),
            ended: isolates.iter().map(|isolate| isolate.ended).sum(),
            held_back: isolates
                .iter()
                .map(|isolate| u32::from(isolate.gate.is_held()))
                .sum(),
            idle_evictions: isolates.iter().map(|isolate| isolate.idle_evictions).sum(),
        }
    };
    snapshot
        .layout
        .catalog
        .world()
        .bundles()
        .iter()
        .map(status)
        .collect()
}
