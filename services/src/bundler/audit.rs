//! Are a service's imports declared, inside its folder, and runnable in an isolate?

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use rolldown_error::BuildDiagnostic;

use super::{ReadModule, is_outside, problem};
use crate::package::{PackageJson, package_of};
use crate::problem::{Problem, Problems, relative};

/// Modules that Node has built in and an isolate has not.
const NODE_BUILTINS: &[&str] = &[
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "wasi",
    "worker_threads",
    "zlib",
];

/// What one import does wrong: the message, the hint and what to look for in the source.
type Mistake = (String, String, String);

/// Checks each import of the service's own modules, and those of the packages' modules whose code
/// is in the bundle (`files`). Gives warnings.
///
/// `left_imports` are the specifiers that the bundle itself still imports.
///
/// # Errors
/// Every import that is not declared, cannot be found, or has no place in an isolate.
pub(super) fn audit(
    dir: &Path,
    read: &[ReadModule],
    files: &[PathBuf],
    left_imports: &[impl AsRef<str>],
    unresolved: &[&BuildDiagnostic],
) -> Result<Vec<String>, Problems> {
    let own = PackageJson::load(dir)?;
    let used: HashSet<&Path> = files.iter().map(PathBuf::as_path).collect();
    let mut problems = Vec::new();
    let mut warnings = Vec::new();

    // Of each package the first mistake only: who cannot use it needs no list.
    let mut of_packages: BTreeMap<String, Problem> = BTreeMap::new();
    for diagnostic in unresolved {
        let importer = PathBuf::from(diagnostic.id().unwrap_or_default());
        let specifier = diagnostic.exporter().unwrap_or_default();
        let (message, hint) = explain(&specifier, &importer, dir, &own);
        let problem = Problem {
            message,
            hint,
            ..problem(dir, diagnostic)
        };
        match package_of(&importer) {
            None => problems.push(problem),
            Some((_, name)) if used.contains(importer.as_path()) => {
                let first = of_packages.entry(name).or_insert_with(|| problem.clone());
                *first = problem.min(first.clone());
            }
            Some(_) => {}
        }
    }
    problems.extend(of_packages.into_values());
    problems.extend(escapes(dir, read, |importer| used.contains(importer)));
    for module in read
        .iter()
        .filter(|module| Path::new(&module.id).is_absolute())
    {
        let importer = Path::new(&module.id);
        let package = package_of(importer);
        for imported in module
            .imports
            .iter()
            .map(Path::new)
            .filter(|path| path.is_absolute())
        {
            let target = package_of(imported).map(|(_, name)| name);
            match (&package, target) {
                _ if is_outside(dir, imported) => {}
                (None, Some(name)) if !own.may_import(&name) => {
                    let mistake = undeclared(name, &own);
                    problems.push(located(dir, importer, &module.source, mistake));
                }
                (Some((folder, name)), Some(target))
                    if *name != target
                        && used.contains(imported)
                        && !PackageJson::load(folder)
                            .is_ok_and(|json| json.may_import(&target)) =>
                {
                    warnings.push(format!(
                        "the package `{name}` imports `{target}` without declaring it; the one \
                         that happens to be installed is used"
                    ));
                }
                _ => {}
            }
        }
    }
    // Whatever is still imported would fail when an isolate loads the module.
    if let (Some(specifier), true) = (left_imports.first(), problems.is_empty()) {
        let specifier = specifier.as_ref();
        let importer = read
            .iter()
            .find(|module| module.imports.iter().any(|import| import == specifier));
        let (path, source) = importer.map_or((dir, ""), |module| {
            (Path::new(&module.id), module.source.as_str())
        });
        let (message, hint) = explain(specifier, path, dir, &own);
        let mistake = (message, hint, specifier.to_owned());
        problems.push(located(dir, path, source, mistake));
    }
    Problems::check(problems)?;
    warnings.dedup();
    Ok(warnings)
}

/// Imports that lead out of the service's folder: of its own modules, and of those modules of
/// packages that count.
pub(super) fn escapes(
    dir: &Path,
    read: &[ReadModule],
    counts: impl Fn(&Path) -> bool,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for module in read {
        let importer = Path::new(&module.id);
        let package = package_of(importer);
        if package.is_some() && !counts(importer) {
            continue;
        }
        let imports = module.imports.iter().map(Path::new);
        for imported in imports.filter(|imported| is_outside(dir, imported)) {
            let mut mistake = outside(imported, package.as_ref().map(|(_, name)| &**name));
            mistake.2 = link_to(imported, importer, &module.source).unwrap_or(mistake.2);
            problems.push(located(dir, importer, &module.source, mistake));
        }
    }
    problems
}

/// Why `specifier` cannot be had, and what to do.
fn explain(specifier: &str, importer: &Path, dir: &Path, own: &PackageJson) -> (String, String) {
    let package = package_of(importer).map(|(_, name)| name);
    let by = match &package {
        Some(name) => format!(" (imported by the package `{name}`)"),
        None => String::new(),
    };
    let bare = specifier.strip_prefix("node:").unwrap_or(specifier);
    let root = bare.split('/').next().unwrap_or_default();
    if specifier.starts_with("node:") || NODE_BUILTINS.contains(&root) {
        let message = format!("`{specifier}` is built into Node, not into isolates{by}");
        return (message, instead_of(root, package.is_some()).to_owned());
    }
    if specifier.starts_with("isolith:") {
        let hint = "constants and type ids can be imported from the schema files that the manifest \
                    names; all else of a schema is `import type { ... }`";
        return (format!("there is no `{specifier}`{by}"), hint.to_owned());
    }
    if specifier.contains("://") {
        let hint = "a bundle has no code from the network: install it as an npm package";
        return (format!("`{specifier}` is an address{by}"), hint.to_owned());
    }
    let scoped = specifier.starts_with('@');
    let name = specifier
        .split('/')
        .take(if scoped { 2 } else { 1 })
        .collect::<Vec<_>>()
        .join("/");
    let hint = if package.is_some() {
        format!("reinstall that package, or declare `{name}` in the service's package.json")
    } else if !own.may_import(&name) {
        format!("package.json declares no `{name}`: `npm install {name}`, if that is what is meant")
    } else if dir.join("node_modules").join(&name).is_dir() {
        format!("the package `{name}` is installed, but has no such module")
    } else {
        "package.json declares it, but it is not installed: run `npm ci`, or remove node_modules \
         and the build installs it"
            .to_owned()
    };
    (format!("cannot find `{specifier}`{by}"), hint)
}

/// What to use in place of a module of Node's.
fn instead_of(builtin: &str, in_package: bool) -> &'static str {
    match builtin {
        "crypto" => "use the global `crypto`, with `crypto.subtle` and `crypto.randomUUID`",
        "buffer" => "use Uint8Array, TextEncoder and TextDecoder",
        "url" | "querystring" => "use the globals `URL` and `URLSearchParams`",
        "util" => "use the globals `TextEncoder`, `TextDecoder` and `structuredClone`",
        "timers" => "use the globals `setTimeout` and `setInterval`",
        "stream" => "use the globals `ReadableStream`, `WritableStream` and `TransformStream`",
        "perf_hooks" => "use the global `performance`",
        "fs" | "path" => "an isolate has no file system: import data as a module, JSON say",
        "http" | "https" | "http2" | "net" | "tls" | "dns" | "dgram" => {
            "a service reaches what its manifest imports, and nothing else"
        }
        _ if in_package => "an isolate has the web's APIs: choose a package that needs no Node",
        _ => "an isolate has the web's APIs: use one of those",
    }
}

/// The mistake of importing a file that is not the service's.
fn outside(imported: &Path, by: Option<&str>) -> Mistake {
    let file = imported.file_name().unwrap_or_default().to_string_lossy();
    let (what, needle) = match package_of(imported) {
        Some((_, name)) => (format!("the package `{name}`"), name),
        None => (
            format!("`{file}`"),
            file.split('.').next().unwrap_or_default().to_owned(),
        ),
    };
    let hint = match by {
        Some(name) => format!(
            "a bundle is made from one folder, and `{name}` must not reach out of it: choose \
             another package"
        ),
        None => "a bundle is made from one folder, which symbolic links must not leave: copy the \
                 file into it, or install a package there"
            .to_owned(),
    };
    let message = format!("imports {what} from outside of the service's folder");
    (message, hint, needle)
}

/// How `importer` names the symbolic link through which it imports a file, if it does so.
fn link_to(imported: &Path, importer: &Path, source: &str) -> Option<String> {
    let folder = importer.parent()?;
    let texts = source.split(['"', '\'', '`']);
    let mut links = texts.filter(|text| folder.join(text).is_symlink());
    let link = links.find(|link| {
        folder
            .join(link)
            .canonicalize()
            .is_ok_and(|p| p == imported)
    });
    link.map(str::to_owned)
}

/// The mistake of importing a package that only happens to be installed.
fn undeclared(name: String, own: &PackageJson) -> Mistake {
    let hint = if own.dev_dependencies.contains_key(&name) {
        format!("it is a devDependency, which bundles leave out: `npm install --save-prod {name}`")
    } else {
        format!("it is installed because another package needs it: `npm install {name}`")
    };
    (
        format!("imports `{name}`, which package.json does not declare"),
        hint,
        name,
    )
}

fn located(dir: &Path, file: &Path, source: &str, (message, hint, needle): Mistake) -> Problem {
    let problem = Problem::new(relative(dir, file), message, hint);
    match import_offset(source, &needle) {
        Some(offset) => problem.at(source, offset),
        None => problem,
    }
}

/// Where `source` imports something whose specifier contains `needle`. Looked up in the text, as
/// rolldown tells positions only of what it cannot resolve.
fn import_offset(source: &str, needle: &str) -> Option<usize> {
    source.match_indices(needle).find_map(|(at, _)| {
        let line_start = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = source[line_start..at].trim_start();
        let quote = line_start + source[line_start..at].rfind(['"', '\'', '`'])?;
        let before = source[..quote].trim_end_matches([' ', '(', '\n']);
        let imported = ["from", "import", "require"]
            .iter()
            .any(|word| before.ends_with(word));
        let statement = before.rfind("import").map_or("", |start| &before[start..]);
        let other = line.starts_with("//") || statement.starts_with("import type ");
        (imported && !other).then_some(quote)
    })
}
