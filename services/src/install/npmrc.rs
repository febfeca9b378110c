//! Which registry npm is configured for.
//!
//! Read as npm reads it: the environment's `npm_config_*` first, then `.npmrc` of the project, then
//! that of the user. The keys that matter here: `registry`, `@scope:registry`,
//! `replace-registry-host`, `cafile`, and a registry's `_authToken` or `_auth`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The environment variables of a process. Taken as a value, so that a build's inputs are visible.
pub type Env = HashMap<String, String>;

/// npm's own default registry, and the host that lock files name in place of any other.
const DEFAULT_REGISTRY: &str = "https://registry.npmjs.org/";
const DEFAULT_REGISTRY_HOST: &str = "registry.npmjs.org";

/// npm's configuration, as far as downloads need it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Npmrc {
    values: BTreeMap<String, String>,
}

impl Npmrc {
    /// The configuration for the project in `dir`. A file that is not there has no say.
    pub(crate) fn load(dir: &Path, env: &Env) -> Self {
        let mut values = BTreeMap::new();
        let configured: BTreeMap<_, _> = env
            .iter()
            .filter_map(|(key, value)| Some((env_key(key)?, value.clone())))
            .collect();
        let user_file = configured
            .get("userconfig")
            .map(PathBuf::from)
            .or_else(|| Some(Path::new(env.get("HOME")?).join(".npmrc")));
        for file in user_file.into_iter().chain([dir.join(".npmrc")]) {
            if let Ok(text) = std::fs::read_to_string(file) {
                values.extend(parse(&text, env));
            }
        }
        values.extend(configured);
        Self { values }
    }

    /// The address of a package's tarball. `resolved` is what the lock file says; its host is
    /// replaced by the configured registry as npm does.
    pub(crate) fn tarball_url(&self, name: &str, version: &str, resolved: Option<&str>) -> String {
        let registry = self.registry_for(name);
        let Some(resolved) = resolved else {
            let base = name.rsplit('/').next().unwrap_or(name);
            return format!("{registry}{name}/-/{base}-{version}.tgz");
        };
        let (host, path) = host_and_path(resolved);
        let replace = match self.values.get("replace-registry-host").map(String::as_str) {
            None | Some("npmjs") => host == DEFAULT_REGISTRY_HOST,
            Some("always") => true,
            Some("never") => false,
            Some(other) => host == other,
        };
        match replace {
            true => format!("{registry}{path}"),
            false => resolved.to_owned(),
        }
    }

    /// The `Authorization` header for `url`, if the configuration has one for that registry.
    pub(crate) fn authorization(&self, url: &str) -> Option<String> {
        let mut place = url.split_once(':')?.1;
        while let Some((shorter, _)) = place.rsplit_once('/').filter(|(s, _)| s.len() > 2) {
            let value = |key: &str| self.values.get(&format!("{shorter}/:{key}"));
            if let Some(token) = value("_authToken") {
                return Some(format!("Bearer {token}"));
            }
            if let Some(basic) = value("_auth") {
                return Some(format!("Basic {basic}"));
            }
            place = shorter;
        }
        None
    }

    /// A file of certificates to trust in place of the system's.
    pub(crate) fn cafile(&self) -> Option<&Path> {
        self.values.get("cafile").map(Path::new)
    }

    fn registry_for(&self, name: &str) -> String {
        let scope = name
            .split_once('/')
            .map(|(scope, _)| format!("{scope}:registry"));
        let registry = scope
            .and_then(|key| self.values.get(&key))
            .or_else(|| self.values.get("registry"))
            .map_or(DEFAULT_REGISTRY, String::as_str);
        format!("{}/", registry.trim_end_matches('/'))
    }
}

/// `NPM_CONFIG_REPLACE_REGISTRY_HOST` is `replace-registry-host`; keys of a scope or a host stay.
fn env_key(variable: &str) -> Option<String> {
    const PREFIX: &str = "npm_config_";
    let prefix = variable.get(..PREFIX.len())?;
    let key = variable
        .get(PREFIX.len()..)
        .filter(|_| prefix.eq_ignore_ascii_case(PREFIX))?;
    match key.starts_with(['/', '@']) {
        true => Some(key.to_owned()),
        false => Some(key.to_lowercase().replace('_', "-")),
    }
}

fn parse(text: &str, env: &Env) -> Vec<(String, String)> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';', '[']));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| {
            let value = value.trim().trim_matches(['"', '\'']);
            (expand(key.trim(), env), expand(value, env))
        })
        .collect()
}

/// Replaces each `${NAME}` that the environment has; npm leaves the others as they are.
fn expand(text: &str, env: &Env) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let found = after
            .split_once('}')
            .and_then(|(name, tail)| Some((env.get(name)?, tail)));
        match found {
            Some((value, tail)) => {
                expanded.push_str(value);
                rest = tail;
            }
            None => {
                expanded.push_str("${");
                rest = after;
            }
        }
    }
    expanded + rest
}

fn host_and_path(url: &str) -> (&str, &str) {
    let address = url.split_once("://").map_or(url, |(_, address)| address);
    address.split_once('/').unwrap_or((address, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_found_and_ranked_as_npm_does() {
        let temp = tempfile::tempdir().unwrap();
        let home = temp.path().join("home");
        std::fs::create_dir(&home).unwrap();
        let user = "registry = https://user.example/npm\n\
                    ; a comment\n\
                    //user.example/npm/:_authToken=${TOKEN}\n\
                    @acme:registry=\"http://acme.example/\"\n";
        std::fs::write(home.join(".npmrc"), user).unwrap();
        let mut env = Env::from([
            ("HOME".into(), home.to_string_lossy().into_owned()),
            ("TOKEN".into(), "s3cret".into()),
        ]);
        let npmrc = Npmrc::load(temp.path(), &env);
        let public = "https://registry.npmjs.org/zod/-/zod-4.0.0.tgz";
        let url = npmrc.tarball_url("zod", "4.0.0", Some(public));
        assert_eq!(url, "https://user.example/npm/zod/-/zod-4.0.0.tgz");
        assert_eq!(npmrc.tarball_url("zod", "4.0.0", None), url);
        assert_eq!(npmrc.authorization(&url).as_deref(), Some("Bearer s3cret"));
        let scoped = npmrc.tarball_url("@acme/x", "1.0.0", None);
        assert_eq!(scoped, "http://acme.example/@acme/x/-/x-1.0.0.tgz");
        assert_eq!(npmrc.authorization(&scoped), None);
        let elsewhere = "https://elsewhere.example/zod.tgz";
        assert_eq!(
            npmrc.tarball_url("zod", "4.0.0", Some(elsewhere)),
            elsewhere
        );
        assert_eq!(npmrc.authorization(elsewhere), None);

        std::fs::write(
            temp.path().join(".npmrc"),
            "registry=https://project.example",
        )
        .unwrap();
        let npmrc = Npmrc::load(temp.path(), &env);
        assert!(
            npmrc
                .tarball_url("a", "1.0.0", None)
                .starts_with("https://project.example/a/-/")
        );
        env.insert("NPM_CONFIG_REGISTRY".into(), "http://env.example".into());
        let npmrc = Npmrc::load(temp.path(), &env);
        assert!(
            npmrc
                .tarball_url("a", "1.0.0", None)
                .starts_with("http://env.example/a/-/")
        );

        let nothing = Npmrc::load(Path::new("/nonexistent"), &Env::new());
        assert_eq!(nothing.tarball_url("zod", "4.0.0", Some(public)), public);
    }
}
