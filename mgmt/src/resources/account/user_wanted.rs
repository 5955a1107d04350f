//! A user as it must be, and as it is.

use crate::resource::Result;
use crate::resources::account::files::AccountFiles;
use crate::resources::account::state::AccountState;
use crate::sys::account_files::{GroupLine, ShadowLine, UserLine};
use crate::sys::fs::ReadFs;
use crate::sys::users;

/// A main group as it was declared.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Main {
    Name(String),
    Gid(u32),
}

/// A user as it must be. `None`: anything is right.
#[derive(Clone, Default)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) state: AccountState,
    pub(super) uid: Option<u32>,
    pub(super) main: Option<Main>,
    /// Sorted, each once.
    pub(super) groups: Option<Vec<String>>,
    pub(super) appendgroups: bool,
    pub(super) homedir: Option<String>,
    pub(super) createhome: bool,
    pub(super) movehome: bool,
    pub(super) removehome: bool,
    pub(super) shell: Option<String>,
    pub(super) comment: Option<String>,
    pub(super) system: bool,
    pub(super) allowduplicateuid: bool,
    /// The hash, without a `!` in front.
    pub(super) password: Option<String>,
    pub(super) locked: Option<bool>,
    /// The inner `None`: never.
    pub(super) expires: Option<Option<u32>>,
}

/// A user as it is, and what is around it.
pub(super) struct Seen {
    pub(super) user: Option<UserLine>,
    /// Its passwords and their validity; `None` also if nothing of that was asked for.
    pub(super) shadow: Option<ShadowLine>,
    /// The name of its main group; `None`: no group has that number.
    pub(super) main: Option<String>,
    /// Its supplementary groups, sorted.
    pub(super) groups: Vec<String>,
    /// The number of the main group that it must have; `None`: none is declared, or there is no such group.
    pub(super) wanted_gid: Option<u32>,
    /// The group with the name of the user.
    pub(super) own_group: Option<GroupLine>,
    /// Whether something is at its home directory.
    pub(super) has_home: bool,
    /// Whether something is at the home directory that it must have.
    pub(super) has_wanted_home: bool,
}

impl Wanted {
    /// Whether a field must be read that only root can read.
    pub(super) fn wants_shadow(&self) -> bool {
        self.state == AccountState::Exists
            && (self.password.is_some() || self.locked.is_some() || self.expires.is_some())
    }

    /// The home directory that the user will have, if it has this one now.
    pub(super) fn home<'a>(&'a self, user: Option<&'a UserLine>) -> Option<&'a str> {
        self.homedir.as_deref().or(user.map(|user| user.home.as_str()))
    }

    /// Looks at the user.
    pub(super) fn look(&self, fs: &ReadFs, files: &AccountFiles, with_shadow: bool) -> Result<Seen> {
        let (all_users, all_groups) = (files.users(fs)?, files.groups(fs)?);
        let user = all_users.get(&self.name).cloned();
        let shadow = match user.is_some() && with_shadow {
            true => files.shadows(fs)?.get(&self.name).cloned(),
            false => None,
        };
        let group_named = |gid: u32| match all_groups.with_id(gid).next() {
            Some(group) => Some(group.name.clone()),
            // A group of another source.
            None => Some(users::group_name(gid)).filter(|name| *name != gid.to_string()),
        };
        let wanted_gid = match &self.main {
            None => None,
            Some(Main::Name(name)) => all_groups.get(name).map(|group| group.gid).or_else(|| users::gid_of(name).ok()),
            Some(Main::Gid(gid)) => Some(*gid).filter(|gid| group_named(*gid).is_some()),
        };
        let is_member = |group: &&GroupLine| user.is_some() && group.members.contains(&self.name);
        let mut groups: Vec<String> = all_groups.iter().filter(is_member).map(|group| group.name.clone()).collect();
        groups.sort();
        groups.dedup();
        let is_there = |path: &str| Ok::<_, crate::resource::Error>(path.starts_with('/') && fs.stat(path)?.is_some());
        // Other home directories may be where nothing can be looked at.
        let looks_at_home = self.createhome || self.movehome || self.removehome;
        let has_home = match &user {
            Some(user) if looks_at_home => is_there(&user.home)?,
            _ => false,
        };
        let default_home = format!("/home/{}", self.name);
        let has_wanted_home = looks_at_home && is_there(self.home(user.as_ref()).unwrap_or(&default_home))?;
        Ok(Seen {
            main: user.as_ref().and_then(|user| group_named(user.gid)),
            shadow,
            groups,
            wanted_gid,
            own_group: all_groups.get(&self.name).cloned(),
            has_home,
            has_wanted_home,
            user,
        })
    }
}
