//! Bundles built from sources, each once per run of the tests.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::command::run;
use super::{copy_project, root};

type Built = Arc<OnceLock<PathBuf>>;

/// The bundle of the project in `folder`, which is relative to the repository; built once.
pub(crate) fn bundle(folder: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, Built>> = Mutex::new(BTreeMap::new());
    let built = {
        let mut all = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(folder.to_owned()).or_default())
    };
    let build = || {
        let name = folder.replace('/', "-");
        let (project, file) = (workshop().join(&name), workshop().join(name + ".isolith"));
        copy_project(&root().join(folder), &project);
        run([Path::new("build"), &project, Path::new("-o"), &file]).done();
        file
    };
    built.get_or_init(build).clone()
}

/// Bundles of several projects, built beside each other.
pub(crate) fn bundles(folders: &[&str]) -> Vec<PathBuf> {
    std::thread::scope(|scope| {
        let builds: Vec<_> = folders
            .iter()
            .map(|folder| scope.spawn(|| bundle(folder)))
            .collect();
        builds
            .into_iter()
            .map(|build| build.join().unwrap())
            .collect()
    })
}

/// Where projects are built: one folder for all runs, since a static is never dropped. A run has
/// it to itself and begins by emptying it.
pub(crate) fn workshop() -> &'static Path {
    static WORKSHOP: OnceLock<(PathBuf, File)> = OnceLock::new();
    let (folder, _lock) = WORKSHOP.get_or_init(|| {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let lock = File::create(parent.join("bundles.lock")).unwrap();
        lock.lock().unwrap();
        let folder = parent.join("bundles");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        (folder, lock)
    });
    folder
}
