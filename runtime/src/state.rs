//! What a process must not forget: which bundles are in force, which rollouts run, and the history
//! of changes. One file in the data directory, `state.redb`.
//!
//! A change is one transaction. The files of its bundles are in the store before it, and the
//! routing table is published after it, so a process that is killed at any moment comes back with
//! the last acknowledged change, or with one that nobody was told of yet, and never with a part of
//! one. Values are JSON: a person can read them, and keys can be added.

mod error;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use isolith_versions::{Digest, RolloutName};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;

pub(crate) use error::StateError;
pub(crate) use record::{Author, Entry, Head, Kept};

/// `format` and `head`, as JSON.
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// An [`Entry`] as JSON, by number.
const HISTORY: TableDefinition<u64, &[u8]> = TableDefinition::new("history");

/// A [`Kept`] rollout as JSON, by name.
const ROLLOUTS: TableDefinition<&str, &[u8]> = TableDefinition::new("rollouts");

/// How the tables are laid out. A reader refuses another number.
const FORMAT: u32 = 1;

/// Changes that are remembered; older ones are forgotten.
pub(crate) const MAX_HISTORY_ENTRIES: u64 = 1_000;

/// Pages of the file that are kept in memory.
const CACHE_BYTES: usize = 4 << 20;

/// The open state file. Every method uses the disk.
pub(crate) struct StateStore {
    /// `None` after the disk failed: the database must be opened anew then, which the next use does.
    database: Mutex<Option<Database>>,
    file: PathBuf,
    /// As errors name it.
    path: String,
}

/// What the last acknowledged change left.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    pub(crate) head: Head,
    /// Every bundle that the history names, whether in force or not.
    pub(crate) known: BTreeSet<Digest>,
    /// The newest entry of the history.
    pub(crate) last: Entry,
    pub(crate) rollouts: Vec<Kept>,
}

/// One transaction.
pub(crate) struct Change<'a> {
    pub(crate) head: &'a Head,
    /// Those that are new or differ from what was written down.
    pub(crate) rollouts: &'a [Kept],
    /// Names of rollouts to forget.
    pub(crate) forgotten: &'a [RolloutName],
    /// For the history. Its number is given by the store.
    pub(crate) entry: Option<Entry>,
}

impl StateStore {
    /// Opens the file, or makes an empty one. Reads all of it.
    ///
    /// # Errors
    /// If it cannot be used, or is no state file, or one of another version of Isolith.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        let store = StateStore {
            database: Mutex::default(),
            file: path.to_owned(),
            path: path.display().to_string(),
        };
        store.check_format()?;
        Ok(store)
    }

    /// Does something with the database; opens it if it is not.
    fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StateError> {
        // A panic leaves it open, at worst.
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match database.take() {
            Some(opened) => opened,
            None => guarded(&self.path, || opened(&self.file))?
                .map_err(|error| StateError::unusable(&self.path, error))?,
        };
        let done = guarded(&self.path, || work(&opened))?;
        if !matches!(done, Err(redb::Error::Io(_) | redb::Error::PreviousIo)) {
            *database = Some(opened);
        }
        done.map_err(|error| StateError::unusable(&self.path, error))
    }

    /// What was acknowledged last; nothing if no change ever was.
    ///
    /// # Errors
    /// If the file is damaged.
    pub(crate) fn load(&self) -> Result<Option<Remembered>, StateError> {
        self.try_load()
    }

    /// Makes a change last: on return it is on the disk, whole. Returns the number of its entry,
    /// or 0 if it has none. Cost: three writes that wait for the disk.
    ///
    /// # Errors
    /// If the disk failed. Whether the change is remembered is open then, but it is so as a whole.
    pub(crate) fn commit(&self, change: Change<'_>) -> Result<u64, StateError> {
        self.with(|database| try_commit(database, change))
    }

    /// The newest `most` entries of the history, newest first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn history(&self, most: usize) -> Result<Vec<Entry>, StateError> {
        let entries: Vec<Vec<u8>> = self.with(|database| {
            let transaction = database.begin_read()?;
            let history = transaction.open_table(HISTORY)?;
            let newest = history.iter()?.rev().take(most);
            newest.map(|pair| Ok(pair?.1.value().to_vec())).collect()
        })?;
        entries.iter().map(|entry| self.parse(entry)).collect()
    }

    /// The entry with this number, if it is remembered.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn entry(&self, number: u64) -> Result<Option<Entry>, StateError> {
        let entry = self.with(|database| {
            let transaction = database.begin_read()?;
            let history = transaction.open_table(HISTORY)?;
            Ok(history.get(number)?.map(|entry| entry.value().to_vec()))
        })?;
        entry.map(|entry| self.parse(&entry)).transpose()
    }

    fn check_format(&self) -> Result<(), StateError> {
        let format = self.with(|database| {
            let transaction = write(database)?;
            let format = {
                let mut meta = transaction.open_table(META)?;
                let format = meta.get("format")?.map(|format| format.value().to_vec());
                match format {
                    Some(format) => format,
                    None => {
                        let format = FORMAT.to_string().into_bytes();
                        meta.insert("format", &format[..])?;
                        format
                    }
                }
            };
            transaction.open_table(HISTORY)?;
            transaction.open_table(ROLLOUTS)?;
            transaction.commit()?;
            Ok(format)
        })?;
        let format: u32 = self.parse(&format)?;
        match format {
            FORMAT => Ok(()),
            found => Err(StateError::OtherFormat {
                path: self.path.clone(),
                found,
                known: FORMAT,
            }),
        }
    }

    fn try_load(&self) -> Result<Option<Remembered>, StateError> {
        let (head, rollouts) = self.with(|database| {
            let transaction = database.begin_read()?;
            let head = transaction.open_table(META)?.get("head")?;
            let head = head.map(|head| head.value().to_vec());
            let mut rollouts = Vec::new();
            for pair in transaction.open_table(ROLLOUTS)?.iter()? {
                rollouts.push(pair?.1.value().to_vec());
            }
            Ok((head, rollouts))
        })?;
        let mut history = self.history(usize::MAX)?;
        let known = history.iter().flat_map(|entry| &entry.pool).copied();
        let known = known.collect();
        let (Some(head), false) = (head, history.is_empty()) else {
            return Ok(None);
        };
        Ok(Some(Remembered {
            head: self.parse(&head)?,
            known,
            last: history.swap_remove(0),
            rollouts: rollouts
                .iter()
                .map(|rollout| self.parse(rollout))
                .collect::<Result<_, _>>()?,
        }))
    }

    fn parse<T: DeserializeOwned>(&self, value: &[u8]) -> Result<T, StateError> {
        serde_json::from_slice(value).map_err(|error| StateError::Unreadable {
            path: self.path.clone(),
            reason: error.to_string(),
        })
    }
}

fn try_commit(database: &Database, change: Change<'_>) -> Result<u64, redb::Error> {
    let transaction = write(database)?;
    let mut number = 0;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert("head", &json(change.head)?[..])?;
        let mut rollouts = transaction.open_table(ROLLOUTS)?;
        for name in change.forgotten {
            rollouts.remove(name.as_str())?;
        }
        for kept in change.rollouts {
            rollouts.insert(kept.rollout.name().as_str(), &json(kept)?[..])?;
        }
        if let Some(mut entry) = change.entry {
            let mut history = transaction.open_table(HISTORY)?;
            let last = history.last()?.map_or(0, |(number, _)| number.value());
            number = last + 1;
            entry.number = number;
            history.insert(number, &json(&entry)?[..])?;
            history.retain_in(..=number.saturating_sub(MAX_HISTORY_ENTRIES), |_, _| false)?;
        }
    }
    transaction.commit()?;
    Ok(number)
}

/// Opens the database and checks every page of it: what the disk changed behind its back would
/// otherwise be read as if it had been written.
fn opened(file: &Path) -> Result<Database, redb::Error> {
    let mut builder = Database::builder();
    let mut database = builder.set_cache_size(CACHE_BYTES).create(file)?;
    if !database.check_integrity()? {
        tracing::warn!("{} was repaired; nothing in it is lost", file.display());
    }
    Ok(database)
}

/// Begins a transaction that is committed in two phases: where the newest one cannot be read, it is
/// damaged, and not one that a killed process left behind half written. Otherwise the database
/// would go back to the one before and say nothing.
fn write(database: &Database) -> Result<redb::WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, redb::Error> {
    serde_json::to_vec(value).map_err(|error| redb::Error::Io(error.into()))
}

/// Runs `read` on a file that may hold anything: the database panics on some that it never wrote.
fn guarded<T>(path: &str, read: impl FnOnce() -> T) -> Result<T, StateError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).map_err(|_| {
        StateError::Unreadable {
            path: path.to_owned(),
            reason: "it contradicts itself".to_owned(),
        }
    })
}
