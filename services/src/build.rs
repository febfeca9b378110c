//! From a service's folder to a bundle.
//!
//! The bytes depend on the folder's files alone: not on where it lies, the time, the environment
//! or the machine. The environment only says where packages are downloaded from and cached.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use isolith_capnp::javascript;
use isolith_capnp::model::Schema;
use isolith_capnp::schema::{self, SchemaError};

use crate::bundle::{
    BUNDLE_EXTENSION, Bundle, BundleError, Content, ExportContent, ImportContent, ModuleContent,
};
use crate::bundler::{self, Bundled};
use crate::install::{self, Env, InstallError};
use crate::lock::{self, Dependency, LOCK_FILE, LockFile};
use crate::manifest::{InterfaceRef, Manifest};
use crate::package::PackageJson;
use crate::problem::{Problem, Problems, did_you_mean};
use crate::store;

/// What the main module is called inside of every bundle.
pub const MAIN_MODULE: &str = "main.js";

/// What a build needs besides the folder.
pub struct BuildOptions<'a> {
    /// npm's configuration and the cache's place are taken from here.
    pub env: Env,
    /// Gets lines for people about steps that take long.
    pub progress: &'a (dyn Fn(&str) + Sync),
}

/// A finished build, in memory.
#[derive(Debug)]
pub struct BuildOutput {
    /// The bundle.
    pub bundle: Bundle,
    /// What its author should know.
    pub warnings: Vec<String>,
}

/// Why a service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Mistakes in the service's files, each with its place and a hint.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// The npm packages could not be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// A schema file is wrong.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The result cannot be a bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The disk failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl BuildOptions<'static> {
    /// The environment of this process, and no progress.
    pub fn from_process() -> Self {
        let text = |value: std::ffi::OsString| value.into_string().ok();
        let env = std::env::vars_os().filter_map(|(key, value)| Some((text(key)?, text(value)?)));
        Self {
            env: env.collect(),
            progress: &|_| {},
        }
    }
}

impl BuildOutput {
    /// `auth-1.4.0.isolith`
    pub fn file_name(&self) -> String {
        let id = self.bundle.id();
        format!("{}-{}.{BUNDLE_EXTENSION}", id.service, id.version)
    }

    /// Writes the bundle, whole or not at all, to `path`, or else to `dist` in the service's
    /// folder `dir`. Gives the path.
    ///
    /// # Errors
    /// [`BuildError::Disk`].
    pub fn write(&self, dir: &Path, path: Option<&Path>) -> Result<PathBuf, BuildError> {
        let path = path.map_or_else(|| dir.join("dist").join(self.file_name()), Path::to_owned);
        store::write_atomically(&path, self.bundle.file_bytes())
            .map_err(disk("write the bundle", &path))?;
        Ok(path)
    }
}

/// Builds the service in `dir`. Writes nothing there, save `node_modules` where that is absent.
///
/// Blocks; takes a fraction of a second, and as long as downloads take where they are needed.
/// Must not be called by something that needs standard error at the same time: compiling schemas
/// borrows it.
///
/// # Errors
/// [`BuildError`]: all mistakes of the first step that finds any.
pub fn build(dir: &Path, options: &BuildOptions<'_>) -> Result<BuildOutput, BuildError> {
    let dir = dir
        .canonicalize()
        .map_err(disk("find the service's folder", dir))?;
    let manifest = Manifest::load(&dir)?;
    let main = dir.join(&manifest.main);
    if !main
        .canonicalize()
        .is_ok_and(|path| path.starts_with(&dir) && path.is_file())
    {
        let message = format!("there is no file {} in the service's folder", manifest.main);
        let hint = "`main` names the module that exports the service's classes and its `fetch`";
        return Err(Problems::from(manifest.main_problem(message, hint)).into());
    }
    let schema = compile_schemas(&dir, &manifest)?;
    let lock = packages(&dir, options)?;
    let bundled = bundler::bundle(&dir, &manifest.main, schema.modules)?;
    let inlined = lock::inlined(&dir, lock.as_ref(), &bundled.files)?;
    install::check_unaltered(&inlined, &options.env)?;
    check_classes(&manifest, &bundled)?;

    let dependencies: BTreeSet<Dependency> = inlined
        .into_iter()
        .map(|package| package.dependency)
        .collect();
    let http = bundled.exports.iter().any(|name| name == "default");
    let mut warnings = bundled.warnings;
    if !http && manifest.exports.is_empty() {
        warnings.push(format!(
            "{} serves nothing: it has neither [exports] nor `export default {{ fetch }}`",
            manifest.service
        ));
    }
    let content = Content {
        service: manifest.service,
        version: manifest.version,
        http,
        native: false,
        modules: vec![ModuleContent {
            specifier: MAIN_MODULE.to_owned(),
            source: bundled.source,
            source_map: bundled.source_map,
        }],
        exports: schema.exports,
        imports: schema.imports,
        fetches: manifest.fetches.into_iter().collect(),
        vars: manifest.vars,
        secrets: manifest.secrets,
        limits: manifest.limits,
        schema: schema.bytes,
        dependencies: dependencies.into_iter().collect(),
    };
    // Read back: what a build gives out has passed the same checks as what a runtime loads.
    let bundle = Bundle::read(&content.encode()?)?;
    Ok(BuildOutput { bundle, warnings })
}

/// A service's interfaces, compiled.
#[derive(Debug)]
pub struct CompiledSchemas {
    /// A `CodeGeneratorRequest` message; empty if the manifest names no interface.
    pub bytes: Vec<u8>,
    /// Modules with its constants and type ids, by the specifiers that they are imported by.
    pub modules: BTreeMap<String, String>,
    /// What the manifest exports, with type ids, by name.
    pub exports: Vec<ExportContent>,
    /// What the manifest imports, with type ids, by name.
    pub imports: Vec<ImportContent>,
}

/// Compiles all schema files that the manifest of the service in `dir` names.
///
/// # Errors
/// A file that is missing or wrong, and interfaces that are in none.
pub fn compile_schemas(dir: &Path, manifest: &Manifest) -> Result<CompiledSchemas, BuildError> {
    let exported = manifest.exports.values().map(|export| &export.interface);
    let refs: Vec<&InterfaceRef> = exported
        .chain(manifest.imports.values().map(|import| &import.interface))
        .collect();
    let mut compiled = CompiledSchemas {
        bytes: Vec::new(),
        modules: BTreeMap::new(),
        exports: Vec::new(),
        imports: Vec::new(),
    };
    if refs.is_empty() {
        return Ok(compiled);
    }
    let missing = refs.iter().filter(|interface| {
        let file = dir.join(&interface.file).canonicalize();
        let real_dir = dir.canonicalize();
        !file.is_ok_and(|file| file.is_file() && real_dir.is_ok_and(|dir| file.starts_with(dir)))
    });
    let missing = missing.map(|interface| {
        let message = format!(
            "there is no schema file {} in the service's folder",
            interface.file
        );
        let hint = "a caller keeps a copy of its provider's schema file, with the same file id";
        manifest.interface_problem(interface, message, hint)
    });
    Problems::check(missing.collect())?;

    let files: BTreeSet<&str> = refs
        .iter()
        .map(|interface| interface.file.as_str())
        .collect();
    let files: Vec<&str> = files.into_iter().collect();
    compiled.bytes = schema::compile(dir, &files, &[] as &[&Path])?;
    let model = Schema::read(&compiled.bytes)
        .map_err(|error| Problem::new(files.join(", "), error.to_string(), ""))
        .map_err(Problems::from)?;
    compiled.modules = javascript::modules(&model);
    let mut problems = Vec::new();
    let mut id_of = |interface: &InterfaceRef| match model.interface(&interface.to_string()) {
        Some((node, _)) => node.id,
        None => {
            let known: Vec<&str> = model
                .interfaces()
                .filter(|(node, _)| node.file() == interface.file)
                .map(|(node, _)| node.path())
                .collect();
            let message = format!("{} has no interface `{}`", interface.file, interface.name);
            let hint = did_you_mean(&interface.name, known.iter().copied());
            problems.push(manifest.interface_problem(interface, message, hint));
            0
        }
    };
    for (name, export) in &manifest.exports {
        compiled.exports.push(ExportContent {
            name: name.clone(),
            interface: id_of(&export.interface),
            interface_name: export.interface.to_string(),
            class: export.class.clone(),
        });
    }
    for (name, import) in &manifest.imports {
        compiled.imports.push(ImportContent {
            name: name.clone(),
            service: import.service.clone(),
            range: import.range.clone(),
            export: import.export.clone(),
            interface: id_of(&import.interface),
            interface_name: import.interface.to_string(),
        });
    }
    Problems::check(problems)?;
    Ok(compiled)
}

/// Reads the lock file, and installs what it names if nothing is installed.
fn packages(dir: &Path, options: &BuildOptions<'_>) -> Result<Option<LockFile>, BuildError> {
    let lock = LockFile::load(dir)?;
    let package = PackageJson::load(dir)?;
    let declared: BTreeMap<_, _> = package
        .dependencies
        .iter()
        .chain(&package.optional_dependencies)
        .collect();
    let Some(lock) = lock else {
        return match declared.is_empty() {
            true => Ok(None),
            false => Err(Problems::from(Problem::new(
                LOCK_FILE,
                "is missing, but package.json has dependencies",
                "write it with `npm install --package-lock-only` and keep it with the sources",
            ))
            .into()),
        };
    };
    let absent = fs::symlink_metadata(dir.join("node_modules")).is_err();
    if absent && !declared.is_empty() {
        install::install(dir, &lock, &options.env, options.progress)?;
    }
    Ok(Some(lock))
}

/// Each exported interface needs its class.
fn check_classes(manifest: &Manifest, bundled: &Bundled) -> Result<(), Problems> {
    let exported = bundled.exports.iter().map(String::as_str);
    let missing = manifest
        .exports
        .values()
        .filter(|export| !exported.clone().any(|name| name == export.class));
    let problems = missing.map(|export| {
        let message = format!("{} does not export `{}`", manifest.main, export.class);
        let candidates = exported.clone().filter(|name| *name != "default");
        let hint = match candidates.clone().next() {
            Some(_) => did_you_mean(&export.class, candidates),
            None => format!("write `export class {} {{ ... }}` there", export.class),
        };
        manifest.class_problem(export, message, hint)
    });
    Problems::check(problems.collect())
}

fn disk<'p>(action: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> BuildError + 'p {
    move |source| BuildError::Disk {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
