//! What a program prints about itself: schema, completions, manual page.

use std::io;
use std::process::ExitCode;

use crate::cli::app::App;
use crate::cli::commands::{CommandError, print};

/// The schema of graphs: of YAML files, if this program reads them, else of graphs as data.
pub(crate) fn schema(app: &App) -> Result<ExitCode, CommandError> {
    #[cfg(feature = "yaml")]
    let schema = crate::gapi::yaml_schema(&app.kinds);
    #[cfg(not(feature = "yaml"))]
    let schema = crate::graph::graph_schema(&app.kinds);
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
