//! What a host owes when a fault comes: a reversal that it can't carry out yet.

use std::path::PathBuf;
use std::time::Duration;

use crate::faults::cluster::Cluster;

const SOON: Duration = Duration::from_secs(30);
/// What a host reports that can't remove what it collected.
const OWES: &str = "could not leave well: unlink";

/// A reversal that a host owes.
pub(super) struct Debt {
    host: usize,
    /// What must be gone.
    path: PathBuf,
}

impl Cluster {
    /// A host exports a file no longer that another one has and can't remove.
    pub(super) fn owe(&mut self, host: usize, of: usize) -> Debt {
        let (name, _) = self.exports(of).pop().expect("the one with the number of the change");
        let path = self.path(&format!("h{host}.files/{name}"));
        assert!(path.exists(), "{path:?}");
        self.net.protect(&self.path(&format!("h{host}.files")), true);
        let tries = |cluster: &Cluster| cluster.reported(host).matches(OWES).count();
        let before = tries(self);
        self.change(of);
        self.until("it reports that it can't", SOON, || tries(self) > before);
        assert!(path.exists(), "{path:?}");
        Debt { host, path }
    }

    /// From now on the host can do what it owes.
    pub(super) fn permit(&self, debt: &Debt) {
        self.net.protect(&self.path(&format!("h{}.files", debt.host)), false);
    }

    /// The host must soon have done what it owed.
    pub(super) fn is_paid(&self, debt: &Debt) {
        self.until("what was owed is done", SOON, || !debt.path.exists());
    }
}
