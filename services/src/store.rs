//! Bundles on disk, by digest.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use isolith_versions::Digest;

use crate::bundle::{Bundle, BundleError};

/// A folder of bundles, each named by its digest: `bundles/<hex>.isolith` in a data directory.
///
/// Files are written whole or not at all, never changed, and checked whenever they are read.
#[derive(Debug, Clone)]
pub struct BundleStore {
    folder: PathBuf,
}

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store holds no bundle with this digest.
    #[error("the store has no bundle {0}: deploy it again")]
    Missing(Digest),
    /// A stored file is not the bundle that its name promises.
    #[error("{} is damaged: {source}; remove it and deploy the bundle again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: BundleError,
    },
    /// The disk failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl BundleStore {
    /// Opens the store in `data_dir`, making its folder.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let folder = data_dir.join("bundles");
        fs::create_dir_all(&folder).map_err(disk("make", &folder))?;
        Ok(Self { folder })
    }

    /// Keeps a bundle. On return it is on the disk; one that is there already stays.
    ///
    /// # Errors
    /// The disk failed; nothing is kept then.
    pub fn put(&self, bundle: &Bundle) -> Result<(), StoreError> {
        let path = self.path(&bundle.digest());
        if fs::read(&path).is_ok_and(|bytes| bytes == bundle.file_bytes()) {
            return Ok(());
        }
        write_atomically(&path, bundle.file_bytes()).map_err(disk("write", &path))
    }

    /// Reads the bundle with this digest and checks it. Cost: [`Bundle::open`].
    ///
    /// # Errors
    /// It is not there, or it is damaged.
    pub fn get(&self, digest: &Digest) -> Result<Bundle, StoreError> {
        let path = self.path(digest);
        match Bundle::open(&path) {
            Ok(bundle) if bundle.digest() == *digest => Ok(bundle),
            Ok(bundle) => {
                let source = BundleError::Corrupt(format!("it holds {}", bundle.digest()));
                Err(StoreError::Damaged { path, source })
            }
            Err(BundleError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::Missing(*digest))
            }
            Err(source) => Err(StoreError::Damaged { path, source }),
        }
    }

    /// The digests of all bundles in the store, sorted. They are not read.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<Digest>, StoreError> {
        let mut digests = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(disk("list", &self.folder))? {
            let name = entry.map_err(disk("list", &self.folder))?.file_name();
            let hex = name.to_str().and_then(|name| name.strip_suffix(".isolith"));
            digests.extend(hex.and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok()));
        }
        digests.sort();
        Ok(digests)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let text = digest.to_string();
        self.folder
            .join(format!("{}.isolith", text.trim_start_matches("sha256:")))
    }
}

/// Writes a file so that it is there whole or not at all, and makes its folder if needed.
///
/// # Errors
/// What the disk says; the file is as it was then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".writing-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The rename itself is on the disk once the folder is.
    File::open(folder)?.sync_all()
}

fn disk<'p>(action: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> StoreError + 'p {
    move |source| StoreError::Disk {
        action,
        path: path.to_owned(),
        source,
    }
}
