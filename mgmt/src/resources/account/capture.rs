//! Declares users and groups as they are.

use crate::resource::{Accepts as _, Capture, Captured, CheckCx, Result};
use crate::resources::account::expiry::{Expiry, shown};
use crate::resources::account::files::AccountFiles;
use crate::resources::account::group::Group;
use crate::resources::account::state::AccountState;
use crate::resources::account::user::User;
use crate::resources::account::user_wanted::Wanted;
use crate::sys::users::is_root;

impl Capture for User {
    async fn capture(&self, cx: &CheckCx) -> Result<Vec<Captured<User>>> {
        let (wanted, files) = (self.wanted_with(None), cx.shared::<AccountFiles>());
        let seen = cx.look(move |fs, _| Wanted::look(&wanted, fs, &files, is_root())).await?;
        let mut is = self.clone();
        let Some(user) = seen.user else {
            is.state = AccountState::Absent;
            return Ok(vec![Captured::new(is)]);
        };
        let shadow = seen.shadow.as_ref();
        let locked = shadow.map(|shadow| shadow.password.starts_with('!'));
        let expires = shadow.and_then(|shadow| shadow.expires).map(|day| Expiry::accept(shown(Some(day))));
        let has_hash = shadow.is_some_and(|shadow| shadow.password.contains('$'));
        is.uid = Some(user.uid);
        is.gid = seen.main.is_none().then_some(user.gid);
        is.group = seen.main;
        is.groups = Some(seen.groups);
        is.homedir = Some(user.home);
        is.shell = Some(user.shell);
        is.comment = Some(user.comment);
        (is.locked, is.expires) = (locked, expires);
        let mut captured = Captured::new(is);
        if has_hash {
            captured = captured.note("the hash of its password is left out: it is a secret");
        }
        if shadow.is_none() {
            captured = captured.note("`locked` and `expires` are left out: only root can read them");
        }
        Ok(vec![captured])
    }
}

impl Capture for Group {
    async fn capture(&self, cx: &CheckCx) -> Result<Vec<Captured<Group>>> {
        let (name, files) = (self.name().to_owned(), cx.shared::<AccountFiles>());
        let found = cx.look(move |fs, _| Ok::<_, crate::resource::Error>(files.groups(fs)?.get(&name).cloned()));
        let mut is = self.clone();
        match found.await? {
            Some(found) => is.gid = Some(found.gid),
            None => is.state = AccountState::Absent,
        }
        Ok(vec![Captured::new(is)])
    }
}
