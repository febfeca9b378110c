//! Compiling scripts and modules in the current isolate.

pub(crate) fn run_script<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    source: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let source = v8::String::new(scope, source)?;
    let origin = origin(scope, name, false)?;
    v8::Script::compile(scope, source, Some(&origin))?.run(scope)
}

pub(crate) fn compile_module<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    source: &str,
) -> Option<v8::Local<'s, v8::Module>> {
    let source = v8::String::new(scope, source)?;
    let origin = origin(scope, name, true)?;
    let mut source = v8::script_compiler::Source::new(source, Some(&origin));
    v8::script_compiler::compile_module(scope, &mut source)
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
