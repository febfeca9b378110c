//! What an isolate's memory may come to, and what happens when it does.
//!
//! One budget (`heap_mib`) holds for the JavaScript heap and for what lies outside of it: array
//! buffers, messages, Wasm memories. Three things keep it:
//!
//! - V8 calls [`near_limit`] when the heap is full. Execution is ended, and until it takes notice
//!   the limit is raised step by step. The isolate's requests fail, and it is replaced.
//! - Buffers are allocated here. One that does not fit is a `RangeError` for who asked for it, and
//!   the time of its turn counts as wasted.
//! - After each collection V8's own count is read. It knows of buffers that came from elsewhere,
//!   and no longer has those that were sent away: whoever holds a buffer pays for it.
//!
//! V8 lets 64 MiB of dead buffers gather before it collects for their sake. So that a stream does
//! not hold so much at both of its ends, its [young generation is collected](
//! MemoryGuard::collect_young) earlier.
//!
//! Some built-ins allocate without end and take no notice of anything. Then V8 declares itself out
//! of memory and would end the process; instead [the thread is parked](crate::park).

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use isolith_capnp::error_capnp::call_error::Kind;
use isolith_versions::BundleId;

use super::cut::{Cut, Reach, SharedFuse, request_waste};
use super::stub_caches;
use crate::error::CallError;
use crate::park::park;

/// The least by which the heap limit is raised at a time while execution is being ended.
const STEP_BYTES: usize = 64 << 20;
/// How often it is raised.
const STEPS: usize = 3;
/// Full collections in a row after which memory over the budget counts as held.
const COLLECTIONS_OVER_BUDGET: usize = 2;
/// Bytes of buffers that an isolate may allocate or be given between two collections.
pub(super) const YOUNG_BUFFER_BYTES: usize = 4 << 20;
/// By how much an isolate that rests must have grown at least to be worth a collection, or how much
/// it must have without using it; also half of what it keeps, for a collection takes the longer the
/// more is kept.
const GROWN_BYTES: usize = 8 << 20;
/// Elements of the arrays that fill the rest of V8's young generation. Larger ones would lie apart
/// from it.
const FILLER_ELEMENTS: i32 = 15_000;
/// Most of what it takes to fill it: V8 lets it grow to 32 MiB.
const FILLERS: usize = (32 << 20) / FILLER_BYTES + 1;
const FILLER_BYTES: usize = 8 * FILLER_ELEMENTS as usize;

/// An isolate's memory outside its heap. Shared with V8's background threads, which free buffers.
struct Meter {
    budget_bytes: usize,
    /// As of the last collection.
    external_bytes: AtomicUsize,
    /// Allocated since then.
    allocated_bytes: AtomicUsize,
    /// A buffer was refused since then.
    has_refused: AtomicBool,
}

/// Keeps an isolate within its budget. Must outlive the isolate.
pub(super) struct MemoryGuard {
    meter: Arc<Meter>,
    over_budget: AtomicUsize,
    /// Set once the isolate belongs to a service.
    owner: std::cell::OnceCell<(SharedFuse, BundleId)>,
    /// Bytes of buffers that came from elsewhere since the last collection.
    mapped_bytes: Cell<usize>,
    /// How many bytes of buffers make the next collection due.
    due_bytes: Cell<usize>,
    collections: Cell<u64>,
    /// What the isolate held after the last full collection while it rested: garbage no more.
    kept_bytes: Cell<usize>,
    /// Such a collection has begun.
    is_resting: Cell<bool>,
    /// Such a collection was the last one.
    has_rested: Cell<bool>,
    /// Set once the isolate exists.
    handle: std::cell::OnceCell<v8::IsolateHandle>,
}

impl MemoryGuard {
    pub(super) fn new(heap_mib: u32) -> Rc<Self> {
        Rc::new(MemoryGuard {
            meter: Arc::new(Meter {
                budget_bytes: (heap_mib as usize) << 20,
                external_bytes: AtomicUsize::new(0),
                allocated_bytes: AtomicUsize::new(0),
                has_refused: AtomicBool::new(false),
            }),
            over_budget: AtomicUsize::new(0),
            owner: std::cell::OnceCell::new(),
            mapped_bytes: Cell::new(0),
            due_bytes: Cell::new(YOUNG_BUFFER_BYTES),
            collections: Cell::new(0),
            kept_bytes: Cell::new(0),
            is_resting: Cell::new(false),
            has_rested: Cell::new(false),
            handle: std::cell::OnceCell::new(),
        })
    }

    /// What the isolate's memory may come to.
    pub(super) fn heap_mib(&self) -> u32 {
        u32::try_from(self.meter.budget_bytes >> 20).unwrap_or(u32::MAX)
    }

    /// Says whose isolate it is: who is told when it holds too much.
    pub(super) fn belong_to(&self, fuse: &SharedFuse, bundle: &BundleId) {
        let _ = self.owner.set((Rc::clone(fuse), bundle.clone()));
    }

    /// What `limits` the isolate is to be made with.
    pub(super) fn params(&self, params: v8::CreateParams) -> v8::CreateParams {
        let meter = Arc::into_raw(Arc::clone(&self.meter));
        // SAFETY: the vtable's `drop` gives the reference back.
        let allocator = unsafe { v8::new_rust_allocator(meter, &ALLOCATOR) };
        params
            .array_buffer_allocator(allocator.make_shared())
            .heap_limits(0, self.meter.budget_bytes)
    }

    /// Begins to watch the isolate.
    pub(super) fn watch(self: &Rc<Self>, isolate: &mut v8::OwnedIsolate) {
        isolate.set_slot(Rc::clone(self));
        let _ = self.handle.set(isolate.thread_safe_handle());
        let data = Rc::as_ptr(self).cast_mut().cast();
        isolate.add_near_heap_limit_callback(near_limit, data);
        isolate.add_gc_epilogue_callback(collected, data, v8::GCType::kGCTypeAll);
        isolate.set_oom_error_handler(out_of_memory);
    }

    /// Ends what runs if `isolate` holds far more outside its heap than garbage explains: not all
    /// of it comes through the allocator.
    pub(super) fn look(&self, isolate: &mut v8::Isolate) {
        let external = isolate.adjust_amount_of_external_allocated_memory(0);
        let most = 2 * self.meter.budget_bytes + STEP_BYTES;
        if usize::try_from(external).is_ok_and(|external| external > most) {
            self.end();
        }
    }

    /// Counts buffers that came from elsewhere.
    pub(super) fn count_mapped(&self, bytes: usize) {
        self.mapped_bytes.set(self.mapped_bytes.get() + bytes);
    }

    /// Whether enough buffers have come since the last collection to be worth one.
    pub(super) fn is_collection_due(&self) -> bool {
        let allocated = self.meter.allocated_bytes.load(Ordering::Relaxed);
        allocated + self.mapped_bytes.get() > self.due_bytes.get()
    }

    /// Has V8 collect its young generation, where the buffers of a stream are. V8 does that by
    /// itself once it is full, and cannot be asked to: so it is filled. That takes some 50 us while
    /// it is small, as it is for a service that does little else.
    ///
    /// The next collection is due when as many bytes of buffers have come as it took to fill it.
    pub(super) fn collect_young(&self, scope: &mut v8::PinScope<'_, '_>) {
        let before = self.collections.get();
        let mut filled = 0;
        while self.collections.get() == before && filled < FILLERS {
            v8::scope!(let scope, &mut *scope);
            v8::Array::new(scope, FILLER_ELEMENTS);
            filled += 1;
        }
        let due = YOUNG_BUFFER_BYTES.max(filled * FILLER_BYTES);
        self.due_bytes.set(due);
        if self.collections.get() == before {
            // It is larger than ever expected: later, then.
            self.mapped_bytes.set(0);
            self.due_bytes
                .set(self.meter.allocated_bytes.load(Ordering::Relaxed) + due);
        }
    }

    /// Has V8 begin a full collection, step by step between turns, if the isolate, which rests, has
    /// grown by much since the last time, or has much memory that it does not use: V8 keeps what an
    /// isolate once needed until it collects to save memory. Says whether it has.
    pub(super) fn collect_garbage(&self, isolate: &mut v8::Isolate) -> bool {
        let statistics = isolate.get_heap_statistics();
        let used = statistics.used_heap_size();
        let held = used + statistics.external_memory();
        let unused = statistics.total_physical_size().saturating_sub(used);
        let kept = self.kept_bytes.get();
        let worth = GROWN_BYTES.max(kept / 2);
        let is_due = held > kept + worth || (unused > worth && !self.has_rested.get());
        if is_due {
            self.is_resting.set(true);
            isolate.memory_pressure_notification(v8::MemoryPressureLevel::Moderate);
        }
        is_due
    }

    /// Ends what runs: the isolate holds too much, and is lost.
    fn end(&self) {
        // Nothing runs in an isolate that belongs to nobody.
        let Some((fuse, bundle)) = self.owner.get() else {
            return;
        };
        let mib = self.heap_mib();
        let text = format!(
            "it used more memory than heap_mib ({mib}) allows and is made anew; \
             hold less, or raise it under [limits] in its manifest"
        );
        fuse.blow(Cut {
            error: CallError::host(Kind::MemoryExceeded, text).in_bundle(bundle),
            root: None,
            reach: Reach::Isolate,
        });
        if let Some(handle) = self.handle.get() {
            handle.terminate_execution();
        }
    }
}

/// V8 is about to run out of heap, on the isolate's thread.
unsafe extern "C" fn near_limit(data: *mut c_void, current: usize, initial: usize) -> usize {
    // SAFETY: the guard that `watch` gave, which outlives the isolate.
    let guard = unsafe { &*data.cast::<MemoryGuard>() };
    // V8 also calls this before it collects for a buffer for the last time. That is no matter of
    // the heap: who asked for the buffer gets a RangeError.
    if guard.meter.has_refused.swap(false, Ordering::Relaxed) {
        if let Some(handle) = guard.handle.get() {
            request_waste(handle);
        }
        return current;
    }
    guard.end();
    let step = STEP_BYTES.max(initial / 2);
    let ceiling = initial.saturating_add(STEPS * step);
    current.max(ceiling.min(current.saturating_add(step)))
}

/// V8 has collected garbage, on the isolate's thread.
unsafe extern "C" fn collected(
    mut isolate: v8::UnsafeRawIsolatePtr,
    kind: v8::GCType,
    _: v8::GCCallbackFlags,
    data: *mut c_void,
) {
    // SAFETY: as in `near_limit`.
    let guard = unsafe { &*data.cast::<MemoryGuard>() };
    // SAFETY: V8 gives the isolate that it collected in, on its own thread.
    let isolate = unsafe { v8::Isolate::ref_from_raw_isolate_ptr_mut_unchecked(&mut isolate) };
    let external = isolate.adjust_amount_of_external_allocated_memory(0);
    let external = usize::try_from(external).unwrap_or(0);
    let meter = &guard.meter;
    meter.external_bytes.store(external, Ordering::Relaxed);
    meter.allocated_bytes.store(0, Ordering::Relaxed);
    meter.has_refused.store(false, Ordering::Relaxed);
    guard.mapped_bytes.set(0);
    guard.collections.set(guard.collections.get() + 1);
    guard.has_rested.set(false);
    if kind != v8::GCType::kGCTypeMarkSweepCompact {
        return;
    }
    stub_caches::give_back(isolate);
    let held = isolate.get_heap_statistics().used_heap_size() + external;
    if guard.is_resting.replace(false) {
        guard.kept_bytes.set(held);
        guard.has_rested.set(true);
    }
    if held <= meter.budget_bytes {
        return guard.over_budget.store(0, Ordering::Relaxed);
    }
    // Buffers that are garbage are freed, and no longer counted, a little later.
    let over = guard.over_budget.fetch_add(1, Ordering::Relaxed) + 1;
    if over >= COLLECTIONS_OVER_BUDGET {
        guard.end();
    }
}

/// V8 gave up. It aborts the process if this returns.
unsafe extern "C" fn out_of_memory(location: *const c_char, _: &v8::OomDetails) {
    let location = match location.is_null() {
        true => "",
        // SAFETY: V8 passes a literal.
        false => unsafe { CStr::from_ptr(location) }.to_str().unwrap_or(""),
    };
    park(&format!(
        "V8 is out of memory in one built-in function ({location})"
    ));
}

static ALLOCATOR: v8::RustAllocatorVtable<Meter> = v8::RustAllocatorVtable {
    allocate,
    allocate_uninitialized,
    free,
    drop: forget,
};

impl Meter {
    /// Counts `len` bytes, if they fit.
    fn take(&self, len: usize) -> bool {
        let external = self.external_bytes.load(Ordering::Relaxed);
        let room = self.budget_bytes.saturating_sub(external);
        let allocated = self.allocated_bytes.load(Ordering::Relaxed);
        if allocated.saturating_add(len) > room {
            self.has_refused.store(true, Ordering::Relaxed);
            return false;
        }
        self.allocated_bytes.fetch_add(len, Ordering::Relaxed);
        true
    }
}

/// Whole words: Rust reads what moved to it word by word, also where it ends inside of one.
fn layout(len: usize) -> Option<Layout> {
    Layout::from_size_align(len.max(1).checked_next_multiple_of(8)?, 16).ok()
}

unsafe extern "C" fn allocate(meter: &Meter, len: usize) -> *mut c_void {
    match layout(len).filter(|_| meter.take(len)) {
        // SAFETY: the layout's size is not zero.
        Some(layout) => unsafe { alloc_zeroed(layout) }.cast(),
        None => std::ptr::null_mut(),
    }
}

unsafe extern "C" fn allocate_uninitialized(meter: &Meter, len: usize) -> *mut c_void {
    let Some(layout) = layout(len).filter(|_| meter.take(len)) else {
        return std::ptr::null_mut();
    };
    // SAFETY: the layout's size is not zero.
    let data = unsafe { alloc(layout) };
    if !data.is_null() {
        let rest = layout.size() - len;
        // SAFETY: what is left of the last word is in the allocation.
        unsafe { data.add(len).write_bytes(0, rest) };
    }
    data.cast()
}

unsafe extern "C" fn free(_: &Meter, data: *mut c_void, len: usize) {
    if let Some(layout) = layout(len) {
        // SAFETY: allocated above with the same layout.
        unsafe { dealloc(data.cast(), layout) }
    }
}

unsafe extern "C" fn forget(meter: *const Meter) {
    // SAFETY: the reference that `params` gave away.
    drop(unsafe { Arc::from_raw(meter) });
}
