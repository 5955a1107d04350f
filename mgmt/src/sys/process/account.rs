//! As whom a command runs.

use std::ffi::OsString;
use std::fmt;

use uzers::os::unix::UserExt as _;

use super::command::Command;
use super::error::ProcessError;

/// A user or a group, by name or by number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// By number; needs no entry in the system's files.
    Id(u32),
    /// By name.
    Name(String),
}

impl From<&str> for Account {
    /// Digits only are a number.
    fn from(text: &str) -> Account {
        text.parse().map_or_else(|_| Account::Name(text.to_owned()), Account::Id)
    }
}

impl From<String> for Account {
    /// Digits only are a number.
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

/// All that the kernel wants to know about who runs something.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Supplementary groups, sorted, without `gid`.
    pub(super) groups: Vec<u32>,
    /// `HOME`, `USER`, `LOGNAME` and `SHELL` of the user, if one was asked for and has an account.
    pub(super) vars: Vec<(&'static str, OsString)>,
}

/// As whom to run the command; `None`: as we are. Asks the system's user database, which may be slow: call it where blocking is allowed.
pub(super) fn identify(command: &Command) -> Result<Option<Identity>, ProcessError> {
    let fail = |who: String, why: &str| ProcessError::Account { program: command.shown(), who, why: why.to_owned() };
    let gid = match &command.group {
        None => None,
        Some(Account::Id(id)) => Some(*id),
        Some(Account::Name(name)) => match uzers::get_group_by_name(name) {
            Some(group) => Some(group.gid()),
            None => return Err(fail(format!("group `{}`", name.escape_debug()), "there is no such group")),
        },
    };
    let Some(account) = &command.user else {
        // Only the group changes. Supplementary groups are those of whoever we are, and not asked for: none.
        let uid = rustix::process::geteuid().as_raw();
        return Ok(gid.map(|gid| Identity { uid, gid, groups: Vec::new(), vars: Vec::new() }));
    };
    let user = match account {
        Account::Id(id) => uzers::get_user_by_uid(*id),
        Account::Name(name) => uzers::get_user_by_name(name),
    };
    let Some(user) = user else {
        return match (account, gid) {
            (Account::Id(uid), Some(gid)) => {
                Ok(Some(Identity { uid: *uid, gid, groups: Vec::new(), vars: Vec::new() }))
            }
            (Account::Id(id), None) => Err(fail(format!("user {id}"), "it has no account, so give a group too")),
            (Account::Name(_), _) => Err(fail(format!("user {account}"), "there is no such user")),
        };
    };
    let gid = gid.unwrap_or(user.primary_group_id());
    let us = (rustix::process::geteuid(), rustix::process::getegid());
    if !us.0.is_root() && (us.0.as_raw(), us.1.as_raw()) == (user.uid(), gid) {
        // That is who we are, and without root we could not even say so again.
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
    fn digits_are_a_number_and_everything_else_a_name() {
        assert_eq!(Account::from("0"), Account::Id(0));
        assert_eq!(Account::from("4294967295"), Account::Id(u32::MAX));
        assert_eq!(Account::from("4294967296"), Account::Name("4294967296".into()));
        assert_eq!(Account::from("root"), Account::Name("root".into()));
        assert_eq!(Account::from("-1"), Account::Name("-1".into()));
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
