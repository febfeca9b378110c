//! Messages in Rust's hands: what isolates sent, read in place, and what was built for them.
//!
//! A small message is copied out of the sender's outbox, which is used again at once. What moved is
//! sealed, so it is lent: the segments are read where the sender wrote them. What is built here goes
//! the other way: a small message is copied into the receiver's memory as every small one is, a
//! larger one moves with its segments.

use std::cell::RefCell;
use std::ptr::NonNull;

use capnp::Word;
use capnp::any_pointer;
use capnp::message::{Allocator, Builder, Reader, ReaderOptions, ReaderSegments};
use capnp::private::capability::{ClientHook, ParamsHook, PipelineOp, ResponseHook};
use capnp::traits::{Imbue, ImbueMut};

use crate::error::{CallError, ErrorKind};
use crate::isolate::wire::{Passed, Path};
use crate::isolate::{Segment, Segment0};

/// A message's capabilities, by the index that it has for each.
pub(crate) type Hooks = Vec<Option<Box<dyn ClientHook>>>;

/// The pointers of a packed path.
pub(crate) fn steps(path: Path) -> Vec<PipelineOp> {
    let [length, steps @ ..] = path.to_le_bytes();
    let steps = steps.into_iter().take(usize::from(length));
    steps
        .map(|step| PipelineOp::GetPointerField(u16::from(step)))
        .collect()
}

/// How deep messages may be.
pub(crate) const NESTING: i32 = 64;

/// Words that may be read of a message however small it is: the same word counts each time.
const TRAVERSAL_LIMIT_WORDS: usize = 8 << 20;

/// Words of a draft's first segment: what fits into it is copied, and the segment used again.
const FIRST_SEGMENT_WORDS: usize = (16 << 10) / 8;

/// First segments that one thread keeps for later drafts.
const SPARE_SEGMENTS: usize = 16;

/// One segment: whole words.
pub(crate) enum Lent {
    /// The first so many of these words.
    Words(Vec<Word>, usize),
    /// What an isolate has sealed, or will.
    Segment(Segment),
}

// SAFETY: a `Vec` is `Send`. The memory of a segment that moved is sealed: nobody writes it any more,
// on whatever thread. V8 counts its owners atomically, as for buffers that workers share, and what
// frees it (`isolate::heap`, `isolate::memory`) belongs to no thread.
unsafe impl Send for Lent {}

/// A message between an isolate and somebody else, with its table of capabilities.
pub(crate) struct Packet {
    pub(crate) segments: Vec<Lent>,
    /// To a shard: `Here` is an object of the sender's, by its index; `Imported` one that it was
    /// given. From a shard: `Here` is an object of the receiver's that came home; `Imported` one of
    /// another party, whose key counts as given once more; `Answer` a part of what the receiver
    /// answered.
    pub(crate) caps: Vec<Passed>,
}

/// The segments of one message.
pub(crate) struct Segments(Vec<Lent>);

/// A message that can be read.
pub(crate) struct Message {
    reader: Reader<Segments>,
    hooks: Hooks,
}

/// A message that is being built.
pub(crate) struct Draft {
    builder: Builder<Memory>,
    /// Takes what `builder` cannot: nothing, since its memory is its own.
    void: Builder<Memory>,
    hooks: Hooks,
}

/// Where a draft is built.
#[derive(Default)]
struct Memory(Vec<Vec<Word>>);

thread_local! {
    /// Zeroed, each [`FIRST_SEGMENT_WORDS`] long.
    static SPARE: RefCell<Vec<Vec<Word>>> = const { RefCell::new(Vec::new()) };
}

impl Lent {
    /// The bytes, whole words; `None` if the segment is malformed.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Lent::Words(words, used) => Some(Word::words_to_bytes(words.get(..*used)?)),
            Lent::Segment(segment) => segment.bytes(),
        }
    }
}

impl ReaderSegments for Segments {
    fn get_segment(&self, index: u32) -> Option<&[u8]> {
        self.0.get(usize::try_from(index).ok()?)?.bytes()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl Packet {
    /// What arrived for somebody who is no isolate.
    ///
    /// # Errors
    /// `TooLarge` past `message_bytes`; `BadMessage` if it is not whole.
    pub(crate) fn receive(
        segment0: &Segment0<'_>,
        moved: Vec<Segment>,
        caps: Vec<Passed>,
        message_bytes: usize,
    ) -> Result<Self, CallError> {
        let mut moved = moved.into_iter();
        let mut segments = Vec::with_capacity(moved.len() + 1);
        segments.push(match segment0 {
            Segment0::Small(bytes) => copied(bytes),
            Segment0::Moved(length) => {
                let first = moved.next().ok_or_else(malformed)?;
                let length = u32::try_from(*length).map_err(|_| malformed())?;
                let end = first.base.checked_add(length).ok_or_else(malformed)?;
                Lent::Segment(Segment { end, ..first })
            }
        });
        segments.extend(moved.map(Lent::Segment));
        let mut left = message_bytes;
        for segment in &segments {
            let bytes = segment.bytes().ok_or_else(malformed)?.len();
            left = left
                .checked_sub(bytes)
                .ok_or_else(|| too_large(message_bytes))?;
        }
        Ok(Packet { segments, caps })
    }

    /// The message as an isolate takes it in. Large ones are moved out, and are lent to the packet
    /// from then on.
    pub(crate) fn send(&mut self, move_threshold_bytes: usize) -> (Segment0<'_>, Vec<Segment>) {
        let is_small = match self.segments.as_slice() {
            [Lent::Words(_, used)] => used * 8 <= move_threshold_bytes,
            _ => false,
        };
        if is_small {
            let bytes = self.segments.first().and_then(Lent::bytes);
            return (Segment0::Small(bytes.unwrap_or_default()), Vec::new());
        }
        let mut moved = Vec::with_capacity(self.segments.len());
        for segment in &mut self.segments {
            if let Lent::Words(words, used) = segment {
                *segment = Lent::Segment(Segment::of_words(std::mem::take(words), *used));
            }
            if let Lent::Segment(segment) = segment {
                moved.push(segment.clone());
            }
        }
        // The glue alone sees the first segment: it need not be sealed, and the record has its end.
        let length = moved.first_mut().map_or(0, |first| {
            std::mem::take(&mut first.end).saturating_sub(first.base)
        });
        // Bounded far below by `message_bytes`.
        let length = i32::try_from(length).unwrap_or(i32::MAX);
        (Segment0::Moved(length), moved)
    }
}

impl Message {
    /// Reads `segments` in place: 8 Mi words in all, or twice the message if that is more. `hooks` are its capabilities.
    pub(crate) fn new(segments: Vec<Lent>, hooks: Hooks) -> Self {
        let bytes = segments.iter().filter_map(Lent::bytes).map(<[u8]>::len);
        let words = TRAVERSAL_LIMIT_WORDS.max(bytes.sum::<usize>() / 4);
        Self::bounded(segments, hooks, words)
    }

    /// Reads `segments` in place, `words` in all.
    pub(crate) fn bounded(segments: Vec<Lent>, hooks: Hooks, words: usize) -> Self {
        let mut options = ReaderOptions::new();
        options
            .traversal_limit_in_words(Some(words))
            .nesting_limit(NESTING);
        Message {
            reader: Reader::new(Segments(segments), options),
            hooks,
        }
    }

    /// The root.
    ///
    /// # Errors
    /// If the message is malformed.
    pub(crate) fn root(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        let mut root: any_pointer::Reader<'_> = self.reader.get_root()?;
        root.imbue(&self.hooks);
        Ok(root)
    }

    /// Its capabilities.
    pub(crate) fn hooks(&self) -> &Hooks {
        &self.hooks
    }
}

impl ParamsHook for Message {
    fn get(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.root()
    }
}

impl ResponseHook for Message {
    fn get(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.root()
    }
}

impl Draft {
    pub(crate) fn new() -> Self {
        Draft {
            builder: Builder::new(Memory::default()),
            void: Builder::new(Memory::default()),
            hooks: Hooks::new(),
        }
    }

    /// The root, to be written.
    pub(crate) fn root(&mut self) -> any_pointer::Builder<'_> {
        let root = self.builder.get_root();
        let mut root: any_pointer::Builder<'_> = root.unwrap_or_else(|_| self.void.init_root());
        root.imbue_mut(&mut self.hooks);
        root
    }

    /// What was built.
    pub(crate) fn finish(mut self) -> (Vec<Lent>, Hooks) {
        if self.builder.get_segments_for_output().is_empty() {
            // Whoever left everything at its default has built a null pointer.
            self.root();
        }
        let used: Vec<usize> = {
            let segments = self.builder.get_segments_for_output();
            segments.iter().map(|segment| segment.len() / 8).collect()
        };
        let memory = self.builder.into_allocator().0.into_iter();
        let segments = memory.zip(used);
        let segments = segments.map(|(words, used)| Lent::Words(words, used));
        (segments.collect(), self.hooks)
    }
}

/// The same message twice. What is small is copied; the rest has two owners, who both read it.
pub(crate) fn shared(segments: Vec<Lent>) -> (Vec<Lent>, Vec<Lent>) {
    let share = |segment| match segment {
        Lent::Words(words, used) if used <= FIRST_SEGMENT_WORDS => {
            let copy = words.get(..used).unwrap_or_default().to_vec();
            (Lent::Words(words, used), Lent::Words(copy, used))
        }
        Lent::Words(words, used) => {
            let segment = Segment::of_words(words, used);
            (Lent::Segment(segment.clone()), Lent::Segment(segment))
        }
        Lent::Segment(segment) => (Lent::Segment(segment.clone()), Lent::Segment(segment)),
    };
    segments.into_iter().map(share).unzip()
}

/// Takes back a small message that was copied to where it goes.
pub(crate) fn recycle(segments: Vec<Lent>) {
    if let Ok([Lent::Words(mut words, used)]) = <[Lent; 1]>::try_from(segments)
        && words.len() == FIRST_SEGMENT_WORDS
    {
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARE_SEGMENTS {
                let zero = capnp::word(0, 0, 0, 0, 0, 0, 0, 0);
                words.iter_mut().take(used).for_each(|word| *word = zero);
                spare.push(words);
            }
        });
    }
}

// SAFETY: each segment is zeroed memory that nobody else has, aligned as words are, and lives until
// the allocator itself is dropped; its buffer stays where it is when its `Vec` moves.
unsafe impl Allocator for Memory {
    fn allocate_segment(&mut self, minimum_size: u32) -> (NonNull<u8>, u32) {
        let minimum = minimum_size as usize;
        let spare = match self.0.is_empty() && minimum <= FIRST_SEGMENT_WORDS {
            true => SPARE.with_borrow_mut(Vec::pop),
            false => None,
        };
        // What outgrew the first segment gets as much again each time.
        let so_far: usize = self.0.iter().map(Vec::len).sum();
        let size = minimum.max(so_far).max(FIRST_SEGMENT_WORDS);
        self.0
            .push(spare.unwrap_or_else(|| Word::allocate_zeroed_vec(size)));
        let last = self
            .0
            .last_mut()
            .map(|last| (last.as_mut_ptr(), last.len()));
        let (pointer, words) = last.unwrap_or((std::ptr::null_mut(), 0));
        let pointer = NonNull::new(pointer.cast()).unwrap_or(NonNull::dangling());
        (pointer, u32::try_from(words).unwrap_or(u32::MAX))
    }

    unsafe fn deallocate_segment(&mut self, _: NonNull<u8>, _: u32, _: u32) {}
}

/// Whole words with these bytes in front.
fn copied(bytes: &[u8]) -> Lent {
    let mut words = Word::allocate_zeroed_vec(bytes.len().div_ceil(8));
    if let Some(room) = Word::words_to_bytes_mut(&mut words).get_mut(..bytes.len()) {
        room.copy_from_slice(bytes);
    }
    let used = words.len();
    Lent::Words(words, used)
}

fn malformed() -> CallError {
    CallError::host(ErrorKind::BadMessage, "the message is not whole")
}

/// A message that is larger than its bound.
pub(crate) fn too_large(message_bytes: usize) -> CallError {
    let text = format!("the message is larger than message_bytes ({message_bytes})");
    CallError::host(ErrorKind::TooLarge, text)
}
