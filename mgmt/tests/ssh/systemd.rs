//! Hosts with a systemd of their own: it is PID 1 there, and sshd is one of its units (`ssh.service`). The disk of such a
//! host is a throw-away overlay of this machine's root, which survives a reboot and ends with the host; `/run` and `/tmp`
//! do not survive one. Needs systemd and dbus.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mgmt::sys::ssh::{Endpoint, Executable, Link};

use crate::hosts::{HASH, Net, address, inside, keygen, reachable, run, write};

/// Becomes PID 1 of a host.
const BECOME: &str = include_str!("systemd.sh");
/// Makes cgroups below those of the test, and waits for the end of PID 1, which ends with it.
const ATTEND: &str = r#"
mkdir -p "$K/cgroup"
mount -t cgroup2 cgroup2 "$K/cgroup"
mkdir "$K/cgroup/$GROUP"
trap 'find "$K/cgroup/$GROUP" -depth -type d -exec rmdir {} + 2>/dev/null' EXIT
# The shell itself stays where it is: what it starts goes there.
status=0
sh -ec 'echo $$ >"$K/cgroup/$GROUP/cgroup.procs"
  exec nsenter --net="/run/netns/$NAME" unshare --mount --pid --fork --kill-child=KILL --uts --ipc --cgroup \
    /bin/sh -c "$BECOME"' || status=$?
# A host that is rebooted, or whose power fails, ends by a signal.
echo "PID 1 has ended with $status"
n=0
while [ "$n" -lt 500 ] && [ -d "$K/cgroup/$GROUP" ]; do
  find "$K/cgroup/$GROUP" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.01
  n=$((n + 1))
done
"#;
/// So long a loaded machine may take to boot a host.
const BOOT_MAX: Duration = Duration::from_secs(120);

/// How a host is rebooted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reboot {
    /// By `systemctl reboot`: every unit is stopped.
    Orderly,
    /// As if its power failed: every process is killed.
    PowerLost,
}

/// A host with a systemd, and the users root, ann (who may become root by sudo) and bob. It is up when it is made, and
/// gone when this is dropped.
pub(crate) struct SystemdHost {
    number: usize,
    dir: PathBuf,
    /// The script `ATTEND`; `None`: it is off.
    attendant: Option<Child>,
    leader: u32,
}

impl SystemdHost {
    /// Boots a host, whose key is known. `prepare`: shell commands as root before its first boot, with `$R` for its
    /// file tree.
    pub(crate) fn boot(net: &Net, prepare: &str) -> SystemdHost {
        let number = net.wire();
        let dir = net.dir().join(format!("h{number}"));
        for name in ["lower", "upper", "work", "tree"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        let at = |name: &str| dir.join(name).display().to_string();
        // Hides the home of root, which may be large: it is not removed file by file.
        run(Command::new("mknod").args([&at("upper/root"), "c", "0", "0"]));
        run(Command::new("mount").args(["--bind", "-o", "ro", "/", &at("lower")]));
        let layers = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
        run(Command::new("mount").args(["-t", "overlay", "-o", &layers, "overlay", &at("tree")]));
        write(&dir.join("messages"), "", 0o600);
        let mut host = SystemdHost { number, dir, attendant: None, leader: 0 };
        host.furnish(net);
        run(Command::new("/bin/sh").args(["-ec", prepare]).env("R", host.tree()));
        host.power_on();
        let key = fs::read_to_string(host.tree().join("etc/ssh/host_key.pub")).unwrap();
        let mut list = fs::read_to_string(net.dir().join("known_hosts")).unwrap();
        list += &format!("{} {key}", address(number));
        write(&net.dir().join("known_hosts"), &list, 0o600);
        host
    }

    /// Writes what makes the tree a machine of its own.
    fn furnish(&self, net: &Net) {
        let tree = self.tree();
        let etc = |name: &str| tree.join("etc").join(name);
        // What this machine has enabled or generates at boot is not ours to start.
        for name in ["system", "user"] {
            let _ = fs::remove_dir_all(etc("systemd").join(name));
            fs::create_dir_all(etc("systemd").join(name)).unwrap();
        }
        fs::create_dir_all(etc("systemd/system-generators")).unwrap();
        for dir in ["usr/lib", "usr/local/lib", "lib"] {
            for entry in fs::read_dir(tree.join(dir).join("systemd/system-generators")).into_iter().flatten().flatten()
            {
                let _ = symlink("/dev/null", etc("systemd/system-generators").join(entry.file_name()));
            }
        }
        for name in ["systemd-ask-password-console.path", "systemd-ask-password-wall.path"] {
            symlink("/dev/null", etc("systemd/system").join(name)).unwrap();
        }
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().replace('-', "");
        for (name, text, mode) in [
            ("machine-id", id.as_str(), 0o444),
            ("hostname", &format!("h{}\n", self.number), 0o644),
            ("fstab", "", 0o644),
            ("sudoers", "ann ALL=(ALL) NOPASSWD: ALL\n", 0o440),
            ("pam.d/sshd", PAM, 0o644),
            ("ssh/sshd_config", SSHD, 0o600),
            ("ssh/authorized_keys", &fs::read_to_string(net.dir().join("key.pub")).unwrap(), 0o644),
            ("systemd/system/ssh.service", SSH_SERVICE, 0o644),
        ] {
            // Not the file that a link there leads to, which would be this machine's for an absolute one.
            let _ = fs::remove_file(etc(name));
            write(&etc(name), text, mode);
        }
        fs::create_dir_all(etc("systemd/system/multi-user.target.wants")).unwrap();
        symlink("/etc/systemd/system/ssh.service", etc("systemd/system/multi-user.target.wants/ssh.service")).unwrap();
        for key in ["ssh/host_key", "ssh/host_key.pub"] {
            let _ = fs::remove_file(etc(key));
        }
        keygen(&etc("ssh/host_key"), "");
        for (user, id) in [("ann", 2001), ("bob", 2002)] {
            append(&etc("passwd"), &format!("{user}:x:{id}:{id}::/home/{user}:/bin/sh\n"));
            append(&etc("shadow"), &format!("{user}:{HASH}:20000::::::\n"));
            append(&etc("group"), &format!("{user}:x:{id}:\n"));
            let home = tree.join("home").join(user);
            fs::create_dir_all(&home).unwrap();
            std::os::unix::fs::chown(&home, Some(id), Some(id)).unwrap();
        }
        // The caches and homes of this machine are not those of the host.
        for name in ["var/cache/mgmt", "var/lib/mgmt", "var/lib/systemd/linger"] {
            let _ = fs::remove_dir_all(tree.join(name));
        }
        fs::create_dir_all(tree.join("root")).unwrap();
        fs::set_permissions(tree.join("root"), Permissions::from_mode(0o700)).unwrap();
        // Nothing is to be brought up to date at the first boot.
        for name in ["etc/.updated", "var/.updated"] {
            run(Command::new("touch").arg("-r").arg(tree.join("usr")).arg(tree.join(name)));
        }
    }

    /// The file tree of its disk, which is there also when it is off. A link in it that is absolute leads to this
    /// machine; its `/run`, `/tmp` and `/dev` are not in it.
    pub(crate) fn tree(&self) -> PathBuf {
        self.dir.join("tree")
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// This user there, by an address.
    pub(crate) fn at(&self, user: &str) -> Endpoint {
        format!("h{}={user}@{}", self.number, address(self.number)).parse().unwrap()
    }

    fn power_on(&mut self) {
        let _ = fs::remove_file(self.dir.join("leader"));
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
        let group = format!("mgmt-ssh-{}", id.trim());
        let log = File::create(self.dir.join("boot.log")).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--cgroup", "/bin/sh", "-ec", ATTEND]).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("BECOME", BECOME);
        command.env("K", &self.dir).env("NAME", format!("h{}", self.number)).env("GROUP", group);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.attendant = Some(command.spawn().unwrap());
        let began = Instant::now();
        let mut state = String::new();
        while state != "running" {
            let has_ended = self.attendant.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
            assert!(!has_ended && began.elapsed() < BOOT_MAX && state != "degraded", "{state}: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
            let leader = fs::read_to_string(self.dir.join("leader")).unwrap_or_default();
            let Ok(leader) = leader.trim().parse() else { continue };
            self.leader = leader;
            let exe = fs::read_link(format!("/proc/{leader}/exe")).unwrap_or_default();
            if exe == Path::new("/usr/lib/systemd/systemd") {
                let asked = self.command("systemctl").arg("is-system-running").output().unwrap();
                state = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
            }
        }
        while !reachable(self.number) {
            assert!(began.elapsed() < BOOT_MAX, "its sshd does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends PID 1 and all other processes there.
    pub(crate) fn power_off(&mut self, how: Reboot) {
        let Some(mut attendant) = self.attendant.take() else { return };
        match how {
            // It reports an error if the host is gone before it has its answer.
            Reboot::Orderly => drop(self.command("systemctl").arg("reboot").output()),
            Reboot::PowerLost => drop(Command::new("kill").args(["-KILL", &self.leader.to_string()]).output()),
        }
        let began = Instant::now();
        while attendant.try_wait().unwrap().is_none() {
            if began.elapsed() > BOOT_MAX {
                let _ = attendant.kill();
                let _ = attendant.wait();
                assert!(std::thread::panicking(), "it does not end: {}", self.log());
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Reboots it, and returns when it is up.
    pub(crate) fn reboot(&mut self, how: Reboot) {
        self.power_off(how);
        self.power_on();
    }

    /// A program there, as root.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.leader.to_string());
        command.args(["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--", program]);
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root");
        command.env_remove("XDG_RUNTIME_DIR").env_remove("DBUS_SESSION_BUS_ADDRESS").env_remove("TMPDIR");
        command
    }

    /// Runs a script there, as root, which must succeed, and returns what it prints.
    pub(crate) fn sh(&self, script: &str) -> String {
        run(self.command("/bin/sh").args(["-ec", script]))
    }

    /// What a script there prints, as root, whether it succeeds or not.
    pub(crate) fn try_sh(&self, script: &str) -> String {
        let output = self.command("/bin/sh").args(["-ec", script]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Nothing reaches the host any more, or it does again.
    pub(crate) fn cut(&self, is_cut: bool) {
        let state = if is_cut { "down" } else { "up" };
        run(Command::new("ip").args(["link", "set", &format!("v{}", self.number), state]));
    }

    /// What it has logged: that of the boot, and its journal.
    pub(crate) fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        let journal = self.command("journalctl").args(["--no-pager", "-n", "200"]).output();
        let journal = journal.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        format!("{}{}{}", read("boot.log"), read("messages"), journal.unwrap_or_default())
    }
}

impl Drop for SystemdHost {
    fn drop(&mut self) {
        self.power_off(Reboot::PowerLost);
        for name in ["tree", "lower"] {
            let _ = Command::new("umount").arg("-l").arg(self.dir.join(name)).output();
        }
    }
}

fn append(path: &Path, text: &str) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

const SSHD: &str = "Port 22\nHostKey /etc/ssh/host_key\nAuthorizedKeysFile /etc/ssh/authorized_keys\nPidFile none\n\
                    UsePAM yes\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n\
                    KbdInteractiveAuthentication no\nMaxStartups 100\n";
/// With a session of logind, which has the user's own systemd.
const PAM: &str = "account required pam_unix.so\nsession required pam_unix.so\nsession required pam_systemd.so\n";
const SSH_SERVICE: &str = "[Unit]\nAfter=network.target\n[Service]\nExecStartPre=/bin/mkdir -p /run/sshd\n\
                           ExecStart=/usr/sbin/sshd -D -e\nExecReload=/bin/kill -HUP $MAINPID\nKillMode=process\n\
                           Restart=on-failure\n[Install]\nWantedBy=multi-user.target\n";

#[tokio::test]
#[ignore = "needs root, sshd and systemd"]
async fn a_host_with_its_own_systemd_keeps_its_disk_over_a_reboot() {
    if !inside(module_path!(), "a_host_with_its_own_systemd_keeps_its_disk_over_a_reboot") {
        return;
    }
    let net = Net::new();
    let (mut one, two) = (SystemdHost::boot(&net, "echo kept >\"$R/srv/before\""), SystemdHost::boot(&net, ""));
    let ids = [&one, &two].map(|host| host.sh("cat /etc/machine-id; hostname"));
    assert_ne!(ids[0], ids[1]);
    assert_eq!(one.sh("ps -o comm= -p 1; systemctl is-active ssh.service"), "systemd\nactive");
    let login = |host: &SystemdHost, user: &str, script: &str| {
        let to = format!("{user}@{}", address(host.number()));
        run(Command::new("ssh").arg("-F").arg(net.dir().join("config")).args(["-o", "BatchMode=yes", &to, script]))
    };
    for how in [Reboot::Orderly, Reboot::PowerLost] {
        one.sh("echo there | tee /srv/disk /tmp/gone /run/gone; systemd-run --unit left --quiet sleep 1000");
        one.reboot(how);
        assert_eq!(one.try_sh("cat /srv/before /srv/disk; ls /tmp/gone /run/gone 2>/dev/null"), "kept\nthere");
        assert_eq!(one.try_sh("systemctl is-active left"), "inactive", "{how:?}");
        assert_eq!(one.sh("cat /etc/machine-id; hostname"), ids[0], "{how:?}");
        assert_eq!(login(&one, "root", "id -un; systemctl is-active ssh"), "root\nactive", "{how:?}");
        // A login has its own systemd.
        assert_eq!(login(&one, "ann", "systemctl --user is-active default.target"), "active", "{how:?}");
    }
    assert_eq!(two.try_sh("ls /srv/disk 2>/dev/null"), "", "the hosts share nothing");
    two.cut(true);
    assert!(!reachable(two.number()) && reachable(one.number()));
    two.cut(false);
    let link = Link::open(&two.at("bob"), &net.options(), &Executable::at("/bin/sh").await.unwrap()).await.unwrap();
    assert_eq!(link.endpoint().name(), two.sh("hostname"));
    link.close().await;
    let (group, leader) = (fs::read_to_string(format!("/proc/{}/cgroup", two.leader)).unwrap(), two.leader);
    assert!(group.contains("mgmt-ssh-"), "{group}");
    drop((one, two));
    assert!(!Path::new(&format!("/proc/{leader}")).exists());
}
