//! Kinds that are not here yet, as far as their edges go: packages, services, accounts, containers.

use std::path::Path;

use mgmt::prelude::*;
use mgmt::resource::{
    Group, Inquiry, Known, MergedDirs, Need, Package, Reach, SessionUnit, ShippedFiles, Ships, Uid, Unit, User,
};

/// A kind that does nothing but has edges.
macro_rules! idle {
    () => {
        type Drift = Change;

        async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
            Ok(None)
        }

        async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
            Ok(())
        }
    };
}

/// A user.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "user-account", unwatched)]
pub struct Account {
    #[resource(name)]
    name: String,
    #[resource(default)]
    groups: Vec<String>,
    #[resource(default)]
    absent: bool,
}

impl Converge for Account {
    idle!();

    fn uids(&self, _: &Known<'_>) -> Vec<Uid> {
        vec![Uid::of(User(self.name.clone()))]
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        if known.are_known(["groups", "absent"]) { User::needs(&self.groups, self.absent) } else { Vec::new() }
    }

    fn is_absent(&self, known: &Known<'_>) -> Option<bool> {
        known.is_known("absent").then_some(self.absent)
    }
}

/// A group.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "team", unwatched)]
pub struct Team {
    #[resource(name)]
    name: String,
    #[resource(default)]
    absent: bool,
}

impl Converge for Team {
    idle!();

    fn uids(&self, _: &Known<'_>) -> Vec<Uid> {
        vec![Uid::of(Group(self.name.clone()))]
    }

    fn is_absent(&self, _: &Known<'_>) -> Option<bool> {
        Some(self.absent)
    }
}

/// A unit of the system, or of the user with this home.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "service", unwatched)]
pub struct Svc {
    #[resource(name)]
    name: String,
    home: Option<String>,
}

impl Converge for Svc {
    idle!();

    fn uids(&self, _: &Known<'_>) -> Vec<Uid> {
        let unit = Unit::new(&self.name);
        match &self.home {
            None => vec![Uid::of(unit)],
            Some(home) => vec![Uid::of(SessionUnit { user: home.clone(), unit })],
        }
    }

    fn needs(&self, _: &Known<'_>) -> Vec<Need> {
        let unit = Unit::new(&self.name);
        self.home.as_ref().map_or_else(|| unit.needs(), |home| unit.session_needs(Path::new(home)))
    }
}

/// A container of `systemd-nspawn`.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "container", unwatched)]
pub struct Container {
    #[resource(name)]
    name: String,
}

impl Converge for Container {
    idle!();

    fn provides(&self, _: &Known<'_>) -> Vec<Uid> {
        vec![Uid::of(Unit::of_container(&self.name))]
    }
}

/// A package.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "package", unwatched)]
pub struct Pkg {
    #[resource(name)]
    name: String,
    #[resource(default)]
    files: Vec<String>,
}

impl Converge for Pkg {
    idle!();

    fn uids(&self, _: &Known<'_>) -> Vec<Uid> {
        vec![Uid::of(Package(self.name.clone()))]
    }

    fn provides(&self, _: &Known<'_>) -> Vec<Uid> {
        self.files.iter().map(|path| Uid::of(Ships(path.into()))).collect()
    }

    fn inquiry(&self, _: &Known<'_>) -> Option<Box<dyn Inquiry>> {
        Some(Box::new(ShippedFiles::new(&self.files, &MergedDirs::of([("/lib", "/usr/lib")]))))
    }
}

/// Asks for `/asked`, in several ways.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "asks", unwatched)]
pub struct Asks {
    #[resource(name)]
    name: String,
    /// `once`, `panic` (after the first answer), `begin` (at once) or `endless`.
    how: String,
}

impl Converge for Asks {
    idle!();

    fn inquiry(&self, _: &Known<'_>) -> Option<Box<dyn Inquiry>> {
        assert!(self.how != "begin", "can't begin");
        Some(Box::new(Questions { how: self.how.clone(), asked: 0 }))
    }
}

#[derive(Debug)]
struct Questions {
    how: String,
    asked: usize,
}

impl Inquiry for Questions {
    fn next(&mut self) -> Vec<Need> {
        self.asked += 1;
        assert!(self.how != "panic" || self.asked == 1, "out of questions");
        let count = if self.how == "endless" { 100_000 } else { 1 };
        vec![Need::after(Uid::path("/asked")).reach(Reach::Exact); count]
    }

    fn answer(&mut self, met: &[bool]) -> bool {
        assert!(met.iter().all(|met| *met));
        self.how != "once"
    }
}
