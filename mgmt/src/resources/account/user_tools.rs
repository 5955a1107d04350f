//! The tools that repair a user, in order, and what is in their way.

use crate::resource::{Error, Obstacle, ObstacleKind, Result};
use crate::resources::account::expiry;
use crate::resources::account::files::{Lines, missing, taken};
use crate::resources::account::state::AccountState;
use crate::resources::account::tools::Tool;
use crate::resources::account::user_changes::hash_of;
use crate::resources::account::user_wanted::{Main, Seen, Wanted};
use crate::sys::account_files::{GROUP, GroupLine, PASSWD, SHADOW, UserLine};
use crate::sys::users;

impl Wanted {
    /// The tools to run; none: nothing must be repaired.
    ///
    /// # Errors
    /// Something is in the way, or missing.
    pub(super) fn tools(
        &self,
        seen: &Seen,
        all_users: &Lines<UserLine>,
        all_groups: &Lines<GroupLine>,
    ) -> Result<Vec<Tool>> {
        if self.changes(seen).is_empty() {
            return Ok(Vec::new());
        }
        if self.state == AccountState::Absent {
            return Ok(vec![Tool::new("userdel").flag("--remove", self.removehome).arg(&self.name)]);
        }
        self.number_is_free(all_users)?;
        self.groups_exist(seen, all_groups)?;
        match &seen.user {
            None => self.tools_for_new(seen),
            Some(user) => self.tools_for(user, seen),
        }
    }

    fn number_is_free(&self, all_users: &Lines<UserLine>) -> Result<()> {
        let Some(uid) = self.uid.filter(|_| !self.allowduplicateuid) else { return Ok(()) };
        match all_users.with_id(uid).find(|other| other.name != self.name) {
            None => Ok(()),
            Some(other) => {
                let why = format!(
                    "the uid {uid} is that of the user `{}`: give another `uid`, or set `allowduplicateuid`",
                    other.name
                );
                Err(Error::new(why).waiting_for(taken(PASSWD)))
            }
        }
    }

    fn groups_exist(&self, seen: &Seen, all_groups: &Lines<GroupLine>) -> Result<()> {
        let unknown = |name: &str| {
            let why = format!("the group `{name}` does not exist: declare it too, as group[{name}]");
            Err(Error::new(why).waiting_for(missing(GROUP)))
        };
        match &self.main {
            Some(Main::Name(name)) if seen.wanted_gid.is_none() => return unknown(name),
            Some(Main::Gid(gid)) if seen.wanted_gid.is_none() => {
                let why = format!("no group has the gid {gid}: declare one with that `gid`");
                return Err(Error::new(why).waiting_for(missing(GROUP)));
            }
            _ => {}
        }
        match self.groups.iter().flatten().find(|name| all_groups.get(name).is_none()) {
            Some(name) => unknown(name),
            None => Ok(()),
        }
    }

    fn tools_for_new(&self, seen: &Seen) -> Result<Vec<Tool>> {
        if users::uid_of(&self.name).is_ok() {
            let why = format!(
                "the user `{}` is not in {PASSWD}, but comes from another source (`passwd` in /etc/nsswitch.conf): change it there",
                self.name
            );
            return Err(Error::new(why).waiting_for(taken(PASSWD)));
        }
        if self.locked == Some(false) && self.password.is_none() {
            return Err(self.nothing_to_unlock());
        }
        let groups = self.groups.as_ref().filter(|groups| !groups.is_empty()).map(|groups| groups.join(","));
        let expires = self.expires.flatten().map(|day| expiry::shown(Some(day)));
        let main = seen.wanted_gid.map(|gid| gid.to_string());
        let main = main.or_else(|| seen.own_group.as_ref().map(|group| group.gid.to_string()));
        let tool = Tool::new("useradd")
            .flag("--system", self.system)
            .option("--uid", self.uid)
            .flag("--non-unique", self.allowduplicateuid && self.uid.is_some())
            .flag("--user-group", main.is_none())
            .option("--gid", main)
            .option("--groups", groups)
            .option("--home-dir", self.homedir.as_ref())
            .arg(if self.createhome { "--create-home" } else { "--no-create-home" })
            .option("--shell", self.shell.as_ref())
            .option("--comment", self.comment.as_ref())
            .option("--expiredate", expires)
            .arg(&self.name);
        // A new user has no password, and is locked.
        Ok([tool].into_iter().chain(self.set_password("!")).collect())
    }

    fn tools_for(&self, user: &UserLine, seen: &Seen) -> Result<Vec<Tool>> {
        let mut tools = Vec::new();
        let lacks_shadow = self.wants_shadow() && seen.shadow.is_none();
        tools.extend(lacks_shadow.then(|| Tool::new("pwconv")));
        if self.lacks_own_group(seen) && seen.own_group.is_none() {
            tools.push(Tool::new("groupadd").option("--gid", Some(user.gid)).arg(&self.name));
        }
        // What `pwconv` puts into a new line.
        let (field, expires) = match &seen.shadow {
            Some(shadow) => (shadow.password.as_str(), shadow.expires),
            None => ("x", None),
        };
        let password = self.set_password(field);
        let tool = self.usermod(user, seen, field, expires, password.is_some())?;
        tools.extend((!tool.args.is_empty()).then(|| tool.arg(&self.name)));
        tools.extend(password);
        let makes_home = self.createhome && !seen.has_wanted_home && !self.moves_home(user, seen);
        tools.extend(makes_home.then(|| Tool::new("mkhomedir_helper").arg(&self.name)));
        Ok(tools)
    }

    fn usermod(
        &self,
        user: &UserLine,
        seen: &Seen,
        field: &str,
        expires: Option<u32>,
        sets_password: bool,
    ) -> Result<Tool> {
        let uid = self.uid.filter(|uid| *uid != user.uid);
        let own = seen.own_group.as_ref().filter(|_| self.lacks_own_group(seen)).map(|group| group.gid);
        let main = seen.wanted_gid.or(own).filter(|gid| *gid != user.gid);
        let groups = self.groups.as_ref().filter(|_| self.wrong_groups(seen)).map(|groups| groups.join(","));
        let differs = |wanted: &Option<String>, now: &str| wanted.clone().filter(|wanted| wanted != now);
        let moves = self.moves_home(user, seen);
        let home = differs(&self.homedir, &user.home);
        if let Some(home) = home.as_ref().filter(|_| moves && seen.has_wanted_home) {
            let why = format!(
                "the home of `{}` can't be moved to {home}, where something is already: move that away, or leave out `movehome`",
                self.name
            );
            return Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(home)));
        }
        let expires = self.expires.filter(|wanted| *wanted != expires);
        let expires = expires.map(|day| day.map(|day| expiry::shown(Some(day))).unwrap_or_default());
        let lock = self.locked.filter(|wanted| !sets_password && *wanted != field.starts_with('!'));
        if lock == Some(false) && hash_of(field).is_empty() {
            return Err(self.nothing_to_unlock());
        }
        Ok(Tool::new("usermod")
            .option("--uid", uid)
            .flag("--non-unique", uid.is_some() && self.allowduplicateuid)
            .option("--gid", main)
            .flag("--append", groups.is_some() && self.appendgroups)
            .option("--groups", groups)
            .option("--home", home)
            .flag("--move-home", moves)
            .option("--shell", differs(&self.shell, &user.shell))
            .option("--comment", differs(&self.comment, &user.comment))
            .option("--expiredate", expires)
            .flag("--lock", lock == Some(true))
            .flag("--unlock", lock == Some(false)))
    }

    /// The tool that sets the hash, if it is not the one in this field of `/etc/shadow`. The hash is not among its
    /// arguments, which all users could read.
    fn set_password(&self, field: &str) -> Option<Tool> {
        let hash = self.password.as_ref().filter(|hash| **hash != hash_of(field))?;
        // A password that was locked stays so, unless that is declared otherwise.
        let is_locked = self.locked.unwrap_or(field.starts_with('!') && !hash_of(field).is_empty());
        let lock = if is_locked { "!" } else { "" };
        let input = format!("{}:{lock}{hash}\n", self.name);
        Some(Tool { input: Some(input), ..Tool::new("chpasswd").arg("--encrypted") })
    }

    fn nothing_to_unlock(&self) -> Error {
        let why = format!("the user `{}` has no password to unlock: give `password`, or leave out `locked`", self.name);
        Error::new(why).waiting_for(missing(SHADOW))
    }
}
