//! The application file `app.toml`: what to serve, where, and within which bounds.
//!
//! One parse finds every unknown key of a table that has a fixed name, with its line and the nearest
//! known one; of the others, and of wrong values, the first is reported. Everything has a default but
//! the name, the entry and the bundles.

mod control;
mod given;
mod rollouts;
mod routing;
mod rpc;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

pub(crate) use control::Control;
pub(crate) use given::{AllGiven, Given, Grants, Secret};
use given::{SecretSource, TrustConfig};
use isolith_services::{Problem, Problems};
use isolith_versions::{RolloutName, ServiceName};
pub(crate) use rollouts::{
    RolloutSettings, RolloutTable, Texts, default_alpha, default_min_requests, default_steps,
    parse_wait, parse_weight,
};
pub(crate) use routing::{OverrideGate, Routing, StickyKey};
pub(crate) use rpc::{Exported, Rpc, Tls};
use serde::de::{Deserialize, Deserializer, Error as _};
use toml::de::{DeTable, DeValue};

use crate::limits::Limits;
use crate::native::Natives;
use crate::trace::TraceSettings;

/// The largest application file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Bundle files that one application may name.
const MAX_BUNDLE_FILES: usize = 4096;

/// Every key there is, by table.
const KEYS: &[(&str, &[&str])] = &[
    ("app", &["name", "entry", "bundles", "data_dir"]),
    (
        "http",
        &[
            "listen",
            "max_body_bytes",
            "request_timeout_ms",
            "header_timeout_ms",
            "drain_timeout_ms",
            "max_connections",
            "debug_errors",
        ],
    ),
    ("routing", Routing::KEYS),
    ("rpc", Rpc::KEYS),
    ("trace", TraceSettings::KEYS),
    ("runtime", &["shards", "move_threshold_bytes"]),
    ("limits", Limits::KEYS),
    ("vars", &[]),
    ("secrets", &[]),
    ("grants", &[]),
    ("rollouts", &[]),
    ("trust", TrustConfig::KEYS),
    ("control", Control::KEYS),
];

/// Tables whose keys are names that people give.
const NAMED: [&str; 4] = ["vars", "secrets", "grants", "rollouts"];

/// A checked application file.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppConfig {
    pub(crate) app: App,
    #[serde(default)]
    pub(crate) http: Http,
    #[serde(default)]
    pub(crate) routing: Routing,
    /// `None`: clients outside have HTTP alone.
    rpc: Option<Rpc>,
    /// `None`: nothing is traced.
    pub(crate) trace: Option<TraceSettings>,
    #[serde(default)]
    pub(crate) runtime: Runtime,
    #[serde(default)]
    pub(crate) limits: Limits,
    /// Values of the variables that manifests declare, by service.
    #[serde(default, deserialize_with = "named")]
    pub(crate) vars: BTreeMap<ServiceName, BTreeMap<String, String>>,
    /// Where the secrets that manifests declare are kept, by service.
    #[serde(default, deserialize_with = "named")]
    secrets: BTreeMap<ServiceName, BTreeMap<String, SecretSource>>,
    /// Whose bundles are taken.
    #[serde(default)]
    trust: TrustConfig,
    /// Who may change what runs.
    #[serde(default)]
    pub(crate) control: Control,
    /// What services may do besides calling each other.
    #[serde(default, deserialize_with = "named")]
    grants: BTreeMap<ServiceName, Grants>,
    /// Rollouts that `isolith apply` starts, by name.
    #[serde(default, deserialize_with = "named")]
    pub(crate) rollouts: BTreeMap<RolloutName, RolloutTable>,
    /// Where the file is, as it was named.
    #[serde(skip)]
    file: PathBuf,
    /// Services that are part of the process, beside the file's bundles.
    #[serde(skip)]
    pub(crate) natives: Natives,
}

/// `[app]`
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct App {
    pub(crate) name: String,
    /// The service whose `fetch` handles HTTP.
    #[serde(deserialize_with = "parsed")]
    pub(crate) entry: ServiceName,
    /// Glob patterns, relative to the file.
    bundles: Vec<String>,
    /// Relative to the file.
    #[serde(default = "default_data_dir")]
    data_dir: PathBuf,
}

/// `[http]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    #[serde(deserialize_with = "listen")]
    pub(crate) listen: SocketAddr,
    /// A request body that is longer is refused with status 413.
    pub(crate) max_body_bytes: u64,
    /// From a request's admission to its response's head.
    #[serde(rename = "request_timeout_ms", deserialize_with = "millis")]
    pub(crate) request_timeout: Duration,
    /// How long a client may take to send a request's head, or pause in the middle of a body.
    #[serde(rename = "header_timeout_ms", deserialize_with = "millis")]
    pub(crate) header_timeout: Duration,
    /// How long requests in flight may take to end once the process was asked to stop.
    #[serde(rename = "drain_timeout_ms", deserialize_with = "millis")]
    pub(crate) drain_timeout: Duration,
    /// Open connections, all shards together; more wait in the kernel's queue.
    #[serde(deserialize_with = "within::<_, _, 1, 1_000_000>")]
    pub(crate) max_connections: usize,
    /// Whether clients see the messages of services' errors.
    pub(crate) debug_errors: bool,
}

/// `[runtime]`
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Runtime {
    /// Threads that run isolates; by default as many as there are cores.
    #[serde(deserialize_with = "within::<_, _, 1, 256>")]
    pub(crate) shards: usize,
    /// As [`crate::limits::Limits::move_threshold_bytes`].
    pub(crate) move_threshold_bytes: usize,
}

impl AppConfig {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// What is wrong with it, with the line and a hint.
    pub(crate) fn load(file: &Path) -> Result<Self, Problems> {
        let name = file.display().to_string();
        let fail = |message: String| {
            let hint = "name an application file, such as `isolith serve app.toml`";
            Problem::new(&*name, message, hint)
        };
        match std::fs::metadata(file) {
            Ok(meta) if meta.len() > MAX_FILE_BYTES => {
                return Err(fail(format!("is larger than {MAX_FILE_BYTES} bytes")).into());
            }
            Err(error) => return Err(fail(format!("cannot be read: {error}")).into()),
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(file)
            .map_err(|error| fail(format!("cannot be read: {error}")))?;
        let mut config = Self::parse(&name, &text)?;
        config.file = file.to_owned();
        Ok(config)
    }

    /// Checks the text of the file `name`; looks at no other file.
    fn parse(name: &str, text: &str) -> Result<Self, Problems> {
        let failed = |error: toml::de::Error| {
            let problem = Problem::new(name, error.message().trim_end(), "");
            Problems::from(problem.at(text, error.span().map_or(0, |span| span.start)))
        };
        let root = DeTable::parse(text).map_err(failed)?;
        let unknown = unknown_keys(name, text, root.get_ref());
        if !unknown.is_empty() {
            return Err(Problems(unknown));
        }
        let mut config: Self = toml::from_str(text).map_err(failed)?;
        if config.app.bundles.is_empty() {
            let hint = "name bundle files, such as `bundles = [\"dist/*.isolith\"]`";
            return Err(Problem::new(name, "[app] bundles names no file", hint).into());
        }
        if let Some(Err(reason)) = config.rpc.as_ref().map(Rpc::check) {
            return Err(Problem::new(name, format!("[rpc]: {reason}"), "").into());
        }
        for (rollout, table) in &mut config.rollouts {
            table.check().map_err(|error| {
                Problem::new(name, format!("[rollouts.{rollout}]: {error}"), "")
            })?;
        }
        Ok(config)
    }

    /// What each service is given. Reads the secrets.
    ///
    /// # Errors
    /// If a secret is not where the file says it is.
    pub(crate) fn given(&self) -> Result<AllGiven, Problems> {
        let mut all: BTreeMap<ServiceName, Given> = BTreeMap::new();
        for (service, vars) in &self.vars {
            all.entry(service.clone()).or_default().vars = vars.clone();
        }
        for (service, grants) in &self.grants {
            let given = all.entry(service.clone()).or_default();
            given.authorities = grants.authorities(&self.file, service)?;
            given.grants = grants.clone();
        }
        for (service, sources) in &self.secrets {
            let given = all.entry(service.clone()).or_default();
            for (name, source) in sources {
                let secret = source.read(&self.file, service, name)?;
                given.secrets.insert(name.clone(), secret);
            }
        }
        Ok(AllGiven {
            services: all,
            trust: self.trust.of(&self.file)?,
            most: (&self.limits).into(),
            natives: self.natives.clone(),
        })
    }

    /// Where bundles, the control socket and the process's lock are kept.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir().join(&self.app.data_dir)
    }

    /// `[rpc]`, its files found.
    pub(crate) fn rpc(&self) -> Option<Rpc> {
        let mut rpc = self.rpc.clone()?;
        let find = |file: &mut PathBuf| *file = self.dir().join(&*file);
        rpc.socket.iter_mut().for_each(find);
        if let Some(tls) = &mut rpc.tls {
            find(&mut tls.certificates);
            find(&mut tls.key);
            tls.client_authorities.iter_mut().for_each(find);
        }
        Some(rpc)
    }

    /// The file of the trace.
    pub(crate) fn trace_file(&self, settings: &TraceSettings) -> PathBuf {
        self.dir().join(&settings.file)
    }

    /// The bundle files that `[app] bundles` matches now, each once, sorted; those of rollouts are
    /// not among them.
    ///
    /// # Errors
    /// If a pattern is malformed or matches nothing.
    pub(crate) fn bundle_files(&self) -> Result<Vec<PathBuf>, Problems> {
        let mut files = self.matched(&self.app.bundles)?;
        let mut taken = BTreeSet::new();
        for name in self.rollouts.keys() {
            // A rollout that is over needs its files no more.
            taken.extend(self.rollout_files(name).unwrap_or_default());
        }
        files.retain(|file| !taken.contains(file));
        Ok(files)
    }

    /// The bundle files of a rollout, each once, sorted.
    ///
    /// # Errors
    /// If a pattern is malformed or matches nothing.
    pub(crate) fn rollout_files(&self, name: &RolloutName) -> Result<Vec<PathBuf>, Problems> {
        match self.rollouts.get(name) {
            Some(table) => self.matched(&table.bundles),
            None => Ok(Vec::new()),
        }
    }

    fn matched(&self, patterns: &[String]) -> Result<Vec<PathBuf>, Problems> {
        let name = self.file.display().to_string();
        let mut files = Vec::new();
        for pattern in patterns {
            let problem = |message: String, hint: &str| -> Problems {
                let text = std::fs::read_to_string(&self.file).unwrap_or_default();
                let problem = Problem::new(&*name, message, hint);
                match text.find(&format!("\"{pattern}\"")) {
                    Some(offset) => problem.at(&text, offset).into(),
                    None => problem.into(),
                }
            };
            let dir = glob::Pattern::escape(&self.dir().to_string_lossy());
            let full = Path::new(&dir).join(pattern);
            let paths = glob::glob(&full.to_string_lossy()).map_err(|error| {
                problem(format!("`{pattern}` is not a file pattern: {error}"), "")
            })?;
            let before = files.len();
            for path in paths.take(MAX_BUNDLE_FILES + 1) {
                files.push(path.map_err(|error| problem(error.to_string(), ""))?);
            }
            if files.len() == before {
                let message = format!("`{pattern}` matches no file in {}", self.dir().display());
                let hint = "build the bundles first: `isolith build DIR -o FILE`";
                return Err(problem(message, hint));
            }
            if files.len() > MAX_BUNDLE_FILES {
                let message = format!("the patterns match more than {MAX_BUNDLE_FILES} files");
                return Err(problem(message, "name fewer bundles"));
            }
        }
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The folder that the file is in.
    pub(crate) fn dir(&self) -> &Path {
        match self.file.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Http {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_body_bytes: 10 << 20,
            request_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            max_connections: 10_000,
            debug_errors: false,
        }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Runtime {
            shards: std::thread::available_parallelism().map_or(1, usize::from),
            move_threshold_bytes: Limits::default().move_threshold_bytes,
        }
    }
}

fn default_data_dir() -> PathBuf {
    "data".into()
}

/// One problem for each key that no table has.
fn unknown_keys(file: &str, text: &str, root: &DeTable<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut check = |table: &DeTable<'_>, place: &str, known: &[&str]| {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let message = format!("{place} has no key `{name}`");
                let problem = Problem::new(file, message, did_you_mean(name, known));
                problems.push(problem.at(text, key.span().start));
            }
        }
    };
    let tables: Vec<_> = KEYS.iter().map(|(table, _)| *table).collect();
    check(root, "the application file", &tables);
    for (name, known) in KEYS.iter().filter(|(name, _)| !NAMED.contains(name)) {
        if let Some(DeValue::Table(table)) = root.get(*name).map(|value| value.get_ref()) {
            check(table, &format!("[{name}]"), known);
        }
    }
    if let Some(DeValue::Table(rollouts)) = root.get("rollouts").map(|value| value.get_ref()) {
        for (name, value) in rollouts {
            if let DeValue::Table(table) = value.get_ref() {
                check(
                    table,
                    &format!("[rollouts.{}]", name.get_ref()),
                    RolloutTable::KEYS,
                );
            }
        }
    }
    problems.sort_by_key(|problem| problem.place);
    problems
}

fn did_you_mean(word: &str, known: &[&str]) -> String {
    let distance = |name: &&&str| strsim::damerau_levenshtein(word, name);
    match known.iter().min_by_key(distance) {
        Some(name) if distance(&name) <= name.len().div_ceil(3) => {
            format!("did you mean `{name}`?")
        }
        _ => format!("there are `{}`", known.join("`, `")),
    }
}

fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    String::deserialize(deserializer)?
        .parse()
        .map_err(D::Error::custom)
}

fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!(
            "`{text}` is not an address to listen on: write an IP address and a port, such as \
             `127.0.0.1:8080`, `0.0.0.0:80` or `[::1]:8080`; port 0 picks a free one"
        ))
    })
}

pub(crate) fn within<'de, D, T, const MIN: i64, const MAX: i64>(
    deserializer: D,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    let number = i64::deserialize(deserializer)?;
    let inside = Some(number).filter(|number| (MIN..=MAX).contains(number));
    inside
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| D::Error::custom(format!("{number} is not from {MIN} to {MAX}")))
}

/// For what need not be set.
pub(crate) fn some_within<'de, D, T, const MIN: i64, const MAX: i64>(
    deserializer: D,
) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    within::<D, T, MIN, MAX>(deserializer).map(Some)
}

/// A time of one millisecond to a day.
pub(crate) fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    within::<D, u64, 1, 86_400_000>(deserializer).map(Duration::from_millis)
}

/// A table whose keys are names.
fn named<'de, D, N, T>(deserializer: D) -> Result<BTreeMap<N, T>, D::Error>
where
    D: Deserializer<'de>,
    N: FromStr<Err: Display> + Ord,
    T: Deserialize<'de>,
{
    BTreeMap::<String, T>::deserialize(deserializer)?
        .into_iter()
        .map(|(name, value)| Ok((name.parse().map_err(D::Error::custom)?, value)))
        .collect()
}

#[cfg(test)]
mod tests;
