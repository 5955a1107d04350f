//! Starts the executable a second time, so that it stays on this machine when this process ends: as a unit of systemd
//! where that runs, elsewhere as a process with a session of its own.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::record::{Place, SOCKET};
use crate::graph::ContentId;
use crate::sys::facts::SYSTEMD;
use crate::sys::local::{connect, stranger};
use crate::sys::process::{Command, FAR_END_VARIABLE, PipedEnd, Status, run, spawn_alone};
use crate::sys::task::blocking;
use crate::sys::users::{is_root, us, user_name};

/// What the value of the variable begins with in a process that stays.
const MARK: &str = "detached ";
/// How long the process may take until it can be reached, and how often that is tried.
const START_MAX: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// How often systemd is asked whether the unit is still active.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long a command to systemd may take.
const COMMAND_MAX: Duration = Duration::from_secs(30);
/// Files with the names of the users whose services run without a login.
const LINGERING: &str = "/var/lib/systemd/linger";
/// The variables of a login that its commands need. Others may be secret, and everyone can read those of a unit.
const KEPT_VARIABLES: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "TZ",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
];

/// What the process that stays must know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::remote) struct Stays {
    pub(in crate::remote) prefix: PathBuf,
    /// The unit that it is.
    pub(in crate::remote) unit: Option<String>,
    /// Whether that is one of the user's own systemd.
    pub(in crate::remote) is_user_unit: bool,
}

/// What this process must know if it stays, from the value of its variable.
pub(in crate::remote) fn place_of(value: &OsStr) -> Option<Stays> {
    serde_json::from_str(value.to_str()?.strip_prefix(MARK)?).ok()
}

impl Stays {
    /// Where the log is.
    pub(in crate::remote) fn log(&self, place: &Place) -> String {
        match &self.unit {
            Some(unit) if self.is_user_unit => format!("journalctl --user --unit={unit}"),
            Some(unit) => format!("journalctl --unit={unit}"),
            None => place.dir().join("log").display().to_string(),
        }
    }

    fn value(&self) -> Result<OsString, String> {
        let data = serde_json::to_string(self);
        let data = data.map_err(|_| format!("the path {} must be UTF-8 for --detach", self.prefix.display()))?;
        Ok(format!("{MARK}{data}").into())
    }
}

/// The process that was started, and how its end is found out.
enum Started {
    Unit(Stays),
    Process(Option<PipedEnd>),
}

/// Starts the executable of this process with its arguments, and connects to it. `variables`: those that the near end
/// has set. `is_here`: the machine is that of the near end, whose systemd is left alone.
pub(in crate::remote) async fn start(place: &Place, variables: &[String], is_here: bool) -> Result<UnixStream, String> {
    place.make()?;
    if let Some(why) = place.refusal() {
        return Err(why);
    }
    let program = std::env::current_exe().map_err(|error| format!("the path of this program is not known: {error}"))?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut started = if !is_here && Path::new(SYSTEMD).is_dir() {
        Started::Unit(start_unit(place, &program, &arguments, variables).await?)
    } else {
        let stays = Stays { prefix: place.prefix().to_owned(), unit: None, is_user_unit: false };
        let vars = [(FAR_END_VARIABLE.to_owned(), stays.value()?)];
        let (log, path) = place.log().map_err(|error| format!("the log of the run can't be written: {error}"))?;
        let end = spawn_alone(&program, &arguments, &vars, log).map_err(|error| {
            format!("{} can't be started: {error}; its log would be {}", program.display(), path.display())
        })?;
        Started::Process(Some(end))
    };
    tokio::select! {
        stream = connected(place) => stream,
        why = ended(&mut started, place) => Err(why),
    }
}

async fn connected(place: &Place) -> Result<UnixStream, String> {
    let began = Instant::now();
    loop {
        match connect(place.dir(), SOCKET).await {
            Ok(stream) => {
                return match stranger(&stream) {
                    Ok(None) => Ok(stream),
                    _ => Err(format!("another user listens at {}", place.dir().join(SOCKET).display())),
                };
            }
            Err(error) if began.elapsed() > START_MAX => {
                let after = START_MAX.as_secs();
                return Err(format!("the run that stays can't be reached after {after} s: {error}"));
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {}
            Err(error) => return Err(format!("the run that stays can't be reached: {error}")),
        }
        sleep(PAUSE).await;
    }
}

/// Returns when the process has ended: why.
async fn ended(started: &mut Started, place: &Place) -> String {
    match started {
        Started::Process(end) => {
            let status = match end.take() {
                Some(end) => end.wait().await,
                None => std::future::pending().await,
            };
            let status = match status {
                Ok(Status::Exit(code)) => format!("exit code {code}"),
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            };
            let place = place.clone();
            let printed = blocking(move || place.last_words()).await;
            let printed = if printed.is_empty() { String::new() } else { format!("; it printed: {printed}") };
            format!("the run that stays has ended at once ({status}){printed}")
        }
        Started::Unit(stays) => {
            let unit = stays.unit.clone().unwrap_or_default();
            loop {
                sleep(ASK_EVERY).await;
                let mut command = Command::new("systemctl").timeout(COMMAND_MAX);
                if stays.is_user_unit {
                    command = of_user(command).arg("--user");
                }
                let asked = run(&command.args(["is-active", &unit])).await;
                let state = asked.map(|output| output.stdout.text().trim().to_owned());
                if let Ok(state @ ("inactive" | "failed")) = state.as_deref() {
                    return format!("the unit {unit} is {state} right after its start: see `{}`", stays.log(place));
                }
            }
        }
    }
}

/// Lets a command reach the user's own systemd, also in a login that did not begin by the usual way (`sudo`).
fn of_user(command: Command) -> Command {
    command.var("XDG_RUNTIME_DIR", format!("/run/user/{}", us()))
}

/// A user without a login has a systemd of its own only if it lingers.
fn lingers() -> Result<(), String> {
    let user = user_name(us());
    if Path::new(LINGERING).join(&user).exists() && Path::new(&format!("/run/user/{}/systemd", us())).is_dir() {
        return Ok(());
    }
    Err(format!(
        "the user {user} does not linger on this host, so its systemd would end the run with the login: let root run \
         `loginctl enable-linger {user}` there once, or run as root (`--become`)"
    ))
}

async fn start_unit(
    place: &Place,
    program: &Path,
    arguments: &[OsString],
    variables: &[String],
) -> Result<Stays, String> {
    let is_user_unit = !is_root();
    if is_user_unit {
        lingers()?;
    }
    // One name for each working directory, in which one run can be.
    let digest = ContentId::of(place.prefix().as_os_str().as_bytes()).to_string();
    let unit = format!("mgmt-remote-{}.service", &digest[..12]);
    let stays = Stays { prefix: place.prefix().to_owned(), unit: Some(unit.clone()), is_user_unit };
    let mut command = Command::new("systemd-run").timeout(COMMAND_MAX);
    if is_user_unit {
        command = of_user(command).arg("--user");
    }
    let unit_option = format!("--unit={unit}");
    command = command.args(["--quiet", "--collect", "--service-type=exec", &unit_option]);
    command = command.arg("--description=A run of a graph that `remote run --detach` has left here");
    for property in properties() {
        command = command.arg(joined("--property=", &property));
    }
    let mut vars = vec![(FAR_END_VARIABLE.to_owned(), stays.value()?)];
    for name in KEPT_VARIABLES.into_iter().chain(variables.iter().map(String::as_str)) {
        if let Some(value) = std::env::var_os(name) {
            vars.push((name.to_owned(), value));
        }
    }
    for (name, value) in vars {
        command = command.arg(joined(&format!("--setenv={name}="), &value));
    }
    command = command.arg("--").arg(program).args(arguments.iter().map(|word| literal(word)));
    let output = run(&command).await.map_err(|error| format!("systemd-run: {error}"))?;
    if output.status != Status::Exit(0) {
        let why = output.stderr.text().trim().to_owned();
        return Err(format!("systemd-run has not started the unit {unit}: {why}"));
    }
    Ok(stays)
}

/// What the unit has besides its command, as a service that `setup svc` writes: operations under way may end, and what
/// commands of the graph have started in the background is not part of it.
fn properties() -> Vec<OsString> {
    let fixed = ["KillMode=process", "OOMPolicy=continue", "TimeoutStopSec=5min"];
    let mut all: Vec<OsString> = fixed.map(OsString::from).into();
    if let Ok(directory) = std::env::current_dir() {
        all.push(joined("WorkingDirectory=", directory.as_os_str()));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(umask) = status.lines().find_map(|line| line.strip_prefix("Umask:")) {
        all.push(format!("UMask={}", umask.trim()).into());
    }
    all
}

fn joined(first: &str, second: &OsStr) -> OsString {
    let mut word = OsString::from(first);
    word.push(second);
    word
}

/// systemd reads `$NAME` in the words of a command as a variable, and `$$` as `$`.
fn literal(word: &OsStr) -> OsString {
    let mut bytes = Vec::new();
    for byte in word.as_bytes() {
        bytes.push(*byte);
        if *byte == b'$' {
            bytes.push(b'$');
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_a_unit_as_they_are() {
        assert_eq!(literal(OsStr::new("a$HOME ${x} $$ %n")), OsString::from("a$$HOME $${x} $$$$ %n"));
    }

    #[test]
    fn a_process_that_stays_knows_its_place_and_another_one_does_not() {
        let stays = Stays { prefix: "/a \"b\"\n".into(), unit: Some("u.service".into()), is_user_unit: true };
        assert_eq!(place_of(&stays.value().unwrap()), Some(stays));
        assert_eq!(place_of(OsStr::new("abcdefgh")), None);
        let strange = PathBuf::from(OsString::from_vec(b"/\xff".to_vec()));
        assert!(Stays { prefix: strange, unit: None, is_user_unit: false }.value().is_err());
    }
}
