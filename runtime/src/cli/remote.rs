//! Commands that ask a running process: `deploy`, `status` and `call`.

use std::path::{Path, PathBuf};

use clap::Args;
use tokio::task::LocalSet;

use super::{files, note, print};
use crate::app::Failure;
use crate::config::AppConfig;
use crate::control::{Changed, Client, NetworkEnd, Status};
use crate::data_dir::control_socket;
use crate::tls;

/// Which process is meant.
#[derive(Args, Clone)]
pub(super) struct Target {
    /// The process that serves this application file
    #[arg(long, value_name = "APP.toml", group = "process")]
    app: Option<PathBuf>,
    /// The process that keeps its data here [default: data]
    #[arg(long, value_name = "DIR", group = "process")]
    data_dir: Option<PathBuf>,
    /// The process that listens on this control socket
    #[arg(long, value_name = "PATH", group = "process")]
    socket: Option<PathBuf>,
    /// The process whose [control.listen] is here, over mutual TLS
    #[arg(long, value_name = "HOST:PORT", group = "process")]
    control: Option<String>,
    /// The certificate to show it, PEM
    #[arg(long, value_name = "FILE", env = "ISOLITH_CONTROL_CERT")]
    cert: Option<PathBuf>,
    /// The certificate's key, PEM
    #[arg(long, value_name = "FILE", env = "ISOLITH_CONTROL_KEY")]
    key: Option<PathBuf>,
    /// The authority that certifies it, PEM
    #[arg(long, value_name = "FILE", env = "ISOLITH_CONTROL_CA")]
    ca: Option<PathBuf>,
}

/// Where a process is reached.
enum Place {
    Socket(PathBuf),
    Network(NetworkEnd),
}

/// Names the control socket where no option does.
const SOCKET_VARIABLE: &str = "ISOLITH_SOCKET";

/// Names control on the network where neither an option nor that does.
const CONTROL_VARIABLE: &str = "ISOLITH_CONTROL";

impl Target {
    fn place(&self) -> Result<Place, Failure> {
        if let Some(address) = &self.control {
            return self.network(address);
        }
        if let Some(socket) = &self.socket {
            return Ok(Place::Socket(socket.clone()));
        }
        if let Some(dir) = &self.data_dir {
            return Ok(Place::Socket(control_socket(dir)));
        }
        if let Some(app) = &self.app {
            let config = AppConfig::load(app)?;
            return Ok(Place::Socket(control_socket(&config.data_dir())));
        }
        let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        match (named(SOCKET_VARIABLE), named(CONTROL_VARIABLE)) {
            (Some(socket), _) => Ok(Place::Socket(socket.into())),
            (None, Some(address)) => self.network(&address.to_string_lossy()),
            (None, None) => Ok(Place::Socket(control_socket("data".as_ref()))),
        }
    }

    fn network(&self, address: &str) -> Result<Place, Failure> {
        let ca = self.ca.as_deref().ok_or(
            "--control needs --ca, the certificate of the authority that certifies the process, and \
             --cert and --key to show it",
        )?;
        let own = match (&self.cert, &self.key) {
            (Some(certificate), Some(key)) => Some((&**certificate, &**key)),
            (None, None) => None,
            _ => return Err("--cert and --key belong together".into()),
        };
        Ok(Place::Network(NetworkEnd {
            address: address.to_owned(),
            tls: tls::mutual_client(ca, own)?.into(),
        }))
    }

    /// The process that serves `app`, if no other one is named.
    pub(super) fn or_app(&self, app: &Path) -> Self {
        let files = [&self.app, &self.data_dir, &self.socket];
        let named = self.control.is_some() || files.iter().any(|file| file.is_some());
        let variables = [SOCKET_VARIABLE, CONTROL_VARIABLE];
        let known = named
            || variables
                .iter()
                .any(|name| std::env::var_os(name).is_some());
        match known {
            true => self.clone(),
            false => Target {
                app: Some(app.to_owned()),
                ..self.clone()
            },
        }
    }

    /// Connects and has `ask` ask.
    pub(super) fn ask<T>(
        &self,
        ask: impl AsyncFnOnce(Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let place = self.place()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        LocalSet::new().block_on(&runtime, async {
            let client = match place {
                Place::Socket(socket) => Client::connect(&socket).await?,
                Place::Network(end) => Client::connect_network(end).await?,
            };
            ask(client).await
        })
    }
}

/// `isolith deploy FILE... [--message TEXT]`
pub(super) fn deploy(paths: &[PathBuf], message: &str, target: &Target) -> Result<(), Failure> {
    let bundles = read_files(paths)?;
    let changed = target.ask(async |client| Ok(client.deploy(&bundles, message).await?))?;
    report("deployed", changed)
}

/// Bundle files, as bytes. Checked here too: a damaged file is named, and not sent.
pub(super) fn read_files(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, Failure> {
    let read = |path: &PathBuf| Ok(files::open(path)?.file_bytes().to_vec());
    paths.iter().map(read).collect()
}

/// Prints what became of a change; a refusal is a failure.
pub(super) fn report(done: &str, changed: Changed) -> Result<(), Failure> {
    match changed {
        Changed::Refused(reason) => Err(format!("refused: {reason}").into()),
        Changed::Accepted {
            number,
            epoch,
            set,
            wiring,
        } => {
            print(format_args!(
                "{done}: epoch {epoch}, set {set}, change {number}"
            ))?;
            print(wiring.join("\n"))
        }
    }
}

/// `isolith status [--json]`
pub(super) fn status(json: bool, target: &Target) -> Result<(), Failure> {
    let status = target.ask(async |client| Ok(client.status().await?))?;
    match json {
        true => print(serde_json::to_string_pretty(&status)?),
        false => print(describe(&status).trim_end()),
    }
}

/// `isolith call SERVICE[@VERSION] [EXPORT.]METHOD [JSON]`: prints the result as JSON, and who
/// answered on standard error.
pub(super) fn call(
    service: &str,
    method: &str,
    argument: &str,
    target: &Target,
) -> Result<(), Failure> {
    let (service, version) = service.split_once('@').unwrap_or((service, ""));
    let called =
        target.ask(async |client| Ok(client.call(service, version, method, argument).await?))?;
    note(format_args!("{} in set {}", called.bundle, called.set));
    print(called.json)
}

fn describe(status: &Status) -> String {
    let seconds = status.uptime_ms / 1000;
    let mut lines = vec![
        format!(
            "{} at http://{}, entry {}",
            status.app, status.listen, status.entry
        ),
        format!(
            "isolith {}, pid {}, up {seconds} s, {} shards, change {}, epoch {}, {} requests, \
             {} in flight",
            status.version,
            status.pid,
            status.shards,
            status.change,
            status.epoch,
            status.requests,
            status.requests_in_flight
        ),
    ];
    for set in &status.sets {
        let share = f64::from(set.weight) / 100.0;
        lines.push(String::new());
        lines.push(format!("set {}", set.digest));
        lines.push(format!(
            "  {}, {share} % of new requests, {} pins",
            set.state, set.pins
        ));
        for edge in &set.edges {
            lines.push(format!(
                "  {} {} -> {} {}  (asks for {})",
                edge.caller, edge.import, edge.callee, edge.export, edge.range
            ));
        }
    }
    let rows = status.bundles.iter().map(|bundle| {
        [
            format!("{}@{}", bundle.service, bundle.version),
            match bundle.native {
                true => format!("{}, native", bundle.state),
                false => bundle.state.clone(),
            },
            bundle.isolates.to_string(),
            format!("{} KiB", (bundle.heap_bytes + bundle.external_bytes) / 1024),
            bundle.requests.to_string(),
            bundle.errors.to_string(),
            bundle.idle_evictions.to_string(),
        ]
    });
    let heading = [
        "bundle", "state", "isolates", "memory", "requests", "errors", "evicted",
    ]
    .map(String::from);
    let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
    lines.push(String::new());
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<_> = (0..7).map(width).collect();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        lines.push(cells.collect::<Vec<_>>().join("  ").trim_end().to_owned());
    }
    lines.join("\n")
}
