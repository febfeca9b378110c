//! Bugs that the tests must find.
//!
//! With the feature `seeded-bugs`, which only `scripts/mutation-gate` switches on, the environment
//! variable `ISOLITH_SEEDED_BUG` names a bug, and the code behaves as if it had that bug. Each bug of
//! the gate's list must make the tests fail. Without the feature there is no bug and no variable:
//! the question has the constant answer no, and the compiler drops the wrong branch.

/// Whether the code is to behave as if it had the bug `name`.
#[cfg(not(feature = "seeded-bugs"))]
#[inline(always)]
pub const fn seeded(_name: &str) -> bool {
    false
}

/// Whether the code is to behave as if it had the bug `name`.
#[cfg(feature = "seeded-bugs")]
pub fn seeded(name: &str) -> bool {
    use std::sync::OnceLock;

    static BUG: OnceLock<Option<String>> = OnceLock::new();
    let bug = BUG.get_or_init(|| std::env::var("ISOLITH_SEEDED_BUG").ok());
    bug.as_deref() == Some(name)
}
