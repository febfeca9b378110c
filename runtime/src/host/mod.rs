//! The host APIs: the web-standard globals that a service's code finds in its isolate.
//!
//! The classes are JavaScript (`js/`), evaluated once into the startup snapshot, or, most of them,
//! when a service first asks for one (`js/lazy.js`); what they need
//! from outside the engine (parsing URLs, hashing, the clock, the log) is a native function of
//! the `host` object that only those files can see. `deno_web` and its relatives would bring
//! more, but they are written against deno_core's own runtime, and here isolates, dispatch and
//! the event loop are ours.
//!
//! Three rules hold throughout:
//! - **The files capture what they use.** They read built-ins from `primordials`, made before any
//!   service code runs, so a service that patches `Array.prototype.map` breaks itself at most. That
//!   holds for their top level, too, and of each other's classes they use what `internals` has.
//! - **Nothing native survives in the heap.** State is in [`HostState`], in an isolate slot;
//!   JavaScript holds numbers, strings and buffers only. That is what makes the snapshot possible.
//! - **Buffers are allocated by JavaScript**, so that a refused allocation is a `RangeError` of
//!   the service and not a fatal error of the process.
//!
//! Known gaps against the WinterTC minimum common API: CompressionStream, URLPattern, MessageChannel
//! and `byobRequest` of byte streams are not there; the global `fetch` rejects (outbound requests
//! are a binding, `env.NAME.fetch`); `crypto.subtle` has SHA-1/2, HMAC, AES-GCM (96-bit iv, 128-bit tag), ECDSA P-256 with
//! SHA-256 and P-384 with SHA-384, Ed25519, RSA signatures without key generation, PBKDF2 and
//! HKDF; legacy multi-byte encodings decode whole texts only; `structuredClone` refuses these
//! classes at the top and sees plain objects in them deeper down.

mod clone;
mod console;
mod convert;
mod crypto;
mod der;
mod encoding;
mod log;
mod multipart;
mod source;
mod time;
mod url;

#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::time::{Instant, SystemTime};

pub(crate) use console::{LogLevel, LogRecord};
pub(crate) use log::Redaction;
use log::{Allowance, Verdict};

/// What an isolate's host APIs need to know about where they run.
pub(crate) struct HostConfig {
    /// The bundle's label, such as `auth@1.4.0`: the source of its log records.
    pub(crate) service: Rc<str>,
    /// Receives each console message and each uncaught error. Must not call into V8.
    pub(crate) log: Rc<dyn Fn(LogRecord)>,
    /// As [`crate::limits::Limits::log_kib_per_second`].
    pub(crate) log_kib_per_second: u32,
    /// What must not get into the log, nor into an error that leaves the isolate.
    pub(crate) redaction: Redaction,
}

/// One isolate's native state, kept in its slot as `Rc<HostState>`.
///
/// Its clock starts when it is created: timers and `performance.now` count from there, so a
/// service never sees the snapshot's time.
pub(crate) struct HostState {
    config: HostConfig,
    origin: Instant,
    origin_unix: SystemTime,
    allowance: Allowance,
}

impl HostState {
    /// The state for a new isolate; its clock starts now.
    pub(crate) fn new(config: HostConfig) -> Self {
        let origin = Instant::now();
        Self {
            allowance: Allowance::new(config.log_kib_per_second, origin),
            config,
            origin,
            origin_unix: SystemTime::now(),
        }
    }

    /// Milliseconds since this state was created: the clock that `fireTimers` and the timer
    /// scheduler count by.
    pub(crate) fn now_ms(&self) -> f64 {
        self.origin.elapsed().as_secs_f64() * 1000.0
    }

    /// The instant of `due_ms` on this state's clock; at most a day ahead of now, so that any
    /// number that a service invents makes a valid instant.
    pub(crate) fn instant_at(&self, due_ms: f64) -> Instant {
        let ahead_ms = (due_ms - self.now_ms()).clamp(0.0, 86_400_000.0);
        // A NaN stays NaN through clamp; the cast makes it 0.
        Instant::now() + std::time::Duration::from_micros((ahead_ms * 1000.0) as u64)
    }

    /// Writes one record to the log, under this isolate's label, if its allowance holds out.
    pub(crate) fn log(&self, level: LogLevel, message: String) {
        let limit = self.config.log_kib_per_second;
        match self.allowance.take(message.len(), Instant::now()) {
            Verdict::Drop => return,
            Verdict::BeginGap => {
                let text = format!("messages are dropped: log_kib_per_second ({limit}) is reached");
                return self.write(LogLevel::Warn, text);
            }
            Verdict::WriteAfterGap(count) => {
                let text = format!("{count} messages were dropped: log_kib_per_second ({limit})");
                self.write(LogLevel::Warn, text);
            }
            Verdict::Write => {}
        }
        self.write(level, self.redact(message));
    }

    /// The text without the service's secrets.
    pub(crate) fn redact(&self, text: String) -> String {
        self.config.redaction.apply(text)
    }

    fn write(&self, level: LogLevel, message: String) {
        (self.config.log)(LogRecord {
            level,
            service: self.config.service.clone(),
            message,
        });
    }

    pub(crate) fn of(scope: &v8::Isolate) -> Option<Rc<HostState>> {
        scope.get_slot::<Rc<HostState>>().cloned()
    }
}

/// Why the host APIs could not be installed. Only a defect in this crate causes it.
#[derive(Debug, thiserror::Error)]
#[error("host API file {file} failed: {reason}; this is a defect of the runtime")]
pub(crate) struct InstallError {
    file: &'static str,
    reason: String,
}

fn ops() -> Vec<(&'static str, v8::FunctionCallback)> {
    [
        clone::ops(),
        console::ops(),
        crypto::ops(),
        encoding::ops(),
        multipart::ops(),
        source::ops(),
        time::ops(),
        url::ops(),
    ]
    .concat()
}

/// Every native address that the snapshot of an isolate with host APIs refers to.
///
/// Give the same list, in the same order, to the snapshot creator and to each isolate made from
/// its blob.
pub(crate) fn external_references() -> Vec<v8::ExternalReference> {
    let functions = ops()
        .into_iter()
        .map(|(_, function)| v8::ExternalReference { function });
    functions.chain(source::external_references()).collect()
}

/// Defines the globals in `context`, which must be the current one, and leaves the internals
/// object at `globalThis.__isolith_internals` for the runtime to take and delete.
///
/// Costs a few milliseconds; meant for the snapshot creator. V8 shares its read-only heap among
/// the isolates of a process, so a process has one snapshot, made before its first isolate: a
/// second one, or an isolate without it that came first, ends the process.
///
/// # Errors
/// [`InstallError`] when one of the embedded files does not compile or throws.
pub(crate) fn install(
    scope: &mut v8::PinScope<'_, '_>,
    context: v8::Local<'_, v8::Context>,
) -> Result<(), InstallError> {
    v8::tc_scope!(let scope, scope);
    let defect = |reason: &str| InstallError {
        file: "mod.rs",
        reason: reason.to_owned(),
    };
    let host = v8::Object::new(scope);
    for (name, callback) in ops() {
        let key = v8::String::new(scope, name).ok_or_else(|| defect("string"))?;
        let function = v8::Function::builder_raw(callback)
            .constructor_behavior(v8::ConstructorBehavior::Throw)
            .build(scope)
            .ok_or_else(|| defect("function"))?;
        host.set(scope, key.into(), function.into())
            .ok_or_else(|| defect("property"))?;
    }
    let primordials = v8::Object::new(scope);
    let internals = v8::Object::new(scope);
    let receiver: v8::Local<v8::Value> = v8::undefined(scope).into();
    for source in &source::FIRST {
        let done = source.evaluate(scope).and_then(|function| {
            function.call(
                scope,
                receiver,
                &[host.into(), primordials.into(), internals.into()],
            )
        });
        if done.is_none() {
            let reason = match (scope.exception(), scope.message()) {
                (Some(error), Some(message)) => format!(
                    "{} (line {})",
                    error.to_rust_string_lossy(scope),
                    message.get_line_number(scope).unwrap_or_default(),
                ),
                _ => "terminated".to_owned(),
            };
            return Err(InstallError {
                file: source.name,
                reason,
            });
        }
    }
    let key = v8::String::new(scope, "__isolith_internals").ok_or_else(|| defect("string"))?;
    context
        .global(scope)
        .set(scope, key.into(), internals.into())
        .ok_or_else(|| defect("global"))?;
    Ok(())
}
