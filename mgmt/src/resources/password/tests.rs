//! Passwords over restarts, and where their text is found.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::resource::Secret;
use crate::resources::password::{Charset, Password, PasswordBuilder};
use crate::testing::{Fake, Outcome};

fn password(outcome: &Outcome) -> String {
    outcome.value(Password::PASSWORD).expect("a password is sent").declassify().clone()
}

fn hash(outcome: &Outcome) -> String {
    outcome.value(Password::HASH).expect("a hash is sent").declassify().clone()
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut dirs, mut found) = (vec![dir.to_path_buf()], Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.path().is_dir() { dirs.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found
}

#[tokio::test]
async fn it_is_made_once_and_sent_at_each_check() {
    let host = Fake::new().unwrap();
    let trial = host.put(Password::new("p"));
    let noop = trial.clone().noop().settle().await.unwrap();
    assert!(!noop.in_sync() && noop.sent_nothing());
    let outcome = trial.settle().await.unwrap();
    let first = password(&outcome);
    assert_eq!(first.len(), 24);
    assert!(first.chars().all(|c| c.is_ascii_alphabetic()), "{first}");
    assert!(bcrypt::verify(&first, &hash(&outcome)).unwrap());
    assert!(hash(&outcome).starts_with("$2b$10$"));
    let again = trial.settle().await.unwrap();
    assert!(again.in_sync());
    assert_eq!((password(&again), hash(&again)), (first.clone(), hash(&outcome)));
    let other = host.put(Password::new("q")).settle().await.unwrap();
    assert_ne!(password(&other), first);
}

#[tokio::test]
async fn after_a_restart_its_hash_is_known_and_its_text_is_not_and_is_nowhere() {
    let mut host = Fake::new().unwrap();
    let outcome = host.put(Password::new("p")).settle().await.unwrap();
    let canary = password(&outcome);
    host.restart();
    let trial = host.put(Password::new("p"));
    let after = trial.settle().await.unwrap();
    assert!(after.in_sync() && after.is_unchanged(Password::PASSWORD));
    assert_eq!(after.value(Password::PASSWORD), None);
    assert_eq!(hash(&after), hash(&outcome));
    assert_eq!(files(host.prefix()), Vec::<PathBuf>::new());
    assert!(!String::from_utf8_lossy(&host.marks().into_values().flatten().collect::<Vec<_>>()).contains(&canary));
    // A receiver needs the text: the engine asks for it by a refresh.
    let made = trial.refresh().await.unwrap();
    assert!(made.changed);
    assert_ne!(password(&made), canary);
    assert_ne!(hash(&made), hash(&outcome));
    assert_eq!(password(&trial.settle().await.unwrap()), password(&made));
}

#[tokio::test]
async fn other_parameters_make_a_new_one() {
    let host = Fake::new().unwrap();
    let trial = host.put(Password::new("p").length(16));
    let first = password(&trial.settle().await.unwrap());
    assert_eq!(first.len(), 16);
    let longer = trial.becomes(Password::new("p").length(30));
    let outcome = longer.settle().await.unwrap();
    assert_eq!(outcome.changes[0].from, "one of 16 characters");
    assert_eq!(password(&outcome).len(), 30);
    let digits = longer.becomes(Password::new("p").length(30).charset(Charset::Digits));
    assert!(password(&digits.settle().await.unwrap()).chars().all(|c| c.is_ascii_digit()));
    let own = digits.becomes(Password::new("p").length(30).charset(Charset::Chars("äß".into())));
    let text = password(&own.settle().await.unwrap());
    assert!(text.chars().count() == 30 && text.chars().all(|c| "äß".contains(c)), "{text}");
}

#[tokio::test]
async fn saved_it_is_the_same_after_a_restart() {
    let mut host = Fake::new().unwrap();
    let saved = || Password::new("p").saved(true);
    let outcome = host.put(saved()).settle().await.unwrap();
    let [file] = &files(host.prefix())[..] else { panic!("one file") };
    assert_eq!(fs::read_to_string(file).unwrap(), format!("{}\n", password(&outcome)));
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    host.restart();
    let trial = host.put(saved());
    let after = trial.settle().await.unwrap();
    assert!(after.in_sync());
    assert_eq!((password(&after), hash(&after)), (password(&outcome), hash(&outcome)));

    // What is in memory is written again.
    fs::remove_file(file).unwrap();
    let repaired = trial.settle().await.unwrap();
    assert_eq!(repaired.changes[0].to, "saved");
    assert_eq!(password(&repaired), password(&outcome));
    assert!(trial.settle().await.unwrap().in_sync() && file.exists());

    // A lost file is written again, and so is one that another program has changed.
    let long = "x".repeat(300_000).into_bytes();
    for write in [None, Some(&b"other\n"[..]), Some(b""), Some(b"\xff\xfe not UTF-8"), Some(&long)] {
        match write {
            None => fs::remove_file(file).unwrap(),
            Some(text) => fs::write(file, text).unwrap(),
        }
        host.restart();
        let trial = host.put(saved());
        let anew = trial.settle().await.unwrap();
        assert!(anew.changes[0].from.starts_with("made, but its file"), "{anew:?}");
        assert_ne!(password(&anew), password(&outcome));
        assert!(trial.settle().await.unwrap().in_sync());
    }
}

#[tokio::test]
async fn a_saved_one_that_is_newer_than_the_journal_stays() {
    let mut host = Fake::new().unwrap();
    let saved = |length: usize| Password::new("p").length(length).saved(true);
    host.put(saved(24)).settle().await.unwrap();
    let [file] = &files(host.prefix())[..] else { panic!("one file") };
    // The journal has the mark of the first one, of as many characters or of more.
    for newer in ["abcdefghijklmnopqrstuvwx", "abcdefghijklmnop"] {
        fs::write(file, format!("{newer}\n")).unwrap();
        host.restart();
        let trial = host.put(saved(newer.len()));
        let kept = trial.settle().await.unwrap();
        assert_eq!((kept.changes[0].from.as_str(), password(&kept).as_str()), ("saved, but not remembered", newer));
        assert!(bcrypt::verify(newer, &hash(&kept)).unwrap());
        assert!(trial.settle().await.unwrap().in_sync());
        assert_eq!(fs::read_to_string(file).unwrap(), format!("{newer}\n"));
    }
    // A declared change is one, although what is saved could be what is declared now.
    host.restart();
    let other = host.put(saved(16).charset(Charset::Chars("abcdefghijklmnopq".into())));
    let outcome = other.settle().await.unwrap();
    assert_eq!(outcome.changes[0].from, "one of other characters");
}

#[tokio::test]
async fn what_cannot_be_remembered_is_not_sent() {
    let host = Fake::new().unwrap();
    let trial = host.put(Password::new("p"));
    host.fail_marks(Some("the disk is full"));
    let error = trial.settle().await.unwrap_err().to_string();
    assert_eq!(error, "the journal: the disk is full");
    assert!(host.marks().is_empty());
    host.fail_marks(None);
    let settled = trial.settle().await.unwrap();
    assert!(settled.changed && !password(&settled).is_empty());
    assert_eq!(host.marks().into_keys().collect::<Vec<_>>(), [trial.id()]);
}

#[tokio::test]
async fn no_longer_saved_its_file_goes_and_it_stays() {
    let mut host = Fake::new().unwrap();
    let trial = host.put(Password::new("p").saved(true));
    let first = password(&trial.settle().await.unwrap());
    let unsaved = trial.becomes(Password::new("p"));
    assert_eq!(password(&unsaved.settle().await.unwrap()), first);
    assert_eq!(files(host.prefix()), Vec::<PathBuf>::new());
    assert_eq!(password(&unsaved.settle().await.unwrap()), first);
    // The other way round too.
    assert_eq!(password(&trial.settle().await.unwrap()), first);
    host.restart();
    assert_eq!(password(&host.put(Password::new("p")).settle().await.unwrap()), first, "read before its file goes");
    assert_eq!(files(host.prefix()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn cut_short_at_any_point_it_sends_what_its_hash_is_of() {
    let host = Fake::new().unwrap();
    let trial = host.put(Password::new("p"));
    trial.settle().await.unwrap();
    let longer = trial.becomes(Password::new("p").length(30));
    for polls in 1..7 {
        let mut settle = Box::pin(longer.settle());
        for _ in 0..polls {
            let once = std::future::poll_fn(|cx| std::task::Poll::Ready(settle.as_mut().poll(cx).is_ready()));
            if once.await {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        drop(settle);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let outcome = longer.settle().await.unwrap();
        assert!(bcrypt::verify(password(&outcome), &hash(&outcome)).unwrap());
        trial.settle().await.unwrap();
    }
}

#[tokio::test]
async fn neither_drift_nor_its_fields_show_it() {
    let host = Fake::new().unwrap();
    let trial = host.put(Password::new("p").saved(true));
    let canary = password(&trial.settle().await.unwrap());
    fs::remove_file(&files(host.prefix())[0]).unwrap();
    let shown = format!("{:?} {}", trial.settle().await.unwrap(), serde_json::Value::from(trial.data().unwrap()));
    assert!(!shown.contains(&canary), "{shown}");
    assert_eq!(format!("{:?}", Secret::new(canary)), "(secret)");
}

#[test]
fn what_can_be_no_password_is_refused() {
    let host = Fake::new().unwrap();
    let said = |password: PasswordBuilder| host.put(password).refusal();
    assert!(said(Password::new("p").length(0usize)).contains("`length` is 0"));
    assert!(said(Password::new("p").length(70_000usize)).contains("`length` is 70000"));
    let chars = |chars: &str| said(Password::new("p").charset(Charset::Chars(chars.into())));
    assert!(chars("").contains("0 characters"));
    assert!(chars("a").contains("1 characters"));
    assert!(chars("aba").contains("twice"));
    assert!(chars("a\0").contains("control"));
    assert!(chars(&(0x4e00..0x4f01).filter_map(char::from_u32).collect::<String>()).contains("257"));
}

#[test]
fn a_charset_is_a_word_or_the_characters_in_data() {
    let read = |json: serde_json::Value| serde_json::from_value::<Charset>(json);
    assert_eq!(read("alnum".into()).unwrap(), Charset::Alnum);
    assert_eq!(read(serde_json::json!({ "chars": "ab" })).unwrap(), Charset::Chars("ab".into()));
    assert!(read("letter".into()).unwrap_err().to_string().contains("letters"));
}
