//! Changing packages: one transaction for all that must change.

use std::collections::HashMap;

use crate::resource::{CheckCx, Error, Obstacle, ObstacleKind, Result};
use crate::resources::pkg::installer::{Failure, Installer, Member, Part, Ways};
use crate::resources::pkg::judge::{Judged, Todo};
use crate::resources::pkg::name::PkgName;
use crate::resources::pkg::reverse::record;
use crate::sys::users;

/// The end of one member's part.
pub(super) enum Done {
    Changed,
    /// There was nothing to change after all.
    Unchanged,
}

/// Changes what must be changed.
pub(super) async fn repair(installer: &impl Installer, members: &[Member], ways: Ways) -> Vec<Result<Done>> {
    let whole = Whole { installer, members, ways };
    match whole.run().await {
        Ok(ends) => ends,
        Err(error) => members.iter().map(|_| Err(error.clone())).collect(),
    }
}

struct Whole<'a, M> {
    installer: &'a M,
    members: &'a [Member],
    ways: Ways,
}

impl<M: Installer> Whole<'_, M> {
    async fn run(&self) -> Result<Vec<Result<Done>>> {
        if !users::is_root() {
            let why = "only root can change the packages of this host: run it as root";
            return Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::NoPermission)));
        }
        self.installer.finish(self.members, self.ways).await?;
        let mut judged = self.judge().await?;
        if judged.iter().any(|judged| matches!(judged, Ok(Some((Todo::Ask, _))))) {
            judged = match self.installer.refresh(self.members).await {
                Ok(()) => self.judge().await?,
                // The others do not depend on it.
                Err(failure) => judged.into_iter().map(|judged| known(judged, &failure)).collect(),
            };
        }
        let mut todo: Vec<_> =
            self.members.iter().zip(&judged).filter_map(|(member, judged)| part(member, judged)).collect();
        // Not in the order in which the checks have ended.
        todo.sort_by_key(|part| &part.wanted.name);
        self.record(&todo).await?;
        let failed = if todo.is_empty() { HashMap::new() } else { self.transact(&todo).await };
        // What counts is what is installed at the end, also after a failure.
        let after = self.judge().await?;
        let names = self.members.iter().map(|member| &member.wanted.name);
        let ends = names.zip(judged).zip(after).map(|((name, before), after)| match (before, after) {
            (Err(error), _) => Err(error),
            (Ok(None), _) => Ok(Done::Unchanged),
            (Ok(Some(_)), Ok(None)) => Ok(Done::Changed),
            (Ok(Some(_)), Err(error)) => Err(failed.get(name).cloned().unwrap_or(error)),
            (Ok(Some(_)), Ok(Some((_, change)))) => Err(failed.get(name).cloned().unwrap_or_else(|| {
                let from = &change.from;
                Error::new(format!("the transaction has ended without an error, but the package is still {from}"))
            })),
        });
        Ok(ends.collect())
    }

    /// Records how the packages are that will be changed.
    async fn record(&self, todo: &[Part<'_>]) -> Result<()> {
        let names = todo.iter().map(|part| part.wanted.name.clone()).collect();
        let installed = self.installer.installed(self.cx(), names).await?;
        let changed =
            self.members.iter().filter(|member| todo.iter().any(|part| part.wanted.name == member.wanted.name));
        changed
            .into_iter()
            .try_for_each(|member| record(&member.cx, &member.wanted, installed.get(&member.wanted.name)))
    }

    fn cx(&self) -> &CheckCx {
        &self.members[0].cx
    }

    async fn judge(&self) -> Result<Vec<Result<Judged>>> {
        self.installer.judge(self.cx(), self.members.iter().map(|member| member.wanted.clone()).collect()).await
    }

    /// One transaction for all; the errors of those that it could not change. If it is refused, nothing was done: each
    /// alone is rehearsed, and those that can be done are one transaction again.
    async fn transact(&self, todo: &[Part<'_>]) -> HashMap<PkgName, Error> {
        let mut ended = self.once(todo).await;
        if matches!(ended, Err(Failure::Outdated(_))) {
            ended = match self.installer.refresh(self.members).await {
                Ok(()) => self.once(todo).await,
                Err(failure) => Err(failure),
            };
        }
        let mut failed = HashMap::new();
        match ended {
            Ok(()) => {}
            Err(Failure::Refused(_)) if todo.len() > 1 => {
                let mut good = Vec::new();
                for part in todo {
                    match self.installer.rehearse(self.members, std::slice::from_ref(part), self.ways).await {
                        Ok(()) => good.push(*part),
                        Err(failure) => {
                            failed.insert(part.wanted.name.clone(), failure.error());
                        }
                    }
                }
                // Each can be done, but not all of them: then it is one after the other.
                let parts: Vec<&[Part<'_>]> = match good.len() == todo.len() {
                    true => good.chunks(1).collect(),
                    false => good.chunks(good.len().max(1)).collect(),
                };
                for part in parts {
                    if let Err(failure) = self.once(part).await {
                        failed.extend(of_all(part, &failure.error()));
                    }
                }
            }
            Err(failure) => failed.extend(of_all(todo, &failure.error())),
        }
        failed
    }

    async fn once(&self, todo: &[Part<'_>]) -> Result<(), Failure> {
        self.installer.change(self.members, todo, self.ways).await
    }
}

/// What is known without an answer of the repositories.
fn known(judged: Result<Judged>, failure: &Failure) -> Result<Judged> {
    match judged {
        Ok(Some((Todo::Ask, _))) => Err(failure.clone().error()),
        other => other,
    }
}

fn of_all(todo: &[Part<'_>], error: &Error) -> Vec<(PkgName, Error)> {
    todo.iter().map(|part| (part.wanted.name.clone(), error.clone())).collect()
}

fn part<'a>(member: &'a Member, judged: &'a Result<Judged>) -> Option<Part<'a>> {
    let (todo, _) = judged.as_ref().ok()?.as_ref()?;
    (*todo != Todo::Ask).then_some(Part { wanted: &member.wanted, todo })
}
