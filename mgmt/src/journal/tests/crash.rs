//! Processes killed at any moment.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::id::ResourceId;
use crate::journal::*;

use super::common::*;

#[test]
#[ignore = "a part of other tests"]
fn helper() {
    let Some(prefix) = std::env::var_os("MGMT_JOURNAL_PREFIX") else { return };
    let journal = Journal::open(Path::new(&prefix)).unwrap();
    let say = |text: String| io::stderr().write_all(text.as_bytes()).unwrap();
    match std::env::var("MGMT_JOURNAL_HELPER").unwrap().as_str() {
        "migrate" => {
            journal.flush().unwrap();
            say("written\n".into());
            std::thread::sleep(Duration::from_secs(600));
        }
        "hold" => {
            say("held\n".into());
            std::thread::sleep(Duration::from_secs(600));
        }
        _ => {
            // Batch after batch, up to eight in progress, until the process is killed.
            let (done, slots) = channel();
            (0..8).for_each(|_| done.send(()).unwrap());
            for n in count(&journal) + 1.. {
                slots.recv().unwrap();
                let done = done.clone();
                if n % 3 == 0 {
                    journal.note(batch(n));
                    done.send(()).unwrap();
                } else {
                    journal.submit(batch(n), move |result| {
                        result.unwrap();
                        say(format!("{n}\n"));
                        done.send(()).unwrap();
                    });
                }
            }
        }
    }
}

/// The n-th batch of the crash test.
fn batch(n: u64) -> Vec<Entry> {
    let (from, to) = (format!("file[{}]", n % 5), format!("svc[{}]", n % 3));
    let make = [INTENT, DEBT, DROP, PAID][(n / 7 % 4) as usize];
    vec![
        value(&from, &(n % 11).to_string(), Some(&n.to_string())),
        edge(make, &from, &to),
        value("count[er]", "n", Some(&n.to_string())),
    ]
}

fn count(journal: &Journal) -> u64 {
    let bytes = journal.value(&id("count[er]"), "n").unwrap_or_else(|| b"0".to_vec());
    String::from_utf8(bytes).unwrap().parse().unwrap()
}

/// The content of a journal: debts, and the values of the crash test.
fn content(journal: &Journal) -> impl PartialEq + std::fmt::Debug + use<> {
    let values = |of: &ResourceId| (0..11).map(|key: u32| journal.value(of, &key.to_string())).collect::<Vec<_>>();
    let values: Vec<_> = journal.resources().iter().map(values).collect();
    (journal.owed(), journal.resources(), values)
}

#[test]
fn kill_9_at_any_moment_loses_nothing_acknowledged_and_keeps_the_order() {
    let dir = dir();
    let model = Journal::volatile().unwrap();
    let mut batches = 0;
    for round in 0..120u64 {
        let mut helper = Helper::start("write", dir.path());
        let mut acknowledged = 0;
        // Sometimes while the journal is being opened, sometimes after some batches.
        let mut random = [0; 8];
        crate::sys::rng::fill(&mut random).unwrap();
        let random = u64::from_le_bytes(random);
        for _ in 0..random % 12 * u64::from(round % 4 != 0) {
            acknowledged = helper.line().trim().parse().unwrap_or_else(|_| panic!("the helper died"));
        }
        std::thread::sleep(Duration::from_micros(random >> 32 & 0x3fff));
        helper.kill();
        while let Ok(n) = helper.line().trim().parse() {
            acknowledged = n;
        }
        let journal = Journal::open(dir.path()).unwrap();
        assert!(journal.moved_aside().is_none(), "never corrupt");
        let reached = count(&journal);
        assert!(reached >= acknowledged, "batch {acknowledged} was acknowledged; {reached} is there");
        assert!(reached >= batches);
        // The content is exactly that of the first `reached` batches: none is missing, none is there in part.
        for n in batches + 1..=reached {
            model.note(batch(n));
        }
        batches = reached;
        assert_eq!(content(&journal), content(&model));
    }
    assert!(batches > 100, "the helpers have worked: {batches}");
}
