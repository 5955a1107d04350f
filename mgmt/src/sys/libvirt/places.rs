//! What the URI of a hypervisor means: which hypervisor, on which host, and where it keeps its files.

use std::fmt;
use std::path::{Path, PathBuf};

use super::xml::is_text;

/// A hypervisor for which definitions can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Driver {
    /// QEMU, with or without KVM.
    Qemu,
    /// Containers of libvirt.
    Lxc,
    /// Domains in memory, for tests.
    Test,
}

/// What a URI means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The hypervisor.
    pub driver: Driver,
    /// It is on this host.
    pub is_local: bool,
    /// `system`, `session` and the like.
    instance: String,
    /// The socket that the URI names.
    socket: Option<PathBuf>,
}

/// Why a text is no URI of a hypervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongUri(String);

impl fmt::Display for WrongUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The transports that libvirt has; those of the first group lead to this host if the URI has no host.
const LOCAL: [&str; 2] = ["", "unix"];
const REMOTE: [&str; 6] = ["ssh", "libssh", "libssh2", "tcp", "tls", "ext"];

impl Place {
    /// Reads a URI.
    ///
    /// # Errors
    /// It is none, or of a hypervisor for which no definitions can be made.
    pub fn of(uri: &str) -> Result<Place, WrongUri> {
        let wrong = |why: String| Err(WrongUri(why));
        if !is_text(uri) || uri.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return wrong("has blanks or control characters".to_owned());
        }
        let Some((scheme, rest)) = uri.split_once("://") else {
            return wrong("has no `://`".to_owned());
        };
        let (driver, transport) = scheme.split_once('+').unwrap_or((scheme, ""));
        let driver = match driver {
            "qemu" => Driver::Qemu,
            "lxc" => Driver::Lxc,
            "test" => Driver::Test,
            other => return wrong(format!("is of the hypervisor `{other}`, for which no definitions can be made")),
        };
        if !LOCAL.contains(&transport) && !REMOTE.contains(&transport) {
            return wrong(format!("has the unknown transport `{transport}`"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.is_empty() && driver != Driver::Lxc {
            return wrong("has no path".to_owned());
        }
        if transport == "unix" && !host.is_empty() {
            return wrong("names a host, which a socket of this host can't reach".to_owned());
        }
        let socket = query.split('&').find_map(|pair| pair.strip_prefix("socket="));
        Ok(Place {
            driver,
            is_local: host.is_empty() && LOCAL.contains(&transport),
            instance: path.to_owned(),
            socket: socket.map(PathBuf::from),
        })
    }

    /// The directory with the sockets and states of this instance, and the one with its definitions.
    fn dirs(&self) -> Option<(PathBuf, PathBuf)> {
        let from = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        match self.instance.as_str() {
            "session" => {
                let config = from("XDG_CONFIG_HOME").or_else(|| from("HOME").map(|home| home.join(".config")))?;
                Some((from("XDG_RUNTIME_DIR")?.join("libvirt"), config.join("libvirt")))
            }
            "system" | "" => Some(("/run/libvirt".into(), "/etc/libvirt".into())),
            _ => None,
        }
    }

    /// The sockets at which libvirt may listen on this host: when one of them appears, a connection can be tried.
    pub fn sockets(&self) -> Vec<PathBuf> {
        if !self.is_local || self.driver == Driver::Test {
            return Vec::new();
        }
        if let Some(socket) = &self.socket {
            return vec![socket.clone()];
        }
        let daemon = if self.driver == Driver::Lxc { "virtlxcd-sock" } else { "virtqemud-sock" };
        let Some((run, _)) = self.dirs() else { return Vec::new() };
        ["libvirt-sock", daemon].into_iter().map(|name| run.join(name)).collect()
    }

    /// The files that libvirt writes when the definition of a domain changes, its autostart, or what it has while it
    /// runs: no event reports all of this. None for another host, and where this user can't read them.
    pub fn files(&self, name: &str) -> Vec<PathBuf> {
        let may_read = self.instance == "session" || rustix::process::geteuid().is_root();
        if !self.is_local || self.driver == Driver::Test || self.socket.is_some() || !may_read {
            return Vec::new();
        }
        let Some((run, etc)) = self.dirs() else { return Vec::new() };
        let driver = if self.driver == Driver::Lxc { "lxc" } else { "qemu" };
        let states = if self.instance == "session" { run.join(driver).join("run") } else { run.join(driver) };
        let file = format!("{name}.xml");
        let definitions = etc.join(driver);
        vec![states.join(&file), definitions.join("autostart").join(&file), definitions.join(&file)]
    }

    /// Whether a path of a device is one of this host.
    pub fn has_path(&self, path: &Path) -> bool {
        self.is_local && self.driver != Driver::Test && path.is_absolute()
    }
}
