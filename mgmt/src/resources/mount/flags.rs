//! Which options that are declared a mount lacks: the kernel adds options, leaves some out, and shows some in other
//! words, none of which is a drift.

use crate::resources::mount::active::Active;

/// Options that `mount`, systemd or an administrator reads, and of which the kernel knows nothing.
const NOT_OF_THE_KERNEL: [&str; 13] = [
    "auto", "noauto", "nofail", "_netdev", "user", "users", "nouser", "nousers", "owner", "noowner", "group",
    "nogroup", "loop",
];
/// Options of mounts that are on or off; the word that turns one on, and the one that turns it off.
const SWITCHES: [(&str, &str); 5] =
    [("ro", "rw"), ("nosuid", "suid"), ("nodev", "dev"), ("noexec", "exec"), ("nodiratime", "diratime")];
/// How times of access are kept, of which one is true.
const ATIMES: [&str; 3] = ["noatime", "relatime", "strictatime"];
/// File systems that nothing can write to.
const READ_ONLY: [&str; 4] = ["iso9660", "squashfs", "erofs", "cramfs"];

/// Whether the option is for bind mounts.
pub(super) fn is_bind(options: &[String]) -> bool {
    options.iter().any(|option| option == "bind" || option == "rbind")
}

/// Whether something else than the kernel reads the option.
fn is_foreign(option: &str) -> bool {
    let name = option.split('=').next().unwrap_or(option);
    NOT_OF_THE_KERNEL.contains(&name)
        || ["x-", "X-", "comment", "helper", "uhelper"].iter().any(|start| name.starts_with(start))
        || is_bind(&[option.to_owned()])
}

/// Whether the option is one of the mount, not of the file system.
pub(super) fn is_switch(option: &str) -> bool {
    SWITCHES.iter().any(|(on, off)| option == *on || option == *off) || ATIMES.contains(&option)
}

/// What the switches of a mount must be, in the words that turn each on or off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Switches {
    on: [Option<bool>; SWITCHES.len()],
    atime: Option<&'static str>,
}

impl Switches {
    /// The switches that the options set; `None`: it is not set.
    pub(super) fn of(options: &[String]) -> Switches {
        let mut switches = Switches { on: [None; SWITCHES.len()], atime: None };
        for option in options {
            let [_, nosuid, nodev, noexec, _] = &mut switches.on;
            match option.as_str() {
                "user" | "users" => [nosuid, nodev, noexec].into_iter().for_each(|on| *on = Some(true)),
                "owner" | "group" => [nosuid, nodev].into_iter().for_each(|on| *on = Some(true)),
                "atime" | "norelatime" => switches.atime = Some("strictatime"),
                word => {
                    if let Some(at) = SWITCHES.iter().position(|(on, off)| word == *on || word == *off) {
                        switches.on[at] = Some(word == SWITCHES[at].0);
                    }
                    switches.atime = ATIMES.iter().find(|atime| **atime == word).copied().or(switches.atime);
                }
            }
        }
        switches
    }

    /// All switches in words, those that are not set as the kernel has them by default. (How times of access are kept
    /// stays as it is if it is not set.)
    pub(super) fn words(&self) -> Vec<&'static str> {
        let switches = SWITCHES.iter().zip(self.on);
        let words = switches.map(|((on, off), is_on)| if is_on.unwrap_or(false) { *on } else { *off });
        words.chain(self.atime).collect()
    }
}

/// A difference: what the mount has, and what it must have.
pub(super) type Difference = (String, String);

/// The options that the mount has otherwise than declared.
pub(super) fn differences(declared: &[String], found: &Active) -> Vec<Difference> {
    let mut all = switches(declared, found);
    // A bind mount has those of the file system that it is a part of.
    if !is_bind(declared) {
        all.extend(declared.iter().filter_map(|option| of_the_file_system(option, found)));
    }
    all
}

fn switches(declared: &[String], found: &Active) -> Vec<Difference> {
    let (wanted, is_bind) = (Switches::of(declared), is_bind(declared));
    let mut now = Switches::of(&found.options);
    if !is_bind && found.fs_options.iter().any(|option| option == "ro") {
        now.on[0] = Some(true);
    }
    let mut all = Vec::new();
    for (((on, off), wanted), now) in SWITCHES.iter().zip(wanted.on).zip(now.on) {
        let now = now.unwrap_or(false);
        let is_inherent = *on == "ro" && READ_ONLY.contains(&found.fstype.as_str());
        // A bind mount begins with the switches of the mount that it is made from.
        if wanted.is_none() && (is_bind || is_inherent) || wanted.unwrap_or(false) == now {
            continue;
        }
        let word = |is_on| (if is_on { *on } else { *off }).to_owned();
        all.push((word(now), word(!now)));
    }
    let now = now.atime.unwrap_or("strictatime");
    if let Some(wanted) = wanted.atime.filter(|wanted| *wanted != now) {
        all.push((now.to_owned(), wanted.to_owned()));
    }
    all
}

/// The difference in an option of the file system. The kernel does not show all of them: one that it does not show in
/// any form is taken for set.
fn of_the_file_system(option: &str, found: &Active) -> Option<Difference> {
    if is_switch(option) || is_foreign(option) {
        return None;
    }
    let shown = found.fs_options.iter().chain(&found.options);
    match option.split_once('=') {
        Some((name, value)) => {
            let other = shown.filter_map(|shown| shown.split_once('=')).find(|(shown, _)| *shown == name)?;
            let is_same = other.1 == value || size(other.1).is_some_and(|size_| size(value) == Some(size_));
            (!is_same).then(|| (format!("{name}={}", other.1), option.to_owned()))
        }
        None => {
            let opposite = option.strip_prefix("no").map_or_else(|| format!("no{option}"), str::to_owned);
            let has_opposite = shown.into_iter().any(|shown| *shown == opposite);
            has_opposite.then(|| (opposite, option.to_owned()))
        }
    }
}

/// A number of bytes, or any other number, with a unit (`512k`) or in octal digits (`0755`).
fn size(value: &str) -> Option<u64> {
    let (digits, shift) = match value.as_bytes().last()? {
        b'k' | b'K' => (&value[..value.len() - 1], 10),
        b'm' | b'M' => (&value[..value.len() - 1], 20),
        b'g' | b'G' => (&value[..value.len() - 1], 30),
        b't' | b'T' => (&value[..value.len() - 1], 40),
        _ => (value, 0),
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::mount::options::split;

    fn found(options: &str, fs_options: &str) -> Active {
        Active {
            root: "/".to_owned(),
            point: "/x".to_owned(),
            options: split(options),
            fstype: "tmpfs".to_owned(),
            source: "none".to_owned(),
            fs_options: split(fs_options),
        }
    }

    fn lacking(declared: &str, options: &str, fs_options: &str) -> String {
        let all = differences(&split(declared), &found(options, fs_options));
        all.into_iter().map(|(from, to)| format!("{from}>{to}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_the_kernel_adds_or_writes_otherwise_is_no_difference() {
        for (declared, options, fs_options) in [
            ("", "rw,relatime", "rw,seclabel,inode64"),
            ("rw,size=1m,mode=0755", "rw,relatime", "rw,size=1024k,mode=755"),
            ("noatime", "rw,noatime", "rw"),
            ("strictatime", "rw", "rw"),
            ("user", "rw,nosuid,nodev,noexec,relatime", "rw"),
            ("user,exec", "rw,nosuid,nodev,relatime", "rw"),
            ("nofail,x-systemd.automount,x-gvfs-show,_netdev,comment=a,noauto,loop", "rw,relatime", "rw"),
            ("uid=0,utf8", "rw,relatime", "rw,utf8"),
            ("ro", "rw,relatime", "ro"),
            ("bind", "rw,nosuid,nodev,relatime", "ro"),
            ("bind,ro", "ro,nosuid,relatime", "rw"),
            ("suid,nosuid", "rw,nosuid", "rw"),
            ("", "rw,noatime", "rw"),
        ] {
            assert_eq!(lacking(declared, options, fs_options), "", "{declared} {options} {fs_options}");
        }
    }

    #[test]
    fn what_is_otherwise_is_named() {
        for (declared, options, fs_options, differences) in [
            ("ro", "rw,relatime", "rw", "rw>ro"),
            ("", "ro,relatime", "rw", "ro>rw"),
            ("rw", "rw,relatime", "ro", "ro>rw"),
            ("", "rw,nosuid,noexec", "rw", "nosuid>suid noexec>exec"),
            ("noatime", "rw,relatime", "rw", "relatime>noatime"),
            ("relatime", "rw", "rw", "strictatime>relatime"),
            ("size=2m", "rw", "rw,size=1024k", "size=1024k>size=2m"),
            ("mode=0700", "rw", "rw,mode=755", "mode=755>mode=0700"),
            ("nodiscard", "rw", "rw,discard", "discard>nodiscard"),
            ("acl", "rw", "rw,noacl", "noacl>acl"),
            ("bind,ro", "rw", "rw", "rw>ro"),
            ("bind,rw", "ro", "rw", "ro>rw"),
        ] {
            assert_eq!(lacking(declared, options, fs_options), differences, "{declared} {options} {fs_options}");
        }
    }

    #[test]
    fn a_remount_sets_every_switch() {
        let words = Switches::of(&split("noexec,noatime")).words();
        assert_eq!(words, ["rw", "suid", "dev", "noexec", "diratime", "noatime"]);
        assert_eq!(Switches::of(&[]).words(), ["rw", "suid", "dev", "exec", "diratime"]);
    }
}
