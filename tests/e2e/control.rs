//! Who may change what runs: the control socket's peers, and the network's by mutual TLS.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use crate::support::bundles::{bundle, bundles};
use crate::support::case;
use crate::support::command::{Ran, binary, finish, isolith, json, run};
use crate::support::server::Server;
use crate::support::tls::Authority;

const LAB: [&str; 2] = ["tests/cases/lab/front", "tests/cases/lab/greeter"];
/// greeter 1.1.0
const NEXT: &str = "tests/cases/refused/next";
/// `nobody`
const STRANGER: u32 = 65_534;

fn lab(more: &str) -> Server {
    let app = fs::read_to_string(case("lab/app.toml")).unwrap();
    Server::start_with(&(app + more), &bundles(&LAB))
}

/// A command over the network.
fn over(
    address: &str,
    ca: &Path,
    own: Option<&(std::path::PathBuf, std::path::PathBuf)>,
    what: &[&str],
) -> Ran {
    let mut line = isolith();
    line.args(what)
        .args(["--control", address])
        .arg("--ca")
        .arg(ca);
    if let Some((certificate, key)) = own {
        line.arg("--cert").arg(certificate).arg("--key").arg(key);
    }
    finish(line)
}

#[test]
fn control_over_the_network_needs_a_certificate_of_the_right_authority() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let (servers, clients, other) = (
        Authority::new("Servers"),
        Authority::new("Clients"),
        Authority::new("Others"),
    );
    let (certificate, key) = servers.certify("127.0.0.1").write(folder, "server");
    let ca = servers.write(folder, "servers");
    let listen = format!(
        "\n[control.listen]\naddress = \"127.0.0.1:0\"\ncertificate = {certificate:?}\n\
         key = {key:?}\nclient_ca = {:?}\n",
        clients.write(folder, "clients")
    );
    let server = lab(&listen);
    let log = server.await_log("control over mutual TLS at ");
    let address = log.split("mutual TLS at ").nth(1).unwrap();
    let address = address.split_whitespace().next().unwrap();

    let status = ["status", "--json"];
    let said = over(address, &ca, None, &status).refused();
    assert!(said.contains("CertificateRequired"), "{said}");
    let stranger = other.certify("eve").write(folder, "eve");
    let said = over(address, &ca, Some(&stranger), &status).refused();
    assert!(said.contains("did not answer"), "{said}");
    server.await_log("was turned away: invalid peer certificate: UnknownIssuer");
    // A server's certificate is no client's.
    let server_own = (certificate, key);
    over(address, &ca, Some(&server_own), &status).refused();

    let ada = clients.certify("ada").write(folder, "ada");
    let told = json(&over(address, &ca, Some(&ada), &status).done());
    assert_eq!(told["app"], "lab");
    let next = bundle(NEXT);
    over(
        address,
        &ca,
        Some(&ada),
        &["deploy", next.to_str().unwrap()],
    )
    .done();
    let history = json(&over(address, &ca, Some(&ada), &["history", "--json"]).done());
    let who = history[0]["who"].as_str().unwrap();
    assert!(who.starts_with("certificate sha256:"), "{who}");

    // The client knows whom it talks to.
    let wrong = other.write(folder, "others");
    let said = over(address, &wrong, Some(&ada), &status).refused();
    assert!(said.contains("UnknownIssuer"), "{said}");
    let said = run(["status", "--control", address]).refused();
    assert!(said.contains("--control needs --ca"), "{said}");
    // In clear text nobody is heard.
    let mut plain = crate::support::http1::Connection::open(address.parse().unwrap());
    plain.write(b"GET / HTTP/1.1\r\nhost: lab.test\r\n\r\n");
    server.await_log("was turned away: received corrupt message");
    assert_eq!(server.status()["change"], 2);
}

#[test]
fn the_socket_hears_its_own_user_and_those_who_are_allowed() {
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) != 0) {
        println!("not tried: only root can become somebody else");
        return;
    }
    // A stranger must be able to run it.
    let temp = tempfile::tempdir().unwrap();
    let copy = temp.path().join("isolith");
    fs::copy(binary(), &copy).unwrap();
    fs::set_permissions(temp.path(), Permissions::from_mode(0o755)).unwrap();
    let stranger = |server: &Server| {
        for folder in [server.folder().to_owned(), server.folder().join("data")] {
            fs::set_permissions(folder, Permissions::from_mode(0o711)).unwrap();
        }
        let mut line = std::process::Command::new(&copy);
        line.args(["status", "--json", "--socket"]);
        line.arg(server.folder().join("data/control.sock"));
        line.uid(STRANGER)
            .gid(STRANGER)
            .env_remove("ISOLITH_CONTROL")
            .current_dir("/");
        finish(line)
    };
    let server = lab("");
    // The file's mode keeps a stranger out; without it, the process does.
    assert!(stranger(&server).refused().contains("Permission denied"));
    let socket = server.folder().join("data/control.sock");
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    stranger(&server).refused();
    server.await_log(&format!("it runs as user {STRANGER}"));

    let server = lab(&format!("\n[control]\nallow_uids = [{STRANGER}]\n"));
    assert_eq!(json(&stranger(&server).done())["app"], "lab");
    let server = lab("\n[control]\nallow_uids = [4711]\n");
    stranger(&server).refused();
    server.await_log("allow_uids has [4711]");
}
