//! Streams for a kind's own watch: a sequence of asynchronous steps, and a channel that other code sends into.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::resource::error::{Error, Result};
use crate::resource::watch::WatchEvent;

/// The stream of [`Watch::unfold`](crate::resource::Watch::unfold).
pub(super) struct Unfold<S, F, Fut> {
    /// `None` while a step has it, and after the end.
    state: Option<S>,
    step: F,
    running: Option<Pin<Box<Fut>>>,
}

/// No field is structurally pinned: the future is in its own box.
impl<S, F, Fut> Unpin for Unfold<S, F, Fut> {}

impl<S, F, Fut> Unfold<S, F, Fut> {
    pub(super) fn new(state: S, step: F) -> Self {
        Unfold { state: Some(state), step, running: None }
    }
}

impl<S, F, Fut> Stream for Unfold<S, F, Fut>
where
    F: FnMut(S) -> Fut,
    Fut: Future<Output = Result<(WatchEvent, S)>>,
{
    type Item = Result<WatchEvent>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Unfold { state, step, running } = self.get_mut();
        if let Some(state) = state.take() {
            *running = Some(Box::pin(step(state)));
        }
        let Some(future) = running else { return Poll::Ready(None) };
        let Poll::Ready(done) = future.as_mut().poll(cx) else { return Poll::Pending };
        *running = None;
        Poll::Ready(Some(done.map(|(event, next)| {
            *state = Some(next);
            event
        })))
    }
}

/// Wakes a resource from elsewhere: a callback, a thread, a task. Made by
/// [`Watch::channel`](crate::resource::Watch::channel).
///
/// Clones belong to the same watch. When the last one is dropped, the watch has failed.
#[derive(Debug)]
pub struct WatchSender {
    state: Arc<Mutex<State>>,
}

/// The events that were sent and not taken yet. The number is bounded, since two `Changed` are the same as one.
#[derive(Debug, Default)]
struct State {
    ready: bool,
    changed: bool,
    failed: Option<Error>,
    senders: usize,
    /// Whether the watch has ended.
    closed: bool,
    waker: Option<Waker>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WatchSender {
    /// Reports that the watch listens: no change from now on is missed. Must be called first; the resource is not
    /// checked before. A second call, for example after a lost connection was restored, has the effect of
    /// [`changed`](WatchSender::changed), since changes may have been missed in between.
    pub fn ready(&self) {
        self.tell(|state| state.ready = true);
    }

    /// Reports that something may have changed: the resource is checked. Cheap, and can be called any number of times:
    /// until the engine has taken the event, further calls have no effect.
    pub fn changed(&self) {
        self.tell(|state| state.changed = true);
    }

    /// Reports that the watch has failed. The engine starts it again with another call of `watch`, as the retry policy
    /// of the resource allows.
    pub fn fail(&self, error: impl Into<Error>) {
        let error = error.into();
        self.tell(|state| state.failed = Some(error));
    }

    /// Whether nothing listens any more: the resource has left the graph, its watch has been replaced, or the engine
    /// has ended.
    pub fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    fn tell(&self, what: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = lock(&self.state);
            what(&mut state);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Clone for WatchSender {
    fn clone(&self) -> WatchSender {
        lock(&self.state).senders += 1;
        WatchSender { state: Arc::clone(&self.state) }
    }
}

impl Drop for WatchSender {
    fn drop(&mut self) {
        self.tell(|state| state.senders -= 1);
    }
}

/// The stream that the engine polls.
pub(super) struct Receiver {
    state: Arc<Mutex<State>>,
    over: bool,
}

pub(super) fn channel() -> (WatchSender, Receiver) {
    let state = Arc::new(Mutex::new(State { senders: 1, ..State::default() }));
    (WatchSender { state: Arc::clone(&state) }, Receiver { state, over: false })
}

impl Stream for Receiver {
    type Item = Result<WatchEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let mut state = lock(&self.state);
        if std::mem::take(&mut state.ready) {
            return Poll::Ready(Some(Ok(WatchEvent::Ready)));
        }
        if std::mem::take(&mut state.changed) {
            return Poll::Ready(Some(Ok(WatchEvent::Changed)));
        }
        let failed = state.failed.take();
        if failed.is_none() && state.senders > 0 {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        self.over = true;
        Poll::Ready(failed.map(Err))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        lock(&self.state).closed = true;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::resource::Watch;

    fn events(watch: Watch) -> crate::resource::WatchStream {
        match watch.into_parts().pop() {
            Some(crate::resource::Part::Stream(stream)) => stream,
            part => panic!("{part:?} is no stream"),
        }
    }

    fn now(stream: &mut crate::resource::WatchStream) -> String {
        match stream.as_mut().poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => "nothing".to_owned(),
            Poll::Ready(None) => "end".to_owned(),
            Poll::Ready(Some(Ok(event))) => format!("{event:?}"),
            Poll::Ready(Some(Err(error))) => error.to_string(),
        }
    }

    #[test]
    fn a_channel_says_each_thing_once_until_it_is_taken() {
        let (sender, watch) = Watch::channel();
        let mut stream = events(watch);
        assert_eq!(now(&mut stream), "nothing");
        (0..1000).for_each(|_| sender.changed());
        sender.ready();
        assert_eq!([(); 3].map(|()| now(&mut stream)), ["Ready", "Changed", "nothing"]);
        let other = sender.clone();
        drop(sender);
        other.changed();
        other.fail(Error::new("the line is cut"));
        assert_eq!([(); 3].map(|()| now(&mut stream)), ["Changed", "the line is cut", "end"]);
        assert!(!other.is_closed());
        drop(stream);
        assert!(other.is_closed());
    }

    #[test]
    fn a_channel_ends_with_its_last_sender_and_not_before_what_that_said() {
        let (sender, watch) = Watch::channel();
        let mut stream = events(watch);
        sender.ready();
        drop(sender);
        assert_eq!([(); 2].map(|()| now(&mut stream)), ["Ready", "end"]);
    }

    #[tokio::test]
    async fn whoever_waits_at_a_channel_is_woken_from_another_thread() {
        let (sender, watch) = Watch::channel();
        let mut stream = events(watch);
        let thread = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            sender.ready();
        });
        let said = poll_fn(|cx| stream.as_mut().poll_next(cx)).await;
        assert_eq!(said.unwrap().unwrap(), WatchEvent::Ready);
        thread.join().unwrap();
    }

    #[test]
    fn unfolding_goes_from_step_to_step_and_ends_with_an_error() {
        let step = |n: u32| async move {
            match n {
                0 => Ok((WatchEvent::Ready, 1)),
                1 | 2 => Ok((WatchEvent::Changed, n + 1)),
                _ => Err(Error::new("over")),
            }
        };
        let mut stream = events(Watch::unfold(0, step));
        assert_eq!([(); 6].map(|()| now(&mut stream)), ["Ready", "Changed", "Changed", "over", "end", "end"]);
    }
}
