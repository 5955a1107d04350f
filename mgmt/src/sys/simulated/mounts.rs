//! The mounts of a simulated host: the table of the kernel, and the programs `mount` and `umount`. What was in a
//! directory before something was mounted there stays visible.

use std::fmt::Write as _;
use std::sync::Mutex;

use super::commands::{Answer, Called};
use super::host::{Host, Part, lock};

/// The table of mounts, and the one of swap devices.
const TABLE: &str = "/proc/self/mountinfo";
const SWAPS: &str = "/proc/swaps";

/// What is mounted, in the order in which it was.
#[derive(Debug, Default)]
struct Mounts(Mutex<Vec<Mounted>>);

#[derive(Clone, Debug)]
struct Mounted {
    device: String,
    point: String,
    fstype: String,
    options: Vec<String>,
}

impl Part for Mounts {
    fn fork(&self) -> Mounts {
        Mounts(Mutex::new(lock(&self.0).clone()))
    }

    fn state(&self, _: &Host) -> Vec<String> {
        let line = |m: &Mounted| format!("mount {} on {}: {} {}", m.device, m.point, m.fstype, m.options.join(","));
        lock(&self.0).iter().map(line).collect()
    }
}

/// Options that `mount` reads, or that the kernel shows in other words.
fn is_shown(option: &str) -> bool {
    let hidden =
        ["defaults", "remount", "bind", "rbind", "auto", "noauto", "nofail", "suid", "dev", "exec", "diratime"];
    !hidden.contains(&option) && !option.starts_with("x-")
}

impl Mounted {
    /// The options of the kernel: each once, the last of opposites.
    fn set(&mut self, options: &str) {
        let mut shown = vec!["rw".to_owned(), "relatime".to_owned()];
        for option in options.split(',').filter(|option| is_shown(option)) {
            let name = option.split('=').next().unwrap_or(option);
            shown.retain(|old| {
                let is_atime = |word: &str| word.ends_with("atime") && word != "nodiratime";
                let is_other = old.split('=').next() == Some(name)
                    || ["ro", "rw"].contains(&old.as_str()) && ["ro", "rw"].contains(&option)
                    || is_atime(old) && is_atime(option);
                !is_other
            });
            shown.push(option.to_owned());
        }
        self.options = shown;
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012")
}

impl Host {
    /// The tables of the kernel, as they are for a new host.
    pub(super) fn make_tables(&self) {
        self.write(SWAPS, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
        self.show_mounts();
    }

    fn show_mounts(&self) {
        let mut table = "1 0 8:1 / / rw,relatime - ext4 /dev/root rw\n".to_owned();
        for (number, mounted) in lock(&self.part::<Mounts>().0).iter().enumerate() {
            let Mounted { device, point, fstype, options } = mounted;
            let (number, options) = (number + 2, options.join(","));
            let [device, point] = [device, point].map(|text| escape(text));
            let _ = writeln!(table, "{number} 1 0:{number} / {point} {options} - {fstype} {device} {options}");
        }
        self.write(TABLE, table);
    }

    /// Mounts something, as `mount` would.
    pub fn mount(&self, device: &str, point: &str, fstype: &str, options: &str) {
        let mut mounted = Mounted {
            device: device.to_owned(),
            point: point.to_owned(),
            fstype: fstype.to_owned(),
            options: Vec::new(),
        };
        mounted.set(options);
        lock(&self.part::<Mounts>().0).push(mounted);
        self.mounts_changed(point);
    }

    /// Unmounts what was mounted last at a mount point. Returns whether there was something.
    pub fn unmount(&self, point: &str) -> bool {
        let mounts = self.part::<Mounts>();
        let at = lock(&mounts.0).iter().rposition(|mounted| mounted.point == point);
        let Some(at) = at else { return false };
        lock(&mounts.0).remove(at);
        self.mounts_changed(point);
        true
    }

    /// What is mounted at a mount point: the device, the type and the options, separated by blanks.
    pub fn mounted(&self, point: &str) -> Option<String> {
        let mounts = self.part::<Mounts>();
        let all = lock(&mounts.0);
        let mounted = all.iter().rfind(|mounted| mounted.point == point)?;
        Some(format!("{} {} {}", mounted.device, mounted.fstype, mounted.options.join(",")))
    }

    /// The kernel reports a mount to those that watch the mount point.
    fn mounts_changed(&self, point: &str) {
        self.show_mounts();
        if let Some(mode) = self.mode(point) {
            self.chmod(point, mode);
        }
    }
}

/// The program `mount`, with the options that graphs use.
pub(super) fn mount(called: &Called<'_>) -> Answer {
    let (mut fstype, mut options, mut rest) = ("auto", "", Vec::new());
    let mut words = called.args().iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "-t" => fstype = words.next().unwrap_or_default(),
            "-o" => options = words.next().unwrap_or_default(),
            "--" => {}
            word => rest.push(word),
        }
    }
    let host = called.host;
    let Some(point) = rest.last().filter(|point| host.is_dir(point)) else {
        return Answer::fails(32, format!("mount: {}: mount point does not exist.\n", rest.last().unwrap_or(&"")));
    };
    if !options.split(',').any(|option| option == "remount") {
        host.mount(rest[0], point, if fstype == "auto" { "ext4" } else { fstype }, options);
        return Answer::ok();
    }
    let mounts = host.part::<Mounts>();
    let is_there = match lock(&mounts.0).iter_mut().rfind(|mounted| mounted.point == *point) {
        Some(mounted) => {
            mounted.set(options);
            true
        }
        None => false,
    };
    host.mounts_changed(point);
    if is_there { Answer::ok() } else { Answer::fails(32, format!("mount: {point}: mount point not mounted.\n")) }
}

/// The program `umount`.
pub(super) fn umount(called: &Called<'_>) -> Answer {
    match called.args().iter().rfind(|arg| !arg.starts_with('-')) {
        Some(point) if called.host.unmount(point) => Answer::ok(),
        point => Answer::fails(32, format!("umount: {}: not mounted.\n", point.map_or("", String::as_str))),
    }
}
