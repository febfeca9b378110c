//! Services written in Rust, in the process itself.
//!
//! A binary of one's own links this crate, and adds services to what an application file names:
//!
//! ```no_run
//! use isolith_runtime::Isolith;
//! use isolith_runtime::native::{Context, NativeService};
//! # mod greeter { pub use isolith_capnp::rpc_capnp::isolith::*; }
//! # struct Greeter;
//! # impl greeter::Server for Greeter {}
//! # const SCHEMA: &[u8] = &[];
//!
//! fn main() -> std::process::ExitCode {
//!     let greeter = NativeService::new("greeter", "1.0.0", SCHEMA)
//!         .export::<greeter::Client, _>("GREETER", |_: &Context| Greeter);
//!     Isolith::new().native(greeter).main()
//! }
//! ```
//!
//! ```text
//!  a shard's thread
//!  ┌────────┐  records   ┌───────┐  Told   ┌────────────────────────────────────┐
//!  │ front  │ ─────────▶ │ shard │ ──────▶ │ Vat: a task for each call, stubs,  │
//!  │isolate │ ◀───────── │       │ ◀────── │ objects given; the service's code  │
//!  └────────┘            └───────┘   Ask   └────────────────────────────────────┘
//! ```
//!
//! A native service is a member of version sets like a bundle: its name, version and compiled schema
//! are a bundle without modules, so ranges and schemas are checked alike and its digest names it. It
//! has no isolate. Each shard makes its exports once, on its own thread, and runs each call as a task
//! there; what a method awaits, others do not wait for, and what it computes, they do.
//!
//! Messages are read and written in place ([`crate::message`]), and [`stub`] is the bridge: a
//! capability of a service is a `ClientHook`, whose calls go to the shard directly. A call is made on
//! behalf of the request whose call the task serves, and so by its version set, its deadline and its
//! bounds; [`request`] keeps it.

pub(crate) mod errors;
pub(crate) mod given;
pub(crate) mod pending;
pub(crate) mod request;
pub(crate) mod stub;
pub(crate) mod vat;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use capnp::capability::{FromClientHook, FromServer};
use capnp::private::capability::ClientHook;
use capnp::traits::HasTypeId;
use isolith_capnp::model::Schema;
use isolith_capnp::schema::normalize;
use isolith_services::bundle::{Bundle, Content, ExportContent, ImportContent};
use isolith_versions::{Digest, Range, ServiceName, Version};

pub use errors::{error, kind_of};
/// Whose fault a failed call is: what services see as `error.kind`.
pub use isolith_capnp::error_capnp::call_error::Kind as ErrorKind;
pub use request::spawn;

use vat::Vat;

/// Makes what serves an export, on each shard.
type Make = Box<dyn Fn(&Context) -> Box<dyn ClientHook> + Send + Sync>;

/// A service written in Rust: a name, a version, and what it exports and imports.
///
/// Whether that makes sense is checked when it is served.
pub struct NativeService {
    name: String,
    version: String,
    schema: Vec<u8>,
    exports: Vec<Export>,
    imports: Vec<Import>,
}

struct Export {
    name: String,
    interface: u64,
    make: Make,
}

struct Import {
    name: String,
    service: String,
    range: String,
    interface: u64,
}

/// What a service is given when one of its exports is made.
#[derive(Clone)]
pub struct Context {
    vat: Rc<Vat>,
    shard: usize,
}

/// The code of a native service, for all shards.
pub(crate) struct NativeCode {
    makes: Vec<Make>,
    imports: Vec<String>,
}

/// The native services of the process. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Natives(Arc<[(Bundle, Arc<NativeCode>)]>);

/// Why a native service cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("native service {service}@{version}: {reason}")]
pub(crate) struct NativeError {
    service: String,
    version: String,
    reason: String,
}

impl NativeService {
    /// A service of this name and semver version that exports nothing yet.
    ///
    /// `schema` is a `CodeGeneratorRequest`, what `capnp compile -o-` writes and what
    /// `capnpc::CompilerCommand::raw_code_generator_request_path` leaves behind: all interfaces that
    /// are exported and imported, for the check that callers fit.
    ///
    /// Change the version with the code: unlike a bundle's, this digest does not know it.
    pub fn new(name: &str, version: &str, schema: impl Into<Vec<u8>>) -> Self {
        NativeService {
            name: name.to_owned(),
            version: version.to_owned(),
            schema: schema.into(),
            exports: Vec::new(),
            imports: Vec::new(),
        }
    }

    /// Serves the interface of `C` under this name. `make` is called once on each shard, before the
    /// first request, and what it returns serves all calls there.
    #[must_use]
    pub fn export<C, S>(
        mut self,
        name: &str,
        make: impl Fn(&Context) -> S + Send + Sync + 'static,
    ) -> Self
    where
        C: FromServer<S> + HasTypeId,
        S: 'static,
    {
        self.exports.push(Export {
            name: name.to_owned(),
            interface: C::TYPE_ID,
            make: Box::new(move |context| {
                capnp_rpc::new_client::<C, S>(make(context)).into_client_hook()
            }),
        });
        self
    }

    /// Asks for the interface of `C` of another service, in a version of this range. It is called
    /// through [`Context::import`].
    #[must_use]
    pub fn import<C: HasTypeId>(mut self, name: &str, service: &str, range: &str) -> Self {
        self.imports.push(Import {
            name: name.to_owned(),
            service: service.to_owned(),
            range: range.to_owned(),
            interface: C::TYPE_ID,
        });
        self
    }

    fn build(self) -> Result<(Bundle, Arc<NativeCode>), NativeError> {
        let (service, version) = (self.name.clone(), self.version.clone());
        self.try_build().map_err(|reason| NativeError {
            service,
            version,
            reason,
        })
    }

    fn try_build(self) -> Result<(Bundle, Arc<NativeCode>), String> {
        let text = |error: &dyn fmt::Display| error.to_string();
        let compiled = normalize(&self.schema)
            .map_err(|error| format!("its schema is no CodeGeneratorRequest: {error}"))?;
        let schema = Schema::read(&compiled).map_err(|error| text(&error))?;
        let named = |name: &str, interface: u64| {
            let node = schema.interface_by_id(interface);
            let node = node.ok_or_else(|| {
                format!(
                    "its schema does not have the interface of {name}, @0x{interface:016x}: compile \
                     the file that declares it, too"
                )
            })?;
            Ok::<_, String>(format!("{}:{}", node.0.file(), node.0.path()))
        };
        let mut exports = Vec::new();
        let mut makes = Vec::new();
        for export in self.exports {
            exports.push(ExportContent {
                interface_name: named(&export.name, export.interface)?,
                name: export.name,
                interface: export.interface,
                class: String::new(),
            });
            makes.push(export.make);
        }
        let mut imports = Vec::new();
        for import in self.imports {
            imports.push(ImportContent {
                interface_name: named(&import.name, import.interface)?,
                name: import.name,
                service: import
                    .service
                    .parse::<ServiceName>()
                    .map_err(|e| text(&e))?,
                range: Range::new(&import.range).map_err(|error| text(&error))?,
                export: None,
                interface: import.interface,
            });
        }
        let code = NativeCode {
            makes,
            imports: imports.iter().map(|import| import.name.clone()).collect(),
        };
        let content = Content {
            service: self.name.parse::<ServiceName>().map_err(|e| text(&e))?,
            version: Version::parse(&self.version).map_err(|error| text(&error))?,
            http: false,
            native: true,
            modules: Vec::new(),
            exports,
            imports,
            fetches: Vec::new(),
            vars: Default::default(),
            secrets: Default::default(),
            limits: Default::default(),
            schema: compiled,
            dependencies: Vec::new(),
        };
        let file = content.encode().map_err(|error| text(&error))?;
        let bundle = Bundle::read(&file).map_err(|error| text(&error))?;
        Ok((bundle, Arc::new(code)))
    }
}

impl Context {
    /// The import of this name, in the version that the request's set has for it: calls are made on
    /// behalf of the request whose call is served, and fail outside of one ([`spawn`] keeps it).
    ///
    /// Calls fail, too, if the service declares no such import.
    pub fn import<C: FromClientHook>(&self, name: &str) -> C {
        C::new(self.vat.import(name))
    }

    /// Which shard this is.
    pub fn shard(&self) -> usize {
        self.shard
    }
}

#[cfg(test)]
impl NativeCode {
    /// That of a service with one export.
    pub(crate) fn of_one(
        make: impl Fn(&Context) -> Box<dyn ClientHook> + Send + Sync + 'static,
    ) -> Self {
        NativeCode {
            makes: vec![Box::new(make)],
            imports: Vec::new(),
        }
    }
}

impl Natives {
    /// Checks the services.
    ///
    /// # Errors
    /// What is wrong with the first one that something is wrong with.
    pub(crate) fn new(services: Vec<NativeService>) -> Result<Self, NativeError> {
        let built = services.into_iter().map(NativeService::build);
        Ok(Natives(built.collect::<Result<Vec<_>, _>>()?.into()))
    }

    /// What they are to a deployment.
    pub(crate) fn bundles(&self) -> impl Iterator<Item = &Bundle> {
        self.0.iter().map(|(bundle, _)| bundle)
    }

    /// The code of one, if the process has it.
    pub(crate) fn code(&self, digest: Digest) -> Option<&Arc<NativeCode>> {
        let mut all = self.0.iter();
        let (_, code) = all.find(|(bundle, _)| bundle.digest() == digest)?;
        Some(code)
    }
}

impl fmt::Debug for Natives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.bundles()).finish()
    }
}

impl fmt::Debug for NativeService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NativeService({}@{})", self.name, self.version)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context(shard {})", self.shard)
    }
}
