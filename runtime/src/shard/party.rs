//! Who makes and serves the calls of a shard.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use isolith_capnp::error_capnp::call_error::Kind;
use isolith_versions::BundleFacts;

use super::outside::Outside;
use crate::error::CallError;
use crate::isolate::wire::Record;
use crate::isolate::{Event, Isolate, Segment, Segment0};

/// One end of a call: an isolate of this shard, or somebody outside of it.
#[derive(Clone)]
pub(crate) enum Party {
    Isolate(Rc<Isolate>),
    Outside(Rc<Outside>),
}

impl Party {
    /// The isolate, if it is one.
    pub(crate) fn isolate(&self) -> Option<&Rc<Isolate>> {
        match self {
            Party::Isolate(isolate) => Some(isolate),
            Party::Outside(_) => None,
        }
    }

    /// Its place in the shard's tables; no two parties have the same.
    pub(crate) fn slot(&self) -> usize {
        match self {
            Party::Isolate(isolate) => isolate.slot,
            Party::Outside(outside) => outside.slot,
        }
    }

    /// Takes in a record that carries no message and need not be seen at once.
    pub(crate) fn note(&self, record: Record) {
        match self {
            Party::Isolate(isolate) => isolate.note(record),
            Party::Outside(outside) => outside.note(&record),
        }
    }

    /// Takes in a record that carries no message.
    pub(crate) fn tell(&self, record: Record) {
        match self {
            Party::Isolate(isolate) => isolate.tell(record),
            Party::Outside(outside) => outside.note(&record),
        }
    }

    /// Takes in a call or a result.
    pub(crate) fn receive(&self, record: Record, segment0: Segment0<'_>, moved: Vec<Segment>) {
        match self {
            Party::Isolate(isolate) => isolate.receive(record, segment0, moved),
            Party::Outside(outside) => outside.receive(&record, &segment0, moved),
        }
    }

    /// A call that it made has failed.
    pub(crate) fn fail(&self, pending: i32, error: CallError) {
        match self {
            Party::Isolate(isolate) => isolate.push(Event::CallFailed { pending, error }),
            Party::Outside(outside) => outside.fail(pending, error),
        }
    }

    /// Lets a call in, or says why not.
    pub(super) fn pass(&self) -> Result<(), CallError> {
        match self {
            Party::Isolate(isolate) => isolate.pass(),
            Party::Outside(outside) => outside.pass(),
        }
    }

    /// Calls and results that wait for it.
    pub(super) fn queued(&self) -> usize {
        match self {
            Party::Isolate(isolate) => isolate.queued(),
            Party::Outside(_) => 0,
        }
    }

    /// Counts a call that it has answered.
    pub(super) fn count(&self, failed: Option<Kind>, since: Option<Instant>) {
        let isolate = match self {
            Party::Isolate(isolate) => isolate,
            Party::Outside(outside) => return outside.count(failed, since),
        };
        isolate.count(failed.is_some());
        if let Some(kind) = failed {
            isolate.failed_with(kind);
        }
        if let Some(since) = since {
            isolate.took(since);
        }
    }

    /// The same error, arisen here.
    pub(super) fn blame(&self, error: CallError) -> CallError {
        match self.facts() {
            Some(facts) => error.in_bundle(&facts.id),
            None => error,
        }
    }

    /// What it is a build of, if it is a service.
    pub(super) fn facts(&self) -> Option<&Arc<BundleFacts>> {
        match self {
            Party::Isolate(isolate) => Some(&isolate.program.facts),
            Party::Outside(outside) => Some(&outside.program()?.facts),
        }
    }
}

impl PartialEq for Party {
    fn eq(&self, other: &Party) -> bool {
        match other {
            Party::Isolate(isolate) => self == isolate,
            Party::Outside(outside) => self == outside,
        }
    }
}

impl PartialEq<Rc<Isolate>> for Party {
    fn eq(&self, other: &Rc<Isolate>) -> bool {
        matches!(self, Party::Isolate(isolate) if Rc::ptr_eq(isolate, other))
    }
}

impl PartialEq<Rc<Outside>> for Party {
    fn eq(&self, other: &Rc<Outside>) -> bool {
        matches!(self, Party::Outside(outside) if Rc::ptr_eq(outside, other))
    }
}

impl From<&Rc<Isolate>> for Party {
    fn from(isolate: &Rc<Isolate>) -> Self {
        Party::Isolate(Rc::clone(isolate))
    }
}

impl From<&Rc<Outside>> for Party {
    fn from(outside: &Rc<Outside>) -> Self {
        Party::Outside(Rc::clone(outside))
    }
}
