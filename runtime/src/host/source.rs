//! The files of `js/`, and how an isolate comes to have them.

use std::sync::OnceLock;

use v8::MapFnTo;
use v8::script_compiler::{self, NoCacheReason};

use super::convert::{Args, Op, Ret};
use crate::script;

/// One file, which is a function expression.
pub(super) struct Source {
    pub(super) name: &'static str,
    file: &'static str,
    // It stays outside the heap of each isolate: V8 refers to it as an external string.
    text: v8::OneByteConst,
    /// V8's code cache of a file of [`LATER`]: consuming it takes a fraction of compiling.
    compiled: OnceLock<Box<[u8]>>,
}

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        [$(Source {
            name: concat!("isolith:host/", $name),
            file: $name,
            text: v8::String::create_external_onebyte_const(include_bytes!(concat!("js/", $name))),
            compiled: OnceLock::new(),
        }),*]
    };
}

/// What the snapshot has, in order of evaluation: a file uses what the files before it put on
/// `internals`.
pub(super) static FIRST: [Source; 7] = sources![
    "primordials.js",
    "interrupts.js",
    "webidl.js",
    "lazy.js",
    "timers.js",
    "clone.js",
    "globals.js",
];

/// What `lazy.js` asks for.
static LATER: [Source; 15] = sources![
    "console.js",
    "events.js",
    "performance.js",
    "encoding.js",
    "url.js",
    "streams_queue.js",
    "streams_readable.js",
    "streams_writable.js",
    "streams_transform.js",
    "blob.js",
    "headers.js",
    "body.js",
    "request_response.js",
    "crypto_keys.js",
    "crypto.js",
];

impl Source {
    /// The file's function, compiled.
    pub(super) fn evaluate<'s>(
        &'static self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Option<v8::Local<'s, v8::Function>> {
        let script = self.compile(scope, None)?;
        run(scope, script)
    }

    /// The same, compiled once for all isolates of the process.
    fn evaluate_shared<'s>(
        &'static self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Option<v8::Local<'s, v8::Function>> {
        let compiled = self.compiled.get();
        let script = self.compile(scope, compiled.map(|compiled| &**compiled))?;
        if compiled.is_none()
            && let Some(compiled) = script.create_code_cache()
        {
            let _ = self.compiled.set(compiled.to_vec().into());
        }
        run(scope, script)
    }

    fn compile<'s>(
        &'static self,
        scope: &mut v8::PinScope<'s, '_>,
        compiled: Option<&[u8]>,
    ) -> Option<v8::Local<'s, v8::UnboundScript>> {
        let text = v8::String::new_from_onebyte_const(scope, &self.text)?;
        let (mut source, options) = script::source(scope, self.name, text, false, compiled)?;
        let no_reason = NoCacheReason::NoReason;
        script_compiler::compile_unbound_script(scope, &mut source, options, no_reason)
    }
}

fn run<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    script: v8::Local<'s, v8::UnboundScript>,
) -> Option<v8::Local<'s, v8::Function>> {
    let script = script.bind_to_current_context(scope);
    script.run(scope)?.try_cast::<v8::Function>().ok()
}

/// The addresses of the texts, in a fixed order.
pub(super) fn external_references() -> impl Iterator<Item = v8::ExternalReference> {
    FIRST
        .iter()
        .chain(&LATER)
        .map(|source| v8::ExternalReference {
            pointer: (&raw const source.text).cast_mut().cast(),
        })
}

pub(super) fn ops() -> Vec<Op> {
    vec![("source", source.map_fn_to())]
}

/// source(file) -> the function that the file is.
fn source<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let file = args.get(0).to_rust_string_lossy(scope);
    if let Some(source) = LATER.iter().find(|source| source.file == file)
        && let Some(function) = source.evaluate_shared(scope)
    {
        rv.set(function.into());
    }
}
