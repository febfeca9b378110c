//! The V8 side of an isolate: created from the snapshot, entered for each turn, dropped last.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use isolith_capnp::error_capnp::call_error::Kind;
use tokio::sync::mpsc::UnboundedSender;

use super::blank::{Blank, Parts};
use super::blobs::Blobs;
use super::cut::{Cut, Reach, SharedFuse, current_root};
use super::facts::Facts;
use super::glue::{Glue, map_segments, run_event};
use super::heap::MemoryGuard;
use super::keys::{RootKey, from_words};
use super::native::Owner;
use super::thrown::{Rejections, caught, cut_short, describe};
use super::wire::Wire;
use super::{Event, IsolateLimits, Segment};
use crate::error::{CallError, LoadError};
use crate::host::HostState;
use crate::platform::{self, Adopted, ForegroundTask};
use crate::program::Program;
#[cfg(test)]
use crate::script::run_script;
use crate::script::{compile_module, resolve_nothing, run_shared_script};

/// A V8 isolate with its context. Not entered between calls of its methods.
pub(super) struct Engine {
    /// `None` only while it is being dropped.
    live: Option<Live>,
    host: Rc<HostState>,
    rejections: Rc<Rejections>,
    fuse: SharedFuse,
    bundle: isolith_versions::BundleId,
    /// Requests whose records were handled in a turn that was ended before its microtasks.
    unsettled: Vec<RootKey>,
}

struct Live {
    // Handles go before the isolate that they belong to.
    glue: Glue,
    context: v8::Global<v8::Context>,
    module: Option<v8::Global<v8::Module>>,
    evaluation: Option<v8::Global<v8::Promise>>,
    adopted: Adopted,
    isolate: v8::OwnedIsolate,
    // V8 calls it back as long as there is an isolate.
    guard: Rc<MemoryGuard>,
}

/// How far the evaluation of the main module got.
pub(crate) enum Evaluation {
    Pending,
    Done,
}

/// What an isolate's heap holds, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeapUse {
    /// JavaScript objects.
    pub(super) heap_bytes: usize,
    /// Array buffers and the like.
    pub(super) external_bytes: usize,
}

impl Engine {
    /// Takes a spare isolate, or makes one from the snapshot, and gives its glue the wire and the
    /// bundle's facts. No code of the bundle runs yet. About two milliseconds, a third of it with a
    /// spare.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another owner's part of one engine"
    )]
    pub(super) fn new(
        program: &Program,
        limits: &IsolateLimits,
        host: &Rc<HostState>,
        fuse: &SharedFuse,
        owner: Owner,
        wire: &Wire,
        tasks: UnboundedSender<ForegroundTask>,
        spare: Option<Blank>,
    ) -> Result<Self, LoadError> {
        let bundle = program.id().clone();
        let defect = |reason: String| LoadError::Compile {
            bundle: bundle.to_string(),
            reason,
        };
        let blank = match spare {
            Some(blank) => blank,
            None => Blank::new(limits.heap_mib).map_err(|error| defect(error.to_string()))?,
        };
        let Some(Parts {
            glue,
            context,
            mut isolate,
            guard,
        }) = blank.into_parts()
        else {
            return Err(defect("a blank isolate has no parts".into()));
        };
        guard.belong_to(fuse, &bundle);
        let adopted = platform::adopt(&isolate, tasks);
        if !program.grants.wasm {
            isolate.set_allow_wasm_code_generation_callback(refuse_wasm);
        }
        isolate.set_slot(owner);
        isolate.set_slot(Rc::clone(host));
        let rejections = Rc::<Rejections>::default();
        isolate.set_slot(Rc::clone(&rejections));
        let mut engine = Engine {
            live: Some(Live {
                glue,
                context,
                module: None,
                evaluation: None,
                adopted,
                isolate,
                guard,
            }),
            host: Rc::clone(host),
            rejections,
            fuse: Rc::clone(fuse),
            bundle,
            unsettled: Vec::new(),
        };
        engine.attach(program, limits, wire)?;
        Ok(engine)
    }

    /// Stands where an engine could not be made.
    pub(super) fn none(program: &Program, host: &Rc<HostState>, fuse: &SharedFuse) -> Self {
        Engine {
            live: None,
            host: Rc::clone(host),
            rejections: Rc::default(),
            unsettled: Vec::new(),
            fuse: Rc::clone(fuse),
            bundle: program.id().clone(),
        }
    }

    /// Enters the isolate until [`exit`](Self::exit).
    pub(super) fn enter(&self) {
        if let Some(live) = &self.live {
            // SAFETY: whoever enters also exits, and exits whatever it entered meanwhile first.
            unsafe { live.isolate.enter() };
        }
    }

    /// Exits the isolate, which must be the one entered last.
    pub(super) fn exit(&self) {
        if let Some(live) = &self.live {
            // SAFETY: see `enter`.
            unsafe { live.isolate.exit() };
        }
    }

    /// Enters the isolate and runs `f` in its context, with what JavaScript threw as the error.
    fn with<R>(
        &mut self,
        f: impl for<'s, 'i> FnOnce(&mut v8::PinScope<'s, 'i>, &mut Handles<'_>) -> Option<R>,
    ) -> Result<R, CallError> {
        self.attempt(f).map_err(|failed| match failed {
            Failed::Threw(error) => error,
            Failed::Ended(cut) => cut.error,
        })
    }

    /// Like [`with`](Self::with), and says of execution that was ended for whom it ran.
    fn attempt<R>(
        &mut self,
        f: impl for<'s, 'i> FnOnce(&mut v8::PinScope<'s, 'i>, &mut Handles<'_>) -> Option<R>,
    ) -> Result<R, Failed> {
        let result = self.run(f);
        match result {
            Err(Failed::Ended(mut cut)) => {
                if cut.reach != Reach::Isolate {
                    let root = self.recover();
                    cut.root = cut.root.or(root);
                }
                Err(Failed::Ended(cut))
            }
            result => result,
        }
    }

    fn run<R>(
        &mut self,
        f: impl for<'s, 'i> FnOnce(&mut v8::PinScope<'s, 'i>, &mut Handles<'_>) -> Option<R>,
    ) -> Result<R, Failed> {
        let Some(live) = &mut self.live else {
            return Err(Failed::Threw(gone()));
        };
        let Live {
            glue,
            context,
            module,
            evaluation,
            isolate,
            ..
        } = live;
        let mut handles = Handles {
            glue,
            module,
            evaluation,
        };
        // SAFETY: exited below, on every path; nothing in between unwinds past it, for a panic
        // ends the shard's thread together with the isolate.
        unsafe { isolate.enter() };
        let result = {
            v8::scope!(let scope, &mut *isolate);
            let context = v8::Local::new(scope, &*context);
            let scope = &mut v8::ContextScope::new(scope, context);
            v8::tc_scope!(let scope, scope);
            // For a message V8 looks for the place in the code, which optimised code does not know
            // wherever it is ended: in a multiplication of large numbers V8 gives itself up.
            scope.set_capture_message(false);
            let result = f(scope, &mut handles);
            // Termination inside a microtask leaves no exception behind, only the state.
            let terminated =
                scope.is_execution_terminating() || (result.is_none() && scope.has_terminated());
            // JavaScript may have come to its end before it took notice.
            match self.fuse.take() {
                Some(cut) => Err(Failed::Ended(cut)),
                None if terminated => Err(Failed::Ended(cut_short(&self.bundle))),
                None => match result {
                    Some(result) => Ok(result),
                    None => Err(Failed::Threw(caught(scope, &self.bundle))),
                },
            }
        };
        if matches!(result, Err(Failed::Ended(_))) {
            isolate.cancel_terminate_execution();
        }
        // SAFETY: entered above.
        unsafe { isolate.exit() };
        result
    }

    /// Makes the isolate fit to go on after its execution was ended. Returns the request that the
    /// async context is left with.
    fn recover(&mut self) -> Option<RootKey> {
        self.fuse.bridge(true);
        let recovered = self.run(|scope, handles| {
            let root = current_root(scope);
            let undefined = v8::undefined(scope).into();
            scope.set_continuation_preserved_embedder_data(undefined);
            let recover = v8::Local::new(scope, &handles.glue.recover);
            recover.call(scope, undefined, &[])?;
            Some(root)
        });
        self.fuse.bridge(false);
        recovered.ok().flatten()
    }

    fn attach(
        &mut self,
        program: &Program,
        limits: &IsolateLimits,
        wire: &Wire,
    ) -> Result<(), LoadError> {
        let facts = Facts::of(program, limits);
        let may_eval = program.grants.eval;
        let compiled = program.compiled.get();
        self.with(|scope, handles| {
            let context = scope.get_current_context();
            context.set_allow_generation_from_strings(may_eval);
            let facts = serde_v8::to_v8(scope, facts).ok()?;
            let rings = v8::ArrayBuffer::with_backing_store(scope, wire.rings().store());
            let outbox = v8::ArrayBuffer::with_backing_store(scope, wire.outbox().store());
            let bindings = match &program.bindings {
                Some(source) => {
                    let compiled = compiled.and_then(|compiled| compiled.bindings.as_deref());
                    run_shared_script(scope, "isolith:bindings", source, compiled)?
                }
                None => v8::undefined(scope).into(),
            };
            let attach = v8::Local::new(scope, &handles.glue.attach);
            let undefined = v8::undefined(scope).into();
            let arguments = [facts, rings.into(), outbox.into(), bindings];
            attach.call(scope, undefined, &arguments)?;
            Some(())
        })
        .map_err(|error| LoadError::Schema {
            bundle: program.id().to_string(),
            reason: format!("its bindings cannot be made: {}", error.message),
        })
    }

    /// Compiles the main module and begins to evaluate it.
    pub(super) fn evaluate(&mut self, program: &Program) -> Result<(), LoadError> {
        let name = program.id().to_string();
        let bundle = self.bundle.clone();
        let compiled = self.with(|scope, handles| {
            // With a message: the stack of a syntax error does not know the place.
            v8::tc_scope!(let scope, scope);
            let compiled = program.compiled.get();
            let compiled = compiled.and_then(|compiled| compiled.module.as_deref());
            let module = compile_module(scope, &name, &program.source, compiled);
            let Some(module) =
                module.filter(|it| it.instantiate_module(scope, resolve_nothing).is_some())
            else {
                return Some(Err(caught(scope, &bundle)));
            };
            *handles.module = Some(v8::Global::new(scope, module));
            Some(Ok(()))
        });
        compiled.flatten().map_err(|error| LoadError::Compile {
            bundle: name.clone(),
            reason: error.stack_or_message(),
        })?;
        self.with(|scope, handles| {
            let module = v8::Local::new(scope, handles.module.as_ref()?);
            let promise: v8::Local<v8::Promise> = module.evaluate(scope)?.try_into().ok()?;
            promise.mark_as_handled();
            *handles.evaluation = Some(v8::Global::new(scope, promise));
            scope.perform_microtask_checkpoint();
            Some(())
        })
        .map_err(|error| LoadError::Threw {
            bundle: name,
            reason: error.stack_or_message(),
        })
    }

    /// Whether the main module's evaluation has ended.
    pub(super) fn evaluation(&mut self) -> Result<Evaluation, LoadError> {
        let bundle = self.bundle.clone();
        let state = self.with(|scope, handles| {
            let promise = v8::Local::new(scope, handles.evaluation.as_ref()?);
            Some(match promise.state() {
                v8::PromiseState::Pending => Ok(Evaluation::Pending),
                v8::PromiseState::Fulfilled => Ok(Evaluation::Done),
                v8::PromiseState::Rejected => {
                    let reason = promise.result(scope);
                    Err(describe(scope, reason))
                }
            })
        });
        match state {
            Ok(Ok(state)) => Ok(state),
            Ok(Err(reason)) => Err(threw(&bundle, reason)),
            Err(error) => Err(threw(&bundle, error.stack_or_message())),
        }
    }

    /// Constructs what the main module exports.
    pub(super) fn start(&mut self) -> Result<(), LoadError> {
        let bundle = self.bundle.clone();
        self.with(|scope, handles| {
            let module = v8::Local::new(scope, handles.module.as_ref()?);
            let namespace = module.get_module_namespace();
            let start = v8::Local::new(scope, &handles.glue.start);
            let undefined = v8::undefined(scope).into();
            start.call(scope, undefined, &[namespace])?;
            scope.perform_microtask_checkpoint();
            Some(())
        })
        .map_err(|error| threw(&bundle, error.stack_or_message()))
    }

    /// One turn: events first, then the in-ring, or one record of it, then the microtasks.
    /// What was not come to is left in `events` and in the ring.
    ///
    /// # Errors
    /// If execution was ended, or the glue itself failed: for whoever still waits.
    pub(super) fn turn(
        &mut self,
        wire: &Wire,
        segments: &[Segment],
        blobs: &RefCell<Blobs>,
        events: &RefCell<VecDeque<Event>>,
        one_record: bool,
    ) -> Result<(), Cut> {
        if !events.borrow().is_empty() {
            self.run_events(events)?;
        }
        if wire.records_left() > 0 {
            self.hand_over(wire, segments, blobs, one_record)?;
        }
        if let Some(live) = &self.live {
            if !segments.is_empty() {
                let bytes = blobs.borrow_mut().take_new_bytes();
                live.guard.count_mapped(bytes);
            }
            if live.guard.is_collection_due() {
                self.collect_young().map_err(Failed::into_cut)?;
            }
        }
        if !self.rejections.is_empty() {
            let reported = self.report_rejections();
            reported.map_err(Failed::into_cut)?;
        }
        Ok(())
    }

    // Apart, so that the code of a turn without events is small.
    #[inline(never)]
    fn run_events(&mut self, events: &RefCell<VecDeque<Event>>) -> Result<(), Cut> {
        let host = Rc::clone(&self.host);
        let mut waiting = events.take();
        let mut begins = None;
        // Their microtasks are the first.
        let mut unsettled = std::mem::take(&mut self.unsettled);
        let outcome = self.attempt(|scope, handles| {
            while let Some(event) = waiting.pop_front() {
                begins = event.root();
                run_event(scope, handles.glue, event, &host)?;
                scope.perform_microtask_checkpoint();
                if scope.is_execution_terminating() {
                    return None;
                }
                unsettled.clear();
            }
            Some(())
        });
        outcome.map_err(|failed| {
            // What came meanwhile came later.
            waiting.append(&mut events.borrow_mut());
            events.replace(waiting);
            let cut = failed.into_cut();
            let root = cut.root.or(begins);
            unsettled.retain(|lost| Some(*lost) != root);
            Cut {
                root,
                reach: match cut.reach {
                    Reach::Request => Reach::of(unsettled),
                    reach => reach,
                },
                ..cut
            }
        })
    }

    #[cold]
    fn collect_young(&mut self) -> Result<(), Failed> {
        let Some(guard) = self.live.as_ref().map(|live| Rc::clone(&live.guard)) else {
            return Ok(());
        };
        self.attempt(|scope, _| {
            guard.collect_young(scope);
            Some(())
        })
    }

    #[cold]
    fn report_rejections(&mut self) -> Result<(), Failed> {
        let host = Rc::clone(&self.host);
        let rejections = Rc::clone(&self.rejections);
        self.attempt(|scope, _| {
            rejections.report(scope, &host);
            Some(())
        })
    }

    /// Has the glue work through the in-ring, and runs the microtasks. The glue's `turn` catches what
    /// it cannot handle (see [`defect`](Self::defect)); only termination ends it otherwise.
    fn hand_over(
        &mut self,
        wire: &Wire,
        segments: &[Segment],
        blobs: &RefCell<Blobs>,
        one_record: bool,
    ) -> Result<(), Cut> {
        let (first, count) = (wire.in_next(), wire.in_count());
        if one_record {
            wire.set_in_count(first + 1);
        }
        let Some(live) = &mut self.live else {
            return Err(Failed::Threw(gone()).into_cut());
        };
        // SAFETY: exited below, as in `with`.
        unsafe { live.isolate.enter() };
        let (returned, terminated) = {
            v8::scope!(let scope, &mut live.isolate);
            // SAFETY: the isolate's context is entered for good (`Blank::new`).
            let scope = unsafe { assume_context(scope) };
            let turn = v8::Local::new(scope, &live.glue.turn);
            let returned = match segments.is_empty() && wire.is_one_result() {
                // Most of what follows are microtasks: as the first of them it saves an entry into
                // V8, 2 % of a call. Among others it would lose theirs if it were ended.
                true => {
                    scope.enqueue_microtask(turn);
                    true
                }
                false => {
                    v8::tc_scope!(let scope, scope);
                    // As in `run`.
                    scope.set_capture_message(false);
                    let undefined = v8::undefined(scope).into();
                    let context = v8::Local::new(scope, &live.context);
                    let returned = match segments {
                        [] => turn.call_with_context(scope, context, undefined, &[]),
                        segments => {
                            let mapped = map_segments(scope, segments, &mut blobs.borrow_mut());
                            turn.call_with_context(scope, context, undefined, &mapped)
                        }
                    };
                    returned.is_some()
                }
            };
            if returned {
                scope.perform_microtask_checkpoint();
            }
            // Termination inside a microtask leaves no exception behind, only the state.
            let terminated = !returned || scope.is_execution_terminating();
            (returned, terminated)
        };
        if one_record {
            wire.set_in_count(count);
        }
        let cut = match self.fuse.take() {
            // JavaScript may have come to its end before it took notice.
            Some(cut) => Some(cut),
            None if terminated => Some(cut_short(&self.bundle)),
            None => None,
        };
        if cut.is_some() {
            live.isolate.cancel_terminate_execution();
        }
        // SAFETY: entered above.
        unsafe { live.isolate.exit() };
        match cut {
            Some(cut) => Err(self.cut_records(wire, first, cut, returned)),
            None if wire.has_failed() => Err(self.defect().into_cut()),
            None => Ok(()),
        }
    }

    /// What the glue could not handle in its turn.
    #[cold]
    fn defect(&mut self) -> Failed {
        let thrown = self.attempt(|scope, handles| {
            let defect = v8::Local::new(scope, &handles.glue.defect);
            let undefined = v8::undefined(scope).into();
            defect.call(scope, undefined, &[]).map(drop)
        });
        thrown.err().unwrap_or_else(|| Failed::Threw(gone()))
    }

    /// Says whom it concerns that the handling of the in-ring's records from `first` on was ended:
    /// in the glue, or in the microtasks that followed.
    #[cold]
    fn cut_records(&mut self, wire: &Wire, first: usize, cut: Cut, in_microtasks: bool) -> Cut {
        if cut.reach == Reach::Isolate {
            return cut;
        }
        let root = self.recover();
        let root = cut.root.or(root);
        let handled = first..wire.in_next();
        let mut roots = handled.filter_map(|record| wire.incoming_root(record));
        if !in_microtasks {
            // It was in the last one, maybe before the one before it was over. V8 keeps the
            // microtasks of those before.
            let last = roots.next_back().map(from_words);
            self.unsettled.extend(roots.map(from_words::<RootKey>));
            let root = root.or(last);
            return Cut {
                root,
                reach: Reach::of(last.filter(|_| last != root).into_iter().collect()),
                ..cut
            };
        }
        let mut lost: Vec<RootKey> = roots.by_ref().map(from_words).collect();
        // Code of the runtime's own, such as a stream's, runs for no request; for whom, is clear
        // if there is only one.
        let root = match lost[..] {
            [only] => root.or(Some(only)),
            _ => root,
        };
        lost.retain(|lost| Some(*lost) != root);
        Cut {
            root,
            reach: Reach::of(lost),
            ..cut
        }
    }

    /// The number that V8's tasks for this isolate carry.
    pub(super) fn serial(&self) -> Option<u64> {
        self.live.as_ref().map(|live| live.adopted.serial())
    }

    pub(super) fn heap_use(&mut self) -> HeapUse {
        self.with(|scope, _| {
            let statistics = scope.get_heap_statistics();
            Some(HeapUse {
                heap_bytes: statistics.used_heap_size(),
                external_bytes: statistics.external_memory(),
            })
        })
        .unwrap_or_default()
    }

    pub(super) fn collect_garbage(&mut self) -> bool {
        let guard = self.live.as_ref().map(|live| Rc::clone(&live.guard));
        let begun = guard.map(|guard| self.with(|scope, _| Some(guard.collect_garbage(scope))));
        matches!(begun, Some(Ok(true)))
    }

    pub(super) fn thread_safe_handle(&self) -> Option<v8::IsolateHandle> {
        self.live
            .as_ref()
            .map(|live| live.isolate.thread_safe_handle())
    }

    /// Runs `f` in the isolate's context; for tests that look inside.
    #[cfg(test)]
    pub(super) fn inspect<R>(
        &mut self,
        f: impl for<'s, 'i> FnOnce(&mut v8::PinScope<'s, 'i>) -> Option<R>,
    ) -> Option<R> {
        self.with(|scope, _| f(scope)).ok()
    }

    /// Evaluates the message support, generated code and their test, and calls the test.
    #[cfg(test)]
    pub(super) fn try_messages(&mut self, generated: &str, test: &str) -> Result<String, String> {
        self.with(|scope, _| {
            let source = format!(
                "(({{ utf8Decode, utf8Encode }}) => {{
                  const isImmutable = (buffer) => buffer.immutable;
                  const seal = (buffer) => (buffer.immutable ? buffer : buffer.transferToImmutable());
                  const host = {{ utf8Decode, utf8Encode, isImmutable, seal, table: [] }};
                  host.addCapability = (builder, value, face) => {{
                    if (typeof value !== 'object') throw rt.notObject(value);
                    return host.table.push({{ value, face }}) - 1;
                  }};
                  host.capability = (message, index, face) => {{
                    host.lastFace = face;
                    if (index < host.table.length) return host.table[index].value;
                    throw new rt.MessageError(`no capability ${{index}}`);
                  }};
                  const rt = ({})(host);
                  return ({test})(rt, ({generated})(rt), host);
                }})",
                isolith_capnp::MESSAGE_JS
            );
            let run: v8::Local<v8::Function> =
                run_script(scope, "isolith:test", &source)?.try_into().ok()?;
            let natives = super::native::object(scope)?;
            let undefined = v8::undefined(scope).into();
            let result = run.call(scope, undefined, &[natives.into()])?;
            Some(result.to_rust_string_lossy(scope))
        })
        .map_err(|error| error.stack_or_message())
    }

    /// Calls a global function with a text; what it returns as text.
    #[cfg(test)]
    pub(super) fn try_call(&mut self, function: &str, text: &str) -> Result<String, String> {
        self.with(|scope, _| {
            let name = v8::String::new(scope, function)?.into();
            let global = scope.get_current_context().global(scope);
            let function: v8::Local<v8::Function> = global.get(scope, name)?.try_into().ok()?;
            let text = v8::String::new(scope, text)?.into();
            let result = function.call(scope, global.into(), &[text])?;
            Some(result.to_rust_string_lossy(scope))
        })
        .map_err(|error| error.stack_or_message())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            let Live {
                glue,
                context,
                module,
                evaluation,
                adopted,
                mut isolate,
                guard,
            } = live;
            drop((module, evaluation, adopted));
            isolate.remove_slot::<Rc<Rejections>>();
            self.rejections.forget();
            let parts = Parts {
                glue,
                context,
                isolate,
                guard,
            };
            parts.dispose();
        }
    }
}

/// The scope, in the type of those that know that a context is entered.
///
/// # Safety
/// One must be.
unsafe fn assume_context<'a, 'p, 's>(
    scope: &'a mut v8::PinnedRef<'p, v8::HandleScope<'s, ()>>,
) -> &'a mut v8::PinnedRef<'p, v8::HandleScope<'s>> {
    // SAFETY: the two differ in a phantom parameter alone.
    unsafe { std::mem::transmute(scope) }
}

unsafe extern "C" fn refuse_wasm(
    _: v8::Local<'_, v8::Context>,
    _: v8::Local<'_, v8::String>,
) -> bool {
    false
}

/// Why JavaScript did not come to its end.
enum Failed {
    Threw(CallError),
    Ended(Cut),
}

impl Failed {
    fn into_cut(self) -> Cut {
        match self {
            // The glue does not throw; if it does, nothing can be said of the isolate's state.
            Failed::Threw(error) => Cut {
                error,
                root: None,
                reach: Reach::Isolate,
            },
            Failed::Ended(cut) => cut,
        }
    }
}

/// The handles of a live engine, while it is entered.
struct Handles<'a> {
    glue: &'a Glue,
    module: &'a mut Option<v8::Global<v8::Module>>,
    evaluation: &'a mut Option<v8::Global<v8::Promise>>,
}

fn gone() -> CallError {
    CallError::host(Kind::Disconnected, "the isolate is gone")
}

fn threw(bundle: &isolith_versions::BundleId, reason: String) -> LoadError {
    LoadError::Threw {
        bundle: bundle.to_string(),
        reason,
    }
}
