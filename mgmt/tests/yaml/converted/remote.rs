//! The graph "remote", converted from YAML.

use mgmt::prelude::*;

fn main() -> mgmt::ExitCode {
    mgmt::main!("remote", declare)
}

/// Declares the resources, their order, and what they send one another.
pub fn declare(g: &mut Graph) -> mgmt::Result<()> {
    let remote_web = g.add(
        Remote::new("web")
            .host("local:web")
            .graph("{\"edges\":[],\"graph\":\"web\",\"resources\":[{\"fields\":{\"content\":\"there\"},\"kind\":\"file\",\"name\":\"/tmp/corpus/parts/there\",\"origin\":\"remote:4:12\"}],\"sends\":[]}".parse::<mgmt::remote::RemoteGraph>()?)
            .prefix("/tmp/corpus/web")
            .hostname("web1"),
    );
    g.add(Remote::new("db").host("local:db").yaml("/tmp/corpus/db.yaml").prefix("/tmp/corpus/db"));
    g.add(
        File::new("/tmp/corpus/db.yaml")
            .content("graph: db\nresources: {file: [{name: /tmp/corpus/full/other, content: other}]}\n"),
    );
    g.add(File::new("/tmp/corpus/after").content("after").after(&remote_web));
    Ok(())
}
