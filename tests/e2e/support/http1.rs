//! HTTP/1.1 byte by byte: what a test sends, and when, is its own choice.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::PATIENCE;
use super::command::json;

/// A request whose body is known.
pub(crate) struct Request {
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// A response whose body has arrived.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A connection, and what was read from it and not used yet.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Request {
    pub(crate) fn new(method: &'static str, target: impl Into<String>) -> Self {
        Request {
            method,
            target: target.into(),
            headers: Vec::new(),
            body: None,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// With a JSON body.
    pub(crate) fn json(self, value: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(value.to_string())
    }
}

impl Reply {
    /// The only header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(given, _)| given == name);
        let (first, second) = (found.next(), found.next());
        assert!(second.is_none(), "more than one {name} in {self:?}");
        first.map(|(_, value)| value.as_str())
    }

    /// All headers of this name, in order.
    pub(crate) fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.headers.iter().filter(move |(given, _)| given == name);
        named.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        json(self.text())
    }

    /// The problem document of a refusal with this status.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        assert_eq!(problem["status"], status);
        problem
    }
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Sends a request and reads the response. The connection can be used again.
    pub(crate) fn send(&mut self, request: &Request) -> Reply {
        let Request {
            method,
            target,
            headers,
            body,
        } = request;
        let mut text = format!("{method} {target} HTTP/1.1\r\nhost: lab.test\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = body {
            text += &format!("content-length: {}\r\n", body.len());
        }
        self.write(format!("{text}\r\n").as_bytes());
        self.write(body.as_deref().unwrap_or_default());
        self.reply(*method == "HEAD")
    }

    /// Sends the head of a request whose body will follow in chunks.
    pub(crate) fn begin_chunked(&mut self, method: &str, target: &str) {
        let head = format!("{method} {target} HTTP/1.1\r\nhost: lab.test\r\n");
        self.write(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes());
    }

    /// Sends one chunk of a request body; an empty one ends it.
    pub(crate) fn chunk(&mut self, data: &[u8]) {
        let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
        chunk.extend_from_slice(data);
        chunk.extend_from_slice(b"\r\n");
        self.write(&chunk);
    }

    /// Sends bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// A second handle on the same connection, to write while the first one reads.
    pub(crate) fn writer(&self) -> Connection {
        Connection {
            stream: self.stream.try_clone().unwrap(),
            buffer: Vec::new(),
        }
    }

    /// Reads a whole response.
    pub(crate) fn reply(&mut self, head_only: bool) -> Reply {
        let mut reply = self.head();
        if head_only || [204, 304].contains(&reply.status) {
            return reply;
        }
        match framing(&reply) {
            Framing::Length(length) => {
                while self.buffer.len() < length {
                    assert!(self.fill(), "the response body broke off");
                }
                reply.body = self.buffer.drain(..length).collect();
            }
            Framing::Chunked => loop {
                let chunk = self.read_chunk().expect("the response body broke off");
                if chunk.is_empty() {
                    break;
                }
                reply.body.extend_from_slice(&chunk);
            },
        }
        reply
    }

    /// Reads the head of a response; its body is empty so far.
    pub(crate) fn head(&mut self) -> Reply {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut head = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(length) = head.parse(&self.buffer).unwrap() {
                let headers = head.headers.iter().map(|header| {
                    let value = std::str::from_utf8(header.value).unwrap();
                    (header.name.to_ascii_lowercase(), value.to_owned())
                });
                let reply = Reply {
                    status: head.code.unwrap(),
                    headers: headers.collect(),
                    body: Vec::new(),
                };
                self.buffer.drain(..length);
                return reply;
            }
            assert!(self.fill(), "the connection was closed before a response");
        }
    }

    /// The next chunk of a chunked response body, an empty one at its end; `None` if the
    /// connection was closed before.
    pub(crate) fn read_chunk(&mut self) -> Option<Vec<u8>> {
        loop {
            if let httparse::Status::Complete((start, length)) =
                httparse::parse_chunk_size(&self.buffer).unwrap()
            {
                let end = start + usize::try_from(length).unwrap();
                while self.buffer.len() < end + 2 {
                    if !self.fill() {
                        return None;
                    }
                }
                let chunk = self.buffer[start..end].to_vec();
                self.buffer.drain(..end + 2);
                return Some(chunk);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Whether the peer closes the connection without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && !self.fill()
    }

    /// Reads what has come; false at the end of the connection.
    fn fill(&mut self) -> bool {
        let mut part = [0; 64 * 1024];
        match self.stream.read(&mut part) {
            Ok(length) => {
                self.buffer.extend_from_slice(&part[..length]);
                length > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no response: {error}"),
        }
    }
}

fn framing(reply: &Reply) -> Framing {
    match (
        reply.header("transfer-encoding"),
        reply.header("content-length"),
    ) {
        (Some("chunked"), None) => Framing::Chunked,
        (None, Some(length)) => Framing::Length(length.parse().unwrap()),
        (None, None) => Framing::Length(0),
        other => panic!("a body that ends nowhere: {other:?}"),
    }
}
