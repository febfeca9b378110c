//! V8's process-wide state: flags and platform, set up once.

use std::sync::Once;

static INIT: Once = Once::new();

/// Sets V8's flags and starts its platform, the first time it is called in a process.
///
/// Cheap afterwards. Must run before the first isolate is made; every function here that makes
/// one calls it.
pub fn init_once() {
    INIT.call_once(|| {
        // Immutable ArrayBuffers let one backing store be read by two isolates and written by none.
        v8::V8::set_flags_from_string("--js-immutable-arraybuffer");
        // No worker threads beyond the one that V8 uses for concurrent compilation and collection.
        let platform = v8::new_default_platform(1, false).make_shared();
        v8::V8::initialize_platform(platform);
        v8::V8::initialize();
    });
}
