//! What processes use, as Linux tells it.

use std::fs;
use std::time::Duration;

use crate::Failure;

/// The clock ticks of `/proc/PID/stat` are hundredths of a second on all of Linux's platforms
/// that the project builds for.
const TICK: Duration = Duration::from_millis(10);

/// A process and what descends from it.
pub(crate) struct Processes(Vec<Process>);

struct Process {
    ticks: u32,
    memory_bytes: u64,
}

impl Processes {
    /// The processes that do the work: the descendants of `root`, or itself if it has none. (What
    /// only starts others is not counted.)
    pub(crate) fn of(root: u32) -> Result<Self, Failure> {
        let mut working = Vec::new();
        let mut parents = vec![root];
        while let Some(parent) = parents.pop() {
            let children = children(parent)?;
            if children.is_empty() {
                working.push(Process::read(parent)?);
            }
            parents.extend(children);
        }
        Ok(Self(working))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// CPU time, user and system, since they began.
    pub(crate) fn cpu(&self) -> Duration {
        self.0.iter().map(|process| TICK * process.ticks).sum()
    }

    /// Resident memory; what several processes share is divided among them, and so counts once.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.0.iter().map(|process| process.memory_bytes).sum()
    }
}

impl Process {
    fn read(pid: u32) -> Result<Self, Failure> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in brackets may hold anything; the state comes after it.
        let after = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<_> = after.split_whitespace().collect();
        let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok());
        let ticks = field(11).zip(field(12)).map(|(user, system)| user + system);
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = pss.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        match (ticks, kib) {
            (Some(ticks), Some(kib)) => Ok(Self {
                ticks,
                memory_bytes: kib * 1024,
            }),
            _ => Err(format!("process {pid}: /proc has no such figures").into()),
        }
    }
}

fn children(pid: u32) -> Result<Vec<u32>, Failure> {
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let listed = fs::read_to_string(task?.path().join("children"))?;
        children.extend(
            listed
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    Ok(children)
}
