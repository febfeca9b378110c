//! What a bundle says: how it becomes a message, and what a message must say to be one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use capnp::message::{self, SegmentArray};
use isolith_capnp::bundle_capnp::{bundle, var};
use isolith_versions::{
    BundleFacts, BundleId, Digest, ExportFact, ImportFact, Range, ServiceName, Version,
};

use super::{
    BundleError, Checked, FORMAT_VERSION, Signer, canonical, corrupt, range_in, reader_options,
    seal, segment,
};
use crate::lock::Dependency;
use crate::manifest::Limits;
use crate::origin::OriginRule;

/// The most entries that one list of a bundle may have.
const MAX_LIST_ENTRIES: u32 = 10_000;

/// Everything that a bundle says, to be written.
#[derive(Debug, Clone)]
pub struct Content {
    /// The service.
    pub service: ServiceName,
    /// Its version.
    pub version: Version,
    /// Whether the main module has a default export, which handles HTTP.
    pub http: bool,
    /// Whether its code is part of the process that serves it; then it has no modules.
    pub native: bool,
    /// The modules, the main one first.
    pub modules: Vec<ModuleContent>,
    /// What the service serves.
    pub exports: Vec<ExportContent>,
    /// What it asks for.
    pub imports: Vec<ImportContent>,
    /// Bindings for outbound requests, by name.
    pub fetches: Vec<(String, Vec<OriginRule>)>,
    /// Strings on `env`: the default, or `None` where the application must give a value.
    pub vars: BTreeMap<String, Option<String>>,
    /// Strings on `env` that the application must give from where it keeps secrets.
    pub secrets: BTreeSet<String>,
    /// Bounds on what it may use.
    pub limits: Limits,
    /// A `CodeGeneratorRequest` message, or nothing.
    pub schema: Vec<u8>,
    /// The npm packages in the modules.
    pub dependencies: Vec<Dependency>,
}

/// A module, to be written.
#[derive(Debug, Clone)]
pub struct ModuleContent {
    /// What an import names it by: `main.js`.
    pub specifier: String,
    /// ECMAScript.
    pub source: String,
    /// A source map as JSON, or nothing.
    pub source_map: String,
}

/// An interface that a bundle serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportContent {
    /// Its name: `AUTH`.
    pub name: String,
    /// The interface's type id.
    pub interface: u64,
    /// The interface, for people: `schema/auth.capnp:Auth`.
    pub interface_name: String,
    /// The class that the main module exports and that serves it.
    pub class: String,
}

/// A binding that a bundle asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportContent {
    /// The property of `env`: `AUTH`.
    pub name: String,
    /// The service that must provide it.
    pub service: ServiceName,
    /// The versions of that service that will do.
    pub range: Range,
    /// The provider's export, where it serves the interface under several names.
    pub export: Option<String>,
    /// The interface's type id.
    pub interface: u64,
    /// The interface, for people.
    pub interface_name: String,
}

impl Content {
    /// The bytes of the bundle file. The same content gives the same bytes.
    ///
    /// # Errors
    /// It is too large.
    pub fn encode(&self) -> Result<Vec<u8>, BundleError> {
        let bytes = [self.schema.len()].into_iter().chain(
            self.modules
                .iter()
                .map(|module| module.source.len() + module.source_map.len()),
        );
        // Checked before the message is built: it has limits of its own, and panics there.
        if bytes.sum::<usize>() > super::MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge);
        }
        let mut message = message::Builder::new_default();
        self.write(message.init_root());
        let content = canonical(message)?;
        let file = seal(&content, Digest::of(&content), &[], &[])?;
        match file.len() > super::MAX_BUNDLE_BYTES {
            true => Err(BundleError::TooLarge),
            false => Ok(file),
        }
    }

    fn write(&self, mut root: bundle::Builder<'_>) {
        root.set_format_version(FORMAT_VERSION);
        root.set_service(self.service.as_str());
        root.set_version(self.version.to_string());
        root.set_http(self.http);
        root.set_native(self.native);
        root.set_schema(&self.schema);
        let mut limits = root.reborrow().init_limits();
        limits.set_cpu_ms_per_request(self.limits.cpu_ms_per_request);
        limits.set_heap_mib(self.limits.heap_mib);

        let mut list = root.reborrow().init_modules(self.modules.len() as u32);
        for (index, module) in (0..).zip(&self.modules) {
            let mut entry = list.reborrow().get(index);
            entry.set_specifier(&module.specifier);
            entry.set_source(&module.source);
            entry.set_source_map(&module.source_map);
        }
        let mut list = root.reborrow().init_exports(self.exports.len() as u32);
        for (index, export) in (0..).zip(&self.exports) {
            let mut entry = list.reborrow().get(index);
            entry.set_name(&export.name);
            entry.set_interface_id(export.interface);
            entry.set_interface_name(&export.interface_name);
            entry.set_class_name(&export.class);
        }
        let mut list = root.reborrow().init_imports(self.imports.len() as u32);
        for (index, import) in (0..).zip(&self.imports) {
            let mut entry = list.reborrow().get(index);
            entry.set_name(&import.name);
            entry.set_service(import.service.as_str());
            entry.set_range(import.range.to_string());
            entry.set_export(import.export.as_deref().unwrap_or_default());
            entry.set_interface_id(import.interface);
            entry.set_interface_name(&import.interface_name);
        }
        if !self.fetches.is_empty() {
            let mut list = root.reborrow().init_fetches(self.fetches.len() as u32);
            for (index, (name, origins)) in (0..).zip(&self.fetches) {
                let mut entry = list.reborrow().get(index);
                entry.set_name(name);
                let mut texts = entry.init_origins(origins.len() as u32);
                for (index, origin) in (0..).zip(origins) {
                    texts.set(index, origin.to_string());
                }
            }
        }
        let vars = self.vars.len() + self.secrets.len();
        let mut list = root.reborrow().init_vars(vars as u32);
        for (index, name) in (self.vars.len() as u32..).zip(&self.secrets) {
            let mut entry = list.reborrow().get(index);
            entry.set_name(name);
            entry.set_secret(());
        }
        for (index, (name, default)) in (0..).zip(&self.vars) {
            let mut entry = list.reborrow().get(index);
            entry.set_name(name);
            match default {
                Some(default) => entry.set_default(default),
                None => entry.set_required(()),
            }
        }
        let mut list = root.init_dependencies(self.dependencies.len() as u32);
        for (index, dependency) in (0..).zip(&self.dependencies) {
            let mut entry = list.reborrow().get(index);
            entry.set_name(&dependency.name);
            entry.set_version(&dependency.version);
            entry.set_integrity(&dependency.integrity);
        }
    }
}

/// Checks the content message inside of `file`; leaves the file's words to the caller.
pub(super) fn check(
    file: &[u8],
    content: &[u8],
    digest: Digest,
    signer: Option<Signer>,
) -> Result<Checked, BundleError> {
    let segments = [segment(content)?];
    let options = reader_options(content.len());
    let message = message::Reader::new(SegmentArray::new(&segments), options);
    let root = message.get_root::<bundle::Reader<'_>>().map_err(corrupt)?;
    if root.get_format_version() != FORMAT_VERSION {
        return Err(BundleError::UnknownFormat(root.get_format_version()));
    }
    if !message.is_canonical().map_err(corrupt)? {
        return Err(BundleError::Invalid(
            "it is not in canonical form".to_owned(),
        ));
    }
    let service = ServiceName::new(text(root.get_service())?).map_err(invalid)?;
    let version = Version::parse(text(root.get_version())?).map_err(invalid)?;

    let mut modules = Vec::new();
    let list = root.get_modules().map_err(corrupt)?;
    for module in (0..bounded(list.len(), "modules")?).map(|index| list.get(index)) {
        let texts = [
            module.get_specifier(),
            module.get_source(),
            module.get_source_map(),
        ];
        let mut ranges = [0..0, 0..0, 0..0];
        for (range, value) in ranges.iter_mut().zip(texts) {
            *range = range_in(file, text(value)?.as_bytes());
        }
        modules.push(ranges);
    }
    match (root.get_native(), modules.is_empty()) {
        (false, true) => return Err(BundleError::Invalid("it has no module".to_owned())),
        (true, false) => {
            return Err(BundleError::Invalid(
                "it is native and has modules".to_owned(),
            ));
        }
        _ => {}
    }

    let mut exports = Vec::new();
    let list = root.get_exports().map_err(corrupt)?;
    for export in (0..bounded(list.len(), "exports")?).map(|index| list.get(index)) {
        exports.push(ExportContent {
            name: text(export.get_name())?.to_owned(),
            interface: export.get_interface_id(),
            interface_name: text(export.get_interface_name())?.to_owned(),
            class: text(export.get_class_name())?.to_owned(),
        });
    }
    unique("exports", exports.iter().map(|export| export.name.as_str()))?;

    let mut imports = Vec::new();
    let list = root.get_imports().map_err(corrupt)?;
    for import in (0..bounded(list.len(), "imports")?).map(|index| list.get(index)) {
        let export = text(import.get_export())?;
        imports.push(ImportContent {
            name: text(import.get_name())?.to_owned(),
            service: ServiceName::new(text(import.get_service())?).map_err(invalid)?,
            range: Range::new(text(import.get_range())?).map_err(invalid)?,
            export: (!export.is_empty()).then(|| export.to_owned()),
            interface: import.get_interface_id(),
            interface_name: text(import.get_interface_name())?.to_owned(),
        });
    }
    let mut fetches = Vec::new();
    let list = root.get_fetches().map_err(corrupt)?;
    for fetch in (0..bounded(list.len(), "fetches")?).map(|index| list.get(index)) {
        let origins = fetch.get_origins().map_err(corrupt)?;
        let rules = (0..bounded(origins.len(), "origins")?)
            .map(|index| text(origins.get(index))?.parse().map_err(invalid))
            .collect::<Result<Vec<OriginRule>, BundleError>>()?;
        fetches.push((text(fetch.get_name())?.to_owned(), rules));
    }
    let mut vars = Vec::new();
    let mut secrets = BTreeSet::new();
    let list = root.get_vars().map_err(corrupt)?;
    for var in (0..bounded(list.len(), "vars")?).map(|index| list.get(index)) {
        let default = match var.which() {
            Ok(var::Secret(())) => {
                if !secrets.insert(text(var.get_name())?.to_owned()) {
                    return Err(BundleError::Invalid("two vars have one name".to_owned()));
                }
                continue;
            }
            Ok(var::Required(())) => None,
            Ok(var::Default(default)) => Some(text(default)?.to_owned()),
            Err(_) => return Err(BundleError::Invalid("a var of unknown kind".to_owned())),
        };
        vars.push((text(var.get_name())?.to_owned(), default));
    }
    let bindings = imports
        .iter()
        .map(|import| &import.name)
        .chain(fetches.iter().map(|fetch| &fetch.0))
        .chain(vars.iter().map(|var| &var.0))
        .chain(&secrets);
    unique("imports and vars", bindings.map(String::as_str))?;

    let mut dependencies = Vec::new();
    let list = root.get_dependencies().map_err(corrupt)?;
    for dependency in (0..bounded(list.len(), "dependencies")?).map(|index| list.get(index)) {
        dependencies.push(Dependency {
            name: text(dependency.get_name())?.to_owned(),
            version: text(dependency.get_version())?.to_owned(),
            integrity: text(dependency.get_integrity())?.to_owned(),
        });
    }
    let limits = root.get_limits().map_err(corrupt)?;
    let schema = range_in(file, root.get_schema().map_err(corrupt)?);
    let id = BundleId {
        service,
        version,
        digest,
    };
    Ok(Checked {
        words: Vec::new(),
        facts: Arc::new(BundleFacts {
            http: root.get_http(),
            native: root.get_native(),
            ..facts(id, &exports, &imports)
        }),
        exports,
        imports,
        fetches,
        vars: vars.into_iter().collect(),
        secrets,
        limits: Limits {
            cpu_ms_per_request: limits.get_cpu_ms_per_request(),
            heap_mib: limits.get_heap_mib(),
        },
        dependencies,
        modules,
        schema,
        content: range_in(file, content),
        signer,
    })
}

fn facts(id: BundleId, exports: &[ExportContent], imports: &[ImportContent]) -> BundleFacts {
    let exports = exports.iter().map(|export| ExportFact {
        name: export.name.as_str().into(),
        interface: export.interface,
    });
    let imports = imports.iter().map(|import| ImportFact {
        name: import.name.as_str().into(),
        service: import.service.clone(),
        range: import.range.clone(),
        export: import.export.as_deref().map(Into::into),
        interface: import.interface,
    });
    BundleFacts {
        id,
        exports: exports.collect(),
        imports: imports.collect(),
        http: false,
        native: false,
    }
}

fn text(value: capnp::Result<capnp::text::Reader<'_>>) -> Result<&str, BundleError> {
    value.and_then(|text| Ok(text.to_str()?)).map_err(corrupt)
}

fn bounded(length: u32, what: &str) -> Result<u32, BundleError> {
    match length > MAX_LIST_ENTRIES {
        true => Err(BundleError::Invalid(format!(
            "it has more than {MAX_LIST_ENTRIES} {what}"
        ))),
        false => Ok(length),
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), BundleError> {
    let mut seen = HashSet::new();
    match names
        .into_iter()
        .find(|name| name.is_empty() || !seen.insert(*name))
    {
        Some(name) => Err(BundleError::Invalid(format!(
            "two {what} are named `{name}`"
        ))),
        None => Ok(()),
    }
}

fn invalid(error: impl std::fmt::Display) -> BundleError {
    BundleError::Invalid(error.to_string())
}
