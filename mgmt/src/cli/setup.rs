//! The command `setup svc`: installs a program as a systemd service.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::cli::options::RunOptions;
use crate::cli::own_words::OfRun;
use crate::cli::report::CommandError;
use crate::cli::session::{Session, print};
use crate::cli::signals::Ladder;
use crate::cli::unit::{self, Unit, described, is_ours, written_by};
use crate::cli::{own_words, prefix};
use crate::sys::fs::{WriteFs, WriteOptions};
use crate::sys::process::{Command, run};
use crate::sys::task::blocking;
use crate::sys::unit_text::command_word;
use crate::sys::users::is_root;

/// How long `--now` waits until the service is ready or has failed.
const START: Duration = Duration::from_secs(10);

/// Directories that can be emptied at a reboot.
const VOLATILE: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev/shm"];

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
    let state_directory = Some("mgmt/%i");
    let unit = Unit { origin, about, exec: &exec, directory: None, environment: &[], state_directory, user: false };
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
        let journal = format!("`journalctl {scope}-fu {name}` its log");
        match start(options, name).await? {
            true => print(&format!("enabled and started: {status}, {journal}\n"))?,
            false => print(&format!("enabled and starting, not converged yet: {status}, {journal}\n"))?,
        }
    } else {
        let when = if options.user { "when this user logs in" } else { "with the system" };
        print(&format!("enabled: it starts {when} (with --now at once); {status}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts the service, or restarts it. True if it is ready: that is when the graph has converged, which can take long.
/// False if it was not ready after [`START`], but has not failed.
async fn start(options: &Svc, name: &str) -> Result<bool, CommandError> {
    let scope = options.user.then_some("--user");
    let command = Command::new("systemctl").args(scope).args(["restart", name]);
    let mut ladder = Ladder::new()?;
    // If `systemctl` ends early, the service still starts.
    let output = tokio::select! {
        output = run(&command) => output,
        () = tokio::time::sleep(START) => return Ok(false),
        signal = ladder.first() => return Err(CommandError::Interrupted(signal)),
    };
    output.and_then(|output| output.require_success(&command)).map(|_| true).map_err(|error| {
        let scope = if options.user { "--user " } else { "" };
        CommandError::Other(format!(
            "the service {name} is enabled, but does not start: {error}\n`journalctl {scope}-u {name}` shows why"
        ))
    })
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
    let here = std::env::current_dir().map_err(|error| {
        CommandError::Other(format!("the current directory can't be found: {error}; call `setup svc` in another one"))
    })?;
    let variable = |name: &OsStr| std::env::var_os(name);
    let OfRun { mut words, has_text, hidden } =
        own_words::of_run(&session.command_line.command(), std::env::args_os(), &here, variable)
            .map_err(CommandError::Other)?;
    for name in hidden {
        tracing::warn!(target: "mgmt", "the service does not get the value of {name}: set it in a drop-in");
    }
    let RunOptions { prefix, tmp_prefix, .. } = &session.options;
    let mut has_prefix = prefix.is_some() || *tmp_prefix;
    if let (false, Some(variable)) = (has_prefix, prefix::variable()) {
        let path = own_words::utf_8(here.join(variable).into_os_string()).map_err(CommandError::Other)?;
        words.insert(0, format!("--prefix={path}"));
        has_prefix = true;
    }
    let exec: Vec<String> = std::iter::once(program).chain(words).map(|word| command_word(&word)).collect();
    let state = (!has_prefix && !options.user).then(|| match name {
        "mgmt" => name.to_owned(),
        name => format!("mgmt/{name}"),
    });
    let unit = Unit {
        origin: written_by(&session.name),
        about: described(&about(session)),
        exec: &exec,
        directory: directory_of(&here, has_text)?,
        environment: &environment(options),
        state_directory: state.as_deref(),
        user: options.user,
    };
    Ok(unit.text())
}

/// The directory in which the service runs: that of the caller, as for `run`. `is_needed`: the graph comes from a text
/// that can name files relative to it, so that the service must not start elsewhere.
fn directory_of(here: &Path, is_needed: bool) -> Result<Option<String>, CommandError> {
    if is_needed && VOLATILE.iter().any(|dir| here.starts_with(dir)) {
        tracing::warn!(
            target: "mgmt",
            "the service will run in {}, which may be gone after a reboot: call `setup svc` in another directory",
            here.display()
        );
    }
    let why = || format!("a unit can't name the directory {}: call `setup svc` in another one", here.display());
    unit::directory(here, !is_needed).map(Some).ok_or_else(|| CommandError::Other(why()))
}

/// The variables that a run reads and that have no option.
fn environment(options: &Svc) -> Vec<String> {
    let set = |name: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
        Some(format!("{name}={value}"))
    };
    // The service of the system has its working directory from the unit.
    let state = set("XDG_STATE_HOME").filter(|_| options.user);
    [set("RUST_LOG"), state].into_iter().flatten().collect()
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
