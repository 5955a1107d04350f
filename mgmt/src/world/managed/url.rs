//! The addresses of a server of this host: where it listens, and what other hosts know.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};

use crate::world::etcd::{EtcdError, UNIX, check, is_here};
use crate::world::managed::error::ManagedError;

/// Where a server without a network listens. etcd 3.4 accepts no path here, so it is a name in the working directory,
/// which needs a port that means nothing.
const LOCAL: [&str; 2] = ["unix://client:0", "unix://peer:0"];
/// The directory of these sockets, below that of the server.
const SOCKETS: &str = "sockets";
/// The default port for clients.
const CLIENT_PORT: u16 = 2379;

/// `https://HOST:PORT` or `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    is_encrypted: bool,
    /// Without brackets.
    host: String,
    port: u16,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl Url {
    fn parse(text: &str) -> Result<Url, ManagedError> {
        let is_encrypted = match check(text) {
            Err(EtcdError::Plain(url)) => return Err(ManagedError::Plain(url)),
            checked => checked?,
        };
        let no_url = || EtcdError::NoUrl(text.to_owned());
        let (_, rest) = text.split_once("://").ok_or_else(no_url)?;
        let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(no_url)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        // These have a meaning in lists of addresses.
        if host.contains([',', '=', '%', ' ']) {
            return Err(no_url().into());
        }
        Ok(Url { is_encrypted, host: host.to_owned(), port: port.parse().map_err(|_| no_url())? })
    }

    /// The number of the host, if it has one.
    fn number(&self) -> Option<IpAddr> {
        if self.host == "localhost" { Some(IpAddr::from([127, 0, 0, 1])) } else { self.host.parse().ok() }
    }

    /// With a port that is free now, unless it has one.
    fn with_free_port(mut self) -> Result<(Url, Option<TcpListener>), ManagedError> {
        let number = self.number().ok_or_else(|| ManagedError::NoNumber(self.to_string()))?;
        if self.port != 0 {
            return Ok((self, None));
        }
        let failed =
            |error: std::io::Error| ManagedError::File { path: self.to_string().into(), why: error.to_string() };
        let listener = TcpListener::bind((number, 0)).map_err(failed)?;
        self.port = listener.local_addr().map_err(failed)?.port();
        Ok((self, Some(listener)))
    }
}

/// The addresses as a program gives them.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) client: Vec<String>,
    pub(super) server: Vec<String>,
    pub(super) advertise_client: Vec<String>,
    pub(super) advertise_server: Vec<String>,
}

/// The addresses of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Addresses {
    /// What the program wanted: other wishes need other addresses.
    wanted: [Vec<String>; 4],
    /// Where it listens for clients.
    pub(super) client: Vec<String>,
    /// Where it listens for other servers.
    pub(super) server: Vec<String>,
    pub(super) advertise_client: Vec<String>,
    pub(super) advertise_server: Vec<String>,
}

/// The directory of the sockets of a server without a network.
pub(super) fn sockets(dir: &Path) -> PathBuf {
    dir.join(SOCKETS)
}

/// Where clients reach a server without a network, whose directory this is.
pub(super) fn local_address(dir: &Path) -> String {
    format!("{UNIX}{}/{}", sockets(dir).display(), LOCAL[0].trim_start_matches("unix://"))
}

impl Wanted {
    /// Without a network.
    pub(super) fn local() -> Wanted {
        let [client, server] = LOCAL.map(|url| vec![url.to_owned()]);
        Wanted { client, server, ..Wanted::default() }
    }

    /// Whether an address is wished.
    pub(super) fn is_empty(&self) -> bool {
        self.all().iter().all(Vec::is_empty)
    }

    fn all(&self) -> [Vec<String>; 4] {
        [&self.client, &self.server, &self.advertise_client, &self.advertise_server].map(Clone::clone)
    }

    /// Whether these are the addresses that were chosen for these wishes.
    pub(super) fn is_met_by(&self, addresses: &Addresses) -> bool {
        addresses.wanted == self.all()
    }

    /// Whether servers on other hosts know these addresses as the wished ones.
    pub(super) fn has_servers_of(&self, addresses: &Addresses) -> bool {
        let ([_, server, _, advertised], [_, was, _, was_advertised]) = (self.all(), addresses.wanted.clone());
        (server, advertised) == (was, was_advertised)
    }

    /// Whether a server with data can move from these addresses to the wished ones: it must be reached in the same way.
    pub(super) fn can_follow(&self, addresses: &Addresses) -> bool {
        let scheme = |urls: &[String]| {
            urls.iter().filter_map(|url| Some(url.split_once("://")?.0.to_owned())).collect::<BTreeSet<String>>()
        };
        scheme(&self.server) == scheme(&addresses.server)
    }

    /// Checks the addresses, and chooses the ports that are not given.
    pub(super) fn choose(&self, has_certificates: bool) -> Result<Addresses, ManagedError> {
        let parse = |urls: &[String]| urls.iter().map(|url| Url::parse(url)).collect::<Result<Vec<Url>, _>>();
        let server = parse(&self.server)?;
        let mut client = parse(&self.client)?;
        if let (true, Some(first)) = (client.is_empty(), server.first()) {
            let port = if first.port == 0 { 0 } else { CLIENT_PORT };
            client.push(Url { port, ..first.clone() });
        }
        let advertised = [parse(&self.advertise_client)?, parse(&self.advertise_server)?];
        for url in client.iter().chain(&server).chain(advertised.iter().flatten()) {
            if url.is_encrypted && !has_certificates {
                return Err(ManagedError::NoCertificates(url.to_string()));
            }
        }
        // All ports at once, so that they differ.
        let mut held = Vec::new();
        let mut free = |urls: Vec<Url>| -> Result<Vec<Url>, ManagedError> {
            let mut chosen = Vec::new();
            for url in urls {
                let (url, listener) = url.with_free_port()?;
                chosen.push(url);
                held.push(listener);
            }
            Ok(chosen)
        };
        let (client, server) = (free(client)?, free(server)?);
        let [advertise_client, advertise_server] = advertised;
        let text = |urls: &[Url]| urls.iter().map(Url::to_string).collect::<Vec<String>>();
        Ok(Addresses {
            wanted: self.all(),
            advertise_client: text(&known(advertise_client, &client)?),
            advertise_server: text(&known(advertise_server, &server)?),
            client: text(&client),
            server: text(&server),
        })
    }
}

/// What other hosts know: by default where the server listens.
fn known(advertised: Vec<Url>, listens: &[Url]) -> Result<Vec<Url>, ManagedError> {
    let known = if advertised.is_empty() { listens.to_vec() } else { advertised };
    let unusable = |url: &&Url| url.port == 0 || url.number().is_some_and(|number| number.is_unspecified());
    match known.iter().find(unusable) {
        Some(url) => Err(ManagedError::NotReachable(url.to_string())),
        None => Ok(known),
    }
}

impl Addresses {
    /// Those of a server without a network, in this directory.
    pub(super) fn local(dir: &Path) -> Addresses {
        let wanted = Wanted::local();
        let [client, server, ..] = wanted.all();
        let (advertise_client, advertise_server) = (vec![local_address(dir)], server.clone());
        Addresses { wanted: wanted.all(), client, server, advertise_client, advertise_server }
    }

    /// Whether the server has no network.
    pub(super) fn is_local(&self) -> bool {
        self.client == [LOCAL[0]]
    }

    /// The names and addresses by which others know this server.
    pub(super) fn hosts(&self) -> Vec<String> {
        let all = [&self.client, &self.server, &self.advertise_client, &self.advertise_server];
        let hosts = all.into_iter().flatten().filter_map(|url| Some(Url::parse(url).ok()?.host));
        hosts.collect::<BTreeSet<String>>().into_iter().collect()
    }

    /// An address with this port, or a free one if those of the server are, where clients reach the server. `None`: it
    /// is known to them by names alone.
    pub(super) fn join_url(&self, port: u16) -> Option<String> {
        let is_free = self.wanted[1].iter().any(|url| url.trim_end_matches('/').ends_with(":0"));
        let mut known = self.advertise_client.iter().filter_map(|url| Url::parse(url).ok());
        let known = known.find(|url| url.number().is_some())?;
        let url = Url { is_encrypted: true, port: if is_free { 0 } else { port }, ..known };
        Some(url.to_string())
    }

    /// The addresses that are not encrypted, which are on this host alone.
    pub(super) fn plain(&self) -> Vec<&str> {
        let all = self.client.iter().chain(&self.server);
        all.map(String::as_str).filter(|url| url.starts_with("http://")).collect()
    }
}

/// Whether an address that another host has published can be in a list of addresses.
pub(super) fn is_sound(url: &str) -> bool {
    const BYTES_MAX: usize = 512;
    url.len() <= BYTES_MAX && Url::parse(url).is_ok_and(|url| url.port != 0 && (url.is_encrypted || is_here(&url.host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(server: &[&str]) -> Wanted {
        Wanted { server: server.iter().map(|url| (*url).to_owned()).collect(), ..Wanted::default() }
    }

    #[test]
    fn the_clients_address_follows_that_of_the_servers_and_free_ports_are_chosen() {
        let all = wanted(&["http://127.0.0.1:2380"]).choose(false).unwrap();
        assert_eq!(all.client, ["http://127.0.0.1:2379"]);
        assert_eq!(all.advertise_server, ["http://127.0.0.1:2380"]);
        assert_eq!(all.plain().len(), 2);
        let all = wanted(&["https://[::1]:0"]).choose(true).unwrap();
        let port = |url: &str| url.strip_prefix("https://[::1]:").unwrap().parse::<u16>().unwrap();
        assert!(port(&all.client[0]) != 0 && port(&all.server[0]) != 0 && port(&all.client[0]) != port(&all.server[0]));
        assert_eq!(all.client, all.advertise_client);
        assert!(all.plain().is_empty());
        assert!(wanted(&["https://[::1]:0"]).is_met_by(&all) && !wanted(&["https://[::1]:1"]).is_met_by(&all));
    }

    #[test]
    fn without_a_network_clients_have_the_whole_path_and_etcd_the_name() {
        let all = Addresses::local(Path::new("/x/etcd"));
        assert_eq!(all.advertise_client, ["unix:/x/etcd/sockets/client:0"]);
        assert_eq!((all.client[0].as_str(), all.server[0].as_str()), ("unix://client:0", "unix://peer:0"));
        assert!(all.is_local() && Wanted::local().is_met_by(&all) && all.plain().is_empty() && all.hosts().is_empty());
        // They have no meaning for other hosts, and none on the command line.
        for url in ["unix://peer:0", "unix:/x/etcd/sockets/client:0"] {
            assert!(!is_sound(url) && wanted(&[url]).choose(true).is_err(), "{url}");
        }
    }

    #[test]
    fn a_server_moves_to_addresses_of_the_same_kind() {
        let all = wanted(&["https://127.0.0.1:0"]).choose(true).unwrap();
        assert!(wanted(&["https://10.0.0.1:1"]).can_follow(&all) && !wanted(&["http://127.0.0.1:0"]).can_follow(&all));
        assert!(
            !Wanted::local().can_follow(&all)
                && !wanted(&["https://a:1"]).can_follow(&Addresses::local(Path::new("/")))
        );
    }

    #[test]
    fn what_is_not_safe_or_can_t_work_is_refused_with_the_remedy() {
        let problem = |wanted: Wanted, tls| wanted.choose(tls).unwrap_err().to_string();
        assert!(problem(wanted(&["http://10.0.0.1:2380"]), false).contains("use https:// and certificates"));
        assert!(problem(wanted(&["http://0.0.0.0:2380"]), true).contains("not encrypted"));
        assert!(problem(wanted(&["https://127.0.0.1:2380"]), false).contains("--tls-ca"));
        assert!(problem(wanted(&["https://etcd.example:2380"]), true).contains("no address at which a server can"));
        assert!(problem(wanted(&["https://0.0.0.0:2380"]), true).contains("--advertise-client-urls"));
        for url in ["https://a,b:1", "https://10.0.0.1", "x", "https://a=b:1", "https://10.0.0.1:99999"] {
            assert!(problem(wanted(&[url]), true).contains("no address of an etcd server"), "{url}");
        }
        let advertised = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let all = Wanted {
            advertise_client: advertised(&["https://a.example:1"]),
            advertise_server: advertised(&["https://a.example:2"]),
            ..wanted(&["https://0.0.0.0:2380"])
        };
        assert_eq!(all.choose(true).unwrap().advertise_server, ["https://a.example:2"]);
    }

    #[test]
    fn addresses_of_other_hosts_that_would_spoil_a_list_are_not_sound() {
        for url in ["https://10.0.0.1:2380", "http://127.0.0.1:1", "https://a.example:2380"] {
            assert!(is_sound(url), "{url}");
        }
        let long = format!("https://{}:1", "a".repeat(600));
        for url in ["https://a:1,x=https://b:1", "http://10.0.0.1:1", "https://a:0", "", &long] {
            assert!(!is_sound(url), "{url}");
        }
    }
}
