//! A password on its way into files, over restarts and losses.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use mgmt::Engine;
use mgmt::prelude::*;

use crate::kit::run::list;
use crate::kit::{Run, within};

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn prefix(&self) -> PathBuf {
        self.dir.path().join("prefix")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// A password of that length, in two files.
    fn graph(&self, length: usize) -> Graph {
        let mut g = Graph::new("password");
        let password = g.add(Password::new("admin").length(length));
        for name in ["one", "two"] {
            g.add(File::new(self.file(name).display().to_string()).content(password.password()));
        }
        g
    }

    async fn run(&self, length: usize) -> Run {
        Run::with(self.graph(length), |builder| builder.prefix(self.prefix())).await
    }

    /// A run from start to stop, and what happened.
    async fn once(&self, length: usize) -> Vec<String> {
        let mut run = self.run(length).await;
        let events = run.converged().await;
        run.stop().await;
        events
    }
}

/// Every file below, with its content.
fn all_files(dir: &Path, into: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_files(&path, into);
        } else {
            into.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
}

fn holds(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_made_once_and_kept_over_restarts() {
    let place = Place::new();
    place.once(20).await;
    let made = place.read("one");
    assert_eq!((made.len(), made == place.read("two")), (20, true));
    let before = fs::metadata(place.file("one")).unwrap();
    assert_eq!(before.mode() & 0o7777, 0o600);
    for _ in 0..2 {
        let events = place.once(20).await;
        assert!(!events.iter().any(|event| event.starts_with("drifted")), "{events:?}");
    }
    let after = fs::metadata(place.file("one")).unwrap();
    assert_eq!((place.read("one"), after.ino(), after.mtime_nsec()), (made, before.ino(), before.mtime_nsec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_lost_while_it_runs_gets_the_same_back() {
    let place = Place::new();
    let mut run = place.run(24).await;
    run.converged().await;
    let made = place.read("one");
    fs::remove_file(place.file("one")).unwrap();
    run.find(|event| event.to_string().contains("one]: repaired").then_some(())).await;
    assert_eq!(place.read("one"), made);
    fs::write(place.file("two"), "somebody else's").unwrap();
    run.find(|event| event.to_string().contains("two]: repaired").then_some(())).await;
    assert_eq!(place.read("two"), made);
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_lost_while_it_does_not_run_gets_a_new_one_and_so_do_all() {
    let place = Place::new();
    place.once(24).await;
    let old = place.read("one");
    fs::remove_file(place.file("one")).unwrap();
    place.once(24).await;
    let new = place.read("one");
    assert_eq!((new.len(), new != old), (24, true));
    assert_eq!(place.read("two"), new);
    let events = place.once(24).await;
    assert!(!events.iter().any(|event| event.starts_with("drifted")), "{events:?}");
    // The same after the other one was changed.
    fs::write(place.file("two"), "x").unwrap();
    place.once(24).await;
    assert_eq!(place.read("one"), place.read("two"));
    assert_ne!(place.read("one"), new);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_length_makes_a_new_one() {
    let place = Place::new();
    let mut run = place.run(10).await;
    run.converged().await;
    run.engine.swap(place.graph(12).finish().unwrap()).await.unwrap();
    run.until("swapped").await;
    run.converged().await;
    let now = place.read("one");
    assert_eq!((now.len(), place.read("two") == now), (12, true));
    run.stop().await;
    place.once(14).await;
    assert_eq!((place.read("one").len(), place.read("one") == place.read("two")), (14, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_prefix_and_the_events_never_hold_its_text() {
    let place = Place::new();
    let mut run = place.run(16).await;
    let mut said = String::new();
    loop {
        let event = run.next().await;
        said.push_str(&format!("{event:?}\n{}\n", serde_json::to_string(&event).unwrap()));
        if event.kind == mgmt::runtime::EventKind::Converged {
            break;
        }
    }
    let status = within(run.engine.status()).await.unwrap();
    said.push_str(&format!("{status:?}{}", serde_json::to_string(&status).unwrap()));
    let first = place.read("one");
    run.stop().await;
    fs::remove_file(place.file("one")).unwrap();
    place.once(16).await;
    let mut files = Vec::new();
    all_files(&place.prefix(), &mut files);
    assert!(files.iter().any(|(path, _)| path.ends_with("journal.lock")), "the right place: {files:?}");
    for text in [first, place.read("one")] {
        assert!(!said.contains(&text), "{said}");
        for (path, content) in &files {
            assert!(!holds(content, &text), "{} holds {text}", path.display());
        }
    }
    // The same search finds what is kept on purpose.
    let mut g = Graph::new("saved");
    let saved = g.add(Password::new("saved").saved(true));
    g.add(File::new(place.file("saved").display().to_string()).content(saved.password()));
    let mut run = Run::with(g, |builder| builder.prefix(place.prefix())).await;
    run.converged().await;
    run.stop().await;
    files.clear();
    all_files(&place.prefix(), &mut files);
    assert!(files.iter().any(|(_, content)| holds(content, &place.read("saved"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_one_is_written_again_at_once_when_its_file_is_lost_or_changed() {
    let place = Place::new();
    let mut g = Graph::new("saved");
    g.add(Password::new("admin").saved(true));
    let mut run = Run::with(g, |builder| builder.prefix(place.prefix())).await;
    run.converged().await;
    let mut files = Vec::new();
    all_files(&place.prefix().join("pgraph"), &mut files);
    let [(file, text)] = &files[..] else { panic!("{files:?}") };
    fs::remove_file(file).unwrap();
    run.until("applied nothing admin").await;
    assert_eq!(fs::read(file).unwrap(), *text);
    fs::write(file, "another\n").unwrap();
    run.until("applied nothing admin").await;
    assert_eq!(fs::read(file).unwrap(), *text);
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_says_that_a_lost_file_means_a_new_one_for_all() {
    let place = Place::new();
    let graph = || {
        let mut g = place.graph(24);
        let hashes = g.add(Password::new("other"));
        g.add(File::new(place.file("other").display().to_string()).content(hashes.password()));
        g
    };
    let builder = || Engine::builder().graph(graph().finish().unwrap()).prefix(place.prefix());
    let mut run = Run::start(builder()).await;
    run.converged().await;
    run.stop().await;
    assert_eq!(builder().plan().await.unwrap().to_string(), "5 in sync");
    fs::remove_file(place.file("two")).unwrap();
    let plan = builder().plan().await.unwrap();
    let (one, two) = (place.file("one").display().to_string(), place.file("two").display().to_string());
    let wanted = format!(
        "↻ password[admin]\n    its values will be regenerated: file[{two}] needs one that was not kept\n\
         ? file[{one}]: not known until password[admin] has run\n\
         ? file[{two}]: not known until password[admin] has run\n\
         1 to refresh, 2 not known yet, 2 in sync"
    );
    assert_eq!(plan.to_string(), wanted);
    let data = serde_json::to_value(&plan).unwrap();
    assert_eq!(data["resources"][0]["asked_by"][0], format!("file[{two}]"));
    assert!(!plan.is_empty());
    // And that is what is done.
    let before = place.read("one");
    let mut run = Run::start(builder()).await;
    run.converged().await;
    run.stop().await;
    assert_ne!(place.read("one"), before);
    assert_eq!(place.read("one"), place.read("two"));
    // In noop no sender makes anything.
    fs::remove_file(place.file("two")).unwrap();
    let plan = builder().noop(true).plan().await.unwrap().to_string();
    let change = "received: not kept → made again";
    assert_eq!(
        plan,
        format!("· file[{two}] (noop: would not be repaired)\n    {change}\n1 drifted in noop, 4 in sync")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_in_noop_does_not_make_everybody_get_a_new_one() {
    let place = Place::new();
    place.once(24).await;
    let made = place.read("one");
    fs::remove_file(place.file("two")).unwrap();
    let graph = || {
        let mut g = Graph::new("password");
        let password = g.add(Password::new("admin").length(24));
        g.add(File::new(place.file("one").display().to_string()).content(password.password()));
        g.add(File::new(place.file("two").display().to_string()).content(password.password()).noop(true));
        // It can't even look without the text.
        let env = password.password().map(|p| Env::new().var("TOKEN", p));
        g.add(Exec::new("login").cmd("true").env(env).noop(true));
        g
    };
    let builder = || Engine::builder().graph(graph().finish().unwrap()).prefix(place.prefix());
    let plan = builder().plan().await.unwrap();
    assert_eq!((plan.summary.noop, plan.summary.in_sync), (2, 2), "{plan}");
    let mut run = Run::start(builder()).await;
    let events = run.converged().await;
    for name in [place.file("two").display().to_string(), "login".to_owned()] {
        assert!(events.contains(&format!("drifted (noop) {name}")), "{events:?}");
    }
    assert_eq!((place.read("one"), place.file("two").exists()), (made.clone(), false));
    // When it may be applied, it is: and then all get a new one.
    run.engine.swap(place.graph(24).finish().unwrap()).await.unwrap();
    run.converged().await;
    run.stop().await;
    assert_eq!(place.read("one"), place.read("two"));
    assert_ne!(place.read("one"), made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_digest_in_the_prefix_is_in_a_table_of_digests() {
    let place = Place::new();
    place.once(16).await;
    let made = place.read("one");
    let mut files = Vec::new();
    all_files(&place.prefix(), &mut files);
    let text = Secret::new(made.clone());
    let guesses = [sha256(made.as_bytes()), mgmt::resource::digest_of(&made), mgmt::resource::digest_of(&text)];
    assert_eq!(sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
    for (path, content) in &files {
        for digest in &guesses {
            let found = content.windows(digest.len()).any(|part| part == digest);
            assert!(!found, "{} holds the digest of the password without a salt", path.display());
        }
    }
    // The digests of two hosts with the same value do not reveal that.
    let journals = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut digests = Vec::new();
    for dir in &journals {
        let mut g = Graph::new("same");
        let word = g.add(Value::new("word").value("1234"));
        g.add(File::new(place.file("word").display().to_string()).content(word.value()));
        let mut run = Run::with(g, |builder| builder.prefix(dir.path())).await;
        run.converged().await;
        run.stop().await;
        let journal = mgmt::journal::Journal::open(dir.path()).unwrap();
        digests.push(journal.sent(&"value[word]".parse().unwrap(), "output").expect("what was sent is remembered"));
    }
    assert_ne!(digests[0], digests[1]);
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_noop_nothing_is_made_and_it_converges() {
    let place = Place::new();
    let mut run = Run::with(place.graph(20), |builder| builder.prefix(place.prefix()).noop(true)).await;
    let events = run.converged().await;
    assert_eq!(events, list("swapped, drifted (noop) admin, converged"), "the receivers can't be known");
    run.stop().await;
    assert!(!place.file("one").exists());
    place.once(20).await;
    let made = place.read("one");
    let mut run = Run::with(place.graph(21), |builder| builder.prefix(place.prefix()).noop(true)).await;
    run.converged().await;
    run.stop().await;
    assert_eq!(place.read("one"), made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_of_it_follows_it_over_restarts() {
    let place = Place::new();
    let graph = || {
        let mut g = Graph::new("both");
        let password = g.add(Password::new("admin"));
        let word = g.add(Value::new("word").value("tail"));
        let line = password.password().zip(word.value()).map(|(p, word)| p.map(|p| format!("{p}:{word}\n")));
        g.add(File::new(place.file("both").display().to_string()).content(line));
        g
    };
    for _ in 0..2 {
        let mut run = Run::with(graph(), |builder| builder.prefix(place.prefix())).await;
        run.converged().await;
        run.stop().await;
        let text = place.read("both");
        assert!(text.ends_with(":tail\n") && text.len() == 30, "{text:?}");
    }
    let kept = place.read("both");
    let mut run = Run::with(graph(), |builder| builder.prefix(place.prefix())).await;
    let events = run.converged().await;
    assert!(!events.iter().any(|event| event.starts_with("drifted")), "{events:?}");
    assert_eq!(place.read("both"), kept);
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_of_a_program_that_formats_it_otherwise_is_not_taken_for_the_old_one() {
    let place = Place::new();
    let graph = |format: &'static str| {
        let mut g = Graph::new("formatted");
        let password = g.add(Password::new("admin").length(20));
        let text = password.password().map(move |password| password.map(|text| format.replace("{}", text)));
        g.add(File::new(place.file("one").display().to_string()).content(text));
        g
    };
    let once = async |format: &'static str| {
        let mut run = Run::with(graph(format), |builder| builder.prefix(place.prefix())).await;
        let events = run.converged().await;
        run.stop().await;
        (place.read("one"), events)
    };
    let (first, _) = once("version 1: {}").await;
    assert!(first.starts_with("version 1: ") && first.len() == 31, "{first}");
    // The same format: nothing is made again, though the password itself is not known any more.
    let (same, events) = once("version 1: {}").await;
    assert!(same == first && !events.iter().any(|event| event.starts_with("drifted")), "{events:?}");
    let (second, _) = once("version 2: {}").await;
    assert!(second.starts_with("version 2: ") && second.len() == 31, "{second}");
    assert_eq!(once("version 2: {}").await.0, second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saved_it_outlives_a_lost_journal_and_not_a_wish_for_another() {
    let place = Place::new();
    let graph = |length: usize| {
        let mut g = Graph::new("saved");
        let password = g.add(Password::new("admin").saved(true).length(length));
        let one = g.add(File::new(place.file("one").display().to_string()).content(password.password()));
        g.add(
            Exec::new("told")
                .cmd(format!("echo told >> {}", place.file("told").display()))
                .shell("/bin/sh")
                .refreshonly(true)
                .subscribe(&one),
        );
        g
    };
    let once = async |length: usize| {
        let mut run = Run::with(graph(length), |builder| builder.prefix(place.prefix())).await;
        let events = run.converged().await;
        run.stop().await;
        events
    };
    once(20).await;
    let (made, told) = (place.read("one"), place.read("told"));
    for lose in [fs::remove_file, |journal: PathBuf| fs::write(journal, "damaged")] {
        lose(place.prefix().join("journal.redb")).unwrap();
        once(20).await;
        assert_eq!((place.read("one"), place.read("told")), (made.clone(), told.clone()));
        let again = once(20).await;
        assert!(!again.iter().any(|event| event.starts_with("applied")), "{again:?}");
    }
    // Its text is no password of another length.
    fs::remove_file(place.prefix().join("journal.redb")).unwrap();
    once(30).await;
    assert_eq!(place.read("one").len(), 30);
}
