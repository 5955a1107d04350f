//! Very many watched files: how long it takes until all are watched, what each costs, and how soon a deleted one is back,
//! beside a C loop that does just that (`watch_floor.c`).

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mgmt::Engine;

use crate::kit::{child, content, file_name, files_graph, median, row, scratch, status_kib};

const COUNT: usize = 100_000;
const DELETED: usize = 200;

/// Deletes files one after the other, and waits until each is back.
fn deleted(dir: &Path) -> (Duration, Duration) {
    let mut times = Vec::new();
    for n in 0..DELETED {
        let path = dir.join(file_name(n * (COUNT / DELETED)));
        let begun = Instant::now();
        fs::remove_file(&path).expect("it was there");
        while !path.exists() {
            std::hint::spin_loop();
        }
        times.push(begun.elapsed());
        // What follows a repair must not delay the next.
        std::thread::sleep(Duration::from_millis(20));
    }
    median(times)
}

/// In a process of its own: prints how long it took until all was watched and in sync, by how many bytes that made the
/// process grow, and how soon a deleted file was back.
pub(crate) async fn as_child(dir: &Path) {
    let graph = files_graph(&dir.join("tree"), COUNT);
    let before = status_kib("VmRSS") << 10;
    let begun = Instant::now();
    let engine = Engine::builder().graph(graph).prefix(dir.join("prefix")).start().await.expect("it starts");
    engine.converged().await.expect("it converges");
    let (took, grown) = (begun.elapsed(), (status_kib("VmRSS") << 10).saturating_sub(before));
    let (tree, back) = (dir.join("tree"), tokio::task::spawn_blocking);
    let (p50, p99) = back(move || deleted(&tree)).await.expect("no panic");
    engine.stop().await.expect("it stops");
    println!("{} {grown} {} {}", took.as_micros(), p50.as_micros(), p99.as_micros());
}

pub(crate) fn many() {
    let (_keep, dir) = scratch();
    let tree = dir.join("tree");
    fs::create_dir(&tree).expect("there is room");
    for n in 0..COUNT {
        fs::write(tree.join(file_name(n)), content(n)).expect("there is room");
    }
    std::thread::sleep(Duration::from_secs(3));
    let output = child("many", &dir).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("it prints text");
    let figures: Vec<u64> = text.split_whitespace().map(|figure| figure.parse().expect("a number")).collect();
    let [took, grown, p50, p99] = figures[..] else { panic!("it prints four figures: {text}") };
    let took = Duration::from_micros(took);
    row("many 100000: in sync and watched", &format!("{took:.2?}"), "from a graph in hand");
    row("many 100000: memory of each", &format!("{} B", grown / COUNT as u64), "what the process has grown by");
    let floor = floor(&dir, &tree);
    let beside = |ours: u64, floor: Option<Duration>| match floor {
        Some(floor) => format!("{:.2} × the C loop, {floor:.1?}", ours as f64 / floor.as_micros() as f64),
        None => "no C compiler for the floor".to_owned(),
    };
    for (name, ours, floor) in [
        ("many 100000: deleted to back, p50", p50, floor.map(|(p50, _)| p50)),
        ("many 100000: deleted to back, p99", p99, floor.map(|(_, p99)| p99)),
    ] {
        row(name, &format!("{:.1?}", Duration::from_micros(ours)), &beside(ours, floor));
    }
}

/// The same by the program that does nothing else.
fn floor(dir: &Path, tree: &Path) -> Option<(Duration, Duration)> {
    let program = dir.join("watch_floor");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/engine/watch_floor.c");
    let built = Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(source).status();
    built.is_ok_and(|status| status.success()).then_some(())?;
    let mut process = Command::new(program).arg(tree).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut line = String::new();
    BufReader::new(process.stdout.take().expect("it is piped")).read_line(&mut line).expect("it prints");
    let times = deleted(tree);
    process.kill().expect("it runs");
    process.wait().expect("it ends");
    Some(times)
}
