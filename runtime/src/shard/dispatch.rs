//! Direct dispatch: a callee runs on top of its caller's stack where nobody could tell the difference.
//!
//! Otherwise a call takes two turns, one of the callee and one in which the caller gets the results,
//! and half of a small call's time goes into leaving and entering V8 for them. What has to hold:
//!
//! - The callee is on nobody's stack: it stands in the queue, and only who rests gets there.
//! - Nobody is overtaken: it is alone in the queue, and nothing waits for the caller either.
//! - Others do not wait for much longer: a turn makes [so many](DISPATCHES_PER_TURN) calls that way,
//!   with those that its callees make, and none once the watchdog has looked, a millisecond after the
//!   last look.
//! - Enough of the stack is left. V8 lets each isolate go down to where it could from the bottom.
//!
//! Everything else is as ever: the call is accepted, bounded, traced and settled by the same code,
//! the callee's time is charged to it, and what ends its code ends that alone. What does not come at
//! once (the callee awaits something, or throws) comes as mail.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::Shard;
use super::party::Party;
use crate::isolate::{Home, Isolate, Life, Segment, Segment0};

/// Calls from one turn at the bottom: some 200 µs of small ones.
const DISPATCHES_PER_TURN: usize = 256;
/// Isolates that run on top of each other, beside the first. Each may use up its budget before
/// anybody else has a turn.
const DISPATCHES_DEEP: usize = 2;
/// Bytes of stack below which nobody is dispatched; V8 lets JavaScript have some 980 KiB.
const STACK_BYTES: usize = 256 << 10;

/// Who runs on top of whom.
#[derive(Default)]
pub(super) struct Dispatches {
    /// Whose results are waited for on the stack: the caller's slot, and its name for the call.
    awaited: Cell<Option<(usize, i32)>>,
    /// What moved with results that have come.
    moved: RefCell<Vec<Segment>>,
    deep: Cell<usize>,
    /// The watchdog's looks when the turn began that is at the bottom, and where its stack did.
    looks: Cell<u64>,
    bottom: Cell<usize>,
    /// Calls since they were asked for.
    made: Cell<usize>,
}

impl Dispatches {
    /// A turn begins that is on top of no other.
    pub(super) fn begin(&self, looks: u64) {
        self.looks.set(looks);
        self.bottom.set(stack_pointer());
    }

    /// Calls that were dispatched since this was last asked.
    pub(super) fn take_made(&self) -> usize {
        self.made.take()
    }
}

/// Where the stack has come to, roughly.
#[inline(always)]
fn stack_pointer() -> usize {
    let here = 0_u8;
    (&raw const here).addr()
}

impl Shard {
    /// See [`Home::dispatch`](crate::isolate::Home::dispatch).
    pub(super) fn dispatch_call(&self, caller: &Rc<Isolate>, pending: i32) -> Option<Vec<Segment>> {
        if !self.may_dispatch(caller) {
            return None;
        }
        self.collect(caller);
        let callee = self.only_waiting()?;
        let of = &self.dispatches;
        let outer = of.awaited.replace(Some((caller.slot, pending)));
        let outer_moved = of.moved.take();
        of.deep.set(of.deep.get() + 1);
        of.made.set(of.made.get() + 1);
        let running = self.watch.suspend();
        self.give_turn(&callee);
        self.watch.resume(running);
        of.deep.set(of.deep.get() - 1);
        // Whoever gets them takes the mark away.
        let has_come = of.awaited.replace(outer).is_none();
        let moved = of.moved.replace(outer_moved);
        has_come.then_some(moved)
    }

    fn may_dispatch(&self, caller: &Isolate) -> bool {
        let of = &self.dispatches;
        self.ready.borrow().is_empty()
            && of.looks.get() == self.watch.looks()
            && of.deep.get() < DISPATCHES_DEEP
            && of.made.get() < DISPATCHES_PER_TURN
            && of.bottom.get().abs_diff(stack_pointer()) < STACK_BYTES
            && !caller.has_mail()
    }

    /// The isolate that waits for a turn if no other does, taken out of the queue.
    fn only_waiting(&self) -> Option<Rc<Isolate>> {
        let slot = self.ready.borrow().only_in_order()?;
        let isolate = self.isolate(slot)?;
        if isolate.is_returning() || isolate.life.get() != Life::Serving {
            return None;
        }
        self.ready.borrow_mut().pop_in_order();
        Some(isolate)
    }

    /// Gives results to a caller that waits for them on the stack. False, and nothing done, if it
    /// does not, has no room for them, or has mail that came before them.
    #[inline]
    pub(super) fn give_at_once(
        &self,
        caller: &Party,
        pending: i32,
        segment0: &Segment0<'_>,
        moved: &mut Vec<Segment>,
    ) -> bool {
        let of = &self.dispatches;
        let Party::Isolate(caller) = caller else {
            return false;
        };
        let is_awaited = of.awaited.get() == Some((caller.slot, pending));
        if !is_awaited || caller.has_mail() || !caller.take_result(segment0, moved) {
            return false;
        }
        of.awaited.set(None);
        of.moved.replace(std::mem::take(moved));
        true
    }
}
