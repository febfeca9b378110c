//! What a bundle brings to a runtime, made ready once and shared by all shards.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use isolith_capnp::javascript;
use isolith_capnp::model::Schema;
use isolith_services::bundle::Bundle;
use isolith_services::origin::OriginRule;
use isolith_versions::{BundleFacts, BundleId};

use crate::config::{Given, Grants, Secret};
use crate::error::LoadError;
use crate::isolate::Compiled;
use crate::native::NativeCode;
use crate::outbound::Rules;

/// A bundle as an isolate loads it: code, generated bindings, variables and limits.
pub(crate) struct Program {
    /// Who it is, what it exports and imports.
    pub(crate) facts: Arc<BundleFacts>,
    /// The main module, ECMAScript.
    pub(crate) source: Arc<str>,
    /// Maps positions in `source` to the files it was built from.
    pub(crate) source_map: Option<sourcemap::SourceMap>,
    /// JavaScript that reads and encodes the messages of its interfaces; `None` if it has none.
    pub(crate) bindings: Option<Arc<str>>,
    /// What V8 compiled of both, if somebody had it do so.
    pub(crate) compiled: OnceLock<Compiled>,
    /// For each export of `facts`, in order, the class that serves it.
    pub(crate) classes: Vec<String>,
    /// Variables and their values: strings on `env`.
    pub(crate) vars: Vec<(String, String)>,
    /// Secrets and their values: strings on `env`, which nothing shows.
    pub(crate) secrets: Vec<(String, Secret)>,
    /// Where its outbound requests may go.
    pub(crate) rules: Rules,
    pub(crate) grants: Grants,
    /// The bundle's own limit of a request's CPU time, in milliseconds.
    pub(crate) cpu_ms_per_request: Option<u32>,
    /// The bundle's own heap limit, in MiB.
    pub(crate) heap_mib: Option<u32>,
    /// Its code, if that is the process's: then there is no isolate, and nothing above but `facts`.
    pub(crate) native: Option<Arc<NativeCode>>,
}

impl Program {
    /// Makes a verified bundle ready to load: generates the code of its interfaces and gives its
    /// variables the application's values. A few milliseconds.
    ///
    /// # Errors
    /// If a required variable or a secret has no value, if the application does not grant what the
    /// bundle asks for, or if the bundle's schema asks for what is not supported.
    pub(crate) fn new(bundle: &Bundle, given: &Given) -> Result<Self, LoadError> {
        let name = bundle.id().to_string();
        let refuse = |reason: String| LoadError::Schema {
            bundle: name.clone(),
            reason,
        };
        let module = bundle
            .modules()
            .next()
            .ok_or_else(|| refuse("it has no module; build it again".into()))?;
        let source_map = match module.source_map.is_empty() {
            true => None,
            // A damaged map costs the mapping, not the service.
            false => sourcemap::SourceMap::from_slice(module.source_map.as_bytes()).ok(),
        };
        Ok(Program {
            facts: Arc::clone(bundle.facts()),
            source: module.source.into(),
            source_map,
            bindings: bindings(bundle).map_err(refuse)?.map(Into::into),
            compiled: OnceLock::new(),
            classes: bundle
                .exports()
                .iter()
                .map(|export| export.class.clone())
                .collect(),
            vars: vars(bundle, &given.vars)?,
            secrets: secrets(bundle, given)?,
            rules: rules(bundle, given)?,
            grants: given.grants.clone(),
            cpu_ms_per_request: Some(bundle.limits().cpu_ms_per_request).filter(|ms| *ms > 0),
            heap_mib: Some(bundle.limits().heap_mib).filter(|mib| *mib > 0),
            native: None,
        })
    }

    /// What a native service is to shards.
    pub(crate) fn native(bundle: &Bundle, code: &Arc<NativeCode>) -> Self {
        Program {
            facts: Arc::clone(bundle.facts()),
            source: "".into(),
            source_map: None,
            bindings: None,
            compiled: OnceLock::new(),
            classes: Vec::new(),
            vars: Vec::new(),
            secrets: Vec::new(),
            rules: Rules::default(),
            grants: Grants::default(),
            cpu_ms_per_request: None,
            heap_mib: None,
            native: Some(Arc::clone(code)),
        }
    }

    pub(crate) fn id(&self) -> &BundleId {
        &self.facts.id
    }

    /// `source:line:column` for a position in the main module (both counted from 1), if its
    /// source map knows it.
    pub(crate) fn position(&self, line: u32, column: u32) -> Option<String> {
        let map = self.source_map.as_ref()?;
        let token = map.lookup_token(line.checked_sub(1)?, column.checked_sub(1)?)?;
        let source = token.get_source()?;
        let (line, column) = (token.get_src_line() + 1, token.get_src_col() + 1);
        Some(format!("{source}:{line}:{column}"))
    }
}

/// The generated code for the interfaces that the bundle exports and imports.
fn bindings(bundle: &Bundle) -> Result<Option<String>, String> {
    let facts = bundle.facts();
    let exported = facts.exports.iter().map(|export| export.interface);
    let imported = facts.imports.iter().map(|import| import.interface);
    let mut interfaces: Vec<u64> = exported.chain(imported).collect();
    interfaces.sort_unstable();
    interfaces.dedup();
    if interfaces.is_empty() {
        return Ok(None);
    }
    let schema = Schema::read(bundle.schema()).map_err(|error| error.to_string())?;
    let code = javascript::generate(&schema, &interfaces).map_err(|error| error.to_string())?;
    Ok(Some(code))
}

fn vars(
    bundle: &Bundle,
    values: &BTreeMap<String, String>,
) -> Result<Vec<(String, String)>, LoadError> {
    let mut vars = Vec::new();
    for (name, default) in bundle.vars() {
        match values.get(name).or(default.as_ref()) {
            Some(value) => vars.push((name.clone(), value.clone())),
            None => {
                return Err(LoadError::MissingVar {
                    bundle: bundle.id().to_string(),
                    service: bundle.id().service.to_string(),
                    name: name.clone(),
                });
            }
        }
    }
    Ok(vars)
}

fn secrets(bundle: &Bundle, given: &Given) -> Result<Vec<(String, Secret)>, LoadError> {
    let find = |name: &String| match given.secrets.get(name) {
        Some(secret) => Ok((name.clone(), secret.clone())),
        None => Err(LoadError::MissingSecret {
            bundle: bundle.id().to_string(),
            service: bundle.id().service.to_string(),
            name: name.clone(),
        }),
    };
    bundle.secrets().iter().map(find).collect()
}

/// What the bundle asks for, all of which must be granted.
fn rules(bundle: &Bundle, given: &Given) -> Result<Rules, LoadError> {
    let grants = &given.grants;
    for (name, origins) in bundle.fetches() {
        let granted = |asked: &&OriginRule| grants.fetch.iter().any(|rule| rule.covers(asked));
        if let Some(origin) = origins.iter().find(|asked| !granted(asked)) {
            return Err(LoadError::NotGranted {
                bundle: bundle.id().to_string(),
                service: bundle.id().service.to_string(),
                name: name.clone(),
                origin: origin.to_string(),
            });
        }
    }
    Ok(Rules {
        bindings: bundle.fetches().to_vec(),
        private_networks: grants.private_networks.clone().into(),
        authorities: Arc::clone(&given.authorities),
        shadow_fetch: grants.shadow_fetch,
    })
}
