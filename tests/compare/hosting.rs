//! Hostings: how each is started, and when it is ready.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::processes::Processes;

/// How long a hosting may take until it serves, and until it has ended.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The frontend's port, and below those of the processes behind it. Outside of what the system
/// gives to clients.
const PORT: u16 = 18_400;

/// In a command: the binary of this project.
pub(crate) const ISOLITH: &str = "ISOLITH";

/// A way to run services.
pub(crate) struct Hosting {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Where its command is run, in the repository.
    pub(crate) folder: &'static str,
    /// `PORT` in it stands for the port.
    pub(crate) command: &'static [&'static str],
}

pub(crate) const HOSTINGS: [Hosting; 3] = [
    Hosting {
        name: "isolith",
        title: "Isolith, one process",
        folder: "services/examples/boutique",
        command: &[ISOLITH, "serve", "app.toml", "--listen", "127.0.0.1:PORT"],
    },
    Hosting {
        name: "workerd",
        title: "workerd, one process, service bindings",
        folder: "services/examples/boutique/hosting",
        command: &[
            "node_modules/workerd/bin/workerd",
            "serve",
            "workerd/config.capnp",
            "--socket-addr",
            "http=127.0.0.1:PORT",
        ],
    },
    Hosting {
        name: "node-grpc",
        title: "Node, 11 processes over gRPC",
        folder: "services/examples/boutique/hosting",
        command: &["node", "node-grpc/start.mjs"],
    },
];

/// A hosting that serves. Dropping it ends it.
pub(crate) struct Running {
    child: Child,
    ready: Duration,
}

impl Running {
    /// Starts it, and returns once its first page is there.
    pub(crate) fn start(hosting: &Hosting, root: &Path) -> Result<Self, Failure> {
        let fill = |word: &str| match word {
            ISOLITH => root.join("target/release/isolith").display().to_string(),
            word => word.replace("PORT", &PORT.to_string()),
        };
        let mut words = hosting.command.iter().copied().map(fill);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).current_dir(root.join(hosting.folder));
        command
            .env("PORT", PORT.to_string())
            .env("NODE_ENV", "production");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if TcpStream::connect(address()).is_ok() {
            return Err(format!("port {PORT} is taken").into());
        }
        let started = Instant::now();
        let child = command.spawn().map_err(|error| {
            let program = command.get_program().to_string_lossy().into_owned();
            format!("{}: cannot start {program}: {error}", hosting.name)
        })?;
        let mut running = Running {
            child,
            ready: Duration::ZERO,
        };
        while !first_page() {
            if let Some(status) = running.child.try_wait()? {
                return Err(format!("{} ended: {status}", hosting.name).into());
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("{} does not serve", hosting.name).into());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        running.ready = started.elapsed();
        Ok(running)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        address()
    }

    /// From its start to its first page.
    pub(crate) fn ready(&self) -> Duration {
        self.ready
    }

    pub(crate) fn processes(&self) -> Result<Processes, Failure> {
        Processes::of(self.child.id())
    }

    /// Asks it to end, and waits for it and for its port.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        self.terminate()?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() || TcpStream::connect(address()).is_ok() {
            if asked.elapsed() > PATIENCE {
                return Err("a hosting does not end".into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn terminate(&self) -> std::io::Result<()> {
        // The shell has `kill` built in, the system perhaps not.
        let script = format!("kill -TERM {}", self.child.id());
        Command::new("sh")
            .args(["-c", &script])
            .status()
            .map(|_| ())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.terminate();
        }
    }
}

fn address() -> SocketAddr {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, PORT).into()
}

/// Whether the first page is there. The shop's needs half of the services.
fn first_page() -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address())?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
