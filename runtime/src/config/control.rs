//! `[control]`: who may change what runs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::tls::{self, TlsError};

/// `[control]`
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Control {
    /// Users who may use the control socket beside the process's own and root.
    pub(crate) allow_uids: Vec<u32>,
    /// `None`: there is no control over the network.
    pub(crate) listen: Option<ControlListen>,
}

/// `[control.listen]`: control over the network, by mutual TLS. The files are PEM, relative to the
/// application file.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ControlListen {
    #[serde(deserialize_with = "super::listen")]
    pub(crate) address: SocketAddr,
    /// What it shows its clients, and those in between up to an authority that they know.
    certificate: PathBuf,
    key: PathBuf,
    /// The authorities whose clients are heard.
    client_ca: PathBuf,
}

impl Control {
    pub(super) const KEYS: &[&str] = &["allow_uids", "listen"];
}

impl ControlListen {
    /// Reads the files; `folder` is that of the application file.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub(crate) fn tls(&self, folder: &Path) -> Result<rustls::ServerConfig, TlsError> {
        tls::mutual_server(
            &folder.join(&self.certificate),
            &folder.join(&self.key),
            &folder.join(&self.client_ca),
        )
    }
}
