//! The keys of exports in a world. A collector can ask for one kind, and for what is for it:
//!
//! - `/mgmt/exports/ADDRESSEE/KIND/HOST` has a number: the exports of the host with this addressee (a host, or `*`) and
//!   kind count up to it.
//! - `/mgmt/exports/ADDRESSEE/KIND/HOST/NAME/NUMBER` is an export. Of those with one name, the one with the highest
//!   number that counts holds; if it is empty, there is none. So any number of exports change together, when the number
//!   does.

use crate::graph::exchange::collect::Collect;
use crate::graph::exchange::export::Export;
use crate::id::{key_part as escaped, text_of_key_part as plain};
use crate::resource::Keys;

const EXPORTS: &str = "/mgmt/exports/";
const EXPORTERS: &str = "/mgmt/exporters/";
const SEAL_KEYS: &str = "/mgmt/keys/";
/// The addressee of what is for all hosts. No host has this name in a key, since `*` is escaped there.
pub(super) const ALL: &str = "*";

fn addressee(to: Option<&str>) -> String {
    to.map_or_else(|| ALL.to_owned(), escaped)
}

/// An addressee (`None`: all hosts) and a kind.
pub(crate) type ExportPlace = (Option<String>, String);

/// The key of the number up to which the exports of a host in a place count.
pub(crate) fn number_key((to, kind): &ExportPlace, host: &str) -> String {
    format!("{EXPORTS}{}/{}/{}", addressee(to.as_deref()), escaped(kind), escaped(host))
}

/// The key of an export.
pub(crate) fn export_key(place: &ExportPlace, host: &str, name: &str, number: u64) -> String {
    format!("{}/{}/{number}", number_key(place, host), escaped(name))
}

/// What a key means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExportKey {
    /// The number of the exports of this host in this place.
    Number { place: ExportPlace, host: String },
    /// An export.
    Export { place: ExportPlace, host: String, name: String, number: u64 },
}

impl ExportKey {
    /// `None`: it is not a key of exports.
    pub(crate) fn of(key: &str) -> Option<ExportKey> {
        let parts: Vec<&str> = key.strip_prefix(EXPORTS)?.split('/').collect();
        let (to, kind, host, of_host) = match parts[..] {
            [to, kind, host] => (to, kind, host, None),
            [to, kind, host, name, number] => (to, kind, host, Some((name, number))),
            _ => return None,
        };
        let to = if to == ALL { None } else { Some(plain(to)?) };
        let (place, host) = ((to, plain(kind)?), plain(host)?);
        let Some((name, digits)) = of_host else { return Some(ExportKey::Number { place, host }) };
        let number: u64 = digits.parse().ok()?;
        // One export has one key.
        let name = plain(name).filter(|_| number.to_string() == digits)?;
        Some(ExportKey::Export { place, host, name, number })
    }
}

/// The keys that a host reads to follow these rules.
pub(crate) fn wanted_keys(host: &str, collects: &[Collect]) -> Vec<Keys> {
    let mut kinds: Vec<&str> = collects.iter().map(|collect| collect.kind.spec.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let below = |kind: &str, to| Keys::Below(format!("{EXPORTS}{}/{}/", addressee(to), escaped(kind)));
    kinds.into_iter().flat_map(|kind| [below(kind, None), below(kind, Some(host))]).collect()
}

/// The key under which a host keeps the places of its exports, and their lease.
pub(crate) fn exporter_key(host: &str) -> String {
    format!("{EXPORTERS}{}", escaped(host))
}

/// The key under which a host keeps what others need to seal something for it.
pub(crate) fn seal_key(host: &str) -> String {
    format!("{SEAL_KEYS}{}", escaped(host))
}

/// All keys of the exports of a host in these places.
pub(crate) fn exports_of<'a>(host: &str, places: impl IntoIterator<Item = &'a ExportPlace>) -> Vec<Keys> {
    let of_place = |place: &ExportPlace| {
        let number = number_key(place, host);
        let exports = Keys::Below(format!("{number}/"));
        [Keys::One(number), exports]
    };
    places.into_iter().flat_map(of_place).collect()
}

impl Export {
    /// The places where it is.
    pub(crate) fn places(&self) -> impl Iterator<Item = ExportPlace> + '_ {
        self.addressees().map(|to| (to.map(str::to_owned), self.vertex.resource.spec().kind.to_owned()))
    }
}
