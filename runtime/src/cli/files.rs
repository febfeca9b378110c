//! Commands that work on files: `build`, `inspect` and `types`.

use std::path::Path;

use isolith_capnp::model::Schema;
use isolith_capnp::typescript;
use isolith_services::build::{self, BuildOptions};
use isolith_services::bundle::{Bundle, SigningKey};
use isolith_services::inspect::Inspection;
use isolith_services::manifest::{InterfaceRef, Manifest};
use isolith_services::store;

use super::{note, print};
use crate::app::Failure;

/// What `isolith types` writes into the service's folder.
const TYPES_FILE: &str = "isolith-schema.d.ts";

/// `isolith build DIR [-o FILE]`: prints the file and the digest.
pub(super) fn build(dir: &Path, output: Option<&Path>) -> Result<(), Failure> {
    let progress = |line: &str| note(line);
    let options = BuildOptions {
        progress: &progress,
        ..BuildOptions::from_process()
    };
    let built = build::build(dir, &options)?;
    for warning in &built.warnings {
        note(format_args!("warning: {warning}"));
    }
    let path = built.write(dir, output)?;
    note(format_args!("built {}", built.bundle.id()));
    print(format_args!("{} {}", path.display(), built.bundle.digest()))
}

/// `isolith inspect FILE [--json]`
pub(super) fn inspect(file: &Path, json: bool) -> Result<(), Failure> {
    let inspection = Inspection::of(&open(file)?);
    match json {
        true => print(serde_json::to_string_pretty(&inspection)?),
        false => print(inspection.to_string().trim_end()),
    }
}

/// `isolith sign FILE --key KEY.pem`: prints who has signed.
pub(super) fn sign(file: &Path, key: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(key)
        .map_err(|error| format!("cannot read {}: {error}", key.display()))?;
    let key = SigningKey::from_pem(&text).map_err(|error| format!("{}: {error}", key.display()))?;
    let signed = key.sign(&open(file)?)?;
    store::write_atomically(file, &signed)
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    print(key.signer())
}

/// `isolith types DIR`: writes `isolith-schema.d.ts` and prints its path.
pub(super) fn types(dir: &Path) -> Result<(), Failure> {
    let manifest = Manifest::load(dir)?;
    let schemas = build::compile_schemas(dir, &manifest)?;
    if schemas.bytes.is_empty() {
        let text = "its isolith.toml names no interface, so there is nothing to declare";
        return Err(format!("{}: {text}", manifest.service).into());
    }
    let path = dir.join(TYPES_FILE);
    let text = typescript::generate(&Schema::read(&schemas.bytes)?) + &env_declaration(&manifest);
    std::fs::write(&path, text)
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    print(path.display())
}

/// A global `Env`: the type of what the manifest puts on `env`.
fn env_declaration(manifest: &Manifest) -> String {
    let mut text =
        String::from("\n/** What the manifest gives this service. */\ndeclare interface Env {\n");
    for (name, import) in &manifest.imports {
        let InterfaceRef {
            file, name: face, ..
        } = &import.interface;
        let module = file.strip_suffix(".capnp").unwrap_or(file);
        text += &format!("  readonly {name}: import(\"isolith:{module}\").{face}.Client;\n");
    }
    for name in manifest.fetches.keys() {
        text += &format!("  readonly {name}: {{ readonly fetch: typeof fetch }};\n");
    }
    for name in manifest.vars.keys().chain(&manifest.secrets) {
        text += &format!("  readonly {name}: string;\n");
    }
    text + "}\n"
}

/// Opens a bundle; the error names the file.
pub(super) fn open(file: &Path) -> Result<Bundle, Failure> {
    Ok(Bundle::open(file).map_err(|error| format!("{}: {error}", file.display()))?)
}
