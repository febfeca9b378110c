//! Memory that Rust and the JavaScript of one isolate both address.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::c_void;
use std::ptr::NonNull;

use super::Segment;

/// A backing store made by Rust, zeroed, aligned to 16 bytes, and mapped into one isolate.
///
/// V8 keeps the bytes alive as long as an `ArrayBuffer` over them lives, and this value does
/// too, so the address stays valid. Both sides run on one thread: Rust touches the bytes only
/// while no JavaScript of that isolate runs, or from inside a native function that it called.
pub(crate) struct Memory {
    store: v8::SharedRef<v8::BackingStore>,
    base: NonNull<u8>,
    len: usize,
}

const ALIGN: usize = 16;

impl Memory {
    /// `len` zeroed bytes.
    pub(crate) fn new(len: usize) -> Self {
        let layout = layout(len);
        // SAFETY: the layout's size is not zero.
        let pointer = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(pointer) else {
            std::alloc::handle_alloc_error(layout)
        };
        // SAFETY: the pointer is good for `len` bytes until `free` is called with it, once.
        let store = unsafe {
            v8::ArrayBuffer::new_backing_store_from_ptr(
                base.as_ptr().cast(),
                len,
                free,
                std::ptr::null_mut(),
            )
        };
        Memory {
            store: store.make_shared(),
            base,
            len,
        }
    }

    /// `len` zeroed bytes on pages of their own: those that nobody touches cost nothing, whatever
    /// the allocator has had in their place before.
    pub(crate) fn paged(len: usize) -> Self {
        // SAFETY: asks for new pages anywhere.
        let pages = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        let base = match NonNull::new(pages.cast::<u8>()) {
            Some(base) if pages != libc::MAP_FAILED => base,
            _ => std::alloc::handle_alloc_error(layout(len)),
        };
        // SAFETY: the pages are good for `len` bytes until `unmap` is called with them, once.
        let store = unsafe {
            v8::ArrayBuffer::new_backing_store_from_ptr(pages, len, unmap, std::ptr::null_mut())
        };
        Memory {
            store: store.make_shared(),
            base,
            len,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn store(&self) -> &v8::SharedRef<v8::BackingStore> {
        &self.store
    }

    /// The 32-bit words from `index` on, counted in words; `None` if they do not all lie inside.
    pub(crate) fn words<const N: usize>(&self, index: usize) -> Option<[i32; N]> {
        if index.checked_add(N)? > self.len / 4 {
            return None;
        }
        // SAFETY: in bounds and aligned; no other thread touches the memory.
        Some(unsafe { self.base.cast::<i32>().add(index).cast().read() })
    }

    /// Sets the 32-bit words from `index` on; does nothing if they do not all lie inside.
    pub(crate) fn set_words<const N: usize>(&self, index: usize, words: [i32; N]) {
        if index.checked_add(N).is_some_and(|end| end <= self.len / 4) {
            // SAFETY: as in `words`.
            unsafe { self.base.cast::<i32>().add(index).cast().write(words) }
        }
    }

    /// The bytes from `offset`, `len` of them, or `None` if they do not all lie inside.
    ///
    /// The slice must be dropped before JavaScript of this isolate runs again.
    pub(crate) fn bytes(&self, offset: usize, len: usize) -> Option<&[u8]> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: in bounds; no JavaScript of the isolate runs while the slice is alive.
        Some(unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset), len) })
    }

    /// Copies `bytes` to `offset`; false, and nothing written, if they do not fit.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        match offset.checked_add(bytes.len()) {
            Some(end) if end <= self.len => {}
            _ => return false,
        }
        // SAFETY: in bounds; the source is another allocation.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.base.as_ptr().add(offset),
                bytes.len(),
            );
        }
        true
    }
}

impl Segment {
    /// Takes words that nobody else has, of which the first `used` are the segment.
    pub(crate) fn of_words(words: Vec<capnp::Word>, used: usize) -> Self {
        Segment {
            store: store_of_words(words),
            base: 0,
            // Far below: messages are bounded.
            end: u32::try_from(used * 8).unwrap_or(0),
        }
    }

    /// Its bytes, up to the end of the last word: in place. `None` if it lies outside its store.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        let (base, end) = (self.base as usize, self.end as usize);
        let length = end.checked_sub(base)?.next_multiple_of(8);
        if end > self.store.byte_length() || !base.is_multiple_of(8) {
            return None;
        }
        let data = self.store.data()?.cast::<u8>();
        // SAFETY: a segment that moves is sealed: nobody writes it, in no isolate. The memory of each
        // backing store reaches to the end of its last word: `heap::layout` sees to that for what
        // JavaScript makes, and what Rust makes has whole words.
        Some(unsafe { std::slice::from_raw_parts(data.as_ptr().add(base), length) })
    }
}

/// A backing store that owns `words`.
fn store_of_words(words: Vec<capnp::Word>) -> v8::SharedRef<v8::BackingStore> {
    let bytes = words.len() * 8;
    let pointer = Box::into_raw(words.into_boxed_slice()).cast::<c_void>();
    // SAFETY: the pointer is good for so many bytes until `free_words` is called with it, once.
    let store = unsafe {
        v8::ArrayBuffer::new_backing_store_from_ptr(
            pointer,
            bytes,
            free_words,
            std::ptr::null_mut(),
        )
    };
    store.make_shared()
}

/// A backing store of these bytes, its memory reaching to the end of the last word.
pub(super) fn store_of_bytes(mut bytes: Vec<u8>) -> v8::SharedRef<v8::BackingStore> {
    let length = bytes.len();
    bytes.resize(length.next_multiple_of(8), 0);
    let data = bytes.as_mut_ptr().cast::<c_void>();
    let owner = Box::into_raw(Box::new(bytes)).cast::<c_void>();
    // SAFETY: the bytes stay where they are until `free_bytes` is called with their owner, once.
    let store =
        unsafe { v8::ArrayBuffer::new_backing_store_from_ptr(data, length, free_bytes, owner) };
    store.make_shared()
}

unsafe extern "C" fn free_bytes(_: *mut c_void, _: usize, owner: *mut c_void) {
    // SAFETY: `owner` came from such a box.
    drop(unsafe { Box::from_raw(owner.cast::<Vec<u8>>()) });
}

unsafe extern "C" fn free_words(data: *mut c_void, len: usize, _: *mut c_void) {
    let words = std::ptr::slice_from_raw_parts_mut(data.cast::<capnp::Word>(), len / 8);
    // SAFETY: `data` came from a box of so many words.
    drop(unsafe { Box::from_raw(words) });
}

fn layout(len: usize) -> Layout {
    // The sizes are small constants of this crate or lengths already bounded by `Limits`.
    Layout::from_size_align(len.max(1), ALIGN).unwrap_or(Layout::new::<u128>())
}

unsafe extern "C" fn unmap(data: *mut c_void, len: usize, _: *mut c_void) {
    // SAFETY: `data` came from `mmap` with this length.
    unsafe { libc::munmap(data, len) };
}

unsafe extern "C" fn free(data: *mut c_void, len: usize, _: *mut c_void) {
    // SAFETY: `data` came from `alloc_zeroed` with this layout.
    unsafe { dealloc(data.cast(), layout(len)) }
}
