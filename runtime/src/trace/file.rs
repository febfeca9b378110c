//! The trace's file: lines of JSON, bounded, each file complete in itself.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use isolith_versions::Digest;
use isolith_versions::evidence::Record;

use super::Entry;
use crate::http::RequestId;

/// How far back the end of the last whole line is looked for, in a file of an earlier process.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// A file that a new one takes the place of at a bound. The new one begins with what its first
/// records refer to: tables, sets, and the admissions of requests that have not ended.
pub(super) struct TraceFile {
    path: PathBuf,
    file: BufWriter<File>,
    written_bytes: u64,
    max_bytes: u64,
    /// Lines that a new file begins with.
    tables: BTreeMap<u64, String>,
    sets: HashMap<Digest, String>,
    open: HashMap<RequestId, Admission>,
    state: State,
}

struct Admission {
    epoch: u64,
    set: Digest,
    line: String,
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
            tables: BTreeMap::new(),
            sets: HashMap::new(),
            open: HashMap::new(),
            state: State::Writing,
        })
    }

    pub(super) fn write(&mut self, entry: &Entry) {
        let Some(line) = line(&entry.record()) else {
            return;
        };
        if self.written_bytes.saturating_add(line.len() as u64) > self.max_bytes {
            self.begin_anew();
        }
        self.put(&line);
        match entry {
            Entry::Table(table) => drop(self.tables.insert(table.epoch(), line)),
            Entry::Set(set) => drop(self.sets.insert(set.digest(), line)),
            Entry::Admit {
                root, epoch, set, ..
            } => {
                let admission = Admission {
                    epoch: *epoch,
                    set: *set,
                    line,
                };
                self.open.insert(*root, admission);
            }
            Entry::End { root } => drop(self.open.remove(root)),
            Entry::Call { .. } => {}
        }
    }

    /// Records that this many entries found the queue full.
    pub(super) fn tell_dropped(&mut self, records: u64) {
        if records == 0 {
            return;
        }
        tracing::warn!(records, "the trace cannot keep up: records were dropped");
        if let Some(line) = line(&Record::Dropped { records }) {
            self.put(&line);
        }
    }

    pub(super) fn flush(&mut self) {
        let flushed = self.file.flush();
        self.note(flushed);
    }

    fn put(&mut self, line: &str) {
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
                self.forget();
                let lines = self.tables.values().chain(self.sets.values());
                let lines = lines.chain(self.open.values().map(|admission| &admission.line));
                for line in lines.cloned().collect::<Vec<_>>() {
                    self.put(&line);
                }
            }
            Err(error) => self.note(Err(error)),
        }
    }

    /// Forgets tables and sets that no later record can name: the newest table stays, and so does
    /// whatever a request under way was admitted by.
    fn forget(&mut self) {
        let newest = self.tables.keys().next_back().copied();
        let open = &self.open;
        let named = |epoch: &u64| open.values().any(|admission| admission.epoch == *epoch);
        self.tables
            .retain(|epoch, _| Some(*epoch) == newest || named(epoch));
        // Shards describe a set once; so all that may come back must stay. They are few.
        if self.sets.len() > super::MAX_TOLD_SETS {
            let named = |set: &Digest| open.values().any(|admission| admission.set == *set);
            self.sets.retain(|set, _| named(set));
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

fn line(record: &Record) -> Option<String> {
    // Names and numbers: this cannot fail.
    let mut line = serde_json::to_string(record).ok()?;
    line.push('\n');
    Some(line)
}
