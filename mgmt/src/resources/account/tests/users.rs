//! The kind `user`.

use std::sync::Arc;

use crate::resource::Declare as _;
use crate::resources::account::files::AccountFiles;
use crate::resources::{Expiry, Group, User, UserBuilder};
use crate::sys::fs::ReadFs;
use crate::sys::process::{Command, run};
use crate::testing::{Fake, Host};

/// A host with `ann`, who is in the group `adm` and has a home and a password.
fn host() -> Host {
    let host = Host::new();
    host.add_user("ann", 1500);
    host.add_group("team", 1600);
    host.write("/home/ann/notes", "kept");
    host.write("/etc/group", host.read("/etc/group").unwrap().replace("adm:x:4:", "adm:x:4:ann"));
    host.write("/etc/shadow", host.read("/etc/shadow").unwrap().replace("ann:!", "ann:$6$old$old"));
    host
}

/// The commands that repair a user on this host, or why there are none.
fn tools_with(user: UserBuilder, hash: Option<&str>) -> Vec<String> {
    let wanted = user.finish().0.wanted_with(hash.map(str::to_owned));
    let all = host().on(|| {
        let (fs, files) = (ReadFs::new(), AccountFiles::default());
        let seen = wanted.look(&fs, &files, true)?;
        wanted.tools(&seen, &*files.users(&fs)?, &*files.groups(&fs)?)
    });
    match all {
        Ok(all) => {
            all.iter().map(|tool| [&[tool.program.to_owned()], tool.args.as_slice()].concat().join(" ")).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

fn tools(user: UserBuilder) -> Vec<String> {
    tools_with(user, None)
}

#[test]
fn the_tools_get_exact_arguments() {
    let ann = || User::new("ann");
    let new = "useradd --user-group --no-create-home new";
    for (user, wanted) in [
        (User::new("new"), vec![new]),
        (User::new("team"), vec!["useradd --gid 1600 --no-create-home team"]),
        (
            User::new("new")
                .system(true)
                .uid(1500u32)
                .allowduplicateuid(true)
                .group("team")
                .groups(["tty", "adm", "tty"]),
            vec!["useradd --system --uid 1500 --non-unique --gid 1600 --groups adm,tty --no-create-home new"],
        ),
        (
            User::new("new").homedir("/srv/new").createhome(true).shell("/bin/sh").comment("A B").expires("2030-01-02"),
            vec![
                "useradd --user-group --home-dir /srv/new --create-home --shell /bin/sh --comment A B --expiredate 2030-01-02 new",
            ],
        ),
        (ann().uid(1500u32).gid(1500u32).groups(["adm"]).locked(false), vec![]),
        (ann().expires(Expiry::never()), vec![]),
        (ann().uid(0u32).allowduplicateuid(true).gid(1600u32), vec!["usermod --uid 0 --non-unique --gid 1600 ann"]),
        (ann().groups(["tty"]), vec!["usermod --groups tty ann"]),
        (ann().groups(["tty"]).appendgroups(true), vec!["usermod --append --groups tty ann"]),
        (ann().groups(["adm"]).appendgroups(true), vec![]),
        (ann().homedir("/srv/ann"), vec!["usermod --home /srv/ann ann"]),
        (ann().homedir("/srv/ann").movehome(true), vec!["usermod --home /srv/ann --move-home ann"]),
        (ann().homedir("/srv/ann").createhome(true), vec!["usermod --home /srv/ann ann", "mkhomedir_helper ann"]),
        (ann().shell("/bin/a").comment(""), vec!["usermod --shell /bin/a ann"]),
        (ann().locked(true), vec!["usermod --lock ann"]),
        (ann().expires("2030-01-02"), vec!["usermod --expiredate 2030-01-02 ann"]),
        (ann().absent(), vec!["userdel ann"]),
        (ann().absent().removehome(true), vec!["userdel --remove ann"]),
        (User::new("new").absent(), vec![]),
    ] {
        assert_eq!(tools(user), wanted);
    }
}

#[test]
fn a_hash_is_set_by_the_standard_input_of_its_tool() {
    let new = "useradd --user-group --no-create-home new";
    for (user, hash, wanted) in [
        (User::new("new").groups(Vec::<String>::new()), "$6$a$b", vec![new, "chpasswd --encrypted"]),
        (User::new("ann").locked(true), "$6$a$b", vec!["chpasswd --encrypted"]),
        (User::new("ann").locked(true), "$6$old$old", vec!["usermod --lock ann"]),
        (User::new("ann"), "$6$old$old", vec![]),
        (User::new("mail").locked(false), "*", vec![]),
    ] {
        assert_eq!(tools_with(user, Some(hash)), wanted);
    }
}

#[test]
fn what_is_in_the_way_or_missing_is_named() {
    let ann = || User::new("ann");
    for (user, wanted) in [
        (User::new("new").uid(1500u32), "the uid 1500 is that of the user `ann`: give another `uid`"),
        (ann().uid(33u32), "the uid 33 is that of the user `www-data`"),
        (ann().group("none"), "the group `none` does not exist: declare it too, as group[none]"),
        (ann().groups(["none"]), "the group `none` does not exist: declare it too, as group[none]"),
        (ann().gid(77u32), "no group has the gid 77: declare one with that `gid`"),
        (ann().homedir("/var/lib").movehome(true), "the home of `ann` can't be moved to /var/lib"),
        (User::new("new").locked(false), "the user `new` has no password to unlock"),
    ] {
        let found = tools(user).concat();
        assert!(found.contains(wanted), "{wanted}: {found}");
    }
}

#[tokio::test]
async fn without_root_nothing_is_tried() {
    if crate::sys::users::is_root() {
        return;
    }
    let error = Fake::new().unwrap().put(Group::new("no-such-group")).settle().await.unwrap_err();
    assert!(error.to_string().contains("only root can change the accounts of this host"), "{error}");
}

#[test]
fn a_file_that_stays_as_it_is_is_read_once_and_one_that_changes_is_read_again() {
    let host = Host::new();
    let files = AccountFiles::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    host.on(|| {
        let fs = ReadFs::new();
        let look = || files.users(&fs).unwrap();
        // A file that has just changed may change again within a tick of its times.
        assert!(!Arc::ptr_eq(&look(), &look()));
        runtime.block_on(async {
            host.begin_time();
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
            assert!(Arc::ptr_eq(&look(), &look()));
            host.add_user("ann", 1500);
            assert_eq!(look().get("ann").map(|user| user.uid), Some(1500));
            run(&Command::new("userdel").arg("ann")).await.unwrap();
            assert!(look().get("ann").is_none());
        });
    });
}
