//! What a bundle is, for people (`Display`) and programs (`Serialize`).

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::bundle::Bundle;
use crate::lock::Dependency;
use crate::manifest::Limits;

/// Everything about a bundle but its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The service's name.
    pub service: String,
    /// Its version.
    pub version: String,
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// Size of the file.
    pub size_bytes: usize,
    /// Whether it handles HTTP.
    pub http: bool,
    /// Whether its code is part of the process that serves it.
    pub native: bool,
    /// The public key that signed the file, `ed25519:` and 64 hex digits.
    pub signed_by: Option<String>,
    /// What it serves.
    pub exports: Vec<InspectedExport>,
    /// What it asks for.
    pub imports: Vec<InspectedImport>,
    /// Bindings for outbound requests, and the origins that those may go to.
    pub fetches: BTreeMap<String, Vec<String>>,
    /// Strings on `env`: the default, or nothing where the application must give a value.
    pub vars: BTreeMap<String, Option<String>>,
    /// Strings on `env` that the application must give from where it keeps secrets.
    pub secrets: Vec<String>,
    /// Bounds on what it may use; 0 stands for the runtime's default.
    pub limits: Limits,
    /// Its modules.
    pub modules: Vec<InspectedModule>,
    /// Size of the compiled interfaces.
    pub schema_bytes: usize,
    /// The npm packages whose code is in the modules.
    pub dependencies: Vec<Dependency>,
}

/// An interface that a bundle serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InspectedExport {
    /// Its name.
    pub name: String,
    /// `schema/auth.capnp:Auth`
    pub interface: String,
    /// The interface's type id, in hex: `@0x...`.
    pub interface_id: String,
    /// The class that serves it.
    pub class: String,
}

/// A binding that a bundle asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InspectedImport {
    /// The property of `env`.
    pub name: String,
    /// The service that must provide it.
    pub service: String,
    /// The versions of that service that will do.
    pub range: String,
    /// The provider's export, where one is named.
    pub export: Option<String>,
    /// `schema/auth.capnp:Auth`
    pub interface: String,
    /// The interface's type id, in hex: `@0x...`.
    pub interface_id: String,
}

/// A module of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InspectedModule {
    /// What an import names it by.
    pub specifier: String,
    /// Size of its source text.
    pub source_bytes: usize,
    /// Size of its source map.
    pub source_map_bytes: usize,
}

impl Inspection {
    /// Describes a bundle.
    pub fn of(bundle: &Bundle) -> Self {
        let exports = bundle.exports().iter().map(|export| InspectedExport {
            name: export.name.clone(),
            interface: export.interface_name.clone(),
            interface_id: format!("@0x{:016x}", export.interface),
            class: export.class.clone(),
        });
        let imports = bundle.imports().iter().map(|import| InspectedImport {
            name: import.name.clone(),
            service: import.service.to_string(),
            range: import.range.to_string(),
            export: import.export.clone(),
            interface: import.interface_name.clone(),
            interface_id: format!("@0x{:016x}", import.interface),
        });
        let fetches = bundle.fetches().iter().map(|(name, origins)| {
            let origins = origins.iter().map(ToString::to_string);
            (name.clone(), origins.collect())
        });
        let modules = bundle.modules().map(|module| InspectedModule {
            specifier: module.specifier.to_owned(),
            source_bytes: module.source.len(),
            source_map_bytes: module.source_map.len(),
        });
        Self {
            service: bundle.id().service.to_string(),
            version: bundle.id().version.to_string(),
            digest: bundle.digest().to_string(),
            size_bytes: bundle.file_bytes().len(),
            http: bundle.http(),
            native: bundle.native(),
            signed_by: bundle.signer().map(|signer| signer.to_string()),
            exports: exports.collect(),
            imports: imports.collect(),
            fetches: fetches.collect(),
            vars: bundle.vars().clone(),
            secrets: bundle.secrets().iter().cloned().collect(),
            limits: bundle.limits(),
            modules: modules.collect(),
            schema_bytes: bundle.schema().len(),
            dependencies: bundle.dependencies().to_vec(),
        }
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}@{}", self.service, self.version)?;
        writeln!(f, "  digest   {}", self.digest)?;
        writeln!(f, "  size     {}", size(self.size_bytes))?;
        writeln!(f, "  http     {}", if self.http { "yes" } else { "no" })?;
        if self.native {
            writeln!(f, "  code     native: part of the process that serves it")?;
        }
        writeln!(
            f,
            "  signed   {}",
            match &self.signed_by {
                Some(signer) => format!("by {signer}"),
                None => "no".to_owned(),
            }
        )?;
        let limit = |value: u32, unit: &str| match value {
            0 => "the runtime's default".to_owned(),
            value => format!("{value} {unit}"),
        };
        writeln!(
            f,
            "  cpu      {}",
            limit(self.limits.cpu_ms_per_request, "ms per request")
        )?;
        writeln!(f, "  heap     {}", limit(self.limits.heap_mib, "MiB"))?;
        let exports = self.exports.iter().map(|export| {
            [
                export.name.clone(),
                export.interface.clone(),
                match export.class.as_str() {
                    "" => String::new(),
                    class => format!("class {class}"),
                },
            ]
        });
        table(f, "exports", exports.collect())?;
        let imports = self.imports.iter().map(|import| {
            let export = import.export.as_ref().map(|export| format!(" {export}"));
            let provider = format!("{} {}", import.service, import.range);
            [
                import.name.clone(),
                provider + &export.unwrap_or_default(),
                import.interface.clone(),
            ]
        });
        table(f, "imports", imports.collect())?;
        let fetches = self
            .fetches
            .iter()
            .map(|(name, origins)| [name.clone(), origins.join(" "), String::new()]);
        table(f, "fetches", fetches.collect())?;
        let vars = self.vars.iter().map(|(name, default)| {
            let value = match default {
                Some(default) => format!("default {default:?}"),
                None => "required".to_owned(),
            };
            [name.clone(), value, String::new()]
        });
        let secrets = self
            .secrets
            .iter()
            .map(|name| [name.clone(), "secret".to_owned(), String::new()]);
        table(f, "vars", vars.chain(secrets).collect())?;
        let modules = self.modules.iter().map(|module| {
            let map = format!("source map {}", size(module.source_map_bytes));
            [module.specifier.clone(), size(module.source_bytes), map]
        });
        table(f, "modules", modules.collect())?;
        let dependencies = self.dependencies.iter().map(|dependency| {
            [&dependency.name, &dependency.version, &dependency.integrity].map(Clone::clone)
        });
        table(f, "npm packages", dependencies.collect())
    }
}

/// Rows in aligned columns under a heading; nothing if there are none.
fn table(f: &mut fmt::Formatter<'_>, heading: &str, rows: Vec<[String; 3]>) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let width = |column: fn(&[String; 3]) -> &String| {
        rows.iter()
            .map(|row| column(row).chars().count())
            .max()
            .unwrap_or_default()
    };
    let (first, second) = (width(|[a, ..]| a), width(|[_, b, _]| b));
    writeln!(f, "{heading}")?;
    for [a, b, c] in &rows {
        writeln!(
            f,
            "{}",
            format!("  {a:first$}  {b:second$}  {c}").trim_end()
        )?;
    }
    Ok(())
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{}.{} KiB", bytes / 1024, bytes % 1024 * 10 / 1024),
        _ => format!(
            "{}.{} MiB",
            bytes / 1_048_576,
            bytes % 1_048_576 * 10 / 1_048_576
        ),
    }
}
