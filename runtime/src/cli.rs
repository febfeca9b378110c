//! The command line.
//!
//! Exit status: 0 done; 1 refused or failed, with the reason on standard error; 2 the command
//! itself is wrong; 75 the process lost too many shards to memory and has to be started again.
//! Standard output gets results and nothing else.

mod apply;
mod check;
mod files;
mod history;
mod holders;
mod remote;
mod rollout;
mod verify;

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::{self, Failure, ServeOptions, TooManyParked};
use crate::native::{NativeService, Natives};
use remote::Target;
use rollout::RolloutCommand;

/// A monolith made of isolates: independently built services in one process.
#[derive(Parser)]
#[command(
    name = "isolith",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build a service's folder into one bundle file
    Build {
        /// The folder with isolith.toml
        dir: PathBuf,
        /// The bundle file [default: DIR/dist/SERVICE-VERSION.isolith]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Show what a bundle file is and holds
    Inspect {
        /// The bundle file
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Sign a bundle file, in place
    Sign {
        /// The bundle file
        file: PathBuf,
        /// The Ed25519 private key, PEM: `openssl genpkey -algorithm ed25519 -out key.pem`
        #[arg(long, value_name = "KEY.pem")]
        key: PathBuf,
    },
    /// Write TypeScript declarations of a service's interfaces into its folder
    Types {
        /// The folder with isolith.toml
        dir: PathBuf,
    },
    /// Check that bundles fit together and print how they are wired
    Check {
        /// One application file, or bundle files
        #[arg(required = true, value_name = "APP.toml|FILE")]
        files: Vec<PathBuf>,
    },
    /// Serve an application until SIGTERM or SIGINT
    Serve {
        /// The application file
        #[arg(value_name = "APP.toml")]
        app: PathBuf,
        /// Listen here instead of where the file says; port 0 picks a free one
        #[arg(long, value_name = "ADDR")]
        listen: Option<SocketAddr>,
        /// Keep data here instead of where the file says
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Add bundles to a running process; new requests use them, earlier ones finish as they began
    Deploy {
        /// Bundle files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Why, for the history
        #[arg(short, long, value_name = "TEXT", default_value = "")]
        message: String,
        #[command(flatten)]
        target: Target,
    },
    /// Show who changed what, when and why in a running process
    History {
        /// So many of the newest changes
        #[arg(short, long, value_name = "COUNT", default_value_t = 20)]
        most: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Put into force what an earlier change left; open requests finish as they began
    Rollback {
        /// The change's number in the history
        number: u64,
        /// Why, for the history
        #[arg(short, long, value_name = "TEXT", default_value = "")]
        message: String,
        #[command(flatten)]
        target: Target,
    },
    /// Make what is in force in a running process what an application file says
    Apply {
        /// The application file
        #[arg(value_name = "APP.toml")]
        file: PathBuf,
        /// Only print what would be done
        #[arg(long)]
        dry_run: bool,
        /// Why, for the history
        #[arg(short, long, value_name = "TEXT", default_value = "")]
        message: String,
        #[command(flatten)]
        target: Target,
    },
    /// Show what keeps versions of a service loaded
    Holders {
        /// The service, and its version if one alone is meant
        #[arg(value_name = "SERVICE[@VERSION]")]
        service: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Cancel all requests and background work that hold a version
    Evict {
        #[arg(value_name = "SERVICE@VERSION")]
        bundle: String,
        /// Why, for those who waited for them
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        target: Target,
    },
    /// Shift requests to new versions, step by step, and watch how they do
    Rollout {
        #[command(subcommand)]
        command: RolloutCommand,
    },
    /// Show what a running process serves
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Check from a trace alone that requests were kept what they are promised
    Verify {
        /// What `[trace] file` of the application file names
        trace: PathBuf,
    },
    /// Call a method of a service in a running process
    Call {
        /// The service, and its version if another than that of new requests is meant
        #[arg(value_name = "SERVICE[@VERSION]")]
        service: String,
        /// The method, and its export where more than one has it
        #[arg(value_name = "[EXPORT.]METHOD")]
        method: String,
        /// The argument: a JSON object
        #[arg(value_name = "JSON", default_value = "{}")]
        argument: String,
        #[command(flatten)]
        target: Target,
    },
}

/// The exit status of a process that has to be started again (`EX_TEMPFAIL`).
const START_AGAIN: u8 = 75;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    run(Vec::new())
}

/// Runs it with these services.
pub(crate) fn run(natives: Vec<NativeService>) -> ExitCode {
    let cli = Cli::parse();
    let natives = Natives::new(natives).map_err(Failure::from);
    match natives.and_then(|natives| run_command(cli.command, natives)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nobody left to tell if this fails.
            let _ = writeln!(io::stderr(), "error: {error}");
            match error.is::<TooManyParked>() {
                true => ExitCode::from(START_AGAIN),
                false => ExitCode::FAILURE,
            }
        }
    }
}

fn run_command(command: Command, natives: Natives) -> Result<(), Failure> {
    match command {
        Command::Build { dir, output } => files::build(&dir, output.as_deref()),
        Command::Inspect { file, json } => files::inspect(&file, json),
        Command::Sign { file, key } => files::sign(&file, &key),
        Command::Types { dir } => files::types(&dir),
        Command::Check { files } => check::check(&files, natives),
        Command::Serve {
            app,
            listen,
            data_dir,
        } => app::serve(ServeOptions {
            file: app,
            listen,
            data_dir,
            natives,
        }),
        Command::Deploy {
            files,
            message,
            target,
        } => remote::deploy(&files, &message, &target),
        Command::Apply {
            file,
            dry_run,
            message,
            target,
        } => apply::apply(&file, dry_run, &message, &target),
        Command::Holders {
            service,
            json,
            target,
        } => holders::holders(&service, json, &target),
        Command::Evict {
            bundle,
            reason,
            target,
        } => holders::evict(&bundle, &reason, &target),
        Command::Rollout { command } => rollout::run(command),
        Command::History { most, json, target } => history::history(most, json, &target),
        Command::Rollback {
            number,
            message,
            target,
        } => history::rollback(number, &message, &target),
        Command::Status { json, target } => remote::status(json, &target),
        Command::Verify { trace } => verify::verify(&trace),
        Command::Call {
            service,
            method,
            argument,
            target,
        } => remote::call(&service, &method, &argument, &target),
    }
}

/// Writes a result. A reader that has gone away, as `head` does, is no failure.
fn print(text: impl fmt::Display) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Tells a person what goes on.
fn note(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn targets_exclude_each_other() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("isolith status --socket a --json").is_ok());
        assert!(parse("isolith status --socket a --data-dir b").is_err());
        assert!(parse("isolith deploy").is_err());
    }
}
