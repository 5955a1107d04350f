//! One invocation of a program: the data that every command gets.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
#[cfg(feature = "ssh")]
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value as Json};

use crate::cli::colour;
use crate::cli::command_line::CommandLine;
use crate::cli::graphviz::Picture;
use crate::cli::options::RunOptions;
use crate::cli::prefix;
use crate::cli::report::CommandError;
use crate::gapi::{Gapi, Warnings};
use crate::graph::{GraphConfig, Kinds, Vertex};
use crate::id::Palette;
#[cfg(feature = "ssh")]
use crate::remote::{Depth, HostsBox};
use crate::resource::{Format, Provisions, SECRET_PLACEHOLDER, World};
use crate::runtime::{Builder, Engine, Prefix};
use crate::sys::dumps;

/// A program and the options that it was started with.
#[derive(Debug)]
pub(crate) struct Session {
    /// The program's name, and the graph's.
    pub(crate) name: String,
    /// The kinds that the program has named.
    pub(crate) kinds: Kinds,
    /// A line to print once the graph has converged for the first time.
    pub(crate) greeting: Option<String>,
    /// The values that the program gives to its kinds.
    pub(crate) provisions: Provisions,
    /// The world that the program gives to its engine.
    pub(crate) world: Option<Arc<dyn World>>,
    /// The whole command line of the program, with its own options.
    pub(crate) command_line: CommandLine,
    /// Where warnings about the graph go.
    pub(crate) warnings: Warnings,
    /// The hosts of the program, for `remote` without hosts on the command line.
    #[cfg(feature = "ssh")]
    pub(crate) hosts: KeptHosts,
    /// The options of this invocation.
    pub(crate) options: RunOptions,
}

/// The hosts of a program, until they are used. Clones are the same.
#[cfg(feature = "ssh")]
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptHosts(Arc<Mutex<Option<HostsBox>>>);

#[cfg(feature = "ssh")]
impl KeptHosts {
    pub(crate) fn new(hosts: HostsBox) -> KeptHosts {
        KeptHosts(Arc::new(Mutex::new(Some(hosts))))
    }

    pub(crate) fn take(&self) -> Option<HostsBox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Session {
    /// The palette of standard output.
    pub(crate) fn palette(&self) -> Palette {
        colour::palette(self.options.color, &io::stdout())
    }

    /// The settings of an engine, from the options.
    ///
    /// # Errors
    /// The world that the options name can't be used.
    pub(crate) fn builder<G: Gapi>(&self, prefix: &Path, gapi: G) -> Result<Builder<G>, CommandError> {
        let builder = self.builder_without_world(prefix, gapi);
        Ok(match self.options.world.world(prefix)?.or_else(|| self.world.clone()) {
            Some(world) => builder.world(world),
            None => builder,
        })
    }

    /// The same, with no world yet.
    pub(crate) fn builder_without_world<G: Gapi>(&self, prefix: &Path, gapi: G) -> Builder<G> {
        let options = &self.options;
        let mut builder = Engine::builder().gapi(gapi).prefix(prefix);
        let picture = Picture::new(options).map(Arc::new);
        builder = builder.inspect(move |prepared| {
            let picture = picture.clone();
            async move {
                guard_memory(prepared.config());
                if let Some(picture) = picture {
                    picture.draw(&prepared).await;
                }
            }
        });
        // A run that ends as soon as it has converged does not follow the source of graphs.
        let is_once = options.converged_timeout.0.is_some_and(|timeout| timeout.is_zero());
        builder = builder
            .name(&self.name)
            .warnings(self.warnings.clone())
            .measure(options.metrics().is_some())
            .control(true)
            .noop(options.noop)
            .alert_only(options.alert_only)
            .converged_cluster(options.cluster)
            .autoedge(!options.no_autoedges)
            .autogroup(!options.no_autogroup)
            .no_watch(options.no_watch || is_once)
            .spare(options.converged_status_file.iter().chain(&options.graphviz))
            .provisions(self.provisions.clone())
            .kinds(self.kinds.iter().copied());
        #[cfg(feature = "ssh")]
        let mut builder = builder.provide_own(self.kinds.clone()).provide_own(Depth(options.levels()));
        if let Some(hostname) = &options.hostname {
            builder = builder.hostname(hostname);
        }
        if let Some(running) = options.sema {
            builder = builder.running_max(running as usize);
        }
        if let Some(ttl) = options.world.export_ttl {
            builder = builder.export_ttl(ttl);
        }
        for (name, value) in options.world.label.iter().flat_map(|labels| &labels.0) {
            builder = builder.label(name, value);
        }
        if let Some(ttl) = options.world.alive_ttl {
            builder = builder.alive_ttl(ttl);
        }
        builder
    }

    /// The world that the options name, that of the cluster which the host has joined, or that of the program.
    ///
    /// # Errors
    /// It can't be used.
    pub(crate) fn world(&self) -> Result<Option<Arc<dyn World>>, CommandError> {
        let prefix = self.prefix(true)?;
        Ok(self.options.world.world(prefix.path())?.or_else(|| self.world.clone()))
    }

    /// The working directory that the options select. With `looking`, no directory is made.
    pub(crate) fn prefix(&self, looking: bool) -> io::Result<Prefix> {
        prefix::choose(&self.options, &self.name, looking)
    }
}

/// Keeps the memory of this process out of core dumps, from the first graph with secrets on.
fn guard_memory(config: &GraphConfig) {
    if has_secrets(config)
        && let Err(error) = dumps::forbid()
    {
        tracing::warn!(target: "mgmt", "a core dump would hold the secrets of the graph: {error}");
    }
}

/// Whether a resource has a secret, or an output that is one. Looks at a limited number of resources: if none of these
/// has a secret but there are more, one of the others is assumed to have one.
fn has_secrets(config: &GraphConfig) -> bool {
    const LOOKED_AT_MAX: usize = 100;
    let specs = config.vertices.iter().map(|vertex| vertex.resource.spec());
    if specs.clone().any(|spec| spec.outputs.iter().any(|output| output.secret)) {
        return true;
    }
    let may_have = |vertex: &&Vertex| {
        vertex.resource.spec().fields.iter().any(|field| field.keeps_secrets() || field.format == Format::Table)
    };
    let mut left = LOOKED_AT_MAX;
    config.vertices.iter().filter(may_have).any(|vertex| {
        left = left.saturating_sub(1);
        let holds = |data: Map<String, Json>| Json::Object(data).to_string().contains(SECRET_PLACEHOLDER);
        left == 0 || vertex.resource.to_data(&[]).is_ok_and(holds)
    })
}

/// Writes to standard output. A reader that has closed the pipe is no error.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    printed(text).map(drop)
}

/// Writes to standard output. Returns whether it can be read: false if the reader has closed the pipe.
pub(crate) fn printed(text: &str) -> Result<bool, CommandError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}
