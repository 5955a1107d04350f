//! What apt has answered, for as long as nothing has changed on which its answers depend.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::resource::{CheckCx, Result};
use crate::resources::digests::{Version, is_quiet, now_ns};
use crate::resources::pkg::apt;
use crate::resources::pkg::judge::LISTS;
use crate::resources::pkg::name::PkgName;
use crate::resources::pkg::policy::{self, Known};
use crate::resources::pkg::status::STATUS;
use crate::sys::fs::ReadFs;

/// Where it is declared which repositories there are, and which versions are preferred.
pub(super) const SETTINGS: &str = "/etc/apt";
/// As deep as there are settings below [`SETTINGS`].
const DEPTH_MAX: u32 = 3;

/// The answers for an engine. One question at a time: those who come meanwhile are answered together by the next one.
#[derive(Debug, Default)]
pub(super) struct Answers {
    waiting: Mutex<Waiting>,
    kept: tokio::sync::Mutex<Kept>,
}

/// Those who wait to ask.
#[derive(Debug, Default)]
struct Waiting {
    names: BTreeSet<PkgName>,
    /// How many have come so far.
    count: u64,
}

#[derive(Debug, Default)]
struct Kept {
    /// `None`: they may have changed since the question.
    inputs: Option<Inputs>,
    /// How many had come when the last question began: it is about what they all need.
    covers: u64,
    asked: HashSet<PkgName>,
    known: HashMap<String, Known>,
    origins: Arc<HashMap<String, String>>,
}

impl Answers {
    /// What apt has of these packages (those that are not in it are unknown), and the origins of all sources.
    pub(super) async fn about(
        &self,
        cx: &CheckCx,
        names: &[&PkgName],
    ) -> Result<(HashMap<String, Known>, Arc<HashMap<String, String>>)> {
        let mine = self.come(names);
        let mut kept = self.kept.lock().await;
        let has_all = |kept: &Kept| names.iter().all(|name| kept.asked.contains(*name));
        if mine >= kept.covers || !has_all(&kept) {
            let inputs = cx.look(|fs, _| Inputs::read(fs)).await;
            if inputs.is_none() || inputs != kept.inputs {
                *kept = Kept { inputs, covers: kept.covers, ..Kept::default() };
            }
            if !has_all(&kept)
                && let Err(error) = self.ask(&mut kept, names).await
            {
                // apt refuses to answer if its files change while it reads them.
                let inputs = cx.look(|fs, _| Inputs::read(fs)).await;
                let is_outdated = inputs.is_none() || inputs != kept.inputs;
                return Err(if is_outdated { error.outdated() } else { error });
            }
        }
        // With an architecture in the question, the answer has it too, unless it is that of this host.
        let keys = names.iter().flat_map(|name| [name.to_string(), name.name.clone()]);
        let known = keys.filter_map(|key| kept.known.get(&key).map(|known| (key, known.clone()))).collect();
        Ok((known, Arc::clone(&kept.origins)))
    }

    /// Notes what is needed, and returns how many have come before.
    fn come(&self, names: &[&PkgName]) -> u64 {
        let mut waiting = self.lock();
        waiting.names.extend(names.iter().copied().cloned());
        waiting.count += 1;
        waiting.count - 1
    }

    /// Asks about these, and for all who wait.
    async fn ask(&self, kept: &mut Kept, names: &[&PkgName]) -> Result<()> {
        let (mut all, covers) = {
            let waiting = self.lock();
            (waiting.names.clone(), waiting.count)
        };
        all.extend(names.iter().copied().cloned());
        let question: Vec<_> = all.iter().collect();
        let (known, origins) = tokio::try_join!(apt::policy(&question), apt::policy(&[]))?;
        kept.known.extend(policy::parse(&known));
        kept.origins = Arc::new(policy::origins(&origins));
        kept.covers = covers;
        self.lock().names.retain(|name| !all.contains(name));
        kept.asked.extend(all);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The versions of all files on which answers depend.
#[derive(Debug, PartialEq)]
struct Inputs(Vec<(PathBuf, Version)>);

impl Inputs {
    /// `None`: they change just now, or can't be read.
    fn read(fs: &ReadFs) -> Option<Inputs> {
        let mut all = Vec::new();
        for path in [STATUS, LISTS] {
            add(fs, Path::new(path), 0, &mut all)?;
        }
        add(fs, Path::new(SETTINGS), DEPTH_MAX, &mut all)?;
        Some(Inputs(all))
    }
}

/// Adds the version of a file, or of a directory and what it has down to this depth.
fn add(fs: &ReadFs, path: &Path, depth: u32, all: &mut Vec<(PathBuf, Version)>) -> Option<()> {
    let Some(stat) = fs.stat(path).ok()? else { return Some(()) };
    if !is_quiet(&stat, now_ns()) {
        return None;
    }
    all.push((path.to_owned(), Version::of(&stat)));
    if depth > 0 && stat.is_dir() {
        for entry in fs.read_dir(path).ok()? {
            add(fs, &path.join(&entry.name), depth - 1, all)?;
        }
    }
    Some(())
}
