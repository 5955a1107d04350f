//! The differences between a user as it is and as it must be, field by field.

use crate::resource::Change;
use crate::resources::account::expiry;
use crate::resources::account::state::AccountState;
use crate::resources::account::user_wanted::{Main, Seen, Wanted};
use crate::sys::account_files::{ShadowLine, UserLine};

const NONE: &str = "none";

/// The hash of a password, without what locks it.
pub(super) fn hash_of(field: &str) -> &str {
    field.trim_start_matches('!')
}

fn list(names: &[String]) -> String {
    if names.is_empty() { NONE.to_owned() } else { names.join(", ") }
}

fn locked(is_locked: bool) -> &'static str {
    if is_locked { "locked" } else { "not locked" }
}

impl Wanted {
    /// What must change.
    pub(super) fn changes(&self, seen: &Seen) -> Vec<Change> {
        match (self.state, &seen.user) {
            (AccountState::Absent, None) => Vec::new(),
            (AccountState::Absent, Some(user)) => {
                let home = (self.removehome && seen.has_home).then(|| Change::new("home", &user.home, "removed"));
                [Change::new("state", "exists", "absent")].into_iter().chain(home).collect()
            }
            (AccountState::Exists, None) => self.changes_of_new(),
            (AccountState::Exists, Some(user)) => {
                let mut changes = self.changes_of(user, seen);
                if self.wants_shadow() {
                    changes.extend(self.changes_of_shadow(seen.shadow.as_ref()));
                }
                changes.extend(self.change_of_home(user, seen));
                changes
            }
        }
    }

    fn changes_of_new(&self) -> Vec<Change> {
        let field = |field: &str, value: Option<String>| value.map(|value| Change::new(field, NONE, value));
        let all = [
            Some(Change::new("state", "absent", "exists")),
            field("uid", self.uid.map(|uid| uid.to_string())),
            self.main.as_ref().map(|main| Change::new(main.field(), NONE, main.shown())),
            field("groups", self.groups.as_deref().map(list)),
            field("homedir", self.homedir.clone()),
            field("shell", self.shell.clone()),
            field("comment", self.comment.clone()),
            self.password.as_ref().map(|_| Change::secret("password")),
            field("locked", self.locked.map(|is_locked| locked(is_locked).to_owned())),
            field("expires", self.expires.map(expiry::shown)),
        ];
        all.into_iter().flatten().collect()
    }

    /// The groups that the user must get or lose.
    pub(super) fn wrong_groups(&self, seen: &Seen) -> bool {
        self.groups.as_ref().is_some_and(|wanted| match self.appendgroups {
            true => wanted.iter().any(|group| !seen.groups.contains(group)),
            false => *wanted != seen.groups,
        })
    }

    /// Whether the main group has vanished, or was never made because the tool that made the user was killed.
    pub(super) fn lacks_own_group(&self, seen: &Seen) -> bool {
        self.main.is_none() && seen.main.is_none()
    }

    fn changes_of(&self, user: &UserLine, seen: &Seen) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut differ = |field: &str, now: &str, wanted: Option<&str>| {
            changes.extend(wanted.filter(|wanted| *wanted != now).map(|wanted| Change::new(field, now, wanted)));
        };
        differ("uid", &user.uid.to_string(), self.uid.map(|uid| uid.to_string()).as_deref());
        if let Some(main) = self.main.as_ref().filter(|_| seen.wanted_gid != Some(user.gid)) {
            let now = match main {
                Main::Name(_) => seen.main.clone().unwrap_or_else(|| user.gid.to_string()),
                Main::Gid(_) => user.gid.to_string(),
            };
            // The names may be the same if a group of another source has it too.
            let now = if now == main.shown() { user.gid.to_string() } else { now };
            differ(main.field(), &now, Some(&main.shown()));
        }
        if self.lacks_own_group(seen) {
            differ("group", &format!("{}, which no group has", user.gid), Some(&self.name));
        }
        if let Some(groups) = self.groups.as_ref().filter(|_| self.wrong_groups(seen)) {
            let more = seen.groups.iter().filter(|_| self.appendgroups);
            let mut after: Vec<String> = groups.iter().chain(more).cloned().collect();
            after.sort();
            after.dedup();
            differ("groups", &list(&seen.groups), Some(&list(&after)));
        }
        differ("homedir", &user.home, self.homedir.as_deref());
        differ("shell", &user.shell, self.shell.as_deref());
        differ("comment", &user.comment, self.comment.as_deref());
        changes
    }

    fn changes_of_shadow(&self, shadow: Option<&ShadowLine>) -> Vec<Change> {
        let Some(shadow) = shadow else {
            return vec![Change::new("password", "no line in /etc/shadow", "a line")];
        };
        let mut changes = Vec::new();
        let field = shadow.password.as_str();
        if self.password.as_deref().is_some_and(|hash| hash != hash_of(field)) {
            changes.push(Change::secret("password"));
        }
        let is_locked = field.starts_with('!');
        if let Some(wanted) = self.locked.filter(|wanted| *wanted != is_locked) {
            changes.push(Change::new("locked", locked(is_locked), locked(wanted)));
        }
        if let Some(wanted) = self.expires.filter(|wanted| *wanted != shadow.expires) {
            changes.push(Change::new("expires", expiry::shown(shadow.expires), expiry::shown(wanted)));
        }
        changes
    }

    /// Whether the content of the home directory must be moved.
    pub(super) fn moves_home(&self, user: &UserLine, seen: &Seen) -> bool {
        self.movehome && seen.has_home && self.homedir.as_ref().is_some_and(|home| *home != user.home)
    }

    fn change_of_home(&self, user: &UserLine, seen: &Seen) -> Option<Change> {
        if self.moves_home(user, seen) {
            return Some(Change::new("home", &user.home, "moved"));
        }
        (self.createhome && !seen.has_wanted_home).then(|| Change::new("home", "missing", "made"))
    }
}

impl Main {
    pub(super) fn field(&self) -> &'static str {
        match self {
            Main::Name(_) => "group",
            Main::Gid(_) => "gid",
        }
    }

    pub(super) fn shown(&self) -> String {
        match self {
            Main::Name(name) => name.clone(),
            Main::Gid(gid) => gid.to_string(),
        }
    }
}
