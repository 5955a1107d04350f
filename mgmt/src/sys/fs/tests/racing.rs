//! Another program works against us at the same time.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::support::*;

const ROUNDS: usize = 10_000;

/// Runs `work` while another thread repeats `against`; returns how often it did.
fn while_repeating(against: impl Fn() + Sync, work: impl FnOnce()) -> usize {
    let (over, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                against();
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Also if the work fails: otherwise the other thread would never end.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _over = Over(&over);
        work();
    });
    rounds.into_inner()
}

struct Canary<'a>(&'a Path);

impl Canary<'_> {
    fn new(path: &Path) -> Canary<'_> {
        std::fs::write(path, "tweet").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o604)).unwrap();
        Canary(path)
    }

    fn must_live(&self) {
        let stat = std::fs::symlink_metadata(self.0).unwrap();
        assert!(stat.is_file() && stat.mode() & 0o7777 == 0o604 && text(self.0) == "tweet", "{stat:?}");
    }
}

#[test]
fn a_target_swapped_for_a_symlink_during_10_000_writes_never_leads_us_to_the_canary() {
    let dir = fast_temp_dir();
    let (target, canary) = (dir.path().join("target"), dir.path().join("canary"));
    let (aside, link) = (dir.path().join("aside"), dir.path().join("link"));
    let canary = Canary::new(&canary);
    std::fs::write(&target, "").unwrap();
    let fs = WriteFs::new();
    let swap = || {
        let _ = std::fs::remove_file(&link);
        symlink(canary.0, &link).unwrap();
        std::fs::rename(&link, &target).unwrap();
        std::fs::write(&aside, "theirs").unwrap();
        std::fs::rename(&aside, &target).unwrap();
    };
    let (mut refused, written) = (0, std::cell::Cell::new(0));
    let swaps = while_repeating(swap, || {
        // However fast the other thread is: until this many rounds were raced, and half as many writes have succeeded.
        for i in (0..10 * ROUNDS).take_while(|i| *i < ROUNDS || written.get() <= ROUNDS / 2) {
            let replace = if i % 2 == 0 { Replace::SameKind } else { Replace::NotDirectory };
            let options = WriteOptions::new().mode(0o600).durable(false).replace(replace);
            match fs.write_file(&target, "ours", &options) {
                Ok(_) => written.set(written.get() + 1),
                Err(FsError::Symlink { link, .. }) if link == target && i % 2 == 0 => refused += 1,
                Err(error @ FsError::Changed { .. }) => assert_eq!(error.path(), target),
                Err(error) => panic!("{error}"),
            }
            match fs.set_attributes(&target, &Attributes::new().mode(0o666)) {
                Ok(_) | Err(FsError::Symlink { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            canary.must_live();
        }
    });
    let written = written.get();
    assert!(refused > 0 && written > ROUNDS / 2, "{swaps} swaps, {refused} refused, {written} written");
}

#[test]
fn a_parent_swapped_for_a_symlink_during_10_000_writes_never_leads_root_elsewhere() {
    let dir = fast_temp_dir();
    let public = public_dir(dir.path());
    let (parent, link, elsewhere) = (public.join("parent"), public.join("link"), dir.path().join("elsewhere"));
    std::fs::create_dir(&parent).unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    let canary_path = elsewhere.join("target");
    let canary = Canary::new(&canary_path);
    symlink(&elsewhere, &link).unwrap();
    let fs = WriteFs::as_if_euid(0);
    let swap = || renameat_with(CWD, &parent, CWD, &link, RenameFlags::EXCHANGE).unwrap();
    let (mut refused, mut written) = (0, 0);
    while_repeating(swap, || {
        for _ in 0..ROUNDS {
            match fs.write_file(parent.join("target"), "ours", &WriteOptions::new().durable(false)) {
                Ok(_) => written += 1,
                Err(FsError::Symlink { link, .. }) if link == parent => refused += 1,
                Err(FsError::Changed { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            canary.must_live();
            assert_eq!(names(&elsewhere), ["target"]);
        }
    });
    assert!(refused > 0 && written > 0, "{refused} refused, {written} written");
}

#[test]
fn a_parent_swapped_between_two_calls_does_not_redirect_the_write() {
    let dir = temp_dir();
    let (parent, moved, elsewhere) =
        (dir.path().join("parent"), dir.path().join("moved"), dir.path().join("elsewhere"));
    for call in [Call::Create, Call::Write, Call::Chmod, Call::Sync, Call::Rename, Call::SyncDir] {
        std::fs::create_dir(&parent).unwrap();
        std::fs::create_dir(&elsewhere).unwrap();
        let faults = Faults::new();
        let (from, to, other) = (parent.clone(), moved.clone(), elsewhere.clone());
        faults.hook(At::Nth(call, 1), move || {
            std::fs::rename(&from, &to).unwrap();
            symlink(&other, &from).unwrap();
        });
        WriteFs::with_faults(faults).write_file(parent.join("f"), "ours", &WriteOptions::new()).unwrap();
        assert_eq!(text(moved.join("f")), "ours", "{call}");
        assert_eq!(names(&elsewhere), [""; 0], "{call}");
        std::fs::remove_file(&parent).unwrap();
        std::fs::remove_dir_all(&moved).unwrap();
        std::fs::remove_dir(&elsewhere).unwrap();
    }
}

#[test]
fn a_new_directory_swapped_for_a_link_is_noticed_and_what_it_leads_to_untouched() {
    let dir = temp_dir();
    let (path, elsewhere) = (dir.path().join("d"), dir.path().join("elsewhere"));
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o700)).unwrap();
    let faults = Faults::new();
    let (at, to) = (path.clone(), elsewhere.clone());
    // The first directory that is opened after its parent is the new one.
    let opens = AtomicUsize::new(0);
    faults.hook(At::Every(Call::Open), move || {
        if at.is_dir() && opens.fetch_add(1, Ordering::Relaxed) == 0 {
            std::fs::remove_dir(&at).unwrap();
            symlink(&to, &at).unwrap();
        }
    });
    let error = WriteFs::with_faults(faults).make_dir(&path, &Attributes::new().mode(0o777)).unwrap_err();
    assert!(matches!(error, FsError::Changed { .. }), "{error}");
    assert_eq!(mode_of(&elsewhere), 0o700);
}

/// Set in the process that runs with a umask of 0, so that only the mode with which a file is created protects it.
const UMASK_IS_0: &str = "MGMT_TEST_UMASK_IS_0";

#[test]
fn a_secret_is_never_seen_with_a_wider_mode_or_a_wrong_owner_while_it_is_written() {
    if std::env::var_os(UMASK_IS_0).is_none() {
        let test = "racing::a_secret_is_never_seen_with_a_wider_mode_or_a_wrong_owner_while_it_is_written";
        // sh is another program: its own /proc/self/exe is not this test program.
        let mut command = Command::new("sh");
        command.args(["-c", "umask 000; exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
        return must_pass(command.args(again(test).get_args()).env(UMASK_IS_0, "1"));
    }
    let dir = fast_temp_dir();
    let target = dir.path().join("secret");
    let fs = WriteFs::new();
    let owner = if is_root() { 12 } else { rustix::process::geteuid().as_raw() };
    for (mode, rounds) in [(0o600, 1000), (0o400, 200), (0o440, 200)] {
        let options = WriteOptions::new().mode(mode).uid(owner).durable(false);
        let (seen, temps) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let look = || {
            for entry in std::fs::read_dir(dir.path()).unwrap() {
                let Ok(stat) = std::fs::symlink_metadata(entry.as_ref().unwrap().path()) else { continue };
                assert_eq!(stat.mode() & 0o7777 & !mode, 0, "{:o} is wider than {mode:o}", stat.mode());
                let is_target = entry.unwrap().file_name() == "secret";
                assert!(!is_target || stat.uid() == owner, "owned by {}", stat.uid());
                // A file that users other than the owner may read must already have the right owner.
                assert!(
                    stat.mode() & 0o077 == 0 || stat.uid() == owner,
                    "{:o} and owned by {}",
                    stat.mode(),
                    stat.uid()
                );
                if is_target { &seen } else { &temps }.fetch_add(1, Ordering::Relaxed);
            }
        };
        while_repeating(look, || {
            for _ in 0..rounds {
                fs.write_file(&target, "hunter2", &options).unwrap();
            }
            // On a busy machine the other thread may not have run yet.
            while seen.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
        });
        assert_eq!(mode_of(&target), mode);
        std::fs::remove_file(&target).unwrap();
    }
}

#[test]
fn many_doors_that_write_and_tidy_up_in_one_directory_do_not_disturb_each_other() {
    let dir = fast_temp_dir();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let dir = dir.path();
            scope.spawn(move || {
                for i in 0..200 {
                    // A new door each time: it looks for left-overs among the files that other threads are writing.
                    let fs = WriteFs::new();
                    let options = WriteOptions::new().durable(false);
                    fs.write_file(dir.join(format!("f{}", i % 3)), &format!("{thread}"), &options).unwrap();
                    let to = format!("t{thread}-{i}");
                    match fs.make_symlink(dir.join("link"), &to, Replace::default()) {
                        Ok(_) => {}
                        // Two threads made the first link at the same time.
                        Err(error) => assert_eq!(error.errno(), Some(17), "{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(names(dir.path()), ["f0", "f1", "f2", "link"]);
}
