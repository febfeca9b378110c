//! Baselines: hops between two V8 isolates with nothing around them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Instant;

/// What the bare hops cost, in nanoseconds each, there and back.
pub(super) struct BareHops {
    /// JavaScript in A calls Rust, which enters B, calls a function there, and returns.
    pub(super) sync_ns: f64,
    /// The same as a promise: queued, run in B when A's stack has unwound, settled, awaited.
    pub(super) async_ns: f64,
}

/// The second isolate, while the first one runs.
struct Other {
    isolate: v8::OwnedIsolate,
    context: v8::Global<v8::Context>,
    function: v8::Global<v8::Function>,
}

struct Queued {
    argument: f64,
    resolver: v8::Global<v8::PromiseResolver>,
}

thread_local! {
    static OTHER: RefCell<Option<Other>> = const { RefCell::new(None) };
    static QUEUE: RefCell<VecDeque<Queued>> = const { RefCell::new(VecDeque::new()) };
}

/// Measures both hops: the median of `rounds` rounds of `hops` hops each.
pub(super) fn measure(hops: u32, rounds: usize) -> Option<BareHops> {
    crate::platform::init_once();
    let mut a = v8::Isolate::new(v8::CreateParams::default());
    a.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
    let context = {
        v8::scope!(let scope, &mut a);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        v8::Global::new(scope, context)
    };
    // SAFETY: each isolate is entered again before it is used and before it is dropped.
    unsafe { a.exit() };
    let other = make_other()?;
    OTHER.set(Some(other));

    let mut sync_ns = Vec::new();
    let mut async_ns = Vec::new();
    for _ in 0..rounds {
        sync_ns.push(sync_round(&mut a, &context, hops)?);
        async_ns.push(async_round(&mut a, &context, hops)?);
    }

    if let Some(other) = OTHER.take() {
        let Other {
            isolate,
            context,
            function,
        } = other;
        drop((context, function));
        // SAFETY: an isolate must be the entered one when it is dropped.
        unsafe { isolate.enter() };
        drop(isolate);
    }
    drop(context);
    // SAFETY: as above.
    unsafe { a.enter() };
    drop(a);
    Some(BareHops {
        sync_ns: super::median(&mut sync_ns),
        async_ns: super::median(&mut async_ns),
    })
}

fn make_other() -> Option<Other> {
    let mut isolate = v8::Isolate::new(v8::CreateParams::default());
    isolate.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
    let made = {
        v8::scope!(let scope, &mut isolate);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        let scope = &mut v8::ContextScope::new(scope, context);
        let function = evaluate(scope, "(function (x) { return x + 1; })")?;
        let function: v8::Local<v8::Function> = function.try_into().ok()?;
        (
            v8::Global::new(scope, context),
            v8::Global::new(scope, function),
        )
    };
    // SAFETY: as in `measure`.
    unsafe { isolate.exit() };
    Some(Other {
        isolate,
        context: made.0,
        function: made.1,
    })
}

fn evaluate<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    source: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let source = v8::String::new(scope, source)?;
    v8::Script::compile(scope, source, None)?.run(scope)
}

/// Enters B and calls its function.
fn hop_into_other(argument: f64) -> Option<f64> {
    OTHER.with_borrow_mut(|other| {
        let other = other.as_mut()?;
        // SAFETY: exited below.
        unsafe { other.isolate.enter() };
        let result = {
            v8::scope!(let scope, &mut other.isolate);
            let context = v8::Local::new(scope, &other.context);
            let scope = &mut v8::ContextScope::new(scope, context);
            let function = v8::Local::new(scope, &other.function);
            let undefined = v8::undefined(scope).into();
            let argument = v8::Number::new(scope, argument).into();
            function
                .call(scope, undefined, &[argument])
                .and_then(|result| result.number_value(scope))
        };
        // SAFETY: entered above.
        unsafe { other.isolate.exit() };
        result
    })
}

fn hop(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut rv: v8::ReturnValue<'_>,
) {
    let argument = args.get(0).number_value(scope).unwrap_or(0.0);
    rv.set_double(hop_into_other(argument).unwrap_or(f64::NAN));
}

fn queue(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut rv: v8::ReturnValue<'_>,
) {
    let argument = args.get(0).number_value(scope).unwrap_or(0.0);
    let Some(resolver) = v8::PromiseResolver::new(scope) else {
        return;
    };
    rv.set(resolver.get_promise(scope).into());
    let resolver = v8::Global::new(scope, resolver);
    QUEUE.with_borrow_mut(|queue| queue.push_back(Queued { argument, resolver }));
}

fn install(scope: &mut v8::PinScope<'_, '_>) -> Option<()> {
    let global = scope.get_current_context().global(scope);
    let hop = v8::Function::new(scope, hop)?;
    let queue = v8::Function::new(scope, queue)?;
    for (name, function) in [("hop", hop), ("queue", queue)] {
        let name = v8::String::new(scope, name)?;
        global.set(scope, name.into(), function.into())?;
    }
    Some(())
}

fn sync_round(
    a: &mut v8::OwnedIsolate,
    context: &v8::Global<v8::Context>,
    hops: u32,
) -> Option<f64> {
    // SAFETY: exited below.
    unsafe { a.enter() };
    let elapsed = (|| {
        v8::scope!(let scope, &mut *a);
        let context = v8::Local::new(scope, context);
        let scope = &mut v8::ContextScope::new(scope, context);
        install(scope)?;
        let start = Instant::now();
        evaluate(
            scope,
            &format!("(() => {{ let x = 0; for (let i = 0; i < {hops}; i++) x = hop(x); }})()"),
        )?;
        Some(start.elapsed())
    })();
    // SAFETY: entered above.
    unsafe { a.exit() };
    Some(elapsed?.as_nanos() as f64 / f64::from(hops))
}

fn async_round(
    a: &mut v8::OwnedIsolate,
    context: &v8::Global<v8::Context>,
    hops: u32,
) -> Option<f64> {
    let start = Instant::now();
    // SAFETY: each `enter` here and below has its `exit`.
    unsafe { a.enter() };
    {
        v8::scope!(let scope, &mut *a);
        let context = v8::Local::new(scope, context);
        let scope = &mut v8::ContextScope::new(scope, context);
        install(scope)?;
        evaluate(
            scope,
            &format!(
                "(async () => {{ let x = 0; for (let i = 0; i < {hops}; i++) x = await queue(x); }})()"
            ),
        )?;
        scope.perform_microtask_checkpoint();
    }
    // SAFETY: entered above.
    unsafe { a.exit() };
    let mut done = 0;
    while let Some(queued) = QUEUE.with_borrow_mut(VecDeque::pop_front) {
        let result = hop_into_other(queued.argument)?;
        // SAFETY: exited below.
        unsafe { a.enter() };
        {
            v8::scope!(let scope, &mut *a);
            let context = v8::Local::new(scope, context);
            let scope = &mut v8::ContextScope::new(scope, context);
            let resolver = v8::Local::new(scope, &queued.resolver);
            let result = v8::Number::new(scope, result).into();
            resolver.resolve(scope, result)?;
            scope.perform_microtask_checkpoint();
        }
        // SAFETY: entered above.
        unsafe { a.exit() };
        done += 1;
    }
    (done == hops).then_some(start.elapsed().as_nanos() as f64 / f64::from(hops))
}
