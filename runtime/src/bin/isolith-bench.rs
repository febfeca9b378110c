//! Measures what a call costs and writes `target/bench.json`; see `isolith_runtime::bench`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let file = std::env::args().nth(1);
    let file = file.as_deref().unwrap_or("target/bench.json");
    match isolith_runtime::bench::run(Path::new(file)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("isolith-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
