//! npm's lock file, and whether what is installed is what it says.
//!
//! Read with serde: the crates that model package-lock.json know neither `os` and `cpu`, without
//! which optional packages cannot be told apart, nor do they check anything.
//!
//! What the check covers: each package whose code is in the bundle lies where the lock file has
//! it, under the same name and version. An integrity hash is that of a tarball, not of a folder,
//! so a file changed by hand after an install goes unnoticed, unless the tarball is in the cache
//! of [`install`](crate::install): then every inlined file is compared with it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::package::{PackageJson, package_of};
use crate::problem::{Problem, Problems, relative};

/// The lock file's name.
pub const LOCK_FILE: &str = "package-lock.json";

/// The largest lock file that is read, in bytes.
const MAX_LOCK_BYTES: u64 = 64 * 1024 * 1024;

/// package-lock.json, version 2 or 3.
#[derive(Debug, Clone, Deserialize)]
pub struct LockFile {
    #[serde(rename = "lockfileVersion")]
    version: u32,
    /// By path: `""` is the project, `node_modules/zod` a package.
    #[serde(default)]
    packages: BTreeMap<String, LockedPackage>,
}

/// One package in a lock file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LockedPackage {
    /// The name in the registry, where it is not that of the folder.
    pub name: Option<String>,
    /// The exact version.
    pub version: Option<String>,
    /// The tarball's address; npm may be configured to leave it out.
    pub resolved: Option<String>,
    /// Hash of the tarball.
    pub integrity: Option<String>,
    /// A symbolic link to a folder.
    pub link: bool,
    /// Contained in the tarball of the package around it.
    pub in_bundle: bool,
    /// Needed for development alone.
    pub dev: bool,
    /// Needed for development, or optionally.
    pub dev_optional: bool,
    /// The service works without it.
    pub optional: bool,
    /// Operating systems that it is for, or with `!` is not for.
    pub os: OneOrMany,
    /// The same for processors.
    pub cpu: OneOrMany,
    /// Declared by the project; present in the entry `""`.
    dependencies: BTreeMap<String, String>,
    optional_dependencies: BTreeMap<String, String>,
}

/// A text or a list of texts.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// `"linux"`
    One(String),
    /// `["linux", "!win32"]`
    Many(Vec<String>),
}

/// An npm package whose code is part of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Dependency {
    /// Its name in the registry.
    pub name: String,
    /// Its exact version.
    pub version: String,
    /// The lock file's hash of its tarball.
    pub integrity: String,
}

/// A package that has code in a bundle, and where it lies.
#[derive(Debug)]
pub(crate) struct Inlined {
    pub(crate) dependency: Dependency,
    pub(crate) folder: PathBuf,
    pub(crate) files: Vec<PathBuf>,
}

impl LockFile {
    /// Reads package-lock.json in `dir`; `None` where there is none.
    ///
    /// # Errors
    /// A file that cannot be read, is of version 1, or is out of step with package.json.
    pub fn load(dir: &Path) -> Result<Option<Self>, Problems> {
        let path = dir.join(LOCK_FILE);
        let hint = "write it anew with `npm install --package-lock-only`";
        let fail = |message: String| Problems::from(Problem::new(LOCK_FILE, message, hint));
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(format!("cannot be read: {error}"))),
            Ok(meta) if meta.len() > MAX_LOCK_BYTES => {
                return Err(fail(format!("is larger than {MAX_LOCK_BYTES} bytes")));
            }
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|error| fail(format!("cannot be read: {error}")))?;
        let lock: Self = serde_json::from_str(&text)
            .map_err(|error| fail(format!("is not a lock file: {error}")))?;
        if !(2..=3).contains(&lock.version) {
            return Err(fail(format!(
                "has lockfileVersion {}, not 2 or 3",
                lock.version
            )));
        }
        let package = PackageJson::load(dir)?;
        let root = lock.packages.get("").cloned().unwrap_or_default();
        let differs = [
            (&package.dependencies, &root.dependencies),
            (&package.optional_dependencies, &root.optional_dependencies),
        ]
        .into_iter()
        .find_map(|(wanted, locked)| {
            let names: BTreeSet<_> = wanted.keys().chain(locked.keys()).collect();
            names
                .into_iter()
                .find(|&name| wanted.get(name) != locked.get(name))
        });
        match differs {
            Some(name) => Err(fail(format!(
                "is out of step with package.json about `{name}`"
            ))),
            None => Ok(Some(lock)),
        }
    }

    /// The packages, by path, without the project itself.
    pub(crate) fn packages(&self) -> impl Iterator<Item = (&str, &LockedPackage)> {
        self.packages
            .iter()
            .map(|(path, package)| (path.as_str(), package))
            .filter(|(p, _)| !p.is_empty())
    }
}

impl LockedPackage {
    /// The registry's name of the package at `path`.
    pub(crate) fn name_at<'a>(&'a self, path: &'a str) -> &'a str {
        let folder = path
            .rsplit_once("node_modules/")
            .map_or(path, |(_, name)| name);
        self.name.as_deref().unwrap_or(folder)
    }
}

impl OneOrMany {
    /// Whether a list such as `["linux", "!arm"]` admits `value`; an empty one admits all.
    pub(crate) fn admits(&self, value: &str) -> bool {
        let list = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        };
        let negated = |item: &String| item.strip_prefix('!').map(str::to_owned);
        if list.iter().filter_map(negated).any(|item| item == value) {
            return false;
        }
        let mut wanted = list.iter().filter(|item| !item.starts_with('!')).peekable();
        wanted.peek().is_none() || wanted.any(|item| item == value || item == "any")
    }
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// The packages that `files` belong to, each as the lock file has it, sorted by folder.
///
/// # Errors
/// Every package that the lock file does not name, or that is installed in another version.
pub(crate) fn inlined(
    dir: &Path,
    lock: Option<&LockFile>,
    files: &[PathBuf],
) -> Result<Vec<Inlined>, Problems> {
    let mut folders: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for file in files {
        if let Some((folder, _)) = package_of(file) {
            folders.entry(folder).or_default().push(file.clone());
        }
    }
    let mut problems = Vec::new();
    let mut inlined = Vec::new();
    for (folder, files) in folders {
        let path = relative(dir, &folder);
        match dependency(&path, &folder, lock) {
            Ok(dependency) => inlined.push(Inlined {
                dependency,
                folder,
                files,
            }),
            Err(message) => problems.push(Problem::new(
                LOCK_FILE,
                message,
                "run `npm ci`, or remove node_modules and the build installs what is locked",
            )),
        }
    }
    Problems::check(problems)?;
    Ok(inlined)
}

fn dependency(path: &str, folder: &Path, lock: Option<&LockFile>) -> Result<Dependency, String> {
    let installed = PackageJson::load(folder).map_err(|error| error.to_string())?;
    let name = installed.name.unwrap_or_default();
    let version = installed.version.unwrap_or_default();
    let lock = lock.ok_or_else(|| format!("is missing, but `{name}` {version} is installed"))?;
    let locked = lock
        .packages
        .get(path)
        .ok_or_else(|| format!("has no {path}, but `{name}` {version} is installed there"))?;
    let locked_name = locked.name_at(path);
    let locked_version = locked.version.as_deref().unwrap_or_default();
    if name != locked_name || version != locked_version {
        return Err(format!(
            "says `{locked_name}` {locked_version}, but `{name}` {version} is installed at {path}"
        ));
    }
    match &locked.integrity {
        Some(integrity) => Ok(Dependency {
            name,
            version,
            integrity: integrity.clone(),
        }),
        None => Err(format!(
            "has no integrity hash for `{name}` {version} at {path}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_matched_as_npm_does() {
        let many = |list: &[&str]| OneOrMany::Many(list.iter().map(|s| s.to_string()).collect());
        assert!(OneOrMany::default().admits("linux"));
        assert!(many(&["linux", "darwin"]).admits("linux"));
        assert!(!OneOrMany::One("darwin".into()).admits("linux"));
        assert!(!many(&["!linux"]).admits("linux"));
        assert!(many(&["!win32"]).admits("linux"));
    }

    #[test]
    fn what_is_installed_must_be_what_is_locked() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        let write = |path: &str, text: &str| {
            let path = dir.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "package.json",
            r#"{"dependencies": {"a": "^1", "b": "npm:real-b@2"}}"#,
        );
        write(
            LOCK_FILE,
            r#"{"lockfileVersion": 3, "packages": {
                "": {"dependencies": {"a": "^1", "b": "npm:real-b@2"}},
                "node_modules/a": {"version": "1.0.0", "integrity": "sha512-a"},
                "node_modules/a/node_modules/@s/c": {"version": "3.0.0", "integrity": "sha512-c"},
                "node_modules/b": {"name": "real-b", "version": "2.0.0", "integrity": "sha512-b"}
            }}"#,
        );
        write(
            "node_modules/a/package.json",
            r#"{"name": "a", "version": "1.0.0"}"#,
        );
        write(
            "node_modules/a/node_modules/@s/c/package.json",
            r#"{"name": "@s/c", "version": "3.0.0"}"#,
        );
        write(
            "node_modules/b/package.json",
            r#"{"name": "real-b", "version": "2.0.0"}"#,
        );
        let files: Vec<_> = ["a/x.js", "a/y.js", "a/node_modules/@s/c/z.js", "b/index.js"]
            .map(|file| dir.join("node_modules").join(file))
            .into();
        let lock = LockFile::load(dir).unwrap();
        let found = inlined(dir, lock.as_ref(), &files).unwrap();
        let names: Vec<_> = found.iter().map(|i| i.dependency.name.as_str()).collect();
        assert_eq!(names, ["a", "@s/c", "real-b"]);
        assert_eq!(found[0].files.len(), 2);
        assert_eq!(found[1].dependency.integrity, "sha512-c");

        write(
            "node_modules/a/package.json",
            r#"{"name": "a", "version": "1.0.1"}"#,
        );
        let error = inlined(dir, lock.as_ref(), &files).unwrap_err().to_string();
        assert!(
            error.contains("says `a` 1.0.0, but `a` 1.0.1 is installed"),
            "{error}"
        );
        assert!(
            inlined(dir, None, &files)
                .unwrap_err()
                .to_string()
                .contains("is missing")
        );

        write(
            "package.json",
            r#"{"dependencies": {"a": "^2", "b": "npm:real-b@2"}}"#,
        );
        let error = LockFile::load(dir).unwrap_err().to_string();
        assert!(
            error.contains("out of step with package.json about `a`"),
            "{error}"
        );
        write(LOCK_FILE, r#"{"lockfileVersion": 1, "dependencies": {}}"#);
        assert!(
            LockFile::load(dir)
                .unwrap_err()
                .to_string()
                .contains("lockfileVersion 1")
        );
    }
}
