//! The packages of this host, for an engine: what is read once for all, and one transaction at a time.

use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::resource::{CheckCx, Error, Obstacle, ObstacleKind, Result};
use crate::resources::digests::{Version, is_quiet, now_ns};
use crate::resources::pkg::answers::Answers;
use crate::resources::pkg::judge::{Judged, LISTS, Repositories, Wanted};
use crate::resources::pkg::status::{Packages, STATUS, UPDATES};
use crate::sys::fs::ReadFs;

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
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
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
    pub(super) fn has_asked(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn may_be_old(&self, fs: &ReadFs) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Some(asked) => asked.elapsed() > NEW,
            None => !has_lists(fs),
        }
    }

    /// What differs from what is declared, for each of these.
    pub(super) async fn judge(self: &Arc<Self>, cx: &CheckCx, all: Vec<Wanted>) -> Result<Vec<Result<Judged>>> {
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

/// Whether dpkg was interrupted before it had written what it has done.
pub(super) fn is_interrupted(fs: &ReadFs) -> bool {
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
