//! Parameters of a real kernel, in a network namespace of their own.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::testing::TempDir;
use mgmt::testing::laws::{self, Law, Subject};

use crate::kit::spaces::inside;

const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

fn forward(dir: &Path) -> mgmt::resources::SysctlBuilder {
    Sysctl::new("net.ipv4.ip_forward", "1").path(dir.join("f.conf").to_str().unwrap().to_owned())
}

#[test]
#[ignore = "needs user and network namespaces (unshare)"]
fn the_laws_hold_for_a_real_kernel() {
    if !inside("sysctl::the_laws_hold_for_a_real_kernel", &["--net"]) {
        return;
    }
    let subject = Subject::new(forward)
        .prepare(|dir| {
            fs::write(FORWARD, "0").unwrap();
            fs::write(dir.join("f.conf"), "# a\nvm.swappiness = 10").unwrap();
        })
        .observe(|_| fs::read_to_string(FORWARD).unwrap())
        .break_it(|_| fs::write(FORWARD, "0\n").unwrap())
        .break_it(|dir| fs::write(dir.join("f.conf"), "# a\nvm.swappiness = 10\n").unwrap());
    let all: Vec<_> = Law::ALL.into_iter().chain([Law::UndoRestores]).collect();
    assert_eq!(laws::check(subject), all);
}

#[test]
#[ignore = "needs user and network namespaces (unshare)"]
fn a_write_of_another_program_is_undone_long_before_the_next_look() {
    if !inside("sysctl::a_write_of_another_program_is_undone_long_before_the_next_look", &["--net"]) {
        return;
    }
    let dir = TempDir::new().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut g = Graph::new("forward");
        g.add(forward(dir.path()));
        let engine =
            Engine::builder().graph(g.finish().unwrap()).prefix(dir.path().join("prefix")).start().await.unwrap();
        engine.converged().await.unwrap();
        assert_eq!(fs::read_to_string(FORWARD).unwrap(), "1\n");
        let begun = Instant::now();
        fs::write(FORWARD, "0\n").unwrap();
        while fs::read_to_string(FORWARD).unwrap() == "0\n" {
            assert!(begun.elapsed() < Duration::from_secs(4), "it is not woken by the write");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        engine.stop().await.unwrap();
    });
}
