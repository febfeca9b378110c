//! Runs the `isolith` binary.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The binary: beside this test's executable, where cargo puts both.
///
/// # Panics
/// If it is not there.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let this = std::env::current_exe().unwrap();
        let folder = this.parent().and_then(Path::parent).unwrap();
        let binary = folder.join("isolith");
        assert!(
            binary.is_file(),
            "there is no {}: build it first, with `make build`, or run `make test`",
            binary.display()
        );
        binary
    })
}

/// The binary, without the settings that the environment may hold for another process.
pub(crate) fn isolith() -> Command {
    let mut command = Command::new(binary());
    command
        .env_remove("ISOLITH_SOCKET")
        .env_remove("ISOLITH_LOG");
    command
}

/// Runs `isolith` with these arguments.
pub(crate) fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ran {
    ran(isolith().args(arguments).output().unwrap())
}

/// Runs `isolith` in a folder, on files that the folder holds.
pub(crate) fn run_in<A: AsRef<OsStr>>(
    folder: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Ran {
    ran(isolith()
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap())
}

/// The parts of a finished command.
pub(crate) fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ran {
    /// Standard output of a command that must have done what it was asked.
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// Standard error of a command that must have refused, with nothing on standard output.
    pub(crate) fn refused(self) -> String {
        assert_eq!(self.code, Some(1), "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        self.stderr
    }
}

/// Output as JSON.
pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}
