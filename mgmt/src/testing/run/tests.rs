//! Graphs on a simulated host.

#[cfg(feature = "dbus")]
mod containers;
#[cfg(feature = "virt")]
mod domains;
#[cfg(feature = "dbus")]
mod hostnames;
mod interfaces;
mod packages;
#[cfg(feature = "dbus")]
mod services;
#[cfg(feature = "dbus")]
mod timers;

use std::time::Duration;

use crate::graph::Graph;
use crate::resource::{Declare as _, Result};
use crate::resources::{Exec, File, Line, Password, Sysctl};
use crate::sys::simulated::{Answer, Host};
use crate::testing::run::Settled;

fn motd(g: &mut Graph) -> Result<()> {
    let dir = g.add(File::new("/etc/app/"));
    g.add(File::new("/etc/app/motd").content("hello\n").mode(0o640).owner("www-data").group("adm").after(&dir));
    Ok(())
}

#[test]
fn files_are_made_on_the_host_and_nowhere_else() {
    let host = Host::new();
    let mut run = host.start(motd);
    run.converge();
    run.assert_applied(["file[/etc/app/]", "file[/etc/app/motd]"]);
    assert_eq!(host.read("/etc/app/motd").as_deref(), Some("hello\n"));
    assert_eq!(host.mode("/etc/app/motd"), Some(0o640));
    assert_eq!(host.owner("/etc/app/motd"), Some(("www-data".to_owned(), "adm".to_owned())));
    assert!(!std::path::Path::new("/etc/app/motd").exists());
}

#[test]
fn a_change_of_a_file_wakes_its_resource() {
    let host = Host::new();
    let mut run = host.start(motd);
    run.converge();
    run.forget();
    host.write("/etc/app/motd", "good bye\n");
    run.converge();
    run.assert_applied(["file[/etc/app/motd]"]);
    assert_eq!(host.read("/etc/app/motd").as_deref(), Some("hello\n"));
    host.remove("/etc/app");
    run.forget();
    run.converge();
    run.assert_applied(["file[/etc/app/]", "file[/etc/app/motd]"]);
}

#[test]
fn a_command_runs_on_the_host() {
    let host = Host::new();
    host.program("makedb *", |called| {
        called.host.write("/var/lib/app.db", called.args().join(","));
        Answer::prints("made\n")
    });
    let graph = |g: &mut Graph| {
        g.add(Exec::new("db").cmd("makedb a b").creates("/var/lib/app.db"));
        Ok(())
    };
    let mut run = host.start(graph);
    run.converge();
    run.assert_applied(["exec[db]"]);
    assert_eq!(host.read("/var/lib/app.db").as_deref(), Some("a,b"));
    assert_eq!(host.commands_run(), ["makedb a b"]);
    run.stop();
    let mut run = host.start(graph);
    run.converge();
    run.assert_nothing_applied();
}

#[test]
fn an_hour_of_tries_takes_no_time() {
    let host = Host::new();
    host.command("flaky", Answer::fails(3, "not yet\n"));
    let begun = std::time::Instant::now();
    let mut run = host.start(|g: &mut Graph| {
        g.add(Exec::new("flaky").cmd("flaky").retry(59).delay(Duration::from_secs(60)));
        Ok(())
    });
    assert_eq!(run.settle(), Settled::Hopeless);
    assert_eq!(host.commands_run().len(), 60);
    assert!(host.elapsed() >= Duration::from_secs(59 * 60), "{:?}", host.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_killed_process_leaves_its_journal_and_nothing_else_is_done() {
    let host = Host::new();
    host.command("reload", Answer::ok());
    let graph = |g: &mut Graph| {
        let conf = g.add(File::new("/etc/conf").content("a\n"));
        let other = g.add(File::new("/etc/other").content("b\n").after(&conf));
        g.add(Exec::new("reload").cmd("reload").refreshonly(true).subscribe(&conf).after(&other));
        Ok(())
    };
    host.crash_after("file[/etc/conf]");
    let mut run = host.start(graph);
    assert_eq!(run.settle(), Settled::Killed);
    assert_eq!(host.read("/etc/conf").as_deref(), Some("a\n"), "the file was written");
    assert!(host.commands_run().is_empty() && !host.exists("/etc/other"));
    drop(run);
    let mut run = host.start(graph);
    run.converge();
    // The refresh that the killed process owed is paid.
    run.assert_applied(["file[/etc/other]", "refresh exec[reload]"]);
    assert_eq!(host.commands_run(), ["reload"]);
}

#[test]
fn a_process_that_is_killed_at_any_change_of_a_file_is_repaired_by_the_next() {
    let (begin, mut kills) = (Host::new(), 0);
    for n in 1.. {
        let host = begin.fork();
        host.new_life();
        let mut run = host.start(motd);
        host.crash_at_change(n);
        let settled = run.settle();
        drop(run);
        let mut run = host.start(motd);
        run.converge();
        assert_eq!(host.read("/etc/app/motd").as_deref(), Some("hello\n"), "killed at change {n}");
        assert!(host.temporary_files().is_empty(), "killed at change {n}");
        if settled == Settled::Converged {
            break;
        }
        kills += 1;
    }
    assert!(kills > 5, "{kills}");
}

#[test]
fn failures_delays_and_hanging_operations_are_arranged() {
    let graph = |g: &mut Graph| {
        for name in ["/a", "/b", "/c"] {
            g.add(File::new(name).content("x").retry(1).delay(Duration::from_secs(5)).timeout(Duration::from_secs(30)));
        }
        Ok(())
    };
    let host = Host::new();
    host.fail_next("file[/a]", "out of paper");
    host.slow("file[/b]", Duration::from_secs(20));
    host.hang_next("file[/c]");
    let mut run = host.start(graph);
    run.converge();
    run.assert_applied(["file[/a]", "file[/b]", "file[/c]"]);
    let story = run.story();
    assert!(story.contains("out of paper") && story.contains("longer than its `timeout`"), "{story}");
    assert!(host.elapsed() > Duration::from_secs(30));
    assert!(host.try_start(graph, |builder| builder).is_ok());
    host.fail_next("file[/d]", "");
    let error = host.try_start(graph, |builder| builder).unwrap_err();
    assert_eq!(error, "a failure is arranged for file[/d], which is not in the graph");
}

#[test]
fn the_same_seed_gives_the_same_story() {
    let graph = |g: &mut Graph| {
        for n in 0..40 {
            g.add(File::new(format!("/srv/{}/{n}", n % 5)).content("x"));
        }
        (0..5).for_each(|n| _ = g.add(File::new(format!("/srv/{n}/"))));
        (0..5).for_each(|n| {
            _ = g.add(Exec::new(format!("e{n}")).cmd(format!("flaky {n}")).retry(3).delay(Duration::from_secs(1)))
        });
        g.add(Password::new("secret"));
        Ok(())
    };
    let story = || {
        let host = Host::seeded(3);
        host.program("flaky *", |called| match called.host.elapsed() > Duration::from_secs(2) {
            true => Answer::ok(),
            false => Answer::fails(1, "too early\n"),
        });
        let mut run = host.start(graph);
        run.converge();
        let times: Vec<Duration> = run.events().iter().map(|event| event.at).collect();
        (run.story(), times, host.state(&[]))
    };
    let first = story();
    assert!(first.0.contains("too early"));
    for _ in 0..5 {
        assert_eq!(story(), first);
    }
}

#[test]
fn what_was_applied_is_compared_with_and_without_wildcards() {
    let host = Host::new();
    let mut run = host.start(|g: &mut Graph| {
        let mut last = g.add(File::new("/1").content("x"));
        for name in ["/2", "/3"] {
            last = g.add(File::new(name).content("x").after(&last));
        }
        Ok(())
    });
    run.converge();
    run.assert_applied(["file[/1]", "file[/2]", "file[/3]"]);
    run.assert_applied(["file[/1]", "file[*]", "..."]);
    run.assert_applied(["...", "file[/3]", "..."]);
    run.assert_applied_in_any_order(["file[*]", "file[/3]", "file[/1]"]);
    let said = |expected: &[&str]| {
        let panic =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.assert_applied(expected))).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    assert_eq!(
        said(&["file[/1]", "file[/3]", "exec[x]"]),
        "something else was applied than expected:\n    file[/1]\n  + file[/2]\n    file[/3]\n  - exec[x]"
    );
    assert!(said(&[]).ends_with("  + file[/1]\n  + file[/2]\n  + file[/3]"));
}

#[test]
fn lines_of_a_watching_command_wake_its_resource() {
    let host = Host::new();
    host.command("follow *", Answer::ok());
    host.command("act", Answer::ok());
    let mut run = host.start(|g: &mut Graph| {
        g.add(Exec::new("act").cmd("act").watchcmd("follow log"));
        Ok(())
    });
    run.converge();
    assert_eq!(host.commands_run(), ["act"]);
    assert_eq!(host.print_line("follow *", "something"), 1);
    run.converge();
    assert_eq!(host.commands_run(), ["act", "act"]);
    assert_eq!(host.print_line("other", "something"), 0);
}

#[test]
fn a_program_that_is_not_there_is_not_found() {
    let host = Host::new();
    let mut run = host.start(|g: &mut Graph| {
        g.add(Exec::new("a").cmd("no-such-program"));
        Ok(())
    });
    assert_ne!(run.settle(), Settled::Converged);
    assert!(run.story().contains("program `no-such-program` not found"), "{}", run.story());
    host.command("no-such-program", Answer::ok());
    run.pass(Duration::from_secs(60));
    run.converge();
}

#[test]
fn a_plan_has_a_stable_text_and_changes_nothing() {
    let host = Host::new();
    let before = host.state(&[]);
    let plan = host.plan(motd).to_string();
    assert_eq!(plan, host.plan(motd).to_string());
    assert!(plan.contains("file[/etc/app/motd]"), "{plan}");
    assert_eq!(host.state(&[]), before);
}

/// A program, its configuration, and a line of a file that others write too.
fn app(g: &mut Graph) -> Result<()> {
    let every = Duration::from_secs(10);
    let dir = g.add(File::new("/etc/app/"));
    let conf = g.add(File::new("/etc/app/app.conf").content("workers = 4\n").after(&dir));
    let key = g.add(Password::new("app"));
    g.add(File::new("/etc/app/key").content(key.password()).after(&dir));
    g.add(File::new("/etc/app/current").symlink("app.conf").after(&conf));
    g.add(Line::new("127.0.0.1 app", "/etc/hosts").retry(1).delay(every));
    let start = Exec::new("start").cmd("systemctl start app").nifcmd("systemctl is-active app");
    let start = g.add(start.after(&conf));
    let restart = Exec::new("restart").cmd("systemctl restart app").refreshonly(true).retry(1).delay(every);
    g.add(restart.subscribe(&conf).after(&start));
    Ok(())
}

fn app_host() -> Host {
    let host = Host::new();
    host.service("app", ["/etc/app/app.conf"]);
    host.write("/etc/hosts", "127.0.0.1 localhost\n");
    host
}

#[test]
fn a_check_and_a_refresh_fail_once() {
    let host = app_host();
    host.fail_next_check("line[127.0.0.1 app]", "the check is out of paper");
    host.fail_next_refresh("exec[restart]", "the refresh is out of paper");
    let mut run = host.start(app);
    run.converge();
    let story = run.story();
    for error in ["the check is out of paper", "the refresh is out of paper"] {
        assert_eq!(story.matches(error).count(), 1, "{story}");
    }
    assert!(host.elapsed() >= Duration::from_secs(10), "{:?}", host.elapsed());
    assert_eq!(host.read("/etc/hosts").unwrap(), "127.0.0.1 localhost\n127.0.0.1 app\n");
    assert!(run.applied().contains(&"refresh exec[restart]".to_owned()), "{:?}", run.applied());
    assert!(host.runs_with_present_files("app"));
}

#[test]
fn a_process_that_is_killed_before_a_repair_has_not_begun_it() {
    let host = app_host();
    host.crash_before("file[/etc/app/app.conf]");
    let mut run = host.start(app);
    assert_eq!(run.settle(), Settled::Killed);
    assert!(host.is_dir("/etc/app") && !host.exists("/etc/app/app.conf") && !host.runs("app"));
    assert!(run.status().is_none(), "its process is over");
    let mut run = host.start(app);
    run.converge();
    assert!(host.runs_with_present_files("app"));
    // Nothing is left to do. The journal notes a paid refresh within a second: a kill before that repeats it.
    run.pass(Duration::from_secs(1));
    run.kill();
    let mut run = host.start(app);
    run.converge();
    run.assert_nothing_applied();
}

#[test]
fn what_is_changed_or_removed_by_something_else_is_repaired() {
    let host = app_host();
    let mut run = host.start(app);
    run.converge();
    let kept = ["/etc/app/app.conf", "/etc/app/current", "/etc/app/key"];
    let state = |host: &Host| kept.map(|path| (host.link(path), host.read(path), host.mode(path)));
    let before = state(&host);
    for path in kept {
        for lose in [false, true] {
            run.forget();
            match lose {
                true => run.lose(&format!("file[{path}]")),
                false => run.drift(&format!("file[{path}]")),
            }
            assert_ne!(state(&host), before, "{path} {lose}");
            run.converge();
            assert_eq!(run.applied()[0], format!("file[{path}]"));
            assert_eq!((state(&host), host.runs_with_present_files("app")), (before.clone(), true), "{path} {lose}");
        }
    }
    run.forget();
    run.lose("file[/etc/app/]");
    run.converge();
    assert_eq!(state(&host), before);
}

#[test]
fn a_plan_is_compared_as_text() {
    let host = app_host();
    host.write("/etc/app/app.conf", "workers = 1\n");
    assert_eq!(
        host.plan(app).to_string(),
        "\
~ file[/etc/app/app.conf]
    content: 12 bytes → 12 other bytes
      @@ -1 +1 @@
      -workers = 1
      +workers = 4
~ password[app]
    password: none yet → a new one
? file[/etc/app/key]: not known until password[app] has run
~ file[/etc/app/current]
    state: absent → symlink to app.conf
~ line[127.0.0.1 app]
    content: absent → in the file
      +127.0.0.1 app
? exec[start]: not known until file[/etc/app/app.conf] has run
↻ exec[restart]
    asked to refresh, since file[/etc/app/app.conf] would change
4 to repair, 1 to refresh, 2 not known yet, 1 in sync"
    );
}

#[test]
fn the_kernel_of_the_host_has_parameters() {
    let host = Host::new();
    host.make_dir("/etc/sysctl.d");
    host.sysctl("net.ipv4.ip_forward", "0");
    host.sysctl("net.ipv4.tcp_rmem", "1 2 3");
    let graph = |g: &mut Graph| -> Result<()> {
        g.add(Sysctl::new("net.ipv4.ip_forward", "1"));
        g.add(Sysctl::new("net/ipv4/tcp_rmem", "4096 131072 6291456"));
        Ok(())
    };
    let mut run = host.start(graph);
    run.converge();
    assert_eq!(host.sysctl_value("net.ipv4.ip_forward").as_deref(), Some("1"));
    assert_eq!(host.sysctl_value("net.ipv4.tcp_rmem").as_deref(), Some("4096\t131072\t6291456"));
    let text = host.read("/etc/sysctl.d/99-mgmt.conf").unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    run.forget();
    host.sysctl("net.ipv4.ip_forward", "0");
    run.converge();
    run.assert_applied(["sysctl[net.ipv4.ip_forward]"]);
    assert_eq!(host.sysctl_value("net.ipv4.ip_forward").as_deref(), Some("1"));
}
