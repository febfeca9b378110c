//! TLS: certificates and keys from files, and the settings that are made with them.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_platform_verifier::Verifier;

/// Why TLS cannot be set up: what is wrong, and with which file.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TlsError(String);

/// The certificates in a PEM file: one at least.
///
/// # Errors
/// If there are none, or the file cannot be read.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unusable(file, error))?;
    match found.is_empty() {
        true => Err(unusable(
            file,
            "it has no certificate; a PEM file is wanted",
        )),
        false => Ok(found),
    }
}

/// The settings of a client that trusts the system's authorities, and `extra` ones.
///
/// # Errors
/// If there are none at all, or an extra one is none.
pub(crate) fn client(extra: &[CertificateDer<'static>]) -> Result<ClientConfig, TlsError> {
    let failed = |error: rustls::Error| TlsError(error.to_string());
    let verifier = Verifier::new_with_extra_roots(extra.iter().cloned(), provider());
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier.map_err(failed)?))
        .with_no_client_auth())
}

/// The settings of a server that hears only clients whom an authority of `clients` has certified.
///
/// # Errors
/// What is wrong with a file.
pub(crate) fn mutual_server(
    certificate: &Path,
    key: &Path,
    clients: &Path,
) -> Result<ServerConfig, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(clients)?.into(), provider());
    let verifier = verifier.build().map_err(|error| unusable(clients, error))?;
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| TlsError(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(certificate)?, private_key(key)?)
        .map_err(|error| unusable(certificate, error))
}

/// The settings of a client that trusts the authorities of `servers` alone, and shows `own`, a
/// certificate and its key.
///
/// # Errors
/// What is wrong with a file.
pub(crate) fn mutual_client(
    servers: &Path,
    own: Option<(&Path, &Path)>,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| TlsError(error.to_string()))?
        .with_root_certificates(roots(servers)?);
    match own {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| unusable(certificate, error)),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| unusable(file, error))
}

fn roots(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(file, error))?;
    }
    Ok(roots)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn unusable(file: &Path, reason: impl Display) -> TlsError {
    TlsError(format!("{}: {reason}", file.display()))
}
