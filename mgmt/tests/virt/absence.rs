//! A libvirt that is not there, dies in the middle, and comes back.

use std::fs;

use mgmt::prelude::*;
use mgmt::testing::TempDir;

use crate::daemon::{Daemon, inside, state, virsh};
use crate::{on_runtime, start, tiny, wait, within};

/// The number of descriptors of this process.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
#[ignore = "needs root, libvirtd and QEMU"]
fn a_libvirt_that_comes_later_dies_and_comes_back_is_waited_for() {
    if !inside("absence::a_libvirt_that_comes_later_dies_and_comes_back_is_waited_for") {
        return;
    }
    let dir = TempDir::new().unwrap();
    on_runtime(async {
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let mut g = Graph::new("virt");
        let vm = g.add(tiny("vm"));
        g.add(File::new(one.to_str().unwrap()).content("1\n"));
        g.add(File::new(two.to_str().unwrap()).content("2\n").after(&vm));
        let engine = start(g, &dir).await;
        wait("the rest of the graph converges", || one.exists());
        tokio::time::sleep(Duration::from_millis(500)).await;
        let status = engine.status().await.unwrap();
        let error = format!("{status:?}");
        assert!(error.contains("no connection to libvirt at qemu:///system"), "{error}");
        assert!(error.contains("install and start it") && !two.exists(), "{error}");

        let mut daemon = Daemon::start();
        println!("started after {:?}", wait("it starts", || state("vm") == "running"));
        within(engine.converged()).await.unwrap();
        assert!(two.exists());
        let (run, open) = (virsh(&["domid", "vm"]), descriptors());
        for _ in 0..3 {
            daemon.kill();
            tokio::time::sleep(Duration::from_millis(300)).await;
            daemon = Daemon::start();
            virsh(&["suspend", "vm"]);
            println!("resumed after {:?}", wait("it is heard again", || state("vm") == "running"));
            within(engine.converged()).await.unwrap();
        }
        assert_eq!(virsh(&["domid", "vm"]), run, "it was not started again");
        assert!(descriptors() <= open + 2, "{open} descriptors have become {}", descriptors());
        within(engine.converged()).await.unwrap();
        engine.stop().await.unwrap();
    });
}

#[test]
#[ignore = "needs root, libvirtd and QEMU"]
fn what_was_begun_when_libvirt_died_is_ended_when_it_is_back() {
    if !inside("absence::what_was_begun_when_libvirt_died_is_ended_when_it_is_back") {
        return;
    }
    let dir = TempDir::new().unwrap();
    on_runtime(async {
        let daemon = Daemon::start();
        let mut g = Graph::new("virt");
        g.add(tiny("vm"));
        let engine = start(g, &dir).await;
        within(engine.converged()).await.unwrap();
        let mut g = Graph::new("virt");
        g.add(tiny("vm").off().shutdown(Duration::from_secs(2)));
        engine.swap(g.finish().unwrap()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(state("vm"), "running", "its system is given time");
        daemon.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let _daemon = Daemon::start();
        println!("off after {:?}", wait("it is shut down", || state("vm") == "shut off"));
        within(engine.converged()).await.unwrap();
        engine.stop().await.unwrap();
    });
}
