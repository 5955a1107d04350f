//! How long a deleted file stays away, beside the least that a program can do (`repair_floor.c`), in turn. Both are
//! programs of their own, and so is the one that deletes and looks.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mgmt::Engine;

use crate::kit::{child, content, file_name, files_graph, median, row, scratch};

const COUNT: usize = 400;
const ROUNDS: usize = 400;
/// How often each of the two is measured.
const TURNS: usize = 3;
const PAUSE: Duration = Duration::from_millis(5);
/// A file that stays away longer is lost.
const LOST: Duration = Duration::from_secs(10);

/// Keeps the files until its input ends.
pub(crate) async fn keep(dir: &Path) {
    let prefix = tempfile::tempdir().expect("there is room");
    let builder = Engine::builder().graph(files_graph(dir, COUNT)).prefix(prefix.path());
    let engine = builder.start().await.expect("it starts");
    engine.converged().await.expect("it converges");
    println!("listens");
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    // However its input ends.
    let _ = ended.await;
    engine.stop().await.expect("it stops");
}

/// Deletes one file after the other, and prints how long each stays away, in nanoseconds, and whether it was whole when it
/// was seen first.
pub(crate) fn probe(dir: &Path) {
    let mut lines = String::new();
    for round in 0..ROUNDS {
        let path = dir.join(file_name(round % COUNT));
        let wanted = content(round % COUNT);
        let begun = Instant::now();
        fs::remove_file(&path).expect("it is there");
        let took = loop {
            if fs::symlink_metadata(&path).is_ok() {
                break begun.elapsed();
            }
            assert!(begun.elapsed() < LOST, "{} does not come back", path.display());
            std::thread::yield_now();
        };
        let is_whole = fs::read(&path).is_ok_and(|bytes| bytes == wanted.as_bytes())
            && fs::metadata(&path).is_ok_and(|stat| stat.mode() & 0o7777 == 0o644);
        lines += &format!("{} {is_whole}\n", took.as_nanos());
        std::thread::sleep(PAUSE);
    }
    print!("{lines}");
}

/// What one program takes, and how many files were seen half made.
fn measure(mut keeper: Command, dir: &Path) -> (Vec<Duration>, usize) {
    let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut line = String::new();
    BufReader::new(keeper.stdout.take().expect("it is piped")).read_line(&mut line).expect("it prints");
    assert_eq!(line, "listens\n");
    std::thread::sleep(Duration::from_millis(300));
    // It polls only on a processor that no other program wants, or both would wait for it.
    let probe = child("probe", dir);
    let mut idle = Command::new("chrt");
    idle.args(["--idle", "0"]).arg(probe.get_program()).args(probe.get_args()).stdout(Stdio::piped());
    let output = idle.output().unwrap_or_else(|_| child("probe", dir).output().expect("it runs"));
    drop(keeper.stdin.take());
    keeper.wait().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("numbers");
    let rounds = lines.lines().map(|line| line.split_once(' ').expect("two words"));
    let halves = rounds.clone().filter(|(_, is_whole)| *is_whole != "true").count();
    let times = rounds.map(|(nanos, _)| Duration::from_nanos(nanos.parse().expect("a number")));
    (times.collect(), halves)
}

fn build_floor(dir: &Path) -> Option<PathBuf> {
    let program = dir.join("repair_floor");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/engine/repair_floor.c");
    let built = Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(source).status();
    built.is_ok_and(|status| status.success()).then_some(program)
}

/// 400 watched files, one deleted after the other.
pub(crate) fn deleted() {
    let (_keep, scratch) = scratch();
    let (ours, plain) = (scratch.join("ours"), scratch.join("plain"));
    fs::create_dir(&plain).expect("there is room");
    for n in 0..COUNT {
        let mut file = fs::File::create(plain.join(file_name(n))).expect("there is room");
        file.write_all(content(n).as_bytes()).expect("there is room");
    }
    let floor = build_floor(&scratch);
    let (mut times, mut floors, mut halves) = (Vec::new(), Vec::new(), 0);
    for _ in 0..TURNS {
        let (took, half) = measure(child("keep", &ours), &ours);
        times.extend(took);
        halves += half;
        if let Some(floor) = &floor {
            let mut command = Command::new(floor);
            command.arg(&plain);
            floors.extend(measure(command, &plain).0);
        }
    }
    let (p50, p99) = median(times);
    let beside = match floors.is_empty() {
        true => "no C compiler for the floor".to_owned(),
        false => {
            let (floor50, floor99) = median(floors);
            let times = |ours: Duration, floor: Duration| ours.as_secs_f64() / floor.as_secs_f64();
            format!(
                "{:.2} × the C loop, {floor50:.1?}; p99 {p99:.1?}, {:.2} × its {floor99:.1?}",
                times(p50, floor50),
                times(p99, floor99)
            )
        }
    };
    row("deleted: 400 watched, back after, p50", &format!("{p50:.1?}"), &format!("{beside}; {halves} seen half made"));
}
