//! The graph "packages", converted from YAML.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("packages", declare)
}

/// Declares the resources, their order, and what they send one another.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    g.add(
        Pkg::new("no-such-package")
            .state("1.2-3")
            .allowuntrusted(true)
            .allownonfree(true)
            .allowunsupported(true)
            .allowdowngrade(true)
            .conffiles(PkgConffiles::Replace)
            .configure(true)
            .backend(PkgBackend::Apt)
            .hidden(true),
    );
    g.add(Pkg::new("no-other-package").state("uninstalled"));
    g.add(Pkg::new("no-third-package").state("newest").hidden(true));
    g.add(Pkg::new("no-third-package").hidden(true));
    g.add(Pkg::new("no-fifth-package").backend(PkgBackend::Packagekit).hidden(true));
    g.add(Pkg::new("no-sixth-package").hidden(true));
    g.add(Pkg::new("no-fourth-package:i386").hidden(true));
    g.add(File::new("/tmp/corpus/made").content("made"));
    Ok(())
}
