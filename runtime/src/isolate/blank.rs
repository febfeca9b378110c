//! An isolate that belongs to no service yet: what a start takes longest for, done ahead.

use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::rc::Rc;

use super::cut::OnlyContext;
use super::glue::{Glue, find_glue};
use super::heap::MemoryGuard;
use super::optimising;
use super::snapshot::{self, SnapshotError};
use super::stub_caches;
use super::thrown::{FormatStack, on_promise_reject, prepare_stack_trace};

/// What the memory of an isolate may come to that runs nothing.
const LEAST_HEAP_MIB: u32 = 8;

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
        optimising::count(&isolate);
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
        let block = HandleBlock::of(&mut isolate);
        isolate.set_slot(block);
        // SAFETY: `new` entered the isolate; from here on whoever uses it enters and exits.
        unsafe { isolate.exit() };
        let Some((glue, context)) = attached else {
            // SAFETY: an isolate must be the entered one when it is dropped.
            unsafe { isolate.enter() };
            isolate.remove_slot::<HandleBlock>();
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
        isolate.remove_slot::<HandleBlock>();
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

/// Has V8 give back the pages of heaps that it keeps for whoever needs some next, and those of
/// isolates that are gone. It holds on to them for ten seconds and more, and when nothing happens,
/// for ever; but not when memory is said to be short, whoever hears of it. A few milliseconds, on
/// any thread that has entered no isolate.
pub(crate) fn give_back_pages() {
    let Some(mut parts) = Blank::new(LEAST_HEAP_MIB).ok().and_then(Blank::into_parts) else {
        return;
    };
    // SAFETY: exited below.
    unsafe { parts.isolate.enter() };
    let level = v8::MemoryPressureLevel::Moderate;
    parts.isolate.memory_pressure_notification(level);
    // SAFETY: entered above.
    unsafe { parts.isolate.exit() };
    parts.dispose();
}

/// A handle scope that is open for the life of its isolate and has a handle. V8 takes a block of
/// handles for the first one and gives it back with the last: else each turn would do both. With
/// the isolate alone it does not give the block back.
struct HandleBlock(Pin<Box<v8::ScopeStorage<v8::HandleScope<'static, ()>>>>);

impl HandleBlock {
    /// Goes into a slot of the isolate, and out of it before that goes.
    fn of(isolate: &mut v8::OwnedIsolate) -> Self {
        let isolate: *mut v8::OwnedIsolate = isolate;
        // SAFETY: the scope keeps V8's own address of the isolate, and goes first.
        let isolate: &'static mut v8::OwnedIsolate = unsafe { &mut *isolate };
        let mut block = HandleBlock(Box::pin(v8::HandleScope::new(isolate)));
        let _first = v8::Integer::new(&block.0.as_mut().init(), 0);
        block
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::capacity::resident_kib;
    use crate::script::run_script;

    const ISOLATES: usize = 200;
    /// Less than one block of handles for each of them.
    const MOST_LEFT_BYTES: usize = ISOLATES * (4 << 10);
    /// Some 50 MiB, and what of it may be left.
    const HELD: &str =
        "globalThis.held = Array.from({ length: 4e5 }, (_, i) => ({ i, list: [i] }))";
    const MOST_LEFT_KIB: usize = 24 << 10;

    fn allocated_bytes() -> usize {
        // SAFETY: it may be called at any time, from any thread.
        unsafe { libc::mallinfo2() }.uordblks
    }

    fn use_and_drop(source: &str) {
        let mut parts = Blank::new(256).unwrap().into_parts().unwrap();
        // SAFETY: exited below.
        unsafe { parts.isolate.enter() };
        {
            v8::scope!(let scope, &mut parts.isolate);
            let context = v8::Local::new(scope, &parts.context);
            let scope = &mut v8::ContextScope::new(scope, context);
            assert!(run_script(scope, "test", source).is_some());
        }
        // SAFETY: entered above.
        unsafe { parts.isolate.exit() };
        parts.dispose();
    }

    #[test]
    fn an_isolate_leaves_nothing_behind() {
        let (_, module) = module_path!().split_once("::").unwrap();
        let worker = format!("{module}::worker");
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &worker, "--ignored", "--nocapture"])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let passed = output.status.success() && text(&output.stdout).contains("1 passed");
        assert!(passed, "{}{}", text(&output.stdout), text(&output.stderr));
    }

    #[test]
    #[ignore = "the other test runs this, in a process of its own: others' memory counts, too"]
    fn worker() {
        (0..8).for_each(|_| use_and_drop("1"));
        give_back_pages();
        let (allocated, resident) = (allocated_bytes(), resident_kib());
        (0..ISOLATES).for_each(|_| use_and_drop("1"));
        let left = allocated_bytes().saturating_sub(allocated);
        assert!(left < MOST_LEFT_BYTES, "{left} bytes are left");
        use_and_drop(HELD);
        give_back_pages();
        let left = resident_kib().saturating_sub(resident);
        assert!(left < MOST_LEFT_KIB, "{left} KiB are left");
    }
}
