//! The commands of apt and dpkg: with exact arguments, without questions, and what their failures mean.

use std::time::Duration;

use crate::resource::{Error, Obstacle, ObstacleKind, Result};
use crate::resources::pkg::installer::{Failure, Ways};
use crate::resources::pkg::judge::{LISTS, Todo};
use crate::resources::pkg::name::PkgName;
use crate::resources::pkg::state::PkgConffiles;
use crate::resources::pkg::status::UPDATES;
use crate::sys::process::{Command, Env, ProcessError, run};

/// Where the tools are looked for, and where maintainer scripts find what they run.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long apt may take to answer a question.
const ANSWER_MAX: Duration = Duration::from_secs(120);
/// The bytes of output that are kept: enough for the answer about some thousand packages.
const OUTPUT_MAX: usize = 8 << 20;

fn command(program: &str) -> Command {
    let vars = [
        ("PATH", PATH),
        ("LC_ALL", "C.UTF-8"),
        ("LANGUAGE", "C"),
        ("HOME", "/root"),
        // Neither apt nor what packages run asks anything.
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
        ("APT_LISTCHANGES_FRONTEND", "none"),
        ("APT_LISTBUGS_FRONTEND", "none"),
        ("NEEDRESTART_SUSPEND", "1"),
    ];
    let vars = vars.map(|(name, value)| (name.into(), value.into())).into();
    Command::new(program).env(Env::Explicit(vars)).cwd("/").output_max(OUTPUT_MAX)
}

/// What `apt-cache policy` prints for these packages; for none: the sources of packages.
pub(super) async fn policy(names: &[&PkgName]) -> Result<String> {
    let command = command("apt-cache").args(["policy", "--"]).args(names.iter().map(ToString::to_string));
    let command = command.timeout(ANSWER_MAX).whole_output();
    let output = run(&command).await.map_err(no_program)?.require_success(&command)?;
    Ok(String::from_utf8_lossy(&output.stdout.head).into_owned())
}

/// Learns what the repositories have.
pub(super) fn update() -> Command {
    command("apt-get").args(["--quiet", "--option", "APT::Update::Error-Mode=any", "update"])
}

/// Configures what dpkg has unpacked.
pub(super) fn configure(ways: Ways) -> Command {
    command("dpkg").args(conffiles(ways)).args(["--configure", "--pending"])
}

fn conffiles(ways: Ways) -> &'static [&'static str] {
    match ways.conffiles {
        // If the file was not changed here, that of the package is taken.
        PkgConffiles::Keep => &["--force-confdef", "--force-confold"],
        // The default would be to keep it.
        PkgConffiles::Replace => &["--force-confnew"],
    }
}

/// The same transaction without any change.
pub(super) fn rehearsal(all: &[(&PkgName, &Todo)], ways: Ways) -> Command {
    let mut command = transaction(all, ways);
    command.args.insert(0, "--simulate".into());
    command
}

/// One transaction for all of these.
pub(super) fn transaction(all: &[(&PkgName, &Todo)], ways: Ways) -> Command {
    let is_removal = !all.is_empty() && all.iter().all(|(_, todo)| **todo == Todo::Remove);
    let mut args = vec!["--yes".to_owned(), "--quiet".to_owned()];
    for option in conffiles(ways) {
        args.extend(["--option".to_owned(), format!("Dpkg::Options::={option}")]);
    }
    if ways.untrusted {
        args.push("--allow-unauthenticated".to_owned());
    }
    if ways.downgrade {
        args.push("--allow-downgrades".to_owned());
    }
    if is_removal {
        args.push("remove".to_owned());
    } else {
        // A package is removed only if that is declared.
        args.extend(["--no-remove".to_owned(), "install".to_owned()]);
    }
    args.push("--".to_owned());
    args.extend(all.iter().map(|(name, todo)| match todo {
        Todo::Install(Some(version)) => format!("{name}={version}"),
        Todo::Install(None) | Todo::Remove | Todo::Ask => name.to_string(),
    }));
    command("apt-get").args(args)
}

/// A transaction that ends what is half-done, by itself: apt does not accept the names of other packages beside it.
pub(super) fn mending(ways: Ways) -> Command {
    let mut command = transaction(&[], ways);
    command.args.pop();
    command.args.insert(0, "--fix-broken".into());
    command
}

/// The names of the packages that would be removed with this one.
pub(super) async fn removed_with(name: &PkgName) -> Result<Vec<String>> {
    let command = command("apt-get").args(["--simulate", "--quiet", "remove", "--", &name.to_string()]);
    let output = run(&command.timeout(ANSWER_MAX)).await.map_err(no_program)?;
    let text = output.stdout.text();
    if !output.status.success() {
        return Err(failure(&text, &output.stderr.text()).error());
    }
    let names = text.lines().filter_map(|line| line.strip_prefix("Remv ")?.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

/// Texts by which nothing was done.
const REFUSALS: [&str; 10] = [
    "Unable to locate package",
    "has no installation candidate",
    "unmet dependencies",
    "Unable to correct problems",
    "Held packages were changed",
    "remove is disabled",
    "was not found",
    "Essential packages were removed",
    "-y was used without",
    "held broken packages",
];

/// The failure of which apt-get or dpkg tells by these outputs.
pub(super) fn failure(stdout: &str, stderr: &str) -> Failure {
    let mut errors = of_dpkg(stdout);
    errors.extend(stderr.lines().filter_map(|line| line.strip_prefix("E: ")).map(str::to_owned));
    let has = |text: &str| stderr.contains(text) || errors.iter().any(|error| error.contains(text));
    let waits = |why: String, obstacle: Obstacle| Failure::Other(Error::new(why).waiting_for(obstacle));
    let said = match errors.is_empty() {
        true => stderr.trim().lines().next_back().unwrap_or("without a reason").to_owned(),
        false => errors.join("; "),
    };
    if has("are you root?") || has("Permission denied") {
        let why = format!("only root can change packages: run it as root ({said})");
        return waits(why, Obstacle::new(ObstacleKind::NoPermission));
    }
    if has("Could not get lock") || has("Unable to acquire the dpkg frontend lock") || has("locked by another process")
    {
        let after = |text: &str| stderr.split(text).nth(1).and_then(|rest| rest.lines().next());
        let of_dpkg = || after("another process with pid ").map(|pid| format!("process {pid}"));
        let holder = after("It is held by ").map(str::to_owned).or_else(of_dpkg);
        let who = holder.as_deref().map_or("another program", |holder| holder.trim_end_matches('.'));
        return waits(format!("{who} is changing packages; it is tried again"), Obstacle::new(ObstacleKind::Busy));
    }
    if has("Cache is out of sync") {
        return Failure::Other(Error::new(format!("the packages have changed meanwhile: {said}")).outdated());
    }
    if has("dpkg was interrupted") {
        let why = "dpkg was interrupted: run `dpkg --configure -a`, or set `configure`";
        return waits(why.to_owned(), Obstacle::new(ObstacleKind::InTheWay).at(UPDATES));
    }
    if has("enough free space") || has("No space left on device") {
        return waits(said, Obstacle::new(ObstacleKind::NoSpace));
    }
    if has("unauthenticated packages") {
        let why = format!("the repository is not signed by a key that apt trusts: set `allowuntrusted` ({said})");
        return Failure::Refused(Error::new(why));
    }
    if has("--fix-broken install") {
        return Failure::Broken(Error::new(format!("{said}{}", details(stdout))));
    }
    if REFUSALS.iter().any(|text| has(text)) {
        let error = Error::new(format!("apt can't do that: {said}{}", details(stdout)));
        return Failure::Refused(match has("has no installation candidate") || has("Unable to locate package") {
            true => error.waiting_for(Obstacle::new(ObstacleKind::Missing).at(LISTS)),
            false => error,
        });
    }
    if has("404 ") || has("Hash Sum mismatch") || has("File has unexpected size") {
        return Failure::Outdated(Error::new(said).waiting_for(Obstacle::new(ObstacleKind::Changing)));
    }
    if has("Failed to fetch") || has("Some index files failed to download") || has("Unable to fetch some archives") {
        return waits(format!("a repository does not answer: {said}"), Obstacle::new(ObstacleKind::NoComponent));
    }
    Failure::Other(Error::new(said))
}

/// The errors of dpkg, whose terminal apt-get shows on its standard output: a line, and what belongs to it.
fn of_dpkg(stdout: &str) -> Vec<String> {
    let mut lines = stdout.lines().map(str::trim_end).peekable();
    let mut errors = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(error) = line.strip_prefix("dpkg: error ") {
            let more = lines.next_if(|next| next.starts_with(' ')).unwrap_or_default();
            errors.push(format!("{error}{more}"));
        }
    }
    errors
}

/// What apt-get prints on its standard output about packages that do not go together, or a name that several provide.
fn details(stdout: &str) -> String {
    let lines = stdout.lines().map(str::trim_end).filter(|line| line.starts_with(' ') && !line.trim().is_empty());
    let lines: Vec<&str> = lines.map(str::trim).take(8).collect();
    if lines.is_empty() { String::new() } else { format!(": {}", lines.join("; ")) }
}

/// The reason why a program of apt was not started.
pub(super) fn no_program(error: ProcessError) -> Error {
    match &error {
        ProcessError::NotFound { .. } => Error::new("this host has no apt: its packages can't be managed so")
            .waiting_for(Obstacle::new(ObstacleKind::NoComponent)),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(command: &Command) -> String {
        let all = std::iter::once(&command.program).chain(&command.args);
        all.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_transaction_names_exactly_what_must_change_and_asks_nothing() {
        let (one, two) = (PkgName::parse("nginx").unwrap(), PkgName::parse("libc6:i386").unwrap());
        let (newest, exact) = (Todo::Install(None), Todo::Install(Some("2.36-9".to_owned())));
        let options = "--option Dpkg::Options::=--force-confdef --option Dpkg::Options::=--force-confold";
        assert_eq!(
            argv(&transaction(&[(&one, &newest), (&two, &exact)], Ways::default())),
            format!("apt-get --yes --quiet {options} --no-remove install -- nginx libc6:i386=2.36-9")
        );
        assert_eq!(
            argv(&mending(Ways::default())),
            format!("apt-get --fix-broken --yes --quiet {options} --no-remove install")
        );
        let ways = Ways { untrusted: true, downgrade: true, conffiles: PkgConffiles::Replace };
        assert_eq!(
            argv(&transaction(&[(&one, &Todo::Remove)], ways)),
            format!(
                "apt-get --yes --quiet {} --allow-unauthenticated --allow-downgrades remove -- nginx",
                "--option Dpkg::Options::=--force-confnew"
            )
        );
    }

    #[test]
    fn what_apt_says_is_told_apart() {
        let obstacle = |stderr: &str| failure("", stderr).error().obstacle().map(|obstacle| obstacle.kind);
        let locked =
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1234 (aptitude)\nN: Be aware";
        assert_eq!(obstacle(locked), Some(ObstacleKind::Busy));
        assert!(failure("", locked).error().to_string().starts_with("process 1234 (aptitude) is changing packages"));
        for (stderr, kind) in [
            ("E: dpkg was interrupted, you must manually run 'dpkg --configure -a'", ObstacleKind::InTheWay),
            ("E: You don't have enough free space in /var/cache/apt/archives/.", ObstacleKind::NoSpace),
            (
                "E: Could not open lock file /var/lib/dpkg/lock - open (13: Permission denied)",
                ObstacleKind::NoPermission,
            ),
            ("E: Failed to fetch http://x/y.deb  Could not connect", ObstacleKind::NoComponent),
        ] {
            assert_eq!(obstacle(stderr), Some(kind), "{stderr}");
        }
        assert!(failure("", "E: Cache is out of sync, can't x-ref a package file").error().is_outdated());
        assert!(matches!(failure("", "E: Unable to locate package nix"), Failure::Refused(_)));
        assert!(matches!(failure("", "E: Failed to fetch http://x/y.deb  404  Not Found"), Failure::Outdated(_)));
        let text = "Some packages could not be installed.\nThe following packages have unmet dependencies:\n a : Depends: b \
                    but it is not installable\n";
        let stderr = "E: Unable to correct problems, you have held broken packages.";
        let shown = failure(text, stderr).error().to_string();
        assert!(shown.ends_with("you have held broken packages.: a : Depends: b but it is not installable"), "{shown}");
        let broken = "E: Unmet dependencies. Try 'apt --fix-broken install' with no packages (or specify a solution).";
        assert!(matches!(failure("", broken), Failure::Broken(_)));
        let stderr = "E: Sub-process /usr/bin/dpkg returned an error code (1)";
        assert!(matches!(failure("", stderr), Failure::Other(_)));
        let text = "Unpacking b (1) ...\r\ndpkg: error processing archive /b.deb (--unpack):\r\n failed to write (No space \
                    left on device)\r\nErrors were encountered while processing:\r\n /b.deb\r\n";
        let full = failure(text, stderr).error();
        assert_eq!(full.obstacle().map(|obstacle| obstacle.kind), Some(ObstacleKind::NoSpace));
        assert!(
            full.to_string().starts_with("processing archive /b.deb (--unpack): failed to write (No space"),
            "{full}"
        );
        let locked = "dpkg: error: dpkg frontend lock was locked by another process with pid 12\nNote: removing\n";
        assert!(failure("", locked).error().to_string().starts_with("process 12 is changing packages"));
    }
}
