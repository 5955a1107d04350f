//! Names of users and groups, and the numbers that the kernel uses for them.

use std::ffi::OsStr;
use std::fs;

use uzers::os::unix::GroupExt;

use super::if_simulated;

/// Why a user or a group is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// No user has this name.
    #[error("there is no user `{0}` on this machine")]
    NoUser(String),
    /// No group has this name.
    #[error("there is no group `{0}` on this machine")]
    NoGroup(String),
    /// A number that can't be that of a user or group: it has more than 32 bits, or means *unchanged*.
    #[error("`{0}` is not the number of a user or a group: 0 to 4294967294 are")]
    NotAnId(String),
}

/// Whether this process is root.
pub fn is_root() -> bool {
    if_simulated!(_host => true);
    rustix::process::geteuid().is_root()
}

/// The number of the user that this process runs as (the effective one).
pub fn us() -> u32 {
    if_simulated!(_host => 0);
    rustix::process::geteuid().as_raw()
}

/// The home directory of the user that this process runs as, if the system knows one.
#[cfg(feature = "dbus")]
pub fn our_home() -> Option<std::path::PathBuf> {
    use uzers::os::unix::UserExt as _;

    if_simulated!(_host => Some("/root".into()));
    Some(uzers::get_user_by_uid(us())?.home_dir().to_owned())
}

/// Whether this process is in the group `gid`.
pub fn is_in_group(gid: u32) -> bool {
    if_simulated!(_host => gid == 0);
    rustix::process::getegid().as_raw() == gid
        || rustix::process::getgroups().is_ok_and(|groups| groups.iter().any(|group| group.as_raw() == gid))
}

/// The number of a user, given by name or as a decimal number. Digits alone are looked up as a name first.
///
/// Blocks: the system may ask the network.
pub fn uid_of(user: &str) -> Result<u32, UserError> {
    uid_by_name(user)
        .map_or_else(|| number(user), |uid| Ok(Some(uid)))?
        .ok_or_else(|| UserError::NoUser(user.to_owned()))
}

/// The number of a group, given by name or as a decimal number. Digits alone are looked up as a name first.
///
/// Blocks: the system may ask the network.
pub fn gid_of(group: &str) -> Result<u32, UserError> {
    gid_by_name(group)
        .map_or_else(|| number(group), |gid| Ok(Some(gid)))?
        .ok_or_else(|| UserError::NoGroup(group.to_owned()))
}

fn uid_by_name(name: &str) -> Option<u32> {
    if_simulated!(host => host.uid(name));
    valid(name).and_then(uzers::get_user_by_name).map(|user| user.uid())
}

fn gid_by_name(name: &str) -> Option<u32> {
    if_simulated!(host => host.gid(name));
    valid(name).and_then(uzers::get_group_by_name).map(|group| group.gid())
}

/// The name of a user, or the number as text if no user has it.
pub fn user_name(uid: u32) -> String {
    if_simulated!(host => host.user_name(uid));
    uzers::get_user_by_uid(uid).map_or_else(|| uid.to_string(), |user| user.name().to_string_lossy().into_owned())
}

/// The name of a group, or the number as text if no group has it.
pub fn group_name(gid: u32) -> String {
    if_simulated!(host => host.group_name(gid));
    uzers::get_group_by_gid(gid).map_or_else(|| gid.to_string(), |group| group.name().to_string_lossy().into_owned())
}

/// Whether a group has a member other than root and the user of this process.
///
/// Blocks: the system may ask the network. Users that have it as their first group count only if `/etc/passwd` lists
/// them.
pub fn group_has_others(gid: u32) -> bool {
    if_simulated!(_host => gid != 0);
    let us = us();
    let is_other = |uid: u32| ![0, us].contains(&uid);
    let listed = uzers::get_group_by_gid(gid);
    let listed = listed.as_ref().map(GroupExt::members).unwrap_or_default();
    listed.iter().any(|name| uzers::get_user_by_name(name).is_some_and(|user| is_other(user.uid())))
        || has_first_group(&fs::read_to_string("/etc/passwd").unwrap_or_default(), gid, is_other)
}

/// Whether a line of `/etc/passwd` has this first group, and a user number for which `is_other` is true.
fn has_first_group(passwd: &str, gid: u32, is_other: impl Fn(u32) -> bool) -> bool {
    passwd.lines().any(|line| {
        let mut ids = line.split(':').skip(2).map(str::parse::<u32>);
        matches!((ids.next(), ids.next()), (Some(Ok(uid)), Some(Ok(first))) if first == gid && is_other(uid))
    })
}

/// Whether this number stands for all users that the user namespace of this process lacks, among them the system's own
/// root.
pub fn is_unmapped(uid: u32) -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let has_all = map.split_whitespace().eq(["0", "0", "4294967295"]);
    let stand_in = fs::read_to_string("/proc/sys/kernel/overflowuid").ok().and_then(|text| text.trim().parse().ok());
    !has_all && stand_in == Some(uid)
}

/// The name, if the system can be asked for it: it is not empty, and has no NUL.
fn valid(name: &str) -> Option<&OsStr> {
    (!name.is_empty() && !name.contains('\0')).then(|| OsStr::new(name))
}

/// The longest name of an account, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// What is wrong with the text on any machine: it can be neither the name nor the number of an account.
pub fn problem(text: &str) -> Option<&'static str> {
    match text {
        "" => Some("is empty"),
        text if text.len() > NAME_BYTES_MAX => Some("is longer than the name of any account (256 bytes)"),
        text if text.contains('\0') => Some("holds a NUL byte, which no name can hold"),
        text if text.starts_with('-') || text.contains([':', '\n']) => {
            Some("is neither the name nor the number of an account")
        }
        text if number(text).is_err() => Some("is too large for the number of a user or a group"),
        _ => None,
    }
}

fn number(text: &str) -> Result<Option<u32>, UserError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        // For the kernel, this number means "leave it as it is".
        Ok(u32::MAX) | Err(_) => Err(UserError::NotAnId(text.to_owned())),
        Ok(id) => Ok(Some(id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_by_name_and_by_number_both_ways() {
        assert_eq!(uid_of("root"), Ok(0));
        assert_eq!(gid_of("root"), Ok(0));
        assert_eq!(user_name(0), "root");
        assert_eq!(group_name(0), "root");
    }

    #[test]
    fn a_group_has_the_users_whose_first_group_it_is() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:100::/:/bin/sh\nbob:x:1001:200::/:/bin/sh\nbroken\n";
        let but = |us: u32| move |uid: u32| uid != us;
        assert!(has_first_group(passwd, 100, but(1001)) && has_first_group(passwd, 200, but(1000)));
        assert!(!has_first_group(passwd, 100, but(1000)) && !has_first_group(passwd, 300, but(1000)));
    }

    #[test]
    fn numbers_need_no_name() {
        assert_eq!(uid_of("3999999999"), Ok(3_999_999_999));
        assert_eq!(gid_of("3999999999"), Ok(3_999_999_999));
        assert_eq!(user_name(3_999_999_999), "3999999999");
        assert_eq!(group_name(3_999_999_999), "3999999999");
    }

    #[test]
    fn unknown_names_are_named_in_the_error() {
        assert_eq!(uid_of("no such").unwrap_err().to_string(), "there is no user `no such` on this machine");
        assert_eq!(gid_of("nobodies").unwrap_err().to_string(), "there is no group `nobodies` on this machine");
        assert_eq!(uid_of(""), Err(UserError::NoUser(String::new())));
        assert_eq!(uid_of("ro\0ot"), Err(UserError::NoUser("ro\0ot".to_owned())));
        assert_eq!(uid_of("-1"), Err(UserError::NoUser("-1".to_owned())));
        for wrong in ["4294967295", "4294967296", "99999999999999999999"] {
            assert_eq!(uid_of(wrong), Err(UserError::NotAnId(wrong.to_owned())));
            assert_eq!(gid_of(wrong), Err(UserError::NotAnId(wrong.to_owned())));
        }
    }
}
