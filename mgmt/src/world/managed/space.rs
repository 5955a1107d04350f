//! A server without space: etcd raises an alarm and accepts no writes, on no server, until that is ended. Each host
//! ends it for its own server, so usually one file at a time is written again; that of a server whose host does not do
//! it is left to the others after a while.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::world::etcd::Listed;
use crate::world::managed::runner::{Runner, host_of};

/// How long the host of a server has time to end its alarm itself.
const OTHERS: Duration = Duration::from_secs(30);
/// The pause before the next attempt, and the longest one.
const FIRST: Duration = Duration::from_secs(10);
const LAST: Duration = Duration::from_secs(600);
/// An alarm after this time has nothing to do with the one before.
const CALM: Duration = Duration::from_secs(3600);

/// What this host does about space.
#[derive(Debug)]
pub(super) struct Space {
    /// Since when an alarm is raised.
    full_since: Option<Instant>,
    /// Space is being made.
    work: Option<JoinHandle<Result<(), String>>>,
    /// When it may be made again, and the pause after that.
    again: Option<(Instant, Duration)>,
    /// The trouble that was reported.
    trouble: Option<String>,
}

impl Space {
    pub(super) const fn new() -> Space {
        Space { full_since: None, work: None, again: None, trouble: None }
    }

    /// Whether space may be made now; then not again at once, if that does not help for long.
    fn begins(&mut self, now: Instant) -> bool {
        let pause = match self.again {
            Some((at, _)) if now < at => return false,
            Some((at, pause)) if now < at + CALM => (pause * 2).min(LAST),
            _ => FIRST,
        };
        self.again = Some((now + pause, pause));
        true
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if let Some(work) = &self.work {
            work.abort();
        }
    }
}

impl Runner {
    /// Makes space if a server has none left, without waiting for that.
    pub(super) async fn keep_space(&mut self, members: &[Listed]) {
        if let Some(work) = self.space.work.take_if(|work| work.is_finished()) {
            match work.await {
                Ok(Ok(())) => {
                    self.space.trouble = None;
                    tracing::info!(target: "mgmt", "the servers of etcd: there is space again");
                }
                Ok(Err(why)) => self.report_space(why),
                Err(ended) => self.report_space(ended.to_string()),
            }
        }
        let Some(own) = self.own().filter(|_| self.child.is_some() && self.space.work.is_none()) else { return };
        let Some(true) = self.world.is_full(&own.advertise_client.clone()).await else {
            self.space.full_since = None;
            return;
        };
        let since = *self.space.full_since.get_or_insert_with(Instant::now);
        let full = match self.world.full().await {
            Ok(full) => full,
            Err(why) => return self.report_space(why),
        };
        let is_due = |id: u64| self.dir.kept().member == Some(id) || since.elapsed() > OTHERS;
        let Some(member) = members.iter().find(|member| full.contains(&member.id) && is_due(member.id)).cloned() else {
            return;
        };
        if !self.space.begins(Instant::now()) {
            return;
        }
        let name = host_of(&member.name).unwrap_or_else(|| format!("{:x}", member.id));
        tracing::warn!(
            target: "mgmt",
            "the servers of etcd: {name} has no space left: its history is forgotten and its file written again",
        );
        let world = self.world.clone();
        self.space.work = Some(tokio::spawn(async move { world.make_space(&member).await }));
    }

    /// Reports once that space can't be made.
    fn report_space(&mut self, why: String) {
        if self.space.trouble.as_ref() != Some(&why) {
            tracing::error!(target: "mgmt", "the servers of etcd: no space can be made: {why}");
            self.space.trouble = Some(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_made_more_and_more_rarely_if_that_does_not_help() {
        let (mut space, start, second) = (Space::new(), Instant::now(), Duration::from_secs(1));
        let begun: Vec<u32> = (0..5000).filter(|at| space.begins(start + second * *at)).collect();
        assert_eq!(begun[..8], [0, 10, 30, 70, 150, 310, 630, 1230]);
        assert_eq!(begun[8] - begun[7], 600);
        let calm = start + second * 5000 + LAST + CALM;
        assert!(space.begins(calm) && !space.begins(calm + second * 9) && space.begins(calm + second * 10));
    }
}
