//! Commands for real: when they run, with what, and what they leave behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::resource::{Secret, WatchEvent};
use crate::resources::exec::{Env, Exec, ExecBuilder};
use crate::testing::{Fake, Trial};

/// An exec whose shell script adds a line to a file.
fn counting(log: &Path) -> ExecBuilder {
    Exec::new("count").cmd(format!("echo ran >> {}", log.display())).shell("/bin/sh")
}

fn runs(log: &Path) -> usize {
    fs::read_to_string(log).unwrap_or_default().lines().count()
}

fn touch(path: &Path, age: Duration) {
    fs::File::create(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

async fn why(trial: &Trial) -> Option<String> {
    trial.check().await.unwrap().changes.first().map(|change| change.from.clone())
}

#[tokio::test]
async fn a_command_runs_once_in_the_life_of_the_process() {
    let mut host = Fake::new().unwrap();
    let log = host.path("log");
    let exec = host.put(counting(&log));
    let outcome = exec.check().await.unwrap();
    assert_eq!(outcome.changes[0].from, "not run yet");
    assert!(outcome.changes[0].to.starts_with("run `echo ran >> /"), "{outcome:?}");
    assert_eq!(runs(&log), 0, "a check runs nothing");
    exec.settle().await.unwrap();
    assert!(exec.settle().await.unwrap().in_sync());
    assert_eq!(runs(&log), 1);
    host.restart();
    host.put(counting(&log)).settle().await.unwrap();
    assert_eq!(runs(&log), 2);
}

#[tokio::test]
async fn other_settings_run_it_again_and_other_bounds_do_not() {
    let host = Fake::new().unwrap();
    let log = host.path("log");
    let exec = host.put(counting(&log));
    exec.settle().await.unwrap();
    assert!(exec.becomes(counting(&log).timeout(Duration::from_secs(60))).settle().await.unwrap().in_sync());
    let exec = exec.becomes(counting(&log).env([("A", "b")]));
    assert_eq!(why(&exec).await.unwrap(), "run with other settings");
    exec.settle().await.unwrap();
    assert_eq!(runs(&log), 2);
}

#[tokio::test]
async fn what_it_says_is_sent_to_the_letter() {
    let host = Fake::new().unwrap();
    let exec = host.put(Exec::new("say").cmd("printf ' a\\n\\n'; echo err >&2").shell("/bin/sh"));
    for outcome in [exec.settle().await.unwrap(), exec.check().await.unwrap()] {
        assert_eq!(outcome.value(Exec::STDOUT).unwrap(), " a\n\n");
        assert_eq!(outcome.value(Exec::STDERR).unwrap(), "err\n");
        assert_eq!(outcome.value(Exec::OUTPUT).unwrap(), " a\n\nerr\n");
    }
}

#[tokio::test]
async fn what_is_no_text_or_too_long_is_not_sent_at_all() {
    let host = Fake::new().unwrap();
    for script in ["printf '\\377'", "head -c 3000000 /dev/zero"] {
        let outcome = host.put(Exec::new("say").cmd(script).shell("/bin/sh")).settle().await.unwrap();
        assert_eq!(outcome.value(Exec::STDOUT), None);
        assert_eq!(outcome.value(Exec::STDERR).unwrap(), "");
        assert_eq!(outcome.value(Exec::OUTPUT), None);
    }
}

#[tokio::test]
async fn without_a_shell_it_is_cut_at_white_space_and_nothing_is_special() {
    let host = Fake::new().unwrap();
    let said = async |exec: ExecBuilder| host.put(exec).settle().await.unwrap().value(Exec::STDOUT).unwrap();
    assert_eq!(said(Exec::new("x").cmd("echo  $HOME\t'a b'; *")).await, "$HOME 'a b'; *\n");
    assert_eq!(said(Exec::new("x").cmd("printf").args(["%s|", "a b", ""])).await, "a b||");
    let program = host.path("with blank");
    fs::write(&program, "#!/bin/sh\necho \"$1\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(said(Exec::new("x").cmd(program.to_str().unwrap()).args(["-n $(x)"])).await, "-n $(x)\n");
}

#[tokio::test]
async fn it_fails_with_its_code_and_its_last_words() {
    let host = Fake::new().unwrap();
    let exec = host.put(Exec::new("x").cmd("echo first >&2; echo why >&2; exit 3").shell("/bin/sh"));
    let said = exec.settle().await.unwrap_err().to_string();
    assert!(said.contains("exit 3") && said.contains("exit code 3") && said.contains("why"), "{said}");
    assert!(!exec.check().await.unwrap().in_sync(), "a failed run is no run");
    let said = host.put(Exec::new("x").cmd("kill -9 $$").shell("/bin/sh")).settle().await.unwrap_err().to_string();
    assert!(said.contains("killed by SIGKILL"), "{said}");
    let said = host.put(Exec::new("x").cmd("no-such-program -x")).settle().await.unwrap_err().to_string();
    assert!(said.contains("`no-such-program` not found in PATH"), "{said}");
}

#[tokio::test]
async fn codes_are_the_exit_codes_of_a_success() {
    let host = Fake::new().unwrap();
    let exec = |code: u8| Exec::new("x").cmd(format!("exit {code}")).shell("/bin/sh").codes([0, 2]);
    for code in [0, 2] {
        let exec = host.put(exec(code));
        exec.settle().await.unwrap();
        assert!(exec.check().await.unwrap().in_sync());
    }
    assert!(host.put(exec(1)).settle().await.unwrap_err().to_string().contains("exit code 1"));
}

#[tokio::test]
async fn several_guards_must_all_agree() {
    let host = Fake::new().unwrap();
    let log = host.path("log");
    let run = async |exec: ExecBuilder| host.put(exec).check().await.unwrap().in_sync();
    assert!(!run(counting(&log).ifcmd(["true", "test 1 = 1"])).await);
    assert!(run(counting(&log).ifcmd(["true", "false"])).await);
    assert!(!run(counting(&log).nifcmd(["false", "test 1 = 2"])).await);
    assert!(run(counting(&log).nifcmd(["false", "true"])).await);
    assert!(run(counting(&log).ifcmd(["false", "no-such-guard"])).await, "the rest is not asked");
    assert!(!run(counting(&log).ifcmd(["echo a", "echo a"]).ifequals("a")).await);
    assert!(run(counting(&log).ifcmd(["echo a", "echo b"]).ifequals("a")).await);
}

#[test]
fn words_that_only_a_shell_understands_are_refused_without_one() {
    let host = Fake::new().unwrap();
    let said = |exec: ExecBuilder| host.put(exec).refusal();
    for script in
        ["echo hi > /tmp/x", "a | b", "a && b", "a ; b", "echo $(id)", "echo `id`", "x 2>&1", "x >/tmp/y", "a &"]
    {
        let said = said(Exec::new("x").cmd(script));
        assert!(said.contains("which only a shell understands") && said.contains("set `shell` to `/bin/sh`"), "{said}");
        assert_eq!(host.put(Exec::new("x").cmd(script).shell("/bin/sh")).validate(), []);
        let [program, args @ ..] = &script.split(' ').collect::<Vec<_>>()[..] else { panic!("{script}") };
        assert_eq!(host.put(Exec::new("x").cmd(*program).args(args)).validate(), []);
    }
    for plain in
        ["ls *", "expr 1 >= 2", "find . -name ? -print", "echo a;b", "echo it's -> there", "curl http://x/?a=1&b=2"]
    {
        assert_eq!(host.put(Exec::new("x").cmd(plain)).validate(), [], "{plain}");
    }
    assert!(said(Exec::new("x").cmd("true").ifcmd(["true", "a | b"])).contains("set `ifshell` to `/bin/sh`"));
    assert!(host.put(Exec::new("x").cmd("a | b")).validate()[0].lenient);
}

#[tokio::test]
async fn variables_are_explicit_unless_the_graph_says_otherwise() {
    let env = |exec: ExecBuilder| exec.cmd("env");
    let said =
        async |host: &Fake, exec: ExecBuilder| host.put(exec).settle().await.unwrap().value(Exec::STDOUT).unwrap();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";
    let host = Fake::new().unwrap();
    assert_eq!(said(&host, env(Exec::new("x"))).await, path);
    let vars = Env::new().var("A", "plain").var("B", Secret::new("canary".to_owned()));
    let text = said(&host, env(Exec::new("x").env(vars.clone()))).await;
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A=plain", "B=canary", path.trim_end()]);
    assert_eq!(said(&host, env(Exec::new("x").env([("PATH", "/bin:/usr/bin")]))).await, "PATH=/bin:/usr/bin\n");

    let host = Fake::new().unwrap().inherit_env();
    let plain = |text: &str| !text.contains('\n');
    let (name, value) = std::env::vars().find(|(name, value)| name != "PATH" && plain(value)).expect("a variable");
    let ours = format!("{name}={value}\n");
    assert!(said(&host, env(Exec::new("x"))).await.contains(&ours));
    assert!(!said(&host, env(Exec::new("x").env([("A", "b")]))).await.contains(&ours));
    let data = serde_json::Value::from(host.put(env(Exec::new("x").env(vars.clone()))).data().unwrap()).to_string();
    assert!(data.contains("plain") && !data.contains("canary"), "{data}");
    assert!(!format!("{vars:?}").contains("canary"));
}

#[tokio::test]
async fn it_runs_in_its_directory_and_a_bad_one_is_named() {
    let host = Fake::new().unwrap();
    let dir = host.path("dir");
    fs::create_dir(&dir).unwrap();
    let outcome = host.put(Exec::new("x").cmd("pwd").cwd(&dir)).settle().await.unwrap();
    assert_eq!(outcome.value(Exec::STDOUT).unwrap(), format!("{}\n", fs::canonicalize(&dir).unwrap().display()));
    let gone = host.path("gone");
    let said = host.put(Exec::new("x").cmd("pwd").cwd(&gone)).settle().await.unwrap_err().to_string();
    assert!(said.contains(gone.to_str().unwrap()), "{said}");
}

#[tokio::test]
async fn a_guard_decides_at_each_check_also_under_noop() {
    let host = Fake::new().unwrap();
    let (log, flag, asked) = (host.path("log"), host.path("flag"), host.path("asked"));
    let guard = format!("echo x >> {}; test -e {}", asked.display(), flag.display());
    let exec = host.put(counting(&log).ifcmd(guard).ifshell("/bin/sh"));
    assert!(exec.settle().await.unwrap().in_sync());
    fs::write(&flag, "").unwrap();
    assert_eq!(exec.clone().noop().settle().await.unwrap().changes[0].from, "`ifcmd` succeeds");
    assert_eq!((runs(&log), runs(&asked)), (0, 2));
    exec.settle().await.unwrap();
    exec.settle().await.unwrap();
    assert_eq!((runs(&log), runs(&asked)), (2, 4), "while the guard says so it runs");
    fs::remove_file(&flag).unwrap();
    assert!(exec.settle().await.unwrap().in_sync());
}

#[tokio::test]
async fn nifcmd_is_the_opposite_and_all_guards_must_agree() {
    let host = Fake::new().unwrap();
    let log = host.path("log");
    assert!(host.put(counting(&log).nifcmd("true")).settle().await.unwrap().in_sync());
    assert!(host.put(counting(&log).nifcmd("false").ifcmd("false")).settle().await.unwrap().in_sync());
    assert_eq!(why(&host.put(counting(&log).nifcmd("false").ifcmd("true"))).await.unwrap(), "`nifcmd` fails");
    let creates = host.path("made");
    touch(&creates, Duration::ZERO);
    assert!(host.put(counting(&log).ifcmd("true").creates(&creates)).settle().await.unwrap().in_sync());
}

#[tokio::test]
async fn ifequals_compares_what_the_guard_says() {
    let host = Fake::new().unwrap();
    let guarded = |equals: &str| host.put(Exec::new("x").cmd("true").ifcmd("echo  7.2 ").ifequals(equals));
    assert_eq!(why(&guarded(" 7.2")).await.unwrap(), "`ifcmd` prints the text of `ifequals`");
    assert!(guarded("7.1").check().await.unwrap().in_sync());
    let fails = Exec::new("x").cmd("true").ifcmd("echo 1; exit 1").ifshell("/bin/sh").ifequals("1");
    assert!(host.put(fails).check().await.unwrap().in_sync());
}

#[tokio::test]
async fn a_guard_that_gives_no_answer_is_a_failure() {
    let host = Fake::new().unwrap();
    let said = async |exec: ExecBuilder| host.put(exec).check().await.unwrap_err().to_string();
    let exec = || Exec::new("x").cmd("true");
    let text = said(exec().ifcmd("no-such-guard -q")).await;
    assert!(text.contains("ifcmd `no-such-guard -q`") && text.contains("not found"), "{text}");
    assert!(said(exec().ifcmd("kill -9 $$").ifshell("/bin/sh")).await.contains("killed by SIGKILL"));
    let text = said(exec().nifcmd("no-such-guard -q").nifshell("/bin/sh")).await;
    assert!(text.contains("nifcmd") && text.contains("127"), "{text}");
    let text = said(exec().ifcmd("sleep 60").timeout(Duration::from_millis(50))).await;
    assert!(text.contains("did not end within 50ms"), "{text}");
}

#[tokio::test]
async fn creates_is_looked_for_and_watched() {
    let host = Fake::new().unwrap();
    let made = host.path("made");
    let exec = host.put(Exec::new("x").cmd(format!("touch {}", made.display())).creates(&made));
    assert_eq!(why(&exec).await.unwrap(), format!("{} does not exist", made.display()));
    exec.settle().await.unwrap();
    assert!(exec.check().await.unwrap().in_sync());
    fs::remove_file(&made).unwrap();
    assert!(!exec.check().await.unwrap().in_sync());
    assert_eq!(exec.listen().paths, [made]);
}

#[tokio::test]
async fn newer_files_run_it_like_a_makefile() {
    let mut host = Fake::new().unwrap();
    let (source, made) = (host.path("source"), host.path("made"));
    touch(&source, Duration::from_secs(100));
    let make =
        || Exec::new("x").cmd(format!("cp {} {}", source.display(), made.display())).creates(&made).mtimes([&source]);
    let exec = host.put(make());
    exec.settle().await.unwrap();
    assert!(exec.check().await.unwrap().in_sync());
    fs::File::open(&made).unwrap().set_modified(SystemTime::now() - Duration::from_secs(200)).unwrap();
    assert!(exec.check().await.unwrap().in_sync(), "this very source has been seen by a run");
    touch(&source, Duration::from_secs(50));
    assert_eq!(why(&exec).await.unwrap(), format!("{} is newer than {}", source.display(), made.display()));
    host.restart();
    let exec = host.put(make());
    exec.settle().await.unwrap();
    assert!(exec.check().await.unwrap().in_sync());
}

#[tokio::test]
async fn without_creates_newer_is_newer_than_the_last_run_also_over_a_restart() {
    let mut host = Fake::new().unwrap();
    let (log, source) = (host.path("log"), host.path("source"));
    touch(&source, Duration::from_secs(100));
    host.put(counting(&log).mtimes([&source])).settle().await.unwrap();
    host.restart();
    let exec = host.put(counting(&log).mtimes([&source]));
    assert!(exec.settle().await.unwrap().in_sync());
    touch(&source, Duration::from_secs(50));
    assert_eq!(why(&exec).await.unwrap(), format!("{} is newer than the last run", source.display()));
    exec.settle().await.unwrap();
    assert_eq!(runs(&log), 2);
}

#[tokio::test]
async fn a_guarded_command_sends_what_it_said_before_a_restart() {
    let mut host = Fake::new().unwrap();
    let made = host.path("made");
    let script = format!("touch {}; echo hello", made.display());
    let exec = || Exec::new("x").cmd(script.as_str()).shell("/bin/sh").creates(&made);
    host.put(exec()).settle().await.unwrap();
    host.restart();
    let outcome = host.put(exec()).settle().await.unwrap();
    assert!(outcome.in_sync());
    assert_eq!(outcome.value(Exec::STDOUT).unwrap(), "hello\n");
    // The output of another command is not its output.
    let other = host.put(exec().cmd("echo other")).settle().await.unwrap();
    assert!(other.in_sync() && other.sent_nothing());
    // It is ours alone to read.
    let record = find(host.prefix(), "run.json");
    assert_eq!(fs::metadata(&record).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(record.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    // A record that can't be read is none.
    fs::write(&record, "{").unwrap();
    host.restart();
    let outcome = host.put(exec()).settle().await.unwrap();
    assert!(outcome.in_sync() && outcome.sent_nothing());
}

fn find(dir: &Path, name: &str) -> std::path::PathBuf {
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            if entry.file_name() == name {
                return entry.path();
            }
            if entry.path().is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    panic!("no {name}")
}

#[tokio::test]
async fn a_command_without_guards_leaves_nothing_on_the_disk() {
    let host = Fake::new().unwrap();
    host.put(Exec::new("x").cmd("true")).settle().await.unwrap();
    assert_eq!(fs::read_dir(host.prefix()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_done_is_done_also_after_a_restart_until_it_is_refreshed_or_another() {
    let mut host = Fake::new().unwrap();
    let (log, marker) = (host.path("log"), host.path("marker"));
    let exec = || counting(&log).donecmd(format!("touch {}", marker.display()));
    host.put(exec()).settle().await.unwrap();
    assert!(marker.exists());
    host.restart();
    let trial = host.put(exec());
    assert!(trial.settle().await.unwrap().in_sync());
    assert!(trial.refresh().await.unwrap().changed);
    assert_eq!(runs(&log), 2);
    assert!(!trial.becomes(exec().cwd("/")).check().await.unwrap().in_sync());
    // If the second command fails, nothing is done.
    let failing = host.put(Exec::new("y").cmd("true").donecmd("false"));
    let said = failing.settle().await.unwrap_err().to_string();
    assert!(said.contains("donecmd `false`"), "{said}");
    assert!(!failing.check().await.unwrap().in_sync());
}

#[tokio::test]
async fn a_refresh_runs_it_again_if_the_guards_agree() {
    let host = Fake::new().unwrap();
    let (log, made) = (host.path("log"), host.path("made"));
    let exec = host.put(counting(&log));
    exec.settle().await.unwrap();
    let outcome = exec.refresh().await.unwrap();
    assert!(outcome.changed);
    assert_eq!(outcome.value(Exec::STDOUT).unwrap(), "");
    assert_eq!(runs(&log), 2);
    touch(&made, Duration::ZERO);
    assert!(!host.put(counting(&log).creates(&made)).refresh().await.unwrap().changed);
    assert!(!host.put(counting(&log).ifcmd("false")).refresh().await.unwrap().changed);
    assert!(host.put(counting(&log).ifcmd("true")).refresh().await.unwrap().changed);
    assert_eq!(runs(&log), 3);
}

#[tokio::test]
async fn with_refreshonly_nothing_else_runs_it() {
    let mut host = Fake::new().unwrap();
    let log = host.path("log");
    let exec = host.put(counting(&log).refreshonly(true));
    assert!(exec.clone().owed().settle().await.unwrap().in_sync());
    assert_eq!(runs(&log), 0);
    assert!(exec.refresh().await.unwrap().changed);
    assert_eq!(runs(&log), 1);
    host.restart();
    let outcome = host.put(counting(&log).refreshonly(true)).settle().await.unwrap();
    assert_eq!(outcome.value(Exec::STDOUT).unwrap(), "");
    assert_eq!(runs(&log), 1);
}

#[tokio::test]
async fn each_line_of_the_watch_command_runs_it_and_its_end_is_a_failure() {
    let host = Fake::new().unwrap();
    let (log, pipe) = (host.path("log"), host.path("pipe"));
    let script = format!("echo one; echo; cat {}; echo last words >&2; exit 7", pipe.display());
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let exec = host.put(counting(&log).watchcmd(script).watchshell("/bin/sh"));
    let mut watch = exec.listen();
    assert_eq!(watch.next().await.unwrap().unwrap(), WatchEvent::Ready);
    assert_eq!(watch.next().await.unwrap().unwrap(), WatchEvent::Changed);
    // One run covers the activation and the line.
    exec.settle().await.unwrap();
    assert!(exec.check().await.unwrap().in_sync());
    tokio::task::spawn_blocking(move || fs::write(pipe, "two\n")).await.unwrap().unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap(), WatchEvent::Changed, "an empty line is none");
    assert_eq!(why(&exec).await.unwrap(), "the watch command has printed a line");
    exec.settle().await.unwrap();
    assert!(exec.settle().await.unwrap().in_sync(), "a mere look is no event");
    assert_eq!(runs(&log), 2);
    let said = watch.next().await.unwrap().unwrap_err().to_string();
    assert_eq!(said, "watchcmd has ended (exit code 7): last words");
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_watch_command_that_does_not_start_is_named() {
    let host = Fake::new().unwrap();
    let said =
        host.put(Exec::new("x").cmd("true").watchcmd("no-such-watch")).listen().next().await.unwrap().unwrap_err();
    assert!(said.to_string().starts_with("watchcmd: program `no-such-watch` not found"), "{said}");
}

#[tokio::test]
async fn a_watched_file_that_changed_runs_it() {
    let host = Fake::new().unwrap();
    let (log, file) = (host.path("log"), host.path("file"));
    let exec = host.put(counting(&log).watchfiles([&file]));
    assert_eq!(exec.listen().paths, std::slice::from_ref(&file));
    exec.settle().await.unwrap();
    assert!(exec.check().await.unwrap().in_sync());
    fs::write(&file, "x").unwrap();
    assert_eq!(why(&exec).await.unwrap(), format!("{} has changed", file.display()));
    exec.settle().await.unwrap();
    assert!(exec.settle().await.unwrap().in_sync());
    fs::remove_file(&file).unwrap();
    exec.settle().await.unwrap();
    assert_eq!(runs(&log), 3);
}

/// Processes whose command line holds this word.
fn alive(word: &str) -> Vec<String> {
    let dirs = fs::read_dir("/proc").unwrap().flatten();
    let lines = dirs.filter_map(|dir| fs::read(dir.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).filter(|line| line.contains(word)).collect()
}

#[tokio::test]
async fn when_its_time_is_over_its_whole_group_is_gone() {
    let host = Fake::new().unwrap();
    let word = format!("exec-timeout-{}", std::process::id());
    let script = format!("sh -c 'while :; do sleep 0.01; done; : {word}' & trap 'exit 1' HUP; wait");
    let exec = host.put(Exec::new("x").cmd(script).shell("/bin/sh").timeout(Duration::from_millis(200)).sig("HUP"));
    let said = exec.settle().await.unwrap_err().to_string();
    assert!(said.contains("did not end within 200ms"), "{said}");
    assert_eq!(alive(&word), Vec::<String>::new());
}

#[tokio::test]
async fn when_it_is_cancelled_it_gets_its_signal_and_may_clean_up() {
    let host = Fake::new().unwrap();
    let (up, clean) = (host.path("up"), host.path("clean"));
    for (sig, trapped) in [(None, "TERM"), (Some("USR1"), "USR1")] {
        let script = format!(
            "trap 'touch {}; exit' {trapped}; touch {}; while :; do sleep 0.01; done",
            clean.display(),
            up.display()
        );
        let exec = Exec::new("x").cmd(script).shell("/bin/sh");
        let exec = host.put(if let Some(sig) = sig { exec.sig(sig) } else { exec });
        {
            let mut settle = Box::pin(exec.settle());
            while !up.exists() {
                let _ = tokio::time::timeout(Duration::from_millis(5), &mut settle).await;
            }
        }
        while !clean.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        fs::remove_file(&up).unwrap();
        fs::remove_file(&clean).unwrap();
    }
}

#[tokio::test]
async fn when_it_is_cancelled_its_whole_group_is_killed_and_it_has_not_run() {
    let host = Fake::new().unwrap();
    let word = format!("exec-cancel-{}", std::process::id());
    let up = host.path("up");
    let script = format!("sh -c 'while :; do sleep 0.01; done; : {word}' & touch {}; wait", up.display());
    let exec = host.put(Exec::new("x").cmd(script).shell("/bin/sh"));
    {
        let mut settle = Box::pin(exec.settle());
        while !up.exists() {
            let _ = tokio::time::timeout(Duration::from_millis(5), &mut settle).await;
        }
        assert!(!alive(&word).is_empty());
    }
    for _ in 0..2_000 {
        if alive(&word).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(alive(&word), Vec::<String>::new());
    assert!(!exec.check().await.unwrap().in_sync());
}

#[test]
fn what_is_wrong_with_the_fields_is_said_with_the_remedy() {
    let host = Fake::new().unwrap();
    let said = |exec: ExecBuilder| host.put(exec).refusal();
    let exec = || Exec::new("x").cmd("true");
    assert!(said(Exec::new("x")).contains("`cmd` is missing"));
    assert!(said(Exec::new("x").cmd(" ")).contains("`cmd` is missing"));
    assert!(said(exec().shell("/bin/sh").args(["a"])).contains("`args` with `shell`"));
    assert!(said(exec().ifequals("x")).contains("`ifcmd`"));
    assert!(said(exec().nifshell("/bin/sh")).contains("`nifshell` without `nifcmd`"));
    assert!(said(exec().donecwd("/")).contains("`donecwd` without `donecmd`"));
    assert!(said(exec().cwd("relative")).contains("`cwd`: `relative`"));
    assert!(said(exec().watchfiles(["/a/../b"])).contains("`watchfiles`"));
    assert!(said(exec().sig("NO")).contains("`sig` is `NO`"));
    assert!(said(exec().refreshonly(true).watchcmd("x")).contains("`refreshonly`"));
    assert!(said(exec().args(["a\0b"])).contains("NUL"));
    assert!(said(exec().env([("A=B", "c")])).contains("`env`: `A=B`"));
    assert!(said(exec().user("")).starts_with("`user` is empty"));
    assert!(said(exec().group("")).starts_with("`group` is empty"));
    assert!(said(exec().codes(Vec::<u8>::new())).starts_with("`codes` is empty"));
    // As a file of data may spell it out.
    let plain = exec().shell("").watchcmd("").ifcmd("").ifshell("").timeout(Duration::from_secs(0)).sig("SIGUSR1");
    assert_eq!(host.put(plain).validate(), []);
}
