//! Compiling scripts and modules in the current isolate.

use std::ffi::c_char;
use std::sync::Arc;

use v8::script_compiler::{self, CachedData, CompileOptions, NoCacheReason, Source};

/// Runs a test's script.
#[cfg(test)]
pub(crate) fn run_script<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    source: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let source = v8::String::new(scope, source)?;
    let origin = origin(scope, name, false)?;
    v8::Script::compile(scope, source, Some(&origin))?.run(scope)
}

/// A module whose text other isolates have, too; `compiled` is its code cache.
pub(crate) fn compile_module<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    text: &Arc<str>,
    compiled: Option<&[u8]>,
) -> Option<v8::Local<'s, v8::Module>> {
    let text = shared_text(scope, text)?;
    let (mut source, options) = source(scope, name, text, true, compiled)?;
    script_compiler::compile_module2(scope, &mut source, options, NoCacheReason::NoReason)
}

/// Runs a script whose text other isolates run, too; `compiled` is its code cache.
pub(crate) fn run_shared_script<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    text: &Arc<str>,
    compiled: Option<&[u8]>,
) -> Option<v8::Local<'s, v8::Value>> {
    let text = shared_text(scope, text)?;
    let (mut source, options) = source(scope, name, text, false, compiled)?;
    let script = script_compiler::compile(scope, &mut source, options, NoCacheReason::NoReason)?;
    script.run(scope)
}

/// The code cache of a module, with all of its functions. Runs nothing.
pub(crate) fn precompile_module(
    scope: &mut v8::PinScope<'_, '_>,
    text: &Arc<str>,
) -> Option<Box<[u8]>> {
    let text = shared_text(scope, text)?;
    let (mut source, _) = source(scope, "", text, true, None)?;
    let (eager, no_reason) = (CompileOptions::EagerCompile, NoCacheReason::NoReason);
    let module = script_compiler::compile_module2(scope, &mut source, eager, no_reason)?;
    let cache = module
        .get_unbound_module_script(scope)
        .create_code_cache()?;
    Some(cache.to_vec().into())
}

/// The code cache of a script, with all of its functions. Runs nothing.
pub(crate) fn precompile_script(
    scope: &mut v8::PinScope<'_, '_>,
    text: &Arc<str>,
) -> Option<Box<[u8]>> {
    let text = shared_text(scope, text)?;
    let (mut source, _) = source(scope, "", text, false, None)?;
    let (eager, no_reason) = (CompileOptions::EagerCompile, NoCacheReason::NoReason);
    let script = script_compiler::compile_unbound_script(scope, &mut source, eager, no_reason)?;
    Some(script.create_code_cache()?.to_vec().into())
}

/// What V8 compiles a text from, and how. A cache that does not fit is as good as none.
pub(crate) fn source(
    scope: &mut v8::PinScope<'_, '_>,
    name: &str,
    text: v8::Local<'_, v8::String>,
    is_module: bool,
    compiled: Option<&[u8]>,
) -> Option<(Source, CompileOptions)> {
    let origin = origin(scope, name, is_module)?;
    Some(match compiled {
        Some(compiled) => {
            let compiled = CachedData::new(compiled);
            let source = Source::new_with_cached_data(text, Some(&origin), compiled);
            (source, CompileOptions::ConsumeCodeCache)
        }
        None => (
            Source::new(text, Some(&origin)),
            CompileOptions::NoCompileOptions,
        ),
    })
}

/// A string whose text stays outside of the isolate's heap, and is shared with whoever else has
/// it, if it is ASCII.
fn shared_text<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    text: &Arc<str>,
) -> Option<v8::Local<'s, v8::String>> {
    if text.is_empty() || !text.is_ascii() {
        return v8::String::new(scope, text);
    }
    let held = Arc::into_raw(Arc::clone(text)).cast::<c_char>().cast_mut();
    // SAFETY: nobody writes to the text, which is ASCII, and the reference keeps it until
    // `release`, which V8 calls once.
    unsafe { v8::String::new_external_onebyte_raw(scope, held, text.len(), release) }
}

unsafe extern "C" fn release(text: *mut c_char, len: usize) {
    let text = std::ptr::slice_from_raw_parts(text.cast::<u8>(), len) as *const str;
    // SAFETY: the reference that `shared_text` gave away.
    drop(unsafe { Arc::from_raw(text) });
}

pub(crate) fn origin<'s>(
    scope: &v8::PinScope<'s, '_>,
    name: &str,
    is_module: bool,
) -> Option<v8::ScriptOrigin<'s>> {
    let name = v8::String::new(scope, name)?;
    Some(v8::ScriptOrigin::new(
        scope,
        name.into(),
        0,
        0,
        false,
        0,
        None,
        false,
        false,
        is_module,
        None,
    ))
}

/// A bundle's module has no imports left: the build inlined them.
pub(crate) fn resolve_nothing<'s>(
    context: v8::Local<'s, v8::Context>,
    specifier: v8::Local<'s, v8::String>,
    _: v8::Local<'s, v8::FixedArray>,
    _: v8::Local<'s, v8::Module>,
) -> Option<v8::Local<'s, v8::Module>> {
    v8::callback_scope!(unsafe scope, context);
    let specifier = specifier.to_rust_string_lossy(scope);
    let reason = format!("module \"{specifier}\" is not in the bundle; build it again");
    let reason = v8::String::new(scope, &reason)?;
    let error = v8::Exception::error(scope, reason);
    scope.throw_exception(error);
    None
}
