//! A process that serves an application, for as long as a test needs it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use tempfile::TempDir;

use super::command::{Ran, binary, command, finish, isolith, json};
use super::http1::{Connection, Reply, Request};
use super::{PATIENCE, eventually};

/// A running `isolith serve`. Dropping it ends the process.
pub(crate) struct Server {
    child: Child,
    program: &'static Path,
    address: SocketAddr,
    /// What else it said of where it can be reached.
    said: Mutex<mpsc::Receiver<String>>,
    folder: Arc<TempDir>,
    log: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

/// A figure of a serving process's memory, in KiB, by its name in `/proc/PID/status`.
pub(crate) fn memory_kib(status: &serde_json::Value, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", status["pid"])).unwrap();
    let field = format!("{name}:");
    let line = text.lines().find(|line| line.starts_with(&field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

impl Server {
    /// Serves the application file with these bundles; returns once it listens.
    pub(crate) fn start(app: &Path, bundles: &[PathBuf]) -> Self {
        Self::start_with(&fs::read_to_string(app).unwrap(), bundles)
    }

    /// Serves an application file of this text.
    pub(crate) fn start_with(app: &str, bundles: &[PathBuf]) -> Self {
        Self::start_in(app, bundles, &[])
    }

    /// Serves it with these variables in its environment.
    pub(crate) fn start_in(app: &str, bundles: &[PathBuf], environment: &[(&str, &str)]) -> Self {
        Self::start_of(binary(), app, bundles, environment)
            .unwrap_or_else(|said| panic!("it does not serve: {said}"))
    }

    /// Serves it with another binary; if that does not serve it, says what it wrote.
    pub(crate) fn start_of(
        program: &'static Path,
        app: &str,
        bundles: &[PathBuf],
        environment: &[(&str, &str)],
    ) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let dist = folder.path().join("dist");
        fs::create_dir(&dist).unwrap();
        for (place, file) in bundles.iter().enumerate() {
            fs::copy(file, dist.join(format!("{place}.isolith"))).unwrap();
        }
        fs::write(folder.path().join("app.toml"), with_ample_budgets(app)).unwrap();
        Self::launch(program, Arc::new(folder), environment)
    }

    /// Kills the process, with SIGKILL, and serves the same folder again.
    pub(crate) fn restart(self) -> Self {
        let again = self.try_restart();
        again.unwrap_or_else(|said| panic!("it does not serve again: {said}"))
    }

    /// Like [`restart`](Self::restart); if the folder is not served again, says what the process
    /// wrote.
    pub(crate) fn try_restart(mut self) -> Result<Self, String> {
        self.kill();
        self.again()
    }

    /// Like [`restart`](Self::restart), with these variables in the process's environment.
    pub(crate) fn restart_with(mut self, environment: &[(&str, &str)]) -> Self {
        self.kill();
        Self::launch(self.program, Arc::clone(&self.folder), environment)
            .unwrap_or_else(|said| panic!("it does not serve again: {said}"))
    }

    /// Serves the folder of a process that was killed again; if that fails, says what it wrote.
    pub(crate) fn again(&self) -> Result<Self, String> {
        Self::launch(self.program, Arc::clone(&self.folder), &[])
    }

    /// Has every write of the process that reaches past this place in a file fail, as on a full
    /// disk; `None` lifts that.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let pid = libc::pid_t::try_from(self.child.id()).unwrap();
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: both pointers are to a value of this frame, or null, which stands for none.
        let done = unsafe {
            libc::prlimit(pid, libc::RLIMIT_FSIZE, std::ptr::null(), &mut limit);
            limit.rlim_cur = bytes.unwrap_or(limit.rlim_max);
            libc::prlimit(pid, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut())
        };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// Kills the process, with SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Where the application file, the bundles in `dist` and the data directory are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn launch(
        program: &'static Path,
        folder: Arc<TempDir>,
        environment: &[(&str, &str)],
    ) -> Result<Self, String> {
        let mut child = command(program)
            .arg("serve")
            .arg(folder.path().join("app.toml"))
            .args(["--listen", "127.0.0.1:0"])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();

        let log = Arc::new(Mutex::new(Vec::new()));
        let (mut stderr, sink) = (child.stderr.take().unwrap(), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            // Larger than a record of the log, so that none is seen in part.
            let mut part = [0; 64 * 1024];
            while let Ok(length @ 1..) = stderr.read(&mut part) {
                let mut log = sink.lock().unwrap_or_else(PoisonError::into_inner);
                log.extend_from_slice(&part[..length]);
            }
        });
        let (tell, told) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        // Reads on to the end, since the process may write more.
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let first = told.recv_timeout(PATIENCE).unwrap_or_default();
        let address = first.strip_prefix("listening on http://");
        let Some(address) = address.and_then(|address| address.parse().ok()) else {
            let _ = child.kill();
            let _ = child.wait();
            let _ = reader.join();
            return Err(format!("{first:?}\n{}", text(&log)));
        };
        Ok(Server {
            child,
            program,
            address,
            said: Mutex::new(told),
            folder,
            log,
            reader: Some(reader),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients of Cap'n Proto RPC connect.
    pub(crate) fn rpc(&self) -> SocketAddr {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let line = said.recv_timeout(PATIENCE).unwrap();
            let place = line.strip_prefix("rpc on ");
            if let Some(place) = place.and_then(|place| place.split(' ').next()) {
                return place.parse().unwrap();
            }
        }
    }

    /// What the process wrote on standard error so far.
    pub(crate) fn log(&self) -> String {
        text(&self.log)
    }

    /// Waits until the log has `text`, and gives the log.
    pub(crate) fn await_log(&self, text: &str) -> String {
        eventually(&format!("the log says {text:?}:\n{}", self.log()), || {
            Some(self.log()).filter(|log| log.contains(text))
        })
    }

    /// A connection of its own.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// One request on a connection of its own.
    pub(crate) fn send(&self, request: &Request) -> Reply {
        self.connect().send(request)
    }

    /// One GET request on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Reply {
        self.send(&Request::new("GET", target))
    }

    /// A command to this process: `isolith COMMAND ARGUMENTS`.
    pub(crate) fn control(&self, arguments: &[&str]) -> Ran {
        self.controls().run(arguments)
    }

    /// For commands to this process from another thread, and to the one that takes its place.
    pub(crate) fn controls(&self) -> Controls {
        Controls(self.folder.path().join("app.toml"))
    }

    /// `isolith deploy FILE`
    pub(crate) fn deploy(&self, bundle: &Path) -> Ran {
        self.control(&["deploy", bundle.to_str().unwrap()])
    }

    /// `isolith status --json`
    pub(crate) fn status(&self) -> serde_json::Value {
        json(&self.control(&["status", "--json"]).done())
    }

    /// The memory that the process has.
    pub(crate) fn resident_mib(&self) -> u64 {
        memory_kib(&self.status(), "VmRSS") >> 10
    }

    /// Asks the process to end, with SIGTERM, and does not wait for it.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        // The shell has `kill` built in, the system perhaps not.
        let mut shell = Command::new("sh");
        shell.args(["-c", "kill -TERM \"$0\"", &pid]);
        assert!(shell.status().unwrap().success());
    }

    /// Waits for the process to end, and gives its status and its whole log.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let status = eventually("the process ends", || self.child.try_wait().unwrap());
        self.reader.take().unwrap().join().unwrap();
        (status, self.log())
    }
}

/// Names a process by its application file.
pub(crate) struct Controls(PathBuf);

impl Controls {
    /// `isolith COMMAND ARGUMENTS`
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let mut line = isolith();
        line.args(arguments).arg("--app").arg(&self.0);
        finish(line)
    }
}

/// The application with budgets of CPU time that a busy machine's requests stay within too, unless
/// it sets them itself: a machine whose cores are shared counts time against them that
/// they did not have.
fn with_ample_budgets(app: &str) -> String {
    const BUDGETS: &str = "cpu_ms_per_request = 2000\ncpu_ms_per_request_max = 600000\n";
    match app.split_once("[limits]\n") {
        _ if app.contains("cpu_ms_per_request") => app.to_owned(),
        Some((before, after)) => format!("{before}[limits]\n{BUDGETS}{after}"),
        None => format!("{app}\n[limits]\n{BUDGETS}"),
    }
}

fn text(log: &Mutex<Vec<u8>>) -> String {
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&log).into_owned()
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.terminate();
        let started = std::time::Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if started.elapsed() > PATIENCE / 2 {
                let _ = self.child.kill();
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}
