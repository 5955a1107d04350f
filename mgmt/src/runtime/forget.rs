//! Forgets resources that left the graph long ago: their entries in the journal and their private directories.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::id::{Node, ResourceId};
use crate::journal::ABSENT_RESOURCES_MAX;
use crate::resource::{PrivateDir, PrivateDirs};
use crate::runtime::core::Core;
use crate::runtime::drive::Request;
use crate::sys::task::blocking;
use crate::sys::threads::in_background;

/// How often absences are counted while an engine runs. (Once more at its start.)
const PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

impl Core {
    /// Counts the absence of remembered resources that are not in the graph, and forgets those that have been absent
    /// for too long. `dirs` are the private directories that exist, `today` is the day by the wall clock.
    pub(crate) fn forget_absent(&mut self, today: u64, dirs: Vec<PrivateDir>) {
        let nameless = self.present_nameless(&dirs);
        let is_present = |id: &ResourceId| self.running.contains(id) || nameless.contains(id);
        let gone = self.store.retain(today, is_present, dirs.iter().map(|dir| dir.id.clone()));
        if gone.is_empty() {
            return;
        }
        tracing::info!(target: "mgmt", "forgotten, since it has been in no graph for 30 days of use, or many others are in none: {}", shown(&gone));
        let gone: HashSet<ResourceId> = gone.into_iter().collect();
        remove(dirs.into_iter().filter(|dir| gone.contains(&dir.id)).collect());
    }

    /// Notes that these nodes have left the graph. Of the resources that have left in this run, the longest departed
    /// are forgotten beyond the bound.
    pub(crate) fn note_departed(&mut self, removed: &[Node]) {
        for node in removed {
            let id = self.running.id(*node);
            if self.store.is_known(&id) {
                self.departed.note(id);
            }
        }
        let gone = self.departed.take_excess(|id| self.running.contains(id));
        if !gone.is_empty() {
            tracing::info!(
                target: "mgmt",
                "forgotten, since {ABSENT_RESOURCES_MAX} others have left the graph after it: {}",
                shown(&gone)
            );
            self.store.forget(&gone);
            let dirs = gone.into_iter().map(|id| PrivateDir { path: self.services.dirs.of(&id), id });
            remove(dirs.collect());
        }
    }

    /// The resources in the graph that own one of the directories without a name.
    fn present_nameless(&self, dirs: &[PrivateDir]) -> HashSet<ResourceId> {
        let nameless = dirs.iter().filter(|dir| dir.is_nameless());
        let paths: HashSet<PathBuf> = nameless.clone().map(|dir| dir.path.clone()).collect();
        if paths.is_empty() {
            return HashSet::new();
        }
        let ids = self.running.config.vertices.iter().map(|vertex| vertex.id());
        let present: HashSet<PathBuf> = ids.filter_map(|id| self.services.dirs.find(&id, &paths)).collect();
        nameless.filter(|dir| present.contains(&dir.path)).map(|dir| dir.id.clone()).collect()
    }
}

fn shown(ids: &[ResourceId]) -> String {
    const SHOWN_MAX: usize = 5;
    let mut shown: Vec<String> = ids.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    if ids.len() > SHOWN_MAX {
        shown.push(format!("and {} more", ids.len() - SHOWN_MAX));
    }
    shown.join(", ")
}

/// Removes directories, on a thread that may block: they may be large.
fn remove(dirs: Vec<PrivateDir>) {
    if dirs.is_empty() {
        return;
    }
    in_background(move || {
        // All are moved out of the way before the first is removed, which takes longer.
        let aside = dirs.iter().filter(|dir| dir.path.exists()).map(|dir| (dir, dir.set_aside())).collect::<Vec<_>>();
        for (dir, aside) in aside {
            match aside {
                // A directory that stays is removed at the next start.
                Ok(path) => drop(std::fs::remove_dir_all(path)),
                Err(error) => tracing::warn!(target: "mgmt", "cannot remove {}: {error}", dir.path.display()),
            }
        }
    });
}

/// Makes the loop count absences once a day until the engine has ended.
pub(crate) async fn count_daily<T>(
    dirs: PrivateDirs,
    requests: mpsc::WeakUnboundedSender<Request>,
    mut ended: watch::Receiver<Option<T>>,
) {
    loop {
        tokio::select! {
            _ = ended.wait_for(Option::is_some) => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        let dirs = dirs.clone();
        let dirs = blocking(move || dirs.list()).await;
        let Some(requests) = requests.upgrade() else { return };
        // If the loop is gone, the engine is ending.
        let _ = requests.send(Request::CountAbsent(dirs));
    }
}
