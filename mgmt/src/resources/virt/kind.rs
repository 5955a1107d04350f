//! The kind `virt`.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Drift, Error, FieldProblem, Known, Need, Refresh, Result, Seconds, Secret, Uid,
    UidKey, Watch, WatchCx,
};
use crate::resources::virt::door::{VirtKey, events, libvirt};
use crate::resources::virt::fields::{
    HasSource, VirtAuth, VirtBoot, VirtDisk, VirtFilesystem, VirtMemory, VirtNetwork, VirtRestart, VirtState,
};
use crate::resources::virt::live::Refused;
use crate::resources::virt::repair::Target;
use crate::resources::virt::reverse::Recording;
use crate::resources::virt::wanted::Wanted;
use crate::sys::libvirt::{Libvirt, Login, Place};
use mgmt_macros::Resource;

/// How long a system is given to shut down, if nothing else is declared.
const SHUTDOWN: Duration = Duration::from_secs(60);

/// A domain of libvirt: a virtual machine of QEMU, with KVM where the host has it, or a container (`lxc`).
///
/// The name is that of the domain. One that does not exist is made from the fields. One that exists is changed in what
/// is declared, and stays as it is otherwise: a field that is not given is not compared, and of a list that is given
/// (`disk`, `cdrom`, `network`, `filesystem`), what is not in it is removed from the domain; the order of a list has a
/// meaning only when the domain is made. Files of disks are never made or removed.
///
/// A domain that runs has two definitions: that of its next start, and that of its present run. Both are kept as
/// declared. The number of processors (up to `maxcpus`), the memory (up to that of its start), disks, network cards and
/// the media of CD-ROMs are changed while it runs, where the hypervisor can, and the system in the domain follows
/// within 5 seconds. Everything else, and what was refused, has its effect at the next start: `restartondiverge` is
/// what is done about that, and the plan shows it with each change.
///
/// | the domain is | `running` is declared | `paused` | `shutoff` |
/// |---|---|---|---|
/// | running, or blocked (it waits for its devices) | as declared | paused | shut down |
/// | paused | resumed | as declared | resumed and shut down |
/// | paused by a disk error | resumed | as declared | resumed and shut down |
/// | paused by a migration, snapshot or dump | waited for | as declared | waited for |
/// | suspended by its system (*pmsuspended*) | woken | woken and paused | woken and shut down |
/// | crashed, also if kept paused | ended and started | ended and started, paused; as declared if kept paused | ended |
/// | being shut down | waited for and started | waited for and started, paused | waited for |
/// | off | started | started, paused | as declared |
///
/// Woken by: events of libvirt about the domain (life cycle, devices, memory), and the files in which libvirt keeps its
/// definition, autostart and present run (on this host, if they can be read). There is no default `poll`. All resources
/// of an engine with one `uri` and login share a connection. Where libvirt does not run, or ends, the resource waits,
/// and continues when it is back; so it does while a file of a device is missing that must be there for a start. On
/// another host, and where the `uri` names a `socket`, a change of the definition or the autostart alone, which no
/// event reports, is found at the next check: set `poll` where that matters.
///
/// Needs the feature `virt`, which is off by default since it needs the library libvirt to build.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("machines");
/// g.add(
///     Virt::new("web")
///         .memory(VirtMemory::gib(2))
///         .cpus(2)
///         .maxcpus(4)
///         .disk([VirtDisk::new("/var/lib/libvirt/images/web.qcow2").format(VirtFormat::Qcow2)])
///         .network([VirtNetwork::new("default")])
///         .startup(true)
///         .restartondiverge(VirtRestart::Ifneeded),
/// );
/// g.add(Virt::new("old").absent());
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "virt")]
pub struct Virt {
    /// The name of the domain.
    #[resource(name)]
    pub(super) name: String,
    /// The hypervisor: `qemu:///system`, `qemu:///session`, `lxc:///system`, or one on another host, such as
    /// `qemu+ssh://root@host/system`. Default: `qemu:///system`.
    #[resource(default = "qemu:///system".to_owned())]
    pub(super) uri: String,
    /// `running`, `paused` or `shutoff`. Default: `running`.
    #[resource(default)]
    pub(super) state: VirtState,
    /// Whether the domain is there only while it runs: then it has no definition that stays. With the state `shutoff`,
    /// it must not exist: it is shut down and its definition removed. Default: false.
    #[resource(default)]
    pub(super) transient: bool,
    /// The number of processors. Default: it stays as it is; a new domain gets 1.
    pub(super) cpus: Option<u32>,
    /// The highest number of processors that the domain can get while it runs. Default: it stays as it is, but at least
    /// `cpus`.
    pub(super) maxcpus: Option<u32>,
    /// Whether the number of processors is changed while the domain runs. Default: true.
    #[resource(default = true)]
    pub(super) hotcpus: bool,
    /// The memory, in KiB. Default: it stays as it is; a new domain needs it.
    pub(super) memory: Option<VirtMemory>,
    /// The first program of a container. Default: it stays as it is; a new container gets `/sbin/init`.
    pub(super) osinit: Option<String>,
    /// The sorts of devices from which it is started, in order: `hd`, `cdrom`, `network`, `fd`. Default: it stays as it
    /// is.
    pub(super) boot: Option<Vec<VirtBoot>>,
    /// The disks: `source`, an absolute path, and `type`, the format (default: `raw`). Default: they stay as they are.
    pub(super) disk: Option<Vec<VirtDisk>>,
    /// The CD-ROMs, as `disk`. Default: they stay as they are.
    pub(super) cdrom: Option<Vec<VirtDisk>>,
    /// The network cards: `name`, that of a network of libvirt, and `mac`, the hardware address (default: libvirt
    /// chooses one). Default: they stay as they are.
    pub(super) network: Option<Vec<VirtNetwork>>,
    /// Directories of the host that the domain can mount: `source`, `target`, `access` (`passthrough`, `mapped` or
    /// `squash`; default: `passthrough`) and `read_only` (default: false). Default: they stay as they are.
    pub(super) filesystem: Option<Vec<VirtFilesystem>>,
    /// The login at a hypervisor that asks for one: `username` and `password`. Default: none.
    pub(super) auth: Option<Secret<VirtAuth>>,
    /// Whether the domain is started with the host (autostart). Default: it stays as it is.
    pub(super) startup: Option<bool>,
    /// What is done about a change that has its effect only at the next start of a domain that runs: `ignore`
    /// (nothing), `ifneeded` (it is restarted) or `error` (the resource fails). Default: `ignore`.
    #[resource(default)]
    pub(super) restartondiverge: VirtRestart,
    /// Whether a refresh restarts the domain, if it runs. Default: false, and a refresh has no effect.
    #[resource(default)]
    pub(super) restartonrefresh: bool,
    /// How long the system in the domain is given to shut down, in seconds, before it is ended; 0: it is ended at once.
    /// Default: 60.
    #[resource(default = Seconds(SHUTDOWN))]
    pub(super) shutdown: Seconds,
}

impl VirtBuilder {
    /// Declares that it runs. The default.
    pub fn running(self) -> Self {
        self.state(VirtState::Running)
    }

    /// Declares that it is there, and stands still.
    pub fn paused(self) -> Self {
        self.state(VirtState::Paused)
    }

    /// Declares that it does not run.
    pub fn off(self) -> Self {
        self.state(VirtState::Shutoff)
    }

    /// Declares that it does not exist: the same as `shutoff` and `transient`.
    pub fn absent(self) -> Self {
        self.state(VirtState::Shutoff).transient(true)
    }
}

/// What is not as declared.
#[derive(Clone, Debug)]
pub struct VirtDrift(Vec<Change>);

impl Drift for VirtDrift {
    fn changes(&self) -> Vec<Change> {
        self.0.clone()
    }
}

/// A domain of a hypervisor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DomainOf {
    pub(super) uri: String,
    pub(super) name: String,
}

impl fmt::Display for DomainOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.uri)
    }
}

impl UidKey for DomainOf {
    const WORD: &'static str = "domain of libvirt";
}

/// The same with `~/` replaced by the home directory of this user.
fn at_home<T: HasSource>(mut all: Vec<T>) -> Vec<T> {
    for source in all.iter_mut().map(HasSource::source_mut) {
        if let (Some(rest), Some(home)) = (source.strip_prefix("~/"), std::env::var_os("HOME")) {
            *source = PathBuf::from(home).join(rest).to_string_lossy().into_owned();
        }
    }
    all
}

/// What the log has of changes that wait for the next start.
#[derive(Debug, Default)]
struct Logged(Mutex<Vec<String>>);

impl Converge for Virt {
    type Drift = VirtDrift;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        self.problems(known)
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<VirtDrift>> {
        let target = self.target(cx).await?;
        let judged = target.look(cx).await?.judged;
        self.log(cx, judged.later);
        match judged.problem {
            Some(problem) if judged.steps.is_empty() => Err(problem),
            _ => Ok((!judged.steps.is_empty()).then_some(VirtDrift(judged.changes))),
        }
    }

    async fn apply(&self, cx: &ApplyCx, _: VirtDrift) -> Result<()> {
        let target = self.target(cx).await?;
        let recording = Recording { recorders: cx.recorders::<Virt>(), key: self.key() };
        let repaired = target.repair(cx, Some(&recording)).await?;
        if cx.refresh_owed() && !repaired.is_started {
            // The refresh counts as done with this.
            self.restart(cx, &target).await?;
        }
        if !repaired.is_changed {
            cx.unchanged();
        }
        Ok(())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        match self.wanted() {
            Ok(wanted) => events(cx, self.key(), &self.name, &wanted.place),
            Err(error) => Watch::failed(error.to_string()),
        }
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        let uid = || Uid::of(DomainOf { uri: self.uri.clone(), name: self.name.clone() });
        if known.is_known("uri") { vec![uid()] } else { Vec::new() }
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        let Ok(wanted) = self.wanted() else { return Vec::new() };
        if !known.are_known(["uri", "disk", "cdrom", "filesystem"]) || wanted.is_absent() {
            return Vec::new();
        }
        let local = wanted.paths().filter(|path| wanted.place.has_path(path.as_ref()));
        local.map(|path| Need::after(Uid::path(path)).because("a file of its devices")).collect()
    }

    fn is_absent(&self, known: &Known<'_>) -> Option<bool> {
        known.are_known(["transient", "state"]).then_some(self.transient && self.state == VirtState::Shutoff)
    }
}

impl Refresh for Virt {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        let target = self.target(cx).await?;
        self.restart(cx, &target).await
    }
}

impl Virt {
    fn key(&self) -> VirtKey {
        // The key belongs to a connection, which needs the password as long as it is not open.
        let login = self.auth.as_ref().map(|auth| {
            let auth = auth.declassify();
            Login::new(&auth.username, &auth.password)
        });
        VirtKey { uri: self.uri.clone(), login }
    }

    fn wanted(&self) -> Result<Wanted> {
        let place = Place::of(&self.uri).map_err(|why| Error::new(format!("`uri` {why}")))?;
        Ok(Wanted {
            name: self.name.clone(),
            place,
            state: self.state,
            transient: self.transient,
            memory: self.memory.map(VirtMemory::as_kib),
            cpus: self.cpus,
            maxcpus: self.maxcpus,
            hotcpus: self.hotcpus,
            osinit: self.osinit.clone(),
            boot: self.boot.clone(),
            disks: self.disk.clone().map(at_home),
            cdroms: self.cdrom.clone().map(at_home),
            networks: self.network.clone(),
            filesystems: self.filesystem.clone().map(at_home),
            startup: self.startup,
            restart: self.restartondiverge,
            shutdown: self.shutdown.0,
        })
    }

    async fn target(&self, cx: &CheckCx) -> Result<Target> {
        let wanted = Arc::new(self.wanted()?);
        let libvirt: Arc<Libvirt> = libvirt(cx, &self.key()).await?;
        Ok(Target { libvirt, wanted, refused: cx.local::<Refused>() })
    }

    /// Restarts the domain, if that is declared and it runs.
    async fn restart(&self, cx: &ApplyCx, target: &Target) -> Result<bool> {
        if !self.restartonrefresh || !target.wanted.is_active() {
            return Ok(false);
        }
        target.restart(cx).await
    }

    /// Logs what waits for the next start, each time it is something else.
    fn log(&self, cx: &CheckCx, later: Vec<String>) {
        let logged = cx.local::<Logged>();
        let mut logged = logged.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *logged != later {
            for change in &later {
                tracing::warn!("the domain {} has this only after its next start: {change}", self.name);
            }
            *logged = later;
        }
    }
}
