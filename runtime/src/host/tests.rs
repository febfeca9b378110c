//! Runs `tests/*.js` in an isolate made from a snapshot with the host APIs. A script throws, or
//! returns a promise that rejects, on failure.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;

fn snapshot() -> &'static [u8] {
    static BLOB: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BLOB.get_or_init(|| create_snapshot().to_vec())
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
    let blob = creator
        .create_blob(v8::FunctionCodeHandling::Keep)
        .expect("snapshot");
    if let Err(error) = installed {
        panic!("{error}");
    }
    blob
}

fn describe(scope: &mut v8::PinScope<'_, '_>, error: v8::Local<'_, v8::Value>) -> String {
    let key = v8::String::new(scope, "stack").unwrap();
    let stack = error
        .to_object(scope)
        .and_then(|object| object.get(scope, key.into()));
    match stack.filter(|stack| stack.is_string()) {
        Some(stack) => stack.to_rust_string_lossy(scope),
        None => error.to_rust_string_lossy(scope),
    }
}

/// Runs one script as the body of an async function with `internals`, `assert`, `equal`,
/// `throws` and `rejects` in scope, firing timers until it settles; gives the log.
fn run(script: &str) -> Vec<LogRecord> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let params = v8::Isolate::create_params()
        .snapshot_blob(snapshot().into())
        .external_references(external_references().into());
    let isolate = &mut v8::Isolate::new(params);
    isolate.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
    let sink = log.clone();
    let config = HostConfig {
        service: "test@1.0.0".into(),
        log: Rc::new(move |record| sink.borrow_mut().push(record)),
    };
    let state = Rc::new(HostState::new(config));
    isolate.set_slot(state.clone());
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, Default::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    v8::tc_scope!(let scope, scope);
    let source = format!(
        "{}(async (internals) => {{ {script}\n}})",
        include_str!("tests/prelude.js").replace('\n', " ")
    );
    let source = v8::String::new(scope, &source).unwrap();
    let function = v8::Script::compile(scope, source, None).and_then(|script| script.run(scope));
    let Some(function) = function else {
        let error = scope.exception().unwrap();
        panic!("does not compile: {}", describe(scope, error));
    };
    let key = v8::String::new(scope, "__isolith_internals").unwrap();
    let internals = context.global(scope).get(scope, key.into()).unwrap();
    context.global(scope).delete(scope, key.into());
    let receiver = v8::undefined(scope).into();
    let key = v8::String::new(scope, "begin").unwrap();
    let begin = internals
        .to_object(scope)
        .unwrap()
        .get(scope, key.into())
        .unwrap();
    v8::Local::<v8::Function>::try_from(begin)
        .unwrap()
        .call(scope, receiver, &[])
        .unwrap();
    let function: v8::Local<v8::Function> = function.try_into().unwrap();
    let promise = function.call(scope, receiver, &[internals]).unwrap();
    let promise: v8::Local<v8::Promise> = promise.try_into().unwrap();
    let key = v8::String::new(scope, "fireTimers").unwrap();
    let fire = internals
        .to_object(scope)
        .unwrap()
        .get(scope, key.into())
        .unwrap();
    let fire: v8::Local<v8::Function> = fire.try_into().unwrap();
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
        scope.perform_microtask_checkpoint();
        if promise.state() == v8::PromiseState::Pending {
            assert!(
                next >= 0.0,
                "the script waits for something that never comes"
            );
            let wait = state
                .instant_at(next)
                .saturating_duration_since(Instant::now());
            std::thread::sleep(wait);
        }
    }
}

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            run(include_str!(concat!("tests/", stringify!($name), ".js")));
        }
    )*};
}

scripts![
    body,
    encoding,
    events,
    headers,
    hostile,
    request_response,
    streams,
    timers,
    url,
    values,
];

#[test]
fn console_formats_and_bounds() {
    let log = run(include_str!("tests/console.js"));
    let text: Vec<_> = log
        .iter()
        .map(|r| format!("{:?} {}", r.level, r.message))
        .collect();
    let expected = include_str!("tests/console.txt");
    assert_eq!(
        text[..text.len().saturating_sub(1)].join("\n") + "\n",
        expected
    );
    assert!(
        text[text.len().saturating_sub(1)].len() < 20_000,
        "an endless message was not cut"
    );
    assert!(log.iter().all(|record| &*record.service == "test@1.0.0"));
}
