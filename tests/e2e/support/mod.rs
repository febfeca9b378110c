//! What the cases are written with.

pub(crate) mod bundles;
pub(crate) mod command;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod origin;
pub(crate) mod server;
pub(crate) mod tls;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long anything may take that a test waits for. Far more than it takes, so that a loaded
/// machine fails no test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A case: its inputs, and what they must give.
pub(crate) fn case(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("cases")
        .join(name);
    assert!(folder.exists(), "there is no case {}", folder.display());
    folder
}

/// Copies a project as a fresh clone has it: no installed packages, nothing built.
pub(crate) fn copy_project(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            if entry.file_name() != "node_modules" && entry.file_name() != "dist" {
                copy_project(&source, &target);
            }
        } else {
            fs::copy(&source, &target).unwrap();
        }
    }
}

/// Asks until the answer is there.
///
/// # Panics
/// If it is not there after [`PATIENCE`]; `what` says what was waited for.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The mapped positions in a text, `src/main.ts:LINE:COLUMN`, as lines and columns.
pub(crate) fn positions(text: &str) -> Vec<(usize, usize)> {
    let name = "src/main.ts:";
    let places = text
        .match_indices(name)
        .map(|(at, _)| &text[at + name.len()..]);
    let numbers = |place: &str| {
        let mut numbers = place.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.next()?.parse().ok();
        Some((next()?, next()?))
    };
    places.map(|place| numbers(place).unwrap()).collect()
}
