//! Between JavaScript values and Rust's, checking on the way in.

/// Arguments and return slot of a native function.
pub(super) type Args<'s> = v8::FunctionCallbackArguments<'s>;
pub(super) type Ret<'s> = v8::ReturnValue<'s, v8::Value>;
pub(super) type Op = (&'static str, v8::FunctionCallback);

/// V8 keeps typed arrays up to this size inside its heap, where they may move.
const ON_HEAP_MAX_BYTES: usize = 64;

/// Throws a `TypeError`. The message is for the authors of `js/`: those files check what a
/// service passes before they call here.
pub(super) fn throw_type(scope: &mut v8::PinScope<'_, '_>, message: &str) {
    if let Some(text) = v8::String::new(scope, message) {
        let error = v8::Exception::type_error(scope, text);
        scope.throw_exception(error);
    }
}

/// Throws a `RangeError`.
pub(super) fn throw_range(scope: &mut v8::PinScope<'_, '_>, message: &str) {
    if let Some(text) = v8::String::new(scope, message) {
        let error = v8::Exception::range_error(scope, text);
        scope.throw_exception(error);
    }
}

/// The string argument `index`, lone surrogates replaced; throws and gives `None` if it is
/// something else. Never runs JavaScript.
pub(super) fn string_arg(
    scope: &mut v8::PinScope<'_, '_>,
    args: &Args<'_>,
    index: i32,
) -> Option<String> {
    match args.get(index).try_cast::<v8::String>() {
        Ok(text) => Some(text.to_rust_string_lossy(scope)),
        Err(_) => {
            throw_type(scope, &format!("argument {index} must be a string"));
            None
        }
    }
}

/// A copy of the bytes of the view in argument `index`; throws if it is something else.
pub(super) fn bytes_arg(
    scope: &mut v8::PinScope<'_, '_>,
    args: &Args<'_>,
    index: i32,
) -> Option<Vec<u8>> {
    with_bytes(scope, args.get(index), |bytes| bytes.to_vec())
}

/// Runs `read` on the bytes of a view without copying large ones; throws if `value` is not one.
///
/// `read` must not run JavaScript.
pub(super) fn with_bytes<R>(
    scope: &mut v8::PinScope<'_, '_>,
    value: v8::Local<'_, v8::Value>,
    read: impl FnOnce(&[u8]) -> R,
) -> Option<R> {
    match value.try_cast::<v8::ArrayBufferView>() {
        Ok(view) => {
            let mut storage = [0u8; ON_HEAP_MAX_BYTES];
            Some(read(view.get_contents(&mut storage)))
        }
        Err(_) => {
            throw_type(scope, "expected a typed array or DataView");
            None
        }
    }
}

/// Copies `bytes` into the start of `view`; false if they do not fit.
pub(super) fn write_view(view: v8::Local<'_, v8::ArrayBufferView>, bytes: &[u8]) -> bool {
    let data = view.data().cast::<u8>();
    if bytes.len() > view.byte_length() || (data.is_null() && !bytes.is_empty()) {
        return false;
    }
    if !bytes.is_empty() {
        // SAFETY: `data` points at `byte_length` writable bytes, of which `bytes` is not a part
        // (it is Rust's own memory), and nothing can move them before the copy ends: no V8 call
        // happens in between.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len()) };
    }
    true
}

/// Calls the allocator that JavaScript passed in argument `index` (`n => new Uint8Array(n)`).
/// `None` if it threw, for example because the service's memory budget is used up.
pub(super) fn allocate<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: &Args<'s>,
    index: i32,
    len_bytes: usize,
) -> Option<v8::Local<'s, v8::ArrayBufferView>> {
    let Ok(function) = args.get(index).try_cast::<v8::Function>() else {
        throw_type(scope, &format!("argument {index} must be an allocator"));
        return None;
    };
    let receiver = v8::undefined(scope).into();
    let length = v8::Number::new(scope, len_bytes as f64).into();
    let view = function.call(scope, receiver, &[length])?;
    match view.try_cast::<v8::ArrayBufferView>() {
        Ok(view) if view.byte_length() >= len_bytes => Some(view),
        _ => {
            throw_type(
                scope,
                "the allocator must return a view of the size asked for",
            );
            None
        }
    }
}

/// Returns `bytes` in a view made by the allocator in argument `index`.
pub(super) fn return_bytes<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: &Args<'s>,
    index: i32,
    rv: &mut Ret<'s>,
    bytes: &[u8],
) {
    if let Some(view) = allocate(scope, args, index, bytes.len()) {
        write_view(view, bytes);
        rv.set(view.into());
    }
}

/// Returns a string, or throws a `RangeError` if V8 cannot hold one of that length.
pub(super) fn return_str<'s>(scope: &mut v8::PinScope<'s, '_>, rv: &mut Ret<'s>, text: &str) {
    match v8::String::new(scope, text) {
        Some(text) => rv.set(text.into()),
        None => throw_range(scope, "the string is too long"),
    }
}

/// A view whose memory V8 never moves.
pub(super) fn is_off_heap(view: v8::Local<'_, v8::ArrayBufferView>) -> bool {
    view.byte_length() > ON_HEAP_MAX_BYTES
}
