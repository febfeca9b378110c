//! The manifest `isolith.toml`: what a service is called, serves and asks for.
//!
//! The file is walked by hand over the TOML parser's spanned values instead of deriving
//! `Deserialize`, so that one look finds every mistake, each with its place and a hint.

mod reach;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range as Span;
use std::path::Path;

use isolith_versions::{Range, ServiceName, Version};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::origin::OriginRule;
use crate::problem::{Problem, Problems, did_you_mean};

/// The manifest's file name.
pub const MANIFEST_FILE: &str = "isolith.toml";

/// The largest manifest that is read, in bytes.
const MAX_MANIFEST_BYTES: u64 = 1024 * 1024;

/// A checked manifest. Its paths are relative to the folder that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The service's name.
    pub service: ServiceName,
    /// This version of it.
    pub version: Version,
    /// The main module's path: `src/main.ts`.
    pub main: String,
    /// What it serves, by name.
    pub exports: BTreeMap<String, Export>,
    /// What it asks for, by the name that the binding has on `env`.
    pub imports: BTreeMap<String, Import>,
    /// Outbound requests that it asks for: where they go, by the name of the binding on `env`.
    pub fetches: BTreeMap<String, Vec<OriginRule>>,
    /// Strings on `env`: the default, or `None` where the application must give a value.
    pub vars: BTreeMap<String, Option<String>>,
    /// Strings on `env` that the application must give from where it keeps secrets.
    pub secrets: BTreeSet<String>,
    /// Bounds on what it may use.
    pub limits: Limits,
    /// The file's text, for errors found later.
    text: String,
}

/// An interface that the service serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The interface.
    pub interface: InterfaceRef,
    /// The class that the main module exports and that serves it.
    pub class: String,
    /// Where the manifest names the class.
    class_span: Span<usize>,
}

/// A binding that the service asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The service that must provide it.
    pub service: ServiceName,
    /// The versions of that service that will do.
    pub range: Range,
    /// The interface.
    pub interface: InterfaceRef,
    /// The provider's export, where it serves the interface under several names.
    pub export: Option<String>,
}

/// `schema/auth.capnp:Auth`: a schema file and an interface in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceRef {
    /// The schema file's path, relative to the manifest.
    pub file: String,
    /// The interface's name, with dots where it is nested.
    pub name: String,
    /// Where the manifest says so.
    span: Span<usize>,
}

/// Bounds on what a bundle may use. 0 stands for the runtime's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Limits {
    /// CPU time of one request inside the bundle, in milliseconds.
    pub cpu_ms_per_request: u32,
    /// The isolate's JavaScript heap, in MiB.
    pub heap_mib: u32,
}

/// Reads tables and gathers mistakes on the way.
struct Reader<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

type Value<'t> = Spanned<DeValue<'t>>;

impl Manifest {
    /// Reads `isolith.toml` in `dir`.
    ///
    /// # Errors
    /// Every mistake in it, or that it cannot be read.
    pub fn load(dir: &Path) -> Result<Self, Problems> {
        let path = dir.join(MANIFEST_FILE);
        let fail = |message: String| {
            let hint = "a service's folder has an isolith.toml beside its package.json";
            Problems::from(Problem::new(MANIFEST_FILE, message, hint))
        };
        let size = std::fs::metadata(&path).map(|meta| meta.len());
        if size.is_ok_and(|size| size > MAX_MANIFEST_BYTES) {
            return Err(fail(format!("is larger than {MAX_MANIFEST_BYTES} bytes")));
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|error| fail(format!("cannot be read: {error}")))?;
        Self::parse(&text)
    }

    /// Checks a manifest's text. Files that it names are not looked at.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let root = DeTable::parse(text).map_err(|error| {
            let problem = Problem::new(MANIFEST_FILE, error.message().trim_end(), "");
            Problems::from(problem.at(text, error.span().map_or(0, |span| span.start)))
        })?;
        let mut reader = Reader {
            text,
            problems: Vec::new(),
        };
        let manifest = reader.manifest(root.get_ref());
        Problems::check(reader.problems)?;
        // Without problems every part is there; the hint is never seen.
        manifest.ok_or_else(|| Problem::new(MANIFEST_FILE, "is not a manifest", "").into())
    }

    /// A mistake about an interface that the manifest names.
    pub(crate) fn interface_problem(
        &self,
        interface: &InterfaceRef,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        Problem::new(MANIFEST_FILE, message, hint).at(&self.text, interface.span.start)
    }

    /// A mistake about the class of an export.
    pub(crate) fn class_problem(
        &self,
        export: &Export,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        Problem::new(MANIFEST_FILE, message, hint).at(&self.text, export.class_span.start)
    }

    /// A mistake about the main module.
    pub(crate) fn main_problem(
        &self,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        let problem = Problem::new(MANIFEST_FILE, message, hint);
        match self.text.find("main") {
            Some(offset) => problem.at(&self.text, offset),
            None => problem,
        }
    }
}

impl fmt::Display for InterfaceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.name)
    }
}

impl<'t> Reader<'t> {
    fn manifest(&mut self, root: &DeTable<'t>) -> Option<Manifest> {
        self.known_keys(
            root,
            "the manifest",
            &["service", "imports", "exports", "vars", "limits"],
        );
        let service = self.service(root);
        let mut exports = BTreeMap::new();
        for (name, span, value) in self.entries(root, "exports") {
            self.binding_name("export", &name, &span);
            if let Some(export) = self.export(&name, value) {
                exports.insert(name, export);
            }
        }
        let mut imports = BTreeMap::new();
        let mut fetches = BTreeMap::new();
        for (name, span, value) in self.entries(root, "imports") {
            self.binding_name("import", &name, &span);
            if let Some(origins) = self.fetch(&name, value) {
                fetches.insert(name, origins);
            } else if let Some(import) = self.import(&name, value) {
                imports.insert(name, import);
            }
        }
        let mut vars = BTreeMap::new();
        let mut secrets = BTreeSet::new();
        for (name, span, value) in self.entries(root, "vars") {
            self.binding_name("var", &name, &span);
            if imports.contains_key(&name) || fetches.contains_key(&name) {
                self.problem(
                    &span,
                    format!("`{name}` is both an import and a var"),
                    "both would be `env` properties: rename one",
                );
            }
            if value.get_ref().as_table().is_some_and(Self::is_secret) {
                secrets.insert(name);
            } else if let Some(var) = self.var(&name, value) {
                vars.insert(name, var);
            }
        }
        let limits = self.limits(root);
        let (service, version, main) = service?;
        let text = self.text.to_owned();
        Some(Manifest {
            service,
            version,
            main,
            exports,
            imports,
            fetches,
            vars,
            secrets,
            limits,
            text,
        })
    }

    fn service(&mut self, root: &DeTable<'t>) -> Option<(ServiceName, Version, String)> {
        let Some(value) = root.get("service") else {
            self.problem(
                &(0..0),
                "has no [service]",
                "begin with [service] and give `name`, `version` and `main`",
            );
            return None;
        };
        let table = self.table(value, "[service]")?;
        self.known_keys(table, "[service]", &["name", "version", "main"]);
        let name = self.required(table, value, "[service]", "name", "`name = \"auth\"`");
        let name = name.and_then(|(name, span)| self.checked(ServiceName::new(name), &span, ""));
        let version = self.required(
            table,
            value,
            "[service]",
            "version",
            "`version = \"1.0.0\"`",
        );
        let version = version.and_then(|(version, span)| {
            let parsed = Version::parse(version)
                .map_err(|error| format!("`{version}` is not a semver version: {error}"));
            self.checked(parsed, &span, "write three numbers, such as `1.4.0`")
        });
        let main = self.required(
            table,
            value,
            "[service]",
            "main",
            "`main = \"src/main.ts\"`",
        );
        let main = main.and_then(|(main, span)| {
            let main = main.strip_prefix("./").unwrap_or(main);
            let checked = match is_inside(main) {
                true => Ok(main.to_owned()),
                false => Err(format!(
                    "`{main}` is not a path inside the service's folder"
                )),
            };
            self.checked(
                checked,
                &span,
                "write it relative to isolith.toml, such as `src/main.ts`",
            )
        });
        Some((name?, version?, main?))
    }

    fn export(&mut self, name: &str, value: &Value<'t>) -> Option<Export> {
        let place = format!("[exports.{name}]");
        let table = self.table(value, &place)?;
        self.known_keys(table, &place, &["interface", "class"]);
        let interface = self.interface(table, value, &place);
        let class = self.required(
            table,
            value,
            &place,
            "class",
            "`class = \"AuthService\"`, a class that the main module exports",
        );
        let class = class.and_then(|(class, span)| {
            let checked = match is_identifier(class) && class != "default" {
                true => Ok(class.to_owned()),
                false => Err(format!("`{class}` is not a class name")),
            };
            let hint = "name a class that the main module exports, such as `AuthService`";
            self.checked(checked, &span, hint)
                .map(|class| (class, span))
        });
        let (class, class_span) = class?;
        Some(Export {
            interface: interface?,
            class,
            class_span,
        })
    }

    fn import(&mut self, name: &str, value: &Value<'t>) -> Option<Import> {
        let place = format!("[imports.{name}]");
        let table = self.table(value, &place)?;
        self.known_keys(
            table,
            &place,
            &["service", "version", "interface", "export", "fetch"],
        );
        let service = self.required(table, value, &place, "service", "`service = \"auth\"`");
        let service =
            service.and_then(|(service, span)| self.checked(ServiceName::new(service), &span, ""));
        let range = self.required(table, value, &place, "version", "`version = \"^2.1\"`");
        let range = range.and_then(|(range, span)| self.checked(Range::new(range), &span, ""));
        let interface = self.interface(table, value, &place);
        let export = match table.get("export") {
            Some(export) => Some(self.string(export, &place, "export")?.0.to_owned()),
            None => None,
        };
        Some(Import {
            service: service?,
            range: range?,
            interface: interface?,
            export,
        })
    }

    fn interface(
        &mut self,
        table: &DeTable<'t>,
        parent: &Value<'t>,
        place: &str,
    ) -> Option<InterfaceRef> {
        let form = "`interface = \"schema/auth.capnp:Auth\"`";
        let (text, span) = self.required(table, parent, place, "interface", form)?;
        let plain = text.strip_prefix("./").unwrap_or(text);
        let parts = plain.rsplit_once(':').filter(|(file, name)| {
            is_inside(file) && file.ends_with(".capnp") && name.split('.').all(is_identifier)
        });
        let checked = parts
            .map(|(file, name)| (file.to_owned(), name.to_owned()))
            .ok_or_else(|| format!("`{text}` does not name an interface"));
        let hint = "write a schema file in the service's folder, a colon and the interface: \
                    `schema/auth.capnp:Auth`";
        let (file, name) = self.checked(checked, &span, hint)?;
        Some(InterfaceRef { file, name, span })
    }

    fn var(&mut self, name: &str, value: &Value<'t>) -> Option<Option<String>> {
        match value.get_ref() {
            DeValue::String(default) => Some(Some(default.clone().into_owned())),
            DeValue::Table(table)
                if table.len() == 1
                    && table.get("required").and_then(|v| v.get_ref().as_bool()) == Some(true) =>
            {
                Some(None)
            }
            other => {
                self.problem(
                    &value.span(),
                    format!(
                        "[vars] {name} is neither a text nor required, but {}",
                        kind(other)
                    ),
                    format!(
                        "write `{name} = \"a default\"`, `{name} = {{ required = true }}` or `{name} = \
                         {{ secret = true }}`; vars are texts, so put numbers in quotes"
                    ),
                );
                None
            }
        }
    }

    fn limits(&mut self, root: &DeTable<'t>) -> Limits {
        let mut limits = Limits::default();
        let Some(table) = root
            .get("limits")
            .and_then(|value| self.table(value, "[limits]"))
        else {
            return limits;
        };
        self.known_keys(table, "[limits]", &["cpu_ms_per_request", "heap_mib"]);
        let mut number = |key: &str, range: std::ops::RangeInclusive<u32>, unit: &str| {
            let value = table.get(key)?;
            let number = match value.get_ref() {
                DeValue::Integer(number) => {
                    u32::from_str_radix(number.as_str(), number.radix()).ok()
                }
                _ => None,
            };
            let number = number.filter(|number| range.contains(number));
            if number.is_none() {
                self.problem(
                    &value.span(),
                    format!("[limits] {key} must be a whole number of {unit}"),
                    format!("from {} to {}", range.start(), range.end()),
                );
            }
            number
        };
        limits.cpu_ms_per_request =
            number("cpu_ms_per_request", 1..=3_600_000, "milliseconds").unwrap_or_default();
        limits.heap_mib = number("heap_mib", 4..=65_536, "MiB").unwrap_or_default();
        limits
    }

    /// The named entries of the table `key`, none if there is no such table.
    fn entries<'a>(
        &mut self,
        root: &'a DeTable<'t>,
        key: &str,
    ) -> Vec<(String, Span<usize>, &'a Value<'t>)> {
        root.get(key)
            .and_then(|value| self.table(value, &format!("[{key}]")))
            .map(|table| {
                let entry = |(name, value): (&Spanned<_>, &'a Value<'t>)| {
                    let text: &std::borrow::Cow<'t, str> = name.get_ref();
                    (text.clone().into_owned(), name.span(), value)
                };
                table.iter().map(entry).collect()
            })
            .unwrap_or_default()
    }

    fn binding_name(&mut self, what: &str, name: &str, span: &Span<usize>) {
        if !is_identifier(name) {
            let message = format!("the {what} name `{name}` is not a JavaScript name");
            let hint = "use letters, digits and underscores, such as `AUTH`";
            self.problem(span, message, hint);
        }
    }

    fn known_keys(&mut self, table: &DeTable<'t>, place: &str, known: &[&str]) {
        for key in table.keys() {
            let name = key.get_ref();
            if !known.contains(&name.as_ref()) {
                let hint = did_you_mean(name, known.iter().copied());
                self.problem(&key.span(), format!("{place} has no key `{name}`"), hint);
            }
        }
    }

    fn table<'a>(&mut self, value: &'a Value<'t>, place: &str) -> Option<&'a DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let message = format!("{place} is {}, not a table", kind(value.get_ref()));
            self.problem(
                &value.span(),
                message,
                format!("write `{place}` on a line of its own"),
            );
        }
        table
    }

    fn string<'a>(
        &mut self,
        value: &'a Value<'t>,
        place: &str,
        key: &str,
    ) -> Option<(&'a str, Span<usize>)> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            let message = format!("{place} {key} is {}, not a text", kind(value.get_ref()));
            self.problem(&value.span(), message, format!("write `{key} = \"...\"`"));
        }
        text.map(|text| (text, value.span()))
    }

    fn required<'a>(
        &mut self,
        table: &'a DeTable<'t>,
        parent: &Value<'t>,
        place: &str,
        key: &str,
        example: &str,
    ) -> Option<(&'a str, Span<usize>)> {
        match table.get(key) {
            Some(value) => self.string(value, place, key),
            None => {
                let message = format!("{place} has no `{key}`");
                self.problem(&parent.span(), message, format!("add {example}"));
                None
            }
        }
    }

    fn checked<T>(
        &mut self,
        result: Result<T, impl fmt::Display>,
        span: &Span<usize>,
        hint: &str,
    ) -> Option<T> {
        result
            .map_err(|error| self.problem(span, error.to_string(), hint))
            .ok()
    }

    fn problem(&mut self, span: &Span<usize>, message: impl Into<String>, hint: impl Into<String>) {
        let problem = Problem::new(MANIFEST_FILE, message, hint);
        self.problems.push(problem.at(self.text, span.start));
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Whether `name` can stand after `env.` and in an export list: ASCII, no digit first.
fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b'$')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
}

/// Whether `path` is relative, written with slashes and never leaves its folder.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', ':'])
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests;
