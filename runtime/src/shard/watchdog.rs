//! Ends turns that hold their shard for too long.
//!
//! A shard says which isolate runs by two relaxed stores a turn. One thread for the whole process
//! looks at every shard a few times per bound; a turn that it sees twice, a bound apart, is ended
//! by terminating execution. So a turn runs at most one and a quarter of the bound.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// What one shard shows the watchdog.
pub(super) struct Watch {
    /// Turns begun so far.
    turn: AtomicU64,
    /// The slot that runs, plus one; 0 between turns.
    running: AtomicUsize,
    handles: Mutex<Vec<Option<v8::IsolateHandle>>>,
    limit: Duration,
}

/// Marks a turn as running until it is dropped.
pub(super) struct Watched<'a>(&'a Watch);

impl Watch {
    /// A watch that the watchdog looks at from now on.
    pub(super) fn new(limit: Duration) -> Arc<Self> {
        let watch = Arc::new(Watch {
            turn: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            handles: Mutex::new(Vec::new()),
            limit,
        });
        register(&watch);
        watch
    }

    pub(super) fn enter(&self, slot: usize) -> Watched<'_> {
        // Only the shard's own thread writes.
        let turn = self.turn.load(Ordering::Relaxed);
        self.turn.store(turn.wrapping_add(1), Ordering::Relaxed);
        self.running.store(slot + 1, Ordering::Release);
        Watched(self)
    }

    /// Says how to end what runs in `slot`.
    pub(super) fn set_handle(&self, slot: usize, handle: Option<v8::IsolateHandle>) {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        if handles.len() <= slot {
            handles.resize_with(slot + 1, || None);
        }
        if let Some(place) = handles.get_mut(slot) {
            *place = handle;
        }
    }

    fn terminate(&self, turn: u64, slot: usize) {
        let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        // The turn may have ended meanwhile.
        if self.turn.load(Ordering::Acquire) == turn
            && self.running.load(Ordering::Acquire) == slot + 1
            && let Some(Some(handle)) = handles.get(slot)
        {
            handle.terminate_execution();
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.running.store(0, Ordering::Release);
    }
}

static WATCHES: Mutex<Vec<Weak<Watch>>> = Mutex::new(Vec::new());
static STARTED: OnceLock<()> = OnceLock::new();

/// How often the watchdog looks.
const LOOK: Duration = Duration::from_millis(50);

fn register(watch: &Arc<Watch>) {
    let mut watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    watches.retain(|watch| watch.strong_count() > 0);
    watches.push(Arc::downgrade(watch));
    drop(watches);
    STARTED.get_or_init(|| {
        let started = thread::Builder::new()
            .name("isolith-watchdog".into())
            .spawn(run);
        if let Err(error) = started {
            tracing::error!(%error, "no watchdog: a service that loops will hold its shard");
        }
    });
}

/// A turn that was running when the watchdog looked.
struct Seen {
    watch: Weak<Watch>,
    turn: u64,
    since: Instant,
}

fn run() {
    let mut seen: Vec<Seen> = Vec::new();
    loop {
        thread::sleep(LOOK);
        let watches: Vec<Arc<Watch>> = WATCHES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        let mut now_running = Vec::with_capacity(watches.len());
        for watch in watches {
            let turn = watch.turn.load(Ordering::Acquire);
            let Some(slot) = watch.running.load(Ordering::Acquire).checked_sub(1) else {
                continue;
            };
            let since = seen
                .iter()
                .find(|s| s.turn == turn && s.watch.as_ptr() == Arc::as_ptr(&watch))
                .map_or_else(Instant::now, |s| s.since);
            if since.elapsed() >= watch.limit {
                watch.terminate(turn, slot);
            }
            now_running.push(Seen {
                watch: Arc::downgrade(&watch),
                turn,
                since,
            });
        }
        seen = now_running;
    }
}
