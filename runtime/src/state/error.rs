//! Why the state file cannot be used, and what to do about it.

use std::io::ErrorKind;

/// The state file failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// The system does not let it be read or written.
    #[error(
        "cannot use the state file {path}: {reason}; make sure that its disk has space and can be \
         written, and try again: what was acknowledged is kept"
    )]
    Disk {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// Its bytes are not what was written.
    #[error(
        "the state file {path} is damaged, or no state file of Isolith ({reason}): restore it from \
         a copy, or move it away to begin anew with the bundles that the application file names; \
         nothing in it was changed"
    )]
    Unreadable {
        /// The file.
        path: String,
        /// What does not hold.
        reason: String,
    },
    /// It was written by a version that lays it out differently.
    #[error(
        "the state file {path} has format {found}, and this version of Isolith reads format \
         {known}: run the version that wrote it, or move the file away to begin anew with the \
         bundles that the application file names"
    )]
    OtherFormat {
        /// The file.
        path: String,
        /// Its format.
        found: u32,
        /// The one that can be read.
        known: u32,
    },
}

impl StateError {
    /// What a failure of the database means for a person.
    pub(super) fn unusable(path: &str, error: redb::Error) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        // It says what it cannot be, or is shorter than it says.
        let nonsense = [ErrorKind::InvalidData, ErrorKind::UnexpectedEof];
        match error {
            redb::Error::Io(error) if !nonsense.contains(&error.kind()) => {
                StateError::Disk { path, reason }
            }
            redb::Error::DatabaseAlreadyOpen
            | redb::Error::PreviousIo
            | redb::Error::ValueTooLarge(_) => StateError::Disk { path, reason },
            _ => StateError::Unreadable { path, reason },
        }
    }
}
