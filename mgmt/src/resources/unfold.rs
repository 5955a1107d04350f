//! Streams written as one asynchronous step.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

/// A stream whose next item is what `step` makes of the state; `None` ends it.
pub(crate) fn unfold<S, T, F, Fut>(state: S, step: F) -> Unfold<S, F, Fut>
where
    F: FnMut(S) -> Fut,
    Fut: Future<Output = Option<(T, S)>>,
{
    Unfold { state: Some(state), step, running: None }
}

/// See [`unfold`].
pub(crate) struct Unfold<S, F, Fut> {
    /// `None` while a step holds it, and after the end.
    state: Option<S>,
    step: F,
    running: Option<Pin<Box<Fut>>>,
}

impl<S, T, F, Fut> Stream for Unfold<S, F, Fut>
where
    S: Unpin,
    F: FnMut(S) -> Fut + Unpin,
    Fut: Future<Output = Option<(T, S)>>,
{
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Unfold { state, step, running } = self.get_mut();
        if let Some(state) = state.take() {
            *running = Some(Box::pin(step(state)));
        }
        let Some(future) = running else { return Poll::Ready(None) };
        let Poll::Ready(done) = future.as_mut().poll(cx) else { return Poll::Pending };
        *running = None;
        Poll::Ready(done.map(|(item, next)| {
            *state = Some(next);
            item
        }))
    }
}
