//! The kind `user`.

use std::path::{Path, PathBuf};

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Drift, Error, FieldProblem, Group as GroupKey, Known, Need, Result, Secret,
    Uid, User as UserKey, Watch, WatchCx, every,
};
use crate::resources::account::expiry::Expiry;
use crate::resources::account::files::AccountFiles;
use crate::resources::account::names::{wrong_hash, wrong_id, wrong_name, wrong_text};
use crate::resources::account::state::AccountState;
use crate::resources::account::tools::{Tool, Turn, chosen_too_early, shipped};
use crate::resources::account::user_reverse::record;
use crate::resources::account::user_wanted::{Main, Seen, Wanted};
use crate::sys::account_files::{GROUP, PASSWD, SHADOW};
use crate::sys::fs::normal_form;
use mgmt_macros::Resource;

/// A user of this host: it exists as declared, or it does not.
///
/// Users are made, changed and removed by the system's own tools (`useradd`, `usermod`, `userdel`, `chpasswd`), one
/// after the other. How they are is read from `/etc/passwd`, `/etc/group` and `/etc/shadow`. The resource is checked
/// when one of these changes, whichever program changes it, and needs no `poll`. Users of other sources (LDAP and the
/// like) are an error, since they can't be changed here. Fields that are not given stay as they are.
///
/// A new user has no password, so that no one can log in with one, and no home directory unless `createhome` is set.
/// Without `group` and `gid` its main group is the one with its name, which is made if there is none; such a group is
/// removed by `userdel` together with the user if no other user is in it. A home directory is never removed unless
/// `removehome` is set.
///
/// If another program has locked the accounts, the tool waits for 15 seconds; then the resource waits, names that
/// program, and tries again. A user who is logged in, or has processes, is waited for where a tool requires that. Only
/// root can change users, and only root can check `password`, `locked` and `expires`.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("users");
/// g.add(Group::new("deploy"));
/// g.add(User::new("app").system(true).homedir("/var/lib/app").shell("/usr/sbin/nologin"));
/// let secret = g.add(Password::new("ann"));
/// g.add(User::new("ann").comment("Ann Other").createhome(true).groups(["deploy"]).password(secret.hash()));
/// g.add(User::new("bob").absent());
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "user", inline = watch)]
pub struct User {
    /// The name of the user: at most 32 bytes.
    #[resource(name)]
    name: String,
    /// Whether the user exists (`exists`) or not (`absent`). Default: `exists`.
    #[resource(default)]
    pub(super) state: AccountState,
    /// The number of the user, 0 to 4294967294. Default: any; a new user gets the next free one. If it changes, the
    /// files in the home directory get the new number, others keep the old one.
    pub(super) uid: Option<u32>,
    /// The main group, by number; a group must have it. Only one of `gid` and `group` can be given. Default: any.
    pub(super) gid: Option<u32>,
    /// The main group, by name; it must exist. Default: any; for a new user, the group with its name.
    pub(super) group: Option<String>,
    /// The supplementary groups, by name: these and no others. They must exist. Default: any.
    pub(super) groups: Option<Vec<String>>,
    /// Whether the user may be in other groups than `groups` too. Default: false.
    #[resource(default)]
    appendgroups: bool,
    /// The home directory, an absolute path. Default: any; for a new user, `/home/` and its name (or what `HOME` in
    /// `/etc/default/useradd` is).
    pub(super) homedir: Option<String>,
    /// Whether a missing home directory is made, as a copy of `/etc/skel` that belongs to the user. One that exists is
    /// left as it is. Default: false.
    #[resource(default)]
    createhome: bool,
    /// Whether the content of the home directory is moved if `homedir` changes. Nothing may be at the new place.
    /// Default: false; then the directory stays where it is.
    #[resource(default)]
    movehome: bool,
    /// Whether a user who must be absent is removed with the home directory and the mailbox. Without it they stay. What
    /// was removed can't be put back, so `reverse` is an error then. Default: false.
    #[resource(default)]
    removehome: bool,
    /// The program that a login starts, an absolute path. Default: any; for a new user, what `SHELL` in
    /// `/etc/default/useradd` is, usually `/bin/sh`.
    pub(super) shell: Option<String>,
    /// The comment (GECOS), usually the full name. Default: any; for a new user, empty.
    pub(super) comment: Option<String>,
    /// Whether a new user gets a number from the range of the system (`SYS_UID_MIN` to `SYS_UID_MAX` in
    /// `/etc/login.defs`, usually 101 to 999), and a password that never ages. Has no effect on a user who exists.
    /// Default: false.
    #[resource(default)]
    system: bool,
    /// Whether another user may have the same `uid`. Default: false; then that is an error.
    #[resource(default)]
    allowduplicateuid: bool,
    /// The hash of the password as `crypt(5)` has it (`$y$…`, `$6$…`, `$2b$…`), or `*`: no password is right. Default:
    /// any. Whether it is locked is not a part of it: see `locked`.
    password: Option<Secret<String>>,
    /// Whether the password is locked: a `!` before its hash, with which no password is right. Other ways to log in,
    /// such as keys, are not affected. Default: any; a new user without `password` is locked.
    pub(super) locked: Option<bool>,
    /// The day from which on the account can't be used, in UTC: `never`, or a date such as `2030-01-31`, after
    /// 1970-01-01. Default: any; for a new user, what `EXPIRE` in `/etc/default/useradd` is, usually never.
    pub(super) expires: Option<Expiry>,
}

impl UserBuilder {
    /// Declares that the user exists. The default.
    pub fn exists(self) -> Self {
        self.state(AccountState::Exists)
    }

    /// Declares that the user does not exist.
    pub fn absent(self) -> Self {
        self.state(AccountState::Absent)
    }
}

/// What is not as declared of a user.
#[derive(Clone, Debug)]
pub struct UserDrift(Vec<Change>);

impl Drift for UserDrift {
    fn changes(&self) -> Vec<Change> {
        self.0.clone()
    }
}

/// The tools that commands of this kind run.
const TOOLS: [&str; 5] = ["useradd", "usermod", "userdel", "chpasswd", "mkhomedir_helper"];

impl Converge for User {
    type Drift = UserDrift;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let both = self.gid.is_some() && self.group.is_some();
        let both = known.require(["gid", "group"], !both, "are both given", "leave one of them out");
        let path = |field, path: &Option<String>| path.as_ref().and_then(|path| wrong_path(field, path));
        let groups = self.groups.iter().flatten().find_map(|name| wrong_name("groups", name));
        let hash = self.password.as_ref().and_then(|hash| wrong_hash(hash.declassify()));
        let expires = self.expires.as_ref().filter(|expires| expires.day().is_none()).map(|expires| {
            let problem = format!("is `{}`", expires.to_string().escape_debug());
            FieldProblem::new("expires", problem, "give `never`, or a date such as 2030-01-31")
        });
        every([
            wrong_name("name", &self.name),
            wrong_id("uid", self.uid),
            wrong_id("gid", self.gid),
            both,
            self.group.as_ref().and_then(|name| wrong_name("group", name)),
            groups,
            path("homedir", &self.homedir),
            path("shell", &self.shell),
            self.comment.as_ref().and_then(|text| wrong_text("comment", text)),
            hash,
            expires,
        ])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<UserDrift>> {
        let (wanted, files) = (self.wanted(cx), cx.shared::<AccountFiles>());
        let look = move |fs: &_, _: &_| {
            let seen = wanted.look(fs, &files, wanted.wants_shadow())?;
            Ok(wanted.changes(&seen))
        };
        let changes: Vec<Change> = cx.look(look).await.map_err(explained)?;
        Ok((!changes.is_empty()).then_some(UserDrift(changes)))
    }

    async fn apply(&self, cx: &ApplyCx, _: UserDrift) -> Result<()> {
        let turn = cx.shared::<Turn>();
        let _turn = turn.0.lock().await;
        // What the tools have to do may have changed since the check.
        let wanted = self.wanted(cx);
        let (tools, seen) = plan(cx, &wanted).await?;
        if tools.is_empty() {
            cx.unchanged();
            return Ok(());
        }
        record(cx, &wanted, seen).await?;
        for (n, tool) in tools.iter().enumerate() {
            let Err(error) = tool.run(cx).await else { continue };
            // After the first one, others are chosen.
            let is_chosen_again = n > 0 || plan(cx, &wanted).await.is_ok_and(|(now, _)| now == tools);
            return Err(chosen_too_early(error, is_chosen_again));
        }
        Ok(())
    }

    async fn foresee(&self, cx: &CheckCx, _: &UserDrift) -> Result<()> {
        for tool in plan(cx, &self.wanted(cx)).await?.0 {
            tool.examine().await?;
        }
        Ok(())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let files = cx.fs().path(PASSWD).and(cx.fs().path(GROUP));
        let files = if self.reads_shadow() { files.and(cx.fs().path(SHADOW)) } else { files };
        if self.createhome { files.and(cx.fs().path(self.home())) } else { files }
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        let number = self.number(known).filter(|_| !self.allowduplicateuid);
        [Uid::of(UserKey(self.name.clone()))].into_iter().chain(number).collect()
    }

    fn provides(&self, known: &Known<'_>) -> Vec<Uid> {
        let number = self.number(known).filter(|_| self.allowduplicateuid);
        let makes = self.createhome && known.are_known(["state", "homedir", "createhome"]);
        let home = (makes && self.state == AccountState::Exists).then(|| self.home_key()).flatten();
        // A new user gets a group of that name.
        let is_given = self.gid.is_some() || self.group.is_some() || !known.are_known(["state", "gid", "group"]);
        let group = (!is_given && self.state == AccountState::Exists).then(|| Uid::of(GroupKey(self.name.clone())));
        number.into_iter().chain(home).chain(group).collect()
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        let packages = shipped(&TOOLS).into_iter().map(|key| Need::after(key).because("the package of its tools"));
        let mut needs: Vec<Need> = packages.collect();
        if let Some(is_absent) = self.is_absent(known) {
            needs.extend(UserKey::needs(self.all_groups(known), is_absent));
        }
        let home = self.home_key().filter(|_| self.createhome && known.are_known(["homedir", "createhome"]));
        let above = home.as_ref().and_then(Uid::as_path).and_then(Path::parent);
        needs.extend(above.map(|dir| Need::after(Uid::path(dir)).because("the directory of its home")));
        let shell = self.shell.as_ref().filter(|_| known.is_known("shell"));
        if let Some(shell) = shell.and_then(|shell| normal_form(Path::new(shell)).ok()) {
            needs.push(Need::after(Uid::of(crate::resource::Ships(shell.clone()))).because("the package of its shell"));
            needs.push(Need::after(Uid::Path(shell)).because("its shell"));
        }
        needs
    }

    fn is_absent(&self, known: &Known<'_>) -> Option<bool> {
        known.is_known("state").then_some(self.state == AccountState::Absent)
    }

    fn remarks(&self) -> Vec<String> {
        let removes = self.removehome && self.state == AccountState::Absent;
        removes.then(|| "`removehome`: its home directory and its mailbox are removed".to_owned()).into_iter().collect()
    }
}

/// The tools that repair the user, and the user as it is.
pub(super) async fn plan(cx: &CheckCx, wanted: &Wanted) -> Result<(Vec<Tool>, Seen)> {
    let (wanted, files) = (wanted.clone(), cx.shared::<AccountFiles>());
    let look = cx.look(move |fs, _| {
        // The password is needed for a record, too.
        let seen = wanted.look(fs, &files, true)?;
        let tools = wanted.tools(&seen, &*files.users(fs)?, &*files.groups(fs)?)?;
        Ok((tools, seen))
    });
    look.await.map_err(explained)
}

/// Only root can read the passwords.
fn explained(error: Error) -> Error {
    let is_denied = error.obstacle().is_some_and(|found| found.path.as_deref() == Some(Path::new(SHADOW)));
    if is_denied { error.context("the password and its validity can't be read; root can") } else { error }
}

fn wrong_path(field: &'static str, path: &str) -> Option<FieldProblem> {
    FieldProblem::of_path(field, Path::new(path)).or_else(|| wrong_text(field, path))
}

impl User {
    fn reads_shadow(&self) -> bool {
        self.password.is_some() || self.locked.is_some() || self.expires.is_some()
    }

    /// The home directory, as far as the fields tell.
    fn home(&self) -> PathBuf {
        self.homedir.as_ref().map_or_else(|| Path::new("/home").join(&self.name), PathBuf::from)
    }

    fn home_key(&self) -> Option<Uid> {
        normal_form(&self.home()).ok().map(Uid::Path)
    }

    fn number(&self, known: &Known<'_>) -> Option<Uid> {
        let is_known = known.are_known(["uid", "state", "allowduplicateuid"]);
        let uid = self.uid.filter(|_| is_known && self.state == AccountState::Exists)?;
        Some(Uid::of(UserKey(uid.to_string())))
    }

    /// The groups that the user has, by name or number.
    fn all_groups(&self, known: &Known<'_>) -> Vec<String> {
        let mut all = Vec::new();
        if known.are_known(["gid", "group"]) {
            let own = (self.gid.is_none() && self.group.is_none()).then(|| self.name.clone());
            all.extend(self.group.clone().or(self.gid.map(|gid| gid.to_string())).or(own));
        }
        all.extend(self.groups.iter().flatten().filter(|_| known.is_known("groups")).cloned());
        all
    }

    fn wanted(&self, cx: &CheckCx) -> Wanted {
        self.wanted_with(self.password.as_ref().map(|hash| hash.expose(cx).clone()))
    }

    /// The user as it must be, with this hash of the password.
    pub(super) fn wanted_with(&self, password: Option<String>) -> Wanted {
        let mut groups = self.groups.clone();
        if let Some(groups) = &mut groups {
            groups.sort();
            groups.dedup();
        }
        Wanted {
            name: self.name.clone(),
            state: self.state,
            uid: self.uid,
            main: self.group.clone().map(Main::Name).or(self.gid.map(Main::Gid)),
            groups,
            appendgroups: self.appendgroups,
            homedir: self.homedir.clone(),
            createhome: self.createhome,
            movehome: self.movehome,
            removehome: self.removehome,
            shell: self.shell.clone(),
            comment: self.comment.clone(),
            system: self.system,
            allowduplicateuid: self.allowduplicateuid,
            password,
            locked: self.locked,
            expires: self.expires.as_ref().and_then(Expiry::day),
        }
    }
}
