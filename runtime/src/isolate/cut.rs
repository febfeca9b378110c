//! Ending what an isolate runs, from outside: why it was ended, in whose name it ran, and the
//! interrupt by which the watchdog looks.
//!
//! V8 can be made to stop at its next check (a loop's back edge, a function's entry, inside
//! regular expressions and JSON), and to call back there first. So a turn that goes on for more
//! than a moment is *looked at* on its own thread: which request the current code runs for is
//! then known, as everywhere, from the continuation-preserved embedder data. Only if that request
//! has used up its budget is the execution ended.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::rc::Rc;

use super::heap::MemoryGuard;
use super::keys::{RootKey, from_words};
use super::native::Owner;
use super::{Home, Isolate};
use crate::error::CallError;

/// Why execution was ended, for those whom it concerns.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    pub(crate) error: CallError,
    /// The request that the code ran for; `None` for code that runs for no request, such as a
    /// module's or a finalizer's.
    pub(crate) root: Option<RootKey>,
    pub(crate) reach: Reach,
}

/// What else is lost with the code that was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nothing: the rest of the mail is handled in the next turn.
    Request,
    /// Of these requests a record was handled in part, or V8 has dropped microtasks: they may wait
    /// in vain.
    Requests(Vec<RootKey>),
    /// The isolate is in no state to go on.
    Isolate,
}

impl Reach {
    /// These requests beside the one that was ended.
    pub(super) fn of(lost: Vec<RootKey>) -> Self {
        match lost.is_empty() {
            true => Reach::Request,
            false => Reach::Requests(lost),
        }
    }
}

/// Holds the reason between the decision to end execution and the end of the turn.
#[derive(Default)]
pub(super) struct Fuse {
    blown: RefCell<Option<Cut>>,
    /// While the isolate is put in order after it was ended, nobody looks.
    is_bridged: Cell<bool>,
}

impl Fuse {
    /// Sets the reason, unless there is one already.
    pub(super) fn blow(&self, cut: Cut) {
        if let Ok(mut blown) = self.blown.try_borrow_mut() {
            blown.get_or_insert(cut);
        }
    }

    pub(super) fn take(&self) -> Option<Cut> {
        self.blown.take()
    }

    pub(super) fn bridge(&self, is_bridged: bool) {
        self.is_bridged.set(is_bridged);
    }
}

/// An isolate's context, kept where [`look`] can find it.
pub(super) struct OnlyContext(pub(super) v8::Global<v8::Context>);

/// Asks for a look at what `handle`'s isolate runs; `turn` is the turn that it is meant for.
///
/// From any thread. Costs the isolate about two microseconds.
pub(crate) fn request_look(handle: &v8::IsolateHandle, turn: u64) {
    handle.request_interrupt(look, turn as usize as *mut c_void);
}

/// Says that what `handle`'s isolate runs is refused a buffer or a timer: its turn's time is wasted.
/// Heard as a look is.
pub(super) fn request_waste(handle: &v8::IsolateHandle) {
    handle.request_interrupt(waste, std::ptr::null_mut());
}

unsafe extern "C" fn look(isolate: v8::UnsafeRawIsolatePtr, turn: *mut c_void) {
    let turn = turn as usize as u64;
    look_by(isolate, |home, owner, root| home.look(owner, turn, root));
}

unsafe extern "C" fn waste(isolate: v8::UnsafeRawIsolatePtr, _: *mut c_void) {
    look_by(isolate, |home, owner, root| home.waste(owner, root));
}

/// Ends what runs if `home` says so.
///
/// Runs on the isolate's thread, on top of its JavaScript, and so calls none itself.
fn look_by(
    mut isolate: v8::UnsafeRawIsolatePtr,
    ask: impl FnOnce(&dyn Home, &Rc<Isolate>, Option<RootKey>) -> Option<Cut>,
) {
    // SAFETY: V8 gives the isolate that it interrupted, on its own thread.
    let isolate = unsafe { v8::Isolate::ref_from_raw_isolate_ptr_mut_unchecked(&mut isolate) };
    // Absent while the isolate is still being made.
    let Some(owner) = isolate
        .get_slot::<Owner>()
        .and_then(|owner| owner.0.upgrade())
    else {
        return;
    };
    let Some(home) = owner.home.upgrade() else {
        return;
    };
    if owner.fuse.is_bridged.get() {
        return;
    }
    if let Some(guard) = isolate.get_slot::<Rc<MemoryGuard>>().cloned() {
        guard.look(isolate);
    }
    let Some(context) = isolate.get_slot::<OnlyContext>().map(|slot| slot.0.clone()) else {
        return;
    };
    let root = {
        v8::scope!(let scope, &mut *isolate);
        let context = v8::Local::new(scope, context);
        let scope = &mut v8::ContextScope::new(scope, context);
        current_root(scope)
    };
    if let Some(cut) = ask(&*home, &owner, root) {
        owner.fuse.blow(cut);
        isolate.terminate_execution();
    }
}

/// The request that the async context names.
pub(super) fn current_root(scope: &mut v8::PinScope<'_, '_>) -> Option<RootKey> {
    let frame = scope.get_continuation_preserved_embedder_data();
    let frame: v8::Local<v8::Object> = frame.try_into().ok()?;
    let word = |name: &str| {
        let key =
            v8::String::new_from_one_byte(scope, name.as_bytes(), v8::NewStringType::Internalized)?;
        // A plain field of an object that has no prototype.
        frame.get(scope, key.into())?.int32_value(scope)
    };
    Some(from_words((word("rootLow")?, word("rootHigh")?)))
}

/// The fuse of an isolate, shared with what V8 calls back.
pub(super) type SharedFuse = Rc<Fuse>;
