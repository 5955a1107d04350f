//! `capture`: declares what this host has.

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::Map;

use crate::cli::convert::to_rust_with;
use crate::cli::report::CommandError;
use crate::cli::session::{Session, print};
use crate::cli::signals::Ladder;
use crate::gapi::Gapi;
use crate::graph::{GraphConfig, Kinds, Vertex};
use crate::id::ResourceId;
use crate::resource::{AnyCaptured, AnyResource, Known, Origin};

/// What `capture` declares, and how.
#[derive(Clone, Debug, Args)]
pub struct CaptureOptions {
    /// What to declare, such as svc:nginx, pkg:nginx, user:www-data or file:/etc/nginx/ (with all that is in it)
    #[arg(value_name = "KIND:NAME", required = true)]
    pub resources: Vec<String>,
    /// Name of the graph
    #[arg(long, value_name = "NAME", default_value = "captured")]
    pub graph: String,
    /// Print a Rust program that declares it, and not YAML
    #[arg(long)]
    pub rust: bool,
}

/// Prints a graph that declares what this host has.
pub(crate) async fn capture(
    session: &Session,
    gapi: impl Gapi,
    options: &CaptureOptions,
) -> Result<ExitCode, CommandError> {
    let wanted = wanted(&session.kinds, &options.resources)?;
    let prefix = session.prefix(true)?;
    let builder = session.builder(prefix.path(), gapi)?;
    let mut ladder = Ladder::new()?;
    let answers = tokio::select! {
        answers = builder.capture(wanted) => answers?,
        signal = ladder.first() => return Err(CommandError::Interrupted(signal)),
    };
    let mut problems = Vec::new();
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    for (name, answer) in options.resources.iter().zip(answers) {
        match answer {
            // A file may be named alone and be in a directory that is named too.
            Ok(all) => found.extend(all.into_iter().filter(|one| seen.insert(id(&one.resource)))),
            Err(error) => problems.push(format!("{name}: {error}")),
        }
    }
    if !problems.is_empty() {
        return Err(CommandError::Other(problems.join("\n")));
    }
    print(&text(options, found).map_err(CommandError::Other)?)?;
    Ok(ExitCode::SUCCESS)
}

fn id(resource: &Arc<dyn AnyResource>) -> ResourceId {
    ResourceId::new(resource.spec().kind, resource.name())
}

/// The resources that are named, with nothing but their names.
fn wanted(kinds: &Kinds, names: &[String]) -> Result<Vec<Arc<dyn AnyResource>>, CommandError> {
    let mut problems = Vec::new();
    let mut wanted = Vec::new();
    for name in names {
        match bare(kinds, name) {
            Ok(resource) => wanted.push(resource),
            Err(problem) => problems.push(format!("{name}: {problem}")),
        }
    }
    if problems.is_empty() { Ok(wanted) } else { Err(CommandError::Other(problems.join("\n"))) }
}

fn bare(kinds: &Kinds, text: &str) -> Result<Arc<dyn AnyResource>, String> {
    // The names of some kinds have a colon too.
    let is_of = |kind: &str| text.strip_prefix(kind).and_then(|rest| rest.strip_prefix(':'));
    let found = kinds.iter().filter_map(|kind| Some((kind, is_of(kind.spec.kind)?)));
    let Some((kind, name)) = found.max_by_key(|(kind, _)| kind.spec.kind.len()) else {
        let Some((kind, _)) = text.split_once(':') else {
            return Err("write it as KIND:NAME, such as `svc:nginx`".to_owned());
        };
        return Err(format!("there is no kind `{kind}`"));
    };
    if kind.spec.abilities.capture.is_none() {
        let able = kinds.iter().filter(|kind| kind.spec.abilities.capture.is_some());
        let able: Vec<_> = able.map(|kind| kind.spec.kind).collect();
        return Err(format!("the kind `{}` can't be captured; {} can", kind.spec.kind, able.join(", ")));
    }
    let mut problems = Vec::new();
    // The others have no value yet.
    let required = (0u8..).zip(kind.spec.fields).filter(|(_, field)| field.required);
    let required: Vec<u8> = required.map(|(number, _)| number).collect();
    let resource = kind.read(name, &mut Map::new(), &required, &mut problems);
    if let Some(resource) = &resource {
        problems.extend(resource.validate(&Known::all_but_numbers(kind.spec, &required)));
    }
    match (resource, problems.first()) {
        (Some(resource), None) => Ok(resource),
        (_, Some(problem)) => Err(problem.to_string()),
        (None, None) => Err("it can't be declared by its name alone".to_owned()),
    }
}

/// The graph as text.
fn text(options: &CaptureOptions, found: Vec<AnyCaptured>) -> Result<String, String> {
    if options.rust {
        return rust(&options.graph, found);
    }
    #[cfg(feature = "yaml")]
    return yaml(&options.graph, &found);
    #[cfg(not(feature = "yaml"))]
    return Err("this program is built without YAML: use --rust".to_owned());
}

fn rust(graph: &str, found: Vec<AnyCaptured>) -> Result<String, String> {
    let mut notes = Vec::new();
    let mut config = GraphConfig { name: graph.to_owned(), ..GraphConfig::default() };
    for one in found {
        notes.push(one.notes);
        config.vertices.push(Vertex::new(one.resource, None, Origin::Unknown));
    }
    to_rust_with(&config, "captured from a host", &notes)
}

#[cfg(feature = "yaml")]
fn yaml(graph: &str, found: &[AnyCaptured]) -> Result<String, String> {
    use crate::gapi::{Written, write_yaml};

    let mut all = Vec::with_capacity(found.len());
    for AnyCaptured { resource, notes } in found {
        let spec = resource.spec();
        let mut data = resource.to_data(&[]).map_err(|error| format!("{}: {error}", id(resource)))?;
        let fields = spec.fields.iter().filter_map(|field| Some((field.name, data.remove(field.name)?))).collect();
        all.push(Written { kind: spec.kind, name: resource.name(), fields, notes });
    }
    Ok(write_yaml(graph, &all))
}
