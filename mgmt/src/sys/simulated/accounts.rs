//! The users and groups of a simulated host.

use std::collections::BTreeMap;

use super::host::Host;

/// The users and groups that a fresh Debian system has, and that are used most.
const USUAL: [(&str, u32); 9] = [
    ("root", 0),
    ("daemon", 1),
    ("bin", 2),
    ("sys", 3),
    ("mail", 8),
    ("proxy", 13),
    ("www-data", 33),
    ("backup", 34),
    ("nobody", 65534),
];
const USUAL_GROUPS: [(&str, u32); 4] = [("adm", 4), ("tty", 5), ("staff", 50), ("nogroup", 65534)];

#[derive(Clone, Debug)]
pub(super) struct Accounts {
    users: BTreeMap<String, (u32, u32)>,
    groups: BTreeMap<String, u32>,
}

impl Default for Accounts {
    fn default() -> Accounts {
        let users = USUAL.map(|(name, id)| (name.to_owned(), (id, id))).into();
        let groups = USUAL.iter().filter(|(name, _)| *name != "nobody").chain(&USUAL_GROUPS);
        Accounts { users, groups: groups.map(|(name, id)| ((*name).to_owned(), *id)).collect() }
    }
}

impl Host {
    /// Adds a user with this number, and a group with the same name and number.
    pub fn add_user(&self, name: &str, uid: u32) {
        self.accounts().users.insert(name.to_owned(), (uid, uid));
        self.add_group(name, uid);
    }

    /// Adds a group with this number.
    pub fn add_group(&self, name: &str, gid: u32) {
        self.accounts().groups.insert(name.to_owned(), gid);
    }

    /// Removes a user, and the group with its name.
    pub fn remove_user(&self, name: &str) {
        let mut accounts = self.accounts();
        accounts.users.remove(name);
        accounts.groups.remove(name);
    }

    pub(in crate::sys) fn uid(&self, name: &str) -> Option<u32> {
        self.accounts().users.get(name).map(|(uid, _)| *uid)
    }

    pub(in crate::sys) fn gid(&self, name: &str) -> Option<u32> {
        self.accounts().groups.get(name).copied()
    }

    /// The name of a user, or its number.
    pub(in crate::sys) fn user_name(&self, uid: u32) -> String {
        let accounts = self.accounts();
        let named = accounts.users.iter().find(|(_, (id, _))| *id == uid);
        named.map_or_else(|| uid.to_string(), |(name, _)| name.clone())
    }

    /// The name of a group, or its number.
    pub(in crate::sys) fn group_name(&self, gid: u32) -> String {
        let accounts = self.accounts();
        let named = accounts.groups.iter().find(|(_, id)| **id == gid);
        named.map_or_else(|| gid.to_string(), |(name, _)| name.clone())
    }
}
