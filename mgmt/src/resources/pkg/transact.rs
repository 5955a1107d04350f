//! Changing packages: one transaction for all that must change, which nothing interrupts.

use std::collections::HashMap;
use std::sync::Arc;

use crate::resource::{ApplyCx, CheckCx, Error, Obstacle, ObstacleKind, Result};
use crate::resources::pkg::apt::{self, Failure, Ways};
use crate::resources::pkg::apt_host::{AptHost, is_interrupted};
use crate::resources::pkg::judge::{Judged, Todo, Wanted};
use crate::resources::pkg::name::PkgName;
use crate::resources::pkg::reverse::record;
use crate::sys::process::{Command, run_to_its_end};
use crate::sys::users;

/// A package that may have to be changed.
pub(super) struct Member {
    pub(super) wanted: Wanted,
    pub(super) cx: ApplyCx,
    /// What dpkg has left half-done is done first.
    pub(super) configure: bool,
}

/// The end of one member's part.
pub(super) enum Done {
    Changed,
    /// There was nothing to change after all.
    Unchanged,
}

/// Changes what must be changed.
pub(super) async fn repair(host: &Arc<AptHost>, members: &[Member], ways: Ways) -> Vec<Result<Done>> {
    let whole = Whole { host, members, ways };
    match whole.run().await {
        Ok(ends) => ends,
        Err(error) => members.iter().map(|_| Err(error.clone())).collect(),
    }
}

struct Whole<'a> {
    host: &'a Arc<AptHost>,
    members: &'a [Member],
    ways: Ways,
}

impl Whole<'_> {
    async fn run(&self) -> Result<Vec<Result<Done>>> {
        if !users::is_root() {
            let why = "only root can change the packages of this host: run it as root";
            return Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::NoPermission)));
        }
        self.finish_what_was_begun().await?;
        let mut judged = self.judge().await?;
        if judged.iter().any(|judged| matches!(judged, Ok(Some((Todo::Ask, _))))) {
            self.update().await.map_err(Failure::error)?;
            judged = self.judge().await?;
        }
        let mut todo: Vec<_> =
            self.members.iter().zip(&judged).filter_map(|(member, judged)| part(member, judged)).collect();
        // Not in the order in which the checks have ended.
        todo.sort_by_key(|(name, _)| *name);
        self.record(&todo).await?;
        let failed = if todo.is_empty() { HashMap::new() } else { self.transact(&todo).await };
        // What counts is what dpkg has at the end, also after a failure.
        let after = self.judge().await?;
        let names = self.members.iter().map(|member| &member.wanted.name);
        let ends = names.zip(judged).zip(after).map(|((name, before), after)| match (before, after) {
            (Err(error), _) => Err(error),
            (Ok(None), _) => Ok(Done::Unchanged),
            (Ok(Some(_)), Ok(None)) => Ok(Done::Changed),
            (Ok(Some(_)), Err(error)) => Err(failed.get(name).cloned().unwrap_or(error)),
            (Ok(Some(_)), Ok(Some((_, change)))) => Err(failed.get(name).cloned().unwrap_or_else(|| {
                Error::new(format!("apt has ended without an error, but the package is still {}", change.from))
            })),
        });
        Ok(ends.collect())
    }

    /// Records how the packages are that will be changed.
    async fn record(&self, todo: &[Part<'_>]) -> Result<()> {
        let host = Arc::clone(self.host);
        let packages = self.cx().look(move |fs, _| host.packages(fs)).await?;
        let changed = self.members.iter().filter(|member| todo.iter().any(|part| *part.0 == member.wanted.name));
        changed.into_iter().try_for_each(|member| {
            let name = &member.wanted.name;
            record(&member.cx, name, packages.get(name))
        })
    }

    fn cx(&self) -> &CheckCx {
        &self.members[0].cx
    }

    async fn judge(&self) -> Result<Vec<Result<Judged>>> {
        self.host.judge(self.cx(), self.members.iter().map(|member| member.wanted.clone()).collect()).await
    }

    /// dpkg refuses everything as long as it has not ended what it was interrupted in. (It looks like that also while
    /// another program changes packages: then it is the lock that is in the way.)
    async fn finish_what_was_begun(&self) -> Result<()> {
        let is_wanted = self.members.iter().any(|member| member.configure);
        if !is_wanted || !self.cx().look(|fs, _| is_interrupted(fs)).await {
            return Ok(());
        }
        self.command(apt::configure(self.ways), "configuring packages").await.map_err(Failure::error)
    }

    /// Learns what the repositories have.
    async fn update(&self) -> Result<(), Failure> {
        self.command(apt::update(), "asking the repositories for their packages").await?;
        self.host.has_asked();
        Ok(())
    }

    /// One transaction for all; the errors of those that it could not change. If it is refused, nothing was done: apt
    /// is asked about each alone, and those that it can do are one transaction again.
    async fn transact(&self, todo: &[Part<'_>]) -> HashMap<PkgName, Error> {
        let mut ended = self.once(todo).await;
        if matches!(ended, Err(Failure::Outdated(_))) {
            ended = match self.update().await {
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
                    match self.command(apt::rehearsal(std::slice::from_ref(part), self.ways), "asking apt").await {
                        Ok(()) => good.push(*part),
                        Err(failure) => {
                            failed.insert(part.0.clone(), failure.error());
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
                        let error = failure.error();
                        failed.extend(part.iter().map(|part| (part.0.clone(), error.clone())));
                    }
                }
            }
            Err(failure) => {
                let error = failure.error();
                failed.extend(todo.iter().map(|part| (part.0.clone(), error.clone())));
            }
        }
        failed
    }

    /// One transaction. What an earlier one has left half-done, because the disk was full or a script has failed, is
    /// done first if apt refuses everything else before.
    async fn once(&self, todo: &[Part<'_>]) -> Result<(), Failure> {
        match self.command(apt::transaction(todo, self.ways), "changing packages").await {
            Err(Failure::Broken(_)) => {
                self.command(apt::mending(self.ways), "installing what packages lack").await?;
                self.command(apt::transaction(todo, self.ways), "changing packages").await
            }
            ended => ended,
        }
    }

    /// Runs a command to its end, which no member's end interrupts.
    async fn command(&self, command: Command, doing: &'static str) -> Result<(), Failure> {
        let works: Vec<_> = self.members.iter().map(|member| member.cx.work(doing)).collect();
        let ran = run_to_its_end(command, works).await;
        let output = ran.map_err(|error| Failure::Other(apt::no_program(error)))?;
        let (stdout, stderr) = (output.stdout.text(), output.stderr.text());
        tracing::debug!(target: "mgmt::pkg", %stdout, %stderr, status = ?output.status, doing);
        match output.status.success() {
            true => Ok(()),
            false => Err(apt::failure(&stdout, &stderr)),
        }
    }
}

/// A package, and what must be done to it.
type Part<'a> = (&'a PkgName, &'a Todo);

fn part<'a>(member: &'a Member, judged: &'a Result<Judged>) -> Option<Part<'a>> {
    judged.as_ref().ok()?.as_ref().map(|(todo, _)| (&member.wanted.name, todo)).filter(|(_, todo)| **todo != Todo::Ask)
}
