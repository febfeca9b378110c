//! Which isolate gets the next turn.
//!
//! Isolates that used no more than the others take turns in the order in which their mail came.
//! One that used more is *ahead*: it waits until nobody else does, or until the others have caught
//! up. So a service that computes much gets what the others leave, and its fair share at least.

use std::collections::VecDeque;
use std::time::Duration;

/// CPU time by which an isolate may be ahead and still take turns in order.
const SLACK: Duration = Duration::from_millis(2);
/// The most by which it can be ahead: after that much CPU time of others it is even again.
const MOST_AHEAD: Duration = Duration::from_millis(200);

/// Slots that wait for a turn, each at most once.
#[derive(Default)]
pub(super) struct ReadyQueue {
    in_order: VecDeque<usize>,
    ahead: Vec<usize>,
    /// By slot: the CPU time used, counted so that who waits at `even` has what is due to him.
    used: Vec<Duration>,
    even: Duration,
}

impl ReadyQueue {
    pub(super) fn push(&mut self, slot: usize) {
        match self.is_ahead(slot) {
            false => self.in_order.push_back(slot),
            true => self.ahead.push(slot),
        }
    }

    #[cfg(test)]
    fn pop(&mut self) -> Option<usize> {
        self.pop_in_order().or_else(|| self.pop_ahead())
    }

    /// The next of those who take turns in order.
    pub(super) fn pop_in_order(&mut self) -> Option<usize> {
        self.in_order.pop_front()
    }

    pub(super) fn is_anyone_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Of those who are ahead, the one that is least. Only where nobody waits in order.
    pub(super) fn pop_ahead(&mut self) -> Option<usize> {
        let used = |slot: &usize| self.used.get(*slot).copied().unwrap_or_default();
        let (place, _) = self
            .ahead
            .iter()
            .enumerate()
            .min_by_key(|(_, slot)| used(slot))?;
        let slot = self.ahead.remove(place);
        // Nobody who waits has used less.
        self.even = self.even.max(used(&slot));
        Some(slot)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_order.is_empty() && self.ahead.is_empty()
    }

    /// The one who waits, if nobody else does, and he is not ahead.
    pub(super) fn only_in_order(&self) -> Option<usize> {
        let is_only = self.in_order.len() == 1 && self.ahead.is_empty();
        self.in_order.front().copied().filter(|_| is_only)
    }

    /// Adds to what the isolate in `slot` has used.
    pub(super) fn charge(&mut self, slot: usize, time: Duration) {
        if self.used.len() <= slot {
            self.used.resize(slot + 1, Duration::ZERO);
        }
        if let Some(used) = self.used.get_mut(slot) {
            // Nobody saves up what he did not use.
            *used = (*used).max(self.even).saturating_add(time);
            *used = (*used).min(self.even + MOST_AHEAD);
        }
    }

    /// Whether the isolate in `slot` has used more than its share of late.
    pub(super) fn is_ahead(&self, slot: usize) -> bool {
        self.used
            .get(slot)
            .is_some_and(|used| *used > self.even + SLACK)
    }

    /// Another isolate lives in `slot` now.
    pub(super) fn reset(&mut self, slot: usize) {
        if let Some(used) = self.used.get_mut(slot) {
            *used = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn who_used_more_than_the_others_waits_for_them() {
        let mut ready = ReadyQueue::default();
        ready.charge(0, 50 * MS);
        for slot in [0, 1, 2] {
            ready.push(slot);
        }
        assert_eq!(
            [ready.pop(), ready.pop(), ready.pop()],
            [Some(1), Some(2), Some(0)]
        );
        // It has had its turn when nobody else waited, so it owes nothing.
        assert!(!ready.is_ahead(0));
    }

    #[test]
    fn two_that_compute_all_the_time_get_a_half_each() {
        let mut ready = ReadyQueue::default();
        let mut used = [0; 2];
        ready.push(0);
        ready.push(1);
        for _ in 0..300 {
            let slot = ready.pop().unwrap();
            let ms = [30, 10][slot];
            used[slot] += ms;
            ready.charge(slot, MS * ms);
            ready.push(slot);
        }
        assert!(used[0].abs_diff(used[1]) <= 60, "{used:?}");
    }

    #[test]
    fn a_debt_is_bounded() {
        let mut ready = ReadyQueue::default();
        ready.charge(0, 100_000 * MS);
        ready.push(0);
        let mut turns = 0;
        loop {
            ready.push(1);
            if ready.pop() == Some(0) {
                break;
            }
            ready.charge(1, MS);
            turns += 1;
        }
        assert!(turns <= 250, "{turns}");
    }
}
