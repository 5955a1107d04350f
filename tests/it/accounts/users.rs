//! Graphs with users on a simulated host.

use mgmt::prelude::*;
use mgmt::testing::{Answer, Host, Settled};

/// The line of an account in a file.
fn line(host: &Host, file: &str, name: &str) -> Option<String> {
    let text = host.read(file).unwrap();
    text.lines().find(|line| line.split(':').next() == Some(name)).map(str::to_owned)
}

fn lines(host: &Host) -> Vec<String> {
    let files = ["/etc/passwd", "/etc/group", "/etc/shadow"];
    let mut lines: Vec<String> =
        files.iter().flat_map(|file| host.read(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines.sort();
    lines
}

const HASH: &str = "$6$salt$hash";

/// A user with all fields, whose groups are in the graph too, declared in the wrong order.
fn everything(g: &mut Graph) -> Result<()> {
    g.add(File::new("/srv/ann/notes").content("hello\n").owner("ann").group("team"));
    g.add(
        User::new("ann")
            .uid(1500u32)
            .group("team")
            .groups(["games", "adm"])
            .homedir("/srv/ann")
            .createhome(true)
            .shell("/bin/bash")
            .comment("Ann Other, Room 5")
            .password(Secret::new(HASH.to_owned()))
            .locked(false)
            .expires("2030-01-02"),
    );
    g.add(Group::new("team").gid(1600u32));
    g.add(Group::new("games"));
    Ok(())
}

#[test]
fn a_user_with_all_fields_comes_after_its_groups_and_before_its_files() {
    let host = Host::new();
    let mut run = host.start(everything);
    run.converge();
    run.assert_applied_in_any_order(["group[team]", "group[games]", "user[ann]", "file[/srv/ann/notes]"]);
    let passwd = line(&host, "/etc/passwd", "ann").unwrap();
    assert_eq!(passwd, "ann:x:1500:1600:Ann Other, Room 5:/srv/ann:/bin/bash");
    assert_eq!(line(&host, "/etc/shadow", "ann").unwrap(), format!("ann:{HASH}:20000:0:99999:7::21916:"));
    assert_eq!(line(&host, "/etc/group", "adm").unwrap(), "adm:x:4:ann");
    assert_eq!(host.owner("/srv/ann"), Some(("ann".to_owned(), "team".to_owned())));
    assert_eq!(host.owner("/srv/ann/notes"), Some(("ann".to_owned(), "team".to_owned())));
    assert!(host.commands_run().iter().all(|command| !command.contains(HASH)), "{:?}", host.commands_run());
    assert!(!run.story().contains("salt"), "{}", run.story());
}

#[test]
fn every_field_that_another_program_changes_is_repaired() {
    let host = Host::new();
    let mut run = host.start(everything);
    run.converge();
    let good = lines(&host);
    for (file, from, to) in [
        ("/etc/passwd", "ann:x:1500:", "ann:x:1501:"),
        ("/etc/passwd", "ann:x:1500:1600:", "ann:x:1500:4:"),
        ("/etc/passwd", ":Ann Other, Room 5:", ":Someone:"),
        ("/etc/passwd", ":/srv/ann:", ":/home/ann:"),
        ("/etc/passwd", ":/bin/bash", ":/bin/sh"),
        ("/etc/group", "adm:x:4:ann", "adm:x:4:"),
        ("/etc/group", "staff:x:50:", "staff:x:50:ann"),
        ("/etc/shadow", HASH, "$6$other$hash"),
        ("/etc/shadow", HASH, "!$6$salt$hash"),
        ("/etc/shadow", ":21916:", "::"),
        ("/etc/shadow", "ann:$6$salt$hash:20000:0:99999:7::21916:\n", ""),
        ("/etc/passwd", "ann:x:1500:1600:Ann Other, Room 5:/srv/ann:/bin/bash\n", ""),
    ] {
        let text = host.read(file).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        run.forget();
        host.write(file, text.replace(from, to));
        run.converge();
        assert!(run.applied().contains(&"user[ann]".to_owned()), "{from}: {:?}", run.applied());
        assert_eq!(lines(&host), good, "after {from} was {to}");
    }
    host.remove("/srv/ann");
    run.converge();
    assert_eq!(host.owner("/srv/ann"), Some(("ann".to_owned(), "team".to_owned())));
}

#[test]
fn a_user_has_a_group_of_its_name_whether_it_was_there_or_not() {
    let host = Host::new();
    host.add_group("bob", 1700);
    let mut run = host.start(|g: &mut Graph| {
        g.add(User::new("ann").system(true));
        g.add(User::new("bob"));
        g.add(User::new("eve"));
        g.add(Group::new("eve").gid(1800u32));
        Ok(())
    });
    run.converge();
    assert_eq!(line(&host, "/etc/passwd", "ann").unwrap(), "ann:x:100:100::/home/ann:/bin/sh");
    assert_eq!(line(&host, "/etc/group", "ann").unwrap(), "ann:x:100:");
    assert!(line(&host, "/etc/passwd", "bob").unwrap().contains(":1700:"));
    assert!(line(&host, "/etc/passwd", "eve").unwrap().contains(":1800:"));
    assert!(!host.exists("/home/ann"), "no home was asked for");
    // As a tool leaves it that was killed before it had made the group.
    let groups = host.read("/etc/group").unwrap();
    host.write("/etc/group", groups.replace("ann:x:100:\n", ""));
    run.converge();
    assert_eq!(line(&host, "/etc/group", "ann").unwrap(), "ann:x:100:");
}

#[test]
fn users_who_must_be_absent_go_before_their_groups_and_keep_their_home() {
    let host = Host::new();
    for (name, id) in [("ann", 1500), ("bob", 1501)] {
        host.add_user(name, id);
        host.write(format!("/home/{name}/notes"), "kept");
    }
    let mut run = host.start(|g: &mut Graph| {
        g.add(Group::new("ann").absent());
        g.add(Group::new("bob").absent());
        g.add(User::new("ann").absent());
        g.add(User::new("bob").absent().removehome(true));
        Ok(())
    });
    run.converge();
    assert_eq!((line(&host, "/etc/passwd", "ann"), line(&host, "/etc/group", "bob")), (None, None));
    assert_eq!((host.read("/home/ann/notes").as_deref(), host.exists("/home/bob")), (Some("kept"), false));
}

#[test]
fn a_home_is_moved_only_if_that_is_declared_and_nothing_is_in_the_way() {
    let host = Host::new();
    host.add_user("ann", 1500);
    host.write("/home/ann/notes", "kept");
    let graph = |moves: bool| {
        move |g: &mut Graph| {
            g.add(User::new("ann").homedir("/srv/ann").movehome(moves));
            Ok(())
        }
    };
    host.fork().start(graph(false)).converge();
    let stays = host.fork();
    stays.start(graph(false)).converge();
    assert!(stays.exists("/home/ann/notes") && !stays.exists("/srv/ann"));
    host.write("/srv/ann/other", "in the way");
    let mut run = host.start(graph(true));
    run.pass(Duration::from_secs(5));
    assert!(run.story().contains("where something is already"), "{}", run.story());
    host.remove("/srv/ann");
    run.converge();
    assert_eq!((host.read("/srv/ann/notes").as_deref(), host.exists("/home/ann")), (Some("kept"), false));
}

#[test]
fn other_groups_stay_if_that_is_declared() {
    let host = Host::new();
    host.add_user("ann", 1500);
    host.write("/etc/group", host.read("/etc/group").unwrap().replace("adm:x:4:", "adm:x:4:ann"));
    let mut run = host.start(|g: &mut Graph| {
        g.add(User::new("ann").groups(["staff"]).appendgroups(true));
        Ok(())
    });
    run.converge();
    assert_eq!(line(&host, "/etc/group", "adm").unwrap(), "adm:x:4:ann");
    run.swap(|g: &mut Graph| {
        g.add(User::new("ann").groups(Vec::<String>::new()));
        Ok(())
    });
    run.converge();
    assert_eq!(line(&host, "/etc/group", "adm").unwrap(), "adm:x:4:");
    assert_eq!(line(&host, "/etc/group", "staff").unwrap(), "staff:x:50:");
}

#[test]
fn a_password_is_locked_once_and_what_is_locked_stays_so_under_another_hash() {
    let host = Host::new();
    host.add_user("ann", 1500);
    let user = |hash: &'static str| User::new("ann").password(Secret::new(hash.to_owned()));
    let mut run = host.start(move |g: &mut Graph| {
        g.add(user("$6$a$b").locked(true));
        Ok(())
    });
    run.converge();
    assert!(line(&host, "/etc/shadow", "ann").unwrap().starts_with("ann:!$6$a$b:"));
    run.swap(move |g: &mut Graph| {
        g.add(user("$6$c$d"));
        Ok(())
    });
    run.converge();
    assert!(line(&host, "/etc/shadow", "ann").unwrap().starts_with("ann:!$6$c$d:"));
    run.swap(|g: &mut Graph| {
        g.add(User::new("ann").locked(false));
        Ok(())
    });
    run.converge();
    assert!(line(&host, "/etc/shadow", "ann").unwrap().starts_with("ann:$6$c$d:"));
    run.swap(|g: &mut Graph| {
        g.add(User::new("mail").password("*"));
        g.add(User::new("bob").locked(false));
        Ok(())
    });
    run.pass(Duration::from_secs(5));
    assert!(run.story().contains("the user `bob` has no password to unlock"), "{}", run.story());
}

#[test]
fn a_user_that_leaves_the_graph_is_as_it_was_before() {
    let host = Host::new();
    host.add_user("bob", 1501);
    host.add_user("eve", 1502);
    host.write("/home/bob/notes", "kept");
    host.write("/etc/group", host.read("/etc/group").unwrap().replace("adm:x:4:", "adm:x:4:bob,eve"));
    host.write("/etc/shadow", host.read("/etc/shadow").unwrap().replace("eve:!", "eve:$6$old$old"));
    let before = lines(&host);
    let mut run = host.start(|g: &mut Graph| {
        g.add(User::new("ann").createhome(true).reverse(true));
        let all = User::new("bob").uid(1601u32).group("staff").groups(["tty"]).homedir("/srv/bob").movehome(true);
        let all = all.shell("/bin/zsh").comment("Bob").password("$6$a$b").locked(true).expires("2031-01-01");
        g.add(all.reverse(true));
        g.add(User::new("eve").absent().reverse(true));
        Ok(())
    });
    run.converge();
    assert_eq!(line(&host, "/etc/passwd", "eve"), None);
    assert!(host.exists("/srv/bob/notes"));
    let mut run = host.start(|_: &mut Graph| Ok(()));
    run.converge();
    assert_eq!(lines(&host), before);
    assert_eq!(host.read("/home/bob/notes").as_deref(), Some("kept"));
    assert!(host.exists("/home/ann"), "a home is not removed");
}

#[test]
fn what_can_not_be_put_back_is_refused_before_it_is_removed() {
    let host = Host::new();
    host.add_user("ann", 1500);
    host.write("/home/ann/notes", "kept");
    let mut run = host.start(|g: &mut Graph| {
        g.add(User::new("ann").absent().removehome(true).reverse(true));
        Ok(())
    });
    run.pass(Duration::from_secs(5));
    assert!(run.story().contains("can't be put back: leave out `removehome` or `reverse`"), "{}", run.story());
    assert!(host.exists("/home/ann/notes") && line(&host, "/etc/passwd", "ann").is_some());
}

#[test]
fn a_plan_shows_each_field_and_what_is_in_the_way() {
    let host = Host::new();
    host.add_user("ann", 1500);
    let plan = host.plan(|g: &mut Graph| {
        g.add(User::new("bob").uid(1500u32));
        g.add(User::new("eve").group("nowhere"));
        g.add(User::new("ann").uid(1501u32).shell("/bin/zsh").groups(["adm"]).password("$6$canary$x").locked(true));
        Ok(())
    });
    let text = plan.to_string();
    for part in [
        "the uid 1500 is that of the user `ann`: give another `uid`, or set `allowduplicateuid`",
        "the group `nowhere` does not exist: declare it too, as group[nowhere]",
        "uid: 1500 → 1501\n    groups: none → adm\n    shell: /bin/sh → /bin/zsh\n    password: changed (secret)",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn a_group_that_does_not_exist_yet_is_waited_for() {
    let host = Host::new();
    let mut run = host.start(|g: &mut Graph| {
        g.add(User::new("ann").groups(["later"]));
        Ok(())
    });
    run.pass(Duration::from_secs(60));
    assert_eq!(line(&host, "/etc/passwd", "ann"), None);
    host.add_group("later", 1900);
    run.converge();
    assert_eq!(line(&host, "/etc/group", "later").unwrap(), "later:x:1900:ann");
}

#[test]
fn wrong_fields_and_two_owners_of_a_number_are_problems_of_the_graph() {
    let problems = |g: Graph| g.finish().and_then(|config| mgmt::graph::validate(&config).map(drop)).unwrap_err();
    for (user, wanted) in [
        (User::new("ann").gid(1u32).group("adm"), "`gid`"),
        (User::new("ann").groups(["a,b"]), "`groups`"),
        (User::new("ann").homedir("srv"), "`homedir`"),
        (User::new("ann").shell("/bin/a:b"), "`shell`"),
        (User::new("ann").comment("a\nroot::0:0::/:/bin/sh"), "`comment`"),
        (User::new("ann").password("a:b"), "`password`"),
        (User::new("ann").password("!$6$a$b"), "`password`"),
        (User::new("ann").password(""), "`password`"),
        (User::new("ann").expires("tomorrow"), "`expires`"),
        (User::new("ann").expires("1970-01-01"), "`expires`"),
        (User::new("ann").uid(u32::MAX), "`uid`"),
    ] {
        let mut g = Graph::new("wrong");
        g.add(user);
        let said = problems(g).to_string();
        assert!(said.contains(wanted), "{wanted}: {said}");
        assert!(!said.contains("$6$a$b"), "{said}");
    }
    let mut g = Graph::new("wrong");
    g.add(User::new("ann").uid(1500u32));
    g.add(User::new("bob").uid(1500u32));
    let said = problems(g).to_string();
    assert!(said.contains("the user `1500`"), "{said}");
}

#[test]
fn fifty_users_at_once_are_made_one_after_the_other() {
    let host = Host::new();
    let mut run = host.start(|g: &mut Graph| {
        for n in 0..50u32 {
            g.add(User::new(format!("u{n}")).uid(2000 + n).groups(["adm"]));
        }
        Ok(())
    });
    run.converge();
    assert_eq!(line(&host, "/etc/group", "adm").unwrap().matches('u').count(), 50);
}

#[test]
fn another_user_of_the_same_name_is_left_as_it_is_by_an_undo() {
    let host = Host::new();
    host.add_user("ann", 1500);
    let mut run = host.start(|g: &mut Graph| {
        g.add(User::new("ann").absent().reverse(true));
        g.add(User::new("bob").uid(1600u32).reverse(true));
        Ok(())
    });
    run.converge();
    let host = run.stop();
    host.add_user("ann", 1700);
    host.remove_user("bob");
    host.add_user("bob", 1800);
    let before = lines(&host);
    let mut run = host.start(|_: &mut Graph| Ok(()));
    run.converge();
    assert_eq!(lines(&host), before);
    assert!(run.story().contains("there is another user `ann` now, with the uid 1700"), "{}", run.story());
}

#[test]
fn what_another_program_changes_while_a_tool_runs_is_looked_at_again() {
    let host = Host::new();
    host.write("/etc/group", host.read("/etc/group").unwrap() + "site:x:995:\n");
    // Someone's `userdel` has removed the user, and removes its group now.
    host.program("useradd --gid 995 *", |called| {
        called.host.write("/etc/group", called.host.read("/etc/group").unwrap().replace("site:x:995:\n", ""));
        Answer::fails(6, "useradd: group '995' does not exist\n")
    });
    // Someone else makes the group in the same moment.
    host.program("groupadd team", |called| {
        called.host.write("/etc/group", called.host.read("/etc/group").unwrap() + "team:x:1700:\n");
        Answer::fails(9, "groupadd: group 'team' already exists\n")
    });
    let mut run = host.start(|g: &mut Graph| {
        g.add(User::new("site"));
        g.add(Group::new("team"));
        Ok(())
    });
    run.converge();
    assert!(line(&host, "/etc/passwd", "site").is_some() && line(&host, "/etc/group", "site").is_some());
    assert_eq!(line(&host, "/etc/group", "team").unwrap(), "team:x:1700:");
    assert_eq!(host.commands_run().iter().filter(|command| command.starts_with("useradd")).count(), 2);
    // What fails for another reason fails.
    host.program("useradd * other", |_| Answer::fails(1, "useradd: cannot open /etc/passwd\n"));
    run.swap(|g: &mut Graph| {
        g.add(User::new("other"));
        Ok(())
    });
    assert!(matches!(run.settle(), Settled::Hopeless));
    assert_eq!(host.commands_run().iter().filter(|command| command.ends_with(" other")).count(), 1);
}
