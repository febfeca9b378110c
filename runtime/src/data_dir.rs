//! The data directory: bundles, the control socket, the key of pin tokens, and the lock that keeps it to one process.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use isolith_services::store::{BundleStore, StoreError};

use crate::pin_token::PinKey;
use crate::state::{StateError, StateStore};

/// A data directory that belongs to this process until the value is dropped.
pub(crate) struct DataDir {
    path: PathBuf,
    /// Locked. The system lets go of it when the process ends, however it ends.
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// It, or its lock file, cannot be made.
    #[error(
        "cannot use the data directory {}: {source}; it must be a folder that this user may write, \
         on a disk with space: mend it, or serve from another one with --data-dir",
        path.display()
    )]
    Unusable { path: PathBuf, source: io::Error },
    /// Another process serves from it.
    #[error(
        "another isolith process uses the data directory {}: stop it, or serve from another one \
         with --data-dir",
        path.display()
    )]
    InUse { path: PathBuf },
}

/// The control socket of the process that serves from `data_dir`.
pub(crate) fn control_socket(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

impl DataDir {
    /// Makes the directory if it is not there, and locks it.
    ///
    /// # Errors
    /// If it cannot be written, or another process has it.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable {
            path: path.to_owned(),
            source,
        };
        // Made for this user alone; one that is there keeps the mode that somebody chose.
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path);
        made.map_err(unusable)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDir {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// The bundles in it.
    ///
    /// # Errors
    /// If their folder cannot be made.
    pub(crate) fn store(&self) -> Result<BundleStore, StoreError> {
        BundleStore::open(&self.path)
    }

    /// The key that signs pin tokens. Made when it is asked for the first time.
    ///
    /// # Errors
    /// As [`PinKey::open`].
    pub(crate) fn pin_key(&self) -> io::Result<PinKey> {
        PinKey::open(&self.path.join("pin.key"))
    }

    /// What was acknowledged by a process that served from it.
    ///
    /// # Errors
    /// If its file cannot be used.
    pub(crate) fn state(&self) -> Result<StateStore, StateError> {
        StateStore::open(&self.path.join("state.redb"))
    }

    /// Where the control socket belongs.
    pub(crate) fn control_socket(&self) -> PathBuf {
        control_socket(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_belongs_to_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let first = DataDir::open(&path).unwrap();
        // A second handle stands for a second process: the lock is the open file's.
        assert!(matches!(
            DataDir::open(&path),
            Err(DataDirError::InUse { .. })
        ));
        drop(first);
        assert!(DataDir::open(&path).is_ok());
    }
}
