//! What it costs to remember: `cargo bench -p mgmt --bench journal`. Each row is to be read against the first, one durable write of the disk it ran on.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use mgmt::id::{JournalOp, ResourceId};
use mgmt::journal::{CommitError, Entry, Journal};

type Answers = (Sender<Result<(), CommitError>>, Receiver<Result<(), CommitError>>);

fn main() {
    println!("{:<44} {:>12}  more", "row", "figure");
    let dir = tempfile::tempdir().expect("there is room");
    durable_write(dir.path());
    let journal = Journal::open(dir.path()).expect("it opens");
    one_by_one(&journal);
    together(&journal, 20_000, 20_000);
    together(&journal, 5_000, 16);
    noted(&journal);
    opened(journal, dir.path());
}

fn row(name: &str, figure: Duration, more: &str) {
    println!("{name:<44} {:>12}  {more}", format!("{figure:.1?}"));
}

fn intent(n: u32) -> Vec<Entry> {
    let (from, to) = (ResourceId::new("file", format!("/etc/f{n}")), ResourceId::new("exec", "reload"));
    vec![Entry::Edge(JournalOp::Intent { from, to })]
}

/// What the disk takes for one write that is to last.
fn durable_write(dir: &Path) {
    const COUNT: u32 = 200;
    let file = File::create(dir.join("probe")).expect("there is room");
    let begun = Instant::now();
    for n in 0..COUNT {
        file.write_all_at(&n.to_ne_bytes().repeat(1024), 0).expect("there is room");
        file.sync_data().expect("it syncs");
    }
    row("a durable write without a journal", begun.elapsed() / COUNT, "4 KiB and fdatasync");
}

/// Each waits for the one before: what an apply with a notify edge pays if it is alone.
fn one_by_one(journal: &Journal) {
    const COUNT: u32 = 500;
    let begun = Instant::now();
    for n in 0..COUNT {
        let (sender, answer): Answers = channel();
        journal.submit(intent(n), move |result| sender.send(result).expect("somebody waits"));
        answer.recv().expect("it answers").expect("it commits");
    }
    row("a commit, one by one", begun.elapsed() / COUNT, "mean of 500");
}

/// So many on their way at once share commits.
fn together(journal: &Journal, count: u32, at_once: u32) {
    let (sender, answers): Answers = channel();
    let submit = |n: u32| {
        let sender = sender.clone();
        journal.submit(intent(n), move |result| sender.send(result).expect("somebody waits"));
    };
    let begun = Instant::now();
    (0..at_once).for_each(submit);
    for n in at_once..count + at_once {
        answers.recv().expect("it answers").expect("it commits");
        if n < count {
            submit(n);
        }
    }
    row(&format!("a commit, {at_once} at once"), begun.elapsed() / count, &format!("mean of {count}"));
}

/// What nobody waits for.
fn noted(journal: &Journal) {
    const COUNT: u32 = 100_000;
    let digests = (0..COUNT).map(|n| Entry::Sent {
        of: ResourceId::new("exec", format!("run {n}")),
        port: "stdout".into(),
        digest: Some([n as u8; 32]),
    });
    let digests = digests.collect();
    let begun = Instant::now();
    journal.note(digests);
    row("100000 digests noted", begun.elapsed(), "nobody waits longer than this");
    journal.flush().expect("it commits");
    row("100000 digests on disk", begun.elapsed(), "");
}

fn opened(journal: Journal, dir: &Path) {
    journal.close().expect("it closes");
    let file = dir.join("journal.redb");
    let size = format!("{} KiB", fs::metadata(&file).expect("it is there").len() >> 10);
    let begun = Instant::now();
    let journal = Journal::open(dir).expect("it opens");
    row("opened with 100000 digests", begun.elapsed(), &size);
    // As after `kill -9`: copied while it is open.
    let crashed = tempfile::tempdir().expect("there is room");
    fs::copy(&file, crashed.path().join("journal.redb")).expect("there is room");
    let begun = Instant::now();
    let recovered = Journal::open(crashed.path()).expect("it opens");
    row("opened after a crash", begun.elapsed(), &size);
    drop((journal, recovered));
    let small = tempfile::tempdir().expect("there is room");
    Journal::open(small.path()).expect("it opens").close().expect("it closes");
    let begun = Instant::now();
    let journal = Journal::open(small.path()).expect("it opens");
    row("opened with nothing in it", begun.elapsed(), "");
    drop(journal);
}
