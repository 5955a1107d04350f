//! Which hosts of a run that stays are tried again by themselves, and which when something is changed.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::command_line::LONG;
use crate::hosts::{self, Net, Setup, inside, run};
use crate::session::without_terminal;

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_host_that_refuses_is_tried_again_when_something_changes_and_one_that_is_away_by_itself() {
    if !inside(
        module_path!(),
        "a_host_that_refuses_is_tried_again_when_something_changes_and_one_that_is_away_by_itself",
    ) {
        return;
    }
    let net = Net::new();
    let [refuses, away] = [net.host(Setup::default()), net.host(Setup::default())];
    let strange = net.stranger(Setup::default());

    let (keys, kept) = (refuses.dir.join("authorized_keys"), refuses.dir.join("kept"));
    std::fs::rename(&keys, &kept).unwrap();
    away.cut(true);
    let dir = net.dir().to_owned();
    let graph = |content: &str| {
        let text = format!("graph: g\nresources:\n  file:\n  - name: /tmp/out\n    content: {content}\n");
        std::fs::write(dir.join("new"), text).unwrap();
        std::fs::rename(dir.join("new"), dir.join("g.yaml")).unwrap();
    };
    graph("one");
    let config = dir.join("config").to_str().unwrap().to_owned();
    let words = ["remote", "run", "root@h1", "root@h2", "root@h3", "--watch", "--json", "--tmp-prefix"];
    let mut command = without_terminal(&hosts::mgmt(&words));
    command.args(["--ssh-config", &config, "--connect-timeout", "1", "--yaml"]).arg(dir.join("g.yaml"));
    command.stdout(File::create(dir.join("events")).unwrap()).stderr(File::create(dir.join("log")).unwrap());
    let mut child = command.spawn().unwrap();
    let pid = child.id().to_string();
    let events = |host: &str, word: &str| -> Vec<Json> {
        let text = std::fs::read_to_string(dir.join("events")).unwrap_or_default();
        let all = text.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
        all.filter(|event| event["host"] == host && event["event"] == word).collect()
    };
    let mut wait = |what: &str, is_so: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !is_so() {
            let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
            assert!(child.try_wait().unwrap().is_none() && began.elapsed() < LONG, "{what}: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    wait("it is away three times", &|| events("h2", "host_ended").len() == 3);
    let again: Vec<_> = events("h2", "host_ended").iter().map(|event| event["again_in"].as_u64()).collect();
    assert_eq!(again, [Some(1), Some(2), Some(4)]);
    for (host, words) in [("h1", "lets root not in"), ("h3", "host key is not known")] {
        let ended = events(host, "host_ended");
        assert_eq!((ended.len(), events(host, "connecting").len()), (1, 1), "{host}");
        assert!(ended[0]["again_in"].is_null() && ended[0]["error"].as_str().unwrap().contains(words), "{ended:?}");
    }
    // Another graph may be one that makes it work; SIGHUP is what a person does who has mended the cause.
    graph("two");
    wait("tried again", &|| ["h1", "h3"].iter().all(|host| events(host, "host_ended").len() == 2));
    std::fs::rename(&kept, &keys).unwrap();
    run(Command::new("kill").args(["-HUP", &pid]));
    wait("it is let in", &|| !events("h1", "converged").is_empty());
    wait("the other one is refused again", &|| events("h3", "host_ended").len() == 3);
    net.know(&strange);
    away.cut(false);
    run(Command::new("kill").args(["-HUP", &pid]));
    wait("all are there", &|| ["h2", "h3"].iter().all(|host| !events(host, "converged").is_empty()));
    for host in [&refuses, &away, &strange] {
        assert_eq!(std::fs::read_to_string(host.dir.join("tmp/out")).unwrap(), "two");
    }
    run(Command::new("kill").args(["-INT", &pid]));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    refuses.until_nothing_is_left().await;
}
