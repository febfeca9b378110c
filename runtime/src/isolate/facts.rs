//! What the glue's `attach` gets to know of a bundle and of the wire.

use serde::Serialize;

use super::IsolateLimits;
use super::wire::{IN_RING, OUT_RING, OUTBOX_BYTES, RECORD_STRIDE, RING_BYTES, RING_RECORDS};
use crate::limits::Limits;
use crate::program::Program;

/// What the glue's `attach` gets to know.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Facts<'a> {
    service: &'a str,
    version: String,
    digest: String,
    http: bool,
    imports: Vec<ImportFacts<'a>>,
    exports: Vec<ExportFacts<'a>>,
    /// Names of the bindings for outbound requests.
    fetches: Vec<&'a str>,
    vars: Vec<VarFacts<'a>>,
    secrets: Vec<VarFacts<'a>>,
    /// Whether it may compile WebAssembly.
    wasm: bool,
    config: Config,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImportFacts<'a> {
    name: &'a str,
    service: &'a str,
    interface_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportFacts<'a> {
    name: &'a str,
    class_name: &'a str,
    interface_id: String,
}

#[derive(Serialize)]
struct VarFacts<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    /// From one record to its next.
    record_words: usize,
    ring_records: usize,
    /// Where the rings begin, in words.
    in_ring: usize,
    out_ring: usize,
    /// Room that the outbox must have before a message is begun in it.
    small_bytes: usize,
    move_threshold_bytes: usize,
    message_bytes: usize,
    stream_window_bytes: usize,
}

impl<'a> Facts<'a> {
    pub(super) fn of(program: &'a Program, limits: &IsolateLimits) -> Self {
        Facts {
            service: program.id().service.as_str(),
            version: program.id().version.to_string(),
            digest: program.id().digest.to_string(),
            http: program.facts.http,
            imports: program
                .facts
                .imports
                .iter()
                .map(|import| ImportFacts {
                    name: &import.name,
                    service: import.service.as_str(),
                    interface_id: format!("{:016x}", import.interface),
                })
                .collect(),
            exports: program
                .facts
                .exports
                .iter()
                .zip(&program.classes)
                .map(|(export, class_name)| ExportFacts {
                    name: &export.name,
                    class_name,
                    interface_id: format!("{:016x}", export.interface),
                })
                .collect(),
            fetches: program
                .rules
                .bindings
                .iter()
                .map(|(name, _)| name.as_str())
                .collect(),
            vars: program
                .vars
                .iter()
                .map(|(name, value)| VarFacts { name, value })
                .collect(),
            secrets: program
                .secrets
                .iter()
                .map(|(name, secret)| VarFacts {
                    name,
                    value: secret.expose(),
                })
                .collect(),
            wasm: program.grants.wasm,
            config: Config::of(limits),
        }
    }
}

impl Config {
    fn of(limits: &IsolateLimits) -> Self {
        Config {
            record_words: RECORD_STRIDE,
            ring_records: RING_RECORDS,
            in_ring: IN_RING,
            out_ring: OUT_RING,
            small_bytes: limits.move_threshold_bytes,
            move_threshold_bytes: limits.move_threshold_bytes,
            message_bytes: limits.message_bytes,
            stream_window_bytes: limits.stream_window_bytes,
        }
    }
}

/// What the snapshot's warm-up gets to know of the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireFacts {
    ring_bytes: usize,
    outbox_bytes: usize,
    config: Config,
}

impl Default for WireFacts {
    fn default() -> Self {
        WireFacts {
            ring_bytes: RING_BYTES,
            outbox_bytes: OUTBOX_BYTES,
            config: Config::of(&IsolateLimits::from(&Limits::default())),
        }
    }
}
