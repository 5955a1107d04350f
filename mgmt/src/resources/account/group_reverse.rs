//! How a group was before a resource changed it, and putting it back when the resource has left the graph.

use serde::{Deserialize, Serialize};

use crate::resource::{ApplyCx, CheckCx, Group as GroupKey, Recorded, Result, Reverse, Uid, Undone};
use crate::resources::account::files::AccountFiles;
use crate::resources::account::group::Group;
use crate::resources::account::tools::{Tool, Turn};
use crate::sys::account_files::GroupLine;

/// How a group was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupRecord {
    name: String,
    /// `None`: there was none.
    was: Option<GroupWas>,
    /// The number that the resource has given to it, if one was declared.
    #[serde(default)]
    given: Option<u32>,
}

/// A group that was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GroupWas {
    pub(super) gid: u32,
    pub(super) members: Vec<String>,
}

impl GroupWas {
    pub(super) fn of(found: GroupLine) -> GroupWas {
        GroupWas { gid: found.gid, members: found.members }
    }
}

/// Records how the group is, before it is changed.
pub(super) async fn record(cx: &ApplyCx, group: &Group, found: Option<GroupLine>) -> Result<()> {
    let recorders = cx.recorders::<Group>();
    if recorders.is_empty() {
        return Ok(());
    }
    let (name, given, found) = (group.name().to_owned(), group.wanted_gid(), found.map(GroupWas::of));
    cx.change(move |_, _| {
        recorders.iter().try_for_each(|recorder| {
            let was = recorder.read()?.map_or_else(|| found.clone(), |known| known.was);
            recorder.write(&GroupRecord { name: name.clone(), was, given })
        })
    })
    .await
}

/// What an undo has to do.
enum Step {
    Run(Vec<Tool>),
    /// It stays as it is, for this reason.
    Keep(String),
}

impl GroupRecord {
    fn describe(&self) -> String {
        match &self.was {
            None => format!("remove the group `{}`", self.name),
            Some(was) => format!("make the group `{}` one with the gid {}", self.name, was.gid),
        }
    }

    async fn step(&self, cx: &CheckCx) -> Result<Step> {
        let (record, files) = (self.clone(), cx.shared::<AccountFiles>());
        let look = cx.look(move |fs, _| {
            let (groups, users) = (files.groups(fs)?, files.users(fs)?);
            let name = &record.name;
            let now = groups.get(name);
            let is_changed = now.is_some_and(|now| record.given.is_some_and(|given| given != now.gid));
            let other = |gid: u32| groups.with_id(gid).find(|other| other.name != *name).map(|other| &other.name);
            let exists = |member: &&String| users.get(member).is_some();
            Ok(match (&record.was, now) {
                (None, None) => Step::Run(Vec::new()),
                (Some(was), Some(now)) if was.gid == now.gid => Step::Run(Vec::new()),
                (_, Some(now)) if is_changed => {
                    Step::Keep(format!("the group `{name}` has got the gid {} since", now.gid))
                }
                (None, Some(now)) => {
                    let of_user = users.iter().find(|user| user.gid == now.gid && other(now.gid).is_none());
                    match now.members.first().or(of_user.map(|user| &user.name)) {
                        Some(user) => Step::Keep(format!("the group `{name}` has got a user since, `{user}`")),
                        None => Step::Run(vec![Tool::new("groupdel").arg(name)]),
                    }
                }
                (Some(was), now) => match other(was.gid) {
                    Some(other) => {
                        Step::Keep(format!("the gid {} of the group `{name}` is now that of `{other}`", was.gid))
                    }
                    None => {
                        let tool = Tool::new(if now.is_some() { "groupmod" } else { "groupadd" });
                        let make = tool.option("--gid", Some(was.gid)).arg(name);
                        let members: Vec<_> = was.members.iter().filter(exists).cloned().collect();
                        let join = (now.is_none() && !members.is_empty())
                            .then(|| Tool::new("gpasswd").arg("--members").arg(members.join(",")).arg(name));
                        Step::Run([make].into_iter().chain(join).collect())
                    }
                },
            })
        });
        look.await
    }
}

impl Reverse for Group {
    type Record = GroupRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<GroupRecord>) -> Result<Undone> {
        let turn = cx.shared::<Turn>();
        let _turn = turn.0.lock().await;
        let tools = match record.data.step(cx).await? {
            Step::Keep(why) => return Ok(Undone::default().kept(why)),
            Step::Run(tools) if tools.is_empty() => return Ok(Undone::default()),
            Step::Run(tools) => tools,
        };
        for tool in tools {
            tool.run(cx).await?;
        }
        Ok(Undone::default().did(record.data.describe()))
    }

    fn describe(record: &GroupRecord) -> Vec<String> {
        vec![record.describe()]
    }

    fn owns(record: &GroupRecord) -> Vec<Uid> {
        vec![Uid::of(GroupKey(record.name.clone()))]
    }
}
