//! The time that V8 takes to optimise code, which no request asked for.
//!
//! V8 tells it in a histogram once a function is done, on the thread that runs the isolate. The
//! functions to ask for that are in V8's API, and not yet among the `v8` crate's.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{NonNull, null_mut};
use std::time::Duration;

/// Histograms of a function's time in TurboFan, in microseconds: one compiled from its beginning,
/// and one in the middle of its loop. (V8, `src/logging/counters-definitions.h`)
const OPTIMISING: [&CStr; 2] = [
    c"V8.TurboFanOptimizeTotalTime",
    c"V8.TurboFanOptimizeForOnStackReplacementTotalTime",
];

type CreateHistogram = unsafe extern "C" fn(*const c_char, c_int, c_int, usize) -> *mut c_void;
type AddSample = unsafe extern "C" fn(*mut c_void, c_int);

// The names are those of the Itanium C++ ABI, which Linux and macOS follow.
unsafe extern "C" {
    /// `v8::Isolate::SetCreateHistogramFunction`
    #[link_name = "_ZN2v87Isolate26SetCreateHistogramFunctionEPFPvPKciimE"]
    fn set_create_histogram_function(isolate: v8::UnsafeRawIsolatePtr, create: CreateHistogram);
    /// `v8::Isolate::SetAddHistogramSampleFunction`
    #[link_name = "_ZN2v87Isolate29SetAddHistogramSampleFunctionEPFvPviE"]
    fn set_add_histogram_sample_function(isolate: v8::UnsafeRawIsolatePtr, add: AddSample);
}

thread_local! {
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Counts what `isolate` takes from now on to optimise code.
pub(super) fn count(isolate: &v8::Isolate) {
    // SAFETY: the isolate lives, on this thread, and both functions may be called at any time. The
    // functions given have V8's signatures (`v8-callbacks.h`) and do not unwind.
    unsafe {
        let isolate = isolate.as_raw_isolate_ptr();
        set_add_histogram_sample_function(isolate, add_sample);
        set_create_histogram_function(isolate, create_histogram);
    }
}

/// The time that isolates of this thread have taken so far to optimise code: wall time, so no less
/// than the CPU time. What V8 gave up half-way is not in it, nor is Maglev, which takes a tenth.
pub(crate) fn optimising_time() -> Duration {
    SPENT.get()
}

/// Says that V8 shall fill a histogram, by any pointer that is not null.
unsafe extern "C" fn create_histogram(
    name: *const c_char,
    _: c_int,
    _: c_int,
    _: usize,
) -> *mut c_void {
    // SAFETY: V8 gives a text that ends in a zero and lives as long as the process.
    let name = unsafe { CStr::from_ptr(name) };
    match OPTIMISING.contains(&name) {
        true => NonNull::<c_void>::dangling().as_ptr(),
        false => null_mut(),
    }
}

unsafe extern "C" fn add_sample(_: *mut c_void, microseconds: c_int) {
    let took = Duration::from_micros(u64::try_from(microseconds).unwrap_or(0));
    SPENT.set(SPENT.get().saturating_add(took));
}
