//! The addresses of etcd servers, and which of them may be used without encryption.

use std::net::IpAddr;

use crate::world::etcd::socket::socket;

/// Why a world in etcd can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EtcdError {
    /// There is no address.
    #[error("no address of an etcd server is given: give at least one, such as https://10.0.0.1:2379")]
    NoAddress,
    /// It is no address of a server.
    #[error("{0:?} is no address of an etcd server: it has the form https://HOST:PORT, or unix:/PATH on this host")]
    NoUrl(String),
    /// Other hosts could read and change what is sent.
    #[error(
        "{0} is not encrypted, and leads to another host: every program on the way could decide what runs here; use https:// and certificates"
    )]
    Plain(String),
    /// There are no certificates for it.
    #[error("{0} needs certificates: give them with `Etcd::tls`")]
    NoCertificates(String),
}

/// Checks an address. Returns whether it is encrypted.
pub(in crate::world) fn check(url: &str) -> Result<bool, EtcdError> {
    // Who may use a socket is decided by its directory and its mode.
    if socket(url).is_some() {
        return Ok(false);
    }
    let no_url = || EtcdError::NoUrl(url.to_owned());
    let (scheme, rest) = url.split_once("://").ok_or_else(no_url)?;
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(no_url)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() || host.contains('/') || port.parse::<u16>().is_err() {
        return Err(no_url());
    }
    match scheme {
        "https" => Ok(true),
        "http" if is_here(host) => Ok(false),
        "http" => Err(EtcdError::Plain(url.to_owned())),
        _ => Err(no_url()),
    }
}

/// The host and the port of `https://HOST:PORT` or `http://HOST:PORT`. An IPv6 address is without brackets.
pub(in crate::world) fn host_and_port(url: &str) -> Option<(String, u16)> {
    let (_, rest) = url.split_once("://")?;
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host.to_owned(), port.parse().ok()?))
}

/// The same of `https://HOST:PORT` alone.
pub(in crate::world) fn https_host_and_port(url: &str) -> Option<(String, u16)> {
    host_and_port(url).filter(|_| url.starts_with("https://"))
}

/// Whether an address leads to this host, whatever a name server answers.
pub(in crate::world) fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_lead_to_this_host_alone() {
        for url in [
            "http://127.0.0.1:2379",
            "http://localhost:2379",
            "http://[::1]:2379/",
            "http://127.9.9.9:1",
            "unix:/run/s",
        ] {
            assert_eq!(check(url), Ok(false), "{url}");
        }
        for url in ["https://10.0.0.1:2379", "https://etcd.example:2379", "https://[fe80::1]:2379"] {
            assert_eq!(check(url), Ok(true), "{url}");
        }
        for url in ["http://10.0.0.1:2379", "http://localhost.example:2379", "http://0.0.0.0:2379", "http://[::]:2379"]
        {
            assert_eq!(check(url), Err(EtcdError::Plain(url.to_owned())), "{url}");
        }
        for url in
            ["", "10.0.0.1:2379", "ftp://10.0.0.1:2379", "https://10.0.0.1", "https://:2379", "https://a/b:1", "unix:s"]
        {
            assert_eq!(check(url), Err(EtcdError::NoUrl(url.to_owned())), "{url}");
        }
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        let parts = |url: &str| https_host_and_port(url);
        assert_eq!(parts("https://10.0.0.1:2378"), Some(("10.0.0.1".to_owned(), 2378)));
        assert_eq!(parts("https://[::1]:1/"), Some(("::1".to_owned(), 1)));
        assert_eq!(parts("http://10.0.0.1:1"), None);
        assert_eq!(parts("https://10.0.0.1"), None);
        assert_eq!(host_and_port("http://127.0.0.1:1"), Some(("127.0.0.1".to_owned(), 1)));
    }
}
