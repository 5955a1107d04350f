//! The programs of a simulated host that change users and groups: they edit its files, with the exit codes and messages
//! of Debian's package `passwd`.

use super::account_args::{Args, Refusal};
use super::accounts::{CHANGED, new_group, new_shadow, new_user};
use super::commands::{Answer, Called};
use super::host::Host;
use crate::sys::account_files::{GROUP, GroupLine, PASSWD, SHADOW, ShadowLine, UserLine};
use crate::sys::calendar::day_of_text;

/// The first number for accounts of persons, and for those of the system.
const FIRST: u32 = 1000;
const FIRST_OF_SYSTEM: u32 = 100;

/// Adds them to a host.
pub(super) fn add(host: &Host) {
    let programs: [(&str, Tool); 10] = [
        ("groupadd", groupadd),
        ("groupmod", groupmod),
        ("groupdel", groupdel),
        ("gpasswd", gpasswd),
        ("useradd", useradd),
        ("usermod", usermod),
        ("userdel", userdel),
        ("chpasswd", chpasswd),
        ("pwconv", pwconv),
        ("mkhomedir_helper", mkhomedir_helper),
    ];
    for (name, tool) in programs {
        host.program(&format!("{name} *"), move |called| match tool(called.host, called) {
            Ok(()) => Answer::ok(),
            Err((code, why)) => Answer::fails(code, format!("{name}: {why}\n")),
        });
    }
}

type Done = Result<(), Refusal>;
type Tool = fn(&Host, &Called<'_>) -> Done;

/// The number after the highest one that is taken, or the first one.
fn next(taken: impl Iterator<Item = u32> + Clone, is_system: bool) -> u32 {
    let range = if is_system { FIRST_OF_SYSTEM..FIRST } else { FIRST..60_000 };
    taken.filter(|id| range.contains(id)).max().map_or(range.start, |id| id + 1)
}

fn groupadd(host: &Host, called: &Called<'_>) -> Done {
    let args = Args { all: called.args(), takes: &["--gid", "--non-unique", "--system"] };
    let (name, mut groups) = (args.name()?, host.groups());
    if groups.0.iter().any(|group| group.name == name) {
        return Err((9, format!("group '{name}' already exists")));
    }
    let gid = args.number("--gid")?;
    let gid = gid.unwrap_or_else(|| next(groups.0.iter().map(|group| group.gid), args.has("--system")));
    if !args.has("--non-unique") && groups.0.iter().any(|group| group.gid == gid) {
        return Err((4, format!("GID '{gid}' already exists")));
    }
    groups.0.push(new_group(name, gid));
    groups.write(host, GROUP);
    Ok(())
}

fn groupmod(host: &Host, called: &Called<'_>) -> Done {
    let args = Args { all: called.args(), takes: &["--gid", "--non-unique"] };
    let (name, mut groups, mut users) = (args.name()?, host.groups(), host.users());
    let gid = args.number("--gid")?;
    if !args.has("--non-unique") && groups.0.iter().any(|group| Some(group.gid) == gid && group.name != name) {
        return Err((4, format!("GID '{}' already exists", gid.unwrap_or_default())));
    }
    let Some(group) = groups.0.iter_mut().find(|group| group.name == name) else {
        return Err((6, format!("group '{name}' does not exist")));
    };
    if let Some(gid) = gid {
        users.0.iter_mut().filter(|user| user.gid == group.gid).for_each(|user| user.gid = gid);
        group.gid = gid;
    }
    users.write(host, PASSWD);
    groups.write(host, GROUP);
    Ok(())
}

fn groupdel(host: &Host, called: &Called<'_>) -> Done {
    let args = Args { all: called.args(), takes: &[] };
    let (name, mut groups) = (args.name()?, host.groups());
    let Some(at) = groups.0.iter().position(|group| group.name == name) else {
        return Err((6, format!("group '{name}' does not exist")));
    };
    let gone = groups.0.remove(at);
    if let Some(user) = host.users().0.iter().find(|user| user.gid == gone.gid) {
        return Err((8, format!("cannot remove the primary group of user '{}'", user.name)));
    }
    groups.write(host, GROUP);
    Ok(())
}

fn gpasswd(host: &Host, called: &Called<'_>) -> Done {
    let args = Args { all: called.args(), takes: &["--members"] };
    let (name, mut groups) = (args.name()?, host.groups());
    let members = args.value("--members").unwrap_or_default();
    let members: Vec<String> = members.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if let Some(unknown) = members.iter().find(|member| host.uid(member).is_none()) {
        return Err((3, format!("user '{unknown}' does not exist")));
    }
    let Some(group) = groups.0.iter_mut().find(|group| group.name == name) else {
        return Err((3, format!("group '{name}' does not exist")));
    };
    group.members = members;
    groups.write(host, GROUP);
    Ok(())
}

/// The number of a group, given by name or number.
fn gid_of(groups: &[GroupLine], group: &str) -> Result<u32, Refusal> {
    let named = groups.iter().find(|known| known.name == group || known.gid.to_string() == group);
    named.map(|group| group.gid).ok_or_else(|| (6, format!("group '{group}' does not exist")))
}

/// Puts the user into these supplementary groups, and, unless it only adds, into no other one.
fn join(groups: &mut [GroupLine], user: &str, wanted: &str, adds: bool) -> Done {
    let wanted: Vec<&str> = wanted.split(',').filter(|name| !name.is_empty()).collect();
    wanted.iter().try_for_each(|group| gid_of(groups, group).map(drop))?;
    for group in groups {
        let is_in = group.members.iter().any(|member| member == user);
        if wanted.contains(&group.name.as_str()) {
            group.members.extend((!is_in).then(|| user.to_owned()));
        } else if !adds {
            group.members.retain(|member| member != user);
        }
    }
    Ok(())
}

/// Sets the plain fields that are given.
fn set(user: &mut UserLine, args: &Args<'_>) {
    let home = args.value("--home").or(args.value("--home-dir"));
    let fields = [
        (&mut user.home, home),
        (&mut user.shell, args.value("--shell")),
        (&mut user.comment, args.value("--comment")),
    ];
    for (field, value) in fields {
        if let Some(value) = value {
            value.clone_into(field);
        }
    }
}

/// The day of a date; an empty text and `-1` stand for none.
fn day(text: &str) -> Result<Option<u32>, Refusal> {
    let number = || text.parse().ok().or_else(|| day_of_text(text));
    match text {
        "" | "-1" => Ok(None),
        _ => number().map(Some).ok_or_else(|| (3, format!("invalid date '{text}'"))),
    }
}

const USERADD: [&str; 12] = [
    "--uid",
    "--gid",
    "--groups",
    "--home-dir",
    "--shell",
    "--comment",
    "--expiredate",
    "--non-unique",
    "--system",
    "--create-home",
    "--no-user-group",
    "--user-group",
];

fn useradd(host: &Host, called: &Called<'_>) -> Done {
    let args = Args { all: called.args(), takes: &USERADD };
    let (name, mut users, mut groups, mut shadows) = (args.name()?, host.users(), host.groups(), host.shadows());
    if users.0.iter().any(|user| user.name == name) {
        return Err((9, format!("user '{name}' already exists")));
    }
    let uid = args.number("--uid")?;
    let uid = uid.unwrap_or_else(|| next(users.0.iter().map(|user| user.uid), args.has("--system")));
    if !args.has("--non-unique") && users.0.iter().any(|user| user.uid == uid) {
        return Err((4, format!("UID {uid} is not unique")));
    }
    let gid = match args.value("--gid") {
        Some(group) => gid_of(&groups.0, group)?,
        None if args.has("--no-user-group") => 100,
        None if groups.0.iter().any(|group| group.name == name) => {
            return Err((9, format!("group {name} exists - if you want to add this user to that group, use -g.")));
        }
        None => {
            let is_free = groups.0.iter().all(|group| group.gid != uid);
            let gid = if is_free { uid } else { next(groups.0.iter().map(|group| group.gid), args.has("--system")) };
            groups.0.push(new_group(name, gid));
            gid
        }
    };
    join(&mut groups.0, name, args.value("--groups").unwrap_or_default(), true)?;
    let (mut user, mut shadow) = new_user(name, uid, gid);
    set(&mut user, &args);
    shadow.expires = day(args.value("--expiredate").unwrap_or_default())?;
    let home = user.home.clone();
    users.0.push(user);
    shadows.0.retain(|shadow| shadow.name != name);
    shadows.0.push(shadow);
    users.write(host, PASSWD);
    shadows.write(host, SHADOW);
    groups.write(host, GROUP);
    if args.has("--create-home") && !host.exists(&home) {
        make_home(host, &home, name, gid);
    }
    Ok(())
}

fn make_home(host: &Host, home: &str, name: &str, gid: u32) {
    host.make_dir(home);
    host.chmod(home, 0o700);
    host.chown(home, name, &gid.to_string());
}

const USERMOD: [&str; 12] = [
    "--uid",
    "--gid",
    "--groups",
    "--home",
    "--shell",
    "--comment",
    "--expiredate",
    "--non-unique",
    "--append",
    "--lock",
    "--unlock",
    "--move-home",
];

fn usermod(host: &Host, called: &Called<'_>) -> Done {
    let args = Args { all: called.args(), takes: &USERMOD };
    let (name, mut users, mut groups, mut shadows) = (args.name()?, host.users(), host.groups(), host.shadows());
    let uid = args.number("--uid")?;
    if !args.has("--non-unique") && users.0.iter().any(|user| Some(user.uid) == uid && user.name != name) {
        return Err((4, format!("UID '{}' already exists", uid.unwrap_or_default())));
    }
    let missing = || (6, format!("user '{name}' does not exist"));
    let user = users.0.iter_mut().find(|user| user.name == name).ok_or_else(missing)?;
    let old_home = user.home.clone();
    set(user, &args);
    user.uid = uid.unwrap_or(user.uid);
    if let Some(group) = args.value("--gid") {
        user.gid = gid_of(&groups.0, group)?;
    }
    if let Some(wanted) = args.value("--groups") {
        join(&mut groups.0, name, wanted, args.has("--append"))?;
    }
    if let Some(shadow) = shadows.0.iter_mut().find(|shadow| shadow.name == name) {
        if let Some(text) = args.value("--expiredate") {
            shadow.expires = day(text)?;
        }
        if args.has("--lock") && !shadow.password.starts_with('!') {
            shadow.password.insert(0, '!');
        }
        if args.has("--unlock") && shadow.password.len() > 1 && shadow.password.starts_with('!') {
            shadow.password.remove(0);
        }
    }
    let new_home = user.home.clone();
    users.write(host, PASSWD);
    shadows.write(host, SHADOW);
    groups.write(host, GROUP);
    if args.has("--move-home") && old_home != new_home && host.is_dir(&old_home) {
        if host.exists(&new_home) {
            return Err((12, format!("directory {new_home} exists")));
        }
        host.rename(&old_home, &new_home);
    }
    Ok(())
}

fn userdel(host: &Host, called: &Called<'_>) -> Done {
    let args = Args { all: called.args(), takes: &["--remove", "--force"] };
    let (name, mut users, mut groups, mut shadows) = (args.name()?, host.users(), host.groups(), host.shadows());
    let Some(at) = users.0.iter().position(|user| user.name == name) else {
        return Err((6, format!("user '{name}' does not exist")));
    };
    let gone = users.0.remove(at);
    shadows.0.retain(|shadow| shadow.name != name);
    groups.0.iter_mut().for_each(|group| group.members.retain(|member| member != name));
    let is_in_use = users.0.iter().any(|user| user.gid == gone.gid);
    groups.0.retain(|group| group.name != name || group.gid != gone.gid || is_in_use || !group.members.is_empty());
    users.write(host, PASSWD);
    shadows.write(host, SHADOW);
    groups.write(host, GROUP);
    if args.has("--remove") {
        host.remove(&gone.home);
    }
    Ok(())
}

fn chpasswd(host: &Host, called: &Called<'_>) -> Done {
    let args = Args { all: called.args(), takes: &["--encrypted"] };
    let mut shadows = host.shadows();
    if !args.has("--encrypted") {
        return Err((1, "only `--encrypted` is simulated".to_owned()));
    }
    for line in String::from_utf8_lossy(called.input).lines() {
        let Some((name, hash)) = line.split_once(':') else { return Err((1, "line 1: missing new password".into())) };
        let Some(shadow) = shadows.0.iter_mut().find(|shadow| shadow.name == name) else {
            return Err((1, format!("line 1: user '{name}' does not exist")));
        };
        hash.clone_into(&mut shadow.password);
        CHANGED.clone_into(&mut shadow.ages[0]);
    }
    shadows.write(host, SHADOW);
    Ok(())
}

fn pwconv(host: &Host, _: &Called<'_>) -> Done {
    let (users, mut shadows) = (host.users(), host.shadows());
    shadows.0.retain(|shadow| users.0.iter().any(|user| user.name == shadow.name));
    for user in &users.0 {
        if shadows.0.iter().all(|shadow| shadow.name != user.name) {
            shadows.0.push(ShadowLine { password: user.password.clone(), ..new_shadow(&user.name) });
        }
    }
    shadows.write(host, SHADOW);
    Ok(())
}

fn mkhomedir_helper(host: &Host, called: &Called<'_>) -> Done {
    let name = called.args().first().map(String::as_str).unwrap_or_default();
    let Some(user) = host.users().0.into_iter().find(|user| user.name == name) else {
        return Err((10, format!("user '{name}' does not exist")));
    };
    if !host.exists(&user.home) {
        make_home(host, &user.home, name, user.gid);
    }
    Ok(())
}
