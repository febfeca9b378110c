//! Mail that waits behind the ring, and in which order it gets there.
//!
//! Plain calls and results of one request keep their order; those of different requests take turns,
//! one each. Every other record stays behind all that came before it and ahead of all that comes
//! after: it may concern what those brought, or what they refer to, whatever request they are of.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::Delivery;
use crate::isolate::keys::{RootKey, from_words};
use crate::isolate::wire::RecordKind;

/// Records that wait.
#[derive(Default)]
pub(super) struct Backlog {
    parts: VecDeque<Part>,
    count: usize,
    /// The next record belongs to the last one: that was a prefix.
    expects_more: bool,
}

/// Records between which nothing else came.
enum Part {
    One(Delivery),
    Plain(Lanes),
}

/// Plain records of several requests.
#[derive(Default)]
struct Lanes {
    by_root: FxHashMap<RootKey, VecDeque<Delivery>>,
    /// Whose turn it is: each root with a lane, once.
    order: VecDeque<RootKey>,
}

impl Backlog {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn push(&mut self, delivery: Delivery) {
        self.count += 1;
        let kind = delivery.record.kind;
        let is_plain = matches!(kind, RecordKind::Call | RecordKind::Return);
        let follows = self.expects_more;
        self.expects_more = matches!(kind, RecordKind::To | RecordKind::Capability);
        if !is_plain || follows {
            return self.parts.push_back(Part::One(delivery));
        }
        if let Some(Part::Plain(lanes)) = self.parts.back_mut() {
            return lanes.push(delivery);
        }
        let mut lanes = Lanes::default();
        lanes.push(delivery);
        self.parts.push_back(Part::Plain(lanes));
    }

    pub(super) fn pop(&mut self) -> Option<Delivery> {
        let next = match self.parts.front_mut()? {
            Part::Plain(lanes) => {
                let next = lanes.pop();
                if lanes.order.is_empty() {
                    self.parts.pop_front();
                }
                next
            }
            Part::One(_) => match self.parts.pop_front()? {
                Part::One(delivery) => Some(delivery),
                Part::Plain(_) => None,
            },
        };
        self.count -= usize::from(next.is_some());
        next
    }
}

impl Lanes {
    fn push(&mut self, delivery: Delivery) {
        let root = from_words::<RootKey>(delivery.record.root);
        let lane = self.by_root.entry(root).or_default();
        if lane.is_empty() {
            self.order.push_back(root);
        }
        lane.push_back(delivery);
    }

    fn pop(&mut self) -> Option<Delivery> {
        let root = self.order.pop_front()?;
        let lane = self.by_root.get_mut(&root)?;
        let next = lane.pop_front();
        match lane.is_empty() {
            true => drop(self.by_root.remove(&root)),
            false => self.order.push_back(root),
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolate::wire::Record;

    fn push(backlog: &mut Backlog, kind: RecordKind, root: i32, number: i32) {
        backlog.push(Delivery {
            record: Record {
                root: (root, 1),
                offset: number,
                ..Record::bare(kind)
            },
            small: None,
            moved: Vec::new(),
        });
    }

    fn all(mut backlog: Backlog) -> Vec<i32> {
        let numbers = std::iter::from_fn(|| backlog.pop()).map(|next| next.record.offset);
        let numbers = numbers.collect();
        assert!(backlog.is_empty());
        numbers
    }

    #[test]
    fn requests_take_turns_and_each_keeps_its_order() {
        let mut backlog = Backlog::default();
        for number in 0..4 {
            push(&mut backlog, RecordKind::Call, 1, number);
        }
        push(&mut backlog, RecordKind::Call, 2, 10);
        push(&mut backlog, RecordKind::Return, 3, 20);
        push(&mut backlog, RecordKind::Call, 2, 11);
        assert_eq!(all(backlog), [0, 10, 20, 1, 11, 2, 3]);
    }

    #[test]
    fn other_records_stay_where_they_are() {
        let mut backlog = Backlog::default();
        push(&mut backlog, RecordKind::Call, 1, 0);
        push(&mut backlog, RecordKind::Call, 1, 1);
        push(&mut backlog, RecordKind::Drop, 0, 2);
        push(&mut backlog, RecordKind::Call, 2, 3);
        // A prefix and its call.
        push(&mut backlog, RecordKind::Capability, 0, 4);
        push(&mut backlog, RecordKind::Call, 2, 5);
        push(&mut backlog, RecordKind::Call, 1, 6);
        push(&mut backlog, RecordKind::Call, 1, 7);
        push(&mut backlog, RecordKind::Call, 2, 8);
        assert_eq!(all(backlog), [0, 1, 2, 3, 4, 5, 6, 8, 7]);
    }
}
