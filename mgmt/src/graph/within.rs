//! The kinds with which a graph is being read, for a graph that is the value of a field in it.

use std::cell::RefCell;

use crate::graph::data::Kinds;

thread_local! {
    static READING: RefCell<Option<Kinds>> = const { RefCell::new(None) };
}

/// Reads with these kinds, on this thread.
pub(crate) fn reading_with<T>(kinds: &Kinds, read: impl FnOnce() -> T) -> T {
    struct Former(Option<Kinds>);
    impl Drop for Former {
        fn drop(&mut self) {
            READING.replace(self.0.take());
        }
    }
    let _former = Former(READING.replace(Some(kinds.clone())));
    read()
}

/// The kinds with which this thread reads a graph; `None`: it reads none.
pub(crate) fn kinds_of_reading() -> Option<Kinds> {
    READING.with_borrow(Option::clone)
}
