//! Small programs from text, for the benchmark and the tests: no build, no files of their own.

use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use isolith_capnp::{javascript, model::Schema};
use isolith_versions::{
    BundleFacts, BundleId, Digest, Entry, ExportFact, ImportFact, Range, RoutingTable, ServiceName,
    VersionSet, World, solve,
};

use crate::config::Grants;
use crate::limits::Limits;
use crate::outbound::Rules;
use crate::program::Program;
use crate::shard::Shard;

type Error = Box<dyn std::error::Error>;

/// A program to be, in the words of a manifest.
#[derive(Clone)]
pub(crate) struct Sample<'a> {
    pub(crate) service: &'a str,
    pub(crate) version: &'a str,
    /// ECMAScript: the main module.
    pub(crate) source: &'a str,
    /// Name, interface, class.
    pub(crate) exports: &'a [(&'a str, &'a str, &'a str)],
    /// Name, service, range, interface.
    pub(crate) imports: &'a [(&'a str, &'a str, &'a str, &'a str)],
    pub(crate) http: bool,
}

/// The schema of all samples of one world.
pub(crate) struct SampleSchema(Schema);

impl SampleSchema {
    /// Compiles the text of a schema file.
    pub(crate) fn new(text: &str) -> Result<Self, Error> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("sample.capnp"), text)?;
        let bytes =
            isolith_capnp::schema::compile(folder.path(), &["sample.capnp"], &[] as &[&Path])?;
        Ok(SampleSchema(Schema::read(&bytes)?))
    }

    fn interface(&self, name: &str) -> Result<u64, Error> {
        let interface = self.0.interface(&format!("sample.capnp:{name}"));
        Ok(interface
            .ok_or_else(|| format!("no interface {name}"))?
            .0
            .id)
    }

    /// The program that `sample` describes.
    pub(crate) fn program(&self, sample: &Sample<'_>) -> Result<Arc<Program>, Error> {
        let mut interfaces = Vec::new();
        let mut exports = Vec::new();
        for (name, interface, _) in sample.exports {
            let interface = self.interface(interface)?;
            interfaces.push(interface);
            exports.push(ExportFact {
                name: (*name).into(),
                interface,
            });
        }
        let mut imports = Vec::new();
        for (name, service, range, interface) in sample.imports {
            let interface = self.interface(interface)?;
            interfaces.push(interface);
            imports.push(ImportFact {
                name: (*name).into(),
                service: ServiceName::new(service)?,
                range: Range::new(range)?,
                export: None,
                interface,
            });
        }
        interfaces.sort_unstable();
        interfaces.dedup();
        let text = format!("{}@{}\n{}", sample.service, sample.version, sample.source);
        Ok(Arc::new(Program {
            facts: Arc::new(BundleFacts {
                id: BundleId {
                    service: ServiceName::new(sample.service)?,
                    version: sample.version.parse()?,
                    digest: Digest::of(text.as_bytes()),
                },
                exports,
                imports,
                http: sample.http,
                native: false,
            }),
            source: sample.source.into(),
            source_map: None,
            bindings: Some(javascript::generate(&self.0, &interfaces)?.into()),
            compiled: OnceLock::new(),
            classes: sample
                .exports
                .iter()
                .map(|(_, _, class)| (*class).to_owned())
                .collect(),
            vars: Vec::new(),
            secrets: Vec::new(),
            rules: Rules::default(),
            // The samples' own: it reaches nothing outside of the isolate.
            grants: Grants {
                wasm: true,
                ..Grants::default()
            },
            cpu_ms_per_request: None,
            heap_mib: None,
            native: None,
        }))
    }
}

/// The set that the newest of `programs` make, reached from `entry`.
pub(crate) fn solve_samples(
    programs: &[Arc<Program>],
    entry: &str,
) -> Result<Arc<VersionSet>, Error> {
    let world = World::new(programs.iter().map(|program| Arc::clone(&program.facts)))?;
    let entry = Entry {
        service: ServiceName::new(entry)?,
        range: Range::any(),
    };
    Ok(Arc::new(solve(&world, &[entry], &|_| Ok(()))?))
}

/// A shard on this thread that serves `set` at epoch 1, its programs loaded.
///
/// Needs a tokio `LocalSet` around it if the programs use timers or bodies.
pub(crate) async fn serve_samples(
    programs: &[Arc<Program>],
    set: &Arc<VersionSet>,
    entry: &str,
    limits: Limits,
) -> Result<(Rc<Shard>, Arc<ArcSwap<RoutingTable>>), Error> {
    let routing = Arc::new(ArcSwap::from_pointee(RoutingTable::single(
        1,
        Arc::clone(set),
    )));
    let shard = Shard::new(
        0,
        limits,
        ServiceName::new(entry)?,
        Arc::clone(&routing),
        None,
    );
    for program in programs {
        shard.load(Arc::clone(program)).await?;
    }
    shard
        .wire(Arc::clone(set))
        .map_err(|digest| format!("{digest} is not loaded"))?;
    Ok((shard, routing))
}
