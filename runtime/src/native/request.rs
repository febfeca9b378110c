//! The request that a task works for, and what its panic ends.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

use crate::park::{PanicEnds, with_panics};

tokio::task_local! {
    /// The words of the root that the task's calls are made in the name of.
    static ROOT: (i32, i32);
}

/// The request of the current task, if it works for one.
pub(super) fn current() -> Option<(i32, i32)> {
    ROOT.try_with(|root| *root).ok()
}

/// Works for the request with these words.
pub(super) fn on_behalf<F: Future>(
    root: (i32, i32),
    work: F,
) -> impl Future<Output = Result<F::Output, String>> {
    ROOT.scope(root, Unharmed(Some(Box::pin(work))))
}

/// Starts a task on the shard's thread, on behalf of the request that the caller works for: what it
/// calls is called by that request's version set. Such calls fail once the request is over. A panic
/// ends the task alone, and is logged.
///
/// # Panics
/// If called on another thread than a shard's.
pub fn spawn<F: Future<Output = ()> + 'static>(work: F) -> JoinHandle<()> {
    let root = current();
    tokio::task::spawn_local(async move {
        let ended = match root {
            Some(root) => on_behalf(root, work).await,
            None => Unharmed(Some(Box::pin(work))).await,
        };
        if let Err(panic) = ended {
            tracing::error!("a task of a native service panicked: {panic}");
        }
    })
}

/// Code of a service: a panic in it, or in dropping it, ends nothing but itself.
struct Unharmed<F>(Option<Pin<Box<F>>>);

impl<F: Future> Future for Unharmed<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.0 else {
            return Poll::Pending;
        };
        match caught(|| work.as_mut().poll(context)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => {
                let dropped = self.end();
                Poll::Ready(dropped.map(|()| output))
            }
            Err(panic) => {
                let _ = self.end();
                Poll::Ready(Err(panic))
            }
        }
    }
}

impl<F> Unharmed<F> {
    fn end(&mut self) -> Result<(), String> {
        let work = self.0.take();
        caught(|| drop(work))
    }
}

impl<F> Drop for Unharmed<F> {
    fn drop(&mut self) {
        if let Err(panic) = self.end() {
            tracing::error!("dropping a call of a native service panicked: {panic}");
        }
    }
}

/// Runs code of a service; what it panicked with, if it did.
pub(super) fn caught<R>(code: impl FnOnce() -> R) -> Result<R, String> {
    with_panics(PanicEnds::TheCall, || catch_unwind(AssertUnwindSafe(code)))
        .map_err(|panic| text_of(&*panic))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}
