//! The options of deploys in waves, and the progress of one.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::cli::logs::Screen;
use crate::cli::options::seconds;
use crate::cli::report::CommandError;
use crate::gapi::{Deploys, Publish, RolloutView, Waves};
use crate::graph::{DeployId, Fate, Rollout, Stage, Wave, WaveGoal};
use crate::id::in_one_line;

/// How often the progress is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// The most hosts that one line names.
const NAMED_MAX: usize = 5;

/// How a deploy reaches the hosts in waves.
#[derive(Clone, Debug, Default, Args)]
#[command(about = None, long_about = None)]
pub struct WaveOptions {
    /// Hosts that get the deploy first, with `,` between several: others follow in waves (`--then`)
    #[arg(long, value_name = "HOSTS", value_parser = hosts)]
    pub canary: Option<Wave>,
    /// Next wave: hosts with `,` between them, a part of all hosts such as 10%, or `all`; can be given several times
    #[arg(long, value_name = "WAVE")]
    pub then: Vec<Wave>,
    /// What each host of a wave must have reached before the next one begins; default: converged
    #[arg(long, value_name = "GOAL", requires = "then")]
    pub wait: Option<Goal>,
    /// End the rollout when this many hosts have failed; default: 1
    #[arg(long, value_name = "N", requires = "then", value_parser = clap::value_parser!(u32).range(1..))]
    pub stop_after_failed: Option<u32>,
    /// Return to the deploy before on all hosts if the rollout ends like that
    #[arg(long, requires = "then")]
    pub revert: bool,
    /// A host that has not reached the goal after this many seconds has failed; default: 600
    #[arg(long, value_name = "SECONDS", requires = "then", value_parser = seconds)]
    pub wave_timeout: Option<Duration>,
    /// Do not wait for the end of the rollout
    #[arg(long, requires = "then")]
    pub no_wait: bool,
}

/// What a host must have reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Goal {
    /// Its graph has converged
    Converged,
    /// The deploy is in force there
    InForce,
}

fn hosts(text: &str) -> Result<Wave, String> {
    match text.parse()? {
        wave @ Wave::Hosts(_) => Ok(wave),
        _ => Err("give hosts: a part of them and `all` are for `--then`".to_owned()),
    }
}

impl WaveOptions {
    /// The same for a program.
    pub(crate) fn apply(&self, how: Publish) -> Publish {
        let waves: Vec<Wave> = self.canary.iter().chain(&self.then).cloned().collect();
        if waves.is_empty() {
            return how;
        }
        let mut all = waves.into_iter().fold(Waves::new(), Waves::then).revert(self.revert);
        if let Some(goal) = self.wait {
            all = all.goal(match goal {
                Goal::Converged => WaveGoal::Converged,
                Goal::InForce => WaveGoal::InForce,
            });
        }
        if let Some(hosts) = self.stop_after_failed {
            all = all.stop_after_failed(hosts);
        }
        if let Some(timeout) = self.wave_timeout {
            all = all.timeout(timeout);
        }
        how.waves(all)
    }
}

/// How far a rollout has got, in a line.
pub(crate) fn stage(rollout: &Rollout) -> String {
    let (wave, waves) = (rollout.wave + 1, rollout.waves().len());
    let why = in_one_line(&rollout.why);
    match rollout.stage {
        Stage::Running => format!("wave {wave} of {waves} ({}) is under way", rollout.waves()[rollout.wave]),
        Stage::Stopped => format!("stopped in wave {wave} of {waves}: {why}"),
        Stage::Reverted => format!("reverted in wave {wave} of {waves}: {why}"),
        Stage::Done => format!("all {waves} waves have ended"),
    }
}

/// What is waited for, in a line.
pub(crate) fn progress(view: &RolloutView) -> String {
    let done = view.hosts.values().filter(|fate| **fate == Fate::Done).count();
    let mut text = format!("{}: {done} of {} hosts", stage(&view.rollout), view.hosts.len());
    let mut left = 0;
    for (host, fate) in view.hosts.iter().filter(|(_, fate)| **fate != Fate::Done) {
        left += 1;
        if left <= NAMED_MAX {
            let (Fate::Waits(why) | Fate::Failed(why)) = fate else { continue };
            text.push_str(&format!("; {}: {}", in_one_line(host), in_one_line(why)));
        }
    }
    if left > NAMED_MAX {
        text.push_str(&format!("; and {} more", left - NAMED_MAX));
    }
    text
}

/// Reports the progress of a rollout until its end. True: all hosts have the deploy.
pub(crate) async fn follow(deploys: &Deploys, id: &DeployId, screen: &Screen) -> Result<bool, CommandError> {
    let (mut last, mut is_away) = (String::new(), false);
    loop {
        match deploys.rollout().await {
            Ok(Some(view)) if view.rollout.deploy() == id => {
                is_away = false;
                let ended = view.rollout.stage != Stage::Running;
                let now = if ended { stage(&view.rollout) } else { progress(&view) };
                if now != last {
                    let text = format!("deploy {id}: {now}");
                    match view.rollout.stage {
                        Stage::Running | Stage::Done => screen.tell(&text),
                        Stage::Stopped | Stage::Reverted => screen.complain(&text),
                    }
                    last = now;
                }
                if ended {
                    return Ok(view.rollout.stage == Stage::Done);
                }
            }
            Ok(_) => {
                let why = format!("deploy {id} was replaced by another one before its last wave has ended");
                return Err(CommandError::Other(why));
            }
            // The hosts go on without this program.
            Err(error) if !std::mem::replace(&mut is_away, true) => {
                screen.complain(&format!("the progress is not known, and is asked for again: {error}"));
            }
            Err(_) => {}
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A rollout as data.
pub(crate) fn data(view: &RolloutView) -> serde_json::Value {
    json!({ "rollout": view.rollout, "hosts": view.hosts })
}
