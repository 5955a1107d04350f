//! tmp
use mgmt::id::ResourceId;
use mgmt::journal::*;
use std::sync::mpsc::channel;
use std::time::*;
fn main() {
    let dir = tempfile::tempdir_in(std::env::args().nth(1).unwrap_or("/tmp".into())).unwrap();
    let t = Instant::now();
    let j = Journal::open(dir.path()).unwrap();
    println!("create {:?}", t.elapsed());
    let e = |n: usize| {
        vec![Entry::Intent { from: ResourceId::new("file", format!("/etc/f{n}")), to: ResourceId::new("svc", "x") }]
    };
    let t = Instant::now();
    for n in 0..500 {
        let (s, r) = channel();
        j.submit(e(n), move |x| s.send(x).unwrap());
        r.recv().unwrap().unwrap();
    }
    println!("500 one by one {:?} = {:?} each", t.elapsed(), t.elapsed() / 500);
    let t = Instant::now();
    let (s, r) = channel();
    for n in 0..20000 {
        let s = s.clone();
        j.submit(e(n + 1000), move |x| s.send(x).unwrap());
    }
    println!("20000 submitted {:?}", t.elapsed());
    for _ in 0..20000 {
        r.recv().unwrap().unwrap();
    }
    println!("20000 at once {:?}", t.elapsed());
    // 16 outstanding
    let t = Instant::now();
    for n in 0..16 {
        let s = s.clone();
        j.submit(e(n + 100_000), move |x| s.send(x).unwrap());
    }
    for n in 16..5000 {
        r.recv().unwrap().unwrap();
        let s = s.clone();
        j.submit(e(n + 100_000), move |x| s.send(x).unwrap());
    }
    for _ in 0..16 {
        r.recv().unwrap().unwrap();
    }
    println!("5000 with 16 under way {:?} = {:.0}/s", t.elapsed(), 5000. / t.elapsed().as_secs_f64());
    let t = Instant::now();
    j.note(
        (0..100_000)
            .map(|n| Entry::Sent {
                of: ResourceId::new("exec", format!("run {n}")),
                port: "stdout".into(),
                digest: Some([n as u8; 32]),
            })
            .collect(),
    );
    println!("100000 noted {:?}", t.elapsed());
    j.flush().unwrap();
    println!("100000 digests {:?}", t.elapsed());
    j.close().unwrap();
    println!("file {} bytes", std::fs::metadata(dir.path().join("journal.redb")).unwrap().len());
    let t = Instant::now();
    let j = Journal::open(dir.path()).unwrap();
    println!("open after close, {} resources {:?}", j.resources().len(), t.elapsed());
    std::mem::forget(j); // then copy as crash
    let two = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::copy(dir.path().join("journal.redb"), two.path().join("journal.redb")).unwrap();
    let t = Instant::now();
    let j = Journal::open(two.path()).unwrap();
    println!("open after crash {:?}", t.elapsed());
    j.retain(|_| false);
    let t = Instant::now();
    j.close().unwrap();
    println!("forget all {:?}", t.elapsed());
    let t = Instant::now();
    let j = Journal::open(two.path()).unwrap();
    println!("open empty again {:?} {}", t.elapsed(), j.resources().len());
    drop(j);
    println!("file {} bytes", std::fs::metadata(two.path().join("journal.redb")).unwrap().len());
    let three = tempfile::tempdir_in("/tmp").unwrap();
    let j = Journal::open(three.path()).unwrap();
    j.note(e(1));
    j.close().unwrap();
    println!("file {} bytes", std::fs::metadata(three.path().join("journal.redb")).unwrap().len());
    for _ in 0..3 {
        let t = Instant::now();
        let j = Journal::open(three.path()).unwrap();
        println!("open small {:?}", t.elapsed());
        let t = Instant::now();
        drop(j);
        println!("drop small {:?}", t.elapsed());
    }
    let f = std::fs::File::create(three.path().join("x")).unwrap();
    use std::os::unix::fs::FileExt;
    let t = Instant::now();
    for n in 0..200 {
        f.write_all_at(&[n as u8; 4096], 0).unwrap();
        f.sync_data().unwrap();
    }
    println!("fdatasync {:?}", t.elapsed() / 200);
}
