//! An isolate's mail: calls and results that wait to be handed to JavaScript.
//!
//! Mail goes into the in-ring at once while that has room. What has none waits in a [`Backlog`],
//! where requests take turns: one that floods a service with calls waits for itself, and others'
//! calls do not wait behind all of them.

mod backlog;

use super::Segment;
use super::memory::Memory;
use super::wire::{CHUNK_BYTES, FIRST_CHUNK_BYTES, Record, RecordKind, Wire};
use backlog::Backlog;

/// Records that a small message may take: its own, and one that says where its chunk is.
const RECORDS_PER_MESSAGE: usize = 2;
/// Records that one turn is given: some 50 µs of small calls, for which the shard's other isolates
/// have to wait. What comes after them takes turns with what other requests send.
const RECORDS_PER_TURN: usize = 32;
/// Bytes of moved segments after which a turn is given no further message: all that one turn is
/// given counts to the isolate's memory at once.
const MOVED_BYTES_PER_TURN: usize = 32 << 20;

/// A record on its way in.
struct Delivery {
    record: Record,
    /// A small segment 0, which is yet to be copied to where this isolate can read it.
    small: Option<Box<[u8]>>,
    /// Segments that moved with it.
    moved: Vec<Segment>,
}

/// Mail for the next turn: records in the in-ring, and behind them those that had no room there
/// or came while JavaScript was reading it.
#[derive(Default)]
pub(super) struct Inbox {
    /// What moved with the records in the in-ring, in their order.
    moved: Vec<Segment>,
    moved_bytes: usize,
    backlog: Backlog,
    /// Where the next small message is copied to; JavaScript maps it by a `Chunk` record.
    chunk: Option<Memory>,
    chunk_used: usize,
}

impl Inbox {
    /// Records that wait behind the ring.
    pub(super) fn overflowing(&self) -> usize {
        self.backlog.len()
    }

    /// Puts a record where its turn to be read comes, with its segment 0 if that is small, which is
    /// copied, and with what moved. `ring` is the ring that may be written now.
    #[inline]
    pub(super) fn put(
        &mut self,
        record: Record,
        small: Option<&[u8]>,
        moved: Vec<Segment>,
        ring: Option<&Wire>,
    ) {
        match ring {
            Some(wire) if self.backlog.is_empty() && self.has_room(wire) => {
                self.hand(record, small, moved, wire);
            }
            _ => self.backlog.push(Delivery {
                record,
                small: small.map(Into::into),
                moved,
            }),
        }
    }

    /// Fills the ring for a turn, and returns what moved with its records.
    pub(super) fn open(&mut self, wire: &Wire) -> Vec<Segment> {
        while self.has_room(wire)
            && let Some(next) = self.backlog.pop()
        {
            self.hand(next.record, next.small.as_deref(), next.moved, wire);
        }
        self.moved_bytes = 0;
        std::mem::take(&mut self.moved)
    }

    /// Takes back what [`open`](Self::open) gave: not all records of the ring were handled.
    pub(super) fn put_back(&mut self, moved: Vec<Segment>) {
        self.moved_bytes = bytes(&moved);
        self.moved = moved;
    }

    fn has_room(&self, wire: &Wire) -> bool {
        wire.in_count() + RECORDS_PER_MESSAGE <= RECORDS_PER_TURN
            && self.moved_bytes < MOVED_BYTES_PER_TURN
    }

    /// Puts a record into the ring, which has room for it.
    #[inline]
    fn hand(&mut self, mut record: Record, small: Option<&[u8]>, moved: Vec<Segment>, wire: &Wire) {
        if let Some(bytes) = small {
            // Both are at most a chunk's size, or at most the outbox's for a chunk of its own.
            record.offset = self.copy_in(bytes, wire) as i32;
            record.length = bytes.len() as i32;
        }
        wire.put(&record);
        if !moved.is_empty() {
            self.moved_bytes += bytes(&moved);
        }
        match self.moved.is_empty() {
            true => self.moved = moved,
            false => self.moved.extend(moved),
        }
    }

    /// Copies `bytes` into the receive chunk that JavaScript knows by now, and says where to; `None`
    /// if there is no room. Only while no record waits: one of them may bring another chunk.
    pub(super) fn copy_at_once(&mut self, bytes: &[u8]) -> Option<usize> {
        let offset = self.chunk_used;
        let chunk = self.chunk.as_ref()?;
        chunk.write(offset, bytes).then(|| {
            self.chunk_used += bytes.len();
            offset
        })
    }

    /// Copies `bytes` into the receive chunk, taking a new chunk if they do not fit.
    fn copy_in(&mut self, bytes: &[u8], wire: &Wire) -> usize {
        if let Some(offset) = self.copy_at_once(bytes) {
            return offset;
        }
        // Each chunk is four times as large as the one before.
        let next = |last: &Memory| (4 * last.len()).min(CHUNK_BYTES);
        let chunk_bytes = self.chunk.as_ref().map_or(FIRST_CHUNK_BYTES, next);
        let chunk = Memory::new(chunk_bytes.max(bytes.len()));
        chunk.write(0, bytes);
        wire.put(&Record {
            segments: 1,
            ..Record::bare(RecordKind::Chunk)
        });
        self.moved.push(Segment {
            store: chunk.store().clone(),
            base: 0,
            end: 0,
        });
        self.chunk = Some(chunk);
        self.chunk_used = bytes.len();
        0
    }
}

/// What the receiver of segments holds through them.
fn bytes(segments: &[Segment]) -> usize {
    let stores = segments.iter().map(|segment| &segment.store);
    stores.map(|store| store.byte_length()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_messages_are_handed_over_in_many_turns() {
        let (wire, mut inbox) = (Wire::new(), Inbox::default());
        let blob = Memory::new(MOVED_BYTES_PER_TURN / 2);
        for _ in 0..5 {
            let record = Record {
                segments: 1,
                ..Record::bare(RecordKind::Call)
            };
            let segment = Segment {
                store: blob.store().clone(),
                base: 0,
                end: 8,
            };
            inbox.put(record, None, vec![segment], Some(&wire));
        }
        let mut turns = Vec::new();
        while wire.in_count() + inbox.overflowing() > 0 {
            let moved = inbox.open(&wire);
            assert_eq!(moved.len(), wire.in_count());
            turns.push(moved.len());
            wire.set_in_count(0);
        }
        assert_eq!(turns, [2, 2, 1]);
    }

    #[test]
    fn a_flood_is_handed_over_in_many_turns() {
        let (flood, other) = ((1, 1), (2, 1));
        let (wire, mut inbox) = (Wire::new(), Inbox::default());
        let roots = std::iter::repeat_n(flood, 1000).chain([other]);
        for root in roots {
            let record = Record {
                root,
                ..Record::bare(RecordKind::Call)
            };
            inbox.put(record, Some(&[0; 8]), Vec::new(), Some(&wire));
        }
        let mut calls = 0;
        for turn in 0.. {
            inbox.open(&wire);
            let roots = (0..wire.in_count()).filter_map(|place| wire.incoming_root(place));
            let roots: Vec<_> = roots.filter(|root| [flood, other].contains(root)).collect();
            if roots.is_empty() {
                break;
            }
            assert!(roots.len() <= RECORDS_PER_TURN, "{}", roots.len());
            assert_eq!(roots.contains(&other), turn == 1);
            calls += roots.len();
            wire.set_in_count(0);
        }
        assert_eq!(calls, 1001);
    }
}
