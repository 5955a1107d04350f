//! The packages of this host, for an engine: what is read once for all, and one transaction at a time.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::resource::{CheckCx, Error, Obstacle, ObstacleKind, Result};
use crate::resources::digests::{Version, is_quiet, now_ns};
use crate::resources::pkg::answers::Answers;
use crate::resources::pkg::apt;
use crate::resources::pkg::installer::{Failure, Installer, Member, Part, Ways};
use crate::resources::pkg::judge::{Judged, LISTS, Repositories, Todo, Wanted};
use crate::resources::pkg::name::PkgName;
use crate::resources::pkg::status::{Packages, STATUS, UPDATES};
use crate::sys::fs::ReadFs;
use crate::sys::process::{Command, run_to_its_end};

/// The largest status that is read, in bytes.
const BYTES_MAX: u64 = 256 << 20;
/// How long an answer of the repositories counts as new.
const NEW: Duration = Duration::from_secs(3600);

/// What all packages of an engine share.
#[derive(Debug, Default)]
pub(super) struct AptHost {
    packages: Mutex<Option<(Version, Arc<Packages>)>>,
    answers: Answers,
    /// One transaction at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// When this engine has asked the repositories.
    asked: Mutex<Option<Instant>>,
}

impl AptHost {
    /// All packages, as dpkg has them now.
    pub(super) fn packages(&self, fs: &ReadFs) -> Result<Arc<Packages>> {
        let begun = now_ns();
        let mut file = match fs.open(STATUS) {
            Ok(file) => file,
            Err(error) if error.is_missing() => {
                let why = format!("this host has no dpkg: there is no {STATUS}");
                return Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Missing).at(STATUS)));
            }
            Err(error) => return Err(error.into()),
        };
        let version = Version::of(file.stat());
        let mut kept = self.packages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, packages)) = kept.as_ref().filter(|(known, _)| *known == version) {
            return Ok(Arc::clone(packages));
        }
        if file.stat().size > BYTES_MAX {
            let why = format!("{STATUS} is larger than {} MiB", BYTES_MAX >> 20);
            return Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(STATUS)));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let packages = Arc::new(Packages::parse(&String::from_utf8_lossy(&bytes)));
        *kept = is_quiet(file.stat(), begun).then(|| (version, Arc::clone(&packages)));
        Ok(packages)
    }

    /// Notes that the repositories have just been asked.
    fn has_asked(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn may_be_old(&self, fs: &ReadFs) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Some(asked) => asked.elapsed() > NEW,
            None => !has_lists(fs),
        }
    }

    async fn judge_all(self: &Arc<Self>, cx: &CheckCx, all: Vec<Wanted>) -> Result<Vec<Result<Judged>>> {
        let host = Arc::clone(self);
        let (packages, may_be_old) =
            cx.look(move |fs, _| Ok::<_, Error>((host.packages(fs)?, host.may_be_old(fs)))).await?;
        let by_status: Vec<_> = all.iter().map(|wanted| wanted.by_status(&packages)).collect();
        let open = || all.iter().zip(&by_status).filter(|(_, judged)| judged.is_none()).map(|(wanted, _)| wanted);
        let names: Vec<_> = open().map(|wanted| &wanted.name).collect();
        if names.is_empty() {
            return Ok(by_status.into_iter().map(|judged| Ok(judged.flatten())).collect());
        }
        let (known, origins) = self.answers.about(cx, &names).await?;
        let distribution = cx.look(|fs, _| distribution(fs)).await;
        let repositories = Repositories { known, origins, distribution, may_be_old };
        let judged = all.iter().zip(by_status).map(|(wanted, by_status)| match by_status {
            Some(judged) => Ok(judged),
            None => wanted.by_repositories(&packages, &repositories),
        });
        Ok(judged.collect())
    }
}

/// apt and dpkg.
#[derive(Clone)]
pub(super) struct Apt(pub(super) Arc<AptHost>);

impl Apt {
    /// Runs a command to its end, which no member's end interrupts.
    async fn command(&self, members: &[Member], command: Command, doing: &'static str) -> Result<(), Failure> {
        let works: Vec<_> = members.iter().map(|member| member.cx.work(doing)).collect();
        let ran = run_to_its_end(command, works).await;
        let output = ran.map_err(|error| Failure::Other(apt::no_program(error)))?;
        let (stdout, stderr) = (output.stdout.text(), output.stderr.text());
        tracing::debug!(target: "mgmt::pkg", %stdout, %stderr, status = ?output.status, doing);
        match output.status.success() {
            true => Ok(()),
            false => Err(apt::failure(&stdout, &stderr)),
        }
    }
}

/// As the commands of apt take them.
fn named<'a>(todo: &[Part<'a>]) -> Vec<(&'a PkgName, &'a Todo)> {
    todo.iter().map(|part| (&part.wanted.name, part.todo)).collect()
}

impl Installer for Apt {
    fn turn(&self) -> &Arc<tokio::sync::Mutex<()>> {
        &self.0.turn
    }

    async fn judge(&self, cx: &CheckCx, all: Vec<Wanted>) -> Result<Vec<Result<Judged>>> {
        self.0.judge_all(cx, all).await
    }

    async fn installed(&self, cx: &CheckCx, names: Vec<PkgName>) -> Result<HashMap<PkgName, String>> {
        let host = Arc::clone(&self.0);
        let packages = cx.look(move |fs, _| host.packages(fs)).await?;
        let found = names.into_iter().filter_map(|name| {
            let version = packages.get(&name).filter(|entry| entry.is_installed())?.version.clone();
            Some((name, version))
        });
        Ok(found.collect())
    }

    /// dpkg refuses everything as long as it has not ended what it was interrupted in. (It looks like that also while
    /// another program changes packages: then it is the lock that is in the way.)
    async fn finish(&self, members: &[Member], ways: Ways) -> Result<()> {
        let Some(asks) = members.iter().find(|member| member.configure) else { return Ok(()) };
        if !asks.cx.look(|fs, _| is_interrupted(fs)).await {
            return Ok(());
        }
        self.command(members, apt::configure(ways), "configuring packages").await.map_err(Failure::error)
    }

    async fn refresh(&self, members: &[Member]) -> Result<(), Failure> {
        self.command(members, apt::update(), "asking the repositories for their packages").await?;
        self.0.has_asked();
        Ok(())
    }

    async fn rehearse(&self, members: &[Member], todo: &[Part<'_>], ways: Ways) -> Result<(), Failure> {
        self.command(members, apt::rehearsal(&named(todo), ways), "asking apt").await
    }

    /// What an earlier transaction has left half-done, because the disk was full or a script has failed, is done first
    /// if apt refuses everything else before.
    async fn change(&self, members: &[Member], todo: &[Part<'_>], ways: Ways) -> Result<(), Failure> {
        let doing = "changing packages";
        match self.command(members, apt::transaction(&named(todo), ways), doing).await {
            Err(Failure::Broken(_)) => {
                self.command(members, apt::mending(ways), "installing what packages lack").await?;
                self.command(members, apt::transaction(&named(todo), ways), doing).await
            }
            ended => ended,
        }
    }

    async fn removed_with(&self, _: &CheckCx, name: &PkgName) -> Result<Vec<String>> {
        apt::removed_with(name).await
    }
}

/// Whether dpkg was interrupted before it had written what it has done.
fn is_interrupted(fs: &ReadFs) -> bool {
    fs.read_dir(UPDATES).is_ok_and(|entries| !entries.is_empty())
}

/// Whether apt has ever asked a repository.
fn has_lists(fs: &ReadFs) -> bool {
    let is_list = |name: &str| name.contains("_Packages");
    fs.read_dir(LISTS).is_ok_and(|entries| entries.iter().any(|entry| is_list(&entry.name.to_string_lossy())))
}

/// Who makes the distribution, as os-release(5) has it.
fn distribution(fs: &ReadFs) -> String {
    const MAX: u64 = 1 << 20;
    let read = |path: &Path| fs.read_file(path, MAX).ok();
    let text =
        read(Path::new("/etc/os-release")).or_else(|| read(Path::new("/usr/lib/os-release"))).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let id = text.lines().find_map(|line| line.strip_prefix("ID="));
    id.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
}
