//! `structuredClone`, by V8's own serialiser.

use std::cell::RefCell;
use std::rc::Rc;

use v8::{MapFnTo, ValueDeserializerHelper, ValueSerializerHelper};

use super::convert::{Args, Op, Ret, return_str, throw_type};

pub(super) fn ops() -> Vec<Op> {
    vec![("clone", clone.map_fn_to())]
}

const NOT_TRANSFERABLE: &str = "an ArrayBuffer cannot be transferred.";

type Refusal = Rc<RefCell<Option<String>>>;

struct Writer {
    refusal: Refusal,
}

impl Writer {
    /// Notes why, and throws something that unwinds the serialiser; [`clone`] takes it back.
    fn refuse(&self, scope: &mut v8::PinScope<'_, '_>, message: String) {
        self.refusal.replace(Some(message));
        throw_type(scope, "refused");
    }
}

impl v8::ValueSerializerImpl for Writer {
    fn throw_data_clone_error<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        message: v8::Local<'s, v8::String>,
    ) {
        let message = message.to_rust_string_lossy(scope);
        self.refuse(scope, message);
    }

    fn write_host_object<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        _: v8::Local<'s, v8::Object>,
        _: &dyn ValueSerializerHelper,
    ) -> Option<bool> {
        self.refuse(scope, "a host object could not be cloned.".to_owned());
        None
    }

    fn get_shared_array_buffer_id<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        _: v8::Local<'s, v8::SharedArrayBuffer>,
    ) -> Option<u32> {
        self.refuse(scope, "a SharedArrayBuffer could not be cloned.".to_owned());
        None
    }

    fn get_wasm_module_transfer_id(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        _: v8::Local<'_, v8::WasmModuleObject>,
    ) -> Option<u32> {
        self.refuse(
            scope,
            "a WebAssembly.Module could not be cloned.".to_owned(),
        );
        None
    }
}

struct Reader;

impl v8::ValueDeserializerImpl for Reader {}

/// `host.clone(value, buffers)`: `[copy]`, or a string that says what could not be cloned.
/// `buffers` are the distinct ArrayBuffers to move instead of copying.
fn clone<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, mut rv: Ret<'s>) {
    let Ok(list) = args.get(1).try_cast::<v8::Array>() else {
        return throw_type(scope, "argument 1 must be an array");
    };
    let mut buffers = Vec::new();
    for index in 0..list.length() {
        let value = list.get_index(scope, index);
        match value.map(|value| value.try_cast::<v8::ArrayBuffer>()) {
            Some(Ok(buffer)) if buffer.is_detachable() => buffers.push(buffer),
            Some(Ok(_)) => return return_str(scope, &mut rv, NOT_TRANSFERABLE),
            _ => return throw_type(scope, "argument 1 must hold ArrayBuffers"),
        }
    }
    let refusal = Refusal::default();
    match copy(scope, args.get(0), &buffers, &refusal) {
        Some(value) => rv.set(v8::Array::new_with_elements(scope, &[value]).into()),
        None => {
            if let Some(text) = refusal.take().and_then(|why| v8::String::new(scope, &why)) {
                rv.set(text.into());
            }
        }
    }
}

/// `None` with a refusal noted, or with an exception of the service's own (from a getter).
fn copy<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    buffers: &[v8::Local<'s, v8::ArrayBuffer>],
    refusal: &Refusal,
) -> Option<v8::Local<'s, v8::Value>> {
    v8::tc_scope!(let scope, scope);
    // Getters run code of the service, which may be ended: see the isolate's turns.
    scope.set_capture_message(false);
    let context = scope.get_current_context();
    let written = {
        let writer = Writer {
            refusal: refusal.clone(),
        };
        let serializer = v8::ValueSerializer::new(scope, Box::new(writer));
        serializer.write_header();
        for (id, buffer) in (0u32..).zip(buffers) {
            serializer.transfer_array_buffer(id, *buffer);
        }
        serializer
            .write_value(context, value)
            .map(|_| serializer.release())
    };
    let Some(bytes) = written else {
        if refusal.borrow().is_some() {
            scope.reset();
        } else {
            scope.rethrow();
        }
        return None;
    };
    let deserializer = v8::ValueDeserializer::new(scope, Box::new(Reader), &bytes);
    if deserializer.read_header(context) != Some(true) {
        return None;
    }
    for (id, buffer) in (0u32..).zip(buffers) {
        let store = buffer.get_backing_store();
        if buffer.detach(None) != Some(true) {
            refusal.replace(Some(NOT_TRANSFERABLE.to_owned()));
            scope.reset();
            return None;
        }
        let moved = v8::ArrayBuffer::with_backing_store(scope, &store);
        deserializer.transfer_array_buffer(id, moved);
    }
    let value = deserializer.read_value(context);
    if value.is_none() {
        scope.rethrow();
    }
    value
}
