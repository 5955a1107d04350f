//! What a package manager must be able to do.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use crate::resource::{ApplyCx, CheckCx, Error, Result};
use crate::resources::pkg::judge::{Judged, Todo, Wanted};
use crate::resources::pkg::name::PkgName;
use crate::resources::pkg::state::PkgConffiles;

/// How a transaction is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ways {
    pub(super) untrusted: bool,
    pub(super) downgrade: bool,
    pub(super) conffiles: PkgConffiles,
}

/// A package that may have to be changed.
pub(super) struct Member {
    pub(super) wanted: Wanted,
    pub(super) cx: ApplyCx,
    /// What an interrupted transaction has left half-done is done first.
    pub(super) configure: bool,
}

/// A package, and what must be done to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) todo: &'a Todo,
}

/// What the failure of a transaction means.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// Nothing was changed: it can't be done like this, perhaps because of one of the packages.
    Refused(Error),
    /// Nothing was done: packages are half-installed, or lack what they need.
    Broken(Error),
    /// The repositories have other files by now than the package manager knows.
    Outdated(Error),
    /// Something else.
    Other(Error),
}

impl Failure {
    pub(super) fn error(self) -> Error {
        match self {
            Failure::Refused(error) | Failure::Broken(error) | Failure::Outdated(error) | Failure::Other(error) => {
                error
            }
        }
    }
}

/// A package manager. Nothing interrupts what it has begun to change.
pub(super) trait Installer: Sync {
    /// Held by those who change packages: one transaction at a time.
    fn turn(&self) -> &Arc<tokio::sync::Mutex<()>>;

    /// What differs from what is declared, for each of these.
    fn judge(&self, cx: &CheckCx, all: Vec<Wanted>) -> impl Future<Output = Result<Vec<Result<Judged>>>> + Send;

    /// The versions of those of these that are installed.
    fn installed(
        &self,
        cx: &CheckCx,
        names: Vec<PkgName>,
    ) -> impl Future<Output = Result<HashMap<PkgName, String>>> + Send;

    /// Ends what an interrupted transaction has left, if there is such a thing.
    fn finish(&self, members: &[Member], ways: Ways) -> impl Future<Output = Result<()>> + Send;

    /// Learns what the repositories have.
    fn refresh(&self, members: &[Member]) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Whether a transaction can do these, of which nothing is done.
    fn rehearse(
        &self,
        members: &[Member],
        todo: &[Part<'_>],
        ways: Ways,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// One transaction.
    fn change(
        &self,
        members: &[Member],
        todo: &[Part<'_>],
        ways: Ways,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// The names of the packages that would be removed with this one.
    fn removed_with(&self, cx: &CheckCx, name: &PkgName) -> impl Future<Output = Result<Vec<String>>> + Send;
}
