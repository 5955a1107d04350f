//! The keys of exports in a world: `/mgmt/exports/ADDRESSEE/KIND/HOST/NAME`, where the addressee is a host or `*`. So a
//! collector can ask for one kind, and for what is for it.

use crate::graph::exchange::collect::Collect;
use crate::graph::exchange::export::Export;
use crate::graph::exchange::offers::OfferKey;
use crate::resource::Keys;

const EXPORTS: &str = "/mgmt/exports/";
const EXPORTERS: &str = "/mgmt/exporters/";
/// The addressee of what is for all hosts. No host has this name in a key, since `*` is escaped there.
pub(super) const ALL: &str = "*";

/// The text without characters that have a meaning in a key: each byte of them is `%` and two digits.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b':' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The text that was escaped; `None`: it is not in the form that [`escaped`] writes.
fn plain(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            _ => byte,
        });
    }
    let plain = String::from_utf8(bytes).ok()?;
    // One text has one key.
    (escaped(&plain) == text).then_some(plain)
}

fn addressee(to: Option<&str>) -> String {
    to.map_or_else(|| ALL.to_owned(), escaped)
}

/// The key of an export. `to`: the host that it is for; `None`: all hosts.
pub(super) fn export_key(to: Option<&str>, kind: &str, host: &str, name: &str) -> String {
    format!("{EXPORTS}{}/{}/{}/{}", addressee(to), escaped(kind), escaped(host), escaped(name))
}

/// What the key of an export means, and whether it is for one host alone. `None`: it is not the key of an export.
pub(super) fn offer_of(key: &str) -> Option<(OfferKey, bool)> {
    let parts: Vec<&str> = key.strip_prefix(EXPORTS)?.split('/').collect();
    let [to, kind, host, name] = parts[..] else { return None };
    Some((OfferKey { kind: plain(kind)?, host: plain(host)?, name: plain(name)? }, to != ALL))
}

/// The keys that a host reads to follow these rules.
pub(crate) fn wanted_keys(host: &str, collects: &[Collect]) -> Vec<Keys> {
    let mut kinds: Vec<&str> = collects.iter().map(|collect| collect.kind.spec.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let below = |kind: &str, to| Keys::Below(format!("{EXPORTS}{}/{}/", addressee(to), escaped(kind)));
    kinds.into_iter().flat_map(|kind| [below(kind, None), below(kind, Some(host))]).collect()
}

/// The key under which a host keeps which of the places in [`exports_of`] it uses.
pub(crate) fn exporter_key(host: &str) -> String {
    format!("{EXPORTERS}{}", escaped(host))
}

/// The keys of all exports of a host. `places`: addressees and kinds, as in [`Export::places`].
pub(crate) fn exports_of<'a>(host: &str, places: impl IntoIterator<Item = &'a (Option<String>, String)>) -> Vec<Keys> {
    let host = escaped(host);
    let below = |(to, kind): &(Option<String>, String)| {
        Keys::Below(format!("{EXPORTS}{}/{}/{host}/", addressee(to.as_deref()), escaped(kind)))
    };
    places.into_iter().map(below).collect()
}

impl Export {
    /// The addressees and kinds under which its keys are.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Option<String>, String)> + '_ {
        self.addressees().map(|to| (to.map(str::to_owned), self.vertex.resource.spec().kind.to_owned()))
    }

    /// The keys, if it is an export of this host.
    pub(crate) fn keys<'a>(&'a self, host: &'a str) -> impl Iterator<Item = String> + 'a {
        let (spec, name) = (self.vertex.resource.spec(), self.vertex.resource.name());
        self.addressees().map(move |to| export_key(to, spec.kind, host, name))
    }
}
