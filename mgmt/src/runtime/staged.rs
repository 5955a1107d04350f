//! What happens to operations on a simulated host: each is noted, and a test can make it fail, take long, never end, or
//! be the last one of its process. In a build without tests, none of this exists.

use std::sync::Arc;

use crate::resource::{BoxFuture, Operation, Result};
#[cfg(any(test, feature = "testing"))]
pub(crate) use stage::{Deed, Ended, Mishap, Stage};

/// What a resource does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Act {
    /// Looks whether it is as declared.
    Check,
    /// Repairs what the check found.
    Apply,
    /// Is refreshed, because a resource that notifies it has changed.
    Refresh,
}

/// The operation as it is on the host of this thread.
pub(crate) fn staged<T: Send + 'static>(
    act: Act,
    operation: &Arc<Operation>,
    future: BoxFuture<Result<T>>,
) -> BoxFuture<Result<T>> {
    crate::sys::if_simulated!(host => stage::on_stage(host, act, operation.id(), future));
    let _ = (act, operation);
    future
}

#[cfg(any(test, feature = "testing"))]
mod stage {
    use std::future::{pending, poll_fn};
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::task::Poll;
    use std::time::Duration;

    use super::Act;
    use crate::id::ResourceId;
    use crate::resource::{BoxFuture, Error, Result};
    use crate::sys::simulated::{Host, Part};

    /// What happens to an operation.
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) enum Mishap {
        /// It fails with this error, and does nothing.
        Fail(String),
        /// It begins so much later.
        Slow(Duration),
        /// It never ends, and does nothing.
        Hang,
        /// The process ends before it has done anything.
        CrashBefore,
        /// The process ends right before the n-th change of a file that it makes, counted from 1.
        CrashAtChange(u64),
        /// The process ends when it has done its work, before it can report that.
        CrashAfter,
    }

    /// How an operation ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Ended {
        /// It has not; if its process is over, it never will.
        Not,
        Well,
        Failed,
    }

    /// An operation that has begun.
    #[derive(Clone, Debug)]
    pub(crate) struct Deed {
        pub(crate) act: Act,
        pub(crate) id: ResourceId,
        pub(crate) ended: Ended,
        /// The number of the process, counted from 1.
        pub(crate) process: usize,
        /// How many operations had ended before it began, and how many by the time it had ended.
        pub(crate) span: (usize, usize),
        /// How many changes of files it has made.
        pub(crate) changes: u64,
    }

    /// What must still go wrong, and what was done.
    #[derive(Debug, Default)]
    pub(crate) struct Stage(Mutex<State>);

    #[derive(Debug, Default)]
    struct State {
        mishaps: Vec<(ResourceId, Act, Mishap)>,
        deeds: Vec<Deed>,
        ended: usize,
    }

    impl Part for Stage {
        fn fork(&self) -> Stage {
            Stage::default()
        }

        fn state(&self, _: &Host) -> Vec<String> {
            Vec::new()
        }
    }

    impl Stage {
        /// The next operation of this sort meets with the mishap.
        pub(crate) fn arrange(&self, id: ResourceId, act: Act, mishap: Mishap) {
            self.state().mishaps.push((id, act, mishap));
        }

        /// A resource for which a mishap is arranged and that is not known.
        pub(crate) fn unknown(&self, is_known: impl Fn(&ResourceId) -> bool) -> Option<ResourceId> {
            self.state().mishaps.iter().find(|(id, ..)| !is_known(id)).map(|(id, ..)| id.clone())
        }

        /// Everything that was begun, in order.
        pub(crate) fn deeds(&self) -> Vec<Deed> {
            self.state().deeds.clone()
        }

        fn begin(&self, process: usize, act: Act, id: &ResourceId) -> (usize, Option<Mishap>) {
            let mut state = self.state();
            let (span, id_of) = ((state.ended, usize::MAX), id.clone());
            state.deeds.push(Deed { act, id: id_of, ended: Ended::Not, process, span, changes: 0 });
            let at = state.mishaps.iter().position(|(of, what, _)| of == id && *what == act);
            (state.deeds.len() - 1, at.map(|at| state.mishaps.remove(at).2))
        }

        fn end(&self, deed: usize, changes: u64, well: bool) {
            let mut state = self.state();
            state.ended += 1;
            let ended = state.ended;
            if let Some(deed) = state.deeds.get_mut(deed) {
                deed.ended = if well { Ended::Well } else { Ended::Failed };
                deed.span.1 = ended;
                deed.changes = changes;
            }
        }

        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    pub(super) fn on_stage<T: Send + 'static>(
        host: Host,
        act: Act,
        id: ResourceId,
        mut future: BoxFuture<Result<T>>,
    ) -> BoxFuture<Result<T>> {
        Box::pin(async move {
            let (stage, life) = (host.part::<Stage>(), host.life());
            let (deed, mishap) = stage.begin(host.lives(), act, &id);
            match &mishap {
                None | Some(Mishap::CrashAfter | Mishap::CrashAtChange(_)) => {}
                Some(Mishap::Fail(error)) => {
                    stage.end(deed, 0, false);
                    return Err(Error::new(error.clone()));
                }
                Some(Mishap::Slow(by)) => host.sleep(*by).await,
                Some(Mishap::Hang) => pending().await,
                Some(Mishap::CrashBefore) => life.end(),
            }
            // What is random for a resource does not depend on what others have done before.
            let mut random = host.random_of(&id.to_string());
            let mut changes = 0;
            let result = poll_fn(|cx| {
                if life.is_over() {
                    return Poll::Pending;
                }
                let before = life.changes();
                if let Some(Mishap::CrashAtChange(n)) = mishap {
                    life.end_at_change(n.saturating_sub(changes).max(1));
                }
                let polled = host.with_random(&mut random, || future.as_mut().poll(cx));
                changes += life.changes() - before;
                if let Some(Mishap::CrashAtChange(_)) = mishap {
                    // What other operations change does not count.
                    life.end_at_no_change();
                }
                polled
            });
            let result = result.await;
            if life.is_over() {
                // It has ended the life of its process in the middle of its work.
                pending::<()>().await;
            }
            stage.end(deed, changes, result.is_ok());
            if mishap == Some(Mishap::CrashAfter) {
                life.end();
                pending::<()>().await;
            }
            result
        })
    }
}
