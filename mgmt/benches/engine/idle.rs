//! What the stock program does while nothing happens, and while others write in places that are not its business or
//! change what is.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::kit::{content, file_name, row, scratch};

/// How long it is looked at.
const WINDOW: Duration = Duration::from_secs(10);

/// How often all threads of a process have slept so far, and the ticks of a processor that it has used.
fn used(pid: u32) -> (u64, u64) {
    let wakes = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|line| line.trim().parse::<u64>().ok()).unwrap_or_default()
    };
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
    let wakes = tasks.map(|task| wakes(fs::read_to_string(task.path().join("status")).unwrap_or_default())).sum();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields = stat.rsplit(')').next().expect("it has fields").split_whitespace().skip(11).take(2);
    (wakes, fields.map(|ticks| ticks.parse::<u64>().expect("a number")).sum())
}

/// The stock program with this graph, once it has nothing to do.
fn started(dir: &Path, yaml: &str) -> Option<Child> {
    let graph = dir.join("graph.yaml");
    fs::write(&graph, yaml).expect("there is room");
    let mut command = Command::new(option_env!("CARGO_BIN_EXE_mgmt")?);
    command.arg("run").arg("--yaml").arg(graph).arg("--prefix").arg(dir.join("prefix"));
    let status = dir.join("status");
    command.arg("--converged-status-file").arg(&status).stdout(Stdio::null()).stderr(Stdio::null());
    let process = command.spawn().expect("it runs");
    let deadline = Instant::now() + Duration::from_secs(120);
    while !fs::read_to_string(&status).is_ok_and(|text| text.contains("converged")) {
        assert!(Instant::now() < deadline, "it never converges");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Threads that wait for more work end by themselves after ten seconds.
    std::thread::sleep(Duration::from_secs(12));
    Some(process)
}

/// The pause between two rounds of what happens meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// A row of what it does while `meanwhile` happens, again and again.
fn looked_at(name: &str, dir: &Path, yaml: &str, pause: Duration, mut meanwhile: impl FnMut(u64)) {
    let Some(mut process) = started(dir, yaml) else {
        return row(name, "-", "the program `mgmt` was not built: it needs its features");
    };
    let (before, begun) = (used(process.id()), Instant::now());
    let mut number = 0;
    while begun.elapsed() < WINDOW {
        meanwhile(number);
        number += 1;
        std::thread::sleep(pause);
    }
    let (after, seconds) = (used(process.id()), begun.elapsed().as_secs_f64());
    process.kill().expect("it runs");
    process.wait().expect("it ends");
    let (wakes, ticks) = (after.0.saturating_sub(before.0) as f64, after.1 - before.1);
    let more = format!("{:.1} % of a core; {:.1} wake-ups a second", ticks as f64 / seconds, wakes / seconds);
    row(name, &format!("{} ms", ticks * 10), &more);
}

fn files(dir: &Path) -> String {
    fs::create_dir_all(dir).expect("there is room");
    let mut text = String::from("graph: idle\nresources:\n  file:\n");
    for n in 0..400 {
        let content = content(n).replace('\n', "\\n");
        text += &format!("  - name: {}\n    content: \"{content}\"\n", dir.join(file_name(n)).display());
    }
    text
}

/// 400 files in sync: nothing happens.
pub(crate) fn idle() {
    let (_keep, dir) = scratch();
    looked_at("idle 400 files: CPU in 10 s", &dir, &files(&dir.join("files")), PAUSE, |_| ());
}

/// … while others write in a directory above.
pub(crate) fn beside() {
    let (_keep, dir) = scratch();
    let above = dir.join("above");
    looked_at("idle beside others: CPU in 10 s", &dir, &files(&above.join("files")), PAUSE, |number| {
        for n in 0..100 {
            fs::write(above.join(format!("other{n}")), number.to_string()).expect("there is room");
        }
    });
}

/// A tree of 5 000 files with a source; one of them is changed by others ten times a second, or a hundred times.
pub(crate) fn foreign() {
    changed_by_others("foreign writer in 5000: CPU in 10 s", PAUSE);
    changed_by_others("foreign 100 a second: CPU in 10 s", PAUSE / 10);
}

fn changed_by_others(name: &str, pause: Duration) {
    const COUNT: usize = 5_000;
    let (_keep, dir) = scratch();
    for n in 0..COUNT {
        let below = dir.join("source").join(format!("d{}", n % 50));
        fs::create_dir_all(&below).expect("there is room");
        fs::write(below.join(file_name(n)), content(n)).expect("there is room");
    }
    let (source, tree) = (dir.join("source"), dir.join("tree"));
    let yaml = format!(
        "graph: foreign\nresources:\n  file:\n  - name: {}/\n    source: {}/\n    recurse: true\n",
        tree.display(),
        source.display()
    );
    looked_at(name, &dir, &yaml, pause, |number| {
        let n = number as usize * 37 % COUNT;
        fs::write(tree.join(format!("d{}", n % 50)).join(file_name(n)), "changed").expect("it is there");
    });
}
