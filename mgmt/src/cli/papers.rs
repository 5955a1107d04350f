//! What a program prints about itself: schema, completions, manual page.

use std::io;
use std::process::ExitCode;

use crate::cli::app::App;
use crate::cli::commands::{CommandError, print};
use crate::graph::GraphConfig;

/// The schema of graphs: of YAML files, if this program reads them, else of graphs as data. It has the kinds that the program has named, and those of
/// its graph.
pub(crate) fn schema(app: &App, graph: Result<GraphConfig, CommandError>) -> Result<ExitCode, CommandError> {
    let mut specs: Vec<_> = app.kinds.iter().map(|kind| kind.spec).collect();
    match graph {
        Ok(graph) => specs.extend(graph.vertices.iter().map(|vertex| vertex.resource.spec())),
        Err(error) => {
            tracing::warn!(target: "mgmt", "kinds that only the graph knows are left out of the schema: {error}")
        }
    }
    specs.sort_unstable_by_key(|spec| spec.kind);
    specs.dedup_by_key(|spec| spec.kind);
    #[cfg(feature = "yaml")]
    let schema = crate::gapi::yaml_schema_with(specs);
    #[cfg(not(feature = "yaml"))]
    let schema = crate::graph::graph_schema_with(&specs);
    print(&format!("{}\n", serde_json::to_string_pretty(&schema).map_err(io::Error::from)?))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn completion(mut command: clap::Command, shell: clap_complete::Shell) -> Result<ExitCode, CommandError> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn man(command: clap::Command) -> Result<ExitCode, CommandError> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    print(&String::from_utf8_lossy(&page))?;
    Ok(ExitCode::SUCCESS)
}
