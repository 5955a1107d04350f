//! Where a process is in a tree of hosts: how many levels may follow, and which hosts led to it.

use serde::{Deserialize, Serialize};

use crate::gapi::GapiError;
use crate::graph::{GraphConfig, Problem, Problems};
use crate::id::in_one_line;
use crate::resource::{CheckCx, Origin};
use crate::sys::facts;

/// The kind of the resources that lead to further hosts.
pub(super) const KIND: &str = "remote";
/// The most hosts on a way: what comes from another host is not believed to be short.
const PATH_MAX: usize = 64;

/// How many levels of hosts an engine may lead to with resources of the kind `remote`, given with
/// [`Builder::provide`](crate::runtime::Builder::provide). 1: the hosts of its own graph, whose graphs lead no further.
/// Default: 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Depth(pub u32);

impl Default for Depth {
    fn default() -> Depth {
        Depth(1)
    }
}

/// The way from the first host to this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trail {
    /// How many levels of hosts may follow.
    #[serde(default)]
    pub(super) below: u32,
    /// The hosts before, from the first on. A host that started a process on itself is not one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    path: Vec<Passed>,
    /// Whether a host before shares a world that does not lead to this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    loses_world: bool,
}

/// A host on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Passed {
    name: String,
    /// What no other host has.
    id: String,
}

impl Trail {
    /// The trail of an engine.
    pub(super) fn of(cx: &CheckCx) -> Trail {
        let own = || {
            let below = cx.provided::<Depth>().map(|depth| *depth).unwrap_or_default().0;
            Trail { below, ..Trail::default() }
        };
        cx.provided::<Trail>().map_or_else(|_| own(), |trail| (*trail).clone())
    }

    /// That of the next host.
    pub(super) fn next(&self) -> Trail {
        Trail { below: self.below.saturating_sub(1), path: self.path.clone(), loses_world: false }
    }

    /// The same where the host before shares a world, or not.
    pub(super) fn after_world(mut self, shares: bool) -> Trail {
        self.loses_world = shares;
        self
    }

    /// Whether this host lacks the world of one before.
    pub(super) fn loses_world(&self) -> bool {
        self.loses_world
    }

    /// The same on a host that has a world by itself, or not.
    pub(super) fn in_world(mut self, has_world: bool) -> Trail {
        self.loses_world &= !has_world;
        self
    }

    /// The same after this host.
    pub(super) fn through_here(mut self) -> Trail {
        if let Some(id) = facts::identity() {
            self.path.push(Passed { name: facts::hostname(), id });
        }
        self
    }

    /// Why this host must not continue the way.
    pub(super) fn refusal(&self) -> Option<String> {
        self.refusal_of(&facts::hostname(), facts::identity().as_deref())
    }

    fn refusal_of(&self, name: &str, id: Option<&str>) -> Option<String> {
        if self.path.len() > PATH_MAX {
            return Some(format!("more than {PATH_MAX} hosts led here: do they lead to one another?"));
        }
        // The first host may lead to itself: that is how one tries out a single host.
        let returns = self.path.len() > 1 && self.path.iter().any(|passed| Some(passed.id.as_str()) == id);
        returns.then(|| {
            let way: Vec<_> = self.path.iter().map(|passed| in_one_line(&passed.name).into_owned()).collect();
            let way = way.join(" → ");
            format!(
                "the way {way} → {name} returns to a host that it came from, and nothing was run here: take the `remote` \
                 that closes this ring out of the graph"
            )
        })
    }

    /// The graph, unless it leads to more levels of hosts than may follow, or shares what no other host would see.
    pub(super) fn permitted(&self, config: GraphConfig) -> Result<GraphConfig, GapiError> {
        if self.loses_world && (config.is_shared() || config.of_kind("schedule").next().is_some()) {
            return Err(Problems(vec![Problem::new(NO_WORLD, Origin::Unknown)]).into());
        }
        if self.below > 0 {
            return Ok(config);
        }
        let leads_on = config.of_kind(KIND).filter(|vertex| !vertex.is_hidden());
        let problems: Vec<_> = leads_on
            .map(|vertex| Problem::new(format!("{}: {TOO_DEEP}", vertex.id()), vertex.origin.clone()))
            .collect();
        Problems(problems).into_result()?;
        Ok(config)
    }
}

/// Why a graph that shares something does not run on a host without the world of the one before.
const NO_WORLD: &str = "the graph exports, collects or schedules, and the world of the host from which this one is reached does \
                        not lead further, so nothing would be shared: let this host reach the world by itself (it joins once \
                        with `mgmt run --join TOKEN` and this `prefix`, or `arguments` contain `--seeds`), run it with the \
                        command `remote`, or take that out of the graph";

/// Why a host leads to no other one.
pub(super) const TOO_DEEP: &str = "its host would be one level deeper than the run may go, and nothing was run: permit it \
                                   where the run begins (`--depth N`, or `provide(Depth(N))` of an engine)";

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(ids: &[&str]) -> Trail {
        let passed = |id: &&str| Passed { name: format!("host-{id}"), id: (*id).to_owned() };
        Trail { below: 1, path: ids.iter().map(passed).collect(), loses_world: false }
    }

    #[test]
    fn a_way_that_returns_is_refused_whatever_the_host_is_called_then() {
        for good in [&["a"][..], &[], &["a", "b"]] {
            assert_eq!(trail(good).refusal_of("c", Some("c")), None);
        }
        let why = trail(&["a", "b"]).refusal_of("other-name", Some("a")).unwrap();
        assert!(why.contains("the way host-a → host-b → other-name returns"), "{why}");
        assert!(trail(&["a", "b"]).refusal_of("b", Some("b")).is_some());
    }

    #[test]
    fn the_first_host_may_try_itself_and_one_that_is_not_known_is_no_ring() {
        assert_eq!(trail(&["a"]).refusal_of("a", Some("a")), None);
        assert!(trail(&["a", "a"]).refusal_of("a", Some("a")).is_some());
        assert_eq!(trail(&["a", "b"]).refusal_of("a", None), None);
        let many = vec!["x"; PATH_MAX + 1];
        assert!(trail(&many).refusal_of("a", None).unwrap().contains("more than 64 hosts"));
    }
}
