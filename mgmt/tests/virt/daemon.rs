//! A libvirtd for one test, in mount and network namespaces: nothing of this machine is touched.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::again::again;

const SOCKET: &str = "/run/libvirt/libvirt-sock";
const LOG: &str = "/run/libvirtd.log";

/// Runs the test with this name in namespaces of its own. Returns `true` inside.
pub(crate) fn inside(name: &str) -> bool {
    // Its machines end with it, whatever happens. A shell is the first process in there, and waits for those that lose
    // their parent: libvirt waits until the process of a machine is gone.
    let is_inside = again(name, |unshare| {
        unshare
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"])
            .args(["sh", "-c", "\"$@\"; exit $?", "sh"]);
    });
    if is_inside {
        prepare();
    }
    is_inside
}

fn run(program: &str, words: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("the program {program}: {error}"));
    let both = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), both.concat())
}

/// Empty directories in the place of all that libvirt uses. What it finds out about QEMU, in four seconds, is kept for
/// the next one.
fn prepare() {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libvirt");
    fs::create_dir_all(&cache).unwrap();
    let mount = |words: &[&str]| {
        let (is_done, said) = run("mount", words);
        assert!(is_done, "mount {words:?}: {said}");
    };
    for dir in ["/run", "/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt"] {
        mount(&["-t", "tmpfs", "none", dir]);
    }
    mount(&["--bind", cache.to_str().unwrap(), "/var/cache/libvirt"]);
    fs::create_dir("/run/libvirt").unwrap();
    let qemu = "user = \"root\"\ngroup = \"root\"\nsecurity_driver = \"none\"\ncgroup_controllers = [ ]\n\
                namespaces = [ ]\nremember_owner = 0\nstdio_handler = \"file\"\n";
    fs::write("/etc/libvirt/qemu.conf", qemu).unwrap();
    fs::write("/etc/libvirt/libvirtd.conf", "auth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\n").unwrap();
}

/// Runs `virsh`. Returns what it prints.
pub(crate) fn virsh(words: &[&str]) -> String {
    let (is_done, said) = run("virsh", &[&["-q", "-c", "qemu:///system"], words].concat());
    assert!(is_done, "virsh {words:?}: {said}\n{}", Daemon::log());
    said.trim().to_owned()
}

/// Runs several commands of `virsh`, with `;` between them, of which each may fail. Returns all that it prints.
pub(crate) fn attempt(commands: &str) -> String {
    run("virsh", &["-q", "-c", "qemu:///system", commands]).1
}

/// The state of a domain, as `virsh` has it.
pub(crate) fn state(name: &str) -> String {
    let (is_done, said) = run("virsh", &["-q", "-c", "qemu:///system", "domstate", name]);
    if is_done { said.trim().to_owned() } else { "absent".to_owned() }
}

/// A libvirtd that runs; it ends when this is dropped. Its machines run on.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn start() -> Daemon {
        let log = fs::OpenOptions::new().create(true).append(true).open(LOG).unwrap();
        let mut command = Command::new("libvirtd");
        command.args(["-f", "/etc/libvirt/libvirtd.conf", "-p", "/run/libvirtd.pid"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let daemon = Daemon(command.spawn().expect("the program libvirtd"));
        let begun = Instant::now();
        while !(Path::new(SOCKET).exists() && run("virsh", &["-c", "qemu:///system", "uri"]).0) {
            assert!(begun.elapsed() < Duration::from_secs(30), "no libvirtd:\n{}", Daemon::log());
            std::thread::sleep(Duration::from_millis(5));
        }
        daemon
    }

    /// Ends it as a crash would: its socket stays.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        assert!(Path::new(SOCKET).exists());
    }

    /// What all that ran here have logged.
    pub(crate) fn log() -> String {
        fs::read_to_string(LOG).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended, or will.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
