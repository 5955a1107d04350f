//! How a user was before a resource changed it, and putting it back when the resource has left the graph.

use serde::{Deserialize, Serialize};

use crate::resource::{ApplyCx, Error, Recorded, Result, Reverse, Uid, Undone, User as UserKey};
use crate::resources::account::group_reverse::GroupWas;
use crate::resources::account::state::AccountState;
use crate::resources::account::tools::{Tool, Turn};
use crate::resources::account::user::{User, plan};
use crate::resources::account::user_changes::hash_of;
use crate::resources::account::user_wanted::{Main, Seen, Wanted};

/// How a user was. It holds the hash of the password.
#[derive(Clone, Serialize, Deserialize)]
pub struct UserRecord {
    name: String,
    /// `None`: there was none.
    was: Option<UserWas>,
    /// The group with the name of the user, if there was one.
    own_group: Option<GroupWas>,
    /// The fields that the resource has declared: only these are put back if the user is still there.
    declared: Vec<Field>,
    /// The number that the resource has given to the user, if one was declared.
    given: Option<u32>,
    /// Whether the resource has removed the user.
    removed: bool,
}

/// A user who was there.
#[derive(Clone, Serialize, Deserialize)]
struct UserWas {
    uid: u32,
    gid: u32,
    comment: String,
    homedir: String,
    shell: String,
    groups: Vec<String>,
    /// As in `/etc/shadow`.
    password: Option<String>,
    expires: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Field {
    Uid,
    Main,
    Groups,
    Homedir,
    /// With the content of the directory.
    Home,
    Shell,
    Comment,
    Password,
    Expires,
}

impl Wanted {
    fn declared(&self) -> Vec<Field> {
        let all = [
            (Field::Uid, self.uid.is_some()),
            (Field::Main, self.main.is_some()),
            (Field::Groups, self.groups.is_some()),
            (Field::Homedir, self.homedir.is_some()),
            (Field::Home, self.movehome),
            (Field::Shell, self.shell.is_some()),
            (Field::Comment, self.comment.is_some()),
            (Field::Password, self.password.is_some() || self.locked.is_some()),
            (Field::Expires, self.expires.is_some()),
        ];
        all.into_iter().filter(|(_, is_declared)| *is_declared).map(|(field, _)| field).collect()
    }
}

/// Records how the user is, before it is changed.
pub(super) async fn record(cx: &ApplyCx, wanted: &Wanted, seen: Seen) -> Result<()> {
    let recorders = cx.recorders::<User>();
    if recorders.is_empty() {
        return Ok(());
    }
    if wanted.removehome && seen.has_home && wanted.state == AccountState::Absent {
        let why = "a home directory that is removed can't be put back: leave out `removehome` or `reverse`";
        return Err(Error::new(why));
    }
    let first = UserRecord {
        name: wanted.name.clone(),
        own_group: seen.own_group.clone().map(GroupWas::of),
        was: UserWas::of(seen),
        declared: wanted.declared(),
        given: wanted.uid,
        removed: wanted.state == AccountState::Absent,
    };
    cx.change(move |_, _| {
        recorders.iter().try_for_each(|recorder| {
            let mut record = first.clone();
            if let Some(UserRecord { was, own_group, declared, removed, .. }) = recorder.read()? {
                (record.was, record.own_group) = (was, own_group);
                let more = declared.into_iter().filter(|field| !first.declared.contains(field));
                record.declared.extend(more);
                record.removed |= removed;
            }
            recorder.write(&record)
        })
    })
    .await
}

impl UserWas {
    fn of(seen: Seen) -> Option<UserWas> {
        let user = seen.user?;
        let (password, expires) = seen.shadow.map(|shadow| (shadow.password, shadow.expires)).unzip();
        Some(UserWas {
            uid: user.uid,
            gid: user.gid,
            comment: user.comment,
            homedir: user.home,
            shell: user.shell,
            groups: seen.groups,
            password,
            expires: expires.flatten(),
        })
    }
}

impl UserRecord {
    fn describe(&self) -> String {
        match &self.was {
            None => format!("remove the user `{}`, whose home directory stays", self.name),
            Some(was) => format!("make the user `{}` with the uid {} as it was", self.name, was.uid),
        }
    }

    /// The reason why a user with this number is not the one of the record; `None`: it is that one.
    fn is_another(&self, uid: u32) -> Option<String> {
        let was = self.was.as_ref().map(|was| was.uid);
        let is_known = Some(uid) == was || Some(uid) == self.given || self.given.is_none() && !self.removed;
        (!is_known).then(|| format!("there is another user `{}` now, with the uid {uid}", self.name))
    }

    /// The user as it was; only what the resource may have changed, if the user is there.
    fn wanted(&self, is_there: bool) -> Wanted {
        let name = self.name.clone();
        let Some(was) = self.was.clone() else {
            return Wanted { name, state: AccountState::Absent, ..Wanted::default() };
        };
        // A user who was removed and is there again may be one whom an earlier undo has made in part.
        let is = |field: Field| !is_there || self.removed || self.declared.contains(&field);
        let password = was.password.filter(|_| is(Field::Password));
        Wanted {
            name,
            uid: Some(was.uid).filter(|_| is(Field::Uid)),
            main: Some(Main::Gid(was.gid)).filter(|_| is(Field::Main)),
            groups: Some(was.groups).filter(|_| is(Field::Groups)),
            homedir: Some(was.homedir).filter(|_| is(Field::Homedir)),
            movehome: is_there && self.declared.contains(&Field::Home),
            shell: Some(was.shell).filter(|_| is(Field::Shell)),
            comment: Some(was.comment).filter(|_| is(Field::Comment)),
            locked: password.as_ref().map(|field| field.starts_with('!')),
            password: password.map(|field| hash_of(&field).to_owned()),
            expires: Some(was.expires).filter(|_| is(Field::Expires)),
            ..Wanted::default()
        }
    }

    /// Makes the group with the name of the user again, if it was there and was removed with the user.
    async fn restore_own_group(&self, cx: &ApplyCx, seen: &Seen) -> Result<()> {
        let Some(was) = self.own_group.as_ref().filter(|_| seen.own_group.is_none()) else { return Ok(()) };
        Tool::new("groupadd").option("--gid", Some(was.gid)).arg(&self.name).run(cx).await
    }
}

/// A look at the user that repairs nothing.
async fn seen(cx: &ApplyCx, name: &str) -> Result<Seen> {
    let anything = Wanted { name: name.to_owned(), state: AccountState::Absent, ..Wanted::default() };
    Ok(plan(cx, &anything).await?.1)
}

impl Reverse for User {
    type Record = UserRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<UserRecord>) -> Result<Undone> {
        let turn = cx.shared::<Turn>();
        let _turn = turn.0.lock().await;
        let record = record.data;
        let before = seen(cx, &record.name).await?;
        if let Some(why) = before.user.as_ref().and_then(|user| record.is_another(user.uid)) {
            return Ok(Undone::default().kept(why));
        }
        if record.was.is_some() {
            record.restore_own_group(cx, &before).await?;
        }
        let (tools, _) = plan(cx, &record.wanted(before.user.is_some())).await?;
        if tools.is_empty() {
            return Ok(Undone::default());
        }
        for tool in tools {
            tool.run(cx).await?;
        }
        if record.was.is_none() {
            record.restore_own_group(cx, &seen(cx, &record.name).await?).await?;
        }
        Ok(Undone::default().did(record.describe()))
    }

    fn describe(record: &UserRecord) -> Vec<String> {
        vec![record.describe()]
    }

    fn owns(record: &UserRecord) -> Vec<Uid> {
        vec![Uid::of(UserKey(record.name.clone()))]
    }
}
