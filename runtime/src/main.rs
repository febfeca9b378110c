//! The `isolith` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    isolith_runtime::cli::main()
}
