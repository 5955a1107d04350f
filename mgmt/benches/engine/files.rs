//! Whole processes that find files in sync or create them, each beside the least that a program can do (`floor.c`), in
//! turn.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::runtime::EventKind;

use crate::kit::{child, content, file_name, files_graph, median, row, scratch, status_kib};

const COUNT: usize = 500;
const RUNS: usize = 21;

/// What runs in a process of its own.
pub(crate) async fn as_child(what: &str, dir: &Path) {
    let count = if what == "files" { COUNT } else { 1 };
    let builder = Engine::builder().graph(files_graph(&dir.join("tree"), count)).prefix(dir.join("prefix"));
    let mut events = builder.events();
    let engine = builder.start().await.expect("it starts");
    if what == "start" {
        while let Some(event) = events.next().await {
            if let EventKind::InSync { .. } | EventKind::Drifted { .. } = event.kind {
                println!("checked");
                break;
            }
        }
    }
    engine.converged().await.expect("it converges");
    engine.stop().await.expect("it stops");
    // Whoever wanted to know when it began may be gone.
    let _ = writeln!(std::io::stdout(), "{}", status_kib("VmHWM"));
}

/// The program that does the least, where a C compiler makes one.
struct Floor(Option<PathBuf>);

impl Floor {
    fn build(dir: &Path) -> Floor {
        let program = dir.join("floor");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/engine/floor.c");
        let built = Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(source).status();
        Floor(built.is_ok_and(|status| status.success()).then_some(program))
    }

    fn command(&self, dir: &Path, count: usize) -> Option<Command> {
        let mut command = Command::new(self.0.as_ref()?);
        command.arg(dir).arg(count.to_string());
        Some(command)
    }
}

/// The stock program with a YAML file of so many files, until it has converged.
fn stock(dir: &Path, count: usize) -> Option<Command> {
    let yaml = dir.join(format!("{count}.yaml"));
    if !yaml.exists() {
        let mut text = String::from("graph: files\nresources:\n  file:\n");
        for n in 0..count {
            let path = dir.join("tree").join(file_name(n));
            let content = content(n).replace('\n', "\\n");
            text += &format!(
                "  - name: {}\n    state: exists\n    mode: '0644'\n    content: \"{content}\"\n",
                path.display()
            );
        }
        fs::write(&yaml, text).expect("there is room");
    }
    let mut command = Command::new(option_env!("CARGO_BIN_EXE_mgmt")?);
    command.arg("run").arg("--yaml").arg(yaml).args(["--converged-timeout", "0"]);
    command.arg("--prefix").arg(dir.join(format!("prefix{count}"))).stdout(Stdio::null()).stderr(Stdio::null());
    Some(command)
}

fn timed(command: &mut Command) -> Duration {
    let begun = Instant::now();
    let output = command.output().expect("it runs");
    let took = begun.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

/// A row of two programs that run in turn: of each, the command of a run.
fn race(name: &str, ours: impl Fn(usize) -> Option<Command>, floor: impl Fn(usize) -> Option<Command>, more: &str) {
    let (mut times, mut floors) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        floors.extend(floor(run).as_mut().map(timed));
        match ours(run) {
            Some(mut ours) => times.push(timed(&mut ours)),
            None => return row(name, "-", "the program `mgmt` was not built: it needs its features"),
        }
    }
    let (p50, _) = median(times);
    let beside = match floors.is_empty() {
        true => "no C compiler for the floor".to_owned(),
        false => {
            let floor = median(floors).0;
            format!("{:.2} × the C loop, {floor:.1?}", p50.as_secs_f64() / floor.as_secs_f64())
        }
    };
    row(name, &format!("{p50:.1?}"), &format!("{beside}{more}"));
}

/// Whole processes that find 500 files, or one, in sync.
pub(crate) fn in_sync() {
    let (_keep, dir) = scratch();
    let (floor, plain) = (Floor::build(&dir), dir.join("plain"));
    fs::create_dir_all(&plain).expect("there is room");
    let output = child("files", &dir).output().expect("it runs");
    assert!(output.status.success());
    let peak = String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().expect("a number") / 1024;
    let peak = format!("; peak {peak} MB");
    if let Some(mut make) = floor.command(&plain, COUNT) {
        timed(&mut make);
    }
    // What was written in the last seconds is read again at each check.
    std::thread::sleep(Duration::from_secs(3));
    let (floor, plain) = (&floor, &plain);
    let floor = |count| move |_| floor.command(plain, count);
    race("files in sync: 500, a program", |_| Some(child("files", &dir)), floor(COUNT), &peak);
    race("files in sync: 500, mgmt and YAML", |_| stock(&dir, COUNT), floor(COUNT), "");
    race("files in sync: 1, mgmt and YAML", |_| stock(&dir, 1), floor(1), "");
}

/// The same, where the files must be made: durable when the process ends.
pub(crate) fn created() {
    let (_keep, dir) = scratch();
    let floor = Floor::build(&dir);
    // In directories of their own: where files were deleted shortly before, some file systems make new ones slowly.
    let made = |name: &str, run: usize| {
        let dir = dir.join(format!("{name}{run}"));
        fs::create_dir(&dir).expect("there is room");
        dir
    };
    let ours = |run| Some(child("files", &made("ours", run)));
    race("files created: 500, durable", ours, |run| floor.command(&made("floor", run), COUNT), "");
}

/// From the start of a process to the end of its first check.
pub(crate) fn start() {
    let (_keep, dir) = scratch();
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let begun = Instant::now();
        let mut process = child("start", &dir).spawn().expect("it runs");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it is piped")).read_line(&mut line).expect("it prints");
        times.push(begun.elapsed());
        process.wait().expect("it ends");
    }
    let (p50, _) = median(times);
    row("start to first check", &format!("{p50:.1?}"), "median of 21");
}
