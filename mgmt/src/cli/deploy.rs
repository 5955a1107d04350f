//! The command `deploy`: publishes the graph to the world, and shows and reverts what was published.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::cli::exit::FAILED;
use crate::cli::help;
use crate::cli::logs::Screen;
use crate::cli::report::{CommandError, problem, show_warnings};
use crate::cli::session::{Session, print};
use crate::cli::signals::Ladder;
use crate::cli::waves::{self, WaveOptions};
use crate::gapi::{DeployDetails, DeployError, Deployed, Deploys, Gapi, ListedDeploy, Publish, RolloutView};
use crate::graph::{CarriedEntry, Deploy, DeployId, Fate, ResourceChange, Stage};
use crate::id::{ResourceId, Role, in_json, in_one_line, shortened};
use crate::sys::clock::rfc3339;
use crate::sys::facts::hostname;

/// The options of `deploy`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DeployOptions {
    /// What to do with deploys that are there. Default: publish the graph.
    #[command(subcommand)]
    pub what: Option<DeployCommand>,
    /// How it is published.
    #[command(flatten)]
    pub publish: PublishOptions,
    /// A file or directory that is on every host: what the graph reads there is not carried; can be given several times
    #[arg(long, value_name = "PATH")]
    pub on_hosts: Vec<PathBuf>,
    /// Carry also files that other users may not read: each host that may read the world can read them then
    #[arg(long)]
    pub private: bool,
}

/// How a deploy is published.
#[derive(Clone, Debug, Args)]
#[command(about = None, long_about = None)]
pub struct PublishOptions {
    /// What the deploy is for
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,
    /// ID of the deploy that must be in force until then; default: the one that is in force now
    #[arg(long, value_name = "ID")]
    pub parent: Option<String>,
    /// Replace whatever is in force
    #[arg(long)]
    pub force: bool,
    /// How many deploys the world keeps; default: 20
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    /// In waves.
    #[command(flatten)]
    pub waves: WaveOptions,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to do with the deploys of a world.
#[derive(Clone, Debug, Subcommand)]
pub enum DeployCommand {
    /// List the deploys, the newest first
    #[command(defer(help::deploy_list))]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a deploy: its graph, its files, and what differs from its parent
    #[command(defer(help::deploy_show))]
    Show {
        /// ID, or its first digits; default: the one in force
        id: Option<String>,
        /// Print JSON, with the graph as data
        #[arg(long)]
        json: bool,
    },
    /// Publish the content of an earlier deploy again
    #[command(defer(help::deploy_revert))]
    Revert {
        /// ID, or its first digits; default: the parent of the one in force
        id: Option<String>,
        /// How it is published.
        #[command(flatten)]
        publish: PublishOptions,
    },
    /// Continue a deploy in waves that was stopped, with the wave in which it was
    #[command(defer(help::deploy_resume))]
    Resume {
        /// Do not wait for the end of the rollout
        #[arg(long)]
        no_wait: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl DeployOptions {
    /// Whether what is printed is JSON.
    pub(crate) fn is_json(&self) -> bool {
        match &self.what {
            None => self.publish.json,
            Some(
                DeployCommand::List { json } | DeployCommand::Show { json, .. } | DeployCommand::Resume { json, .. },
            ) => *json,
            Some(DeployCommand::Revert { publish, .. }) => publish.json,
        }
    }
}

impl PublishOptions {
    fn how(&self, session: &Session) -> Publish {
        let mut how = self.waves.apply(Publish::new().force(self.force).dry(session.options.noop));
        if let Some(message) = &self.message {
            how = how.message(message);
        }
        if let Some(parent) = &self.parent {
            how = how.parent(parent);
        }
        match self.keep {
            Some(keep) => how.keep(keep as usize),
            None => how,
        }
    }
}

impl From<DeployError> for CommandError {
    fn from(error: DeployError) -> CommandError {
        CommandError::Engine(error.into())
    }
}

/// Executes the command.
pub(crate) async fn deploy(
    session: &Session,
    gapi: impl Gapi,
    options: &DeployOptions,
    screen: &Screen,
) -> Result<ExitCode, CommandError> {
    if session.options.deploy {
        let why = "`--deploy` is for hosts that follow deploys: leave it out to publish a graph";
        return Err(CommandError::Other(why.to_owned()));
    }
    let mut ladder = Ladder::new()?;
    let (text, rollout) = tokio::select! {
        answer = answer(session, gapi, options, screen) => answer?,
        signal = ladder.first() => return Err(CommandError::Interrupted(signal)),
    };
    print(&text)?;
    let Some(id) = rollout else { return Ok(ExitCode::SUCCESS) };
    let deploys = deploys(session)?;
    let is_done = tokio::select! {
        is_done = waves::follow(&deploys, &id, screen) => is_done?,
        signal = ladder.first() => {
            screen.complain(&format!("deploy {id} continues without this program: `deploy show {id}` shows how far it is"));
            return Err(CommandError::Interrupted(signal));
        }
    };
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn deploys(session: &Session) -> Result<Deploys, CommandError> {
    let world = session.world()?.ok_or(DeployError::NoWorld)?;
    let host = session.options.hostname.clone().unwrap_or_else(hostname);
    Ok(Deploys::new(&world, &host))
}

/// The ID of what was published, if its waves must be waited for.
fn awaited(session: &Session, published: &Deployed, no_wait: bool) -> Option<DeployId> {
    let is_running = published.rollout.as_ref().is_some_and(|rollout| rollout.stage == Stage::Running);
    let waits = is_running && !no_wait && !session.options.noop;
    waits.then(|| published.id.clone())
}

async fn answer(
    session: &Session,
    gapi: impl Gapi,
    options: &DeployOptions,
    screen: &Screen,
) -> Result<(String, Option<DeployId>), CommandError> {
    match &options.what {
        None => {
            let mut how = options.publish.how(session).private(options.private);
            for path in &options.on_hosts {
                how = how.on_hosts(std::path::absolute(path)?);
            }
            let prefix = session.prefix(true)?;
            let published = session.builder(prefix.path(), gapi)?.deploy(&session.kinds, &how).await?;
            let warnings = session.warnings.take();
            show_warnings(&warnings, session.options.log, screen);
            let warnings: Json = warnings.iter().map(problem).collect();
            let text = shown(session, &published, options.publish.json, warnings)?;
            Ok((text, awaited(session, &published, options.publish.waves.no_wait)))
        }
        Some(DeployCommand::List { json }) => {
            let (deploys, json) = (deploys(session)?, *json);
            let (all, rollout) = (deploys.list().await?, deploys.rollout().await?);
            let data = || json!({ "deploys": all, "rollout": rollout.as_ref().map(waves::data) });
            let text = if json { as_json(&data())? } else { lines(session, &all, rollout.as_ref()) };
            Ok((text, None))
        }
        Some(DeployCommand::Show { id, json }) => {
            let (deploys, json) = (deploys(session)?, *json);
            let (details, rollout) = (deploys.show(id.as_deref()).await?, deploys.rollout().await?);
            let rollout = rollout.filter(|view| *view.rollout.deploy() == details.id);
            if json {
                let mut data = serde_json::to_value(&details).map_err(io::Error::from)?;
                data["rollout"] = rollout.as_ref().map(waves::data).unwrap_or_default();
                return Ok((as_json(&data)?, None));
            }
            Ok((described(session, &details, rollout.as_ref()), None))
        }
        Some(DeployCommand::Revert { id, publish }) => {
            let published = deploys(session)?.revert(id.as_deref(), &publish.how(session)).await?;
            let text = shown(session, &published, publish.json, Json::Array(Vec::new()))?;
            Ok((text, awaited(session, &published, publish.waves.no_wait)))
        }
        Some(DeployCommand::Resume { no_wait, json }) => {
            let how = Publish::new().dry(session.options.noop);
            let resumed = deploys(session)?.resume(&how).await?;
            let text = shown(session, &resumed, *json, Json::Array(Vec::new()))?;
            Ok((text, awaited(session, &resumed, *no_wait)))
        }
    }
}

fn as_json(data: &impl Serialize) -> Result<String, CommandError> {
    let text = serde_json::to_string_pretty(data).map_err(io::Error::from)?;
    Ok(format!("{}\n", in_json(&text)))
}

/// What was published, or would be.
fn shown(session: &Session, published: &Deployed, json: bool, warnings: Json) -> Result<String, CommandError> {
    if json {
        let mut data = serde_json::to_value(published).map_err(io::Error::from)?;
        data["published"] = json!(published.is_new && !session.options.noop);
        data["warnings"] = warnings;
        return as_json(&data);
    }
    if session.options.quiet {
        return Ok(String::new());
    }
    let Deployed { id, deploy, is_new, carries, rollout, .. } = published;
    if let Some(rollout) = rollout.as_ref().filter(|rollout| rollout.stage == Stage::Reverted) {
        let (is, to) = (if session.options.noop { "would be" } else { "is" }, rollout.deploy());
        return Ok(format!("deploy {to} {is} reverted: all hosts have deploy {id}\n"));
    }
    if let (false, Some(rollout)) = (is_new, rollout) {
        let continues = if session.options.noop { "would continue" } else { "continues" };
        return Ok(format!("deploy {id} {continues}: {}\n", waves::stage(rollout)));
    }
    if !is_new {
        return Ok(format!("deploy {id} has this content already and is in force: nothing was published\n"));
    }
    let (resources, files) = (count(deploy.resources, "resource"), count(deploy.files, "file"));
    let parent = deploy.parent.as_ref().map_or("the first one".to_owned(), |parent| format!("after {parent}"));
    let what =
        format!("{}: {resources}, {files}, {}, {parent}", in_one_line(&deploy.name), count(deploy.bytes, "byte"));
    let mut text = match (session.options.noop, rollout) {
        (true, _) => format!("would be deployed: {what}\n"),
        (false, None) => format!("deploy {id} is in force: {what}\n"),
        (false, Some(_)) => format!("deploy {id} begins: {what}\n"),
    };
    for (n, wave) in rollout.iter().flat_map(|rollout| rollout.waves()).enumerate() {
        text.push_str(&format!("  wave {} {wave}\n", n + 1));
    }
    for path in carries {
        text.push_str(&format!("  carries {}\n", in_one_line(path)));
    }
    Ok(text)
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn moment(at: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(at.min(1 << 37))).unwrap_or(UNIX_EPOCH);
    rfc3339(time).replace(".000Z", "Z")
}

/// One line for each deploy.
fn lines(session: &Session, all: &[ListedDeploy], rollout: Option<&RolloutView>) -> String {
    if all.is_empty() && !session.options.quiet {
        return "there is no deploy yet\n".to_owned();
    }
    let palette = session.palette();
    let stage = |id: &DeployId| {
        let rollout = rollout.map(|view| &view.rollout).filter(|rollout| rollout.deploy() == id);
        rollout.map_or(String::new(), |rollout| format!("    {}\n", waves::stage(rollout)))
    };
    let line = |listed: &ListedDeploy| {
        let mark = if listed.in_force { "*" } else { " " };
        match (&listed.deploy, &listed.problem) {
            (Some(deploy), _) => {
                let Deploy { number, at, by, message, reverts_to, .. } = deploy;
                let message = message.lines().next().map(str::to_owned);
                let message = message.or_else(|| reverts_to.as_ref().map(|id| format!("(reverts to {id})")));
                let message = message.map_or(String::new(), |message| format!("  {}", in_one_line(&message)));
                let stage = stage(&listed.id);
                format!("{mark} {}  #{number}  {}  {}{message}\n{stage}", listed.id, moment(*at), in_one_line(by))
            }
            (None, problem) => {
                let problem = problem.as_deref().unwrap_or("it can't be read");
                format!("{mark} {}  {}\n", listed.id, palette.paint(Role::Error, in_one_line(problem)))
            }
        }
    };
    all.iter().map(line).collect()
}

/// A deploy in lines.
fn described(session: &Session, details: &DeployDetails, rollout: Option<&RolloutView>) -> String {
    let DeployDetails { id, in_force, deploy, changes, data, files, .. } = details;
    let or_none = |id: &Option<DeployId>| id.as_ref().map_or("none".to_owned(), DeployId::to_string);
    let mut text = format!("deploy {id}{}\n", if *in_force { " (in force)" } else { "" });
    text.push_str(&format!("  number   {}\n  parent   {}\n", deploy.number, or_none(&deploy.parent)));
    if let Some(old) = &deploy.reverts_to {
        text.push_str(&format!("  reverts  to {old}\n"));
    }
    text.push_str(&format!("  by       {}, {}\n", in_one_line(&deploy.by), moment(deploy.at)));
    for line in deploy.message.lines() {
        text.push_str(&format!("  message  {}\n", in_one_line(line)));
    }
    if let Some(view) = rollout {
        text.push_str(&format!("  rollout  {}\n", waves::stage(&view.rollout)));
        let names =
            |hosts: &BTreeSet<String>| hosts.iter().map(|host| in_one_line(host).into_owned()).collect::<Vec<_>>();
        for (n, wave) in view.rollout.waves().iter().enumerate() {
            let hosts = view.rollout.hosts.get(n).map(names).unwrap_or_default().join(", ");
            text.push_str(&format!("    wave {} ({wave}) {hosts}\n", n + 1).replace(" \n", "\n"));
        }
        for (host, fate) in view.hosts.iter().filter(|_| view.rollout.is_split()) {
            let words = match fate {
                Fate::Done => "has it".to_owned(),
                Fate::Waits(why) => format!("waits: {}", in_one_line(why)),
                Fate::Failed(why) => format!("has failed: {}", in_one_line(why)),
            };
            text.push_str(&format!("    {} {words}\n", in_one_line(host)));
        }
    }
    text.push_str(&format!("  graph    {}, {}\n", in_one_line(&deploy.name), count(deploy.resources, "resource")));
    for vertex in &data.resources {
        text.push_str(&format!("    {}\n", ResourceId::new(&vertex.kind, vertex.name.clone())));
    }
    text.push_str(&format!("  files    {}, {}\n", deploy.files, count(deploy.bytes, "byte")));
    for tree in &files.trees {
        let entries = tree.entries.iter().filter(|entry| matches!(entry, CarriedEntry::File { .. })).count();
        text.push_str(&format!("    {} ({})\n", in_one_line(&tree.path), count(entries as u64, "file")));
    }
    match changes {
        None => {}
        Some(changes) if changes.is_empty() => text.push_str("  changes  no resource differs from the parent\n"),
        Some(changes) => {
            text.push_str("  changes  since the parent\n");
            let palette = session.palette();
            for difference in changes {
                let id = &difference.resource;
                match &difference.change {
                    ResourceChange::Added => text.push_str(&format!("    {} {id}\n", palette.paint(Role::Good, "+"))),
                    ResourceChange::Removed => {
                        text.push_str(&format!("    {} {id}\n", palette.paint(Role::Error, "-")))
                    }
                    ResourceChange::Changed(fields) => {
                        text.push_str(&format!("    {} {id}\n", palette.paint(Role::Drift, "~")));
                        for field in fields {
                            let (from, to) = (value(field.from.as_ref()), value(field.to.as_ref()));
                            let files = if field.other_files { ", with other content" } else { "" };
                            text.push_str(&format!("        {}: {from} → {to}{files}\n", in_one_line(&field.field)));
                        }
                    }
                }
            }
        }
    }
    text
}

/// A value in one line, not too long.
fn value(value: Option<&Json>) -> String {
    const CHARS_MAX: usize = 200;
    value.map_or("default".to_owned(), |value| shortened(&value.to_string(), CHARS_MAX))
}
