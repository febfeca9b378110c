//! The startup snapshot: host APIs and the isolate's end of the call path, evaluated once.
//!
//! It is made when the first isolate is, in about 15 ms, and held for the life of the process:
//! an isolate made from it starts in about one.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::facts::WireFacts;
use super::native;
use crate::host;

/// Why no snapshot could be made. Only a defect in this crate causes it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the startup snapshot could not be made: {0}; this is a defect of the runtime")]
pub(crate) struct SnapshotError(String);

impl SnapshotError {
    pub(super) fn new(reason: &str) -> Self {
        SnapshotError(reason.to_owned())
    }
}

/// The glue's source, kept outside the heap of each isolate: the parts of one function.
static GLUE_JS: v8::OneByteConst = v8::String::create_external_onebyte_const(
    concat!(
        include_str!("../js/glue/call.js"),
        include_str!("../js/glue/capabilities.js"),
        include_str!("../js/glue/answers.js"),
        include_str!("../js/glue/kept.js"),
        include_str!("../js/glue/streams.js"),
        include_str!("../js/glue/http.js"),
        include_str!("../js/glue/outbound.js"),
        include_str!("../js/glue/json.js"),
        include_str!("../js/glue/life.js"),
    )
    .as_bytes(),
);
static MESSAGE_JS: v8::OneByteConst =
    v8::String::create_external_onebyte_const(isolith_capnp::MESSAGE_JS.as_bytes());

static WARM_JS: v8::OneByteConst =
    v8::String::create_external_onebyte_const(include_bytes!("../js/warm.js"));

/// Index of the glue object in the snapshot's context data.
const GLUE: usize = 0;

/// Every native address that the snapshot refers to, in a fixed order.
pub(super) fn external_references() -> Cow<'static, [v8::ExternalReference]> {
    static REFERENCES: OnceLock<Shareable> = OnceLock::new();
    struct Shareable(Vec<v8::ExternalReference>);
    // SAFETY: the addresses of functions and statics, which are the same for every thread.
    unsafe impl Send for Shareable {}
    // SAFETY: as above; they are only read.
    unsafe impl Sync for Shareable {}
    let references = REFERENCES.get_or_init(|| {
        let mut references = host::external_references();
        references.extend(native::external_references());
        for text in [
            &raw const GLUE_JS,
            &raw const MESSAGE_JS,
            &raw const WARM_JS,
        ] {
            references.push(v8::ExternalReference {
                pointer: text.cast_mut().cast(),
            });
        }
        references.push(v8::ExternalReference {
            pointer: std::ptr::null_mut(),
        });
        Shareable(references)
    });
    Cow::Borrowed(&references.0)
}

/// The snapshot's bytes; made by whoever asks first.
///
/// # Errors
/// If the JavaScript of the runtime itself fails.
pub(super) fn blob() -> Result<&'static [u8], SnapshotError> {
    static BLOB: OnceLock<Result<Box<[u8]>, SnapshotError>> = OnceLock::new();
    match BLOB.get_or_init(create) {
        Ok(blob) => Ok(blob),
        Err(error) => Err(error.clone()),
    }
}

/// The glue object of an isolate made from the snapshot.
pub(super) fn glue<'s>(scope: &v8::PinScope<'s, '_>) -> Option<v8::Local<'s, v8::Object>> {
    scope
        .get_context_data_from_snapshot_once::<v8::Object>(GLUE)
        .ok()
}

fn create() -> Result<Box<[u8]>, SnapshotError> {
    crate::platform::init_once();
    let mut isolate = v8::Isolate::snapshot_creator(Some(external_references()), None);
    let built = {
        v8::scope!(let scope, &mut isolate);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        let scope = &mut v8::ContextScope::new(scope, context);
        match build(scope, context).and_then(|glue| warm_up(scope).map(|()| glue)) {
            Ok(glue) => {
                scope.set_default_context(context);
                scope.add_context_data(context, glue);
                Ok(())
            }
            Err(error) => {
                // A blob must be made before the creator may be dropped, even if it is no use.
                scope.set_default_context(context);
                Err(error)
            }
        }
    };
    let blob = isolate.create_blob(v8::FunctionCodeHandling::Keep);
    built?;
    match blob {
        Some(blob) => Ok(blob.to_vec().into_boxed_slice()),
        None => Err(SnapshotError("V8 did not serialise the heap".into())),
    }
}

fn build<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    context: v8::Local<'s, v8::Context>,
) -> Result<v8::Local<'s, v8::Object>, SnapshotError> {
    host::install(scope, context).map_err(|error| SnapshotError(error.to_string()))?;
    let global = context.global(scope);
    let internals = take(scope, global, "__isolith_internals")
        .ok_or_else(|| SnapshotError("the host APIs left no internals".into()))?;

    // The async context's getter and setter are V8's own; no bundle can reach the object.
    let extras = context.get_extras_binding_object(scope);
    let get_context = take(scope, extras, "getContinuationPreservedEmbedderData");
    let set_context = take(scope, extras, "setContinuationPreservedEmbedderData");
    let (Some(get_context), Some(set_context)) = (get_context, set_context) else {
        return Err(SnapshotError(
            "V8 has no continuation-preserved embedder data".into(),
        ));
    };

    let natives = native::object(scope).ok_or_else(|| SnapshotError("no natives".into()))?;
    let message = evaluate(scope, "isolith:message", &MESSAGE_JS)?;
    let arguments = [
        natives.into(),
        message.into(),
        internals,
        get_context,
        set_context,
    ];
    let make_glue = evaluate(scope, "isolith:glue", &GLUE_JS)?;
    call(scope, "isolith:glue", make_glue, &arguments)?
        .try_into()
        .map_err(|_| SnapshotError("the glue returned no object".into()))
}

/// Calls what every service calls, in a context of its own. The same texts are the same functions to
/// V8, so they are then compiled in the snapshot's context, too.
fn warm_up(scope: &mut v8::PinScope<'_, '_>) -> Result<(), SnapshotError> {
    v8::scope!(let scope, scope);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    let glue = build(scope, context)?;
    let wire = serde_v8::to_v8(scope, WireFacts::default())
        .map_err(|error| SnapshotError(error.to_string()))?;
    let warm = evaluate(scope, "isolith:warm", &WARM_JS)?;
    let check = call(scope, "isolith:warm", warm, &[glue.into(), wire])?;
    scope.perform_microtask_checkpoint();
    let check = check
        .try_into()
        .map_err(|_| SnapshotError("the warm-up returned no function".into()))?;
    call(scope, "isolith:warm", check, &[])?;
    Ok(())
}

fn take<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Object>,
    name: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let key = v8::String::new(scope, name)?;
    let value = object.get(scope, key.into()).filter(|v| !v.is_undefined());
    object.delete(scope, key.into());
    value
}

/// Evaluates a file that is one function expression.
fn evaluate<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    source: &'static v8::OneByteConst,
) -> Result<v8::Local<'s, v8::Function>, SnapshotError> {
    attempt(scope, name, |scope| {
        let source = v8::String::new_from_onebyte_const(scope, source)?;
        let origin = crate::script::origin(scope, name, false)?;
        let script = v8::Script::compile(scope, source, Some(&origin))?;
        script.run(scope)?.try_into().ok()
    })
}

fn call<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    function: v8::Local<'s, v8::Function>,
    arguments: &[v8::Local<'s, v8::Value>],
) -> Result<v8::Local<'s, v8::Value>, SnapshotError> {
    attempt(scope, name, |scope| {
        let undefined = v8::undefined(scope).into();
        function.call(scope, undefined, arguments)
    })
}

fn attempt<'s, T>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    f: impl FnOnce(&mut v8::PinScope<'s, '_>) -> Option<T>,
) -> Result<T, SnapshotError> {
    v8::tc_scope!(let scope, scope);
    f(scope).ok_or_else(|| {
        let stack = scope.stack_trace().filter(|stack| stack.is_string());
        let reason = match stack.or_else(|| scope.exception()) {
            Some(error) => error.to_rust_string_lossy(scope),
            None => "no exception".into(),
        };
        SnapshotError(format!("{name}: {reason}"))
    })
}
