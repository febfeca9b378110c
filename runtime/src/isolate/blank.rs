//! An isolate that belongs to no service yet: what a start takes longest for, done ahead.

use std::mem::ManuallyDrop;
use std::rc::Rc;

use super::cut::OnlyContext;
use super::glue::{Glue, find_glue};
use super::heap::MemoryGuard;
use super::snapshot::{self, SnapshotError};
use super::stub_caches;
use super::thrown::{FormatStack, on_promise_reject, prepare_stack_trace};

/// A V8 isolate made from the snapshot, and its context. Not entered.
pub(crate) struct Blank(
    /// `None` only while it is being dropped.
    Option<Parts>,
);

/// What a blank isolate consists of. Handles go before the isolate that they belong to.
pub(super) struct Parts {
    pub(super) glue: Glue,
    pub(super) context: v8::Global<v8::Context>,
    pub(super) isolate: v8::OwnedIsolate,
    // V8 calls it back as long as there is an isolate.
    pub(super) guard: Rc<MemoryGuard>,
}

impl Blank {
    /// Makes one whose memory may come to `heap_mib`. One to two milliseconds.
    ///
    /// # Errors
    /// If the JavaScript of the runtime itself fails.
    pub(crate) fn new(heap_mib: u32) -> Result<Self, SnapshotError> {
        let params = v8::CreateParams::default()
            .snapshot_blob(v8::StartupData::from(snapshot::blob()?))
            .external_references(snapshot::external_references())
            .allow_atomics_wait(false);
        let guard = MemoryGuard::new(heap_mib);
        let mut isolate = v8::Isolate::new(guard.params(params));
        guard.watch(&mut isolate);
        isolate.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
        isolate.set_prepare_stack_trace_callback(prepare_stack_trace);
        isolate.set_promise_reject_callback(on_promise_reject);
        let attached = {
            v8::scope!(let scope, &mut isolate);
            let context = v8::Context::new(scope, v8::ContextOptions::default());
            // Never left, so that no turn has to enter it; what V8 keeps for that goes with the
            // isolate.
            let mut scope = ManuallyDrop::new(v8::ContextScope::new(scope, context));
            find_glue(&mut scope).map(|glue| (glue, v8::Global::new(&scope, context)))
        };
        keep_handle_block(&mut isolate);
        // SAFETY: `new` entered the isolate; from here on whoever uses it enters and exits.
        unsafe { isolate.exit() };
        let Some((glue, context)) = attached else {
            // SAFETY: an isolate must be the entered one when it is dropped.
            unsafe { isolate.enter() };
            drop(isolate);
            return Err(SnapshotError::new("it has no glue"));
        };
        isolate.set_slot(FormatStack(glue.format_stack.clone()));
        isolate.set_slot(OnlyContext(context.clone()));
        stub_caches::give_back(&isolate);
        Ok(Blank(Some(Parts {
            glue,
            context,
            isolate,
            guard,
        })))
    }

    /// What its memory may come to.
    pub(crate) fn heap_mib(&self) -> u32 {
        self.0.as_ref().map_or(0, |parts| parts.guard.heap_mib())
    }

    /// For a service. `None` never happens.
    pub(super) fn into_parts(mut self) -> Option<Parts> {
        self.0.take()
    }
}

impl Parts {
    /// Takes the isolate apart. Nothing else may hold handles of it any more.
    pub(super) fn dispose(self) {
        let Parts {
            glue,
            context,
            mut isolate,
            guard,
        } = self;
        drop((glue, context));
        isolate.remove_slot::<FormatStack>();
        isolate.remove_slot::<OnlyContext>();
        isolate.remove_slot::<Rc<MemoryGuard>>();
        // SAFETY: an isolate must be the entered one when it is dropped; dropping exits it.
        unsafe { isolate.enter() };
        drop(isolate);
        drop(guard);
    }
}

impl Drop for Blank {
    fn drop(&mut self) {
        if let Some(parts) = self.0.take() {
            parts.dispose();
        }
    }
}

/// Opens a handle scope for the life of the isolate and puts a handle into it. V8 takes a block of
/// handles for the first one and gives it back with the last: else each turn would do both.
fn keep_handle_block(isolate: &mut v8::OwnedIsolate) {
    // Never dropped: V8 frees the block with the isolate.
    let mut storage = ManuallyDrop::new(v8::HandleScope::new(isolate));
    // SAFETY: the storage stays where it is while `scope` is used.
    let scope = &mut unsafe { std::pin::Pin::new_unchecked(&mut *storage) }.init();
    let _first = v8::Integer::new(scope, 0);
}
