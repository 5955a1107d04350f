//! How a deploy is published.

use std::path::PathBuf;

/// How many deploys are kept by default.
const KEEP: usize = 20;

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
}
