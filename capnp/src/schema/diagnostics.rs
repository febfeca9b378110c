//! Catches what the compiler writes to standard error and makes sense of it.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, Write},
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// One mistake in a schema file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, relative to the root if it lies below it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do, where that can be said.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.message
        )?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

pub(super) fn lines(diagnostics: &[Diagnostic]) -> String {
    let lines: Vec<String> = diagnostics.iter().map(Diagnostic::to_string).collect();
    lines.join("\n")
}

/// File descriptor 2 belongs to the whole process: one at a time.
static STDERR: Mutex<()> = Mutex::new(());

/// Leads file descriptor 2 back when dropped, also after a panic.
struct Restore(std::os::fd::OwnedFd);

impl Drop for Restore {
    fn drop(&mut self) {
        let _ = rustix::stdio::dup2_stderr(&self.0);
    }
}

/// Runs `f` and returns what was written to file descriptor 2 meanwhile.
pub(super) fn capture<T>(f: impl FnOnce() -> T) -> io::Result<(T, String)> {
    let _one = STDERR.lock().unwrap_or_else(PoisonError::into_inner);
    let mut file: File = tempfile::tempfile()?;
    let restore = Restore(rustix::io::dup(io::stderr())?);
    rustix::stdio::dup2_stderr(&file)?;
    let result = f();
    drop(restore);
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok((result, String::from_utf8_lossy(&bytes).into_owned()))
}

/// Writes to standard error what was caught but is not the compiler's.
pub(super) fn pass_on(rest: &str) {
    let _ = io::stderr().write_all(rest.as_bytes());
}

/// Splits the compiler's output into mistakes and other lines.
pub(super) fn parse(output: &str, prefixes: &[PathBuf]) -> (Vec<Diagnostic>, String) {
    let mut found = Vec::new();
    let mut rest = String::new();
    for line in output.lines() {
        match parse_line(line, prefixes) {
            Some(diagnostic) => found.push(diagnostic),
            None => {
                rest.push_str(line);
                rest.push('\n');
            }
        }
    }
    (found, rest)
}

/// `/path/a.capnp:3:23: error: Parse error.`, where the column may be a range: `23-25`.
fn parse_line(line: &str, prefixes: &[PathBuf]) -> Option<Diagnostic> {
    let (place, message) = line.split_once(": error: ")?;
    let mut parts = place.rsplitn(3, ':');
    let column = parts.next()?.split('-').next()?.parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    let path = parts.next()?;
    let relative = |prefix: &PathBuf| {
        let rest = path.strip_prefix(prefix.to_str()?)?;
        rest.strip_prefix('/').map(str::to_owned)
    };
    let file = prefixes
        .iter()
        .find_map(relative)
        .unwrap_or_else(|| path.to_owned());
    let hint = hint(message);
    Some(Diagnostic {
        file,
        line,
        column,
        message: message.trim().to_owned(),
        hint,
    })
}

fn hint(message: &str) -> Option<String> {
    if let Some(at) = message.find("@0x") {
        let id: String = message[at..].chars().take_while(|c| *c != ';').collect();
        return Some(format!(
            "put `{id};` on the first line of the file, and never change it"
        ));
    }
    let known = [
        (
            "Parse error",
            "look for a missing `;` or `}` here or at the end of the line before",
        ),
        (
            "Import failed",
            "paths are relative to the importing file; one that begins with `/` is looked up from \
             the project's folder",
        ),
        (
            "Not defined",
            "declare it in this file or import the file that declares it",
        ),
        ("Duplicate ordinal", "give each member the next free number"),
        ("Skipped ordinal", "number members from @0 without gaps"),
        ("already defined", "names in one scope must differ"),
    ];
    let (_, hint) = known.iter().find(|(part, _)| message.contains(part))?;
    Some((*hint).to_owned())
}
