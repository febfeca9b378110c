//! The trace (P12): what shows afterwards that requests were kept what they are promised.
//!
//! Shards put small entries into one bounded queue; a thread of its own turns them into
//! [`Record`]s and writes them as lines of JSON, which `isolith verify` checks. Nothing here ever
//! waits on a shard: what finds the queue full is dropped and counted. A request is traced as a
//! whole or not at all: its admission reserves the place of its end, and a call that is missing
//! between them makes no other record wrong. An admission brings the table and the set along that its
//! shard read, so two shards that read different tables of one epoch would show.

mod file;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use isolith_versions::evidence::{Choice, Record};
use isolith_versions::{BundleFacts, Digest, RoutingTable, VersionSet};
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::oneshot;

use crate::http::RequestId;
use file::TraceFile;

/// Entries of all shards that wait to be written.
const QUEUE_ENTRIES: usize = 65_536;

/// `[trace]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TraceSettings {
    /// Relative to the application file.
    pub(crate) file: PathBuf,
    /// The file's bound. At it, the file is renamed to `FILE.1`, in the place of an earlier one,
    /// and a new one is begun, so the trace takes at most twice as much.
    #[serde(default = "default_max_mib")]
    pub(crate) max_mib: u64,
}

impl TraceSettings {
    /// The keys of the table.
    pub(crate) const KEYS: &[&str] = &["file", "max_mib"];
}

fn default_max_mib() -> u64 {
    256
}

/// One end of the queue. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Trace {
    entries: mpsc::Sender<Entry>,
    dropped: Arc<AtomicU64>,
}

/// Ends when the last [`Trace`] was dropped and everything is on disk.
pub(crate) struct TraceWriter {
    ended: oneshot::Receiver<()>,
}

/// What a shard leaves for the writer. Small, and without text: a shard has better things to do.
enum Entry {
    Admit(Admission),
    Call {
        root: RequestId,
        set: Digest,
        caller: Arc<BundleFacts>,
        import: usize,
        callee: Arc<BundleFacts>,
    },
    End {
        root: RequestId,
    },
}

/// A request's admission, with the table and the set as its shard read them: the writer describes
/// what is new to the file.
struct Admission {
    root: RequestId,
    table: Arc<RoutingTable>,
    set: Arc<VersionSet>,
    by: Choice,
}

/// A root that is traced. Dropping it records the root's end.
pub(crate) struct TracedRoot {
    root: RequestId,
    end: Option<OwnedPermit<Entry>>,
}

impl Trace {
    /// Opens the file, goes on behind what an earlier process wrote to it, and starts the thread
    /// that writes.
    ///
    /// # Errors
    /// If the file cannot be written or the thread not be started.
    pub(crate) fn open(file: &Path, max_mib: u64) -> io::Result<(Trace, TraceWriter)> {
        let file = TraceFile::open(file, max_mib.saturating_mul(1 << 20))?;
        let (entries, receiver) = mpsc::channel(QUEUE_ENTRIES);
        let (end, ended) = oneshot::channel();
        let dropped = Arc::<AtomicU64>::default();
        let trace = Trace {
            entries,
            dropped: Arc::clone(&dropped),
        };
        thread::Builder::new()
            .name("isolith-trace".into())
            .spawn(move || {
                write(receiver, file, &dropped);
                let _ = end.send(());
            })?;
        Ok((trace, TraceWriter { ended }))
    }

    fn put(&self, entry: Entry) -> bool {
        let put = self.entries.try_send(entry).is_ok();
        if !put {
            self.drop_entry();
        }
        put
    }

    fn drop_entry(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl TraceWriter {
    /// Waits until everything is written. Drop every [`Trace`] before.
    pub(crate) async fn ended(self) {
        // An error means that the thread is gone.
        let _ = self.ended.await;
    }
}

impl Trace {
    /// Records an admission. `None` if the queue is full: then nothing of the root is recorded.
    pub(crate) fn admit(
        &self,
        table: &Arc<RoutingTable>,
        set: &Arc<VersionSet>,
        root: RequestId,
        by: Choice,
    ) -> Option<TracedRoot> {
        let Ok(end) = self.entries.clone().try_reserve_owned() else {
            self.drop_entry();
            return None;
        };
        let admission = Admission {
            root,
            table: Arc::clone(table),
            set: Arc::clone(set),
            by,
        };
        let end = Some(end);
        self.put(Entry::Admit(admission))
            .then_some(TracedRoot { root, end })
    }

    /// Records a call for a traced root.
    pub(crate) fn call(
        &self,
        root: &TracedRoot,
        set: Digest,
        caller: &Arc<BundleFacts>,
        import: usize,
        callee: &Arc<BundleFacts>,
    ) {
        self.put(Entry::Call {
            root: root.root,
            set,
            caller: Arc::clone(caller),
            import,
            callee: Arc::clone(callee),
        });
    }
}

impl Drop for TracedRoot {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end.send(Entry::End { root: self.root });
        }
    }
}

/// Writes entries until nobody is left to send any; flushes whenever none waits.
fn write(mut entries: mpsc::Receiver<Entry>, mut file: TraceFile, dropped: &AtomicU64) {
    while let Some(entry) = entries.blocking_recv() {
        file.write(entry);
        if entries.is_empty() {
            file.tell_dropped(dropped.swap(0, Ordering::Relaxed));
            file.flush();
        }
    }
    file.tell_dropped(dropped.swap(0, Ordering::Relaxed));
    file.finish();
}

impl Entry {
    fn record(&self) -> Record {
        let name = |root: &RequestId| root.to_string();
        match self {
            Entry::Admit(admission) => admission.record(),
            Entry::Call {
                root,
                set,
                caller,
                import,
                callee,
            } => {
                let import = caller.imports.get(*import);
                Record::Call {
                    root: name(root),
                    set: *set,
                    caller: caller.id.digest,
                    callee: callee.id.digest,
                    import: import.map_or(String::new(), |import| import.name.to_string()),
                }
            }
            Entry::End { root } => Record::End { root: name(root) },
        }
    }
}

impl Admission {
    fn record(&self) -> Record {
        Record::Admit {
            root: self.root.to_string(),
            epoch: self.table.epoch(),
            set: self.set.digest(),
            by: self.by,
        }
    }
}
