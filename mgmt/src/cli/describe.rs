//! Output in which a program describes itself: schema, completions, manual page.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use clap_mangen::Man;

use crate::cli::completing;
use crate::cli::exit;
use crate::cli::report::CommandError;
use crate::cli::session::{Session, print};
use crate::graph::GraphConfig;

/// The JSON schema of graphs: of YAML files with the feature `yaml`, otherwise of graphs as data. It contains the kinds
/// that the program names, and those of its graph.
pub(crate) fn schema(session: &Session, graph: Result<Arc<GraphConfig>, CommandError>) -> Result<String, CommandError> {
    if let Some(clash) = session.kinds.clashes().into_iter().next() {
        return Err(CommandError::Other(clash));
    }
    let mut specs: Vec<_> = session.kinds.iter().map(|kind| kind.spec).collect();
    match graph {
        Ok(graph) => specs.extend(graph.vertices.iter().map(|vertex| vertex.resource.spec())),
        Err(error @ CommandError::Interrupted(_)) => return Err(error),
        Err(error) => {
            tracing::warn!(target: "mgmt", "kinds that only the graph knows are left out of the schema: {error}")
        }
    }
    // A kind of the graph is the program's own, and may have the name of a built-in one that the program does not use.
    specs.reverse();
    specs.sort_by_key(|spec| spec.kind);
    specs.dedup_by_key(|spec| spec.kind);
    #[cfg(feature = "yaml")]
    let schema = crate::gapi::yaml_schema_with(specs);
    #[cfg(not(feature = "yaml"))]
    let schema = crate::graph::graph_schema_with(&specs);
    Ok(format!("{}\n", serde_json::to_string_pretty(&schema).map_err(io::Error::from)?))
}

pub(crate) fn completion(session: &Session, shell: clap_complete::Shell) -> Result<ExitCode, CommandError> {
    let mut command = session.command_line.command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, &name, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    print(&completing::with_names(shell, &name, &command, script))?;
    Ok(ExitCode::SUCCESS)
}

/// The subcommands of a command, each with the prefix of its name; without subcommands, the command alone.
fn with_own_commands(command: &clap::Command) -> Vec<(String, clap::Command)> {
    if !command.has_subcommands() {
        return vec![(String::new(), command.clone())];
    }
    command.get_subcommands().map(|own| (format!("{} ", command.get_name()), own.clone())).collect()
}

/// Prints the manual page: one page for the program and all commands, each command with its own options.
pub(crate) fn man(session: &Session) -> Result<ExitCode, CommandError> {
    let command = session.command_line.command();
    let (name, mut page) = (command.get_name().to_owned(), Vec::new());
    // Before clap builds the commands, they lack the global options: these are described once, for the program.
    let commands: Vec<_> = command.get_subcommands().flat_map(with_own_commands).collect();
    let man = Man::new(command);
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    writeln!(page, ".SH COMMANDS")?;
    for (of, command) in commands {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(page, ".SS \"{name} {of}{}\"\n{}", command.get_name(), about.replace('\\', "\\\\"))?;
        let mut own = Vec::new();
        Man::new(command.disable_help_flag(true)).render_options_section(&mut own)?;
        // Skip the section heading: these options belong below the command's own heading.
        for line in String::from_utf8_lossy(&own).lines().skip_while(|line| !line.starts_with(".TP")) {
            writeln!(page, "{line}")?;
        }
    }
    writeln!(page, ".SH \"EXIT STATUS\"")?;
    for (code, meaning) in exit::ALL {
        writeln!(page, ".TP\n{code}\n{meaning}")?;
    }
    print(&String::from_utf8_lossy(&page))?;
    Ok(ExitCode::SUCCESS)
}
