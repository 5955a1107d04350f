//! What `mgmt convert` prints for the graphs of the corpus, compiled.

use mgmt::graph::Graph;

/// What such a program declares.
pub(crate) type Declare = fn(&mut Graph) -> mgmt::Result<()>;

macro_rules! converted {
    ($($module:ident: $yaml:literal),* $(,)?) => {
        $(
            #[expect(dead_code, unreachable_pub, reason = "it is a program of its own, of which the tests want the graph alone")]
            mod $module;
        )*
        /// The programs, and the graphs that they were converted from.
        pub(crate) const CONVERTED: &[(&str, &str, Declare)] = &[$((stringify!($module), $yaml, $module::declare)),*];
    };
}

converted! {
    accounts: "corpus/accounts.yaml",
    collect: "corpus/collect.yaml",
    everything: "converted/everything.yaml",
    exec: "corpus/exec.yaml",
    file: "corpus/file.yaml",
    guards: "corpus/guards.yaml",
    names: "corpus/names.yaml",
    old: "corpus/old.yaml",
    packages: "corpus/packages.yaml",
    quiet: "corpus/quiet.yaml",
    refresh: "corpus/refresh.yaml",
    remote: "corpus/remote.yaml",
    sends: "corpus/sends.yaml",
    served: "corpus/served.yaml",
    small: "corpus/small.yaml",
    tree: "corpus/tree.yaml",
}
