//! Installed npm packages: their package.json and their place in `node_modules`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::problem::{Problem, Problems};

/// What a package.json says of the package's name and of what it may import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PackageJson {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) dependencies: BTreeMap<String, String>,
    pub(crate) dev_dependencies: BTreeMap<String, String>,
    pub(crate) peer_dependencies: BTreeMap<String, String>,
    pub(crate) optional_dependencies: BTreeMap<String, String>,
}

impl PackageJson {
    /// Reads the package.json in `dir`; where there is none, it is empty.
    pub(crate) fn load(dir: &Path) -> Result<Self, Problems> {
        let fail = |error: String| {
            let message = format!("cannot be read: {error}");
            Problems::from(Problem::new(
                "package.json",
                message,
                "repair it, or reinstall",
            ))
        };
        match std::fs::read(dir.join("package.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| fail(error.to_string())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(fail(error.to_string())),
        }
    }

    /// Whether modules of this package may import `package`: it is declared, or the package
    /// itself, and not for development alone.
    pub(crate) fn may_import(&self, package: &str) -> bool {
        self.name.as_deref() == Some(package)
            || self.dependencies.contains_key(package)
            || self.peer_dependencies.contains_key(package)
            || self.optional_dependencies.contains_key(package)
    }
}

/// The package that holds the file at `path`, by its last `node_modules`: its folder and the name
/// that it is imported by. `None` for a service's own files.
pub(crate) fn package_of(path: &Path) -> Option<(PathBuf, String)> {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let start = parts.iter().rposition(|part| part == "node_modules")? + 1;
    let end = start
        + if parts.get(start)?.starts_with('@') {
            2
        } else {
            1
        };
    let name = parts.get(start..end)?.join("/");
    Some((path.iter().take(end).collect(), name))
}
