//! How a deploy is published.

use std::path::PathBuf;
use std::time::Duration;

use crate::graph::{Wave, WaveGoal, WaveTerms};

/// How many deploys are kept by default.
const KEEP: usize = 20;

/// The default of `Waves::timeout`.
const WAVE_TIMEOUT: Duration = Duration::from_secs(600);

/// How a deploy reaches the hosts in waves: the next wave begins only when all hosts of the ones before have reached
/// the goal. The last wave must be [`Wave::All`].
///
/// ```
/// use mgmt::gapi::{Publish, Waves};
/// use mgmt::graph::Wave;
/// let first = Wave::Hosts(vec!["web1".to_owned()]);
/// let waves = Waves::new().then(first).then(Wave::Percent(10)).then(Wave::All).revert(true);
/// # drop(Publish::new().waves(waves));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Waves(pub(super) WaveTerms);

impl Default for Waves {
    fn default() -> Waves {
        let (waves, goal, timeout) = (Vec::new(), WaveGoal::default(), WAVE_TIMEOUT.as_secs());
        Waves(WaveTerms { waves, goal, stop_after_failed: 1, revert: false, timeout })
    }
}

impl Waves {
    /// No waves, and the defaults of all settings.
    pub fn new() -> Waves {
        Waves::default()
    }

    /// Adds a wave after those before.
    pub fn then(mut self, wave: Wave) -> Waves {
        self.0.waves.push(wave);
        self
    }

    /// What each host of a wave must have reached before the next wave begins. Default: its graph has converged.
    pub fn goal(mut self, goal: WaveGoal) -> Waves {
        self.0.goal = goal;
        self
    }

    /// The rollout ends when this many hosts have failed: a resource has failed for good there, the host refuses the
    /// deploy, or has not reached the goal in time. At least 1. Default: 1.
    pub fn stop_after_failed(mut self, hosts: u32) -> Waves {
        self.0.stop_after_failed = hosts.max(1);
        self
    }

    /// Whether all hosts return to the deploy before when the rollout ends in this way. Default: false: the hosts of
    /// the waves so far keep the new one.
    pub fn revert(mut self, revert: bool) -> Waves {
        self.0.revert = revert;
        self
    }

    /// After which time a host of a wave that has not reached the goal has failed: also one that is not alive any more.
    /// In whole seconds, at least one. Default: ten minutes.
    pub fn timeout(mut self, timeout: Duration) -> Waves {
        self.0.timeout = timeout.as_secs().max(1);
        self
    }
}

/// How a deploy is published: who makes it, what for, on which one it is based, and what it may carry.
///
/// ```
/// use mgmt::gapi::Publish;
/// let how = Publish::new().by("ci@build7").message("new certificates").keep(50);
/// # drop(how);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Publish {
    pub(super) by: Option<String>,
    pub(super) message: String,
    pub(super) parent: Option<String>,
    pub(super) force: bool,
    pub(super) keep: usize,
    pub(super) on_hosts: Vec<PathBuf>,
    pub(super) private: bool,
    pub(super) dry: bool,
    pub(super) waves: Option<Waves>,
}

impl Default for Publish {
    fn default() -> Publish {
        Publish {
            by: None,
            message: String::new(),
            parent: None,
            force: false,
            keep: KEEP,
            on_hosts: Vec::new(),
            private: false,
            dry: false,
            waves: None,
        }
    }
}

impl Publish {
    /// The defaults of all settings.
    pub fn new() -> Publish {
        Publish::default()
    }

    /// Who makes the deploy. Default: the user of this process, `@`, and the name of this host.
    pub fn by(mut self, by: impl Into<String>) -> Publish {
        self.by = Some(by.into());
        self
    }

    /// What the deploy is for: at most 16 KiB. Default: no text.
    pub fn message(mut self, message: impl Into<String>) -> Publish {
        self.message = message.into();
        self
    }

    /// The ID, or its beginning, of the deploy on which this one is based: if another one is in force, this one is
    /// refused. Default: the one that is in force when publishing begins.
    pub fn parent(mut self, id: impl Into<String>) -> Publish {
        self.parent = Some(id.into());
        self
    }

    /// Whether the deploy replaces another one than its parent, and also one with the same content. Default: false.
    pub fn force(mut self, force: bool) -> Publish {
        self.force = force;
        self
    }

    /// How many deploys are kept, with the one in force: at least 1. Older ones are removed when this one is in force.
    /// Default: 20.
    pub fn keep(mut self, deploys: usize) -> Publish {
        self.keep = deploys.max(1);
        self
    }

    /// A file or a directory that is on every host: what the graph reads at or below it is not carried. Can be called
    /// several times. Default: none.
    pub fn on_hosts(mut self, path: impl Into<PathBuf>) -> Publish {
        self.on_hosts.push(path.into());
        self
    }

    /// Whether files travel that other users of this machine may not read. Each host that may read the world can read
    /// them then. Default: false: such a graph is refused.
    pub fn private(mut self, private: bool) -> Publish {
        self.private = private;
        self
    }

    /// Checks everything, and writes nothing to the world. Default: false.
    pub fn dry(mut self, dry: bool) -> Publish {
        self.dry = dry;
        self
    }

    /// In waves: some hosts get the deploy first, and it is in force when the last wave has ended. Hosts that follow
    /// deploys move it on, so this program may end. Default: all hosts get it at once.
    pub fn waves(mut self, waves: Waves) -> Publish {
        self.waves = Some(waves);
        self
    }
}
