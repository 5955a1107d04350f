//! The graph "file", converted from YAML.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("file", declare)
}

/// Declares the resources, their order, and what they send one another.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    let file_tmp_corpus_dir = g.add(File::new("/tmp/corpus/dir/").mode("0750"));
    let file_tmp_corpus_dir_text = g.add(
        File::new("/tmp/corpus/dir/text")
            .content("hello\n")
            .mode("0640")
            .after(&file_tmp_corpus_dir),
    );
    g.add(File::new("/tmp/corpus/dir/link").symlink("text").after(&file_tmp_corpus_dir));
    g.add(
        File::new("copy")
            .path("/tmp/corpus/copy")
            .state(FileState::Exists)
            .source("/tmp/corpus/dir/text")
            .after(&file_tmp_corpus_dir_text),
    );
    g.add(
        File::new("moved")
            .dirname("/tmp/corpus/dir/")
            .basename("moved")
            .content("m")
            .after(&file_tmp_corpus_dir),
    );
    g.add(File::new("/tmp/corpus/old").state(FileState::Absent));
    g.add(File::new("/tmp/corpus/empty").content(""));
    Ok(())
}
