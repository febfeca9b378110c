//! Messages from capnp-rpc to a shard: one copy each, capability tables aside.

use std::ptr::NonNull;

use capnp::Word;
use capnp::any_pointer;
use capnp::message::{Allocator, Builder, ReaderOptions};
use capnp::traits::ImbueMut;

use crate::error::{CallError, ErrorKind};
use crate::message::{Hooks, NESTING, too_large};

/// What messages from clients may be read: they are measured, then copied, both at most this large.
pub(super) fn reader_options(message_bytes: usize) -> ReaderOptions {
    let mut options = ReaderOptions::new();
    options
        .traversal_limit_in_words(Some(3 * (message_bytes / 8) + 4096))
        .nesting_limit(NESTING);
    options
}

/// Copies what a client sent into one segment.
///
/// # Errors
/// `TooLarge`, and `BadMessage` if it is malformed.
pub(super) fn pack(
    from: any_pointer::Reader<'_>,
    message_bytes: usize,
) -> Result<(Vec<Word>, Hooks), CallError> {
    let malformed = |error: capnp::Error| {
        CallError::host(ErrorKind::BadMessage, format!("malformed message: {error}"))
    };
    let size = from.target_size().map_err(malformed)?.word_count;
    let words = usize::try_from(size)
        .unwrap_or(usize::MAX)
        .saturating_add(1);
    if words > message_bytes / 8 {
        return Err(too_large(message_bytes));
    }
    let mut builder = Builder::new(OneSegment::new(words));
    let mut hooks = Hooks::new();
    {
        let mut root: any_pointer::Builder<'_> = builder.init_root();
        root.imbue_mut(&mut hooks);
        root.set_as(from).map_err(malformed)?;
    }
    let memory = builder.into_allocator();
    match memory.more.is_empty() {
        true => Ok((memory.first, hooks)),
        false => Err(malformed(capnp::Error::failed("its size changed".into()))),
    }
}

/// Memory for a message whose size is known.
struct OneSegment {
    first: Vec<Word>,
    is_taken: bool,
    /// What was asked for besides; a message whose size was right needs none.
    more: Vec<Vec<Word>>,
}

impl OneSegment {
    fn new(words: usize) -> Self {
        OneSegment {
            first: Word::allocate_zeroed_vec(words),
            is_taken: false,
            more: Vec::new(),
        }
    }
}

// SAFETY: each segment is zeroed memory that nobody else has, aligned as words are, and lives
// until the allocator itself is dropped; its buffer stays where it is when the `Vec` moves.
unsafe impl Allocator for OneSegment {
    fn allocate_segment(&mut self, minimum_size: u32) -> (NonNull<u8>, u32) {
        let segment = match self.is_taken || (minimum_size as usize) > self.first.len() {
            true => {
                self.more
                    .push(Word::allocate_zeroed_vec(minimum_size as usize));
                self.more.last_mut().unwrap_or(&mut self.first)
            }
            false => {
                self.is_taken = true;
                &mut self.first
            }
        };
        let words = u32::try_from(segment.len()).unwrap_or(u32::MAX);
        let pointer = NonNull::new(segment.as_mut_ptr().cast());
        (pointer.unwrap_or(NonNull::dangling()), words)
    }

    unsafe fn deallocate_segment(&mut self, _: NonNull<u8>, _: u32, _: u32) {}
}
