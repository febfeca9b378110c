//! `isolith verify`: what a trace shows.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use isolith_versions::evidence::{Record, Verifier};

use super::{note, print};
use crate::app::Failure;

/// The longest line that is read. The longest written are those of large version sets.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// The most lines that are named of those left out.
const MAX_IGNORED_TOLD: u64 = 10;

/// `isolith verify TRACE`: prints what the trace has of requests and calls, and which promises they
/// break. Lines that are no records are left out, and it says so.
///
/// # Errors
/// If a promise is broken, or the file is no trace.
pub(super) fn verify(path: &Path) -> Result<(), Failure> {
    let fail = |reason: String| Failure::from(format!("{}: {reason}", path.display()));
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let mut lines = BufReader::new(file);
    let mut verifier = Verifier::default();
    let mut line = Vec::new();
    let mut records = 0_u64;
    let mut ignored = 0_u64;
    for number in 1_u64.. {
        line.clear();
        let read = (&mut lines)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line);
        if read.map_err(|error| fail(error.to_string()))? == 0 {
            break;
        }
        let why = match serde_json::from_slice::<Record>(&line) {
            Ok(record) if line.last() == Some(&b'\n') => {
                verifier.record(record);
                records += 1;
                continue;
            }
            Ok(_) => format!("line {number} is cut off"),
            Err(error) => format!("line {number} is no record of a trace: {error}"),
        };
        if records == 0 {
            return Err(fail(why));
        }
        verifier.leave_out();
        ignored += 1;
        if ignored <= MAX_IGNORED_TOLD {
            note(format_args!("{why}; left out"));
        }
    }
    if ignored > 0 {
        note(format_args!(
            "lines left out: {ignored}, as after a full disk or a process that was killed; what \
             they recorded is not checked"
        ));
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
