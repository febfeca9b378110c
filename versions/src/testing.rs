//! Worlds written as text, for tests.

use std::sync::Arc;

use crate::*;

/// One bundle per line, as `frontend@3.2.0 -> auth ^2.1; NEW=auth >=2, <3`. Each bundle exports one
/// interface, named and numbered after its service.
pub(crate) fn bundles(text: &str) -> Vec<Arc<BundleFacts>> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(bundle)
        .collect()
}

pub(crate) fn world(text: &str) -> World {
    World::new(bundles(text)).unwrap()
}

/// Entries as `frontend *; admin ^1`.
pub(crate) fn entries(text: &str) -> Vec<Entry> {
    let entry = |text: &str| {
        let (service, range) = text.trim().split_once(' ').unwrap();
        Entry {
            service: service.parse().unwrap(),
            range: range.parse().unwrap(),
        }
    };
    text.split(';').map(entry).collect()
}

/// The set for these entries and bundles, all schemas compatible.
pub(crate) fn set(wanted: &str, text: &str) -> VersionSet {
    solve(&world(text), &entries(wanted), &|_| Ok(())).unwrap()
}

fn bundle(line: &str) -> Arc<BundleFacts> {
    let (id, imports) = line.split_once("->").unwrap_or((line, ""));
    let (service, version) = id.trim().split_once('@').unwrap();
    let import = |text: &str| {
        let (provider, range) = text.trim().split_once(' ').unwrap();
        let (name, provider) = match provider.split_once('=') {
            Some((name, provider)) => (name.to_owned(), provider),
            None => (provider.to_uppercase(), provider),
        };
        ImportFact {
            name: name.into(),
            service: provider.parse().unwrap(),
            range: range.parse().unwrap(),
            export: None,
            interface: interface(provider),
        }
    };
    Arc::new(BundleFacts {
        id: BundleId {
            service: service.parse().unwrap(),
            version: version.parse().unwrap(),
            digest: Digest::of(line.as_bytes()),
        },
        exports: vec![ExportFact {
            name: service.to_uppercase().into(),
            interface: interface(service),
        }],
        imports: imports
            .split(';')
            .filter(|text| !text.trim().is_empty())
            .map(import)
            .collect(),
        http: false,
        native: false,
    })
}

fn interface(service: &str) -> u64 {
    service.bytes().fold(0x8000_0000_0000_0000, |id, byte| {
        id << 8 | u64::from(byte) | 1 << 63
    })
}

/// Sets of two versions of one service.
pub(crate) fn two_sets() -> (Arc<VersionSet>, Arc<VersionSet>) {
    (
        Arc::new(set("a *", "a@1.0.0")),
        Arc::new(set("a *", "a@2.0.0")),
    )
}

/// Chance that is the same in every run (splitmix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// At least 0 and below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
