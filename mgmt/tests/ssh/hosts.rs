//! Hosts with a real sshd, each in a network and a file tree of its own, joined by a bridge. All of it is in namespaces
//! of the test, which runs itself once more there: nothing of the machine's own sshd, keys, accounts or homes is used
//! or changed, and with the last process of the test everything is gone, however that ends.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use mgmt::sys::ssh::{Endpoint, SshOptions};

use crate::again::again;
use crate::executable::program;

/// A file system of the test alone.
const KIT: &str = "/mnt/kit";
/// The address of the test.
const TEST: &str = "10.78.0.1";
/// Carries packets with a delay.
const DELAY: &str = include_str!("../etcd/faults/delay.py");
/// The password of all accounts of a host, and its hash.
pub(crate) const PASSWORD: &str = "swordfish";
pub(crate) const HASH: &str =
    "$6$mgmttest$Xd42z.C.6rP7B5NJ3WNimLi7Z3CMmUAnDMP7zEE.GNVc2OgBzuOXJkBhEcVMTah.S8xR7/eqspgiY8DDr6NtI0";

/// Runs the test of this name, which is in the module (`module_path!()`), in namespaces. Returns `true` inside.
pub(crate) fn inside(module: &str, name: &str) -> bool {
    let _turn = TURN.read().unwrap_or_else(PoisonError::into_inner);
    once_more(module, name)
}

/// Like [`inside`], at a moment when no other test runs: for figures.
pub(crate) fn inside_alone(module: &str, name: &str) -> bool {
    // Those that could begin meanwhile must not wait for the slowest of those that run.
    let _turn = loop {
        match TURN.try_write() {
            Ok(turn) => break turn,
            Err(TryLockError::Poisoned(turn)) => break turn.into_inner(),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(100)),
        }
    };
    once_more(module, name)
}

static TURN: RwLock<()> = RwLock::new(());

fn once_more(module: &str, name: &str) -> bool {
    let name = format!("{}::{name}", module.split_once("::").expect("a module").1);
    again(&name, |unshare| {
        unshare
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            // A file system of the test alone is there: see `Net::new`.
            .env("TMPDIR", "/run")
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("SSH_AUTH_SOCK");
    })
}

/// A process that is killed at the end.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, or will.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program `mgmt`, without the options that variables of this process set, and with pipes.
pub(crate) fn mgmt(words: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(words);
    for name in
        ["MGMT_PREFIX", "MGMT_CCONNS", "MGMT_SSH_PRIV_ID_RSA", "MGMT_CONVERGED_TIMEOUT", "MGMT_SEEDS", "RUST_LOG"]
    {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command, which must succeed, and returns what it prints.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(output.status.success(), "{command:?}: {} {}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn here(line: &str) {
    let mut words = line.split(' ');
    run(Command::new(words.next().unwrap_or_default()).args(words));
}

pub(crate) fn write(path: &Path, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn keygen(path: &Path, passphrase: &str) {
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-C", "test", "-N", passphrase, "-f"]).arg(path));
}

/// How a host differs from the usual one.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// The login shell of all its users.
    pub(crate) shell: &'static str,
    /// Lines for the configuration of sshd, before all others: the first one counts.
    pub(crate) sshd: String,
    /// The content of `/etc/sudoers`.
    pub(crate) sudoers: &'static str,
    /// Shell commands as root there before its sshd is started, with `$K` for its directory.
    pub(crate) prepare: String,
}

impl Default for Setup {
    fn default() -> Setup {
        let (sshd, prepare) = (String::new(), String::new());
        Setup { shell: "/bin/sh", sshd, sudoers: "ann ALL=(ALL) NOPASSWD: ALL\n", prepare }
    }
}

/// The network of the test.
pub(crate) struct Net {
    dir: PathBuf,
    hosts: std::cell::Cell<usize>,
}

/// A host with an sshd, and the users root, ann (who may become root) and bob.
pub(crate) struct Host {
    pub(crate) number: usize,
    /// Its directory, seen from the test: `root`, `home/ann`, `tmp` and others in it are its own.
    pub(crate) dir: PathBuf,
    sshd: Process,
    kit: PathBuf,
}

impl Net {
    pub(crate) fn new() -> Net {
        here("mount -t tmpfs -o mode=755 tmpfs /run");
        here("mount -t tmpfs -o mode=755 tmpfs /mnt");
        here("ip link set lo up");
        here("ip link add br0 type bridge");
        here(&format!("ip addr add {TEST}/24 dev br0"));
        here("ip link set br0 up");
        let dir = PathBuf::from(KIT);
        fs::create_dir(&dir).unwrap();
        keygen(&dir.join("key"), "");
        write(&dir.join("known_hosts"), "", 0o600);
        let config = "Host *\n IdentityFile /mnt/kit/key\n IdentitiesOnly yes\n UserKnownHostsFile /mnt/kit/known_hosts\n \
                      GlobalKnownHostsFile /dev/null\n";
        write(&dir.join("config"), config, 0o600);
        Net { dir, hosts: std::cell::Cell::new(0) }
    }

    /// A host whose key is known.
    pub(crate) fn host(&self, setup: Setup) -> Host {
        let host = self.stranger(setup);
        self.know(&host);
        host
    }

    /// A host whose key is not known yet.
    pub(crate) fn stranger(&self, setup: Setup) -> Host {
        let number = self.wire();
        let dir = self.dir.join(format!("h{number}"));
        fs::create_dir(&dir).unwrap();
        keygen(&dir.join("hostkey"), "");
        let host = Host::start(number, dir, self.dir.clone(), &setup);
        host.wait();
        host
    }

    /// The network of a further host: returns its number.
    pub(crate) fn wire(&self) -> usize {
        let number = self.hosts.get() + 1;
        self.hosts.set(number);
        here(&format!("ip netns add h{number}"));
        here(&format!("ip link add v{number} type veth peer name eth0 netns h{number}"));
        here(&format!("ip link set v{number} master br0 up"));
        let address = address(number);
        for line in ["link set lo up", &format!("addr add {address}/24 dev eth0"), "link set eth0 up"] {
            run(Command::new("ip").args(["-n", &format!("h{number}")]).args(line.split(' ')));
        }
        // So that a test can name it in the configuration of ssh.
        let entry = format!("Host h{number}\n HostName {address}\n");
        let config = fs::read_to_string(self.dir.join("config")).unwrap();
        write(&self.dir.join("config"), &format!("{entry}{config}"), 0o600);
        number
    }

    /// Writes the key of the host to the list of known hosts.
    pub(crate) fn know(&self, host: &Host) {
        let mut list = fs::read_to_string(self.dir.join("known_hosts")).unwrap();
        let key = fs::read_to_string(host.dir.join("hostkey.pub")).unwrap();
        list += &format!("{} {key}", address(host.number));
        write(&self.dir.join("known_hosts"), &list, 0o600);
    }

    /// How many hosts there are.
    pub(crate) fn count(&self) -> usize {
        self.hosts.get()
    }

    /// Where files of the test can be: nothing else uses it.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The configuration of ssh for these hosts.
    pub(crate) fn options(&self) -> SshOptions {
        let mut options = SshOptions::default();
        options.config = Some(self.dir.join("config"));
        options.connect_timeout = Duration::from_secs(5);
        options
    }
}

/// The address of a host.
pub(crate) fn address(number: usize) -> String {
    format!("10.78.0.{}", 10 + number)
}

/// Whether the sshd of a host answers.
pub(crate) fn reachable(number: usize) -> bool {
    let at: SocketAddr = format!("{}:22", address(number)).parse().unwrap();
    TcpStream::connect_timeout(&at, Duration::from_millis(200)).is_ok()
}

impl Host {
    fn start(number: usize, dir: PathBuf, kit: PathBuf, setup: &Setup) -> Host {
        let shell = setup.shell;
        let passwd = format!(
            "root:x:0:0:root:/root:{shell}\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n\
             nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
             ann:x:2001:2001::/home/ann:{shell}\nbob:x:2002:2002::/home/bob:{shell}\n"
        );
        let shadow: String = ["root", "ann", "bob"].iter().map(|user| format!("{user}:{HASH}:20000::::::\n")).collect();
        let group = "root:x:0:\nsudo:x:27:\nnogroup:x:65534:\nann:x:2001:\nbob:x:2002:\n";
        for (name, text, mode) in [
            ("etc/passwd", passwd.as_str(), 0o644),
            ("etc/shadow", &shadow, 0o640),
            ("etc/group", group, 0o644),
            ("etc/sudoers", setup.sudoers, 0o440),
            ("etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\n", 0o644),
        ] {
            write(&dir.join(name), text, mode);
        }
        for (name, mode, owner) in [
            ("root", 0o700, 0),
            ("home", 0o755, 0),
            ("home/ann", 0o755, 2001),
            ("home/bob", 0o755, 2002),
            ("tmp", 0o1777, 0),
            ("var-tmp", 0o1777, 0),
            ("var-cache", 0o755, 0),
        ] {
            let path = dir.join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            std::os::unix::fs::chown(&path, Some(owner), Some(owner)).unwrap();
        }
        fs::copy(kit.join("key.pub"), dir.join("authorized_keys")).unwrap();
        let sshd = format!(
            "{}Port 22\nHostKey {d}/hostkey\nAuthorizedKeysFile {d}/authorized_keys\nPidFile none\nUsePAM no\nStrictModes no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\nLogLevel VERBOSE\n",
            setup.sshd,
            d = dir.display()
        );
        write(&dir.join("sshd_config"), &sshd, 0o600);
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/h{number}"));
        command.args(["unshare", "--mount", "--uts", "/bin/sh", "-ec", INIT]).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("K", &dir).env("NAME", format!("h{number}")).env("PREPARE", &setup.prepare);
        let log = fs::File::create(dir.join("sshd.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Host { number, dir, sshd: Process(command.spawn().unwrap()), kit }
    }

    fn wait(&self) {
        let began = Instant::now();
        while !reachable(self.number) {
            assert!(began.elapsed() < Duration::from_secs(10), "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What its sshd has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("sshd.log")).unwrap_or_default()
    }

    /// This user there, by an address.
    pub(crate) fn at(&self, user: &str) -> Endpoint {
        format!("h{}={user}@{}", self.number, address(self.number)).parse().unwrap()
    }

    /// A program there, as root.
    pub(crate) fn command(&self, program: &str) -> Command {
        let pid = self.sshd.0.id();
        let mut command = Command::new("nsenter");
        command.args([&format!("--mount=/proc/{pid}/ns/mnt"), &format!("--net=/proc/{pid}/ns/net")]);
        command.arg(format!("--uts=/proc/{pid}/ns/uts")).arg(program);
        command
    }

    /// Runs a script there, as root, which must succeed, and returns what it prints.
    pub(crate) fn sh(&self, script: &str) -> String {
        run(self.command("/bin/sh").args(["-ec", script]))
    }

    /// Runs a script there, as this user.
    pub(crate) fn sh_as(&self, user: &str, script: &str) -> Output {
        self.command("setpriv")
            .args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups", "/bin/sh", "-ec", script])
            .output()
            .unwrap()
    }

    /// Nothing reaches the host any more, or it does again.
    pub(crate) fn cut(&self, is_cut: bool) {
        here(&format!("ip link set v{} {}", self.number, if is_cut { "down" } else { "up" }));
        if !is_cut {
            self.wait();
        }
    }

    /// Packets of more bytes than this do not get through; unless its end and ours know that (`is_known`), they are lost.
    pub(crate) fn narrow(&self, bytes: u32, is_known: bool) {
        let (n, at_ends) = (self.number, if is_known { bytes } else { 1500 });
        run(self.command("ip").args(["link", "set", "eth0", "mtu", &at_ends.to_string()]));
        here(&format!("ip link set v{n} mtu {bytes}"));
        here(&format!("ip link set br0 mtu {at_ends}"));
    }

    /// From now on each packet to and from it comes later by this time, until what is returned is dropped.
    pub(crate) fn delay(&self, milliseconds: u32) -> Process {
        let n = self.number;
        run(Command::new("python3").args(["-c", DELAY, "whole", "br0"]));
        run(self.command("python3").args(["-c", DELAY, "whole", "eth0"]));
        here(&format!("ip link add w{n} type veth peer name b{n}"));
        for line in [format!("w{n} up"), format!("b{n} master br0 up"), format!("v{n} nomaster")] {
            here(&format!("ip link set {line}"));
        }
        let mut command = Command::new("python3");
        command.args(["-c", DELAY, &milliseconds.to_string(), &format!("v{n}"), &format!("w{n}")]);
        let mut process = Process(command.stdout(Stdio::piped()).spawn().expect("python3"));
        let out = process.0.stdout.take().expect("a pipe");
        let line = BufReader::new(out).lines().next().and_then(Result::ok);
        assert_eq!(line.as_deref(), Some("ready"));
        process
    }

    /// Replaces its key, as if it was installed again.
    pub(crate) fn change_key(&mut self, setup: &Setup) {
        // Its listener, and not the calls that run.
        self.sshd.0.kill().unwrap();
        self.sshd.0.wait().unwrap();
        for name in ["hostkey", "hostkey.pub"] {
            fs::remove_file(self.dir.join(name)).unwrap();
        }
        keygen(&self.dir.join("hostkey"), "");
        let dir = self.dir.clone();
        for name in ["root", "home/ann", "home/bob", "home", "tmp", "var-tmp", "var-cache"] {
            fs::remove_dir_all(dir.join(name)).unwrap();
        }
        *self = Host::start(self.number, dir, self.kit.clone(), setup);
        self.wait();
    }

    /// The processes of all users but the listener and the test, in all hosts: their commands.
    pub(crate) fn left(&self) -> Vec<String> {
        processes().into_iter().filter(|command| !command.contains("[listener]")).collect()
    }

    /// Waits until nothing runs that a test has started through ssh.
    pub(crate) async fn until_nothing_is_left(&self) {
        let began = Instant::now();
        loop {
            let left = self.left();
            if left.is_empty() {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(15), "left: {left:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The commands of all processes of the test but itself.
fn processes() -> Vec<String> {
    let us = std::process::id();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(|pid| *pid != us);
    let words = |pid: u32| {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let text = String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned();
        (!text.is_empty() && !text.starts_with("mgmt-guard") && !text.contains("mgmt-guard")).then_some(text)
    };
    pids.filter_map(words).collect()
}

/// Puts the host's own files in the place of the machine's, and becomes its sshd.
const INIT: &str = r#"
hostname "$NAME"
for name in passwd shadow group sudoers nsswitch.conf; do
  [ -e "/etc/$name" ] || : >"/etc/$name"
  mount --bind "$K/etc/$name" "/etc/$name"
done
mount --bind "$K/root" /root
mount --bind "$K/home" /home
mount --bind "$K/tmp" /tmp
mount --bind "$K/var-tmp" /var/tmp
mount --bind "$K/var-cache" /var/cache
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd
eval "$PREPARE"
unset PREPARE NAME
exec /usr/sbin/sshd -D -e -f "$K/sshd_config"
"#;

/// An agent of the test.
pub(crate) struct Agent {
    pub(crate) socket: PathBuf,
    _process: Process,
}

impl Agent {
    pub(crate) fn start(net: &Net) -> Agent {
        let socket = net.dir().join("agent");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let process = Process(child);
        // It prints its socket when it listens.
        let line = BufReader::new(out).lines().next().unwrap().unwrap();
        assert!(line.contains("SSH_AUTH_SOCK"), "{line}");
        Agent { socket, _process: process }
    }

    /// Locks it, or unlocks it.
    pub(crate) fn lock(&self, is_locked: bool) {
        // ssh-add asks a program for the password where it has no terminal.
        let mut command = Command::new("ssh-add");
        command.arg(if is_locked { "-x" } else { "-X" }).stdin(Stdio::null());
        let asker = self.socket.with_extension("sh");
        write(&asker, "#!/bin/sh\necho secret\n", 0o700);
        command.env("SSH_AUTH_SOCK", &self.socket).env("SSH_ASKPASS", asker).env("SSH_ASKPASS_REQUIRE", "force");
        run(&mut command);
    }
}
