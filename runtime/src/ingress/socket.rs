//! A TCP stream that gives up on a peer that takes nothing.
//!
//! A response in flight holds a version set loaded. A client that stops reading would hold it for
//! as long as it likes, so a write that waits longer than the bound fails.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

pub(super) struct Socket {
    stream: TcpStream,
    /// How long one write may wait for the peer.
    patience: Duration,
    write: Write,
}

enum Write {
    Flowing,
    /// The peer takes nothing; when the sleep is over, the write has failed.
    Stalled(Pin<Box<Sleep>>),
}

impl Socket {
    pub(super) fn new(stream: TcpStream, patience: Duration) -> Self {
        Socket {
            stream,
            patience,
            write: Write::Flowing,
        }
    }

    /// Passes on what a write came to, and fails one that has waited too long.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.write = Write::Flowing;
            return result;
        }
        if matches!(self.write, Write::Flowing) {
            self.write = Write::Stalled(Box::pin(sleep(self.patience)));
        }
        if let Write::Stalled(sleep) = &mut self.write {
            ready!(sleep.as_mut().poll(cx));
            let now = Instant::now();
            tracing::debug!(
                "closing a connection: its client took nothing for {:?}",
                self.patience
            );
            // Polled again, it fails again.
            sleep.as_mut().reset(now);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
