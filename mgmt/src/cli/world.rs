//! The options of the world, the store through which hosts exchange resources.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

#[cfg(feature = "ssh")]
use crate::cli::options::first_given;
use crate::cli::options::seconds;
use crate::cli::report::CommandError;
use crate::cli::servers::ServerOptions;
use crate::resource::World;

/// The options of the world, the store through which hosts exchange resources.
#[derive(Clone, Debug, Default, Args)]
#[command(about = None, long_about = None)]
pub struct WorldOptions {
    /// Servers of the etcd through which hosts exchange resources: https://HOST:PORT, with `,` between several
    #[arg(long, short, global = true, value_name = "URLS", env = "MGMT_SEEDS", value_parser = seeds)]
    pub seeds: Vec<Seeds>,
    /// Certificate of the authority of these servers, as PEM
    #[arg(long, global = true, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Certificate of this host, as PEM
    #[arg(long, global = true, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Key of that certificate, as PEM
    #[arg(long, global = true, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// How long the exports of this host remain after the end of its engine; default: 24 hours
    #[arg(long, global = true, value_name = "SECONDS", value_parser = ttl)]
    pub export_ttl: Option<Duration>,
    /// Labels of this host that other hosts see: NAME=VALUE, with `,` between several
    #[arg(long, global = true, value_name = "LABELS", env = "MGMT_LABELS", value_parser = labels)]
    pub label: Vec<Labels>,
    /// How long other hosts see this one as alive after it has died; default: 15 seconds
    #[arg(long, global = true, value_name = "SECONDS", value_parser = ttl)]
    pub alive_ttl: Option<Duration>,
    /// Reach these servers through a host that can: ssh://USER@HOST:PORT, or a name that ssh knows
    #[cfg(feature = "ssh")]
    #[arg(long, global = true, value_name = "HOST")]
    pub ssh_url: Option<String>,
    /// The public key that this host must have (`ssh-ed25519 AAAA…`); default: the one in the list of known hosts
    #[cfg(feature = "ssh")]
    #[arg(long, global = true, value_name = "KEY")]
    pub ssh_hostkey: Option<String>,
    /// A private key for this host; default: those of ssh's own configuration
    #[cfg(feature = "ssh")]
    #[arg(long, global = true, value_name = "FILE")]
    pub ssh_id: Option<PathBuf>,
    /// The server that this host runs.
    #[command(flatten)]
    pub servers: ServerOptions,
}

/// The addresses of servers, as one option gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(pub Vec<String>);

/// An empty text is no address: it comes from an environment variable that is set but empty.
pub(crate) fn seeds(text: &str) -> Result<Seeds, String> {
    let all = text.split([',', ';', ' ', '\t', '\n']).filter(|address| !address.is_empty());
    Ok(Seeds(all.map(str::to_owned).collect()))
}

/// Labels with their values, as one option gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels(pub Vec<(String, String)>);

/// An empty text has no label: it comes from an environment variable that is set but empty.
fn labels(text: &str) -> Result<Labels, String> {
    let label = |label: &str| match label.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{label}` is no label: give NAME=VALUE")),
    };
    text.split(',').filter(|label| !label.is_empty()).map(label).collect::<Result<_, _>>().map(Labels)
}

pub(crate) fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = seconds(text)?;
    if ttl < Duration::from_secs(1) { Err(format!("`{text}` is too short: give a second or more")) } else { Ok(ttl) }
}

/// Whether no certificates are used there.
#[cfg(feature = "etcd")]
fn is_plain(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("unix:")
}

const TLS_OPTIONS: [&str; 3] = ["--tls-ca", "--tls-cert", "--tls-key"];

/// The authority, the certificate and the key.
type Pem = [Vec<u8>; 3];

impl WorldOptions {
    /// The world that these options name, or that the host with this prefix has joined; `None`: there is none.
    ///
    /// # Errors
    /// An address or a file can't be used, or the program can't use etcd.
    pub(crate) fn world(&self, prefix: &Path) -> Result<Option<Arc<dyn World>>, CommandError> {
        #[cfg(feature = "ssh")]
        self.check_ssh()?;
        if self.servers.no_network {
            return on_sockets(self, prefix);
        }
        let seeds: Vec<&str> = self.seeds.iter().flat_map(|seeds| &seeds.0).map(String::as_str).collect();
        let given = TLS_OPTIONS.iter().zip(self.tls()).find(|(_, file)| file.is_some());
        match given {
            Some((given, _)) if seeds.is_empty() && !self.servers.serves() => {
                return Err(CommandError::Other(format!(
                    "`{given}` is for servers of etcd: name them with `--seeds`, or run one with `--server-urls`"
                )));
            }
            Some(_) => {}
            None => {
                if let Some(world) = joined(self, &seeds, prefix)? {
                    return Ok(Some(world));
                }
            }
        }
        if seeds.is_empty() {
            return Ok(None);
        }
        let files = self.tls_files()?;
        let mut pem = Vec::new();
        for (option, file) in TLS_OPTIONS.iter().zip(files.into_iter().flatten()) {
            match std::fs::read(file) {
                Ok(bytes) => pem.push(bytes),
                Err(error) => return Err(CommandError::Other(format!("`{option} {}`: {error}", file.display()))),
            }
        }
        etcd(self, &seeds, Pem::try_from(pem).ok()).map(Some)
    }

    /// The way to the servers, if they are reached through a host.
    ///
    /// # Errors
    /// The host or its key are no such.
    #[cfg(all(feature = "etcd", feature = "ssh"))]
    pub(crate) fn forward(&self) -> Result<Option<crate::world::Forward>, CommandError> {
        use crate::sys::ssh::{Endpoint, Forward, HostKey, SshOptions};
        let Some(url) = &self.ssh_url else { return Ok(None) };
        let endpoint = url.parse::<Endpoint>().map_err(|error| CommandError::Other(format!("`--ssh-url`: {error}")))?;
        let mut options = SshOptions::default();
        options.identities.extend(self.ssh_id.clone());
        let forward = Forward::new(endpoint, options);
        let key = self.ssh_hostkey.as_deref().map(str::parse::<HostKey>).transpose();
        Ok(match key.map_err(|error| CommandError::Other(format!("`--ssh-hostkey`: {error}")))? {
            Some(key) => Some(forward.host_key(key)),
            None => Some(forward),
        })
    }

    /// Refuses options about ssh that have no sense.
    #[cfg(feature = "ssh")]
    fn check_ssh(&self) -> Result<(), CommandError> {
        let wrong = |text: String| Err(CommandError::Other(text));
        if self.ssh_url.is_none() {
            let given = [("--ssh-hostkey", self.ssh_hostkey.is_some()), ("--ssh-id", self.ssh_id.is_some())];
            return match first_given(&given) {
                Some(option) => wrong(format!("`{option}` is for the host of `--ssh-url`: give that too")),
                None => Ok(()),
            };
        }
        if cfg!(not(feature = "etcd")) {
            return wrong(
                "`--ssh-url` needs the Cargo feature `etcd`, which this program was built without: build it with it"
                    .to_owned(),
            );
        }
        match self.servers.no_network {
            true => wrong("`--ssh-url` has no sense with `--no-network`: leave out one of both".to_owned()),
            false => Ok(()),
        }
    }

    /// Refuses options that have no sense with `--no-network`.
    #[cfg(feature = "etcd")]
    pub(crate) fn check_no_network(&self) -> Result<(), CommandError> {
        let seeds = self.seeds.iter().any(|seeds| !seeds.0.is_empty()).then_some("--seeds");
        let tls = TLS_OPTIONS.iter().zip(self.tls()).find(|(_, file)| file.is_some()).map(|(option, _)| *option);
        match seeds.or(tls).or(self.servers.of_network()) {
            None => Ok(()),
            Some(option) => Err(CommandError::Other(format!(
                "`{option}` has no sense with `--no-network`, which is for one host alone: leave out one of both"
            ))),
        }
    }

    /// Whether an address is given that is not encrypted. That is another world than one with certificates.
    #[cfg(feature = "etcd")]
    pub(crate) fn is_plain(&self) -> bool {
        let servers = &self.servers;
        let all = [&self.seeds, &servers.server_urls, &servers.client_urls];
        all.into_iter().flatten().flat_map(|seeds| &seeds.0).any(|url| is_plain(url))
    }

    fn tls(&self) -> [&Option<PathBuf>; 3] {
        [&self.tls_ca, &self.tls_cert, &self.tls_key]
    }

    /// The files of the authority, the certificate and the key: all of them, or none.
    ///
    /// # Errors
    /// Only some of them are given.
    pub(crate) fn tls_files(&self) -> Result<Option<[&PathBuf; 3]>, CommandError> {
        let files = self.tls();
        if let [Some(authority), Some(certificate), Some(key)] = files {
            return Ok(Some([authority, certificate, key]));
        }
        let given = TLS_OPTIONS.iter().zip(files).find(|(_, file)| file.is_some());
        let missing = TLS_OPTIONS.iter().zip(files).find(|(_, file)| file.is_none());
        match (given, missing) {
            (Some((given, _)), Some((missing, _))) => Err(CommandError::Other(format!(
                "`{given}` needs `{missing}`: give all three of `--tls-ca`, `--tls-cert` and `--tls-key`"
            ))),
            _ => Ok(None),
        }
    }
}

/// The world of a server that runs without a network below this prefix.
#[cfg(feature = "etcd")]
fn on_sockets(options: &WorldOptions, prefix: &Path) -> Result<Option<Arc<dyn World>>, CommandError> {
    options.check_no_network()?;
    let dir = std::path::absolute(prefix.join(crate::resource::ETCD_DIR))?;
    let wrong = |error: std::io::Error| CommandError::Other(error.to_string());
    Ok(Some(Arc::new(crate::world::Etcd::on_sockets_in(dir).checked().map_err(wrong)?)))
}

#[cfg(not(feature = "etcd"))]
fn on_sockets(_: &WorldOptions, _: &Path) -> Result<Option<Arc<dyn World>>, CommandError> {
    Err(CommandError::Other(
        "`--no-network` needs the Cargo feature `etcd`, which this program was built without: build it with it"
            .to_owned(),
    ))
}

/// The world of the cluster that the host with this prefix has joined.
#[cfg(feature = "etcd")]
fn joined(options: &WorldOptions, seeds: &[&str], prefix: &Path) -> Result<Option<Arc<dyn World>>, CommandError> {
    // What is not encrypted was named explicitly: it is another one.
    if seeds.iter().any(|seed| is_plain(seed)) {
        return Ok(None);
    }
    let Some(world) = crate::world::Etcd::joined(prefix)? else { return Ok(None) };
    let world = if seeds.is_empty() { world } else { world.at(seeds.iter().copied()) };
    let wrong = |error: std::io::Error| CommandError::Other(error.to_string());
    Ok(Some(Arc::new(over(options, world)?.checked().map_err(wrong)?)))
}

/// The world through the host that the options name.
#[cfg(all(feature = "etcd", feature = "ssh"))]
fn over(options: &WorldOptions, world: crate::world::Etcd) -> Result<crate::world::Etcd, CommandError> {
    Ok(match options.forward()? {
        Some(forward) => world.over_ssh(forward),
        None => world,
    })
}

#[cfg(all(feature = "etcd", not(feature = "ssh")))]
#[expect(clippy::unnecessary_wraps, reason = "the form of the one with ssh")]
fn over(_: &WorldOptions, world: crate::world::Etcd) -> Result<crate::world::Etcd, CommandError> {
    Ok(world)
}

#[cfg(not(feature = "etcd"))]
fn joined(_: &WorldOptions, _: &[&str], _: &Path) -> Result<Option<Arc<dyn World>>, CommandError> {
    Ok(None)
}

#[cfg(feature = "etcd")]
fn etcd(options: &WorldOptions, seeds: &[&str], pem: Option<Pem>) -> Result<Arc<dyn World>, CommandError> {
    let mut world = crate::world::Etcd::new(seeds.iter().copied());
    if let Some([authority, certificate, key]) = pem {
        world = world.tls(authority, certificate, key);
    }
    let wrong = |error: std::io::Error| CommandError::Other(format!("`--seeds`: {error}"));
    Ok(Arc::new(over(options, world)?.checked().map_err(wrong)?))
}

#[cfg(not(feature = "etcd"))]
fn etcd(_: &WorldOptions, _: &[&str], _: Option<Pem>) -> Result<Arc<dyn World>, CommandError> {
    Err(CommandError::Other(
        "`--seeds` needs the Cargo feature `etcd`, which this program was built without: build it with it".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_separated_as_in_go_mgmt() {
        let all = |text: &str| seeds(text).unwrap().0;
        assert_eq!(all("https://a:1,https://b:2; https://c:3"), ["https://a:1", "https://b:2", "https://c:3"]);
        assert!(all("").is_empty() && all(" ,").is_empty());
        assert!(ttl("0.5").is_err() && ttl("1h").unwrap() == Duration::from_secs(3600));
    }

    #[test]
    fn labels_have_a_name_and_any_value() {
        let all = |text: &str| labels(text).map(|labels| labels.0);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            all("role=web,zone=a=b,empty=").unwrap(),
            [pair("role", "web"), pair("zone", "a=b"), pair("empty", "")]
        );
        assert!(all("").unwrap().is_empty());
        for wrong in ["role", "=web", "a=b,c"] {
            assert!(all(wrong).unwrap_err().contains("NAME=VALUE"), "{wrong}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let nowhere = Path::new("/nonexistent/prefix");
        let problem = |options: WorldOptions| options.world(nowhere).unwrap_err().to_string();
        let file = Some(PathBuf::from("/nonexistent/file"));
        let https = vec![Seeds(vec!["https://a:1".to_owned()])];
        assert!(WorldOptions::default().world(nowhere).unwrap().is_none());
        assert!(problem(WorldOptions { tls_key: file.clone(), ..WorldOptions::default() }).contains("`--seeds`"));
        let one = WorldOptions { seeds: https.clone(), tls_cert: file.clone(), ..WorldOptions::default() };
        assert!(problem(one).contains("`--tls-cert` needs `--tls-ca`"));
        let all =
            WorldOptions { tls_ca: file.clone(), tls_cert: file.clone(), tls_key: file, ..WorldOptions::default() };
        let read = problem(WorldOptions { seeds: https.clone(), ..all });
        assert!(read.starts_with("`--tls-ca /nonexistent/file`: "), "{read}");
        #[cfg(feature = "etcd")]
        assert!(problem(WorldOptions { seeds: https, ..WorldOptions::default() }).contains("needs certificates"));
    }
}
