//! The trace's file: lines of JSON, bounded, each file complete in itself.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use isolith_versions::evidence::Record;
use isolith_versions::{Digest, RoutingTable, VersionSet};

use super::{Admission, Entry};
use crate::http::RequestId;

/// How far back the end of the last whole line is looked for, in a file of an earlier process.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// A file that a new one takes the place of at a bound. The new one begins with the admissions of
/// requests that have not ended. Tables and sets are described in each file before they are named.
pub(super) struct TraceFile {
    path: PathBuf,
    file: BufWriter<File>,
    written_bytes: u64,
    max_bytes: u64,
    /// Tables that the file describes, by epoch: there should be one of each.
    tables: HashMap<u64, Weak<RoutingTable>>,
    /// Sets that the file describes.
    sets: HashSet<Digest>,
    /// Requests that have not ended.
    open: HashMap<RequestId, Admission>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Writing,
    /// The last attempt failed, and that was logged.
    Failing,
}

impl TraceFile {
    /// Opens the file to write behind what is there. What a killed process left of a line goes.
    pub(super) fn open(path: &Path, max_bytes: u64) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("the trace {}: {error}", path.display()),
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
        file.seek(SeekFrom::End(0)).map_err(named)?;
        Ok(TraceFile {
            path: path.to_owned(),
            file: BufWriter::new(file),
            written_bytes,
            max_bytes,
            tables: HashMap::new(),
            sets: HashSet::new(),
            open: HashMap::new(),
            state: State::Writing,
        })
    }

    pub(super) fn write(&mut self, entry: Entry) {
        if self.written_bytes >= self.max_bytes {
            self.begin_anew();
        }
        match entry {
            Entry::Admit(admission) => {
                self.admit(&admission);
                self.open.insert(admission.root, admission);
            }
            Entry::Call { .. } => self.put(&entry.record()),
            Entry::End { root } => {
                self.put(&entry.record());
                self.open.remove(&root);
            }
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
        if records == 0 {
            return;
        }
        tracing::warn!(records, "the trace cannot keep up: records were dropped");
        self.put(&Record::Dropped { records });
    }

    pub(super) fn flush(&mut self) {
        let flushed = self.file.flush();
        self.note(flushed);
    }

    fn put(&mut self, record: &Record) {
        // Names and numbers: this cannot fail.
        let Ok(mut line) = serde_json::to_string(record) else {
            return;
        };
        line.push('\n');
        let written = self.file.write_all(line.as_bytes());
        self.written_bytes = self.written_bytes.saturating_add(line.len() as u64);
        self.note(written);
    }

    fn begin_anew(&mut self) {
        self.flush();
        let mut former = self.path.clone().into_os_string();
        former.push(".1");
        let file = fs::rename(&self.path, former).and_then(|()| File::create(&self.path));
        match file {
            Ok(file) => {
                self.file = BufWriter::new(file);
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
        let state = match outcome {
            Ok(()) => State::Writing,
            Err(_) => State::Failing,
        };
        match (self.state, outcome) {
            (State::Writing, Err(error)) => {
                tracing::error!(
                    "the trace {} cannot be written: {error}",
                    self.path.display()
                );
            }
            (State::Failing, Ok(())) => tracing::info!("the trace is written again"),
            _ => {}
        }
        self.state = state;
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
