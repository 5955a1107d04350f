//! What the resources of one test do, by what they own: never two at work on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

/// The book of one test.
#[derive(Debug, Default)]
pub struct Book {
    pub log: Vec<String>,
    /// How many operations are under way, by place.
    pub busy: BTreeMap<String, usize>,
    pub overlaps: Vec<String>,
    /// What those that left had kept.
    pub kept: Vec<String>,
}

static BOOKS: Mutex<BTreeMap<String, Book>> = Mutex::new(BTreeMap::new());

/// Opens what holds an apply or a leave.
static GATES: Mutex<BTreeMap<String, Arc<Semaphore>>> = Mutex::new(BTreeMap::new());

pub fn with_book<T>(test: &str, act: impl FnOnce(&mut Book) -> T) -> T {
    act(BOOKS.lock().unwrap().entry(test.to_owned()).or_default())
}

/// What was done since it was asked last.
pub fn log(test: &str) -> Vec<String> {
    with_book(test, |book| std::mem::take(&mut book.log))
}

/// Who was at work beside another, since it was asked last.
pub fn overlaps(test: &str) -> Vec<String> {
    with_book(test, |book| std::mem::take(&mut book.overlaps))
}

pub fn gate(test: &str) -> Arc<Semaphore> {
    Arc::clone(GATES.lock().unwrap().entry(test.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(0))))
}

/// An operation under way at a place, until it is dropped.
pub struct At<'a> {
    test: &'a str,
    place: &'a str,
}

impl<'a> At<'a> {
    /// It begins: `entry` goes into the log.
    pub fn enter(test: &'a str, place: &'a str, entry: String) -> At<'a> {
        with_book(test, |book| {
            let busy = book.busy.entry(place.to_owned()).or_default();
            *busy += 1;
            if *busy > 1 {
                book.overlaps.push(format!("{entry} beside another at {place}"));
            }
            book.log.push(entry);
        });
        At { test, place }
    }
}

impl Drop for At<'_> {
    fn drop(&mut self) {
        with_book(self.test, |book| *book.busy.get_mut(self.place).unwrap() -= 1);
    }
}
