//! The V8 side of an isolate: created from the snapshot, entered for each turn, dropped last.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use isolith_capnp::error_capnp::call_error::Kind;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;

use super::blobs::Blobs;
use super::keys::to_words;
use super::native::{Owner, kind_name};
use super::wire::{IN_RING, OUT_RING, RECORD_WORDS, RING_RECORDS, Wire};
use super::{Event, IsolateLimits, Segment, snapshot};
use crate::error::{CallError, LoadError, Origin};
use crate::host::HostState;
use crate::platform::{self, Adopted, ForegroundTask};
use crate::program::Program;

/// The functions of the glue object, by what they do.
struct Glue {
    attach: v8::Global<v8::Function>,
    start: v8::Global<v8::Function>,
    turn: v8::Global<v8::Function>,
    settle_error: v8::Global<v8::Function>,
    fetch: v8::Global<v8::Function>,
    body_chunk: v8::Global<v8::Function>,
    writable: v8::Global<v8::Function>,
    abort: v8::Global<v8::Function>,
    call_json: v8::Global<v8::Function>,
    fire_timers: v8::Global<v8::Function>,
    format_stack: v8::Global<v8::Function>,
}

/// A V8 isolate with its context. Not entered between calls of its methods.
pub(super) struct Engine {
    /// `None` only while it is being dropped.
    live: Option<Live>,
    host: Rc<HostState>,
    rejections: Rc<Rejections>,
    bundle: isolith_versions::BundleId,
}

struct Live {
    // Handles go before the isolate that they belong to.
    glue: Glue,
    context: v8::Global<v8::Context>,
    module: Option<v8::Global<v8::Module>>,
    evaluation: Option<v8::Global<v8::Promise>>,
    adopted: Adopted,
    isolate: v8::OwnedIsolate,
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

/// What the glue's `attach` gets to know.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Facts<'a> {
    service: &'a str,
    version: String,
    digest: String,
    http: bool,
    imports: Vec<ImportFacts<'a>>,
    exports: Vec<ExportFacts<'a>>,
    vars: Vec<VarFacts<'a>>,
    config: Config,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImportFacts<'a> {
    name: &'a str,
    service: &'a str,
    interface_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportFacts<'a> {
    name: &'a str,
    class_name: &'a str,
    interface_id: String,
}

#[derive(Serialize)]
struct VarFacts<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    record_words: usize,
    ring_records: usize,
    /// Where the rings begin, in words.
    in_ring: usize,
    out_ring: usize,
    /// Room that the outbox must have before a message is begun in it.
    small_bytes: usize,
    move_threshold_bytes: usize,
    message_bytes: usize,
}

impl Engine {
    /// Makes an isolate from the snapshot and gives its glue the wire and the bundle's facts.
    /// No code of the bundle runs yet. About one millisecond.
    pub(super) fn new(
        program: &Program,
        limits: &IsolateLimits,
        host: &Rc<HostState>,
        owner: Owner,
        wire: &Wire,
        tasks: UnboundedSender<ForegroundTask>,
    ) -> Result<Self, LoadError> {
        let bundle = program.id().clone();
        let defect = |reason: String| LoadError::Compile {
            bundle: bundle.to_string(),
            reason,
        };
        let blob = snapshot::blob().map_err(|error| defect(error.to_string()))?;
        let params = v8::CreateParams::default()
            .snapshot_blob(v8::StartupData::from(blob))
            .external_references(snapshot::external_references())
            .heap_limits(0, (limits.heap_mib as usize) << 20);
        let mut isolate = v8::Isolate::new(params);
        let adopted = platform::adopt(&isolate, tasks);
        isolate.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
        isolate.set_prepare_stack_trace_callback(prepare_stack_trace);
        isolate.set_promise_reject_callback(on_promise_reject);
        isolate.set_slot(owner);
        isolate.set_slot(Rc::clone(host));
        let rejections = Rc::<Rejections>::default();
        isolate.set_slot(Rc::clone(&rejections));
        let attached = {
            v8::scope!(let scope, &mut isolate);
            let context = v8::Context::new(scope, v8::ContextOptions::default());
            let scope = &mut v8::ContextScope::new(scope, context);
            find_glue(scope)
                .ok_or_else(|| defect("the snapshot has no glue".into()))
                .map(|glue| (glue, v8::Global::new(scope, context)))
        };
        // SAFETY: `new` entered the isolate; from here on each method enters and exits.
        unsafe { isolate.exit() };
        let (glue, context) = match attached {
            Ok(attached) => attached,
            Err(error) => {
                // SAFETY: an isolate must be the entered one when it is dropped.
                unsafe { isolate.enter() };
                drop(isolate);
                return Err(error);
            }
        };
        let format_stack = glue.format_stack.clone();
        isolate.set_slot(FormatStack(format_stack));
        let mut engine = Engine {
            live: Some(Live {
                glue,
                context,
                module: None,
                evaluation: None,
                adopted,
                isolate,
            }),
            host: Rc::clone(host),
            rejections,
            bundle,
        };
        engine.attach(program, limits, wire)?;
        Ok(engine)
    }

    /// Stands where an engine could not be made.
    pub(super) fn none(program: &Program, host: &Rc<HostState>) -> Self {
        Engine {
            live: None,
            host: Rc::clone(host),
            rejections: Rc::default(),
            bundle: program.id().clone(),
        }
    }

    /// Enters the isolate and runs `f` in its context, with what JavaScript threw as the error.
    fn with<R>(
        &mut self,
        f: impl for<'s, 'i> FnOnce(&mut v8::PinScope<'s, 'i>, &mut Handles<'_>) -> Option<R>,
    ) -> Result<R, CallError> {
        let Some(live) = &mut self.live else {
            return Err(CallError::host(Kind::Disconnected, "the isolate is gone"));
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
            match f(scope, &mut handles) {
                Some(result) if !scope.has_terminated() => Ok(result),
                _ => Err(caught(scope, &self.bundle)),
            }
        };
        if isolate.is_execution_terminating() {
            isolate.cancel_terminate_execution();
        }
        // SAFETY: entered above.
        unsafe { isolate.exit() };
        result
    }

    fn attach(
        &mut self,
        program: &Program,
        limits: &IsolateLimits,
        wire: &Wire,
    ) -> Result<(), LoadError> {
        let facts = Facts {
            service: program.id().service.as_str(),
            version: program.id().version.to_string(),
            digest: program.id().digest.to_string(),
            http: program.facts.http,
            imports: program
                .facts
                .imports
                .iter()
                .map(|import| ImportFacts {
                    name: &import.name,
                    service: import.service.as_str(),
                    interface_id: format!("{:016x}", import.interface),
                })
                .collect(),
            exports: program
                .facts
                .exports
                .iter()
                .zip(&program.classes)
                .map(|(export, class_name)| ExportFacts {
                    name: &export.name,
                    class_name,
                    interface_id: format!("{:016x}", export.interface),
                })
                .collect(),
            vars: program
                .vars
                .iter()
                .map(|(name, value)| VarFacts { name, value })
                .collect(),
            config: Config {
                record_words: RECORD_WORDS,
                ring_records: RING_RECORDS,
                in_ring: IN_RING,
                out_ring: OUT_RING,
                small_bytes: limits.move_threshold_bytes,
                move_threshold_bytes: limits.move_threshold_bytes,
                message_bytes: limits.message_bytes,
            },
        };
        self.with(|scope, handles| {
            let facts = serde_v8::to_v8(scope, facts).ok()?;
            let rings = v8::ArrayBuffer::with_backing_store(scope, wire.rings().store());
            let outbox = v8::ArrayBuffer::with_backing_store(scope, wire.outbox().store());
            let bindings = match &program.bindings {
                Some(source) => run_script(scope, "isolith:bindings", source)?,
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
        let compiled = self.with(|scope, handles| {
            let module = compile_module(scope, &name, &program.source)?;
            module.instantiate_module(scope, resolve_nothing)?;
            *handles.module = Some(v8::Global::new(scope, module));
            Some(())
        });
        compiled.map_err(|error| LoadError::Compile {
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

    /// One turn: events first, then the in-ring, then the microtasks.
    ///
    /// # Errors
    /// If execution was terminated, or the glue itself failed. The error is for whoever still
    /// waits for this isolate.
    pub(super) fn turn(
        &mut self,
        wire: &Wire,
        segments: Vec<Segment>,
        blobs: &RefCell<Blobs>,
        events: VecDeque<Event>,
    ) -> Result<(), CallError> {
        let host = Rc::clone(&self.host);
        let rejections = Rc::clone(&self.rejections);
        self.with(|scope, handles| {
            for event in events {
                run_event(scope, handles.glue, event, &host)?;
                scope.perform_microtask_checkpoint();
            }
            if wire.in_count() > 0 {
                let undefined = v8::undefined(scope).into();
                let argument = match segments.is_empty() {
                    true => undefined,
                    false => map_segments(scope, &segments, &mut blobs.borrow_mut()).into(),
                };
                let turn = v8::Local::new(scope, &handles.glue.turn);
                turn.call(scope, undefined, &[argument])?;
                scope.perform_microtask_checkpoint();
            }
            rejections.report(scope, &host);
            Some(())
        })
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
                  const host = {{ utf8Decode, utf8Encode, isImmutable, seal }};
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
            } = live;
            drop((glue, context, module, evaluation, adopted));
            isolate.remove_slot::<FormatStack>();
            isolate.remove_slot::<Rc<Rejections>>();
            self.rejections.list.take();
            // SAFETY: an isolate must be the entered one when it is dropped; dropping exits it.
            unsafe { isolate.enter() };
            drop(isolate);
        }
    }
}

/// The handles of a live engine, while it is entered.
struct Handles<'a> {
    glue: &'a Glue,
    module: &'a mut Option<v8::Global<v8::Module>>,
    evaluation: &'a mut Option<v8::Global<v8::Promise>>,
}

fn find_glue(scope: &mut v8::PinScope<'_, '_>) -> Option<Glue> {
    let object = snapshot::glue(scope)?;
    let function = |name: &str| {
        let key = v8::String::new(scope, name)?;
        let value = object.get(scope, key.into())?;
        let function: v8::Local<v8::Function> = value.try_into().ok()?;
        Some(v8::Global::new(scope, function))
    };
    Some(Glue {
        attach: function("attach")?,
        start: function("start")?,
        turn: function("turn")?,
        settle_error: function("settleError")?,
        fetch: function("fetch")?,
        body_chunk: function("bodyChunk")?,
        writable: function("writable")?,
        abort: function("abort")?,
        call_json: function("callJson")?,
        fire_timers: function("fireTimers")?,
        format_stack: function("formatStack")?,
    })
}

fn threw(bundle: &isolith_versions::BundleId, reason: String) -> LoadError {
    LoadError::Threw {
        bundle: bundle.to_string(),
        reason,
    }
}

/// Maps each segment into the current isolate: its buffer, its first byte and its end.
fn map_segments<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    segments: &[Segment],
    blobs: &mut Blobs,
) -> v8::Local<'s, v8::Array> {
    let mut elements: Vec<v8::Local<v8::Value>> = Vec::with_capacity(segments.len() * 3);
    for segment in segments {
        // Only a receive chunk is mutable; it is new, and has no bytes of its own to tell.
        elements.push(match segment.end {
            0 => v8::ArrayBuffer::with_backing_store(scope, &segment.store).into(),
            _ => blobs.map(scope, segment).into(),
        });
        elements.push(v8::Integer::new_from_unsigned(scope, segment.base).into());
        elements.push(v8::Integer::new_from_unsigned(scope, segment.end).into());
    }
    v8::Array::new_with_elements(scope, &elements)
}

fn run_event(
    scope: &mut v8::PinScope<'_, '_>,
    glue: &Glue,
    event: Event,
    host: &HostState,
) -> Option<()> {
    let undefined: v8::Local<v8::Value> = v8::undefined(scope).into();
    let (function, arguments): (_, Vec<v8::Local<v8::Value>>) = match event {
        Event::Task(task) => {
            task.run();
            return Some(());
        }
        Event::CallFailed { pending, error } => {
            let Origin { service, version } =
                error.origin.map(|origin| *origin).unwrap_or_default();
            let arguments = vec![
                v8::Integer::new(scope, pending).into(),
                text(scope, kind_name(error.kind))?,
                text(scope, &error.name)?,
                text(scope, &error.message)?,
                text(scope, &service)?,
                text(scope, &version)?,
                text(scope, &error.stack)?,
            ];
            (&glue.settle_error, arguments)
        }
        Event::Fetch {
            exchange,
            root,
            head,
            has_body,
        } => {
            let (low, high) = to_words(root);
            let mut flat = Vec::with_capacity(head.headers.len() * 2);
            for (name, value) in &head.headers {
                flat.push(text(scope, name)?);
                flat.push(text(scope, value)?);
            }
            let arguments = vec![
                v8::Integer::new(scope, exchange).into(),
                v8::Integer::new(scope, low).into(),
                v8::Integer::new(scope, high).into(),
                text(scope, &head.method)?,
                text(scope, &head.url)?,
                v8::Array::new_with_elements(scope, &flat).into(),
                v8::Boolean::new(scope, has_body).into(),
            ];
            (&glue.fetch, arguments)
        }
        Event::BodyChunk { exchange, chunk } => {
            let exchange = v8::Integer::new(scope, exchange).into();
            let arguments = match chunk {
                None => vec![exchange, v8::null(scope).into(), undefined],
                Some(Ok(bytes)) => vec![exchange, uint8_array(scope, bytes)?, undefined],
                Some(Err(reason)) => vec![exchange, undefined, text(scope, &reason)?],
            };
            (&glue.body_chunk, arguments)
        }
        Event::Writable { exchange } => {
            let exchange = v8::Integer::new(scope, exchange).into();
            (&glue.writable, vec![exchange])
        }
        Event::Abort { exchange, reason } => {
            let exchange = v8::Integer::new(scope, exchange).into();
            (&glue.abort, vec![exchange, text(scope, &reason)?])
        }
        Event::Timers => {
            let now = v8::Number::new(scope, host.now_ms()).into();
            (&glue.fire_timers, vec![now])
        }
        Event::CallJson {
            id,
            root,
            export,
            method,
            argument,
        } => {
            let (low, high) = to_words(root);
            let arguments = vec![
                v8::Integer::new(scope, id).into(),
                v8::Integer::new(scope, low).into(),
                v8::Integer::new(scope, high).into(),
                v8::Integer::new(scope, i32::try_from(export).ok()?).into(),
                text(scope, &method)?,
                text(scope, &argument)?,
            ];
            (&glue.call_json, arguments)
        }
    };
    let function = v8::Local::new(scope, function);
    function.call(scope, undefined, &arguments)?;
    Some(())
}

fn text<'s>(scope: &v8::PinScope<'s, '_>, text: &str) -> Option<v8::Local<'s, v8::Value>> {
    Some(v8::String::new(scope, text)?.into())
}

fn uint8_array<'s>(scope: &v8::PinScope<'s, '_>, bytes: Bytes) -> Option<v8::Local<'s, v8::Value>> {
    let bytes = Vec::from(bytes);
    let length = bytes.len();
    let store = v8::ArrayBuffer::new_backing_store_from_vec(bytes).make_shared();
    let buffer = v8::ArrayBuffer::with_backing_store(scope, &store);
    Some(v8::Uint8Array::new(scope, buffer, 0, length)?.into())
}

fn run_script<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    source: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let source = v8::String::new(scope, source)?;
    let origin = origin(scope, name, false)?;
    v8::Script::compile(scope, source, Some(&origin))?.run(scope)
}

fn compile_module<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    source: &str,
) -> Option<v8::Local<'s, v8::Module>> {
    let source = v8::String::new(scope, source)?;
    let origin = origin(scope, name, true)?;
    let mut source = v8::script_compiler::Source::new(source, Some(&origin));
    v8::script_compiler::compile_module(scope, &mut source)
}

pub(super) fn origin<'s>(
    scope: &v8::PinScope<'s, '_>,
    name: &str,
    is_module: bool,
) -> Option<v8::ScriptOrigin<'s>> {
    let name = v8::String::new(scope, name)?;
    Some(v8::ScriptOrigin::new(
        scope,
        name.into(),
        0,
        0,
        false,
        0,
        None,
        false,
        false,
        is_module,
        None,
    ))
}

/// A bundle's module has no imports left: the build inlined them.
fn resolve_nothing<'s>(
    context: v8::Local<'s, v8::Context>,
    specifier: v8::Local<'s, v8::String>,
    _: v8::Local<'s, v8::FixedArray>,
    _: v8::Local<'s, v8::Module>,
) -> Option<v8::Local<'s, v8::Module>> {
    v8::callback_scope!(unsafe scope, context);
    let specifier = specifier.to_rust_string_lossy(scope);
    let reason = format!("module \"{specifier}\" is not in the bundle; build it again");
    let reason = v8::String::new(scope, &reason)?;
    let error = v8::Exception::error(scope, reason);
    scope.throw_exception(error);
    None
}

/// The error that a failed call into JavaScript stands for.
fn caught(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, '_, v8::HandleScope<'_>>>,
    bundle: &isolith_versions::BundleId,
) -> CallError {
    if scope.has_terminated() {
        return CallError::host(
            Kind::CpuExceeded,
            "it ran too long without a pause and was ended",
        )
        .in_bundle(bundle);
    }
    let (message, stack) = match scope.exception() {
        Some(error) => {
            let line = scope.message().and_then(|m| m.get_line_number(scope));
            let message = error.to_rust_string_lossy(scope);
            let stack = describe(scope, error);
            // A syntax error has no stack of its own; its message knows the place.
            match line {
                Some(line) if !stack.contains("\n    at ") => (
                    format!("{message} (line {line} of the built module)"),
                    String::new(),
                ),
                _ => (message, stack),
            }
        }
        None => ("the runtime's own code failed".to_owned(), String::new()),
    };
    CallError {
        stack,
        ..CallError::host(Kind::Failed, message).in_bundle(bundle)
    }
}

/// An error's stack if it has one, else its text.
fn describe(scope: &mut v8::PinScope<'_, '_>, error: v8::Local<'_, v8::Value>) -> String {
    let stack = v8::Local::<v8::Object>::try_from(error)
        .ok()
        .and_then(|error| {
            let key = v8::String::new(scope, "stack")?;
            error
                .get(scope, key.into())
                .filter(|stack| stack.is_string())
        });
    stack.unwrap_or(error).to_rust_string_lossy(scope)
}

impl CallError {
    fn stack_or_message(self) -> String {
        match self.stack.is_empty() {
            true => self.message,
            false => self.stack,
        }
    }
}

/// The glue's stack formatter, kept where V8's callback can find it.
struct FormatStack(v8::Global<v8::Function>);

fn prepare_stack_trace<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    error: v8::Local<'s, v8::Value>,
    sites: v8::Local<'s, v8::Array>,
) -> v8::Local<'s, v8::Value> {
    let formatted = scope
        .get_slot::<FormatStack>()
        .map(|format| format.0.clone())
        .and_then(|format| {
            let format = v8::Local::new(scope, format);
            let undefined = v8::undefined(scope).into();
            format.call(scope, undefined, &[error, sites.into()])
        });
    formatted.unwrap_or_else(|| v8::String::empty(scope).into())
}

/// Promises that were rejected with nobody listening, until the end of the turn.
#[derive(Default)]
struct Rejections {
    list: RefCell<Vec<(v8::Global<v8::Promise>, v8::Global<v8::Value>)>>,
}

/// Rejections that one turn remembers; those past it are dropped unreported.
const REJECTIONS_PER_TURN: usize = 64;

unsafe extern "C" fn on_promise_reject(message: v8::PromiseRejectMessage<'_>) {
    v8::callback_scope!(unsafe scope, &message);
    let promise = v8::Global::new(scope, message.get_promise());
    let Some(rejections) = scope.get_slot::<Rc<Rejections>>() else {
        return;
    };
    let mut list = rejections.list.borrow_mut();
    match message.get_event() {
        v8::PromiseRejectEvent::PromiseRejectWithNoHandler => {
            if let Some(value) = message.get_value()
                && list.len() < REJECTIONS_PER_TURN
            {
                list.push((promise, v8::Global::new(scope, value)));
            }
        }
        v8::PromiseRejectEvent::PromiseHandlerAddedAfterReject => {
            list.retain(|(rejected, _)| *rejected != promise);
        }
        _ => {}
    }
}

impl Rejections {
    /// Logs what nobody handles, at the end of a turn.
    fn report(&self, scope: &mut v8::PinScope<'_, '_>, host: &HostState) {
        if self.list.borrow().is_empty() {
            return;
        }
        for (_, value) in self.list.take() {
            let value = v8::Local::new(scope, value);
            let text = describe(scope, value);
            host.log(
                crate::host::LogLevel::Error,
                format!("a promise was rejected and nothing handles it: {text}"),
            );
        }
    }
}
