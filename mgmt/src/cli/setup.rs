//! The command `setup svc`: installs a program as a systemd service.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::cli::options::RunOptions;
use crate::cli::own_words;
use crate::cli::report::CommandError;
use crate::cli::session::{Session, print};
use crate::cli::unit::{Unit, described, is_ours, quoted, written_by};
use crate::sys::fs::{WriteFs, WriteOptions};
use crate::sys::process::{Command, run};
use crate::sys::task::blocking;
use crate::sys::users::is_root;

/// The options of `setup svc`.
#[derive(Clone, Debug, Args)]
pub struct Svc {
    /// Name of the service; default: the program's name
    #[arg(long = "service", value_name = "NAME")]
    pub service: Option<String>,
    /// Start the service now, or restart it if it is running
    #[arg(long)]
    pub now: bool,
    /// Print the unit, and write nothing
    #[arg(long, conflicts_with = "now")]
    pub print: bool,
    /// Set up a service of this user, without root
    #[arg(long)]
    pub user: bool,
    /// Print a template unit, for packages: each instance runs the graph `/etc/mgmt/INSTANCE.yaml`.
    #[arg(long = "print-template", hide = true, exclusive = true)]
    #[doc(hidden)]
    pub template: bool,
}

/// Prints the template unit that a package installs.
pub(crate) fn template(session: &Session) -> Result<ExitCode, CommandError> {
    let exec = ["/usr/bin/mgmt run --yaml /etc/mgmt/%i.yaml".to_owned()];
    let origin = "# Each instance runs the graph of that name in /etc/mgmt.".to_owned();
    let about = format!("{} (%i)", described(&about(session)));
    let unit = Unit { origin, about, exec: &exec, state_directory: Some("mgmt/%i"), user: false };
    print(&unit.text()).map(|()| ExitCode::SUCCESS)
}

/// Writes the unit, enables it, and starts it if `--now` is given. The caller has checked the graph.
pub(crate) async fn svc(session: &Session, options: &Svc) -> Result<ExitCode, CommandError> {
    let name = options.service.as_deref().unwrap_or(&session.name);
    check_name(name)?;
    let text = unit_of(session, options, name)?;
    if options.print {
        return print(&text).map(|()| ExitCode::SUCCESS);
    }
    let is_booted = sd_notify::booted().unwrap_or(false);
    if options.now && !is_booted {
        let why = "systemd does not run here, so nothing can be started now: leave --now out";
        return Err(CommandError::Other(why.to_owned()));
    }
    let path = directory(options)?.join(format!("{name}.service"));
    let place = path.clone();
    let written = blocking(move || write(&place, &text)).await?;
    print(&format!("{}: {}\n", if written { "written" } else { "unchanged" }, path.display()))?;
    let scope = if options.user { "--user " } else { "" };
    // Also if the unit is unchanged: the call that wrote it may have been interrupted here.
    if is_booted {
        systemctl(options, &["daemon-reload"]).await?;
    }
    systemctl(options, &["--quiet", "enable", name]).await?;
    let status = format!("`systemctl {scope}status {name}` shows its state");
    if options.now {
        // The service is ready when the graph has converged, which can take long: don't wait for it.
        systemctl(options, &["--no-block", "restart", name]).await?;
        print(&format!("enabled and started: {status}, `journalctl {scope}-fu {name}` its log\n"))?;
    } else {
        let when = if options.user { "when this user logs in" } else { "with the system" };
        print(&format!("enabled: it starts {when} (with --now at once); {status}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Accepts a name that needs no escapes in a unit's name and is not that of a template (`@`).
fn check_name(name: &str) -> Result<(), CommandError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || name.len() > 200 || name.starts_with(['-', '.']) || !name.chars().all(is_plain) {
        return Err(CommandError::Other(format!(
            "`{name}` can't be the name of a service: give one of letters, digits, `_`, `.` and `-` with --service NAME"
        )));
    }
    Ok(())
}

fn about(session: &Session) -> String {
    session.command_line.command().get_about().map(ToString::to_string).unwrap_or_else(|| session.name.clone())
}

fn unit_of(session: &Session, options: &Svc, name: &str) -> Result<String, CommandError> {
    let program = own_program()?;
    let words = own_words::of_run(&session.command_line.command(), std::env::args_os(), &std::env::current_dir()?)
        .map_err(CommandError::Other)?;
    let exec: Vec<String> = std::iter::once(program).chain(words).map(|word| quoted(&word)).collect();
    let RunOptions { prefix, tmp_prefix, .. } = &session.options;
    let state = (prefix.is_none() && !tmp_prefix && !options.user).then(|| match name {
        "mgmt" => name.to_owned(),
        name => format!("mgmt/{name}"),
    });
    let (origin, about) = (written_by(&session.name), described(&about(session)));
    Ok(Unit { origin, about, exec: &exec, state_directory: state.as_deref(), user: options.user }.text())
}

/// The path of this program.
fn own_program() -> Result<String, CommandError> {
    let path = std::env::current_exe()?;
    if !path.exists() {
        return Err(CommandError::Other(format!("{}: the program was replaced while it ran", path.display())));
    }
    match path.to_str() {
        // systemd substitutes no variables in the path of the program: a `$` can't be written there, not even as `$$`.
        Some(text) if !text.contains('$') && !text.contains(char::is_control) => {
            if ["/target/debug/", "/target/release/"].iter().any(|dir| text.contains(dir)) {
                tracing::warn!(
                    target: "mgmt",
                    "the service will run {text}, which the next build replaces: install the program, for example in \
                     /usr/local/bin, and call `setup svc` of that one"
                );
            }
            Ok(text.to_owned())
        }
        _ => {
            let why = format!("a unit can't name the program {}: install it elsewhere", path.display());
            Err(CommandError::Other(why))
        }
    }
}

/// The directory of the unit: of the system, or of this user.
fn directory(options: &Svc) -> Result<PathBuf, CommandError> {
    if !options.user {
        return match is_root() {
            true => Ok(PathBuf::from("/etc/systemd/system")),
            false => Err(CommandError::Other(
                "a service of the system is set up by root: call this as root, or give --user".to_owned(),
            )),
        };
    }
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || set("HOME").map(|home| home.join(".config"));
    let config = set("XDG_CONFIG_HOME").or_else(home);
    let missing = || CommandError::Other("the directory for units of this user is not known: set HOME".to_owned());
    Ok(config.ok_or_else(missing)?.join("systemd/user"))
}

/// Writes the unit. False if the file contains this text already.
fn write(path: &Path, text: &str) -> Result<bool, CommandError> {
    match std::fs::read(path) {
        Ok(there) if there == text.as_bytes() => return Ok(false),
        Ok(there) if !is_ours(&String::from_utf8_lossy(&there)) => {
            return Err(CommandError::Other(format!(
                "{} was not written by this command: remove it, or give another name with --service NAME",
                path.display()
            )));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(CommandError::Other(format!("{} can't be read: {error}", path.display())));
        }
        Ok(_) | Err(_) => {}
    }
    let fail =
        |error: &dyn std::fmt::Display| CommandError::Other(format!("{} can't be written: {error}", path.display()));
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(|error| fail(&error))?;
    }
    let options = WriteOptions::new().mode(0o644);
    WriteFs::new().write_file(path, text.as_bytes(), &options).map_err(|error| fail(&error))?;
    Ok(true)
}

async fn systemctl(options: &Svc, arguments: &[&str]) -> Result<(), CommandError> {
    let command = Command::new("systemctl").args(options.user.then_some("--user")).args(arguments);
    let output = run(&command).await.and_then(|output| output.require_success(&command));
    output.map(drop).map_err(|error| CommandError::Other(format!("the unit is written, but {error}")))
}
