//! Commands that ask a running process: `deploy`, `status` and `call`.

use std::path::{Path, PathBuf};

use clap::Args;
use tokio::task::LocalSet;

use super::{files, note, print};
use crate::app::Failure;
use crate::config::AppConfig;
use crate::control::{Changed, Client, Status};
use crate::data_dir::control_socket;

/// Which process is meant.
#[derive(Args, Clone)]
#[group(multiple = false)]
pub(super) struct Target {
    /// The process that serves this application file
    #[arg(long, value_name = "APP.toml")]
    app: Option<PathBuf>,
    /// The process that keeps its data here [default: data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The process that listens on this control socket
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Names the control socket where no option does.
const SOCKET_VARIABLE: &str = "ISOLITH_SOCKET";

impl Target {
    fn socket(&self) -> Result<PathBuf, Failure> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        if let Some(dir) = &self.data_dir {
            return Ok(control_socket(dir));
        }
        if let Some(app) = &self.app {
            return Ok(control_socket(&AppConfig::load(app)?.data_dir()));
        }
        let named = std::env::var_os(SOCKET_VARIABLE).filter(|socket| !socket.is_empty());
        Ok(named.map_or_else(|| control_socket("data".as_ref()), PathBuf::from))
    }

    /// The process that serves `app`, if no other one is named.
    pub(super) fn or_app(&self, app: &Path) -> Self {
        let named = self.app.is_some() || self.data_dir.is_some() || self.socket.is_some();
        let known = named || std::env::var_os(SOCKET_VARIABLE).is_some();
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
        let socket = self.socket()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        LocalSet::new().block_on(&runtime, async {
            let client = Client::connect(&socket).await?;
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
            bundle.state.clone(),
            bundle.isolates.to_string(),
            format!("{} KiB", (bundle.heap_bytes + bundle.external_bytes) / 1024),
            bundle.requests.to_string(),
            bundle.errors.to_string(),
        ]
    });
    let heading = [
        "bundle", "state", "isolates", "memory", "requests", "errors",
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
    let widths: Vec<_> = (0..6).map(width).collect();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        lines.push(cells.collect::<Vec<_>>().join("  ").trim_end().to_owned());
    }
    lines.join("\n")
}
