//! The wire between the host and one isolate's JavaScript: two rings of fixed-size records and
//! the outbox in which the stubs encode small messages.
//!
//! A turn costs one call from Rust into JavaScript, however many messages it carries: the host
//! writes records into the in-ring, JavaScript works through them and leaves its own in the
//! out-ring, and the host reads those when the isolate's stack has unwound. Only a full ring or
//! outbox makes JavaScript call the host before (`flush`), and a call that may be dispatched at once
//! ([`Home::dispatch`](super::Home::dispatch)).
//!
//! `js/glue/call.js` is the other end; the constants reach it through its `attach` function.

use slotmap::Key;

use super::Segment;
use super::keys::{CapabilityKey, to_words};
use super::memory::Memory;

/// 32-bit words in a record.
const RECORD_WORDS: usize = 9;
/// From one record of a ring to its next, in words. Between them lies one of the other ring, so that
/// an isolate with little to do touches one page.
pub(crate) const RECORD_STRIDE: usize = 2 * RECORD_WORDS;
/// Records that each ring holds.
pub(crate) const RING_RECORDS: usize = 256;
/// Bytes of the outbox. Small messages of one turn share it.
pub(crate) const OUTBOX_BYTES: usize = 256 << 10;
/// Bytes of an isolate's first receive chunk: many services get a message now and then.
pub(crate) const FIRST_CHUNK_BYTES: usize = 4 << 10;
/// Bytes of a receive chunk at most. A message in it keeps the whole chunk alive.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

const IN_COUNT: usize = 0;
const OUT_COUNT: usize = 1;
/// The first record of the in-ring that was not yet handled, and, in the next word, where in the
/// list of its segments those of it begin. JavaScript counts both up.
const IN_NEXT: usize = 2;
/// Not 0 once the glue could not go on.
const FAILED: usize = 4;
/// Whether JavaScript may have calls dispatched from its stack in this turn, and, in the next word,
/// whether one was: see [`Home::dispatch`](super::Home::dispatch).
const DISPATCHES: usize = 5;
/// The results of such a call: where segment 0 lies, its bytes, how many segments moved, and where
/// the only one begins and ends.
const RESULT: usize = 7;
/// The words before the rings: the counts and what keeps the rings aligned.
pub(super) const IN_RING: usize = 16;
/// Where the out-ring begins, in words.
pub(super) const OUT_RING: usize = IN_RING + RECORD_WORDS;
/// Bytes of both rings, with the words before them.
pub(super) const RING_BYTES: usize = WORDS * 4;
const WORDS: usize = IN_RING + RING_RECORDS * RECORD_STRIDE;

/// What a record says.
///
/// `To` and `Capability` records are prefixes: they belong to the next `Call`, `CallTo`, `Return`
/// or `Answer` record, and plain calls have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum RecordKind {
    /// A call of an export's own method: to serve if it comes in, to make if it goes out.
    Call = 1,
    /// A call's results.
    Return = 2,
    /// A call of something else, which the [`To`] before it names.
    CallTo = 3,
    /// In only: the results of a call whose answer is kept.
    Answer = 4,
    /// As [`Call`](Self::Call), and the answer is kept: results may be called before they are there.
    Ask = 5,
    /// So, and the results are wanted at once.
    AskWanted = 6,
    /// In only: the receive chunk that the offsets of the records after it refer to.
    Chunk = 7,
    /// Out only: the root gets one more hold (`ctx.waitUntil`).
    Hold = 8,
    /// Out only: the root loses a hold.
    Release = 9,
    /// Where the next `CallTo` goes.
    To = 10,
    /// A capability of the next message: see [`Passed`].
    Capability = 11,
    /// The caller wants the results of a kept call.
    Pull = 12,
    /// The caller needs the answer of a kept call no more.
    Finish = 13,
    /// Out: an import is held no more. In: nobody holds this export, which was sent `target` times.
    Drop = 14,
    /// Out only: an export is to serve no more.
    Revoke = 15,
    /// Out: the caller gives this call up. In: nobody waits for this call any more.
    Cancel = 16,
    /// In only: what the isolate keeps for this root may go.
    Ended = 17,
    /// A call without arguments of what one pointer of a kept call's results leads to: see
    /// [`Then`].
    Then = 18,
}

impl RecordKind {
    fn from_word(word: i32) -> Option<Self> {
        use RecordKind as K;
        const KINDS: [RecordKind; 18] = [
            K::Call,
            K::Return,
            K::CallTo,
            K::Answer,
            K::Ask,
            K::AskWanted,
            K::Chunk,
            K::Hold,
            K::Release,
            K::To,
            K::Capability,
            K::Pull,
            K::Finish,
            K::Drop,
            K::Revoke,
            K::Cancel,
            K::Ended,
            K::Then,
        ];
        KINDS
            .get(usize::try_from(word).ok()?.checked_sub(1)?)
            .copied()
    }
}

/// What a `CallTo` is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The import (out) or export (in) in the upper half of the call's own target.
    Export,
    /// The capability with these two halves of a key (out), or the export with this index (in).
    Object((i32, i32)),
    /// What this path leads to in the results of a kept call: the caller's pending index and 0
    /// (out), or the two halves of its key (in).
    Answer((i32, i32), Path),
}

/// The way from a struct of results to a capability in it, packed: in the lowest byte how many
/// pointers (at most 3), then the index of each in its struct's pointer section, a byte each.
pub(crate) type Path = i32;

/// The caller keeps a name for the answer: results may be called before they are there.
pub(crate) const KEEP: i32 = 1;
/// Of a kept call: the results are wanted at once.
pub(crate) const WANTED: i32 = 2;

/// What a [`RecordKind::Then`] record says besides the call's id and root. Most calls of a pipeline
/// have no arguments, so they take one record instead of two and no message.
///
/// `target` has the method's ordinal in its lower half, then the pointer's index, then the flags;
/// `offset` names the kept call, `length` and `segments` the interface that declares the method.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Then {
    /// The caller's pending index of the kept call (out), or the lower half of its key (in): the
    /// callee handles its records in order, so it cannot mean a later call in the same place.
    pub(crate) on: i32,
    pub(crate) path: Path,
    /// The two halves of the id of the interface that declares the method.
    pub(crate) interface: (i32, i32),
    /// [`KEEP`], [`WANTED`].
    pub(crate) flags: i32,
}

impl Then {
    pub(crate) fn of(record: &Record) -> Self {
        let pointer = (record.target >> 16) & 0xff;
        Then {
            on: record.offset,
            path: 1 | (pointer << 8),
            interface: (record.length, record.segments),
            flags: record.target >> 24,
        }
    }

    /// The same as the prefix of a call: of the kept call that is named `on`.
    pub(crate) fn to(&self, on: (i32, i32)) -> To {
        To {
            target: Target::Answer(on, self.path),
            interface: self.interface,
            flags: self.flags,
        }
    }
}

/// A [`RecordKind::To`] record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct To {
    pub(crate) target: Target,
    /// The two halves of the id of the interface that declares the method.
    pub(crate) interface: (i32, i32),
    /// [`KEEP`], [`WANTED`].
    pub(crate) flags: i32,
}

impl To {
    const EXPORT: i32 = 0;
    const OBJECT: i32 = 1;
    const ANSWER: i32 = 2;

    pub(crate) fn of(record: &Record) -> Option<Self> {
        let target = match record.target {
            Self::EXPORT => Target::Export,
            Self::OBJECT => Target::Object(record.id),
            Self::ANSWER => Target::Answer(record.id, record.offset),
            _ => return None,
        };
        Some(To {
            target,
            interface: record.root,
            flags: record.length,
        })
    }

    pub(crate) fn record(&self) -> Record {
        let (target, id, path) = match self.target {
            Target::Export => (Self::EXPORT, (0, 0), 0),
            Target::Object(id) => (Self::OBJECT, id, 0),
            Target::Answer(id, path) => (Self::ANSWER, id, path),
        };
        Record {
            target,
            id,
            root: self.interface,
            offset: path,
            length: self.flags,
            ..Record::bare(RecordKind::To)
        }
    }
}

/// A capability on its way, as a [`RecordKind::Capability`] record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// An export of the isolate at this end of the wire, by its index there.
    Here(i32),
    /// Someone else's: the two halves of its key. A key that names nothing is a broken capability.
    Imported((i32, i32)),
    /// What a path leads to in the results of a kept call. Named as in [`Target::Answer`].
    Answer((i32, i32), Path),
}

impl Passed {
    const HERE: i32 = 0;
    const IMPORTED: i32 = 1;
    const ANSWER: i32 = 2;

    /// A capability that leads nowhere.
    pub(crate) fn broken() -> Self {
        Passed::Imported(to_words(CapabilityKey::null()))
    }

    pub(crate) fn of(record: &Record) -> Option<Self> {
        Some(match record.target {
            Self::HERE => Passed::Here(record.id.0),
            Self::IMPORTED => Passed::Imported(record.id),
            Self::ANSWER => Passed::Answer(record.id, record.offset),
            _ => return None,
        })
    }

    pub(crate) fn record(&self) -> Record {
        let (target, id, path) = match *self {
            Passed::Here(index) => (Self::HERE, (index, 0), 0),
            Passed::Imported(id) => (Self::IMPORTED, id, 0),
            Passed::Answer(id, path) => (Self::ANSWER, id, path),
        };
        Record {
            target,
            id,
            offset: path,
            ..Record::bare(RecordKind::Capability)
        }
    }
}

/// One record, as it lies in a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) kind: RecordKind,
    /// Names the call: on the caller's side the index of its pending promise and 0, on the callee's
    /// side the two halves of the host's key.
    pub(crate) id: (i32, i32),
    /// A call's target: import (out) or export (in) in the upper half, method ordinal in the lower.
    pub(crate) target: i32,
    /// The two halves of the root's key.
    pub(crate) root: (i32, i32),
    /// Where segment 0 lies, in bytes from the start of outbox or chunk; [`MOVED`] if it is the
    /// first of the record's segments.
    pub(crate) offset: i32,
    /// Bytes of segment 0.
    pub(crate) length: i32,
    /// How many of the moved segments belong to this record.
    pub(crate) segments: i32,
}

/// A record's offset if segment 0 moves by ownership.
pub(crate) const MOVED: i32 = -1;

impl Record {
    /// A record with nothing but its kind.
    pub(crate) fn bare(kind: RecordKind) -> Self {
        Record {
            kind,
            id: (0, 0),
            target: 0,
            root: (0, 0),
            offset: 0,
            length: 0,
            segments: 0,
        }
    }
}

/// The rings of one isolate.
pub(crate) struct Wire {
    rings: Memory,
    outbox: Memory,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Wire {
            rings: Memory::paged(RING_BYTES),
            outbox: Memory::paged(OUTBOX_BYTES),
        }
    }

    pub(crate) fn rings(&self) -> &Memory {
        &self.rings
    }

    pub(crate) fn outbox(&self) -> &Memory {
        &self.outbox
    }

    /// Adds a record to the in-ring; false, and nothing done, if it is full.
    pub(crate) fn put(&self, record: &Record) -> bool {
        let count = self.in_count();
        if count >= RING_RECORDS {
            return false;
        }
        let words: [i32; RECORD_WORDS] = [
            record.kind as i32,
            record.id.0,
            record.id.1,
            record.target,
            record.root.0,
            record.root.1,
            record.offset,
            record.length,
            record.segments,
        ];
        self.rings.set_words(IN_RING + count * RECORD_STRIDE, words);
        self.set_in_count(count + 1);
        true
    }

    /// Says how many records the in-ring holds; 0 also begins it anew.
    pub(crate) fn set_in_count(&self, count: usize) {
        // At most RING_RECORDS.
        self.rings.set_words(IN_COUNT, [count as i32]);
        if count == 0 {
            self.rings.set_words(IN_NEXT, [0, 0]);
        }
    }

    /// The index of the first record that was not yet handled.
    pub(crate) fn in_next(&self) -> usize {
        self.count(IN_NEXT)
    }

    /// Records that were not yet handled.
    pub(crate) fn records_left(&self) -> usize {
        self.in_count().saturating_sub(self.in_next())
    }

    /// The root of the record at `index` of the in-ring, in two words.
    pub(crate) fn incoming_root(&self, index: usize) -> Option<(i32, i32)> {
        let record = IN_RING + index * RECORD_STRIDE;
        let [low, high] = self.rings.words(record + 4)?;
        Some((low, high))
    }

    /// Whether all that was not yet handled is a call's results.
    pub(crate) fn is_one_result(&self) -> bool {
        let next = self.in_next();
        let kind = self.rings.words(IN_RING + next * RECORD_STRIDE);
        self.in_count() == next + 1 && kind == Some([RecordKind::Return as i32])
    }

    /// Says whether calls may be dispatched in the turn that begins; none was yet.
    pub(crate) fn allow_dispatches(&self, are_allowed: bool) {
        self.rings
            .set_words(DISPATCHES, [i32::from(are_allowed), 0]);
    }

    /// Allows no further call to be dispatched in this turn.
    pub(crate) fn forbid_dispatches(&self) {
        self.rings.set_words(DISPATCHES, [0]);
    }

    /// Puts the results of a dispatched call where JavaScript reads them.
    pub(crate) fn put_result(&self, (offset, length): (i32, i32), moved: &[Segment]) {
        let segments = i32::try_from(moved.len()).unwrap_or(i32::MAX);
        // What a segment's ends are is below 4 GiB, and the words are read as they were written.
        let (base, end) = match moved {
            [only] => (only.base as i32, only.end as i32),
            _ => (0, 0),
        };
        self.rings
            .set_words(RESULT, [offset, length, segments, base, end]);
    }

    /// Whether the glue could not handle what it was given.
    pub(crate) fn has_failed(&self) -> bool {
        self.rings.words(FAILED) != Some([0])
    }

    /// Empties both rings.
    pub(crate) fn reset(&self) {
        self.rings.set_words(FAILED, [0]);
        self.forbid_dispatches();
        self.set_in_count(0);
        self.take_out_count();
    }

    /// Segments of the messages whose records the out-ring holds.
    pub(crate) fn segments_posted(&self) -> usize {
        let records = (0..self.count(OUT_COUNT)).filter_map(|index| self.get(index));
        let messages = records.filter(|record| {
            use RecordKind::{Ask, AskWanted, Call, CallTo, Return};
            matches!(record.kind, Call | CallTo | Ask | AskWanted | Return)
        });
        messages
            .filter_map(|record| usize::try_from(record.segments).ok())
            .sum()
    }

    /// How many records the in-ring holds.
    pub(crate) fn in_count(&self) -> usize {
        self.count(IN_COUNT)
    }

    /// How many records the out-ring holds, and empties it.
    pub(crate) fn take_out_count(&self) -> usize {
        let count = self.count(OUT_COUNT);
        if count > 0 {
            self.rings.set_words(OUT_COUNT, [0]);
        }
        count
    }

    fn count(&self, index: usize) -> usize {
        let [count] = self.rings.words(index).unwrap_or([0]);
        usize::try_from(count).map_or(0, |count| count.min(RING_RECORDS))
    }

    /// The record at `index` of the out-ring; `None` if its kind is unknown.
    pub(crate) fn get(&self, index: usize) -> Option<Record> {
        let words: [i32; RECORD_WORDS] = self.rings.words(OUT_RING + index * RECORD_STRIDE)?;
        let [
            kind,
            id,
            id_high,
            target,
            root,
            root_high,
            offset,
            length,
            segments,
        ] = words;
        Some(Record {
            kind: RecordKind::from_word(kind)?,
            id: (id, id_high),
            target,
            root: (root, root_high),
            offset,
            length,
            segments,
        })
    }
}
