//! The keys of exports, and what becomes of offers.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::graph::exchange::collect::Collect;
use crate::graph::exchange::keys::{ExportKey, export_key, number_key};
use crate::graph::exchange::offers::Offers;
use crate::graph::exchange::resolve::{Resolution, resolve};
use crate::graph::{GraphConfig, validate};
use crate::resource::{ApplyCx, Change, CheckCx, Converge, Kind, Origin, Result};

#[test]
fn keys_are_in_the_documented_places() {
    let place = |to: Option<&str>, kind: &str| (to.map(str::to_owned), kind.to_owned());
    let key = export_key(&place(None, "file"), "web1", "/etc/motd", 7);
    assert_eq!(key, "/mgmt/exports/*/file/web1/%2Fetc%2Fmotd/7");
    assert_eq!(number_key(&place(Some("db"), "http:file"), "a b"), "/mgmt/exports/db/http:file/a%20b");
    // No host is all hosts by its name.
    assert_eq!(number_key(&place(Some("*"), "noop"), "*"), "/mgmt/exports/%2A/noop/%2A");
    for senseless in [
        "",
        "/mgmt/exports/*/file",
        "/mgmt/exports/*/file/web1/a",
        "/mgmt/exports/*/file/web1/a/07",
        "/mgmt/exports/*/file/web1/a/b/7",
        "/mgmt/exports/*/file/web1/%2f/7",
    ] {
        assert_eq!(ExportKey::of(senseless), None, "{senseless}");
    }
}

#[derive(mgmt_macros::Resource, Clone, Debug, PartialEq)]
#[resource(kind = "thing", unwatched)]
struct Thing {
    #[resource(name)]
    name: String,
    #[resource(default)]
    size: u64,
}

impl Converge for Thing {
    type Drift = Change;
    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }
    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

/// What a graph collects that takes all things of these hosts, names and values.
fn resolved(offered: &[(String, String, Vec<u8>)]) -> Resolution {
    let place = (None, "thing".to_owned());
    let mut entries: BTreeMap<String, Arc<[u8]>> = BTreeMap::new();
    for (host, name, bytes) in offered {
        entries.insert(number_key(&place, host), Arc::from(*b"1"));
        entries.insert(export_key(&place, host, name, 1), bytes.as_slice().into());
    }
    let offers = Offers::of(entries.iter().map(|(key, value)| (key.as_str(), value)));
    let mut config = GraphConfig { name: "things".to_owned(), ..GraphConfig::default() };
    config.collects.push(Collect::new(Kind::of::<Thing>(), Origin::Unknown));
    resolve(&config, &offers, &BTreeMap::new())
}

fn host_of(origin: &Origin) -> &str {
    match origin {
        Origin::Host(offerer) => &offerer.host,
        _ => panic!("not collected: {origin}"),
    }
}

#[test]
fn all_hosts_that_contradict_one_another_are_named() {
    let offer = |host: &str, size| {
        (host.to_owned(), "x".to_owned(), format!("{{\"fields\": {{\"size\": {size}}}}}").into_bytes())
    };
    let warning = |offered: &[_]| {
        let Resolution { config, warnings, .. } = resolved(offered);
        assert!(config.vertices.is_empty() && warnings.len() == 1, "{warnings:?}");
        warnings[0].message.clone()
    };
    let left_out = "export thing[x], and not the same: it is left out until one is left";
    assert_eq!(warning(&[offer("a", 1), offer("b", 2)]), format!("a and b both {left_out}"));
    // Two of them agree.
    assert_eq!(warning(&[offer("a", 1), offer("aa", 1), offer("b", 2)]), format!("a, aa and b all {left_out}"));
    let many: Vec<_> = (10..30).map(|n| offer(&format!("h{n}"), n)).collect();
    assert!(warning(&many).starts_with("h10, h11, h12, h13, h14, h15, h16, h17, h18, h19 and 10 more all export"));
}

proptest! {
    #[test]
    fn whatever_hosts_offer_gives_a_valid_graph_in_the_order_of_hosts_and_names(
        offered in prop::collection::vec((
            "[ab]{1,2}",
            "[/x-z%\n ]{1,3}",
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..20),
                (0u64..2).prop_map(|size| format!("{{\"fields\": {{\"size\": {size}}}}}").into_bytes()),
                Just(b"{\"fields\": {\"size\": -1}}".to_vec()),
                Just(b"{\"meta\": {\"retry\": -9}}".to_vec()),
            ],
        ), 0..12),
    ) {
        let Resolution { config, taken, warnings } = resolved(&offered);
        prop_assert!(validate(&config).is_ok());
        let seen = |n: usize| (host_of(&config.vertices[n].origin), config.vertices[n].resource.name());
        prop_assert!((1..config.vertices.len()).all(|n| seen(n - 1) < seen(n)), "{:?}", config.vertices);
        // Each name is in the graph, or the hosts that offer it are named in warnings.
        for (_, offer, _) in &taken {
            let is_there = config.vertices.iter().any(|vertex| vertex.resource.name() == offer.name);
            let is_named = warnings.iter().any(|warning| warning.message.contains(&offer.host));
            prop_assert!(is_there || is_named, "{offer:?} {warnings:?}");
        }
        // The order in which they are offered means nothing.
        let reversed: Vec<_> = offered.iter().cloned().rev().collect();
        if offered.iter().all(|(host, name, _)| offered.iter().filter(|(h, n, _)| (h, n) == (host, name)).count() == 1) {
            let again = resolved(&reversed);
            prop_assert_eq!(again.taken, taken);
            prop_assert_eq!(again.config.to_data().unwrap(), config.to_data().unwrap());
        }
    }

    #[test]
    fn a_key_gives_back_what_it_was_made_of(
        place in any::<(Option<String>, String)>(),
        host: String,
        name: String,
        number: u64,
    ) {
        let of_host = number_key(&place, &host);
        prop_assert_eq!(ExportKey::of(&of_host), Some(ExportKey::Number { place: place.clone(), host: host.clone() }));
        let key = export_key(&place, &host, &name, number);
        prop_assert!(key.is_ascii() && !key.chars().any(char::is_control));
        prop_assert_eq!(ExportKey::of(&key), Some(ExportKey::Export { place, host, name, number }));
    }
}
