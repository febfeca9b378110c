//! V8's process-wide state: flags and platform, set up once.
//!
//! V8 posts *foreground tasks*, which must run on an isolate's own thread: finishing an
//! asynchronous compilation of Wasm, calling the callbacks of a `FinalizationRegistry`, a step of a
//! collection. The platform here hands each one to the shard that has adopted the isolate, which
//! runs it as part of a turn. A task for an isolate that nobody has adopted is dropped.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

static INIT: Once = Once::new();

/// Worker threads of V8, for the whole process: concurrent compilation and collection.
const V8_WORKER_THREADS: u32 = 1;

/// Sets V8's flags and starts its platform, the first time it is called in a process.
///
/// Cheap afterwards. Must run before the first isolate is made; every function here that makes
/// one calls it.
pub(crate) fn init_once() {
    INIT.call_once(|| {
        // Immutable ArrayBuffers let one backing store be read by two isolates and written by none.
        v8::V8::set_flags_from_string("--js-immutable-arraybuffer");
        // A call goes through some twenty small functions of the glue and of generated code. With
        // four times V8's room for inlining they become a few large ones.
        v8::V8::set_flags_from_string("--max-inlined-bytecode-size=1000");
        v8::V8::set_flags_from_string("--max-inlined-bytecode-size-cumulative=4000");
        // While a function is being optimised on another thread, V8 runs it for up to half a
        // second without taking notice of interrupts. Besides, who causes a compilation is to pay
        // for it.
        v8::V8::set_flags_from_string("--no-concurrent-recompilation");
        // Until a function is optimised, V8 looks for interrupts at its loops' back edges only when
        // it looks whether to optimise it. That is after tens of thousands of rounds with Maglev's
        // code, which may be a second if each calls a built-in, and with Sparkplug's, once it is
        // marked for Maglev: without concurrent recompilation V8 then takes it for Maglev's
        // (`GetRequestedOptimizationIfAny`). These make it some hundred, and some thousand.
        v8::V8::set_flags_from_string("--osr-from-maglev-interrupt-scale-factor=20");
        v8::V8::set_flags_from_string("--invocation-count-for-turbofan=500");
        // A Wasm memory reserves its pages before anybody counts them: 256 MiB are the most.
        v8::V8::set_flags_from_string("--wasm-max-mem-pages=4096");
        let platform = v8::new_custom_platform(V8_WORKER_THREADS, false, false, Foreground);
        v8::V8::initialize_platform(platform.make_shared());
        v8::V8::initialize();
    });
}

/// A task that V8 wants run on the thread of the isolate that this serial number names.
pub(crate) struct ForegroundTask {
    pub(crate) isolate: u64,
    pub(crate) task: v8::Task,
    /// How long to wait first.
    pub(crate) delay: Duration,
}

/// Who runs an isolate's tasks. V8 posts a bounded number: it asks for each kind of work once.
struct Owner {
    serial: u64,
    tasks: UnboundedSender<ForegroundTask>,
}

/// Keeps an isolate's tasks coming until it is dropped.
pub(crate) struct Adopted {
    address: usize,
    serial: u64,
}

/// Has the tasks of `isolate` sent to `tasks` from now on.
pub(crate) fn adopt(isolate: &v8::Isolate, tasks: UnboundedSender<ForegroundTask>) -> Adopted {
    static SERIAL: AtomicU64 = AtomicU64::new(1);
    let address = address_of(isolate);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    owners().insert(address, Owner { serial, tasks });
    Adopted { address, serial }
}

/// The address that V8 names the isolate by.
pub(crate) fn address_of(isolate: &v8::Isolate) -> usize {
    // SAFETY: the type wraps that pointer.
    unsafe { std::mem::transmute::<v8::UnsafeRawIsolatePtr, usize>(isolate.as_raw_isolate_ptr()) }
}

impl Adopted {
    /// The number that the isolate's tasks carry. No other isolate of the process ever has it.
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        owners().remove(&self.address);
    }
}

fn owners() -> MutexGuard<'static, HashMap<usize, Owner>> {
    static OWNERS: LazyLock<Mutex<HashMap<usize, Owner>>> = LazyLock::new(Mutex::default);
    // The map is whole whenever the lock is free.
    OWNERS.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Foreground;

impl Foreground {
    fn post(&self, isolate: *mut c_void, task: v8::Task, delay_in_seconds: f64) {
        if let Some(owner) = owners().get(&(isolate as usize)) {
            let task = ForegroundTask {
                isolate: owner.serial,
                task,
                delay: Duration::try_from_secs_f64(delay_in_seconds).unwrap_or_default(),
            };
            // A shard that has ended runs no more tasks.
            let _ = owner.tasks.send(task);
        }
    }
}

impl v8::PlatformImpl for Foreground {
    fn post_task(&self, isolate: *mut c_void, task: v8::Task) {
        self.post(isolate, task, 0.0);
    }

    fn post_non_nestable_task(&self, isolate: *mut c_void, task: v8::Task) {
        self.post(isolate, task, 0.0);
    }

    fn post_delayed_task(&self, isolate: *mut c_void, task: v8::Task, delay_in_seconds: f64) {
        self.post(isolate, task, delay_in_seconds);
    }

    fn post_non_nestable_delayed_task(
        &self,
        isolate: *mut c_void,
        task: v8::Task,
        delay_in_seconds: f64,
    ) {
        self.post(isolate, task, delay_in_seconds);
    }

    fn post_idle_task(&self, _: *mut c_void, _: v8::IdleTask) {
        // Idle tasks are not enabled above.
    }
}
