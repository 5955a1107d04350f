//! Hosts by their addresses: given one by one, in a file, and the living hosts of a world.

use std::fmt;
use std::fs::File;
use std::future::pending;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use crate::gapi::{Readable as _, Watcher, WorldView};
use crate::remote::host::Host;
use crate::remote::hosts::address::Address;
use crate::remote::hosts::contract::Hosts;
use crate::remote::hosts::error::HostsError;
use crate::resource::{AliveHost, World};
use crate::sys::ssh::{Endpoint, SshOptions, distinct, distinct_as_resolved};
use crate::sys::stdin;

/// The most bytes of a file with hosts.
const FILE_BYTES_MAX: usize = 4 << 20;
/// The label of a living host that contains its address.
const LABEL: &str = "ssh";
/// Stands for standard input.
const STDIN: &str = "-";

/// Hosts by their addresses: `web1`, `root@web1`, `ssh://root@web1:2222`, each with a name of its own before it if
/// wished (`NAME=ADDRESS`); or `local:NAME`, a process of its own on this host.
pub struct Addresses {
    reach: Box<dyn Fn(Endpoint) -> Host + Send>,
    /// How ssh is asked what its configuration makes of the addresses.
    ssh: Option<SshOptions>,
    /// What does not hold for a process on this host, so that none may be named.
    ssh_only: Option<String>,
    given: Vec<Address>,
    file: Option<ListFile>,
    world: Option<LivingHosts>,
}

struct ListFile {
    path: PathBuf,
    watcher: Option<Watcher>,
    /// What standard input contained: it can be read only once.
    read: Option<Vec<u8>>,
    last: Option<Vec<u8>>,
}

struct LivingHosts {
    view: WorldView,
    receiver: Option<watch::Receiver<Vec<AliveHost>>>,
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map(|file| &file.path);
        f.debug_struct("Addresses").field("given", &self.given).field("file", &file).finish_non_exhaustive()
    }
}

impl Addresses {
    /// No hosts yet. `reach` makes a host of each address.
    pub fn new(reach: impl Fn(Endpoint) -> Host + Send + 'static) -> Addresses {
        Addresses { reach: Box::new(reach), ssh: None, ssh_only: None, given: Vec::new(), file: None, world: None }
    }

    /// Two addresses are refused too if ssh, used in this way, leads both to one host. Default: the text of the
    /// addresses decides.
    #[must_use]
    pub fn resolved(mut self, options: SshOptions) -> Addresses {
        self.ssh = Some(options);
        self
    }

    /// Refuses `local:NAME`: this option of the program, for example one for another user there, holds only for hosts
    /// over SSH. Default: nothing is refused.
    #[must_use]
    pub fn ssh_only(mut self, option: impl Into<String>) -> Addresses {
        self.ssh_only = Some(option.into());
        self
    }

    /// Adds the host at this address.
    ///
    /// # Errors
    /// It is no address.
    pub fn host(mut self, address: &str) -> Result<Addresses, HostsError> {
        self.given.push(Address::parse(address)?);
        Ok(self)
    }

    /// Adds a host, whose address may have a password.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Addresses {
        self.given.push(Address::Ssh(endpoint));
        self
    }

    /// Adds the hosts in a file, which is read again when it is saved: one on each line; what follows a `#` at the
    /// beginning of a line or after a blank is a remark. `-` is standard input, which is read once.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Addresses {
        self.file = Some(ListFile { path: path.into(), watcher: None, read: None, last: None });
        self
    }

    /// Adds the hosts that are alive in a world, as the host of that name sees them: each at the address in its label
    /// `ssh`, or else at its name.
    #[must_use]
    pub fn world(mut self, world: &Arc<dyn World>, host: &str) -> Addresses {
        let view = WorldView::new(Some(world.member(host)), None, AliveHost::default());
        self.world = Some(LivingHosts { view, receiver: None });
        self
    }
}

impl Hosts for Addresses {
    async fn hosts(&mut self) -> Result<Vec<Host>, HostsError> {
        let mut addresses = self.given.clone();
        if let Some(file) = &mut self.file {
            addresses.extend(file.read().await?);
        }
        if let Some(world) = &mut self.world {
            addresses.extend(world.read().await?);
        }
        let local = addresses.iter().find(|address| matches!(address, Address::Local(_)));
        if let (Some(option), Some(local)) = (&self.ssh_only, local) {
            let why = format!(
                "{option} does not hold for `local:{}`, a process on this host: leave out one of them",
                local.name()
            );
            return Err(HostsError::Other(why));
        }
        let endpoint = |address: &Address| match address {
            Address::Ssh(endpoint) => Some(endpoint.clone()),
            Address::Local(_) => None,
        };
        let endpoints: Vec<Endpoint> = addresses.iter().filter_map(endpoint).collect();
        match &self.ssh {
            Some(options) if endpoints.len() > 1 => distinct_as_resolved(&endpoints, options).await?,
            _ => distinct(&endpoints)?,
        }
        let host = |address| match address {
            Address::Ssh(endpoint) => (self.reach)(endpoint),
            Address::Local(name) => Host::local(name),
        };
        Ok(addresses.into_iter().map(host).collect())
    }

    async fn changed(&mut self) -> Option<()> {
        if self.file.as_ref().is_none_or(|file| file.watcher.is_none()) && self.world.is_none() {
            return None;
        }
        let file = async {
            match &mut self.file {
                Some(file) => file.changed().await,
                None => pending().await,
            }
        };
        let world = async {
            // The sender lives as long as the view.
            if let Some(receiver) = self.world.as_mut().and_then(|world| world.receiver.as_mut())
                && receiver.changed().await.is_ok()
            {
                return;
            }
            pending().await
        };
        tokio::select! {
            () = file => Some(()),
            () = world => Some(()),
        }
    }
}

impl ListFile {
    async fn read(&mut self) -> Result<Vec<Address>, HostsError> {
        let failed = |error| HostsError::Read { path: self.path.clone(), error: Arc::new(error) };
        let bytes = if self.path == Path::new(STDIN) {
            match self.read.take() {
                Some(read) => read,
                None => stdin::read(FILE_BYTES_MAX).await.map_err(failed)?,
            }
        } else {
            if self.watcher.is_none() {
                // Begin to watch before the file is first read, so that no change is missed.
                let watcher = Watcher::new([self.path.as_path()]);
                self.watcher = Some(watcher.map_err(|error| HostsError::Other(error.to_string()))?);
            }
            bytes(&self.path).map_err(failed)?
        };
        self.read = (self.path == Path::new(STDIN)).then(|| bytes.clone());
        let addresses = parsed(&self.path, &bytes);
        self.last = Some(bytes);
        addresses
    }

    /// Returns when the file has another content than when it was read.
    async fn changed(&mut self) {
        let Some(watcher) = &mut self.watcher else { return pending().await };
        loop {
            watcher.changed().await;
            // One that is missing for a moment while it is replaced is no news.
            let Ok(now) = bytes(&self.path) else { continue };
            if Some(&now) != self.last.as_ref() {
                self.last = Some(now);
                return;
            }
        }
    }
}

/// Reads a file to its end, or until it is longer than [`FILE_BYTES_MAX`], which is enough to refuse it.
fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The hosts in the text of a file.
fn parsed(path: &Path, bytes: &[u8]) -> Result<Vec<Address>, HostsError> {
    let wrong = |problem: String| HostsError::File { path: path.to_owned(), problem };
    if bytes.len() > FILE_BYTES_MAX {
        return Err(wrong(format!("it has more than {} MiB, the limit", FILE_BYTES_MAX >> 20)));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| wrong(format!("it is not UTF-8 at byte {}", error.valid_up_to())))?;
    // Some editors write the order of bytes first.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut addresses = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let address = without_remark(line).trim();
        if !address.is_empty() {
            let failed = |error| HostsError::Line { path: path.to_owned(), line: number, error };
            addresses.push(Address::parse(address).map_err(failed)?);
        }
    }
    Ok(addresses)
}

/// The part of a line before a remark.
fn without_remark(line: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| *at == 0 || line[..*at].ends_with([' ', '\t']);
    line.match_indices('#').find(begins).map_or(line, |(at, _)| &line[..at])
}

impl LivingHosts {
    async fn read(&mut self) -> Result<Vec<Address>, HostsError> {
        if self.receiver.is_none() {
            self.receiver = Some(self.view.hosts().receiver());
            // The hosts are known after this, unless the world does not answer, which is logged.
            self.view.read_all().await;
        }
        let Some(receiver) = &mut self.receiver else { return Ok(Vec::new()) };
        let hosts = receiver.borrow_and_update();
        let endpoint = |host: &AliveHost| {
            let address = host.labels.get(LABEL).map_or(host.name.as_str(), String::as_str);
            let wrong = |error| HostsError::Other(format!("the host `{}` of the world: {error}", host.name));
            let endpoint = address.parse::<Endpoint>().and_then(|endpoint| endpoint.named(host.name.as_str()));
            endpoint.map(Address::Ssh).map_err(wrong)
        };
        hosts.iter().map(endpoint).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<String>, String> {
        let shown = |address: &Address| match address {
            Address::Ssh(endpoint) => endpoint.to_string(),
            Address::Local(name) => format!("local {name}"),
        };
        let parsed = parsed(Path::new("hosts.txt"), text);
        parsed.map(|all| all.iter().map(shown).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_has_a_host_on_each_line_and_remarks() {
        let text = b"# all\n\nweb1\n  root@web2\t# the second\r\ndb=ssh://10.0.0.7:2222\nlocal:x\n#web3\na#b.example\n";
        // No name of a host has a `#`, so it is not cut there unseen.
        assert!(read(text).unwrap_err().starts_with("hosts.txt:8: `a#b.example`"));
        let text = &text[..text.len() - "a#b.example\n".len()];
        assert_eq!(read(text).unwrap(), ["web1", "root@web2", "db=ssh://10.0.0.7:2222", "local x"]);
        assert!(read(b"").unwrap().is_empty());
        assert_eq!(read(b"\xef\xbb\xbfweb1\r\n\r\nweb2 # x\r\n").unwrap(), ["web1", "web2"]);
        assert_eq!(read("local:höst\n".as_bytes()).unwrap(), ["local höst"]);
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_place_and_without_passwords() {
        let error = read(b"web1\nssh://root:canary@web2\n").unwrap_err();
        assert!(error.starts_with("hosts.txt:2: ") && !error.contains("canary"), "{error}");
        assert!(read(b"local:\n").unwrap_err().starts_with("hosts.txt:1: "));
        assert_eq!(read(b"a\xff").unwrap_err(), "the hosts can't be read from hosts.txt: it is not UTF-8 at byte 1");
        let long = vec![b'#'; FILE_BYTES_MAX + 1];
        assert!(read(&long).unwrap_err().ends_with("it has more than 4 MiB, the limit"));
    }
}
