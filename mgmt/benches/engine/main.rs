//! What the engine costs, row by row: `cargo bench -p mgmt --bench engine`, or with the beginning of a row's name to run it alone.

mod asked;
#[cfg(feature = "etcd")]
#[path = "../../tests/etcd/authority.rs"]
mod authority;
#[cfg(feature = "etcd")]
#[path = "../../tests/etcd/crowd.rs"]
mod crowd;
mod files;
#[cfg(feature = "etcd")]
mod hosts;
mod idle;
mod kit;
mod many;
mod noops;
mod packages;
mod repair;
#[cfg(feature = "etcd")]
#[path = "../../tests/etcd/server.rs"]
mod server;
mod watched;

use std::path::Path;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["child", "noops", shape, count] => {
            return kit::runtime().block_on(noops::noops_once(shape, count.parse().expect("a number")));
        }
        #[cfg(feature = "etcd")]
        ["child", "hosts", count, apart] => {
            return kit::runtime().block_on(hosts::as_child(count.parse().expect("a number"), *apart == "apart"));
        }
        ["child", "many", dir] => return kit::runtime().block_on(many::as_child(Path::new(dir))),
        ["child", "keep", dir] => return kit::runtime().block_on(repair::keep(Path::new(dir))),
        ["child", "probe", dir] => return repair::probe(Path::new(dir)),
        ["child", what, dir] => return kit::runtime().block_on(files::as_child(what, Path::new(dir))),
        _ => {}
    }
    let wanted =
        |row: &str| arguments.is_empty() || arguments.iter().any(|argument| row.starts_with(argument.as_str()));
    println!("{:<44} {:>12}  more", "row", "figure");
    for shape in ["chain", "layers", "independent"] {
        for count in [1_000, 10_000, 100_000, 1_000_000, 10_000_000] {
            // The largest only if it is asked for: the graph alone takes gigabytes.
            let is_asked = count < 10_000_000 || !arguments.is_empty();
            if is_asked && wanted(&format!("noops {shape} {count}")) {
                noops::noops(shape, count);
            }
        }
    }
    if wanted("swap") {
        kit::runtime().block_on(noops::swap());
    }
    if wanted("asked") {
        kit::runtime().block_on(asked::start());
        kit::runtime().block_on(asked::readers());
    }
    if wanted("packages") {
        kit::runtime().block_on(packages::checked());
    }
    if wanted("files in sync") {
        files::in_sync();
    }
    if wanted("files created") {
        files::created();
    }
    if wanted("watched") {
        kit::runtime().block_on(watched::watched());
    }
    if wanted("many") {
        many::many();
    }
    if wanted("idle 400") {
        idle::idle();
    }
    if wanted("idle beside") {
        idle::beside();
    }
    if wanted("foreign") {
        idle::foreign();
    }
    if wanted("deleted") {
        repair::deleted();
    }
    if wanted("start") {
        files::start();
    }
    #[cfg(feature = "etcd")]
    for (row, count, apart) in [("hosts 50", 50, false), ("hosts 1000", 1000, false), ("hosts apart", 1000, true)] {
        if wanted(row) {
            hosts::hosts(count, apart);
        }
    }
}
