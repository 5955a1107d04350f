//! Which keys a host may read and write, as a pure function of its name and of what it asks for.

use crate::id::{key_part, text_of_key_part};
use crate::resource::Keys;

/// The longest name of a host, in bytes.
pub(super) const HOST_BYTES_MAX: usize = 253;
const EXPORTS: &str = "/mgmt/exports/";
const GRANTS: &str = "/mgmt/grants/";
const SCHEDULES: &str = "/mgmt/schedules/";
const VALUES: &str = "/mgmt/values/";
/// The addressee of exports for all hosts.
const ALL: &str = "*";
/// The most hexadecimal digits of a key in the name of a user.
const DIGITS: usize = 32;

/// What a role permits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Access {
    pub(super) keys: Keys,
    /// Besides reading.
    pub(super) writes: bool,
}

fn reads(keys: Keys) -> Access {
    Access { keys, writes: false }
}

fn writes(keys: Keys) -> Access {
    Access { keys, writes: true }
}

/// The user of etcd that a host is, with the key of this joining: a host that is made again is another user.
pub(super) fn user(host: &str, key: &[u8; 32]) -> String {
    let mut user = of_host(host);
    user.extend(super::token::hex(key).chars().take(DIGITS));
    user
}

/// What the names of all users of a host begin with.
pub(super) fn of_host(host: &str) -> String {
    format!("{}@", key_part(host))
}

/// The host that a user is; `None`: it is none.
pub(super) fn host_of_user(user: &str) -> Option<String> {
    text_of_key_part(user.split_once('@')?.0)
}

/// What each host may read and write.
pub(super) fn of_each(host: &str) -> Vec<Access> {
    let own = key_part(host);
    let below = |prefix: &str| reads(Keys::Below(prefix.to_owned()));
    let shared = ["hosts", "states", "keys", "schedules", "values", "servers", "deploys", "blobs"];
    let mut all: Vec<Access> = shared.iter().map(|part| below(&format!("/mgmt/{part}/"))).collect();
    // Read only to ask for the revision.
    all.push(reads(Keys::One("/mgmt".to_owned())));
    all.extend([ALL, &own].map(|to| below(&format!("{EXPORTS}{to}/"))));
    all.extend(["exporters", "hosts", "states", "keys"].map(|part| writes(Keys::One(format!("/mgmt/{part}/{own}")))));
    all.push(writes(Keys::Below(format!("{GRANTS}{own}/"))));
    all
}

/// What a host may write that deploys.
pub(super) fn of_deploying() -> Vec<Access> {
    ["/mgmt/deploys/", "/mgmt/blobs/"].map(|prefix| writes(Keys::Below(prefix.to_owned()))).into()
}

/// All keys of a host, besides those that it has asked for.
pub(super) fn keys_of(host: &str) -> Vec<Keys> {
    of_each(host).into_iter().filter(|access| access.writes).map(|access| access.keys).collect()
}

/// All that hosts ask for.
pub(super) fn all_grants() -> Keys {
    Keys::Below(GRANTS.to_owned())
}

/// The host and what it asks for, by their key; `None`: it is in no form that can be granted.
pub(super) fn grant_of(key: &str) -> Option<(String, Grant)> {
    let (host, rest) = key.strip_prefix(GRANTS)?.split_once('/')?;
    Some((text_of_key_part(host)?, Grant::parse(rest)?))
}

/// Something that a host may write once it has asked for it: there are too many of these for all to be granted at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::world) enum Grant {
    /// Its own exports of a kind, for an addressee. Both as in keys.
    Exports { to: String, kind: String },
    /// Its own place in a schedule, and the list of those that are chosen, which each host that takes part writes.
    Schedule(String),
    /// The value of that name that all hosts share.
    Value(String),
    /// The value of that name that this host has.
    OwnValue(String),
}

fn is_part(part: &str) -> bool {
    text_of_key_part(part).is_some()
}

impl Grant {
    /// What the host must ask for to write this key; `None`: asking does not help.
    pub(in crate::world) fn of_write(host: &str, key: &str) -> Option<Grant> {
        let own = key_part(host);
        let parts: Vec<&str> = key.strip_prefix("/mgmt/")?.split('/').collect();
        let grant = match parts[..] {
            ["exports", to, kind, from] | ["exports", to, kind, from, _, _] if from == own => {
                Grant::Exports { to: to.to_owned(), kind: kind.to_owned() }
            }
            ["schedules", name, "candidates", of] if of == own => Grant::Schedule(name.to_owned()),
            ["schedules", name, "chosen"] => Grant::Schedule(name.to_owned()),
            ["values", name] => Grant::Value(name.to_owned()),
            ["values", name, of] if of == own => Grant::OwnValue(name.to_owned()),
            _ => return None,
        };
        // Parts that no program writes would not be granted.
        Grant::parse(&grant.text()).filter(|same| *same == grant)
    }

    fn text(&self) -> String {
        match self {
            Grant::Exports { to, kind } => format!("exports/{to}/{kind}"),
            Grant::Schedule(name) => format!("schedules/{name}"),
            Grant::Value(name) => format!("values/{name}"),
            Grant::OwnValue(name) => format!("values/{name}/own"),
        }
    }

    fn parse(text: &str) -> Option<Grant> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            ["exports", to, kind] if (to == ALL || is_part(to)) && is_part(kind) => {
                Some(Grant::Exports { to: to.to_owned(), kind: kind.to_owned() })
            }
            ["schedules", name] if is_part(name) => Some(Grant::Schedule(name.to_owned())),
            ["values", name] if is_part(name) => Some(Grant::Value(name.to_owned())),
            ["values", name, "own"] if is_part(name) => Some(Grant::OwnValue(name.to_owned())),
            _ => None,
        }
    }

    /// Where the host asks for it.
    pub(in crate::world) fn key(&self, host: &str) -> String {
        format!("{GRANTS}{}/{}", key_part(host), self.text())
    }

    /// What is granted.
    pub(super) fn access(&self, host: &str) -> Vec<Access> {
        let own = key_part(host);
        match self {
            // Not one range: the name of another host can be between both.
            Grant::Exports { to, kind } => {
                let number = format!("{EXPORTS}{to}/{kind}/{own}");
                vec![writes(Keys::Below(format!("{number}/"))), writes(Keys::One(number))]
            }
            Grant::Schedule(name) => {
                let keys = [format!("candidates/{own}"), "chosen".to_owned()];
                keys.map(|key| writes(Keys::One(format!("{SCHEDULES}{name}/{key}")))).into()
            }
            Grant::Value(name) => vec![writes(Keys::One(format!("{VALUES}{name}")))],
            Grant::OwnValue(name) => vec![writes(Keys::One(format!("{VALUES}{name}/{own}")))],
        }
    }

    /// The keys that belong to the host alone, and go with it.
    pub(super) fn own_keys(&self, host: &str) -> Vec<Keys> {
        let own = key_part(host);
        match self {
            Grant::Exports { .. } | Grant::OwnValue(_) => {
                self.access(host).into_iter().map(|access| access.keys).collect()
            }
            Grant::Schedule(name) => vec![Keys::One(format!("{SCHEDULES}{name}/candidates/{own}"))],
            Grant::Value(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_write(access: &[Access], key: &str) -> bool {
        access.iter().any(|access| access.writes && access.keys.contain(key))
    }

    fn may_read(access: &[Access], key: &str) -> bool {
        access.iter().any(|access| access.keys.contain(key))
    }

    #[test]
    fn a_host_reads_what_is_for_it_and_writes_its_own_keys() {
        let access = of_each("web1");
        for key in [
            "/mgmt/exporters/web1",
            "/mgmt/hosts/web1",
            "/mgmt/states/web1",
            "/mgmt/keys/web1",
            "/mgmt/grants/web1/values/x",
        ] {
            assert!(may_write(&access, key) && may_read(&access, key), "{key}");
        }
        for key in [
            "/mgmt/exports/*/file/web2/x/1",
            "/mgmt/exports/web1/file/web2",
            "/mgmt/values/x",
            "/mgmt",
            "/mgmt/keys/web2",
        ] {
            assert!(may_read(&access, key) && !may_write(&access, key), "{key}");
        }
        for key in [
            "/mgmt/exports/web2/file/web3/x/1",
            "/mgmt/exports/web10/file/web3/x/1",
            "/mgmt/exporters/web2",
            "/mgmt/grants/web10/values/x",
            "/mgmt/trust",
        ] {
            assert!(!may_read(&access, key) && !may_write(&access, key), "{key}");
        }
        for key in [
            "/mgmt/hosts/web10",
            "/mgmt/keys/web10",
            "/mgmt/servers/size",
            "/mgmt/deploys/head",
            "/mgmt/servers/election",
        ] {
            assert!(!may_write(&access, key), "{key}");
        }
    }

    #[test]
    fn what_is_granted_is_of_the_host_that_asks() {
        for (key, also) in [
            ("/mgmt/exports/*/file/web1", "/mgmt/exports/*/file/web1/a%2Fb/7"),
            ("/mgmt/exports/db/http:file/web1/x/1", "/mgmt/exports/db/http:file/web1"),
            ("/mgmt/schedules/s%20t/candidates/web1", "/mgmt/schedules/s%20t/chosen"),
            ("/mgmt/values/port", "/mgmt/values/port"),
            ("/mgmt/values/port/web1", "/mgmt/values/port/web1"),
        ] {
            let grant = Grant::of_write("web1", key).unwrap();
            assert_eq!(grant_of(&grant.key("web1")), Some(("web1".to_owned(), grant.clone())), "{key}");
            let access = grant.access("web1");
            assert!(may_write(&access, key) && may_write(&access, also), "{key}");
            for other in ["web1-a", "web1.a", "web10", "web2"] {
                for key in [key, also] {
                    let others = key.replace("web1", other);
                    assert!(others == key || !may_write(&access, &others), "{others}");
                }
            }
        }
    }

    #[test]
    fn keys_of_others_and_strange_ones_can_t_be_asked_for() {
        for key in [
            "/mgmt/exports/*/file/web2",
            "/mgmt/exports/*/file/web2/x/1",
            "/mgmt/exports/%2a/file/web1",
            "/mgmt/exports/**/file/web1",
            "/mgmt/exports//file/web1/x/1/2",
            "/mgmt/schedules/s/candidates/web2",
            "/mgmt/values/x/web2",
            "/mgmt/values/x/own",
            "/mgmt/servers/size",
            "/mgmt/deploys/head",
            "/mgmt/hosts/web2",
            "/other",
        ] {
            assert_eq!(Grant::of_write("web1", key), None, "{key}");
        }
        for key in [
            "/mgmt/grants/web1",
            "/mgmt/grants/web1/",
            "/mgmt/grants/web1/servers",
            "/mgmt/grants/web1/exports/a/b/c",
            "/mgmt/grants/web1/exports/a/b\u{0}",
            "/mgmt/grants/we%62/values/x",
        ] {
            assert_eq!(grant_of(key), None, "{key}");
        }
        // A host with this name is no other one.
        assert!(Grant::of_write("own", "/mgmt/values/x/own").is_some());
    }

    #[test]
    fn users_of_different_hosts_and_keys_differ() {
        let user = |host: &str, key: u8| super::user(host, &[key; 32]);
        assert_eq!(user("a/b", 1), format!("a%2Fb@{}", "01".repeat(16)));
        assert_ne!(user("a", 1), user("a", 2));
        assert_eq!(host_of_user(&user("a@b\n", 1)).as_deref(), Some("a@b\n"));
        assert!(host_of_user("root").is_none() && !user("root", 1).eq("root"));
        assert!(!user("web10", 1).starts_with(&of_host("web1")));
    }
}
