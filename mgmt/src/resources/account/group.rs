//! The kind `group`.

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Error, FieldProblem, Group as GroupKey, Known, Need, Result, Uid, Watch,
    WatchCx, every,
};
use crate::resources::account::files::{AccountFiles, Lines, taken};
use crate::resources::account::group_reverse::record;
use crate::resources::account::names::{wrong_id, wrong_name};
use crate::resources::account::state::AccountState;
use crate::resources::account::tools::{Tool, Turn, chosen_too_early, shipped};
use crate::sys::account_files::{GROUP, GroupLine, PASSWD, UserLine};
use mgmt_macros::Resource;

/// A group of this host: it exists, or it does not.
///
/// Groups are made, changed and removed by the system's own tools: `groupadd`, `groupmod` and `groupdel`, one after
/// the other. Which groups there are is read from `/etc/group`. The resource is checked when that file changes,
/// whichever program changes it, and needs no `poll`. Groups of other sources (LDAP and the like) are not seen. Its
/// members are the `groups` of its users.
///
/// If another program has locked the accounts, the tool waits for 15 seconds; then the resource waits, names that
/// program, and tries again. Only root can change groups.
///
/// If the number of a group changes, users whose main group it is keep it as such. Files keep the old number.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("groups");
/// g.add(Group::new("app").system(true));
/// g.add(Group::new("media").gid(2001u32));
/// g.add(Group::new("games").absent());
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "group", inline = watch)]
pub struct Group {
    /// The name of the group: at most 32 bytes.
    #[resource(name)]
    name: String,
    /// Whether the group exists (`exists`) or not (`absent`). Default: `exists`. A group that is the main group of a
    /// user is not removed: that is an error until the user has another one, or is gone.
    #[resource(default)]
    pub(super) state: AccountState,
    /// The number of the group, 0 to 4294967294. Default: any; a new group gets the next free one.
    pub(super) gid: Option<u32>,
    /// Whether a new group gets a number from the range of the system (`SYS_GID_MIN` to `SYS_GID_MAX` in
    /// `/etc/login.defs`, usually 101 to 999). Has no effect on a group that exists, or with `gid`. Default: false.
    #[resource(default)]
    system: bool,
    /// Whether another group may have the same `gid`. Default: false; then that is an error.
    #[resource(default)]
    allowduplicategid: bool,
}

impl GroupBuilder {
    /// Declares that the group exists. The default.
    pub fn exists(self) -> Self {
        self.state(AccountState::Exists)
    }

    /// Declares that the group does not exist.
    pub fn absent(self) -> Self {
        self.state(AccountState::Absent)
    }
}

impl Converge for Group {
    type Drift = Vec<Change>;

    fn validate(&self, _: &Known<'_>) -> Vec<FieldProblem> {
        every([wrong_name("name", &self.name), wrong_id("gid", self.gid)])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Vec<Change>>> {
        let (wanted, files) = (self.clone(), cx.shared::<AccountFiles>());
        let changes = cx.look(move |fs, _| Ok(wanted.changes(files.groups(fs)?.get(&wanted.name)))).await;
        changes.map(|changes: Vec<_>| (!changes.is_empty()).then_some(changes))
    }

    async fn apply(&self, cx: &ApplyCx, _: Vec<Change>) -> Result<()> {
        let turn = cx.shared::<Turn>();
        let _turn = turn.0.lock().await;
        // What was in the way of the tools may have changed since the check.
        let Some((tool, found)) = self.tool(cx).await? else {
            cx.unchanged();
            return Ok(());
        };
        record(cx, self, found).await?;
        let Err(error) = tool.run(cx).await else { return Ok(()) };
        let is_chosen_again = self.tool(cx).await.is_ok_and(|now| now.is_some_and(|(now, _)| now == tool));
        Err(chosen_too_early(error, is_chosen_again))
    }

    async fn foresee(&self, cx: &CheckCx, _: &Vec<Change>) -> Result<()> {
        match self.tool(cx).await? {
            Some((tool, _)) => tool.examine().await,
            None => Ok(()),
        }
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        cx.fs().path(GROUP)
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        let number = self.number(known).filter(|_| !self.allowduplicategid);
        [Uid::of(GroupKey(self.name.clone()))].into_iter().chain(number).collect()
    }

    fn provides(&self, known: &Known<'_>) -> Vec<Uid> {
        self.number(known).filter(|_| self.allowduplicategid).into_iter().collect()
    }

    fn needs(&self, _: &Known<'_>) -> Vec<Need> {
        let packages = shipped(&["groupadd", "groupmod", "groupdel"]).into_iter();
        packages.map(|package| Need::after(package).because("the package of its tools")).collect()
    }

    fn is_absent(&self, known: &Known<'_>) -> Option<bool> {
        known.is_known("state").then_some(self.state == AccountState::Absent)
    }
}

impl Group {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The number that the group will have, if that is declared.
    pub(super) fn wanted_gid(&self) -> Option<u32> {
        self.gid.filter(|_| self.state == AccountState::Exists)
    }

    fn number(&self, known: &Known<'_>) -> Option<Uid> {
        let gid = self.wanted_gid().filter(|_| known.are_known(["gid", "state", "allowduplicategid"]))?;
        Some(Uid::of(GroupKey(gid.to_string())))
    }

    fn changes(&self, found: Option<&GroupLine>) -> Vec<Change> {
        let gid = |from: String| self.gid.map(|gid| Change::new("gid", from, gid));
        match (self.state, found) {
            (AccountState::Exists, None) => {
                [Change::new("state", "absent", "exists")].into_iter().chain(gid("none".to_owned())).collect()
            }
            (AccountState::Exists, Some(found)) => {
                gid(found.gid.to_string()).filter(|_| self.gid != Some(found.gid)).into_iter().collect()
            }
            (AccountState::Absent, None) => Vec::new(),
            (AccountState::Absent, Some(_)) => vec![Change::new("state", "exists", "absent")],
        }
    }

    /// The tool that repairs the group, and the group as it is; `None`: nothing must be repaired.
    async fn tool(&self, cx: &CheckCx) -> Result<Option<(Tool, Option<GroupLine>)>> {
        let (wanted, files) = (self.clone(), cx.shared::<AccountFiles>());
        cx.look(move |fs, _| {
            let (groups, users) = (files.groups(fs)?, files.users(fs)?);
            let found = groups.get(&wanted.name).cloned();
            Ok(wanted.tool_for(&groups, &users)?.map(|tool| (tool, found)))
        })
        .await
    }

    /// # Errors
    /// Another account is in the way.
    pub(super) fn tool_for(&self, groups: &Lines<GroupLine>, users: &Lines<UserLine>) -> Result<Option<Tool>> {
        let found = groups.get(&self.name);
        let tool = match (self.state, found) {
            (AccountState::Exists, None) => Tool::new("groupadd").flag("--system", self.system),
            (AccountState::Exists, Some(found)) if self.gid.is_some_and(|gid| gid != found.gid) => {
                Tool::new("groupmod")
            }
            (AccountState::Absent, Some(found)) => {
                self.may_be_removed(found, groups, users)?;
                return Ok(Some(Tool::new("groupdel").arg(&self.name)));
            }
            _ => return Ok(None),
        };
        if let (Some(gid), false) = (self.gid, self.allowduplicategid)
            && let Some(other) = groups.with_id(gid).find(|other| other.name != self.name)
        {
            let why = format!(
                "the gid {gid} is that of the group `{}`: give another `gid`, or set `allowduplicategid`",
                other.name
            );
            return Err(Error::new(why).waiting_for(taken(GROUP)));
        }
        let duplicate = self.allowduplicategid && self.gid.is_some();
        Ok(Some(tool.option("--gid", self.gid).flag("--non-unique", duplicate).arg(&self.name)))
    }

    /// # Errors
    /// It is the main group of a user.
    fn may_be_removed(&self, found: &GroupLine, groups: &Lines<GroupLine>, users: &Lines<UserLine>) -> Result<()> {
        if groups.with_id(found.gid).any(|other| other.name != found.name) {
            return Ok(());
        }
        match users.iter().find(|user| user.gid == found.gid) {
            None => Ok(()),
            Some(user) => {
                let why = format!(
                    "`{}` is the main group of the user `{}`: remove that user, or give it another group, first",
                    self.name, user.name
                );
                Err(Error::new(why).waiting_for(taken(PASSWD)))
            }
        }
    }
}
