//! The commands that ask a running instance: what they print, and their exit codes.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value as Json;

use crate::kit::program::{Running, act, copy, example};

/// A scene that runs and has converged.
fn running(scene: &str, dir: &Path) -> Running {
    let mut running = act(scene, dir).args("--color never").start();
    running.says("converged in");
    running
}

/// The output of a command to it, which succeeds.
fn asked(scene: &str, dir: &Path, args: &[&str]) -> String {
    let mut program = act(scene, dir);
    for arg in args {
        program.arg(arg);
    }
    program.run().code(0).out
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The ids of a list of resources.
fn names(data: &Json) -> Vec<&str> {
    data.as_array().unwrap().iter().map(|resource| resource["id"].as_str().unwrap()).collect()
}

#[test]
fn status_shows_every_resource_or_those_that_are_selected() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display();
    let site = running("site", dir.path());
    let socket = fs::symlink_metadata(dir.path().join("prefix/control.sock")).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o7777, 0o600);
    let status = json(&asked("site", dir.path(), &["status", "--json"]));
    let engine = &status["engine"];
    assert_eq!((&engine["graph"], &engine["resources"], &engine["settled"]), (&"act".into(), &5.into(), &5.into()));
    assert_eq!((&engine["converged"], &engine["pid"]), (&true.into(), &site.pid().into()));
    for resource in status["resources"].as_array().unwrap() {
        assert_eq!(resource["state"], "settled", "{resource}");
        assert!(resource["since"].is_number(), "{resource}");
        assert!(resource["at"].as_str().unwrap().starts_with("tests/programs/act.rs:"), "{resource}");
    }
    assert_eq!(status["resources"].as_array().unwrap().len(), 5);
    let files = json(&asked("site", dir.path(), &["status", "--kind", "file", "*/site/*", "--json"]));
    let expected = ["site/", "site/seed", "site/motd"].map(|name| format!("file[{path}/{name}]"));
    assert_eq!(names(&files["resources"]), expected);
    let failed = json(&asked("site", dir.path(), &["status", "--failed", "--json"]));
    assert_eq!(failed["resources"], Json::Array(vec![]));
    let names = asked("site", dir.path(), &["status", "--names", "exec[*]"]);
    assert_eq!(names, "exec[seed]\nexec[reload]\n");
    let text = asked("site", dir.path(), &["status", "exec[seed]"]);
    assert!(text.starts_with("act: converged, 5 of 5 settled (graph 1, process "), "{text}");
    assert!(text.contains("\n✔ exec[seed]  settled, for "), "{text}");
    let unknown = act("site", dir.path()).args("status exec[sed]").run().code(1);
    assert!(unknown.err.contains("the graph has no resource `exec[sed]`; did you mean `exec[seed]`?"), "{unknown:?}");
    let unknown = act("site", dir.path()).args("status --kind exe --json").run().code(1);
    assert!(json(&unknown.out)["errors"][0]["message"].as_str().unwrap().contains("did you mean `exec`?"));
}

#[test]
fn where_no_instance_runs_the_journal_is_asked_and_a_killed_one_leaves_no_trouble() {
    let dir = tempfile::tempdir().unwrap();
    let none = act("pausing", dir.path()).arg("status").run().code(3);
    assert_eq!(none.out, "its journal remembers nothing\n");
    assert!(none.err.contains("no instance runs at"), "{none:?}");
    assert!(!dir.path().join("prefix").exists(), "nothing is made");
    let mut run = act("pausing", dir.path()).start();
    run.until("the file is there", |_| dir.path().join("config").exists());
    // The refresh takes its time, and is owed meanwhile.
    let why = |name: &str| json(&asked("pausing", dir.path(), &["why", name, "--json"]))["resources"][0].clone();
    run.until("the refresh runs", |_| why("pause")["resource"]["operation"] == "refresh");
    let config = format!("file[{}/config]", dir.path().display());
    assert_eq!(why("pause")["owed_by"], Json::from(vec![config.clone()]));
    assert_eq!(why(&config)["owes"], Json::from(vec!["exec[pause]"]));
    run.kill_9();
    assert!(dir.path().join("prefix/control.sock").exists(), "a killed process can't remove it");
    let none = act("pausing", dir.path()).arg("status").run().code(3);
    let owed = "its journal remembers a refresh that is owed:\n  exec[pause], since file[";
    assert!(none.out.starts_with(owed), "{none:?}");
    let none = act("pausing", dir.path()).args("why exec[pause] --json").run().code(3);
    let none = json(&none.out);
    assert_eq!((&none["owed"][0]["from"], &none["owed"][0]["to"]), (&config.into(), &"exec[pause]".into()));
    for order in ["pause", "resume", "reload", "poke x", "events"] {
        let none = act("pausing", dir.path()).args(order).run().code(3);
        assert!(none.out.is_empty() && none.err.contains("no instance runs at"), "{order}: {none:?}");
    }
    let again = running("pausing", dir.path());
    assert!(asked("pausing", dir.path(), &["status"]).contains("converged"));
    again.signal(Signal::INT);
    again.wait().code(0);
    assert!(!dir.path().join("prefix/control.sock").exists(), "it is removed at the end");
    act("pausing", dir.path()).arg("status").run().code(3);
}

#[test]
fn two_instances_on_two_prefixes_are_asked_apart() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_one, _two) = (running("site", one.path()), running("wide", two.path()));
    let count = |args: &[&str]| json(&asked("site", one.path(), args))["engine"]["resources"].clone();
    assert_eq!(count(&["status", "--json"]), 5);
    let other = two.path().join("prefix").display().to_string();
    assert_eq!(count(&["status", "--json", "--prefix", &other]), 60);
}

#[test]
fn a_failure_is_explained_and_can_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let never = format!("file[{}/never]", dir.path().display());
    let mut run = act("fails", dir.path()).args("--color never").start();
    run.says("out of luck");
    let failed = asked("fails", dir.path(), &["status", "--failed"]);
    assert!(failed.contains("\n✘ exec[broken]  failed, for "), "{failed}");
    assert!(failed.contains("out of luck") && !failed.contains("never"), "{failed}");
    let why = json(&asked("fails", dir.path(), &["why", &never, "--json"]))["resources"][0].clone();
    assert_eq!((&why["resource"]["state"], &why["resource"]["by"][0]), (&"blocked".into(), &"exec[broken]".into()));
    let edge = &why["after"][0];
    assert_eq!(
        (&edge["id"], &edge["state"], &edge["notify"]),
        (&"exec[broken]".into(), &"failed".into(), &false.into())
    );
    assert!(edge["at"].as_str().unwrap().starts_with("tests/programs/act.rs:"), "{edge}");
    assert_eq!(why["before"][0]["id"], "noop[last]");
    let failures = || asked("fails", dir.path(), &["events", "exec[broken]"]).matches("failed:").count();
    assert_eq!(failures(), 1);
    let poked = asked("fails", dir.path(), &["poke", "exec[broken]"]);
    assert_eq!(poked, "1 resource is checked now\n");
    run.until("it is tried again", |_| failures() == 2);
    let why = asked("fails", dir.path(), &["why", "exec[broken]"]);
    assert!(why.contains("checked because a client asked for it"), "{why}");
    assert!(why.contains("\n  declared at tests/programs/act.rs:"), "{why}");
    let unknown = act("fails", dir.path()).args("why exec[brokem]").run().code(1);
    assert!(unknown.err.contains("did you mean `exec[broken]`?"), "{unknown:?}");
}

#[test]
fn why_names_the_change_that_caused_a_check_and_events_can_be_followed_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let motd = dir.path().join("site/motd");
    let run = running("site", dir.path());
    let mut follow = act("site", dir.path()).args("events --follow --json --last 1").start();
    follow.until("it gets what comes from now on", |follow| follow.out_so_far().contains('\n'));
    // At once, or a check may find it empty.
    let new = dir.path().join("new");
    fs::write(&new, "hello\n").unwrap();
    fs::rename(&new, &motd).unwrap();
    follow.until("the refresh is reported", |follow| follow.out_so_far().contains("\"event\":\"refreshed\""));
    assert_eq!(fs::read_to_string(&motd).unwrap(), "hello\nworld\n");
    let why = json(&asked("site", dir.path(), &["why", "reload", "--json"]))["resources"][0].clone();
    let last = why["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["what"]["event"], "refreshed");
    let motd = format!("file[{}]", motd.display());
    assert_eq!(last["because"], Json::from(vec![motd.clone()]), "{last}");
    let text = asked("site", dir.path(), &["why", &motd]);
    let drifted = text.lines().rfind(|line| line.contains("drifted: content: 6 bytes → 12 bytes"));
    assert!(drifted.is_some_and(|line| line.contains("because its watch reported a change")), "{text}");
    let text = asked("site", dir.path(), &["why", "exec[reload]"]);
    assert!(text.contains("refreshed in") && text.contains(&format!("because {motd} changed")), "{text}");
    run.signal(Signal::TERM);
    run.wait().code(143);
    let followed = follow.wait().code(0).out;
    let words: Vec<String> =
        followed.lines().map(|line| json(line)["what"]["event"].as_str().unwrap().to_owned()).collect();
    assert!(words.contains(&"drifted".to_owned()) && words.contains(&"applied".to_owned()), "{words:?}");
    assert_eq!(words.last().unwrap(), "stopped", "{words:?}");
}

#[test]
fn a_pause_keeps_everything_from_beginning_until_it_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = running("wide", dir.path());
    let file = dir.path().join("7");
    assert_eq!(asked("wide", dir.path(), &["pause", "--idle"]), "paused: nothing begins until `resume`\n");
    assert!(asked("wide", dir.path(), &["status"]).starts_with("act: paused, "));
    fs::remove_file(&file).unwrap();
    let poked = asked("wide", dir.path(), &["poke", "*/7", "*/8"]);
    assert_eq!(poked, "2 will be checked: the instance is in a pause, until `resume`\n");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!file.exists());
    assert_eq!(json(&asked("wide", dir.path(), &["resume", "--json"]))["paused"], false);
    run.until("the file is back", |_| file.exists());
    assert_eq!(asked("wide", dir.path(), &["reload"]), "the graph was made again\n");
    assert_eq!(asked("wide", dir.path(), &["reload", "-q"]), "");
}

#[test]
fn no_secret_goes_through_the_socket() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = act("secret", dir.path()).args("--color never").start();
    run.until("the password is in its file", |_| dir.path().join("secret").exists());
    run.says("confesses[panics]");
    let password = fs::read_to_string(dir.path().join("secret")).unwrap();
    assert_eq!(password.len(), 32);
    fs::write(dir.path().join("secret"), "planted").unwrap();
    fs::write(dir.path().join("kept"), "planted too").unwrap();
    run.until("both are repaired", |_| {
        fs::read_to_string(dir.path().join("secret")).unwrap() == password
            && fs::read_to_string(dir.path().join("kept")).unwrap() == "canary-in-the-graph"
    });
    let mut all = String::new();
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["events"],
        &["events", "--json"],
        &["why", "*", "--json"],
        &["why", "*"],
    ] {
        let text = asked("secret", dir.path(), args);
        assert!(text.contains("password[admin]"), "{args:?}");
        all.push_str(&text);
    }
    assert!(all.contains("content: changed (secret)"), "{all}");
    for secret in [password.as_str(), "canary-in-the-graph", "planted"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

/// Another user can't use the socket, even if the file lets it in.
#[test]
#[ignore = "needs root"]
fn another_user_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _run = running("site", dir.path());
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(dir.path(), 0o755);
    let program = dir.path().join("program");
    copy(&example("act"), &program);
    open(&program, 0o755);
    let prefix = dir.path().join("prefix");
    let ask = || {
        let mut command = Command::new(&program);
        command.args(["--scene", "site", "--dir", "/", "status", "--prefix"]).arg(&prefix).current_dir("/");
        command.env_clear().uid(65534).gid(65534).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(ask().contains("Permission denied"));
    open(&prefix, 0o755);
    assert!(ask().contains("Permission denied"));
    open(&prefix.join("control.sock"), 0o666);
    let refused = ask();
    assert!(refused.contains("this engine belongs to the user root: nobody may not use its socket"), "{refused}");
    // Root may.
    asked("site", dir.path(), &["status"]);
}

/// What bash offers for a command line.
fn completed(dir: &Path, line: &str) -> Vec<String> {
    let script = dir.join("script");
    if !script.exists() {
        fs::write(&script, act("site", dir).args("completion bash").run().code(0).out).unwrap();
    }
    // As readline cuts words: at blanks and colons.
    let drive = r#"
        source "$1"
        COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
        act() { "$ACT" --scene site --dir "$DIR" "$@"; }
        read -ra COMP_WORDS <<< "${COMP_LINE//:/ : }"
        [[ $COMP_LINE == *" " ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _act_resources act "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", drive, "bash"]).arg(&script).arg(line);
    bash.env("ACT", example("act")).env("DIR", dir).env("MGMT_PREFIX", dir.join("prefix"));
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What zsh offers for a command line; `None` if there is no zsh here.
fn completed_in_zsh(dir: &Path, line: &str) -> Option<Vec<String>> {
    // Completion needs an editor, and the editor a terminal.
    const RC: &str = r#"
        autoload -Uz compinit && compinit -u -D
        source $DIR/script.zsh
        act() { $ACT --scene site --dir $DIR "$@" }
        compadd() { builtin compadd -A offered "$@"; print -rl -- $offered >> $DIR/offered; builtin compadd "$@" }
        all() { _main_complete; print > $DIR/done }
        zle -C all complete-word all
        bindkey '^I' all
        zle-line-init() { print > $DIR/ready }
        zle -N zle-line-init
    "#;
    const DRIVE: &str = r#"
        zmodload zsh/zpty
        zpty shell zsh -d -i
        until [[ -e $DIR/ready ]]; do sleep 0.01; done
        zpty -w -n shell "$1"$'\t'
        until [[ -e $DIR/done ]]; do sleep 0.01; done
        zpty -d shell
    "#;
    for (name, text) in
        [("script.zsh", act("site", dir).args("completion zsh").run().code(0).out), (".zshrc", RC.to_owned())]
    {
        fs::write(dir.join(name), text).unwrap();
    }
    for name in ["offered", "done", "ready"] {
        let _ = fs::remove_file(dir.join(name));
    }
    let mut zsh = Command::new("zsh");
    zsh.args(["-f", "-c", DRIVE, "zsh", line]).env("ACT", example("act")).env("DIR", dir).env("ZDOTDIR", dir);
    let output = zsh.env("MGMT_PREFIX", dir.join("prefix")).env("TERM", "xterm").stdin(Stdio::null()).output().ok()?;
    assert!(output.status.success(), "{output:?}");
    let offered = fs::read_to_string(dir.join("offered")).unwrap_or_default();
    Some(offered.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

#[test]
fn zsh_completes_the_names_of_resources() {
    let dir = tempfile::tempdir().unwrap();
    let script = act("site", dir.path()).args("completion zsh").run().code(0).out;
    // In `status`, `why`, `events` and `poke`; nothing else takes names.
    assert_eq!(script.matches(":_act_resources' \\\n").count(), 4, "{script}");
    let (function, itself) =
        (script.find("\n_act_resources() {").unwrap(), script.find("\nif [ \"$funcstack[1]").unwrap());
    assert!(function < itself);
    let _run = running("site", dir.path());
    let zsh = |line: &str| completed_in_zsh(dir.path(), line);
    let Some(execs) = zsh("act why exec") else { return };
    assert_eq!(execs, ["exec\\[seed\\]", "exec\\[reload\\]"]);
    let motd = format!("file[{}/site/motd]", dir.path().display());
    assert_eq!(zsh(&format!("act status --json '{}", &motd[..motd.len() - 4])).unwrap(), [motd.as_str()]);
    assert_eq!(zsh("act poke --prefix /nowhere exec").unwrap(), [""; 0]);
    let prefix = dir.path().join("prefix");
    assert_eq!(zsh(&format!("act --prefix={} poke exec\\[r", prefix.display())).unwrap(), ["exec\\[reload\\]"]);
    // What has nothing to do with names is completed as before.
    assert!(zsh("act why --js").unwrap().contains(&"--json".to_owned()));
    assert!(zsh("act sta").unwrap().contains(&"status".to_owned()));
}

/// What fish offers for a command line; `None` if there is no fish here.
fn completed_in_fish(dir: &Path, line: &str) -> Option<Vec<String>> {
    const DRIVE: &str = r#"
        function act; $ACT --scene site --dir $DIR $argv; end
        source $DIR/script.fish
        complete -C $argv[1]
    "#;
    fs::write(dir.join("script.fish"), act("site", dir).args("completion fish").run().code(0).out).unwrap();
    let mut fish = Command::new("fish");
    fish.args(["--no-config", "-c", DRIVE, line]).env("ACT", example("act")).env("DIR", dir).env("HOME", dir);
    let output = fish.env("MGMT_PREFIX", dir.join("prefix")).stdin(Stdio::null()).output().ok()?;
    assert!(output.status.success(), "{output:?}");
    // A description follows a tab.
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect())
}

#[test]
fn fish_completes_the_names_of_resources() {
    let dir = tempfile::tempdir().unwrap();
    let script = act("site", dir.path()).args("completion fish").run().code(0).out;
    assert!(script.ends_with(
        "complete -c act -n \"__fish_seen_subcommand_from status why events poke\" -f -a \"(__act_resources)\"\n"
    ));
    let _run = running("site", dir.path());
    let fish = |line: &str| completed_in_fish(dir.path(), line);
    let Some(execs) = fish("act why exec") else { return };
    assert_eq!(execs, ["exec[reload]", "exec[seed]"]);
    let motd = format!("file[{}/site/motd]", dir.path().display());
    assert_eq!(fish(&format!("act status --json {}", &motd[..motd.len() - 4])).unwrap(), [motd.as_str()]);
    assert_eq!(fish("act poke --prefix /nowhere exec").unwrap(), [""; 0]);
    let prefix = dir.path().join("prefix");
    assert_eq!(fish(&format!("act --prefix={} poke exec[r", prefix.display())).unwrap(), ["exec[reload]"]);
    assert!(fish("act why --js").unwrap().contains(&"--json".to_owned()));
    assert!(fish("act sta").unwrap().contains(&"status".to_owned()));
}

#[test]
fn bash_completes_the_names_of_resources() {
    let dir = tempfile::tempdir().unwrap();
    let _run = running("site", dir.path());
    let motd = format!("file\\[{}/site/motd\\]", dir.path().display());
    assert_eq!(completed(dir.path(), "act why exec"), ["exec\\[seed\\]", "exec\\[reload\\]"]);
    assert_eq!(completed(dir.path(), &format!("act status --json {}", &motd[..motd.len() - 5])), [motd.as_str()]);
    assert_eq!(completed(dir.path(), &format!("act poke file[{}/site/m", dir.path().display())), [motd.as_str()]);
    let quoted = completed(dir.path(), "act why 'exec[r");
    assert_eq!(quoted, ["exec[reload]"]);
    // What has nothing to do with names is completed as before.
    assert!(completed(dir.path(), "act why --js").contains(&"--json".to_owned()));
    assert!(completed(dir.path(), "act sta").contains(&"status".to_owned()));
}
