//! An isolate's mailbox, as those who send see it: any of the shard's code, at any time.

use super::keys::RootKey;
use super::wire::{MOVED, Record};
use super::{Event, Isolate, Schedule, Segment, Segment0};

/// Records without haste that wait for an isolate until they get it a turn.
const NOTES_PER_TURN: usize = 64;

impl Isolate {
    /// Takes a call or a result in. Small messages are copied into this isolate's receive chunk:
    /// the sender cannot change what is read, and what is read is freed by this isolate's own
    /// garbage collector.
    pub(crate) fn receive(&self, mut record: Record, segment0: Segment0<'_>, moved: Vec<Segment>) {
        let ring = match self.schedule.get() {
            Schedule::Running | Schedule::Condemned => None,
            _ => Some(&self.wire),
        };
        let small = match segment0 {
            Segment0::Moved(length) => {
                record.offset = MOVED;
                record.length = length;
                None
            }
            Segment0::Small(bytes) => Some(bytes),
        };
        record.segments = i32::try_from(moved.len()).unwrap_or(i32::MAX);
        self.inbox.borrow_mut().put(record, small, moved, ring);
        self.wake();
    }

    /// Takes in a record that carries no message.
    pub(crate) fn tell(&self, record: Record) {
        self.note(record);
        self.wake();
    }

    /// Takes in a record that carries no message and need not be seen before the next turn, which
    /// comes when there is other mail, or when many such records wait.
    pub(crate) fn note(&self, record: Record) {
        let ring = match self.schedule.get() {
            Schedule::Running | Schedule::Condemned => None,
            _ => Some(&self.wire),
        };
        let mut inbox = self.inbox.borrow_mut();
        inbox.put(record, None, Vec::new(), ring);
        drop(inbox);
        if self.queued() > NOTES_PER_TURN {
            self.wake();
        }
    }

    /// Takes in the results of a call that was dispatched; false, and nothing done, if there is no
    /// room for them. Only while the isolate [has no mail](Self::has_mail).
    pub(crate) fn take_result(&self, segment0: &Segment0<'_>, moved: &[Segment]) -> bool {
        let place = match *segment0 {
            Segment0::Moved(length) => Some((MOVED, length)),
            Segment0::Small(bytes) => {
                let offset = self.inbox.borrow_mut().copy_at_once(bytes);
                // Both are below a chunk's size.
                offset.map(|offset| (offset as i32, bytes.len() as i32))
            }
        };
        place.is_some_and(|place| {
            self.wire.put_result(place, moved);
            true
        })
    }

    /// Whether anything waits to be handed to JavaScript. While events are handed over, what is left
    /// of them does not count.
    pub(crate) fn has_mail(&self) -> bool {
        self.wire.records_left() + self.inbox.borrow().overflowing() > 0
            || !self.events.borrow().is_empty()
    }

    /// Calls and results that wait to be handed to JavaScript.
    pub(crate) fn queued(&self) -> usize {
        self.wire.in_count() + self.inbox.borrow().overflowing()
    }

    /// Takes an event in.
    pub(crate) fn push(&self, event: Event) {
        self.events.borrow_mut().push_back(event);
        self.wake();
    }

    /// Drops the timers of a request whose code was ended, before any of them is due.
    pub(crate) fn drop_timers(&self, root: RootKey) {
        let mut events = self.events.borrow_mut();
        events.push_front(Event::DropTimers { root });
        drop(events);
        self.wake();
    }

    pub(super) fn wake(&self) {
        let queued = match self.schedule.get() {
            Schedule::Idle => Schedule::Queued,
            Schedule::Evicted => Schedule::Returning,
            _ => return,
        };
        if let Some(home) = self.home.upgrade() {
            self.schedule.set(queued);
            home.enqueue(self.slot);
        }
    }
}
