//! Runs that were left on hosts of a cluster: their hosts reach it by themselves, or the runs are refused.

use crate::hosts::{Net, Setup, inside};
use crate::world::{Staying, begin, graph, output, pairs, text, there};

#[tokio::test]
#[ignore = "needs root, sshd and etcd"]
async fn a_run_that_stays_shares_by_itself_or_is_refused_before_anything_runs() {
    if !inside(module_path!(), "a_run_that_stays_shares_by_itself_or_is_refused_before_anything_runs") {
        return;
    }
    let net = Net::new();
    let hosts = [net.host(Setup::default()), net.host(Setup::default())];
    begin(&net);
    let files = [graph(&net, "h1", "one"), graph(&net, "h2", "two")];
    let left = |host: usize, more: &[&str]| {
        let address = format!("root@h{}", host + 1);
        let left = output(&net, &[&["remote", "run", &address, "--yaml", &files[host], "--detach"], more].concat());
        (left.status.code(), text(&left.stderr))
    };
    let refused = |parts: &[&str]| {
        let (code, log) = left(0, &[]);
        let missing: Vec<_> = parts.iter().filter(|part| !log.contains(**part)).collect();
        assert!(code == Some(1) && missing.is_empty() && there(&hosts[0]).is_empty(), "{missing:?}: {log}");
    };
    // No server runs, and one of the command would end with it.
    refused(&["a run that stays needs one that stays, too"]);
    // Servers that only this host reaches.
    let nothing = net.dir().join("nothing.yaml");
    std::fs::write(&nothing, "graph: g\nresources:\n  noop:\n  - name: n\n").unwrap();
    let nothing = nothing.to_str().unwrap();
    let is_ready = || output(&net, &["cluster", "hosts"]).status.success();
    let mut servers = Staying::start(&net, &["run", "--yaml", nothing]);
    servers.wait("the servers answer", is_ready);
    refused(&["h1 does not reach https://127.0.0.1:2379", "--advertise-client-urls", "--no-world"]);
    servers.stop();
    hosts[0].until_nothing_is_left().await;
    // Servers that all reach.
    let mut servers = Staying::start(&net, &["run", "--yaml", nothing, "--server-urls", "https://10.78.0.1:2380"]);
    servers.wait("the servers answer", is_ready);
    for host in [0, 1] {
        let (code, log) = left(host, &[]);
        assert!(code == Some(0) && log.contains("runs on there") && !log.contains("WARN"), "{log}");
    }
    let all = pairs(&[("h1", "one"), ("h2", "two")]);
    servers.wait("all have all", || hosts.iter().all(|host| there(host) == all));
    let stopped = output(&net, &["remote", "stop", "root@h1", "root@h2"]);
    assert_eq!(stopped.status.code(), Some(0), "{}", text(&stopped.stderr));
    servers.stop();
    hosts[0].until_nothing_is_left().await;
}
