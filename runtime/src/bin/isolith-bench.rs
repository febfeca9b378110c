//! Measures what a call costs and writes `target/bench.json`; see `isolith_runtime::bench`.
//!
//! `isolith-bench [FILE]` measures the call path and bad neighbours; `isolith-bench calls` the calls
//! alone, in some seconds, `isolith-bench overrun` and `isolith-bench neighbours [KIND...]` what is
//! named so; `isolith-bench density SERVICES [FILE]` starts and density.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use isolith_runtime::bench;

const FILE: &str = "target/bench.json";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("isolith-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => bench::run(Path::new(FILE)),
        ["calls"] => bench::calls(),
        [bench::BARE, isolates] => bench::bare_isolates(isolates.parse()?),
        ["overrun"] => bench::overrun(Path::new(FILE)),
        ["neighbours", ref kinds @ ..] => bench::neighbours(kinds, Path::new(FILE)),
        ["density", services] => bench::density(services.parse()?, Path::new(FILE)),
        ["density", services, file] => bench::density(services.parse()?, Path::new(file)),
        [file] if !file.starts_with('-') => bench::run(Path::new(file)),
        _ => Err(
            "usage: isolith-bench [FILE] | calls | overrun | neighbours [KIND...] | \
                  density SERVICES [FILE]"
                .into(),
        ),
    }
}
