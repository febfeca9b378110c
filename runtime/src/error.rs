//! Errors that a caller of a service can meet, and those of loading one.

use std::fmt;

use isolith_capnp::error_capnp::call_error;
pub(crate) use isolith_capnp::error_capnp::call_error::Kind as ErrorKind;
use isolith_versions::BundleId;

/// A call that did not return: whose fault it is, where it arose, and what to do.
///
/// The same value crosses between isolates (as the `CallError` message of `error.capnp`), to
/// HTTP clients (as a status) and to the command line.
#[derive(Clone, Debug)]
pub(crate) struct CallError {
    /// Whose fault it is.
    pub(crate) kind: ErrorKind,
    /// The JavaScript error's name, empty if the host made the error.
    pub(crate) name: String,
    /// What went wrong, where, and what to do.
    pub(crate) message: String,
    /// The bundle in which it arose, if one was reached.
    pub(crate) origin: Option<Box<Origin>>,
    /// The callee's stack, mapped to its sources; may be empty.
    pub(crate) stack: String,
}

/// A bundle, as an error names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) service: String,
    pub(crate) version: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.service, self.version)
    }
}

impl CallError {
    /// An error that the host itself raises.
    pub(crate) fn host(kind: ErrorKind, message: impl Into<String>) -> Self {
        CallError {
            kind,
            name: String::new(),
            message: message.into(),
            origin: None,
            stack: String::new(),
        }
    }

    /// The same error, arisen in `bundle`.
    #[must_use]
    pub(crate) fn in_bundle(mut self, bundle: &BundleId) -> Self {
        self.origin = Some(Box::new(Origin {
            service: bundle.service.to_string(),
            version: bundle.version.to_string(),
        }));
        self
    }

    /// The same error; if it is that of a bound, one that `bundle` reached.
    #[must_use]
    pub(crate) fn overload_in(self, bundle: &BundleId) -> Self {
        match self.kind {
            ErrorKind::Overloaded if self.origin.is_none() => self.in_bundle(bundle),
            _ => self,
        }
    }

    /// True if no version did anything wrong: an operator evicted the request, its set was gone, or
    /// the shard had too much to do. What a service's own isolate causes names its bundle.
    pub(crate) fn is_of_host(&self) -> bool {
        self.origin.is_none()
            && matches!(
                self.kind,
                ErrorKind::Evicted
                    | ErrorKind::Overloaded
                    | ErrorKind::Disconnected
                    | ErrorKind::PinnedVersionGone
            )
    }

    /// True if the same request may succeed a moment later without any change.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Overloaded | ErrorKind::Disconnected)
    }

    /// Reads the error from its message.
    ///
    /// # Errors
    /// If the message is malformed.
    pub(crate) fn from_message(error: call_error::Reader<'_>) -> Result<Self, capnp::Error> {
        let service = error.get_service()?.to_string()?;
        let origin = match service.is_empty() {
            true => None,
            false => Some(Box::new(Origin {
                service,
                version: error.get_version()?.to_string()?,
            })),
        };
        Ok(CallError {
            kind: error.get_kind().unwrap_or(ErrorKind::Failed),
            name: error.get_name()?.to_string()?,
            message: error.get_message()?.to_string()?,
            origin,
            stack: error.get_stack()?.to_string()?,
        })
    }

    /// Writes the error into its message.
    pub(crate) fn write(&self, mut error: call_error::Builder<'_>) {
        error.set_kind(self.kind);
        error.set_name(&self.name[..]);
        error.set_message(&self.message[..]);
        error.set_stack(&self.stack[..]);
        if let Some(origin) = &self.origin {
            error.set_service(&origin.service[..]);
            error.set_version(&origin.version[..]);
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.name.is_empty() {
            write!(f, "{}: ", self.name)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for CallError {}

/// Why a bundle could not be made ready to serve on a shard.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// Its source does not parse, or an import in it cannot be resolved.
    #[error("{bundle}: its main module does not compile: {reason}")]
    Compile {
        /// `service@version`
        bundle: String,
        /// The engine's message, with the mapped position.
        reason: String,
    },
    /// Its modules threw while they were evaluated, or a class's constructor did.
    #[error("{bundle}: it throws while loading: {reason}")]
    Threw {
        /// `service@version`
        bundle: String,
        /// The error with its mapped stack.
        reason: String,
    },
    /// Top-level await or evaluation did not end in time.
    #[error(
        "{bundle}: its modules were not evaluated within {limit_ms} ms; \
         a top-level await must not wait for a request"
    )]
    TooSlow {
        /// `service@version`
        bundle: String,
        /// The bound, in milliseconds.
        limit_ms: u128,
    },
    /// A variable that the manifest requires has no value.
    #[error(
        "{bundle}: variable {name} is required and has no value; \
         give it under [vars.{service}] in the application file"
    )]
    MissingVar {
        /// `service@version`
        bundle: String,
        /// The service alone.
        service: String,
        /// The variable.
        name: String,
    },
    /// A secret that the manifest declares has no value.
    #[error(
        "{bundle}: secret {name} has no value; say under [secrets.{service}] in the application \
         file where it is kept: `{name} = {{ file = \"...\" }}` or `{name} = {{ env = \"...\" }}`"
    )]
    MissingSecret {
        /// `service@version`
        bundle: String,
        /// The service alone.
        service: String,
        /// The secret's name.
        name: String,
    },
    /// It is not signed as the application requires.
    #[error(transparent)]
    Distrusted(#[from] isolith_services::bundle::SignatureError),
    /// It asks for outbound requests that the application does not grant.
    #[error(
        "{bundle}: binding {name} asks to fetch {origin}, which is not granted; add it to `fetch` \
         under [grants.{service}] in the application file, if that is meant"
    )]
    NotGranted {
        /// `service@version`
        bundle: String,
        /// The service alone.
        service: String,
        /// The binding.
        name: String,
        /// The first origin that is not granted.
        origin: String,
    },
    /// Its manifest sets a limit above what the application allows.
    #[error(
        "{bundle}: its manifest sets {limit} = {asked}, and the application allows {most}; lower \
         it, or raise {limit}_max under [limits] in the application file"
    )]
    AsksTooMuch {
        /// `service@version`
        bundle: String,
        /// The limit's name.
        limit: &'static str,
        /// What the manifest sets.
        asked: u32,
        /// What it may set.
        most: u32,
    },
    /// It is native, and the process does not have its code.
    #[error(
        "{bundle} is native, and this process is not built with it: serve with a binary that has \
         this version of it"
    )]
    NotNative {
        /// `service@version`
        bundle: String,
    },
    /// Its schema cannot be bound.
    #[error("{bundle}: {reason}")]
    Schema {
        /// `service@version`
        bundle: String,
        /// What does not fit.
        reason: String,
    },
    /// The shard's thread has ended.
    #[error("shard {shard} has ended and loads nothing any more; restart the process")]
    ShardGone {
        /// The shard's number.
        shard: usize,
    },
}
