//! The graph "collect", converted from YAML.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("collect", declare)
}

/// Declares the resources, their order, and what they send one another.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    let file_tmp_corpus_here = g.add(File::new("/tmp/corpus/here/").state(FileState::Exists));
    g.add(
        File::new("/elsewhere/shared")
            .dirname("/tmp/corpus/here/")
            .content("shared")
            .after(&file_tmp_corpus_here),
    );
    Ok(())
}
