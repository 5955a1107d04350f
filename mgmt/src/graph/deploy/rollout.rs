//! Deploys in waves: which hosts get a deploy first, and when the next ones do. The state of a rollout is in the world
//! (`/mgmt/deploys/rollout`); a pure function of it and of what hosts report makes the next one, so any host can move
//! it on, and the death of the program that has begun it changes nothing.
//!
//! While it runs, the deploy before stays in force (`/mgmt/deploys/head`): hosts of the waves so far have the new one,
//! all others the one before. With the end of the last wave, the new one is in force.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::graph::deploy::content::ContentId;
use crate::graph::deploy::record::{DeployId, Head, RecordError};
use crate::id::{in_one_line, shortened};
use crate::resource::ClusterHost;

/// The version of the format of a rollout.
const FORMAT: u32 = 1;
/// A rollout with more bytes is not read.
const ROLLOUT_BYTES_MAX: usize = 1 << 20;
/// The most characters of a reason.
const CHARS_MAX: usize = 500;
/// The most failed hosts whose reasons are kept.
const FAILED_MAX: usize = 20;

/// The hosts that a wave adds to those that have the deploy already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wave {
    /// These.
    Hosts(Vec<String>),
    /// As many as are missing until this part, in percent, of all hosts that follow deploys has it: rounded up.
    Percent(u8),
    /// All, also those that come later.
    All,
}

impl FromStr for Wave {
    type Err = String;

    fn from_str(text: &str) -> Result<Wave, String> {
        if text == "all" {
            return Ok(Wave::All);
        }
        if let Some(number) = text.strip_suffix('%') {
            let percent = number.parse().ok().filter(|percent| (1..=100).contains(percent));
            return percent.map(Wave::Percent).ok_or_else(|| format!("`{text}` is no part: give 1% to 100%"));
        }
        let hosts: Vec<String> = text.split(',').filter(|host| !host.is_empty()).map(str::to_owned).collect();
        match hosts.is_empty() {
            true => Err("give hosts with `,` between them, a part such as 10%, or all".to_owned()),
            false => Ok(Wave::Hosts(hosts)),
        }
    }
}

impl fmt::Display for Wave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wave::Hosts(hosts) => write!(f, "{}", in_one_line(&hosts.join(","))),
            Wave::Percent(percent) => write!(f, "{percent}%"),
            Wave::All => f.write_str("all"),
        }
    }
}

/// What each host of a wave must have reached before the next wave begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaveGoal {
    /// Its graph has converged.
    #[default]
    Converged,
    /// The deploy is in force there.
    InForce,
}

/// How far a rollout has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// A wave is under way.
    Running,
    /// It has ended before its last wave: the hosts of the waves so far keep the new deploy.
    Stopped,
    /// It has ended, and all hosts have the deploy before.
    Reverted,
    /// All hosts have the new deploy, which is in force.
    Done,
}

/// How a deploy reaches the hosts in waves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    pub(crate) waves: Vec<Wave>,
    pub(crate) goal: WaveGoal,
    /// The rollout ends when this many hosts have failed.
    pub(crate) stop_after_failed: u32,
    pub(crate) revert: bool,
    /// A host that has not reached the goal after this many seconds has failed.
    pub(crate) timeout: u64,
}

/// A deploy in waves, as the world has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rollout {
    /// The version of the format.
    pub(crate) format: u32,
    /// The new deploy, and the one before.
    pub(crate) to: Head,
    pub(crate) from: Head,
    #[serde(flatten)]
    pub(crate) terms: Terms,
    /// How far it has got.
    pub stage: Stage,
    /// The number of the present wave, counted from 0.
    pub wave: usize,
    /// The hosts that each wave so far has added; a wave of all hosts names none.
    pub hosts: Vec<BTreeSet<String>>,
    /// The first hosts that have failed, each with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, String>,
    /// Why it has ended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What has become of a host in a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It has reached the goal.
    Done,
    /// It has not, for this reason.
    Waits(String),
    /// It has failed, for this reason.
    Failed(String),
}

impl Rollout {
    /// A rollout that begins with its first wave. `hosts`: those that are alive.
    pub(crate) fn new(from: Head, to: Head, terms: Terms, hosts: &[ClusterHost]) -> Rollout {
        let (failed, why) = Default::default();
        let mut rollout =
            Rollout { format: FORMAT, to, from, terms, stage: Stage::Running, wave: 0, hosts: Vec::new(), failed, why };
        rollout.hosts.push(rollout.chosen(0, hosts));
        rollout
    }

    /// The rollout that these bytes of a world are.
    pub(crate) fn read(bytes: &[u8]) -> Result<Rollout, RecordError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let damaged = |why: String| RecordError::Damaged(format!("the rollout: {why}"));
        if bytes.len() > ROLLOUT_BYTES_MAX {
            return Err(damaged(format!("it has {} bytes, and at most {ROLLOUT_BYTES_MAX} are read", bytes.len())));
        }
        let unread = |error: serde_json::Error| damaged(format!("it can't be read: {error}"));
        let Version { format } = serde_json::from_slice(bytes).map_err(unread)?;
        if format > FORMAT {
            return Err(RecordError::Newer(format));
        }
        let rollout: Rollout = serde_json::from_slice(bytes).map_err(unread)?;
        let heads = [&rollout.from, &rollout.to];
        if heads.iter().any(|head| head.id != DeployId::of(&head.sha256)) {
            return Err(damaged("the IDs of its deploys are not those of their records".to_owned()));
        }
        let waves = rollout.terms.waves.len();
        if rollout.wave >= waves || rollout.hosts.len() != rollout.wave + 1 {
            return Err(damaged(format!("wave {} of {waves}, with {} lists", rollout.wave, rollout.hosts.len())));
        }
        Ok(rollout)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        // Numbers and texts have a form as JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The ID of the new deploy.
    pub fn deploy(&self) -> &DeployId {
        &self.to.id
    }

    /// The ID of the deploy before.
    pub fn before(&self) -> &DeployId {
        &self.from.id
    }

    /// The waves.
    pub fn waves(&self) -> &[Wave] {
        &self.terms.waves
    }

    /// Whether hosts have different deploys because of it, or will.
    pub fn is_split(&self) -> bool {
        matches!(self.stage, Stage::Running | Stage::Stopped)
    }

    /// Whether this host has the new deploy.
    pub fn includes(&self, host: &str) -> bool {
        match self.stage {
            Stage::Done => true,
            Stage::Reverted => false,
            Stage::Running | Stage::Stopped => self.is_at_all() || self.hosts.iter().any(|wave| wave.contains(host)),
        }
    }

    fn is_at_all(&self) -> bool {
        self.terms.waves.get(self.wave) == Some(&Wave::All)
    }

    /// What has become of a host that has the new deploy. `None`: it is not alive.
    pub(crate) fn fate(&self, host: Option<&ClusterHost>) -> Fate {
        let waits = |why: &str| Fate::Waits(why.to_owned());
        let Some(host) = host else { return waits("it is not alive") };
        let Some(state) = &host.state else { return waits("it has not reported its state yet") };
        let Some(follows) = &state.follows else { return waits("it does not follow deploys (`run --deploy`)") };
        if let Some(refused) = follows.refused.as_ref().filter(|refused| refused.deploy == self.to.id.as_str()) {
            return Fate::Failed(reason(&refused.why));
        }
        if follows.deploy.as_deref() != Some(self.to.id.as_str()) {
            return waits("it has not switched to the deploy yet");
        }
        let why = || reason(&host.obstacle().unwrap_or_else(|| "a resource has failed".to_owned()));
        // One that can't converge may only wait for a cause that goes away.
        if state.failed > 0 {
            return Fate::Failed(why());
        }
        match self.terms.goal {
            WaveGoal::Converged if !state.converged => Fate::Waits(why()),
            WaveGoal::Converged | WaveGoal::InForce => Fate::Done,
        }
    }

    /// The hosts that count now, with their fates: those of the present wave, and the living ones of earlier waves.
    pub(crate) fn fates(&self, hosts: &[ClusterHost]) -> BTreeMap<String, Fate> {
        let counts = |host: &&ClusterHost| match self.is_at_all() {
            true => follows(host),
            false => self.includes(&host.name),
        };
        let alive = hosts.iter().filter(counts).map(|host| (host.name.clone(), self.fate(Some(host))));
        let mut fates: BTreeMap<String, Fate> = alive.collect();
        for host in self.hosts.get(self.wave).into_iter().flatten() {
            fates.entry(host.clone()).or_insert_with(|| self.fate(None));
        }
        fates
    }

    /// The hosts that a wave adds.
    fn chosen(&self, wave: usize, hosts: &[ClusterHost]) -> BTreeSet<String> {
        let has = |host: &str| self.hosts.iter().any(|wave| wave.contains(host));
        match self.terms.waves.get(wave) {
            None | Some(Wave::All) => BTreeSet::new(),
            Some(Wave::Hosts(names)) => names.iter().filter(|host| !has(host)).cloned().collect(),
            Some(Wave::Percent(percent)) => {
                let following: Vec<&str> =
                    hosts.iter().filter(|host| follows(host)).map(|host| host.name.as_str()).collect();
                let wanted = (following.len() * usize::from(*percent)).div_ceil(100);
                let (with, mut without): (Vec<&str>, Vec<&str>) = following.into_iter().partition(|host| has(host));
                // Not always the same hosts come first.
                without.sort_by_cached_key(|host| ContentId::of(format!("{}/{host}", self.to.id).as_bytes()));
                let missing = wanted.saturating_sub(with.len());
                without.into_iter().take(missing).map(str::to_owned).collect()
            }
        }
    }

    /// The rollout that must take the place of this one; `None`: it is right. `head`: the deploy in force. `hosts`:
    /// those that are alive. `waited`: for how long the caller has seen this rollout as it is, by its own clock, so
    /// that clocks that differ do no harm.
    pub(crate) fn next(&self, head: Option<&Head>, hosts: &[ClusterHost], waited: Duration) -> Option<Rollout> {
        if self.stage != Stage::Running {
            return None;
        }
        let mut next = self.clone();
        if head != Some(&self.from) {
            next.stage = Stage::Stopped;
            next.why = "another deploy has come into force".to_owned();
            return Some(next);
        }
        let is_late = waited >= Duration::from_secs(self.terms.timeout);
        let (mut failed, mut is_waiting) = (BTreeMap::new(), false);
        for (host, fate) in self.fates(hosts) {
            match fate {
                Fate::Done => {}
                Fate::Failed(why) => _ = failed.insert(host, why),
                Fate::Waits(why) if is_late => {
                    _ = failed.insert(host, reason(&format!("after {} s: {why}", self.terms.timeout)));
                }
                Fate::Waits(_) => is_waiting = true,
            }
        }
        // At least one, so that none would end it.
        if failed.len() >= self.terms.stop_after_failed.max(1) as usize {
            next.stage = if self.terms.revert { Stage::Reverted } else { Stage::Stopped };
            let count = failed.len();
            next.why = match failed.iter().next() {
                Some((host, why)) if count == 1 => reason(&format!("{host} has failed: {why}")),
                Some((host, why)) => reason(&format!("{count} hosts have failed, {host} among them: {why}")),
                None => String::new(),
            };
            next.failed = failed.into_iter().take(FAILED_MAX).collect();
            return Some(next);
        }
        if is_waiting {
            return None;
        }
        if self.wave + 1 >= self.terms.waves.len() {
            next.stage = Stage::Done;
        } else {
            next.wave += 1;
            next.hosts.push(self.chosen(next.wave, hosts));
        }
        next.failed = failed.into_iter().take(FAILED_MAX).collect();
        Some(next)
    }

    /// The rollout after a user has continued it: its present wave is under way again, and hosts that have failed count
    /// as they are then. `head`: the deploy in force.
    ///
    /// # Errors
    /// It was not stopped; the reason.
    pub(crate) fn resumed(&self, head: Option<&Head>) -> Result<Rollout, String> {
        let id = &self.to.id;
        match self.stage {
            Stage::Running => Err(format!("deploy {id} is under way, and was not stopped")),
            Stage::Reverted => {
                Err(format!("deploy {id} was reverted on all hosts, so there is nothing to resume: deploy again"))
            }
            Stage::Done => Err(format!("deploy {id} has reached all hosts")),
            Stage::Stopped if head != Some(&self.from) => Err(format!(
                "deploy {id} would take the place of {}, and another deploy has come into force since: deploy again",
                self.from.id
            )),
            Stage::Stopped => {
                let (failed, why) = Default::default();
                Ok(Rollout { stage: Stage::Running, failed, why, ..self.clone() })
            }
        }
    }

    /// The rollout after a user has ended it: all hosts have the deploy before.
    pub(crate) fn reverted(&self, by: &str) -> Rollout {
        Rollout { stage: Stage::Reverted, why: reason(&format!("{by} has reverted it")), ..self.clone() }
    }
}

fn reason(why: &str) -> String {
    shortened(&in_one_line(why), CHARS_MAX)
}

fn follows(host: &ClusterHost) -> bool {
    host.state.as_ref().is_some_and(|state| state.follows.is_some())
}

/// The deploy that a host must have. A rollout from another deploy than the one in force does not count any more.
pub(crate) fn target<'a>(head: Option<&'a Head>, rollout: Option<&'a Rollout>, host: &str) -> Option<&'a Head> {
    match rollout {
        Some(rollout) if head == Some(&rollout.from) && rollout.includes(host) => Some(&rollout.to),
        _ => head,
    }
}

/// Why a rollout can't have these waves. `head`: the deploy in force.
pub(crate) fn wrong_waves(terms: &Terms, head: Option<&Head>, hosts: &[ClusterHost]) -> Option<String> {
    let following = || hosts.iter().filter(|host| follows(host)).map(|host| host.name.as_str());
    if head.is_none() {
        return Some(
            "the first deploy can't come in waves, since other hosts would have none: leave them out".to_owned(),
        );
    }
    if terms.waves.last() != Some(&Wave::All) {
        return Some(
            "the last wave must be all hosts, otherwise the rollout would never end: add `--then all`".to_owned(),
        );
    }
    if terms.waves.iter().filter(|wave| **wave == Wave::All).count() > 1 {
        return Some("only the last wave can be all hosts".to_owned());
    }
    let named = terms.waves.iter().filter_map(|wave| match wave {
        Wave::Hosts(hosts) => Some(hosts),
        Wave::Percent(_) | Wave::All => None,
    });
    let absent = named.flatten().find(|host| following().all(|other| other != host.as_str()))?;
    let all = following().map(in_one_line).collect::<Vec<_>>().join(", ");
    let all = if all.is_empty() {
        "no host does now".to_owned()
    } else {
        format!("those that do are {}", shortened(&all, CHARS_MAX))
    };
    Some(format!("{} is no living host that follows deploys: {all}", in_one_line(absent)))
}
