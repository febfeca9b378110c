//! Another engine in an isolate's place: after the old one failed, or was evicted for its memory.
//!
//! The isolate itself stays where it is: sets are wired to it, and its counts go on.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::engine::Engine;
use super::native::Owner;
use super::{Blank, GateState, Isolate, IsolateLimits, Life, Schedule};
use crate::error::LoadError;
use crate::limits::Limits;
use crate::platform::ForegroundTask;

/// For how long an isolate that rests is measured again: its garbage may be collected meanwhile.
const SETTLING: Duration = Duration::from_secs(10);

/// What an isolate held when it was looked at last, and since when it has done nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rest {
    /// On its heap and outside of it.
    pub(crate) held_bytes: u64,
    /// The first look that found it as it is; `None` before the first one.
    pub(crate) since: Option<Instant>,
    /// Calls and requests that it had handled by then.
    handled: u64,
    /// CPU time that it had used by then.
    cpu: Duration,
}

impl Rest {
    /// For how long it has rested.
    pub(crate) fn time(&self, now: Instant) -> Duration {
        let since = self.since.unwrap_or(now);
        now.saturating_duration_since(since)
    }

    /// Whether what it holds is not expected to change before it does something.
    pub(crate) fn is_settled(&self, now: Instant) -> bool {
        self.time(now) >= SETTLING
    }
}

impl Isolate {
    /// Gives it no turn any more: its engine is in no state to go on.
    pub(crate) fn condemn(&self) {
        self.schedule.set(Schedule::Condemned);
    }

    /// Drops the engine, and what waits here: whoever it belongs to was told before.
    ///
    /// Not during a turn.
    pub(crate) fn empty(&self) {
        if let Some(alarm) = self.alarm.take() {
            alarm.abort();
        }
        drop((self.events.take(), self.given.take(), self.exchanges.take()));
        drop((
            self.inbox.take(),
            self.blobs.take(),
            self.json_replies.take(),
        ));
        drop((self.usage.take(), self.fuse.take()));
        self.wire.reset();
        let none = Engine::none(&self.program, &self.host, &self.fuse);
        drop(self.engine.replace(none));
        self.schedule.set(Schedule::Idle);
    }

    /// Makes an engine where there is none, as [`new`](Self::new) does.
    pub(crate) fn make_engine(
        self: &Rc<Self>,
        limits: &Limits,
        tasks: UnboundedSender<ForegroundTask>,
        spare: Option<Blank>,
    ) -> Result<(), LoadError> {
        let limits = IsolateLimits::of(&self.program, limits);
        let owner = Owner(Rc::downgrade(self));
        let engine = Engine::new(
            &self.program,
            &limits,
            &self.host,
            &self.fuse,
            owner,
            &self.wire,
            tasks,
            spare,
        )?;
        self.engine.replace(engine);
        Ok(())
    }

    /// Whether nothing that the isolate itself knows of would be lost with its engine: no turn, no
    /// request or call of its own, no body that flows, no timer. What others hold of it, the shard
    /// knows. One whose modules await while they load, or compute for longer than a request may, is
    /// never idle: it could not come back in time for its turn.
    pub(crate) fn is_idle(&self) -> bool {
        let alarm = self.alarm.borrow();
        self.schedule.get() == Schedule::Idle
            && self.life.get() != Life::Loading
            && self.loads_at_once.get()
            && self.gate.state() != GateState::Replacing
            && self.exchanges.borrow().is_empty()
            && self.json_replies.borrow().is_empty()
            && alarm.as_ref().is_none_or(|alarm| alarm.is_finished())
    }

    /// Looks at what it holds and since when it rests. Enters it, unless it has rested for long.
    pub(crate) fn look_at_rest(&self, now: Instant) -> Rest {
        let mut rest = self.rest.get();
        let (handled, cpu) = (self.handled.get(), self.cpu.get());
        if rest.since.is_none() || (rest.handled, rest.cpu) != (handled, cpu) {
            rest = Rest {
                since: Some(now),
                handled,
                cpu,
                ..rest
            };
        }
        if !rest.is_settled(now) {
            let held = self.engine.borrow_mut().heap_use();
            rest.held_bytes = (held.heap_bytes + held.external_bytes) as u64;
        }
        self.rest.set(rest);
        rest
    }

    /// Drops the engine of an isolate that [is idle](Self::is_idle). The next mail brings it back.
    pub(crate) fn evict(&self) {
        // Notes of what is over may wait: nobody is left whom they concern.
        self.empty();
        self.schedule.set(Schedule::Evicted);
        self.idle_evictions.set(self.idle_evictions.get() + 1);
        self.rest.take();
    }

    /// Whether its engine was evicted and is not back.
    pub(crate) fn is_evicted(&self) -> bool {
        matches!(self.schedule.get(), Schedule::Evicted | Schedule::Returning)
    }

    /// Whether it waits for its turn without one.
    #[inline]
    pub(crate) fn is_returning(&self) -> bool {
        self.schedule.get() == Schedule::Returning
    }

    /// It was evicted, and has an engine again, with what it needs to take its turn.
    pub(crate) fn returned(&self) {
        self.schedule.set(Schedule::Queued);
    }
}
