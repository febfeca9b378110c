//! Runs the `isolith` binary.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::PATIENCE;

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
    command(binary())
}

/// A binary that is used as `isolith` is, without these settings.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_remove("ISOLITH_SOCKET")
        .env_remove("ISOLITH_CONTROL")
        .env_remove("ISOLITH_LOG");
    command
}

/// Runs `isolith` with these arguments.
pub(crate) fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ran {
    let mut command = isolith();
    command.args(arguments);
    finish(command)
}

/// Runs `isolith` in a folder, on files that the folder holds.
pub(crate) fn run_in<A: AsRef<OsStr>>(
    folder: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Ran {
    let mut command = isolith();
    command.args(arguments).current_dir(folder);
    finish(command)
}

/// Runs a command to its end.
///
/// # Panics
/// If it has not ended after [`PATIENCE`]; it is killed then.
pub(crate) fn finish(mut command: Command) -> Ran {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = read(child.stdout.take().unwrap());
    let stderr = read(child.stderr.take().unwrap());
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            let said = stdout.join().unwrap() + &stderr.join().unwrap();
            panic!("{command:?} did not end; it said:\n{said}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ran {
        code: status.code(),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    })
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
