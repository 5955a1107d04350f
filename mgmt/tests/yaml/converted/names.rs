//! The graph "names \"of\" \\all\nsorts", converted from YAML.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("names \"of\" \\all\nsorts", declare)
}

/// Declares the resources, their order, and what they send one another.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    g.add(File::new("/tmp/corpus/größe-日本").content("größe \\ \"日本\"\t\u{1}{}\n"));
    g.add(File::new("/tmp/corpus/with\nnewline").content("newline"));
    let file_fn = g.add(File::new("fn").path("/tmp/corpus/fn").content("fn"));
    let noop_a_b_c_d = g.add(Noop::new("a\"b'c\\d"));
    g.add(Noop::new("new\nline").subscribe(&noop_a_b_c_d));
    let noop_b_amp_b = g.add(Noop::new("<b>]&amp;[</b>"));
    g.add(Noop::new("*/ //! #[cfg(x)]").before(&file_fn));
    let noop = g.add(Noop::new("日本"));
    g.add(Noop::new("本日").after(&noop));
    g.add(Noop::new("-x").before(&noop_b_amp_b));
    let noop_true = g.add(Noop::new("true"));
    g.add(Noop::new("null").after(&noop_true));
    Ok(())
}
