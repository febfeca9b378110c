//! What the application gives one service: variables, secrets and grants.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use isolith_services::bundle::{Bundle, SignatureError, Trust};
use isolith_services::origin::{ORIGIN_HINT, OriginRule};
use isolith_services::{Problem, Problems};
use isolith_versions::ServiceName;
use rustls::pki_types::CertificateDer;
use serde::de::{Deserialize, Deserializer, Error as _};

use crate::error::LoadError;
use crate::limits::Limits;
use crate::native::Natives;
use crate::program::Program;
use crate::tls;

/// The longest secret that is read, in bytes.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// What one service is given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// Values of its variables, by name.
    pub(crate) vars: BTreeMap<String, String>,
    /// Values of its secrets, by name.
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) grants: Grants,
    /// Certificate authorities that its outbound requests trust beside the system's.
    pub(crate) authorities: Arc<[CertificateDer<'static>]>,
}

/// `[grants.SERVICE]`: what a service may do that no service may do by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Grants {
    /// Origins that its `fetch` bindings may go to.
    #[serde(deserialize_with = "origins")]
    pub(crate) fetch: Vec<OriginRule>,
    /// Networks, as in `10.1.0.0/16`, that the names of those origins may resolve to although they
    /// are not public.
    #[serde(deserialize_with = "networks")]
    pub(crate) private_networks: Vec<IpNet>,
    /// PEM files, relative to the application file, with certificate authorities that those origins
    /// may be certified by, beside the system's.
    pub(crate) certificate_authorities: Vec<PathBuf>,
    /// Whether copies of requests (shadows) may make requests that can have an effect: others than
    /// GET, HEAD and OPTIONS.
    pub(crate) shadow_fetch: bool,
    /// `eval`, `new Function` and their relatives.
    pub(crate) eval: bool,
    /// Compiling WebAssembly.
    pub(crate) wasm: bool,
}

/// What all services are given, and whose bundles are taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllGiven {
    pub(crate) services: BTreeMap<ServiceName, Given>,
    pub(crate) trust: Trust,
    pub(crate) most: MostAsked,
    /// Services that are part of the process.
    pub(crate) natives: Natives,
}

/// What a manifest may set as its limits: `[limits]` of the application.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MostAsked {
    pub(crate) cpu_ms_per_request: u32,
    pub(crate) heap_mib: u32,
}

/// `[trust]`
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TrustConfig {
    /// Public keys, as `isolith sign` prints them.
    keys: Vec<String>,
    /// Whether each bundle must be signed by one of them.
    require: bool,
}

/// A value that must not be shown: every way of printing it is blind.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

/// Where `[secrets.SERVICE]` says that a secret is kept.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum SecretSource {
    /// In a file, relative to the application file; one line end at its end is not part of it.
    File(String),
    /// In a variable of the process's environment.
    Env(String),
}

impl AllGiven {
    /// Makes a bundle that is trusted ready to load, with what its service is given.
    ///
    /// # Errors
    /// As [`Program::new`]; if the bundle is not signed as it must be; if it asks for more than the
    /// application allows; if it is native and its code is not in this process.
    pub(crate) fn program(&self, bundle: &Bundle) -> Result<Program, LoadError> {
        if bundle.native() {
            let code = self.natives.code(bundle.digest());
            let code = code.ok_or_else(|| LoadError::NotNative {
                bundle: bundle.id().to_string(),
            })?;
            return Ok(Program::native(bundle, code));
        }
        self.trust.check(bundle)?;
        self.most.check(bundle)?;
        match self.services.get(&bundle.id().service) {
            Some(given) => Program::new(bundle, given),
            None => Program::new(bundle, &Given::default()),
        }
    }
}

impl MostAsked {
    fn check(self, bundle: &Bundle) -> Result<(), LoadError> {
        let asked = bundle.limits();
        let limits = [
            (
                "cpu_ms_per_request",
                asked.cpu_ms_per_request,
                self.cpu_ms_per_request,
            ),
            ("heap_mib", asked.heap_mib, self.heap_mib),
        ];
        match limits.into_iter().find(|(_, asked, most)| asked > most) {
            None => Ok(()),
            Some((limit, asked, most)) => Err(LoadError::AsksTooMuch {
                bundle: bundle.id().to_string(),
                limit,
                asked,
                most,
            }),
        }
    }
}

impl From<&Limits> for MostAsked {
    fn from(limits: &Limits) -> Self {
        MostAsked {
            cpu_ms_per_request: limits.cpu_ms_per_request_max,
            heap_mib: limits.heap_mib_max,
        }
    }
}

impl Default for MostAsked {
    fn default() -> Self {
        MostAsked::from(&Limits::default())
    }
}

impl Grants {
    /// The certificate authorities that it names. `file` is the application file.
    ///
    /// # Errors
    /// If a file has none.
    pub(crate) fn authorities(
        &self,
        file: &Path,
        service: &ServiceName,
    ) -> Result<Arc<[CertificateDer<'static>]>, Problems> {
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut all = Vec::new();
        for path in &self.certificate_authorities {
            let found = tls::certificates(&folder.join(path)).map_err(|error| {
                let message = format!("[grants.{service}] certificate_authorities: {error}");
                let hint = "name PEM files that the process may read";
                Problems::from(Problem::new(file.display().to_string(), message, hint))
            });
            all.extend(found?);
        }
        Ok(all.into())
    }
}

impl TrustConfig {
    pub(crate) const KEYS: &[&str] = &["keys", "require"];

    /// # Errors
    /// If a key is none, or signatures are required and no key is given.
    pub(crate) fn of(&self, file: &Path) -> Result<Trust, Problems> {
        let fail = |message: String, hint: &str| {
            Problems::from(Problem::new(file.display().to_string(), message, hint))
        };
        if self.require && self.keys.is_empty() {
            let message = "[trust] requires signatures and names no key".to_owned();
            return Err(fail(
                message,
                "add `keys = [\"ed25519:...\"]`, as `isolith sign` prints them",
            ));
        }
        let keys = self.keys.iter().map(|key| key.parse());
        let keys: Result<_, SignatureError> = keys.collect();
        Ok(Trust {
            keys: keys.map_err(|error| fail(format!("[trust] keys: {error}"), ""))?,
            required: self.require,
        })
    }
}

impl Secret {
    #[cfg(test)]
    pub(crate) fn new(value: String) -> Self {
        Secret(value)
    }

    /// The value itself, for the service that it was given to and for nobody else.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl SecretSource {
    /// Reads the secret. `file` is the application file.
    ///
    /// # Errors
    /// If it is not there. The error never has the value.
    pub(crate) fn read(
        &self,
        file: &Path,
        service: &ServiceName,
        name: &str,
    ) -> Result<Secret, Problems> {
        let fail = |message: String, hint: &str| {
            let place = format!("[secrets.{service}] {name}");
            let problem = Problem::new(
                file.display().to_string(),
                format!("{place}: {message}"),
                hint,
            );
            Problems::from(problem)
        };
        match self {
            SecretSource::Env(variable) => std::env::var(variable).map(Secret).map_err(|_| {
                let message =
                    format!("the environment has no variable {variable}, or it is no text");
                fail(message, "set it for the process that serves")
            }),
            SecretSource::File(path) => {
                let path = file.parent().unwrap_or(Path::new("")).join(path);
                let shown = path.display();
                let hint = "it must be a text file that the process may read";
                let size = std::fs::metadata(&path).map(|meta| meta.len());
                if size.is_ok_and(|size| size > MAX_SECRET_BYTES) {
                    let message = format!("{shown} is larger than {MAX_SECRET_BYTES} bytes");
                    return Err(fail(message, hint));
                }
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| fail(format!("cannot read {shown}: {error}"), hint))?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                Ok(Secret(line.strip_suffix('\r').unwrap_or(line).to_owned()))
            }
        }
    }
}

fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<OriginRule>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |text: String| {
        let rule = text.parse::<OriginRule>();
        rule.map_err(|error| D::Error::custom(format!("{error}; {ORIGIN_HINT}")))
    };
    texts.into_iter().map(parse).collect()
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |text: String| {
        let net = text.parse::<IpNet>();
        net.map_err(|_| {
            let hint =
                "write an address and a prefix length, such as `10.1.0.0/16` or `127.0.0.1/32`";
            D::Error::custom(format!("`{text}` is not a network: {hint}"))
        })
    };
    texts.into_iter().map(parse).collect()
}
