//! Where a host is: `web1`, `user@web1`, `ssh://user@web1:2222`, each with an own name in front if wished
//! (`NAME=…`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

/// The longest name of a host, in bytes: that of DNS.
const HOST_BYTES_MAX: usize = 253;
/// The longest name of a user, in bytes.
const USER_BYTES_MAX: usize = 256;
/// The port where sshd listens if no other is configured.
const PORT: u16 = 22;

/// A host that is reached by ssh, and the name that it has here.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    name: String,
    host: String,
    user: Option<String>,
    port: Option<u16>,
    password: Option<Zeroizing<String>>,
}

/// Why a text is not an endpoint, or a list of them is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// A part of it can't be right.
    #[error(
        "`{text}` names no host: {problem}; write `web1`, `user@web1` or `ssh://user@web1:22`, with `NAME=` in front to name it"
    )]
    Text {
        /// The text, without a password.
        text: String,
        /// What is wrong.
        problem: String,
    },
    /// It has a password, which was not allowed.
    #[error(
        "`{text}` has a password in its address, where others can read it: leave it out, and use a key, an agent, or the prompt of ssh"
    )]
    Password {
        /// The text, without the password.
        text: String,
    },
    /// Two hosts of the list have one name.
    #[error("two hosts have the name `{name}` ({first} and {second}): name them with `NAME=ADDRESS`")]
    Name {
        /// The name.
        name: String,
        /// The address of the first.
        first: String,
        /// The address of the second.
        second: String,
    },
    /// Two names of the list are one host.
    #[error(
        "`{first}` and `{second}` are one host ({address}): it can't have two names at once; leave one of them out"
    )]
    Twice {
        /// The name of the first.
        first: String,
        /// The name of the second.
        second: String,
        /// What both lead to.
        address: String,
    },
}

impl Endpoint {
    /// Reads an endpoint that may have a password in its address (`ssh://user:password@host`), as old files have them.
    ///
    /// # Errors
    /// The text is no endpoint.
    pub fn with_password(text: &str) -> Result<Endpoint, EndpointError> {
        parse(text)
    }

    /// The name that this host has here.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same host with this name.
    ///
    /// # Errors
    /// It can't be the name of a host.
    pub fn named(mut self, name: impl Into<String>) -> Result<Endpoint, EndpointError> {
        self.name = name.into();
        check_name(&self.name).map_err(|problem| EndpointError::Text { text: self.name.clone(), problem })?;
        Ok(self)
    }

    /// The host as ssh is given it: a name of its configuration, of DNS, or an address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The user there, if it is not left to ssh.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The port there, if it is not left to ssh.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The same host with this user where it has none, and this port where it has none.
    ///
    /// # Errors
    /// It can't be the name of a user.
    pub fn or(mut self, user: &str, port: u16) -> Result<Endpoint, EndpointError> {
        check_user(user).map_err(|problem| EndpointError::Text { text: user.to_owned(), problem })?;
        self.user.get_or_insert_with(|| user.to_owned());
        self.port.get_or_insert(port);
        Ok(self)
    }

    /// Whether its address has a password.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// The password of the address.
    pub(super) fn password(&self) -> Option<&Zeroizing<String>> {
        self.password.as_ref()
    }

    /// The address, without a name and a password.
    pub fn address(&self) -> String {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        match self.port {
            Some(port) if self.host.contains(':') => format!("ssh://{user}[{}]:{port}", self.host),
            Some(port) => format!("ssh://{user}{}:{port}", self.host),
            None => format!("{user}{}", self.host),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        let endpoint = parse(text)?;
        match endpoint.has_password() {
            true => Err(EndpointError::Password { text: shown(text) }),
            false => Ok(endpoint),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address();
        // The first `=` ends a name.
        match self.name == self.host && !address.contains('=') {
            true => f.write_str(&address),
            false => write!(f, "{}={address}", self.name),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self}{})", if self.has_password() { ", (secret)" } else { "" })
    }
}

/// Refuses a list in which a name is used twice, or one host has two names. What ssh's configuration makes of the
/// names is not considered here: see [`distinct_as_resolved`](super::distinct_as_resolved).
///
/// # Errors
/// The first two that are not distinct.
pub fn distinct(endpoints: &[Endpoint]) -> Result<(), EndpointError> {
    let places = endpoints.iter().map(|endpoint| {
        let host = endpoint.host.to_ascii_lowercase();
        (endpoint.user.clone(), host, endpoint.port.unwrap_or(PORT))
    });
    distinct_at(endpoints, places)
}

/// Refuses a list in which a name or a place is used twice.
pub(super) fn distinct_at<P: Ord>(
    endpoints: &[Endpoint],
    places: impl IntoIterator<Item = P>,
) -> Result<(), EndpointError> {
    let (mut names, mut at) = (BTreeMap::new(), BTreeMap::new());
    for (endpoint, place) in endpoints.iter().zip(places) {
        if let Some(first) = names.insert(endpoint.name.to_ascii_lowercase(), endpoint) {
            let (first, second) = (first.address(), endpoint.address());
            return Err(EndpointError::Name { name: endpoint.name.clone(), first, second });
        }
        if let Some(first) = at.insert(place, endpoint) {
            let (first, second) = (first.name.clone(), endpoint.name.clone());
            return Err(EndpointError::Twice { first, second, address: endpoint.address() });
        }
    }
    Ok(())
}

/// The text with a placeholder for a password.
fn shown(text: &str) -> String {
    let begin = text.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = text.split_at(begin);
    let Some((login, host)) = rest.rsplit_once('@') else { return text.to_owned() };
    match login.split_once(':') {
        Some((user, _)) => format!("{scheme}{user}:(secret)@{host}"),
        None => text.to_owned(),
    }
}

fn parse(text: &str) -> Result<Endpoint, EndpointError> {
    read(text).map_err(|problem| EndpointError::Text { text: shown(text), problem })
}

fn read(text: &str) -> Result<Endpoint, String> {
    // A user or a password may contain `=`, a name neither `@` nor `/`.
    let (name, address) = match text.split_once('=') {
        Some((name, address)) if !name.contains(['@', '/']) => (Some(name), address),
        _ => (None, text),
    };
    let (user, password, host, port) = match address.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ssh") => url(rest)?,
        Some((scheme, _)) => return Err(format!("the scheme `{scheme}` is not known")),
        None => plain(address)?,
    };
    check_host(&host)?;
    user.as_deref().map_or(Ok(()), check_user)?;
    let name = name.map_or_else(|| host.clone(), str::to_owned);
    check_name(&name)?;
    Ok(Endpoint { name, host, user, port, password })
}

type Parts = (Option<String>, Option<Zeroizing<String>>, String, Option<u16>);

fn plain(address: &str) -> Result<Parts, String> {
    let (login, host) = match address.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, address),
    };
    // No user has a colon in its name: it is a password that follows.
    let (user, password) = match login.map(|login| login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)))) {
        Some((user, password)) => (Some(user.to_owned()), password.map(|text| Zeroizing::new(text.to_owned()))),
        None => (None, None),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Some((before, after)) = bare.split_once(':')
        && !after.contains(':')
    {
        return Err(format!("a port needs the long form: `ssh://{before}:{after}`"));
    }
    Ok((user, password, bare.to_owned(), None))
}

fn url(rest: &str) -> Result<Parts, String> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (login, place) = match rest.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, rest),
    };
    if place.contains(['/', '?', '#']) {
        return Err("only a host and a port may follow the user".to_owned());
    }
    let (user, password) = match login.map(|login| login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)))) {
        Some((user, password)) => (Some(decoded(user)?), password.map(decoded).transpose()?.map(Zeroizing::new)),
        None => (None, None),
    };
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("a `]` is missing")?;
            let port = match after {
                "" => None,
                after => Some(after.strip_prefix(':').ok_or("only `:PORT` may follow the `]`")?),
            };
            (host, port)
        }
        None => match place.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err("an IPv6 address stands in `[]` there".to_owned()),
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = match port {
        None => None,
        Some(port) => match port.parse::<u16>() {
            Ok(number) if number > 0 => Some(number),
            _ => return Err(format!("`{port}` is not a port: 1 to 65535 are")),
        },
    };
    if password.as_ref().is_some_and(|password| password.contains(['\n', '\0'])) {
        return Err("its password has a newline or a NUL byte".to_owned());
    }
    Ok((user, password, host.to_owned(), port))
}

/// Restores characters that are written as `%40`.
fn decoded(text: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next(), bytes.next()].map(|digit| digit.and_then(|d| char::from(d).to_digit(16)));
        match digits {
            [Some(high), Some(low)] => out.push(u8::try_from(high * 16 + low).unwrap_or_default()),
            _ => return Err("a `%` there is written as `%25`".to_owned()),
        }
    }
    String::from_utf8(out).map_err(|_| "the user or the password is not UTF-8".to_owned())
}

fn check_host(host: &str) -> Result<(), String> {
    let is_good = |c: char| c.is_alphanumeric() || "-._:%".contains(c);
    match host {
        "" => Err("the host is missing".to_owned()),
        host if host.len() > HOST_BYTES_MAX => Err(format!("a host has at most {HOST_BYTES_MAX} bytes")),
        host if host.starts_with('-') => Err("a host does not begin with `-`".to_owned()),
        host => match host.chars().find(|c| !is_good(*c)) {
            Some(c) => Err(format!("a host has no {c:?}")),
            None => Ok(()),
        },
    }
}

fn check_user(user: &str) -> Result<(), String> {
    match user {
        "" => Err("the user is missing".to_owned()),
        user if user.len() > USER_BYTES_MAX => Err(format!("a user has at most {USER_BYTES_MAX} bytes")),
        user if user.starts_with('-') => Err("a user does not begin with `-`".to_owned()),
        user => match user.chars().find(|c| c.is_control() || c.is_whitespace() || "'`\"$\\;&<>|(){}*?".contains(*c)) {
            Some(c) => Err(format!("a user has no {c:?}")),
            None => Ok(()),
        },
    }
}

fn check_name(name: &str) -> Result<(), String> {
    match name {
        "" => Err("the name is empty".to_owned()),
        name if name.len() > HOST_BYTES_MAX => Err(format!("a name has at most {HOST_BYTES_MAX} bytes")),
        name if name.starts_with('-') => Err("a name does not begin with `-`".to_owned()),
        name => match name.chars().find(|c| !c.is_alphanumeric() && !"-._:%".contains(*c)) {
            Some(c) => Err(format!("a name has no {c:?}")),
            None => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> (String, Option<String>, String, Option<u16>) {
        let Endpoint { name, user, host, port, .. } = Endpoint::with_password(text).unwrap();
        (name, user, host, port)
    }

    #[test]
    fn all_forms_are_read() {
        let some = |user: &str| Some(user.to_owned());
        for (text, name, user, host, port) in [
            ("web1", "web1", None, "web1", None),
            ("root@10.0.0.7", "10.0.0.7", some("root"), "10.0.0.7", None),
            ("a@b@web1", "web1", some("a@b"), "web1", None),
            ("ssh://web1", "web1", None, "web1", None),
            ("SSH://web1/", "web1", None, "web1", None),
            ("ssh://u@web1:2222", "web1", some("u"), "web1", Some(2222)),
            ("db=ssh://u%40x@[fe80::1%25]:7", "db", some("u@x"), "fe80::1%25", Some(7)),
            ("::1", "::1", None, "::1", None),
            ("u@[::1]", "::1", some("u"), "::1", None),
            ("front=u@web1", "front", some("u"), "web1", None),
            ("u=x@web1", "u", some("x"), "web1", None),
        ] {
            assert_eq!(parts(text), (name.to_owned(), user, host.to_owned(), port), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_a_password_is_never_shown() {
        for (text, what) in [
            ("", "the host is missing"),
            ("u@", "the host is missing"),
            ("-oProxyCommand=x", "a name does not begin"),
            ("u@-x", "a host does not begin with `-`"),
            ("-u@x", "a user does not begin with `-`"),
            ("a b", "a host has no ' '"),
            ("we'b", "a host has no '\\''"),
            ("a\nb", "a host has no '\\n'"),
            ("web1:22", "`ssh://web1:22`"),
            ("http://x", "the scheme `http`"),
            ("ssh://x:0", "`0` is not a port"),
            ("ssh://x:70000", "is not a port"),
            ("ssh://x/y", "only a host and a port"),
            ("ssh://[::1", "a `]` is missing"),
            ("ssh://::1", "stands in `[]`"),
            ("ssh://u%4@x", "`%25`"),
            ("x=", "the host is missing"),
            ("=x", "the name is empty"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
        let text = "ssh://ann:hunter2:@@[x";
        for error in [Endpoint::with_password(text).unwrap_err(), text.parse::<Endpoint>().unwrap_err()] {
            assert!(!error.to_string().contains("hunter"), "{error}");
        }
        let text = "ssh://ann:hunter2%40@web1:22";
        assert!(matches!(text.parse::<Endpoint>(), Err(EndpointError::Password { text }) if !text.contains("hunter")));
        let endpoint = Endpoint::with_password(text).unwrap();
        assert_eq!(endpoint.password().unwrap().as_str(), "hunter2@");
        assert!(!format!("{endpoint:?} {endpoint}").contains("hunter"));
    }

    #[test]
    fn names_and_places_are_distinct() {
        let list = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Endpoint>>();
        distinct(&list(&["web1", "web2", "ann@web1x", "x=bob@web2"])).unwrap();
        let error = distinct(&list(&["web1", "ssh://Web1:22"])).unwrap_err().to_string();
        assert!(error.contains("the name `Web1`") && error.contains("NAME=ADDRESS"), "{error}");
        let error = distinct(&list(&["a=u@web1", "b=ssh://u@WEB1"])).unwrap_err().to_string();
        assert!(error.contains("`a` and `b` are one host"), "{error}");
    }

    #[test]
    fn defaults_of_old_files_fill_what_is_missing() {
        let endpoint: Endpoint = "web1".parse().unwrap();
        assert_eq!(endpoint.or("mgmt", 22).unwrap().address(), "ssh://mgmt@web1:22");
        let endpoint: Endpoint = "ssh://u@web1:1".parse().unwrap();
        assert_eq!(endpoint.or("mgmt", 22).unwrap().address(), "ssh://u@web1:1");
        let endpoint: Endpoint = "u@::1".parse().unwrap();
        assert_eq!(endpoint.or("mgmt", 22).unwrap().address(), "ssh://u@[::1]:22");
    }

    #[test]
    fn a_user_with_the_sign_that_ends_a_name_is_shown_after_the_name() {
        let endpoint: Endpoint = "h==@h".parse().unwrap();
        assert_eq!((endpoint.name(), endpoint.user(), endpoint.host()), ("h", Some("="), "h"));
        assert_eq!(endpoint.to_string().parse::<Endpoint>().unwrap(), endpoint);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_shown_is_read_again(text in "[a-c@:/=\\[\\]%.ssh0-9-]{0,24}|.*") {
            if let Ok(endpoint) = text.parse::<Endpoint>() {
                let again: Endpoint = endpoint.to_string().parse().unwrap();
                prop_assert_eq!(&again, &endpoint);
                let first = [Some(endpoint.host()), endpoint.user()];
                prop_assert!(first.iter().flatten().all(|part| !part.starts_with('-')));
            }
        }
    }
}
