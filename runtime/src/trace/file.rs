//! The trace's file: lines of JSON, bounded, each file complete in itself.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use isolith_versions::evidence::Record;
use isolith_versions::{Digest, RoutingTable, VersionSet};

use super::{Admission, Entry};
use crate::http::RequestId;

/// How far back the end of the last whole line is looked for, in a file of an earlier process.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// Lines that are written together.
const BATCH_BYTES: usize = 64 << 10;

/// Lines that wait while the disk fails. Past it, requests are left out as a whole, and counted.
const MAX_PENDING_BYTES: usize = 8 << 20;

/// How often a disk that fails is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A file that a new one takes the place of at a bound. The new one begins with the admissions of
/// requests that have not ended. Tables and sets are described in each file before they are named.
///
/// What was not written whole, because the disk is full say, is written again from where it began,
/// so the file has whole lines in their order, whatever happened between them.
pub(super) struct TraceFile {
    path: PathBuf,
    file: File,
    written_bytes: u64,
    max_bytes: u64,
    /// Whole lines that belong behind those.
    pending: Vec<u8>,
    /// Records that were left out and that the file does not tell of yet.
    dropped: u64,
    /// Tables that the file describes, by epoch: there should be one of each.
    tables: HashMap<u64, Weak<RoutingTable>>,
    /// Sets that the file describes.
    sets: HashSet<Digest>,
    /// Requests whose admission is recorded and whose end is not.
    open: HashMap<RequestId, Admission>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Writing,
    /// The last attempt failed, and that was logged.
    Failing {
        /// When it was made.
        tried: Instant,
    },
}

impl TraceFile {
    /// Opens the file to write behind what is there. What a killed process left of a line goes.
    pub(super) fn open(path: &Path, max_bytes: u64) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!(
                    "the trace {}: {error}; it must be a file that can be written, or leave \
                     [trace] out",
                    path.display()
                ),
            )
        };
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(named)?;
        let written_bytes = end_of_lines(&mut file).map_err(named)?;
        file.set_len(written_bytes).map_err(named)?;
        Ok(TraceFile {
            path: path.to_owned(),
            file,
            written_bytes,
            max_bytes,
            pending: Vec::new(),
            dropped: 0,
            tables: HashMap::new(),
            sets: HashSet::new(),
            open: HashMap::new(),
            state: State::Writing,
        })
    }

    pub(super) fn write(&mut self, entry: Entry) {
        if self.pending.len() >= BATCH_BYTES {
            self.flush();
        }
        if self.written_bytes + self.pending.len() as u64 >= self.max_bytes {
            self.begin_anew();
        }
        let has_room = self.pending.len() < MAX_PENDING_BYTES;
        match entry {
            Entry::Admit(admission) if has_room => {
                self.admit(&admission);
                self.open.insert(admission.root, admission);
            }
            Entry::Call { root, .. } if has_room && self.open.contains_key(&root) => {
                self.put(&entry.record());
            }
            // What is open is bounded, and so are the ends.
            Entry::End { root } if self.open.remove(&root).is_some() => self.put(&entry.record()),
            _ => self.dropped += 1,
        }
    }

    fn admit(&mut self, admission: &Admission) {
        self.describe(&admission.table, &admission.set);
        self.put(&admission.record());
    }

    fn describe(&mut self, table: &Arc<RoutingTable>, set: &Arc<VersionSet>) {
        let known = self.tables.get(&table.epoch());
        if !known.is_some_and(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(table))) {
            self.tables.insert(table.epoch(), Arc::downgrade(table));
            self.put(&Record::table(table));
        }
        if self.sets.insert(set.digest()) {
            self.put(&Record::set(set));
        }
    }

    /// Records that this many entries found the queue full.
    pub(super) fn tell_dropped(&mut self, records: u64) {
        if records > 0 {
            tracing::warn!(records, "the trace cannot keep up: records were dropped");
            self.dropped += records;
        }
        if self.dropped > 0 && self.state == State::Writing {
            let records = std::mem::take(&mut self.dropped);
            self.put(&Record::Dropped { records });
        }
    }

    /// Writes what waits. A disk that failed is tried again after [`RETRY`].
    pub(super) fn flush(&mut self) {
        match self.state {
            State::Failing { tried } if tried.elapsed() < RETRY => {}
            _ => self.write_pending(),
        }
    }

    /// Writes what waits, for the last time.
    pub(super) fn finish(&mut self) {
        self.write_pending();
        self.tell_dropped(0);
        self.write_pending();
    }

    fn write_pending(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let written = self.file.write_all_at(&self.pending, self.written_bytes);
        if written.is_ok() {
            self.written_bytes += self.pending.len() as u64;
            self.pending.clear();
            self.pending.shrink_to(BATCH_BYTES);
        }
        self.note(written);
    }

    fn put(&mut self, record: &Record) {
        // Names and numbers: this cannot fail.
        if let Ok(line) = serde_json::to_string(record) {
            self.pending.extend_from_slice(line.as_bytes());
            self.pending.push(b'\n');
        }
    }

    fn begin_anew(&mut self) {
        self.flush();
        if !self.pending.is_empty() {
            return;
        }
        let mut former = self.path.clone().into_os_string();
        former.push(".1");
        let file = fs::rename(&self.path, former).and_then(|()| File::create(&self.path));
        match file {
            Ok(file) => {
                self.file = file;
                self.written_bytes = 0;
                self.tables.clear();
                self.sets.clear();
                let open = std::mem::take(&mut self.open);
                open.values().for_each(|admission| self.admit(admission));
                self.open = open;
            }
            Err(error) => self.note(Err(error)),
        }
    }

    /// Logs when writing begins to fail, and when it works again.
    fn note(&mut self, outcome: io::Result<()>) {
        match (self.state, &outcome) {
            (State::Writing, Err(error)) => {
                tracing::error!(
                    "the trace {} cannot be written: {error}; it is tried again, and serving goes \
                     on",
                    self.path.display()
                );
            }
            (State::Failing { .. }, Ok(())) => tracing::info!("the trace is written again"),
            _ => {}
        }
        self.state = match outcome {
            Ok(()) => State::Writing,
            Err(_) => State::Failing {
                tried: Instant::now(),
            },
        };
    }
}

/// Where the last whole line ends.
fn end_of_lines(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(MAX_LINE_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n');
    Ok(whole.map_or(from, |newline| from + newline as u64 + 1))
}
