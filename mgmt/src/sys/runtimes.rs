//! Builds tokio runtimes where the system may refuse what they need: tokio panics then.

use std::io;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use tokio::runtime::{Builder, Runtime};

type Built = io::Result<Runtime>;

/// Builds a runtime with threads. Call this before other threads are started: until it returns, panics of all threads
/// are taken for failures of the system.
///
/// If the system refuses a thread, tokio waits without end for the threads that it has got: so it builds on a thread of
/// its own, which is left behind then.
///
/// # Errors
/// The system refuses something that the runtime needs.
pub fn build_apart(mut builder: Builder) -> Built {
    watched(|sender, receiver| {
        let build = move || drop(sender.send(builder.build()));
        thread::Builder::new().name("mgmt-start".to_owned()).spawn(build)?;
        outcome(&receiver)
    })
}

/// Builds a runtime without threads, on this thread. Otherwise as [`build_apart`].
///
/// # Errors
/// The system refuses something that the runtime needs.
pub fn build_here(builder: &mut Builder) -> Built {
    watched(|sender, receiver| {
        let built = catch_unwind(AssertUnwindSafe(|| builder.build()));
        built.unwrap_or_else(|_| {
            drop(sender);
            outcome(&receiver)
        })
    })
}

/// Runs `build` with a channel to which every panic is sent, instead of being printed.
fn watched(build: impl FnOnce(Sender<Built>, Receiver<Built>) -> Built) -> Built {
    let (sender, receiver) = channel();
    let panicked = sender.clone();
    let hook = take_hook();
    set_hook(Box::new(move |panic| drop(panicked.send(Err(io::Error::other(text(panic)))))));
    let built = build(sender, receiver);
    set_hook(hook);
    built
}

fn outcome(receiver: &Receiver<Built>) -> Built {
    receiver.recv().unwrap_or_else(|gone| Err(io::Error::other(gone)))
}

fn text(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    text.unwrap_or("no runtime").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, since the hook for panics is one for all threads.
    #[test]
    fn a_runtime_runs_on_this_thread_wherever_it_was_built_and_a_panic_is_an_error() {
        let here = thread::current().id();
        let runtimes = [
            build_here(&mut Builder::new_current_thread()),
            build_apart(Builder::new_current_thread()),
            build_apart(Builder::new_multi_thread()),
        ];
        for runtime in runtimes {
            assert_eq!(runtime.unwrap().block_on(async { thread::current().id() }), here);
        }
        let failed = watched(|sender, receiver| {
            let _ = catch_unwind(|| panic!("no thread"));
            drop(sender);
            outcome(&receiver)
        });
        assert!(failed.is_err());
    }
}
