//! Builds tokio runtimes where the system may refuse what they need.

use std::io;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::mpsc::channel;
use std::thread;

use tokio::runtime::{Builder, Runtime};

/// Builds the runtime. Call this before other threads are started: until it returns, panics of all threads are taken
/// for failures of the system.
///
/// tokio panics if the system gives it no thread or no socket, and then waits without end for the threads that it has
/// got: so it builds on a thread of its own, which is left behind after a panic.
///
/// # Errors
/// The system refuses something that the runtime needs.
pub fn build(mut builder: Builder) -> io::Result<Runtime> {
    let (sender, receiver) = channel();
    let panicked = sender.clone();
    let hook = take_hook();
    set_hook(Box::new(move |panic| drop(panicked.send(Err(io::Error::other(text(panic)))))));
    let begun = thread::Builder::new().name("mgmt-start".to_owned()).spawn(move || drop(sender.send(builder.build())));
    let built = begun.and_then(|_| receiver.recv().unwrap_or_else(|gone| Err(io::Error::other(gone))));
    set_hook(hook);
    built
}

fn text(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    text.unwrap_or("no runtime").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_built_on_another_thread_and_runs_on_this_one() {
        for builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let here = thread::current().id();
            assert_eq!(build(builder).unwrap().block_on(async { thread::current().id() }), here);
        }
    }
}
