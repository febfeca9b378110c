//! `isolith verify`: what a trace shows.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use isolith_versions::evidence::{Record, Verifier};

use super::{note, print};
use crate::app::Failure;

/// The longest line that is read. The longest written are those of large version sets.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// `isolith verify TRACE`: prints what the trace has of requests and calls, and which promises they
/// break.
///
/// # Errors
/// If a promise is broken, or the file is no trace.
pub(super) fn verify(path: &Path) -> Result<(), Failure> {
    let fail = |reason: String| Failure::from(format!("{}: {reason}", path.display()));
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let mut lines = BufReader::new(file);
    let mut verifier = Verifier::default();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = (&mut lines)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line);
        if read.map_err(|error| fail(error.to_string()))? == 0 {
            break;
        }
        if line.last() != Some(&b'\n') {
            note(format_args!(
                "line {number} is cut off, as of a process that was killed; left out"
            ));
            break;
        }
        let record: Record = serde_json::from_slice(&line)
            .map_err(|error| fail(format!("line {number} is no record of a trace: {error}")))?;
        verifier.record(record);
    }
    let report = verifier.finish();
    print(format_args!(
        "{} requests ({} not ended), {} calls, {} tables, {} sets, {} records dropped",
        report.requests, report.unended, report.calls, report.tables, report.sets, report.dropped
    ))?;
    for violation in &report.violations {
        print(violation)?;
    }
    match report.broken {
        0 => print("no violations"),
        1 => Err(fail("1 violation".into())),
        broken => Err(fail(format!("{broken} violations"))),
    }
}
