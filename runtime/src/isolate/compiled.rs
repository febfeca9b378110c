//! What V8 compiled of programs before any isolate runs them.
//!
//! V8 compiles a function when it is first called, and for that goes through the text a second time:
//! together a good part of what the first call to a service takes. So whoever makes programs ready
//! has all functions compiled once, in an isolate that runs none of them, and each isolate is given
//! the result: V8's code cache. It stays in memory. V8 believes what a cache says without looking at
//! it, so one in a file would have to be guarded better than the bundle that it was made of, to save
//! a few milliseconds when the process starts.

use std::sync::Arc;

use super::blank::{Blank, Parts};
use crate::program::Program;
use crate::script::{precompile_module, precompile_script};

/// What is longer is compiled as it is called: much of it never is.
const MAX_TEXT_BYTES: usize = 64 << 10;
/// Programs that are compiled in one isolate.
const PROGRAMS_PER_ISOLATE: usize = 32;
/// What that isolate's memory may come to.
const HEAP_MIB: u32 = 64;

/// V8's code caches of one program; none of a text that was not compiled.
#[derive(Default)]
pub(crate) struct Compiled {
    pub(super) bindings: Option<Box<[u8]>>,
    pub(super) module: Option<Box<[u8]>>,
}

/// Compiles programs, once each. What cannot be compiled is left to whoever loads it, who can say
/// why. A millisecond or two for a program of usual size.
pub(crate) fn compile(programs: &[Arc<Program>]) {
    let programs: Vec<_> = programs
        .iter()
        .filter(|program| program.native.is_none())
        .collect();
    for programs in programs.chunks(PROGRAMS_PER_ISOLATE) {
        let Some(mut parts) = Blank::new(HEAP_MIB).ok().and_then(Blank::into_parts) else {
            return;
        };
        // SAFETY: exited below.
        unsafe { parts.isolate.enter() };
        for program in programs {
            program
                .compiled
                .get_or_init(|| compile_one(&mut parts, program));
        }
        // SAFETY: entered above.
        unsafe { parts.isolate.exit() };
        parts.dispose();
    }
}

fn compile_one(parts: &mut Parts, program: &Program) -> Compiled {
    v8::scope!(let scope, &mut parts.isolate);
    let context = v8::Local::new(scope, &parts.context);
    let scope = &mut v8::ContextScope::new(scope, context);
    v8::tc_scope!(let scope, scope);
    let fits = |text: &&Arc<str>| !text.is_empty() && text.len() <= MAX_TEXT_BYTES;
    let bindings = program.bindings.as_ref().filter(fits);
    let bindings = bindings.and_then(|text| precompile_script(scope, text));
    let module = Some(&program.source).filter(fits);
    let module = module.and_then(|text| precompile_module(scope, text));
    // What did not compile has thrown.
    scope.reset();
    Compiled { bindings, module }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, SampleSchema};

    const SCHEMA: &str = "
        @0xb2a1c3d4e5f60718;
        interface Clock { time @0 (zone :Text) -> (text :Text); }
    ";

    fn program(source: &str) -> Arc<Program> {
        let schema = SampleSchema::new(SCHEMA).unwrap();
        let sample = Sample {
            service: "clock",
            version: "1.0.0",
            source,
            exports: &[("CLOCK", "Clock", "Clock")],
            imports: &[],
            http: false,
        };
        schema.program(&sample).unwrap()
    }

    #[test]
    fn what_compiles_is_kept_whole() {
        let long = "zone += `the time in ${zone}`;".repeat(100);
        let many = program(&format!(
            "export class Clock {{ time({{ zone }}) {{ {long} }} }}"
        ));
        let few = program("export class Clock {}");
        compile(&[Arc::clone(&many), Arc::clone(&few)]);
        let bytes = |program: &Program| {
            let module = program.compiled.get().unwrap().module.as_ref();
            module.unwrap().len()
        };
        // A method that nobody called is in it.
        assert!(bytes(&many) > bytes(&few) + 1_000);
        assert!(few.compiled.get().unwrap().bindings.is_some());
    }

    #[test]
    fn what_does_not_compile_is_left_to_others() {
        let (wrong, right) = (program("export class {"), program("export class Clock {}"));
        compile(&[Arc::clone(&wrong), Arc::clone(&right)]);
        assert!(wrong.compiled.get().unwrap().module.is_none());
        assert!(right.compiled.get().unwrap().module.is_some());
    }
}
