//! The hosts of a test: a run of `mgmt` on each of them, and a member of etcd, which the test starts or the host does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use mgmt::world::Etcd;
use serde_json::Value as Json;

use crate::authority::Authority;
use crate::faults::joined::Joined;
use crate::faults::net::{Net, TEST, address, on, signal};
use crate::faults::observer::Observer;
use crate::running::Running;

/// What a host reports when etcd is away.
pub(super) const AWAY: &str = "the world can't be reached";

/// All hosts, numbered from 1.
pub(super) struct Cluster {
    pub(super) net: Net,
    /// More options of etcd.
    options: Vec<String>,
    /// Those that the test starts.
    members: Vec<Option<Running>>,
    /// How the hosts run etcd, if they do.
    pub(super) joined: Option<Joined>,
    hosts: Vec<Option<Running>>,
    /// How often each host has changed what it exports.
    versions: Vec<u32>,
    /// The hosts that are no part of the cluster any more.
    pub(super) forgotten: BTreeSet<usize>,
    pub(super) observer: Option<Observer>,
    /// How many seconds the exports of a host stay that is gone.
    pub(super) export_ttl: u32,
    /// How many seconds a host counts as alive that is gone.
    pub(super) alive_ttl: u32,
    /// The last one to be dropped: what runs writes there.
    dir: tempfile::TempDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.hosts.clear();
        self.members.clear();
        // A server of etcd that a host ran ends a moment after that host.
        let began = Instant::now();
        while let Err(error) = fs::remove_dir_all(self.dir.path()) {
            if began.elapsed() > Duration::from_secs(10) {
                eprintln!("{}: {error}", self.dir.path().display());
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Cluster {
    /// All members of etcd run and answer, and all hosts do.
    pub(super) fn start(hosts: usize, options: &[&str]) -> Cluster {
        let mut cluster = Cluster::of_members(hosts, options);
        cluster.start_all();
        cluster
    }

    pub(super) fn start_all(&mut self) {
        self.start_members();
        self.observe();
        self.all().into_iter().for_each(|host| self.start_host(host));
    }

    /// Nothing runs yet.
    pub(super) fn of_members(hosts: usize, options: &[&str]) -> Cluster {
        let (mut cluster, authority) = (Cluster::of_hosts(hosts), Authority::new());
        for host in 1..=hosts {
            authority.files_at(cluster.dir.path(), &format!("h{host}"), &address(host));
        }
        authority.files_at(cluster.dir.path(), "test", TEST);
        cluster.options = options.iter().map(|option| (*option).to_owned()).collect();
        cluster
    }

    /// Hosts without any etcd.
    pub(super) fn of_hosts(hosts: usize) -> Cluster {
        let (net, dir) = (Net::new(hosts), tempfile::tempdir().unwrap());
        for host in 1..=hosts {
            fs::create_dir(dir.path().join(format!("h{host}.files"))).unwrap();
        }
        let none = || (0..hosts).map(|_| None).collect();
        let mut cluster = Cluster {
            net,
            options: Vec::new(),
            members: none(),
            joined: None,
            hosts: none(),
            versions: vec![0; hosts],
            forgotten: BTreeSet::new(),
            observer: None,
            export_ttl: 600,
            alive_ttl: 3,
            dir,
        };
        (1..=hosts).for_each(|host| cluster.change(host));
        cluster
    }

    pub(super) fn start_members(&mut self) {
        (1..=self.net.hosts).for_each(|host| self.start_member(host));
        self.until("etcd answers", Duration::from_secs(30), || self.leader().is_some());
    }

    /// From now on what is exported is watched.
    pub(super) fn observe(&mut self) {
        let [ca, certificate, key] = self.access().map(|path| fs::read(path).unwrap());
        // Those of all hosts: another one may become a member.
        let urls = (1..=self.net.hosts).map(url);
        self.observer = Some(Observer::new(&Etcd::new(urls).tls(ca, certificate, key)));
    }

    /// The files with which the test may do everything.
    fn access(&self) -> [PathBuf; 3] {
        self.joined_access().unwrap_or_else(|| self.tls("test"))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The authority, and the certificate and the key with that name.
    fn tls(&self, name: &str) -> [PathBuf; 3] {
        ["ca.pem".to_owned(), format!("{name}.pem"), format!("{name}.key")].map(|file| self.path(&file))
    }

    /// The addresses of all members, that of one host first.
    fn urls(&self, first: usize) -> Vec<String> {
        let hosts = self.net.hosts;
        let all = (0..hosts).map(|n| (first - 1 + n) % hosts + 1);
        all.filter(|host| self.joined.is_none() || self.serves(*host)).map(url).collect()
    }

    fn log(&self, name: &str) -> Stdio {
        fs::OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap().into()
    }

    /// On the data that it had.
    pub(super) fn start_member(&mut self, host: usize) {
        let program = std::env::var_os("MGMT_ETCD").unwrap_or_else(|| "etcd".into());
        let (client, peers) = (url(host), format!("https://{}:2380", address(host)));
        let all: Vec<String> =
            (1..=self.net.hosts).map(|host| format!("h{host}=https://{}:2380", address(host))).collect();
        let mut command = on(host, program);
        command
            .args(["--name", &format!("h{host}"), "--logger", "zap", "--log-level", "warn", "--pre-vote"])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &all.join(","), "--data-dir"])
            .arg(self.path(&format!("h{host}.etcd")))
            .args(&self.options);
        let [ca, certificate, key] = self.tls(&format!("h{host}"));
        for prefix in ["", "peer-"] {
            command.arg(format!("--{prefix}client-cert-auth"));
            for (option, file) in [("trusted-ca-file", &ca), ("cert-file", &certificate), ("key-file", &key)] {
                command.arg(format!("--{prefix}{option}")).arg(file);
            }
        }
        command.stdout(Stdio::null()).stderr(self.log(&format!("h{host}.etcd.log")));
        self.members[host - 1] = Some(Running(command.spawn().expect("etcd starts")));
    }

    pub(super) fn kill_member(&mut self, host: usize) {
        self.members[host - 1] = None;
    }

    pub(super) fn start_host(&mut self, host: usize) {
        let name = format!("h{host}");
        let mut command = on(host, env!("CARGO_BIN_EXE_mgmt"));
        command
            .args(["run", "--hostname", &name, "--alive-ttl", &self.alive_ttl.to_string()])
            .args(["--export-ttl", &self.export_ttl.to_string(), "--yaml"])
            .arg(self.path(&format!("{name}.yaml")))
            .arg("--prefix")
            .arg(self.path(&format!("{name}.prefix")))
            .stdout(Stdio::null())
            .stderr(self.log(&format!("{name}.log")));
        match &self.joined {
            Some(joined) => joined.add_options(host, &mut command),
            None => {
                let [ca, certificate, key] = self.tls(&name);
                command.args(["--seeds", &self.urls(host).join(",")]).arg("--tls-ca").arg(ca);
                command.arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key).env_remove("MGMT_SEEDS");
            }
        }
        self.hosts[host - 1] = Some(Running(command.spawn().expect("mgmt starts")));
    }

    pub(super) fn kill_host(&mut self, host: usize) {
        self.hosts[host - 1] = None;
    }

    pub(super) fn host(&self, host: usize) -> &Running {
        self.hosts[host - 1].as_ref().expect("it runs")
    }

    pub(super) fn member(&self, host: usize) -> &Running {
        self.members[host - 1].as_ref().expect("it runs")
    }

    /// Asks a host to end, and waits until it has.
    pub(super) fn stop_host(&mut self, host: usize) {
        signal("-TERM", self.host(host));
        let ended = self.hosts[host - 1].as_mut().map(|process| process.0.wait());
        let is_over = matches!(&ended, Some(Ok(status)) if status.code().is_some());
        assert!(is_over, "{ended:?}: {}", self.reported(host));
        self.hosts[host - 1] = None;
    }

    pub(super) fn runs(&self, host: usize) -> bool {
        self.hosts[host - 1].is_some()
    }

    pub(super) fn observer(&self) -> &Observer {
        self.observer.as_ref().expect("it is there as soon as etcd is")
    }

    /// Lets a host export something else: two files with another content, and one with another name. It also sets a
    /// value, and takes part in a schedule.
    pub(super) fn change(&mut self, host: usize) {
        self.versions[host - 1] += 1;
        let export = |(name, content): (String, String)| {
            let meta = "{reverse: true, retry: -1, delay: 500}";
            format!("  - {{name: '@@/x/{name}', content: '{content}', meta: {meta}}}\n")
        };
        let exports: String = self.exports(host).into_iter().map(export).collect();
        let into = self.path(&format!("h{host}.files"));
        let version = self.versions[host - 1];
        let others =
            format!("  kv:\n  - {{name: version, value: '{version}', mapped: true}}\n  schedule:\n  - {{name: one}}\n");
        let collect = format!("collect:\n- {{kind: file, pattern: {}/}}\n", into.display());
        let (path, new) = (self.path(&format!("h{host}.yaml")), self.path(&format!("h{host}.new")));
        fs::write(&new, format!("graph: h{host}\nresources:\n  file:\n{exports}{others}{collect}")).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// What a host exports: names and contents.
    pub(super) fn exports(&self, host: usize) -> Vec<(String, String)> {
        let version = self.versions[host - 1];
        let content = format!("h{host} {version}");
        [format!("h{host}-a"), format!("h{host}-b"), format!("h{host}-v{version}")]
            .map(|name| (name, content.clone()))
            .into()
    }

    /// The operator's program.
    pub(super) fn etcdctl(&self, arguments: &[&str]) -> Output {
        self.etcdctl_command(arguments).output().expect("the program etcdctl")
    }

    fn etcdctl_command(&self, arguments: &[&str]) -> Command {
        let [ca, certificate, key] = self.access();
        let mut command = Command::new("etcdctl");
        command.args(["--endpoints", &self.urls(1).join(","), "--command-timeout", "5s", "--dial-timeout", "1s"]);
        command.arg("--cacert").arg(ca).arg("--cert").arg(certificate).arg("--key").arg(key);
        command.args(arguments).env("ETCDCTL_API", "3");
        command
    }

    /// The same with a file as its input.
    pub(super) fn etcdctl_reading(&self, arguments: &[&str], input: &Path) -> Output {
        self.etcdctl_command(arguments).stdin(fs::File::open(input).unwrap()).output().expect("the program etcdctl")
    }

    /// The revision of etcd.
    pub(super) fn revision(&self) -> Option<u64> {
        let all = self.etcdctl_json(&["endpoint", "status"]);
        all.as_array()?.iter().filter_map(|one| one["Status"]["header"]["revision"].as_u64()).max()
    }

    fn etcdctl_json(&self, arguments: &[&str]) -> Json {
        let output = self.etcdctl(&[arguments, &["-w", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// The host whose member leads, as those see it that answer.
    pub(super) fn leader(&self) -> Option<usize> {
        let all = self.etcdctl_json(&["endpoint", "status"]);
        let all = all.as_array()?;
        let leads = |one: &&Json| one["Status"]["leader"] == one["Status"]["header"]["member_id"];
        let found = all.iter().find(leads)?["Endpoint"].as_str()?.to_owned();
        (1..=self.net.hosts).find(|host| found == url(*host))
    }

    /// The hosts of all members, sorted; something else for one that has not started or has no vote yet.
    pub(super) fn members(&self) -> Vec<String> {
        let list = self.etcdctl_json(&["member", "list"]);
        let name = |member: &Json| match (member["name"].as_str(), member["isLearner"].as_bool()) {
            (Some(name), None | Some(false)) => name.to_owned(),
            (name, _) => format!("({} without a vote)", name.unwrap_or_default()),
        };
        let mut names: Vec<String> = list["members"].as_array().into_iter().flatten().map(name).collect();
        names.sort();
        names
    }

    /// How many members there must be.
    pub(super) fn members_wanted(&self) -> usize {
        self.joined.as_ref().map_or(self.net.hosts, |joined| joined.size)
    }

    /// Which hosts are alive, and whether all of them have converged.
    pub(super) fn status(&self) -> Result<(Vec<String>, bool), String> {
        let [ca, certificate, key] = self.access();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mgmt"));
        command.args(["cluster", "status", "--json", "--hostname", "test", "--seeds", &self.urls(1).join(",")]);
        command.arg("--tls-ca").arg(ca).arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key);
        let output = command.env_remove("MGMT_SEEDS").output().unwrap();
        let status: Json = serde_json::from_slice(&output.stdout)
            .map_err(|_| format!("no status: {}", String::from_utf8_lossy(&output.stderr)))?;
        let names = status["hosts"].as_array().into_iter().flatten().filter_map(|host| host["name"].as_str());
        Ok((names.map(str::to_owned).collect(), status["converged"] == Json::Bool(true)))
    }

    /// How often a host has reported this by itself, and not as the reason of something else.
    pub(super) fn reports(&self, host: usize, what: &str) -> usize {
        self.reported(host).matches(&format!("WARN {what}")).count()
    }

    /// The resources of a host and their states.
    pub(super) fn shown(&self, host: usize) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mgmt"));
        command.args(["status", "--prefix"]).arg(self.path(&format!("h{host}.prefix")));
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    }

    /// What a host has reported.
    pub(super) fn reported(&self, host: usize) -> String {
        fs::read_to_string(self.path(&format!("h{host}.log"))).unwrap_or_default()
    }
}

/// Where clients reach the member of a host.
fn url(host: usize) -> String {
    format!("https://{}:2379", address(host))
}

/// The last lines of a text.
pub(super) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// All files of a directory, by name.
pub(super) fn files(dir: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = fs::read_dir(dir)
        .unwrap()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, fs::read_to_string(entry.path()).ok()?)))
        .collect();
    files.sort();
    files
}
