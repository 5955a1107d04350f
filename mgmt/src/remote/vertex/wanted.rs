//! What a resource of the kind `remote` wants to run: the host, the graph with its files, and the settings.

use std::path::PathBuf;

use crate::gapi::builtin_kinds;
use crate::graph::{GraphConfig, Kinds};
use crate::remote::error::RemoteError;
use crate::remote::host::Host;
use crate::remote::hosts::Address;
use crate::remote::job::{Job, Parcel};
use crate::remote::trail::{TOO_DEEP, Trail};
use crate::remote::vertex::graph::read_text;
use crate::remote::vertex::kind::Remote;
use crate::remote::vertex::live::Shape;
use crate::remote::vertex::place::reached;
use crate::remote::vertex::text::failed;
use crate::resource::{CheckCx, Context as _, Error, Result};
use crate::sys::ssh::SshOptions;
use crate::sys::task::blocking;

/// The most bytes of a graph file.
const YAML_BYTES_MAX: u64 = 64 << 20;

/// What must run there.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The resource without its graph.
    pub(super) settings: Remote,
    /// `None`: the program makes its graph there.
    pub(super) parcel: Option<Parcel>,
    pub(super) shape: Shape,
    trail: Trail,
    /// Whether this host shares a world, or lacks that of the host before.
    shares: bool,
}

impl Wanted {
    /// What this resource wants.
    pub(super) async fn of(remote: &Remote, cx: &CheckCx) -> Result<Wanted> {
        let trail = Trail::of(cx);
        if trail.below == 0 {
            return Err(Error::new(TOO_DEEP));
        }
        let graph = match (&remote.graph, &remote.yaml) {
            (Some(graph), _) => Some((graph.config().cloned().map_err(Clone::clone)?, graph.digest())),
            (None, Some(path)) => Some(read(path.clone(), cx).await?),
            (None, None) => None,
        };
        let (parcel, shape) = match graph {
            None => (None, Shape::default()),
            Some((config, digest)) => {
                trail.next().permitted(config.clone())?;
                let parcel = Parcel::unread(config).await.context("the graph can't travel")?;
                let files = parcel.0.carried;
                (Some(parcel), Shape { graph: digest, files })
            }
        };
        let shares = trail.loses_world() || cx.world().is_some();
        Ok(Wanted { settings: remote.without_graph(), parcel, shape, trail, shares })
    }

    /// The host.
    pub(super) async fn host(&self, cx: &CheckCx) -> Result<Host> {
        let Remote { r#become, identity, ssh_config, program, .. } = &self.settings;
        let mut options = SshOptions::default();
        options.become_user.clone_from(r#become);
        options.identities = identity.iter().cloned().collect();
        options.config.clone_from(ssh_config);
        let (address, name) = (self.address()?, self.name()?);
        reached(cx, address, options, program.as_deref()).await.map_err(|error| failed(&name, &error))
    }

    fn address(&self) -> Result<Address> {
        Ok(Address::parse(self.settings.address())?)
    }

    /// The name that the host has in messages, and in the graph there.
    pub(super) fn name(&self) -> Result<String> {
        Ok(self.address()?.name().to_owned())
    }

    /// What the host must do. `host` has its name.
    pub(super) async fn job(&self, host: &str) -> Result<Job> {
        let Remote { hostname, prefix, arguments, program, .. } = &self.settings;
        let own = ["remote", "run", host].map(str::to_owned).to_vec();
        let mut job = match &self.parcel {
            Some(parcel) => Job::graph(parcel.clone()),
            None => Job::own(),
        };
        job = job.arguments(arguments.clone().unwrap_or(own)).hostname(hostname.as_deref().unwrap_or(host)).stays(true);
        if let Some(prefix) = prefix {
            job = job.prefix(prefix);
        }
        job.settings.trail = self.trail.next().after_world(self.shares);
        // The files that the program's own graph reads here. Another program may be for another kind of machine.
        if self.parcel.is_none() && program.is_none() {
            let files = Host::local(host).pack(&job, &[]).await.map_err(|error| failed(host, &error))?;
            job = job.with_graph(files);
        }
        Ok(job)
    }
}

/// The graph in a file.
async fn read(path: PathBuf, cx: &CheckCx) -> Result<(GraphConfig, Option<crate::graph::ContentRef>)> {
    let kinds = cx.provided::<Kinds>().map_or_else(|_| builtin_kinds(), |kinds| (*kinds).clone());
    let name = path.display().to_string();
    let bytes = cx.look(move |fs, _| fs.read_file(path, YAML_BYTES_MAX)).await.context("`yaml`")?;
    let read = move || {
        let config = read_text(&name, &bytes, &kinds)?;
        Ok::<_, String>((config, Some(crate::graph::ContentRef::of(&bytes))))
    };
    blocking(read).await.map_err(|why| Error::new(format!("`yaml`: {why}")))
}

impl Parcel {
    /// Packs a graph whose kinds are not asked for here.
    async fn unread(config: GraphConfig) -> Result<Parcel, RemoteError> {
        let terms = crate::gapi::TravelTerms { on_hosts: Vec::new(), private: crate::remote::job::PRIVATE };
        let packed = blocking(move || crate::gapi::pack_unread(&config, &terms)).await?;
        Ok(Parcel(std::sync::Arc::new(packed)))
    }
}
