//! The programs that every simulated host has.

use super::commands::{Answer, Called};
use super::host::Host;

/// Adds them to a host.
pub(super) fn add(host: &Host) {
    host.command("true *", Answer::ok());
    host.command("false *", Answer::fails(1, ""));
    host.program("echo *", |called| Answer::prints(called.args().join(" ") + "\n"));
    host.program("cat *", cat);
    host.program("test *", |called| test(called, called.args()));
    host.program("[ *", |called| match called.args() {
        [args @ .., last] if last == "]" => test(called, args),
        _ => Answer::fails(2, "[: missing ]\n"),
    });
    host.program("touch *", |called| {
        each(called, |host, path| {
            let content = host.read_bytes(path).unwrap_or_default();
            host.write(path, content);
            Ok(())
        })
    });
    host.program("mkdir *", |called| {
        each(called, |host, path| {
            host.make_dir(path);
            Ok(())
        })
    });
    host.program("rm *", |called| {
        let is_forced = called.args().iter().any(|arg| arg.starts_with('-') && arg.contains('f'));
        each(called, |host, path| match host.remove(path) || is_forced {
            true => Ok(()),
            false => Err(format!("rm: cannot remove '{path}': No such file or directory")),
        })
    });
    host.program("mount *", super::mounts::mount);
    host.program("umount *", super::mounts::umount);
    host.program("systemctl *", super::units::systemctl);
    super::account_tools::add(host);
    super::packages::add(host);
}

/// Does something with each argument that is no option.
fn each(called: &Called<'_>, does: impl Fn(&Host, &str) -> Result<(), String>) -> Answer {
    let paths = called.args().iter().filter(|arg| !arg.starts_with('-'));
    let errors: Vec<String> = paths.filter_map(|path| does(called.host, path).err()).collect();
    match errors.is_empty() {
        true => Answer::ok(),
        false => Answer::fails(1, errors.join("\n") + "\n"),
    }
}

fn cat(called: &Called<'_>) -> Answer {
    let mut all = String::new();
    for path in called.args() {
        match called.host.read(path) {
            Some(text) => all.push_str(&text),
            None => return Answer::fails(1, format!("cat: {path}: No such file or directory\n")),
        }
    }
    Answer::prints(all)
}

fn test(called: &Called<'_>, args: &[String]) -> Answer {
    let host = called.host;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (is_negated, args) = match args.as_slice() {
        ["!", rest @ ..] => (true, rest),
        all => (false, all),
    };
    let is_true = match args {
        ["-e", path] => host.exists(path),
        ["-f", path] => host.read_bytes(path).is_some(),
        ["-s", path] => host.read_bytes(path).is_some_and(|content| !content.is_empty()),
        ["-d", path] => host.is_dir(path),
        ["-L" | "-h", path] => host.link(path).is_some(),
        ["-n", text] | [text] => !text.is_empty(),
        ["-z", text] => text.is_empty(),
        [a, "=" | "==", b] => a == b,
        [a, "!=", b] => a != b,
        _ => return Answer::fails(2, "test: not simulated\n"),
    };
    if is_true == is_negated { Answer::fails(1, "") } else { Answer::ok() }
}
