//! Installs npm packages from a lock file, without npm.
//!
//! Exactly what package-lock.json names is downloaded from the registry that npm is configured
//! for, checked against its integrity hash, and laid out as npm would. No script of a package is
//! ever run, no command is linked, and what a service needs only for development is left out. The
//! layout appears all at once: `node_modules` is either absent or complete.
//!
//! Tarballs are cached by their hash, in `$ISOLITH_CACHE_DIR`, else `$XDG_CACHE_HOME/isolith`,
//! else `~/.cache/isolith`.

mod npmrc;
pub(crate) mod tarball;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ssri::Integrity;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

pub use npmrc::Env;
use npmrc::Npmrc;
use tarball::MAX_TARBALL_BYTES;

use crate::lock::{Inlined, LOCK_FILE, LockFile, LockedPackage};
use crate::problem::{Problem, Problems};

/// Downloads at the same time.
const MAX_PARALLEL_DOWNLOADS: usize = 8;
/// Tries per tarball, the first one included.
const MAX_DOWNLOAD_TRIES: u32 = 3;
/// The longest that one try may take.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(180);

/// Why packages could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The lock file asks for what is not done here.
    #[error(transparent)]
    Refused(#[from] Problems),
    /// A tarball could not be had.
    #[error(
        "cannot download `{name}` {version} from {url}: {reason}; is npm's `registry` in .npmrc \
         right, and can this machine reach it?"
    )]
    Download {
        /// The package.
        name: String,
        /// Its version.
        version: String,
        /// The tarball's address.
        url: String,
        /// What went wrong in the last try.
        reason: String,
    },
    /// A tarball is not what the lock file promises, or is not a tarball.
    #[error("the tarball of `{name}` {version} {reason}: do not use it before you know why")]
    Tarball {
        /// The package.
        name: String,
        /// Its version.
        version: String,
        /// What is wrong with it.
        reason: String,
    },
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

/// A package to install.
#[derive(Debug)]
struct Wanted<'l> {
    /// `node_modules/zod`
    path: &'l str,
    name: &'l str,
    version: &'l str,
    url: String,
    integrity: Integrity,
}

/// Tarballs by hash.
#[derive(Debug)]
struct Cache(PathBuf);

/// Installs what `lock` names into `dir/node_modules`, which must not exist, and says how many
/// packages that were. `progress` gets lines for people.
///
/// Blocks until done; at most [`MAX_PARALLEL_DOWNLOADS`] downloads run at a time.
///
/// # Errors
/// [`InstallError`]; `node_modules` is then still absent.
pub fn install(
    dir: &Path,
    lock: &LockFile,
    env: &Env,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<usize, InstallError> {
    let npmrc = Npmrc::load(dir, env);
    let wanted = wanted(lock, &npmrc)?;
    let cache = Cache::new(env);
    let agent = agent(&npmrc)?;
    let staging = tempfile::Builder::new()
        .prefix(".node_modules-")
        .tempdir_in(dir)
        .map_err(disk("make a folder in", dir))?;
    progress(&format!(
        "installing {} npm packages from {LOCK_FILE}",
        wanted.len()
    ));

    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let failed = || failure.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..MAX_PARALLEL_DOWNLOADS.min(wanted.len()) {
            scope.spawn(|| {
                while let Some(package) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let done = one(package, &cache, &agent, &npmrc, staging.path(), progress);
                    if let Err(error) = done {
                        next.store(wanted.len(), Ordering::Relaxed);
                        failed().get_or_insert(error);
                    }
                }
            });
        }
    });
    if let Some(error) = failed().take() {
        return Err(error);
    }
    let made = staging.path().join("node_modules");
    let target = dir.join("node_modules");
    fs::create_dir_all(&made).map_err(disk("make", &made))?;
    fs::rename(&made, &target).map_err(disk("rename the new packages to", &target))?;
    Ok(wanted.len())
}

/// Compares the inlined files of a package with its tarball, if that is in the cache.
///
/// # Errors
/// A file that was changed after the install.
pub(crate) fn check_unaltered(inlined: &[Inlined], env: &Env) -> Result<(), Problems> {
    let cache = Cache::new(env);
    let mut problems = Vec::new();
    for package in inlined {
        let Ok(integrity) = tarball::parse_integrity(&package.dependency.integrity) else {
            continue;
        };
        let Some(bytes) = cache.get(&integrity) else {
            continue;
        };
        let altered = tarball::altered(&bytes, &package.folder, &package.files);
        if let Ok(Some(file)) = altered {
            let name = &package.dependency.name;
            let version = &package.dependency.version;
            let shown = file
                .strip_prefix(&package.folder)
                .unwrap_or(&file)
                .display();
            problems.push(Problem::new(
                LOCK_FILE,
                format!("the installed `{name}` {version} was altered: {shown} is not the one of its tarball"),
                "remove node_modules and the build installs what is locked",
            ));
        }
    }
    Problems::check(problems)
}

/// The packages of a lock file that a bundle may need, each checked.
fn wanted<'l>(lock: &'l LockFile, npmrc: &Npmrc) -> Result<Vec<Wanted<'l>>, Problems> {
    let mut problems = Vec::new();
    let mut wanted = Vec::new();
    for (path, package) in lock.packages().filter(|(_, package)| needed(package)) {
        let name = package.name_at(path);
        match checked(path, name, package) {
            Ok((version, integrity)) => {
                let url = npmrc.tarball_url(name, version, package.resolved.as_deref());
                wanted.push(Wanted {
                    path,
                    name,
                    version,
                    url,
                    integrity,
                });
            }
            Err((message, hint)) => {
                problems.push(Problem::new(LOCK_FILE, format!("`{name}` {message}"), hint));
            }
        }
    }
    Problems::check(problems)?;
    Ok(wanted)
}

fn needed(package: &LockedPackage) -> bool {
    let (os, cpu) = npm_platform();
    let optional = package.optional || package.dev_optional;
    !package.dev && (!optional || package.os.admits(os) && package.cpu.admits(cpu))
}

type Refusal = (String, &'static str);

fn checked<'l>(
    path: &str,
    name: &str,
    package: &'l LockedPackage,
) -> Result<(&'l str, Integrity), Refusal> {
    let publish = "depend on a version that is published in a registry";
    if package.link || !path.starts_with("node_modules/") {
        let message = "is a link or a workspace, which the build does not install".to_owned();
        return Err((message, publish));
    }
    if !is_safe(path) || !is_safe(name) {
        return Err((
            format!("has the path {path:?}, which is not a package's"),
            publish,
        ));
    }
    if package.in_bundle {
        let hint = "run `npm ci`: the build does not install it, but uses what is installed";
        return Err(("is bundled inside another package".to_owned(), hint));
    }
    if let Some(resolved) = &package.resolved
        && !resolved.starts_with("https://")
        && !resolved.starts_with("http://")
    {
        let kind = resolved.split(':').next().unwrap_or_default();
        let message = format!("comes from {kind} ({resolved}), which the build does not install");
        return Err((message, publish));
    }
    let hint = "write it anew with `npm install --package-lock-only`";
    let version = package
        .version
        .as_deref()
        .filter(|version| is_safe(version));
    let version = version.ok_or_else(|| ("has no version".to_owned(), hint))?;
    let integrity = package.integrity.as_deref();
    let integrity = integrity.ok_or_else(|| ("has no integrity hash".to_owned(), hint))?;
    let integrity = tarball::parse_integrity(integrity).map_err(|error| (error, hint))?;
    Ok((version, integrity))
}

/// Whether a lock file's text can be a path or part of an address without leading elsewhere.
fn is_safe(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "@/-_.~+!*'()".contains(c);
    text.chars().all(allowed)
        && text
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
}

/// This machine, in Node's words.
fn npm_platform() -> (&'static str, &'static str) {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    let cpu = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        "x86" => "ia32",
        other => other,
    };
    (os, cpu)
}

/// Installs one package under `root`.
fn one(
    package: &Wanted<'_>,
    cache: &Cache,
    agent: &ureq::Agent,
    npmrc: &Npmrc,
    root: &Path,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<(), InstallError> {
    let fail = |reason: String| InstallError::Tarball {
        name: package.name.to_owned(),
        version: package.version.to_owned(),
        reason,
    };
    let bytes = match cache.get(&package.integrity) {
        Some(bytes) => bytes,
        None => {
            progress(&format!("downloading {} {}", package.name, package.version));
            let bytes = download(package, agent, npmrc)?;
            package.integrity.check(&bytes).map_err(|_| {
                fail(format!(
                    "from {} is not the one in {LOCK_FILE}: its hash differs",
                    package.url
                ))
            })?;
            cache.put(&package.integrity, &bytes)?;
            bytes
        }
    };
    tarball::unpack(&bytes, &root.join(package.path)).map_err(fail)
}

fn download(
    package: &Wanted<'_>,
    agent: &ureq::Agent,
    npmrc: &Npmrc,
) -> Result<Vec<u8>, InstallError> {
    let authorization = npmrc.authorization(&package.url);
    let once = || {
        let mut request = agent.get(&package.url);
        if let Some(value) = &authorization {
            request = request.header("authorization", value);
        }
        let mut response = request.call()?;
        response
            .body_mut()
            .with_config()
            .limit(MAX_TARBALL_BYTES)
            .read_to_vec()
    };
    let mut tries = 1;
    loop {
        let error = match once() {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        let lasting = match &error {
            ureq::Error::StatusCode(code) => *code < 500 && *code != 429,
            ureq::Error::BodyExceedsLimit(_) | ureq::Error::BadUri(_) => true,
            _ => false,
        };
        if lasting || tries >= MAX_DOWNLOAD_TRIES {
            return Err(InstallError::Download {
                name: package.name.to_owned(),
                version: package.version.to_owned(),
                url: package.url.clone(),
                reason: error.to_string(),
            });
        }
        std::thread::sleep(Duration::from_millis(200) * 2_u32.pow(tries));
        tries += 1;
    }
}

fn agent(npmrc: &Npmrc) -> Result<ureq::Agent, InstallError> {
    let roots = match npmrc.cafile() {
        Some(file) => {
            let pem = fs::read(file).map_err(disk("read npm's cafile", file))?;
            let certificates: Vec<_> = parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            RootCerts::new_with_certs(&certificates)
        }
        None => RootCerts::PlatformVerifier,
    };
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(DOWNLOAD_TIMEOUT))
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .user_agent(concat!("isolith/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(config.new_agent())
}

fn disk<'p>(action: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> InstallError + 'p {
    move |source| InstallError::Disk {
        action,
        path: path.to_owned(),
        source,
    }
}

impl Cache {
    fn new(env: &Env) -> Self {
        let set = |name: &str| {
            env.get(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let root = set("ISOLITH_CACHE_DIR")
            .or_else(|| Some(set("XDG_CACHE_HOME")?.join("isolith")))
            .or_else(|| Some(set("HOME")?.join(".cache/isolith")))
            .unwrap_or_else(|| std::env::temp_dir().join("isolith-cache"));
        Self(root.join("npm"))
    }

    /// The tarball with this hash, checked again: a cache is a folder that anyone may touch.
    fn get(&self, integrity: &Integrity) -> Option<Vec<u8>> {
        let bytes = fs::read(self.0.join(tarball::cache_name(integrity))).ok()?;
        integrity.check(&bytes).is_ok().then_some(bytes)
    }

    fn put(&self, integrity: &Integrity, bytes: &[u8]) -> Result<(), InstallError> {
        let path = self.0.join(tarball::cache_name(integrity));
        crate::store::write_atomically(&path, bytes).map_err(disk("write", &path))
    }
}

#[cfg(test)]
mod tests;
