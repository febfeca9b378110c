//! Parking a thread for good, where V8 or a defect would otherwise end the process.
//!
//! V8 calls back when it has run out of memory or found itself in a state that cannot be, and
//! aborts when that returns. So it does not return: the thread sleeps for ever, with everything
//! on it. Other threads run on; whoever supervises the thread is told, and puts another one in its
//! place. What lies on the parked one is lost: it is counted, and bounded by
//! [`parked_shards_max`](crate::limits::Limits::parked_shards_max).

use std::cell::{Cell, RefCell};
use std::thread;

/// What a panic is the end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PanicEnds {
    /// It is parked, if it is a shard's.
    TheThread,
    /// Somebody on the stack catches it: code that shares nothing with the shard has panicked.
    TheCall,
}

thread_local! {
    static PANIC_ENDS: Cell<PanicEnds> = const { Cell::new(PanicEnds::TheThread) };
    static NOTICE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// From now on this thread is parked rather than ended; `notice` is then called on it.
pub(crate) fn on_park(notice: impl FnOnce() + 'static) {
    NOTICE.set(Some(Box::new(notice)));
}

/// Says what panics of `run` are the end of. With [`PanicEnds::TheCall`], `run` has to catch them.
pub(crate) fn with_panics<R>(end: PanicEnds, run: impl FnOnce() -> R) -> R {
    let before = PANIC_ENDS.replace(end);
    let result = run();
    PANIC_ENDS.set(before);
    result
}

/// Parks the current thread for good, or aborts the process if nobody would notice.
pub(crate) fn park(reason: &str) -> ! {
    let notice = NOTICE.try_with(|notice| notice.try_borrow_mut().ok()?.take());
    let Ok(Some(notice)) = notice else {
        eprintln!("{reason}; no shard is on this thread, so the process ends");
        std::process::abort();
    };
    let name = thread::current().name().unwrap_or("a thread").to_owned();
    tracing::error!("{reason}: {name} is parked for good, and another takes its place");
    notice();
    loop {
        thread::park();
    }
}

/// Has threads that panic or on which V8 fails parked, if they asked for it.
pub(crate) fn park_on_failure() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        if PANIC_ENDS.try_with(Cell::get) == Ok(PanicEnds::TheCall) {
            return;
        }
        let is_shard = NOTICE.try_with(|notice| notice.try_borrow().is_ok_and(|n| n.is_some()));
        if is_shard == Ok(true) {
            park("a panic");
        }
    }));
    v8::V8::set_fatal_error_handler(|file: &str, line: i32, message: &str| {
        park(&format!("V8 failed a check at {file}:{line}: {message}"));
    });
}
