//! The user and the groups that a command runs with.

use std::ffi::OsString;
use std::fmt;

use uzers::os::unix::UserExt as _;

use super::command::Command;
use super::error::ProcessError;
use crate::sys::users;

/// A user or a group, by name or by number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// By number; an account with this number need not exist.
    Id(u32),
    /// By name. A name of digits that no account has is taken as a number.
    Name(String),
}

impl From<&str> for Account {
    /// Digits are a number, unless an account has that name.
    fn from(text: &str) -> Account {
        Account::Name(text.to_owned())
    }
}

impl From<String> for Account {
    /// Digits are a number, unless an account has that name.
    fn from(text: String) -> Account {
        Account::from(text.as_str())
    }
}

impl From<u32> for Account {
    fn from(id: u32) -> Account {
        Account::Id(id)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::Id(id) => id.fmt(f),
            Account::Name(name) => write!(f, "`{}`", name.escape_debug()),
        }
    }
}

/// The user and the groups of a process, as the kernel takes them.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Supplementary groups, sorted, without `gid`.
    pub(super) groups: Vec<u32>,
    /// `HOME`, `USER`, `LOGNAME` and `SHELL` of the user, if one was asked for and has an account.
    pub(super) vars: Vec<(&'static str, OsString)>,
}

/// The identity to run the command with; `None`: that of this process. Asks the system's user database, which may be
/// slow: call it where blocking is allowed.
pub(super) fn identify(command: &Command) -> Result<Option<Identity>, ProcessError> {
    let fail = |who: String, why: &str| ProcessError::Account { program: command.shown(), who, why: why.to_owned() };
    let gid = match &command.group {
        None => None,
        Some(Account::Id(id)) => Some(*id),
        Some(Account::Name(name)) => match users::gid_of(name) {
            Ok(gid) => Some(gid),
            Err(_) => return Err(fail(format!("group `{}`", name.escape_debug()), "there is no such group")),
        },
    };
    let Some(account) = &command.user else {
        // Only the group changes. The supplementary groups of this process were not asked for, so the command gets
        // none.
        let uid = rustix::process::geteuid().as_raw();
        return Ok(gid.map(|gid| Identity { uid, gid, groups: Vec::new(), vars: Vec::new() }));
    };
    let uid = match account {
        Account::Id(id) => *id,
        Account::Name(name) => match users::uid_of(name) {
            Ok(uid) => uid,
            Err(_) => return Err(fail(format!("user {account}"), "there is no such user")),
        },
    };
    let Some(user) = uzers::get_user_by_uid(uid) else {
        return match gid {
            Some(gid) => Ok(Some(Identity { uid, gid, groups: Vec::new(), vars: Vec::new() })),
            None => Err(fail(format!("user {uid}"), "it has no account, so give a group too")),
        };
    };
    let gid = gid.unwrap_or(user.primary_group_id());
    let us = (rustix::process::geteuid(), rustix::process::getegid());
    if !us.0.is_root() && (us.0.as_raw(), us.1.as_raw()) == (user.uid(), gid) {
        // This is our own identity, and without root we could not even set it to the same values.
        return Ok(None);
    }
    let listed = uzers::get_user_groups(user.name(), user.primary_group_id()).unwrap_or_default();
    let mut groups: Vec<u32> = listed.iter().map(uzers::Group::gid).filter(|g| *g != gid).collect();
    groups.sort_unstable();
    groups.dedup();
    let name = user.name().to_owned();
    let vars = vec![
        ("HOME", user.home_dir().as_os_str().to_owned()),
        ("USER", name.clone()),
        ("LOGNAME", name),
        ("SHELL", user.shell().as_os_str().to_owned()),
    ];
    Ok(Some(Identity { uid: user.uid(), gid, groups, vars }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_decimal_number_unless_an_account_has_that_name() {
        let uid = |user: &str| identify(&Command::new("true").user(user).group(7)).unwrap().map(|found| found.uid);
        assert_eq!(uid("4000000001"), Some(4_000_000_001));
        assert_eq!(uid("0010"), uid("10"), "not octal");
        assert_eq!(uid("root"), Some(0));
        for wrong in ["4294967295", "4294967296", "-1", "0x10"] {
            assert!(identify(&Command::new("true").user(wrong).group(7)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_does_not_exist_is_named() {
        let said = |command: Command| identify(&command).unwrap_err().to_string();
        let base = || Command::new("true");
        assert_eq!(said(base().user("no-such")), "cannot run `true` as user `no-such`: there is no such user");
        assert_eq!(said(base().group("no-such")), "cannot run `true` as group `no-such`: there is no such group");
        assert_eq!(
            said(base().user(4_000_000_001)),
            "cannot run `true` as user 4000000001: it has no account, so give a group too"
        );
        assert!(said(base().user("a\0b")).contains("no such user"));
    }

    #[test]
    fn a_user_brings_its_group_and_its_variables() {
        let root = identify(&Command::new("true").user("root")).unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.vars.contains(&("USER", "root".into())));
        assert!(!root.groups.contains(&0), "the primary group is not listed again");
        assert!(identify(&Command::new("true")).unwrap().is_none());
    }
}
