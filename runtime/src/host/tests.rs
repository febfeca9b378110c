//! Runs `tests/*.js` in an isolate made from a snapshot with the host APIs. A script fails by
//! throwing.
//!
//! Each runs in a process of its own: V8 shares its read-only heap among the isolates of a
//! process, so a second snapshot beside the runtime's own would bring the process down.

use std::cell::RefCell;
use std::process::Command;
use std::rc::Rc;

use super::*;

const SCRIPT: &str = "ISOLITH_HOST_SCRIPT";

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        const SCRIPTS: &[(&str, &str)] = &[$(
            (stringify!($name), include_str!(concat!("tests/", stringify!($name), ".js")))
        ),*];
        $(#[test]
        fn $name() {
            in_own_process(stringify!($name));
        })*
    };
}

scripts![
    body,
    console,
    crypto,
    encoding,
    events,
    headers,
    hostile,
    lazy,
    request_response,
    streams,
    timers,
    url,
    values,
];

fn in_own_process(script: &str) {
    let (_, module) = module_path!().split_once("::").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("{module}::worker"),
            "--ignored",
            "--nocapture",
        ])
        .env(SCRIPT, script)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let passed = output.status.success() && text(&output.stdout).contains("1 passed");
    assert!(passed, "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
#[ignore = "the other tests run this, each in a process of its own"]
fn worker() {
    let Ok(wanted) = std::env::var(SCRIPT) else {
        return;
    };
    let (_, script) = SCRIPTS.iter().find(|(name, _)| *name == wanted).unwrap();
    let log = run(script);
    assert!(log.iter().all(|record| &*record.service == "test@1.0.0"));
    if wanted == "console" {
        check_log(&log);
    }
}

/// The last message of `tests/console.js` is endless; those before it are in `console.txt`.
fn check_log(log: &[LogRecord]) {
    let (last, rest) = log.split_last().unwrap();
    let lines: Vec<_> = rest
        .iter()
        .map(|r| format!("{:?} {}\n", r.level, r.message))
        .collect();
    assert_eq!(lines.concat(), include_str!("tests/console.txt"));
    assert!(
        last.message.len() < 20_000,
        "an endless message was not cut"
    );
}

fn create_snapshot() -> v8::StartupData {
    crate::platform::init_once();
    let mut creator = v8::Isolate::snapshot_creator(Some(external_references().into()), None);
    let installed;
    {
        v8::scope!(let scope, &mut creator);
        let context = v8::Context::new(scope, Default::default());
        let scope = &mut v8::ContextScope::new(scope, context);
        installed = install(scope, context);
        scope.set_default_context(context);
    }
    // A creator must make its blob, even when there is nothing worth keeping.
    let blob = creator.create_blob(v8::FunctionCodeHandling::Keep).unwrap();
    if let Err(error) = installed {
        panic!("{error}");
    }
    blob
}

fn describe(scope: &mut v8::PinScope<'_, '_>, error: v8::Local<'_, v8::Value>) -> String {
    match get(scope, error, "stack").filter(|stack| stack.is_string()) {
        Some(stack) => stack.to_rust_string_lossy(scope),
        None => error.to_rust_string_lossy(scope),
    }
}

fn get<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'_, v8::Value>,
    name: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let key = v8::String::new(scope, name)?;
    object.to_object(scope)?.get(scope, key.into())
}

/// Runs one script as the body of an async function with `internals` and the helpers of
/// `tests/prelude.js` in scope, firing timers until it settles; gives the log.
fn run(script: &str) -> Vec<LogRecord> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let params = v8::Isolate::create_params()
        .snapshot_blob(create_snapshot())
        .external_references(external_references().into());
    let isolate = &mut v8::Isolate::new(params);
    isolate.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
    let sink = log.clone();
    let config = HostConfig {
        log_kib_per_second: 64 << 10,
        redaction: Redaction::default(),
        service: "test@1.0.0".into(),
        log: Rc::new(move |record| sink.borrow_mut().push(record)),
    };
    let state = Rc::new(HostState::new(config));
    isolate.set_slot(state.clone());

    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, Default::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    v8::tc_scope!(let scope, scope);
    let prelude = include_str!("tests/prelude.js").replace('\n', " ");
    let source = format!("{prelude}(async (internals) => {{ {script}\n}})");
    let source = v8::String::new(scope, &source).unwrap();
    let function = v8::Script::compile(scope, source, None).and_then(|script| script.run(scope));
    let Some(function) = function else {
        let error = scope.exception().unwrap();
        panic!("does not compile: {}", describe(scope, error));
    };
    let function: v8::Local<v8::Function> = function.try_into().unwrap();

    let global = context.global(scope);
    let key = v8::String::new(scope, "__isolith_internals").unwrap();
    let internals = global.get(scope, key.into()).unwrap();
    global.delete(scope, key.into());
    let receiver = v8::undefined(scope).into();
    let begin: v8::Local<v8::Function> =
        get(scope, internals, "begin").unwrap().try_into().unwrap();
    let granted = v8::Boolean::new(scope, true).into();
    begin.call(scope, receiver, &[granted]).unwrap();
    let fire: v8::Local<v8::Function> = get(scope, internals, "fireTimers")
        .unwrap()
        .try_into()
        .unwrap();

    let promise = function.call(scope, receiver, &[internals]).unwrap();
    let promise: v8::Local<v8::Promise> = promise.try_into().unwrap();
    loop {
        scope.perform_microtask_checkpoint();
        match promise.state() {
            v8::PromiseState::Fulfilled => return log.take(),
            v8::PromiseState::Rejected => {
                let error = promise.result(scope);
                panic!("{}", describe(scope, error));
            }
            v8::PromiseState::Pending => {}
        }
        let now = v8::Number::new(scope, state.now_ms()).into();
        let next = fire
            .call(scope, receiver, &[now])
            .unwrap()
            .number_value(scope)
            .unwrap();
        if promise.state() == v8::PromiseState::Pending {
            assert!(
                next >= 0.0,
                "the script waits for something that never comes"
            );
            std::thread::sleep(
                state
                    .instant_at(next)
                    .saturating_duration_since(Instant::now()),
            );
        }
    }
}
