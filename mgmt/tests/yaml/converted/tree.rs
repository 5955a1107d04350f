//! The graph "tree", converted from YAML.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("tree", declare)
}

/// Declares the resources, their order, and what they send one another.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    g.add(File::new("/tmp/corpus/copied/").source("/tmp/corpus/src/").recurse(true));
    g.add(File::new("/tmp/corpus/flat/").source("/tmp/corpus/src/"));
    g.add(File::new("/tmp/corpus/joined").fragments(["/tmp/corpus/parts/", "/tmp/corpus/old"]));
    g.add(File::new("/tmp/corpus/full/").recurse(true).purge(true).removals_max(3u32));
    g.add(File::new("/tmp/corpus/full/keep"));
    g.add(File::new("/tmp/corpus/wrong/").mode("0700").force(true));
    g.add(File::new("/tmp/corpus/owned").content("x").mode("u=rw,g=r,o=").owner("0").group("0"));
    g.add(File::new("/tmp/corpus/kept").state(FileState::Undefined).mode("0600"));
    g.add(File::new("/tmp/corpus/via/through").content("through").follow_symlinks(true));
    Ok(())
}
