//! The graph "collect", converted from YAML.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("collect", declare)
}

/// Declares the resources, their order, and what they send one another.
// Commands of YAML graphs inherit the environment; here they have `PATH` alone: give `.env(…)` what else they need.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    let collected_1 = g.collect::<File>().set("dirname", "/tmp/corpus/here/");
    let collected_2 = g.collect::<Kv>();
    let file_tmp_corpus_here = g.add(File::new("/tmp/corpus/here/").state(FileState::Exists));
    g.add(File::new("/tmp/corpus/port").content(collected_2.one("port").stored()));
    let exec_says = g.add(Exec::new("says").cmd("/bin/echo received"));
    g.export(File::new("/elsewhere/shared").content("shared"));
    g.export(File::new("/elsewhere/theirs").content("theirs")).to(["another.host"]);
    g.export(File::new("/elsewhere/sealed").content("sealed")).sealed_to(["another.host"]);
    g.export(File::new("/elsewhere/received").content(exec_says.stdout()));
    g.export(Kv::new("port").value("80"));
    g.before(&file_tmp_corpus_here, &collected_1.one("/elsewhere/shared"));
    Ok(())
}
