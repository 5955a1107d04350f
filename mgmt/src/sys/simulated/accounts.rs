//! The users and groups of a simulated host: they are in its files, as on a real one.

use std::collections::HashMap;
use std::fmt::Display;

use super::host::Host;
use crate::sys::account_files::{GROUP, GroupLine, PASSWD, SHADOW, ShadowLine, UserLine};

/// The users and groups that a fresh Debian system has, and that are used most, with their home directories.
const USUAL: [(&str, u32, &str); 9] = [
    ("root", 0, "/root"),
    ("daemon", 1, "/usr/sbin"),
    ("bin", 2, "/bin"),
    ("sys", 3, "/dev"),
    ("mail", 8, "/var/mail"),
    ("proxy", 13, "/bin"),
    ("www-data", 33, "/var/www"),
    ("backup", 34, "/var/backups"),
    ("nobody", 65534, "/nonexistent"),
];
const USUAL_GROUPS: [(&str, u32); 5] = [("adm", 4), ("tty", 5), ("shadow", 42), ("staff", 50), ("nogroup", 65534)];
/// When all passwords were last changed, in days since 1970: the state of a host must not depend on the day.
pub(super) const CHANGED: &str = "20000";

/// The lines of a file of accounts.
pub(super) struct Lines<T>(pub(super) Vec<T>);

impl<T: Display> Lines<T> {
    pub(super) fn write(&self, host: &Host, path: &str) {
        host.write(path, self.0.iter().map(|line| format!("{line}\n")).collect::<String>());
    }
}

/// The names of accounts by number.
pub(super) struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Names {
    /// The name of a user, or its number.
    pub(super) fn user(&self, uid: u32) -> String {
        self.users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    /// The name of a group, or its number.
    pub(super) fn group(&self, gid: u32) -> String {
        self.groups.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
    }
}

/// A line of a user without a password, in both files.
pub(super) fn new_user(name: &str, uid: u32, gid: u32) -> (UserLine, ShadowLine) {
    let user = UserLine {
        name: name.to_owned(),
        password: "x".to_owned(),
        uid,
        gid,
        comment: String::new(),
        home: format!("/home/{name}"),
        shell: "/bin/sh".to_owned(),
    };
    (user, new_shadow(name))
}

pub(super) fn new_shadow(name: &str) -> ShadowLine {
    let ages = [CHANGED, "0", "99999", "7", ""].map(str::to_owned);
    ShadowLine { name: name.to_owned(), password: "!".to_owned(), ages, expires: None }
}

pub(super) fn new_group(name: &str, gid: u32) -> GroupLine {
    GroupLine { name: name.to_owned(), password: "x".to_owned(), gid, members: Vec::new() }
}

impl Host {
    pub(super) fn add_usual_accounts(&self) {
        let users = USUAL.map(|(name, id, home)| {
            let (mut user, mut shadow) = new_user(name, id, id);
            user.home = home.to_owned();
            shadow.password = "*".to_owned();
            (user, shadow)
        });
        let (users, shadows) = users.into_iter().unzip();
        let of_users = USUAL.iter().filter(|(name, ..)| *name != "nobody").map(|(name, id, _)| (*name, *id));
        let groups = of_users.chain(USUAL_GROUPS).map(|(name, id)| new_group(name, id)).collect();
        Lines::<UserLine>(users).write(self, PASSWD);
        Lines::<ShadowLine>(shadows).write(self, SHADOW);
        Lines::<GroupLine>(groups).write(self, GROUP);
        self.chmod(SHADOW, 0o640);
        self.chown(SHADOW, "root", "shadow");
    }

    /// The users, as `/etc/passwd` has them.
    pub(super) fn users(&self) -> Lines<UserLine> {
        Lines(self.read(PASSWD).unwrap_or_default().lines().filter_map(UserLine::parse).collect())
    }

    /// The groups, as `/etc/group` has them.
    pub(super) fn groups(&self) -> Lines<GroupLine> {
        Lines(self.read(GROUP).unwrap_or_default().lines().filter_map(GroupLine::parse).collect())
    }

    /// The passwords, as `/etc/shadow` has them.
    pub(super) fn shadows(&self) -> Lines<ShadowLine> {
        Lines(self.read(SHADOW).unwrap_or_default().lines().filter_map(ShadowLine::parse).collect())
    }

    /// Adds a user with this number, and a group with the same name and number. Those that are there are replaced.
    pub fn add_user(&self, name: &str, uid: u32) {
        let (mut users, mut shadows) = (self.users(), self.shadows());
        users.0.retain(|user| user.name != name);
        shadows.0.retain(|shadow| shadow.name != name);
        let (user, shadow) = new_user(name, uid, uid);
        users.0.push(user);
        shadows.0.push(shadow);
        users.write(self, PASSWD);
        shadows.write(self, SHADOW);
        self.add_group(name, uid);
    }

    /// Adds a group with this number. One that is there is replaced.
    pub fn add_group(&self, name: &str, gid: u32) {
        let mut groups = self.groups();
        groups.0.retain(|group| group.name != name);
        groups.0.push(new_group(name, gid));
        groups.write(self, GROUP);
    }

    /// Removes a user, and the group with its name.
    pub fn remove_user(&self, name: &str) {
        let (mut users, mut shadows, mut groups) = (self.users(), self.shadows(), self.groups());
        users.0.retain(|user| user.name != name);
        shadows.0.retain(|shadow| shadow.name != name);
        groups.0.retain(|group| group.name != name);
        users.write(self, PASSWD);
        shadows.write(self, SHADOW);
        groups.write(self, GROUP);
    }

    pub(in crate::sys) fn uid(&self, name: &str) -> Option<u32> {
        self.users().0.iter().find(|user| user.name == name).map(|user| user.uid)
    }

    pub(in crate::sys) fn gid(&self, name: &str) -> Option<u32> {
        self.groups().0.iter().find(|group| group.name == name).map(|group| group.gid)
    }

    pub(super) fn names(&self) -> Names {
        let users = self.users().0.into_iter().rev().map(|user| (user.uid, user.name)).collect();
        Names { users, groups: self.groups().0.into_iter().rev().map(|group| (group.gid, group.name)).collect() }
    }

    /// The name of a user, or its number.
    pub(in crate::sys) fn user_name(&self, uid: u32) -> String {
        self.names().user(uid)
    }

    /// The name of a group, or its number.
    pub(in crate::sys) fn group_name(&self, gid: u32) -> String {
        self.names().group(gid)
    }
}
