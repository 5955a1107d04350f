//! The graph "collect", converted from YAML.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("collect", declare)
}

/// Declares the resources, their order, and what they send one another.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    let file_tmp_corpus_here = g.add(File::new("/tmp/corpus/here/").state(FileState::Exists));
    g.export(File::new("/elsewhere/shared").content("shared"));
    g.export(File::new("/elsewhere/theirs").content("theirs")).to(["another.host"]);
    let collected_1 = g.collect::<File>().set("dirname", "/tmp/corpus/here/");
    g.before(&file_tmp_corpus_here, &collected_1.one("/elsewhere/shared"));
    Ok(())
}
