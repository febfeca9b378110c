//! A client in Rust: capnp-rpc over a Unix socket and over TLS.

use std::cell::{Cell, RefCell};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{RpcSystem, twoparty};
use isolith_capnp::rpc_capnp::isolith;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::LocalSet;
use tokio_rustls::TlsConnector;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use super::{FOLDERS, serve};
use crate::auth_capnp::{auth, named, sink};
use crate::support::bundles::bundles;
use crate::support::server::Server;
use crate::support::{PATIENCE, case, eventually};

/// Runs what a client does.
pub(super) fn on_client<F: Future<Output = ()>>(client: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let bounded = async { tokio::time::timeout(PATIENCE, client).await.unwrap() };
    LocalSet::new().block_on(&runtime, bounded);
}

/// The bootstrap interface of a server.
pub(super) fn client_on<R, W>(read: R, write: W) -> isolith::Client
where
    R: tokio::io::AsyncRead + Unpin + 'static,
    W: tokio::io::AsyncWrite + Unpin + 'static,
{
    let (read, write) = (read.compat(), write.compat_write());
    let network = twoparty::VatNetwork::new(read, write, Side::Client, Default::default());
    let mut system = RpcSystem::new(Box::new(network), None);
    let client = system.bootstrap(Side::Server);
    tokio::task::spawn_local(system);
    client
}

pub(super) async fn unix(server: &Server) -> isolith::Client {
    let stream = UnixStream::connect(server.folder().join("rpc.sock"))
        .await
        .unwrap();
    let (read, write) = stream.into_split();
    client_on(read, write)
}

pub(super) async fn tcp(address: SocketAddr) -> isolith::Client {
    let stream = TcpStream::connect(address).await.unwrap();
    let (read, write) = stream.into_split();
    client_on(read, write)
}

/// A session with auth.
pub(super) async fn open(root: &isolith::Client) -> Result<auth::Client, capnp::Error> {
    let mut request = root.open_request();
    request.get().set_service("auth");
    let opened = request.send().promise.await?;
    opened.get()?.get_capability().get_as_capability()
}

pub(super) async fn version(auth: &auth::Client) -> Result<String, capnp::Error> {
    let answer = auth.version_request().send().promise.await?;
    Ok(answer.get()?.get_version()?.to_string()?)
}

/// The error's kind and text.
pub(super) fn failed<T>(result: Result<T, capnp::Error>) -> (capnp::ErrorKind, String) {
    match result {
        Ok(_) => panic!("it did not fail"),
        Err(error) => (error.kind, error.extra),
    }
}

struct Guest(&'static str);

impl named::Server for Guest {
    async fn name(
        self: Rc<Self>,
        _: named::NameParams,
        mut results: named::NameResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_name(self.0);
        Ok(())
    }
}

#[test]
fn objects_pass_both_ways_over_a_unix_socket() {
    let server = serve();
    on_client(async {
        let root = unix(&server).await;
        let auth = open(&root).await.unwrap();
        let guest: named::Client = capnp_rpc::new_client(Guest("Grace"));

        let mut request = auth.introduce_request();
        request.get().set_guest(guest.clone());
        let answer = request.send().promise.await.unwrap();
        let greeting = answer.get().unwrap().get_greeting().unwrap();
        assert_eq!(greeting, "Hello, Grace");

        // What comes home is what was sent.
        let mut request = auth.remember_request();
        request.get().set_guest(guest.clone());
        let home = request.send().pipeline.get_guest();
        let answer = home.name_request().send().promise.await.unwrap();
        assert_eq!(answer.get().unwrap().get_name().unwrap(), "Grace");

        // An object of the service's own goes home, before it is there.
        let mut request = auth.login_request();
        request.get().set_user("Ada");
        let session = request.send().pipeline.get_session();
        let mut request = auth.introduce_request();
        let as_named = capnp::capability::FromClientHook::cast_to(session.clone());
        request.get().set_guest(as_named);
        let answer = request.send().promise.await.unwrap();
        let greeting = answer.get().unwrap().get_greeting().unwrap();
        assert_eq!(greeting, "Hello, Ada");

        // Of another interface, of no interface, of no number.
        let stranger: sink::Client = capnp::capability::FromClientHook::cast_to(auth.clone());
        let (kind, text) = failed(stranger.end_request().send().promise.await);
        assert_eq!(kind, capnp::ErrorKind::Unimplemented, "{text}");
        let (_, text) = failed(auth.fail_request().send().promise.await);
        assert!(text.contains("an error in the service"), "{text}");
    });
    server.await_log("the secret is 7");
}

#[test]
fn a_session_lasts_as_long_as_its_capabilities() {
    let server = serve();
    let holders = || server.control(&["holders", "auth@1.0.0"]).done();
    on_client(async {
        let root = unix(&server).await;
        let auth = open(&root).await.unwrap();
        let waits = auth.wait_request().send();
        let mut request = auth.login_request();
        request.get().set_user("Ada");
        let session = {
            let answer = request.send().promise.await.unwrap();
            answer.get().unwrap().get_session().unwrap()
        };
        assert!(holders().contains("capability"), "{}", holders());
        // Whoever gives a call up is heard of.
        drop((waits, auth));
        while !server.log().contains("nobody waits any more") {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        // An object that the service gave is enough.
        session.version_request().send().promise.await.unwrap();
        assert!(holders().contains("capability"), "{}", holders());
        drop(session);
        while holders().contains("capability") {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        // And the end of the connection ends what is left.
        let _held = open(&root).await.unwrap();
        assert!(holders().contains("capability"), "{}", holders());
    });
    eventually("nothing is held any more", || {
        (!holders().contains("capability")).then_some(())
    });
    server.terminate();
    let (_, log) = server.ended();
    assert!(log.contains("every request has ended"), "{log}");
}

#[test]
fn calls_arrive_in_the_order_in_which_they_were_made() {
    let server = serve();
    on_client(async {
        let auth = open(&unix(&server).await).await.unwrap();
        // Nothing is awaited before the last one, and the sink is not there yet.
        let sink = auth.upload_request().send().pipeline.get_sink();
        let blocks: Vec<_> = (0..200_u32)
            .map(|number| {
                let mut request = sink.write_request();
                let bytes = request.get().init_bytes(50_000);
                bytes[..4].copy_from_slice(&number.to_le_bytes());
                request.send()
            })
            .collect();
        let end = sink.end_request().send().promise;
        for block in blocks {
            block.await.unwrap();
        }
        let answer = end.await.unwrap();
        let answer = answer.get().unwrap();
        assert_eq!(
            (answer.get_total(), answer.get_ordered()),
            (10_000_000, true)
        );
    });
}

/// Counts what is streamed to it, and what of it is under way at once.
#[derive(Default)]
struct Bucket {
    bytes: Cell<usize>,
    under_way: Cell<usize>,
    most_under_way: Cell<usize>,
    next: Cell<u32>,
    is_over: Rc<RefCell<bool>>,
}

impl sink::Server for Bucket {
    async fn write(self: Rc<Self>, params: sink::WriteParams) -> Result<(), capnp::Error> {
        let bytes = params.get()?.get_bytes()?;
        assert_eq!(bytes[..4], self.next.get().to_le_bytes());
        self.next.set(self.next.get() + 1);
        self.under_way.set(self.under_way.get() + bytes.len());
        self.most_under_way
            .set(self.most_under_way.get().max(self.under_way.get()));
        tokio::task::yield_now().await;
        self.under_way.set(self.under_way.get() - bytes.len());
        self.bytes.set(self.bytes.get() + bytes.len());
        Ok(())
    }

    async fn end(
        self: Rc<Self>,
        _: sink::EndParams,
        _: sink::EndResults,
    ) -> Result<(), capnp::Error> {
        self.is_over.replace(true);
        Ok(())
    }
}

#[test]
fn a_service_streams_to_a_client_within_the_window() {
    let server = serve();
    on_client(async {
        let auth = open(&unix(&server).await).await.unwrap();
        let bucket = Rc::new(Bucket::default());
        let mut request = auth.download_request();
        request
            .get()
            .set_into(capnp_rpc::new_client_from_rc(Rc::clone(&bucket)));
        request.get().set_mib(16);
        request.send().promise.await.unwrap();
        assert_eq!(bucket.bytes.get(), 16 << 20);
        assert!(bucket.most_under_way.get() <= (1 << 20) + (1 << 17));
        assert!(*bucket.is_over.borrow());
    });
}

/// A certificate for `localhost`, in files, and the client's trust in it.
pub(super) struct Authority {
    pub(super) config: Arc<ClientConfig>,
    pub(super) text: String,
}

pub(super) fn authority(folder: &Path, own: bool) -> Authority {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificates, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&certificates, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        false => builder.with_no_client_auth(),
        true => {
            let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
            builder
                .with_client_auth_cert(vec![certificate], key)
                .unwrap()
        }
    };
    let text = format!(
        "tls = {{ certificates = {certificates:?}, key = {key:?}, client_authorities = \
         {certificates:?} }}\n"
    );
    Authority {
        config: Arc::new(config),
        text,
    }
}

#[test]
fn over_tls_only_clients_with_a_known_certificate_are_heard_if_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let known = authority(folder.path(), true);
    let app = fs::read_to_string(case("rpc/app.toml")).unwrap() + &known.text;
    let server = Server::start_with(&app, &bundles(&FOLDERS));
    let address = server.rpc();
    let connect = async |config: Arc<ClientConfig>| {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        let (read, write) = tokio::io::split(stream);
        Ok::<_, std::io::Error>(client_on(read, write))
    };
    on_client(async {
        let root = connect(known.config).await.unwrap();
        let auth = open(&root).await.unwrap();
        assert_eq!(version(&auth).await.unwrap(), "1.0.0");

        let elsewhere = tempfile::tempdir().unwrap();
        let unknown = authority(elsewhere.path(), false);
        assert!(connect(unknown.config).await.is_err());
        // Without TLS nobody is heard.
        let plain = tcp(address).await;
        assert!(open(&plain).await.is_err());
    });
}
