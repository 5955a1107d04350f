//! The graph "refresh", converted from YAML.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("refresh", declare)
}

/// Declares the resources, their order, and what they send one another.
// Commands of YAML graphs inherit the environment; here they have `PATH` alone: give `.env(…)` what else they need.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    let file_tmp_corpus_conf = g.add(File::new("/tmp/corpus/conf").content("a"));
    g.add(
        Exec::new("reload")
            .cmd("echo reload >> /tmp/corpus/log")
            .shell("/bin/sh")
            .refreshonly(true)
            .subscribe(&file_tmp_corpus_conf),
    );
    g.add(
        Exec::new("deaf")
            .cmd("touch /tmp/corpus/deaf")
            .refreshonly(true)
            .after(&file_tmp_corpus_conf),
    );
    Ok(())
}
