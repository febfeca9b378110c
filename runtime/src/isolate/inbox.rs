//! An isolate's mail: calls and results that wait to be handed to JavaScript.

use std::collections::VecDeque;

use super::Segment;
use super::memory::Memory;
use super::wire::{CHUNK_BYTES, FIRST_CHUNK_BYTES, Record, RecordKind, Wire};

/// A record on its way in, with the segments that moved with it.
struct Delivery {
    record: Record,
    moved: Vec<Segment>,
}

/// Mail for the next turn: records in the in-ring, and behind them those that had no room there
/// or came while JavaScript was reading it.
#[derive(Default)]
pub(super) struct Inbox {
    /// What moved with the records in the in-ring, in their order.
    moved: Vec<Segment>,
    overflow: VecDeque<Delivery>,
    /// Where the next small message is copied to; JavaScript maps it by a `Chunk` record.
    chunk: Option<Memory>,
    chunk_used: usize,
}

impl Inbox {
    /// Deliveries that wait behind the ring.
    pub(super) fn overflowing(&self) -> usize {
        self.overflow.len()
    }

    /// Puts a delivery where its turn to be read comes: `ring` is the ring that may be written now.
    pub(super) fn put(&mut self, record: Record, moved: Vec<Segment>, ring: Option<&Wire>) {
        if let Some(wire) = ring
            && self.overflow.is_empty()
            && wire.put(&record)
        {
            if !moved.is_empty() {
                self.moved.extend(moved);
            }
        } else {
            self.overflow.push_back(Delivery { record, moved });
        }
    }

    /// Fills the ring for a turn, and returns what moved with its records.
    pub(super) fn open(&mut self, wire: &Wire) -> Vec<Segment> {
        while let Some(delivery) = self.overflow.front()
            && wire.put(&delivery.record)
        {
            if let Some(delivery) = self.overflow.pop_front() {
                self.moved.extend(delivery.moved);
            }
        }
        std::mem::take(&mut self.moved)
    }

    /// Takes back what [`open`](Self::open) gave: not all records of the ring were handled.
    pub(super) fn put_back(&mut self, moved: Vec<Segment>) {
        self.moved = moved;
    }

    /// Copies `bytes` into the receive chunk, taking a new chunk if they do not fit.
    pub(super) fn copy_in(&mut self, bytes: &[u8], ring: Option<&Wire>) -> usize {
        if let Some(chunk) = &self.chunk
            && chunk.write(self.chunk_used, bytes)
        {
            let offset = self.chunk_used;
            self.chunk_used += bytes.len();
            return offset;
        }
        // Each chunk is four times as large as the one before.
        let next = |last: &Memory| (4 * last.len()).min(CHUNK_BYTES);
        let chunk_bytes = self.chunk.as_ref().map_or(FIRST_CHUNK_BYTES, next);
        let chunk = Memory::new(chunk_bytes.max(bytes.len()));
        chunk.write(0, bytes);
        let record = Record {
            kind: RecordKind::Chunk,
            id: (0, 0),
            target: 0,
            root: (0, 0),
            offset: 0,
            length: 0,
            segments: 1,
        };
        let moved = vec![Segment {
            store: chunk.store().clone(),
            base: 0,
            end: 0,
        }];
        self.put(record, moved, ring);
        self.chunk = Some(chunk);
        self.chunk_used = bytes.len();
        0
    }
}
