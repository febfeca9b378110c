//! From a main module to one ES module with everything in it.
//!
//! The work is rolldown's, in this process: it resolves npm packages as Node and the other
//! bundlers do (export maps, CommonJS, JSON), erases TypeScript's types, shakes the tree, inlines
//! dynamic imports and keeps exact source maps. Its parts alone (oxc's resolver and transformer)
//! would have left the linking of modules, with CommonJS interop and name clashes, to us.
//!
//! Packages are resolved with the conditions `isolith`, `worker`, `browser`, `module` and
//! `production`, next to `import` or `require` and `default`: an isolate offers the web's APIs and
//! neither Node's nor a DOM. `workerd` is not among them, as packages use it for that platform's
//! own modules. `process.env.NODE_ENV` is `"production"`.
//!
//! The result depends on the files in the service's folder alone: a tsconfig.json is honoured
//! there but not above, and no module from outside of the folder is read, whatever a package, an
//! alias or a symbolic link makes of an import.

mod audit;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rolldown::{
    BundlerBuilder, BundlerOptions, CodeSplittingMode, CommentsOptions, InputItem, OutputFormat,
    Platform, ResolveOptions, SourceMapType, TsConfig,
};
use rolldown_common::side_effects::HookSideEffects;
use rolldown_common::{ModuleInfo, ModuleType, NormalModule, Output, OutputChunk};
use rolldown_error::{BuildDiagnostic, DiagnosticOptions, EventKind};
use rolldown_plugin::{
    HookLoadArgs, HookLoadOutput, HookLoadReturn, HookNoopReturn, HookResolveIdArgs,
    HookResolveIdOutput, HookResolveIdReturn, HookUsage, Plugin, PluginContext,
    SharedLoadPluginContext,
};

use crate::problem::{Problem, Problems, relative};

/// What the bundler makes of a service.
#[derive(Debug)]
pub(crate) struct Bundled {
    /// One ES module that imports nothing.
    pub(crate) source: String,
    /// Its source map, as JSON, with the sources in it.
    pub(crate) source_map: String,
    /// The names that it exports.
    pub(crate) exports: Vec<String>,
    /// Files whose code is part of it, absolute.
    pub(crate) files: Vec<PathBuf>,
    /// What a person should know, but need not change.
    pub(crate) warnings: Vec<String>,
}

/// A module that the bundler has read.
#[derive(Debug)]
struct ReadModule {
    id: String,
    source: String,
    /// Absolute paths of files, or whatever stands for what could not be resolved.
    imports: Vec<String>,
}

/// Writes down each module that rolldown reads, keeps it from reading those outside of the
/// service's folder, and gives it those that are in no file.
#[derive(Debug)]
struct Recorder {
    /// The service's folder, without symbolic links.
    dir: PathBuf,
    read: Mutex<Vec<ReadModule>>,
    /// Sources by specifier.
    virtual_modules: BTreeMap<String, String>,
}

/// Stack of a bundler thread. Parsers recurse, and machine-written modules nest deeply.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Bundles the service in `dir`, an absolute path without symbolic links. `virtual_modules`:
/// sources, by specifier, of modules that can be imported besides.
///
/// Takes as many cores as there are; blocks until done.
///
/// # Errors
/// Every mistake found in the sources and what they import.
pub(crate) fn bundle(
    dir: &Path,
    main: &str,
    virtual_modules: BTreeMap<String, String>,
) -> Result<Bundled, Problems> {
    // A thread of its own, so that callers inside an async runtime can build too, and a panic in
    // the bundler becomes an error.
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .thread_stack_size(STACK_BYTES)
                .build()
                .map_err(|error| internal(&format!("no threads: {error}")))?;
            runtime.block_on(run(dir, main, virtual_modules))
        });
        thread
            .join()
            .unwrap_or_else(|_| Err(internal("the bundler panicked")))
    })
}

async fn run(
    dir: &Path,
    main: &str,
    virtual_modules: BTreeMap<String, String>,
) -> Result<Bundled, Problems> {
    let recorder = Arc::new(Recorder {
        dir: dir.to_owned(),
        read: Mutex::default(),
        virtual_modules,
    });
    let mut bundler = BundlerBuilder::default()
        .with_options(options(dir, main))
        .with_plugins(vec![Arc::clone(&recorder) as _])
        .build()
        .map_err(|errors| problems(dir, &errors))?;
    let output = bundler.generate().await;
    let read = std::mem::take(&mut *recorder.lock());
    let output = output.map_err(|errors| {
        // What else is wrong may follow from a module that was not read.
        let escapes = Problems::check(audit::escapes(dir, &read, |_| true));
        escapes.err().unwrap_or_else(|| problems(dir, &errors))
    })?;

    let mut chunks = output.assets.iter().filter_map(|asset| match asset {
        Output::Chunk(chunk) => Some(chunk),
        Output::Asset(_) => None,
    });
    let (Some(chunk), None) = (chunks.next(), chunks.next()) else {
        return Err(internal(
            "the bundler made not one module, but none or several",
        ));
    };
    let files = files_of(chunk);
    let (unresolved, other): (Vec<_>, Vec<_>) = output
        .warnings
        .iter()
        .partition(|warning| matches!(warning.kind(), EventKind::UnresolvedImport));
    let mut warnings = audit::audit(dir, &read, &files, &chunk.imports, &unresolved)?;
    warnings.extend(
        other
            .into_iter()
            .map(|warning| problem(dir, warning).to_string()),
    );
    warnings.sort();
    Ok(Bundled {
        source: chunk.code.clone(),
        source_map: chunk
            .map
            .as_ref()
            .map(|map| map.to_json_string())
            .unwrap_or_default(),
        exports: chunk.exports.iter().map(|name| name.to_string()).collect(),
        files,
        warnings,
    })
}

fn options(dir: &Path, main: &str) -> BundlerOptions {
    let tsconfig = dir.join("tsconfig.json");
    let conditions = ["isolith", "worker", "browser", "module", "production"];
    BundlerOptions {
        input: Some(vec![InputItem {
            name: Some("main".into()),
            import: format!("./{main}"),
        }]),
        cwd: Some(dir.to_owned()),
        dir: Some(dir.to_string_lossy().into_owned()),
        platform: Some(Platform::Browser),
        format: Some(OutputFormat::Esm),
        entry_filenames: Some("[name].js".to_owned().into()),
        sourcemap: Some(SourceMapType::Hidden),
        code_splitting: Some(CodeSplittingMode::Bool(false)),
        resolve: Some(ResolveOptions {
            condition_names: Some(conditions.map(str::to_owned).to_vec()),
            ..Default::default()
        }),
        tsconfig: Some(match tsconfig.is_file() {
            true => TsConfig::Manual(tsconfig),
            false => TsConfig::Auto(false),
        }),
        define: Some(
            [(
                "process.env.NODE_ENV".to_owned(),
                "\"production\"".to_owned(),
            )]
            .into_iter()
            .collect(),
        ),
        // Functions and classes keep their `name` where a clash forces another identifier on them.
        keep_names: Some(true),
        comments: Some(CommentsOptions {
            legal: true,
            annotation: false,
            jsdoc: false,
        }),
        ..Default::default()
    }
}

/// Whether `module` is a file that is not in `dir`, which has no symbolic links.
fn is_outside(dir: &Path, module: &Path) -> bool {
    let real = module.canonicalize();
    module.is_absolute() && !real.as_deref().unwrap_or(module).starts_with(dir)
}

/// The real files among a chunk's modules that left code in it.
fn files_of(chunk: &OutputChunk) -> Vec<PathBuf> {
    let modules = chunk.modules.keys.iter().zip(&chunk.modules.values);
    modules
        .filter(|(_, module)| module.rendered_length() > 0)
        .map(|(id, _)| PathBuf::from(id.as_str()))
        .filter(|path| path.is_absolute())
        .collect()
}

fn problems(dir: &Path, errors: &[BuildDiagnostic]) -> Problems {
    match Problems::check(errors.iter().map(|error| problem(dir, error)).collect()) {
        Err(problems) => problems,
        Ok(()) => internal("the bundler failed without saying why"),
    }
}

/// A rolldown diagnostic in our words.
fn problem(dir: &Path, diagnostic: &BuildDiagnostic) -> Problem {
    let options = DiagnosticOptions {
        cwd: dir.to_owned(),
    };
    let place = diagnostic
        .to_diagnostic_with(&options)
        .get_primary_location();
    let message = diagnostic.to_message_with(&options);
    let file = match &place {
        Some((file, ..)) => file.clone(),
        None => diagnostic.id().unwrap_or_else(|| ".".to_owned()),
    };
    Problem {
        file: relative(dir, Path::new(&file)),
        place: place.map(|(_, line, column, _)| (line, column + 1)),
        message,
        hint: String::new(),
    }
}

fn internal(message: &str) -> Problems {
    let hint = "this is a fault of the build, not of the service: please report it";
    Problem::new(".", message, hint).into()
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Vec<ReadModule>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plugin for Recorder {
    fn name(&self) -> Cow<'static, str> {
        "isolith".into()
    }

    async fn module_parsed(
        &self,
        _: &PluginContext,
        info: Arc<ModuleInfo>,
        _: &NormalModule,
    ) -> HookNoopReturn {
        let imports = info
            .imported_ids
            .iter()
            .chain(&info.dynamically_imported_ids);
        let module = ReadModule {
            id: info.id.to_string(),
            source: info
                .code
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            imports: imports.map(ToString::to_string).collect(),
        };
        self.lock().push(module);
        Ok(())
    }

    async fn resolve_id(
        &self,
        _: &PluginContext,
        args: &HookResolveIdArgs<'_>,
    ) -> HookResolveIdReturn {
        let is_ours = self.virtual_modules.contains_key(args.specifier);
        Ok(is_ours.then(|| HookResolveIdOutput::from_id(args.specifier)))
    }

    async fn load(&self, _: SharedLoadPluginContext, args: &HookLoadArgs<'_>) -> HookLoadReturn {
        if let Some(source) = self.virtual_modules.get(args.id) {
            return Ok(Some(HookLoadOutput {
                code: source.as_str().into(),
                module_type: Some(ModuleType::Js),
                side_effects: Some(HookSideEffects::False),
                ..HookLoadOutput::default()
            }));
        }
        // An empty module in its place: its importers are refused, once all of them are known.
        Ok(is_outside(&self.dir, Path::new(args.id)).then(HookLoadOutput::default))
    }

    fn register_hook_usage(&self) -> HookUsage {
        HookUsage::ModuleParsed | HookUsage::ResolveId | HookUsage::Load
    }
}

#[cfg(test)]
mod tests;
