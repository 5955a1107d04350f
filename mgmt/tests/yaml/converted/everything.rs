//! The graph "everything", converted from YAML.

use std::time::Duration;

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("everything", declare)
}

/// Declares the resources, their order, and what they send one another.
// Commands of YAML graphs inherit the environment; here they have `PATH` alone: give `.env(…)` what else they need.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    let file_etc_app = g.add(File::new("/etc/app/").mode("0755"));
    let file_etc_app_conf = g.add(
        File::new("/etc/app/conf")
            .content("say \"hi\"\n\ttwo\n")
            .mode("u=rw,go=r")
            .owner("root")
            .group("0")
            .noop(true)
            .retry(3)
            .delay(Duration::from_millis(1500))
            .sema("disk")
            .sema("net:2")
            .after(&file_etc_app),
    );
    let password_admin_1 = g.add(Password::new("admin/1").length(16usize).saved(true));
    let file_secret = g.add(
        File::new("secret")
            .path("/etc/app/secret")
            .content(password_admin_1.password()),
    );
    g.add(File::new("/etc/app/old").state(FileState::Absent));
    g.add(
        File::new("/etc/app/parts")
            .fragments(["/etc/a", "/etc/b"])
            .force(true)
            .removals_max(5u32),
    );
    g.add(File::new("/etc/app/link").symlink("conf"));
    g.add(mgmt::resource::Declare::timeout(Exec::new("reload").cmd("systemctl").args(["reload", "an app"]).env([("B", "2"), ("LANG", "C")]).timeout(Duration::from_secs(3)).mtimes(["/etc/app/conf"]).watch(false).poll(Duration::from_secs(60)).limit(0.5).burst(2).subscribe(&file_etc_app_conf), Duration::from_millis(2500)));
    let exec_late = g.add(
        Exec::new("late")
            .cmd("true")
            .backoff(Duration::from_secs(60))
            .autoedge(false)
            .autogroup(false)
            .rewatch(true),
    );
    g.add(
        Cron::new("backup")
            .time("04:00")
            .cmd(["/usr/bin/rsync", "-a", "/srv", "/mnt/100% full"])
            .persistent(true),
    );
    g.add(
        Cron::new("trim")
            .trigger(CronBase::OnUnitInactiveSec)
            .time("5min 20s")
            .unit("fstrim.service")
            .startup(SvcStartup::Disabled)
            .accuracysec("1us")
            .randomizeddelaysec("1h")
            .wakesystem(true)
            .remainafterelapse(false),
    );
    g.add(Cron::new("old").state(CronState::Absent).session(true));
    g.add(Hostname::new("names").hostname("web2").pretty_hostname("Web Two"));
    g.add(Svc::new("nginx").state(SvcState::Running).startup(SvcStartup::Enabled));
    g.add(
        Svc::new("backup.timer")
            .state(SvcState::Stopped)
            .startup(SvcStartup::Masked)
            .session(true),
    );
    let msg_admin_1 = g.add(
        Msg::new("admin 1")
            .body("done")
            .priority(Priority::Warning)
            .fields([("n", "1")]),
    );
    g.add(Timer::new("tick", Duration::from_millis(1500)).notify(&file_secret));
    g.add(Timer::new("tock", Duration::from_secs(60)));
    g.add(Noop::new("end").comment("all of it").before(&exec_late).after(&msg_admin_1));
    g.add(Value::new("v").value(exec_late.stdout()));
    g.add(HttpServer::new("127.0.0.1:8080").root("/srv").timeout(Duration::from_secs(5)));
    Ok(())
}
