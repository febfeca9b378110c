//! A client's socket, in two halves on one thread, whose bytes are counted.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::{AsyncRead as FuturesRead, AsyncWrite as FuturesWrite};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::bounds::Bounds;

/// One half of a socket, for capnp-rpc.
pub(super) struct Half<S> {
    stream: Rc<RefCell<S>>,
    bounds: Rc<Bounds>,
}

/// Both halves of `stream`.
pub(super) fn split<S>(stream: S, bounds: &Rc<Bounds>) -> (Half<S>, Half<S>) {
    let stream = Rc::new(RefCell::new(stream));
    let half = |stream| Half {
        stream,
        bounds: Rc::clone(bounds),
    };
    (half(Rc::clone(&stream)), half(stream))
}

impl<S: AsyncRead + Unpin> FuturesRead for Half<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let stream = &mut *self.stream.borrow_mut();
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        let count = buffer.filled().len();
        self.bounds.count_read(count);
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncWrite + Unpin> FuturesWrite for Half<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = &mut *self.stream.borrow_mut();
        let count = ready!(Pin::new(stream).poll_write(cx, bytes))?;
        self.bounds.count_written(count);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(cx)
    }
}
