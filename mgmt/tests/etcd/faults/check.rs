//! What must hold after each fault: all hosts have what is exported and have converged, etcd has as many members as
//! before, and nothing was exported twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::faults::cluster::{Cluster, files, tail};

impl Cluster {
    /// What each host must have: what the hosts export whose exports count.
    fn expected(&self, exporting: &[usize]) -> Vec<(String, String)> {
        let mut all: Vec<_> = exporting.iter().flat_map(|host| self.exports(*host)).collect();
        all.sort();
        all
    }

    /// Why a host does not have what the hosts export.
    fn missing(&self, host: usize, exporting: &[usize]) -> Option<String> {
        let (found, expected) = (files(&self.path(&format!("h{host}.files"))), self.expected(exporting));
        (found != expected).then(|| format!("h{host} has {found:?} instead of {expected:?}"))
    }

    /// All hosts of the cluster.
    pub(super) fn all(&self) -> Vec<usize> {
        (1..=self.net.hosts).filter(|host| !self.forgotten.contains(host)).collect()
    }

    /// These hosts must soon have what those hosts export.
    pub(super) fn have(&self, hosts: &[usize], exporting: &[usize], limit: Duration) {
        let began = Instant::now();
        while let Some(why) = hosts.iter().find_map(|host| self.missing(*host, exporting)) {
            self.judge(&why, began, limit);
        }
    }

    /// These hosts must soon have what those hosts export, whatever they have of others.
    pub(super) fn have_from(&self, hosts: &[usize], exporting: &[usize], limit: Duration) {
        let (began, expected) = (Instant::now(), self.expected(exporting));
        for host in hosts {
            let dir = self.path(&format!("h{host}.files"));
            while let found = files(&dir)
                && !expected.iter().all(|file| found.contains(file))
            {
                self.judge(&format!("h{host} has {found:?}, and not all of {expected:?}"), began, limit);
            }
        }
    }

    /// All is as it must be, at the latest when that time is over.
    pub(super) fn settled(&self, limit: Duration) {
        let (began, all) = (Instant::now(), self.all());
        let running: Vec<usize> = all.iter().copied().filter(|host| self.runs(*host)).collect();
        self.have(&running, &all, limit);
        let names: Vec<String> = running.iter().map(|host| format!("h{host}")).collect();
        loop {
            let status = self.status();
            if status.as_ref().is_ok_and(|(alive, is_converged)| *is_converged && *alive == names) {
                break;
            }
            self.judge(&format!("who is alive, and whether all have converged: {status:?}"), began, limit);
        }
        self.have(&running, &all, Duration::ZERO);
        while let members = self.members()
            && (members.len() != self.members_wanted() || members.iter().any(|name| !names.contains(name)))
        {
            self.judge(&format!("{members:?} are the members of etcd"), began, limit);
        }
        let wanted = all.iter().flat_map(|host| {
            self.exports(*host).into_iter().map(move |(name, _)| ((format!("h{host}"), format!("/x/{name}")), 1))
        });
        let wanted: BTreeMap<_, _> = wanted.collect();
        while let found = self.observer().exported()
            && found.as_ref() != Ok(&wanted)
        {
            self.judge(&format!("{found:?} is exported instead of {wanted:?}"), began, limit);
        }
        assert_eq!(self.observer().twice(), Vec::<String>::new(), "written again");
    }

    /// Waits until this holds.
    pub(super) fn until(&self, what: &str, limit: Duration, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            self.judge(what, began, limit);
        }
    }

    /// Fails if the time is over, and otherwise waits a moment.
    pub(super) fn judge(&self, why: &str, began: Instant, limit: Duration) {
        if began.elapsed() >= limit {
            let logs = self
                .all()
                .into_iter()
                .map(|host| format!("--- h{host}\n{}\n{}\n", tail(&self.reported(host), 40), self.shown(host)));
            let keys = self.observer.as_ref().map(|observer| observer.keys()).unwrap_or_default();
            panic!("not within {limit:?}: {why}\n{}{keys}", logs.collect::<String>());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
