//! Kinds of the tests of groups.

use std::borrow::Cow;

use mgmt::graph::{GraphConfig, Groups};
use mgmt::prelude::*;
use mgmt::resource::{ConvergeMany, Grouped, Known};

/// A package, grouped as the built-in kind will be: with those of an equal state, but never one of a version.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:pkg", unwatched)]
pub(crate) struct Pkg {
    #[resource(name)]
    name: String,
    /// `installed`, `uninstalled`, `newest`, or a version.
    #[resource(default)]
    pub(super) state: String,
}

impl Converge for Pkg {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

impl ConvergeMany for Pkg {}

impl Grouped for Pkg {
    fn group_key(&self, known: &Known<'_>) -> Option<Cow<'static, str>> {
        let is_state = matches!(&*self.state, "installed" | "uninstalled" | "newest");
        (known.is_known("state") && is_state).then(|| Cow::Owned(self.state.clone()))
    }
}

/// Grouped by the first letter of its name. Its operations never end up together: it has no operation for several.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:part", unwatched)]
pub(crate) struct Part {
    #[resource(name)]
    name: String,
}

impl Converge for Part {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

impl Refresh for Part {
    async fn refresh(&self, _: &ApplyCx) -> Result<bool> {
        Ok(false)
    }
}

impl Grouped for Part {
    fn group_key(&self, _: &Known<'_>) -> Option<Cow<'static, str>> {
        Some(Cow::Owned(self.name[..1].to_owned()))
    }

    fn joins(&self, first: &Self) -> Result<(), String> {
        match self.name.ends_with("!") {
            true => Err(format!("it can't be with `{}`", first.name)),
            false => Ok(()),
        }
    }
}

/// The groups, by name: each sorted, and all sorted.
pub(crate) fn names(config: &GraphConfig, groups: &Groups) -> Vec<Vec<String>> {
    let name = |at: &u32| config.vertices[*at as usize].resource.name().to_owned();
    let mut all: Vec<Vec<String>> = groups.all().iter().map(|group| group.iter().map(name).collect()).collect();
    all.iter_mut().for_each(|group| group.sort());
    all.sort();
    all
}
