//! `hostname`: the names of this host.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::resource::{
    ApplyCx, Bus, Capture, Captured, Change, CheckCx, Converge, Error, FieldProblem, Known, Recorded, Result, Reverse,
    SignalRule, Uid, UidKey, Undone, Watch, WatchCx,
};
use crate::sys::dbus::PROPERTIES;
use crate::sys::facts::check_hostname;
use crate::sys::hostnamed::{self, HostNames, Hostnamed, Which};
use mgmt_macros::Resource;

/// Where the static and the pretty name are kept.
const FILES: [&str; 2] = ["/etc/hostname", "/etc/machine-info"];
/// In the order in which they are set: the static name also becomes that of the kernel.
const ALL: [Which; 3] = [Which::Fixed, Which::Transient, Which::Pretty];

/// The names of this host: the *static* name of `/etc/hostname`, the *transient* one that the kernel has, and the
/// *pretty* one for people, which may hold any text.
///
/// `hostname` is meant for all three; a field of its own counts more. Without any of these fields, the name of the
/// resource is the host name. As long as there is a static name, systemd keeps the transient one equal to it, so two
/// different ones are refused.
///
/// Woken by the signals of `systemd-hostnamed` and by `/etc/hostname` and `/etc/machine-info`; a name that another
/// program gives to the kernel alone is found by `poll`. Default poll: none. Needs `systemd-hostnamed` with D-Bus
/// (feature `dbus`), which the bus starts when it is asked; without, the resource waits.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("names");
/// g.add(Hostname::new("web1"));
/// # let mut g = Graph::new("others");
/// g.add(Hostname::new("names").hostname("web1").pretty_hostname("Web server, first rack"));
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "hostname", inline = watch)]
pub struct Hostname {
    /// Its name in the graph, and the host name if no field gives one.
    #[resource(name)]
    name: String,
    /// The name for all fields that are not given. Default: none, or the name of the resource if there is no other
    /// field.
    hostname: Option<String>,
    /// The name for people: any text in one line. Default: `hostname`.
    pretty_hostname: Option<String>,
    /// The name of `/etc/hostname`, which the host has from its start on. Default: `hostname`.
    static_hostname: Option<String>,
    /// The name that the kernel has, which is lost with a restart. Default: `hostname`.
    transient_hostname: Option<String>,
}

impl Hostname {
    /// What is declared for one of the names.
    fn wanted(&self, which: Which) -> Option<&str> {
        let own = match which {
            Which::Fixed => &self.static_hostname,
            Which::Transient => &self.transient_hostname,
            Which::Pretty => &self.pretty_hostname,
        };
        own.as_ref().or(self.hostname.as_ref()).map(String::as_str).or_else(|| self.is_bare().then_some(&*self.name))
    }

    /// No field gives a name.
    fn is_bare(&self) -> bool {
        [&self.hostname, &self.pretty_hostname, &self.static_hostname, &self.transient_hostname]
            .iter()
            .all(|field| field.is_none())
    }

    /// The names that differ from what is declared.
    fn differing<'a>(&'a self, names: &'a HostNames) -> impl Iterator<Item = (Which, &'a str, &'a str)> {
        ALL.into_iter().filter_map(|which| {
            let (wanted, is) = (self.wanted(which)?, now(names, which));
            (wanted != is).then_some((which, is, wanted))
        })
    }

    fn record(&self, cx: &ApplyCx, names: &HostNames) -> Result<()> {
        for recorder in cx.recorders::<Hostname>() {
            if recorder.read()?.is_some() {
                continue;
            }
            let was = ALL.into_iter().filter_map(|which| {
                let declared = self.wanted(which)?.to_owned();
                Some(NameWas { field: field(which).to_owned(), was: now(names, which).to_owned(), declared })
            });
            recorder.write(&HostnameRecord { names: was.collect() })?;
        }
        Ok(())
    }
}

fn field(which: Which) -> &'static str {
    match which {
        Which::Fixed => "static_hostname",
        Which::Transient => "transient_hostname",
        Which::Pretty => "pretty_hostname",
    }
}

fn now(names: &HostNames, which: Which) -> &str {
    match which {
        Which::Fixed => &names.fixed,
        Which::Transient => &names.transient,
        Which::Pretty => &names.pretty,
    }
}

async fn hostnamed(cx: &CheckCx) -> Result<Hostnamed> {
    match Hostnamed::simulated() {
        Some(simulated) => Ok(simulated),
        None => Ok(Hostnamed::new(cx.bus(Bus::System).await?)),
    }
}

/// The transient name is left out where the static one decides it.
impl Capture for Hostname {
    async fn capture(&self, cx: &CheckCx) -> Result<Vec<Captured<Hostname>>> {
        let names = hostnamed(cx).await?.names().await?;
        let given = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let fixed = given(&names.fixed);
        let transient_hostname = given(&names.transient).filter(|_| fixed.is_none());
        let pretty_hostname = given(&names.pretty);
        Ok(vec![Captured::new(Hostname {
            static_hostname: fixed,
            transient_hostname,
            pretty_hostname,
            ..self.clone()
        })])
    }
}

impl Converge for Hostname {
    type Drift = Vec<Change>;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        for which in [Which::Fixed, Which::Transient] {
            let own = if which == Which::Fixed { &self.static_hostname } else { &self.transient_hostname };
            let at = match (own, &self.hostname) {
                (Some(_), _) => field(which),
                (None, Some(_)) => "hostname",
                (None, None) => "name",
            };
            let wrong = self.wanted(which).and_then(|name| check_hostname(name).err());
            problems.extend(wrong.map(|why| FieldProblem::new(at, why, "use letters, digits, `-` and dots")));
        }
        problems.dedup();
        let pretty = self.wanted(Which::Pretty).filter(|name| name.chars().any(char::is_control));
        problems.extend(
            pretty.map(|_| FieldProblem::new("pretty_hostname", "holds a control character", "use a text in one line")),
        );
        let both = (self.wanted(Which::Fixed), self.wanted(Which::Transient));
        if let (Some(fixed), Some(transient)) = both
            && fixed != transient
            && known.are_known(["hostname", "static_hostname", "transient_hostname"])
        {
            let why = format!("is `{transient}`, but a host with the static name `{fixed}` has that one");
            problems.push(FieldProblem::new("transient_hostname", why, "leave one of them out"));
        }
        problems
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Vec<Change>>> {
        let names = hostnamed(cx).await?.names().await?;
        let changes: Vec<_> = self
            .differing(&names)
            .map(|(which, is, wanted)| {
                let is = if is.is_empty() { "none" } else { is };
                Change::new(field(which), is, wanted)
            })
            .collect();
        Ok((!changes.is_empty()).then_some(changes))
    }

    async fn apply(&self, cx: &ApplyCx, _: Vec<Change>) -> Result<()> {
        let hostnamed = hostnamed(cx).await?;
        self.record(cx, &hostnamed.names().await?)?;
        for which in ALL {
            // One that was set may have changed another.
            let names = hostnamed.names().await?;
            if let Some((_, _, wanted)) = self.differing(&names).find(|(of, ..)| *of == which) {
                hostnamed.set(which, wanted).await?;
            }
        }
        let names = hostnamed.names().await?;
        match self.differing(&names).next() {
            None => Ok(()),
            Some((Which::Transient, is, wanted)) if !names.fixed.is_empty() => Err(Error::new(format!(
                "the transient name stays `{is}` instead of `{wanted}`: the host has the static name `{}`, which counts \
                 more; declare `static_hostname` too",
                names.fixed
            ))),
            Some((which, is, wanted)) => {
                Err(Error::new(format!("{} stays `{is}` instead of `{wanted}`", field(which))))
            }
        }
    }

    fn uids(&self, _: &Known<'_>) -> Vec<Uid> {
        let declared = ALL.into_iter().filter(|which| self.wanted(*which).is_some());
        declared.map(|which| Uid::of(NameOfHost(field(which)))).collect()
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let rule = SignalRule::new()
            .sender(hostnamed::NAME)
            .path(hostnamed::PATH)
            .interface(PROPERTIES)
            .member("PropertiesChanged");
        let signals = match Hostnamed::simulated() {
            Some(_) => Watch::none(),
            None => Watch::signals(Bus::System, rule),
        };
        FILES.iter().fold(signals, |all, path| all.and(cx.fs().path(path)))
    }
}

/// One of the names.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NameOfHost(&'static str);

impl fmt::Display for NameOfHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl UidKey for NameOfHost {
    const WORD: &'static str = "name of this host";
}

/// The names of the host before the resource changed them.
#[derive(Debug, Serialize, Deserialize)]
pub struct HostnameRecord {
    names: Vec<NameWas>,
}

#[derive(Debug, Serialize, Deserialize)]
struct NameWas {
    field: String,
    was: String,
    declared: String,
}

impl NameWas {
    fn which(&self) -> Option<Which> {
        ALL.into_iter().find(|which| field(*which) == self.field)
    }
}

impl Reverse for Hostname {
    type Record = HostnameRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<HostnameRecord>) -> Result<Undone> {
        let hostnamed = hostnamed(cx).await?;
        let mut undone = Undone::default();
        for name in &record.data.names {
            let (Some(which), names) = (name.which(), hostnamed.names().await?) else { continue };
            let is = now(&names, which);
            if is == name.was {
                continue;
            }
            if is != name.declared {
                undone = undone.kept(format!("{} is `{is}`: another program changed that", name.field));
                continue;
            }
            hostnamed.set(which, &name.was).await?;
            undone = undone.did(describe(name));
        }
        Ok(undone)
    }

    fn describe(record: &HostnameRecord) -> Vec<String> {
        record.names.iter().filter(|name| name.was != name.declared).map(describe).collect()
    }
}

fn describe(name: &NameWas) -> String {
    let NameWas { field, was, .. } = name;
    if was.is_empty() { format!("remove {field}") } else { format!("set {field} back to `{was}`") }
}
