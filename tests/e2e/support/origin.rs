//! A server somewhere else, as a service's outbound requests meet it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::{ServerConnection, StreamOwned};

use super::tls::Identity;

/// Answers on its own threads until the test process ends.
///
/// | path | answer |
/// |---|---|
/// | `/to/STATUS/URL` | a redirect there |
/// | `/bytes/N` | so many bytes |
/// | `/never` | none |
/// | else | what it received: method, headers and body |
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    /// Each request's head.
    seen: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Origin {
    pub(crate) fn start() -> Self {
        Self::start_as("http", |own, stream| own.serve(stream))
    }

    /// One that speaks TLS.
    pub(crate) fn start_tls(identity: &Identity) -> Self {
        let config = identity.server();
        Self::start_as("https", move |own, stream| {
            let connection = ServerConnection::new(Arc::clone(&config));
            own.serve(StreamOwned::new(connection.unwrap(), stream))
        })
    }

    fn start_as(
        scheme: &'static str,
        serve: impl Fn(Self, TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let serve = Arc::new(serve);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = Origin {
            address: listener.local_addr().unwrap(),
            scheme,
            seen: Arc::default(),
        };
        let own = origin.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (own, serve) = (own.clone(), Arc::clone(&serve));
                // A client that breaks off is none of its business.
                std::thread::spawn(move || serve(own, stream).unwrap_or_default());
            }
        });
        origin
    }

    /// `http://127.0.0.1:PORT`, or `https`, and the path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The first lines of the requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        let heads = self.heads();
        heads
            .into_iter()
            .map(|mut head| head.swap_remove(0))
            .collect()
    }

    /// The heads of the requests so far, as lines.
    pub(crate) fn heads(&self) -> Vec<Vec<String>> {
        self.seen.lock().unwrap().clone()
    }

    fn serve(&self, stream: impl Read + Write) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push(line.trim().to_owned());
            }
            let first = head.first().cloned().unwrap_or_default();
            self.seen.lock().unwrap().push(head.clone());
            let body = read_body(&mut reader, &head)?;
            let target = first.split(' ').nth(1).unwrap_or("/").to_owned();
            if target.starts_with("/never") {
                std::thread::sleep(super::PATIENCE);
                return Ok(());
            }
            if let Some(rest) = target.strip_prefix("/to/") {
                let (status, to) = rest.split_once('/').unwrap_or(("302", ""));
                let reply = format!(
                    "HTTP/1.1 {status} Moved\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
                );
                reader.get_mut().write_all(reply.as_bytes())?;
                continue;
            }
            let content = match target.strip_prefix("/bytes/") {
                Some(count) => vec![b'x'; count.parse().unwrap_or(0)],
                None => format!("{}\n\n{}", head.join("\n"), String::from_utf8_lossy(&body))
                    .into_bytes(),
            };
            let length = content.len();
            let reply = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
            );
            reader.get_mut().write_all(reply.as_bytes())?;
            reader.get_mut().write_all(&content)?;
        }
    }
}

fn read_body(reader: &mut impl BufRead, head: &[String]) -> std::io::Result<Vec<u8>> {
    let header = |name: &str| {
        head.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let mut body = Vec::new();
    if let Some(length) = header("content-length").and_then(|length| length.parse().ok()) {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    } else if header("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
            let mut chunk = vec![0; length + 2];
            reader.read_exact(&mut chunk)?;
            if length == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }
    Ok(body)
}
