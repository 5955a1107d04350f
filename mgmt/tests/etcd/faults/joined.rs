//! Hosts that make their cluster by themselves: with `mgmt cluster init`, `token` and `run --join`.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::faults::cluster::Cluster;
use crate::faults::net::{address, on};

/// How many servers there should be. Fewer hosts than those that may be one.
const SIZE: usize = 3;
/// The host that joins without the right to run a server; all before it may run one.
pub(super) const CLIENT: usize = 5;
/// How long the first servers may take to come together.
const BEGUN: Duration = Duration::from_secs(90);

/// How the hosts run etcd.
pub(super) struct Joined {
    pub(super) size: usize,
    /// More options of `mgmt run` on hosts that may run a server.
    options: Vec<String>,
    /// The token of each host but the first one.
    tokens: Vec<String>,
}

impl Joined {
    /// The options of a run that have to do with etcd.
    pub(super) fn add_options(&self, host: usize, command: &mut Command) {
        without_variables(command);
        if host < CLIENT {
            command.args(["--server-urls", &format!("https://{}:2380", address(host))]).args(&self.options);
            command.args(["--ideal-cluster-size", &self.size.to_string()]);
            if let Some(etcd) = std::env::var_os("MGMT_ETCD") {
                command.arg("--etcd").arg(etcd);
            }
        }
        // The first host has made the authority.
        if let Some(token) = host.checked_sub(2).and_then(|n| self.tokens.get(n)) {
            command.args(["--join", token]);
        }
    }
}

/// What is set around the test is not for its hosts.
fn without_variables(command: &mut Command) {
    for name in ["SEEDS", "SERVER_URLS", "CLIENT_URLS", "JOIN", "JOIN_URL", "PREFIX", "IDEAL_CLUSTER_SIZE"] {
        command.env_remove(format!("MGMT_{name}"));
    }
}

impl Cluster {
    /// Five hosts: three of them run servers, one is ready to, and one only follows them. All of them answer.
    pub(super) fn join(init: &[&str], options: &[&str]) -> Cluster {
        let mut cluster = Cluster::of_hosts(CLIENT);
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        cluster.joined = Some(Joined { size: SIZE, options, tokens: Vec::new() });
        let begun = cluster.mgmt(1, &["cluster", "init"]).args(init).output().unwrap();
        assert!(begun.status.success(), "{begun:?}");
        cluster.start_host(1);
        for host in 2..=CLIENT {
            let right: &[&str] = if host < CLIENT { &["--server"] } else { &[] };
            let token = cluster.token(right);
            cluster.joined.as_mut().expect("it is set").tokens.push(token);
            cluster.start_host(host);
        }
        cluster.until("three hosts run servers", BEGUN, || cluster.members().len() == SIZE);
        cluster.observe();
        cluster
    }

    /// `mgmt` on the prefix of a host, and where that is in the network.
    pub(super) fn mgmt(&self, host: usize, words: &[&str]) -> Command {
        let mut command = on(host, env!("CARGO_BIN_EXE_mgmt"));
        command.arg("--prefix").arg(self.path(&format!("h{host}.prefix"))).args(words);
        without_variables(&mut command);
        command
    }

    fn token(&self, more: &[&str]) -> String {
        let began = Instant::now();
        loop {
            let Output { status, stdout, stderr } =
                self.mgmt(1, &["cluster", "token", "--ttl", "10m"]).args(more).output().unwrap();
            if status.success() {
                return String::from_utf8(stdout).unwrap().trim().to_owned();
            }
            // The first host is still starting.
            let err = String::from_utf8_lossy(&stderr);
            assert!(err.contains("is not known yet"), "{err}");
            self.judge("a token can be had", began, BEGUN);
        }
    }

    /// Whether a host has the data of a server.
    pub(super) fn has_data(&self, host: usize) -> bool {
        self.path(&format!("h{host}.prefix/etcd/data/member")).exists()
    }

    /// How many servers a host knows.
    pub(super) fn known(&self, host: usize) -> usize {
        let text = fs::read(self.path(&format!("h{host}.prefix/etcd/server.json"))).unwrap_or_default();
        let kept: Json = serde_json::from_slice(&text).unwrap_or_default();
        kept["servers"].as_array().map_or(0, Vec::len)
    }

    /// Whether a host runs a server now.
    pub(super) fn serves(&self, host: usize) -> bool {
        self.runs(host) && self.has_data(host)
    }

    /// The files of the user with all rights, of a host that runs a server. `None`: the test has an authority.
    pub(super) fn joined_access(&self) -> Option<[PathBuf; 3]> {
        self.joined.as_ref()?;
        let host = (1..=self.net.hosts).find(|host| self.serves(*host) && !self.net.is_parted(*host)).unwrap_or(1);
        let file = |name: &str| self.path(&format!("h{host}.prefix/trust/identity/{name}"));
        Some(["authority.pem", "root.pem", "key.pem"].map(file))
    }

    /// A host is no part of the cluster any more.
    pub(super) fn forget(&mut self, host: usize) {
        let done = self.mgmt(1, &["cluster", "forget", &format!("h{host}")]).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        self.forgotten.insert(host);
    }
}
