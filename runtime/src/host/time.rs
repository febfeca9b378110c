//! Clocks, the async context and the microtask queue.

use std::time::UNIX_EPOCH;

use v8::MapFnTo;

use super::HostState;
use super::convert::{Args, Op, Ret, throw_type};

/// What services see of the clock is rounded down to these steps. Finer clocks tell cache hits
/// from misses, and so let code read memory of its neighbours; 100 us is what browsers
/// give pages that are not isolated from others.
const VISIBLE_STEPS_PER_MS: f64 = 10.0;

pub(super) fn ops() -> Vec<Op> {
    vec![
        ("clock", clock.map_fn_to()),
        ("performanceNow", performance_now.map_fn_to()),
        ("timeOrigin", time_origin.map_fn_to()),
        ("getContinuation", get_continuation.map_fn_to()),
        ("setContinuation", set_continuation.map_fn_to()),
        ("microtasks", microtasks.map_fn_to()),
    ]
}

fn coarsen(ms: f64) -> f64 {
    (ms * VISIBLE_STEPS_PER_MS).floor() / VISIBLE_STEPS_PER_MS
}

fn with_state(
    scope: &mut v8::PinScope<'_, '_>,
    mut rv: Ret<'_>,
    read: impl FnOnce(&HostState) -> f64,
) {
    match HostState::of(scope) {
        Some(state) => rv.set_double(read(&state)),
        None => throw_type(
            scope,
            "the clock has not started yet; use it in a running service",
        ),
    }
}

/// `host.clock()`: the exact clock of the timers, for `js/timers.js` alone.
fn clock(scope: &mut v8::PinScope<'_, '_>, _: Args<'_>, rv: Ret<'_>) {
    with_state(scope, rv, HostState::now_ms);
}

fn performance_now(scope: &mut v8::PinScope<'_, '_>, _: Args<'_>, rv: Ret<'_>) {
    with_state(scope, rv, |state| coarsen(state.now_ms()));
}

fn time_origin(scope: &mut v8::PinScope<'_, '_>, _: Args<'_>, rv: Ret<'_>) {
    with_state(scope, rv, |state| {
        let since = state
            .origin_unix
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        coarsen(since.as_secs_f64() * 1000.0)
    });
}

/// `host.getContinuation()`: the value that V8 carries through awaits and reactions.
fn get_continuation(scope: &mut v8::PinScope<'_, '_>, _: Args<'_>, mut rv: Ret<'_>) {
    rv.set(scope.get_continuation_preserved_embedder_data());
}

fn set_continuation(scope: &mut v8::PinScope<'_, '_>, args: Args<'_>, _: Ret<'_>) {
    scope.set_continuation_preserved_embedder_data(args.get(0));
}

/// `host.microtasks()`: runs the queue dry. Only called where no service code is on the stack.
fn microtasks(scope: &mut v8::PinScope<'_, '_>, _: Args<'_>, _: Ret<'_>) {
    scope.perform_microtask_checkpoint();
}
