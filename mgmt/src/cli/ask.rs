//! The commands that ask a running instance: `status`, `why`, `events`, `pause`, `resume`, `poke` and `reload`.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::cli::absent::{Remains, absent};
use crate::cli::answers::{engine_line, event_lines, resource_lines, why_lines};
use crate::cli::help;
use crate::cli::report::CommandError;
use crate::cli::session::{Session, printed};
use crate::cli::signals::Ladder;
use crate::id::{Palette, ResourceId, harmless_in_colour, in_json};
use crate::runtime::control::{Ask, Client, ClientError, EngineReport, Reply, WhyReport};
use crate::sys::task::blocking;

/// At most this many resources are explained by one command.
const EXPLAINED_MAX: usize = 20;
/// Text is printed in pieces of about this many bytes.
const PIECE: usize = 64 << 10;

/// A question to an instance that runs, or an order.
#[derive(Clone, Debug, Subcommand)]
pub enum Asking {
    /// Show the state of the resources of a running instance
    #[command(defer(help::status))]
    Status(StatusOptions),
    /// Show why resources of a running instance are in their state: events, causes, edges, debts
    #[command(defer(help::why))]
    Why(WhyOptions),
    /// Print the last events of a running instance
    #[command(defer(help::events))]
    Events(EventsOptions),
    /// Let a running instance begin nothing until `resume`
    #[command(defer(help::pause))]
    Pause {
        /// Return when no operation is under way any more
        #[arg(long)]
        idle: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Continue after `pause`
    #[command(defer(help::resume))]
    Resume {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a running instance check resources now, also those that have failed
    #[command(defer(help::poke))]
    Poke {
        /// Names or patterns, such as 'file[/etc/*]'
        #[arg(value_name = "RESOURCE", required = true)]
        names: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a running instance make its graph again
    #[command(defer(help::reload))]
    Reload {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What `status` shows.
#[derive(Clone, Debug, Args)]
pub struct StatusOptions {
    /// Names or patterns, such as 'file[/etc/*]'; default: all resources
    #[arg(value_name = "RESOURCE")]
    pub names: Vec<String>,
    /// Only resources of this kind
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only resources that have failed, keep failing, or wait for a cause outside of the graph
    #[arg(long)]
    pub failed: bool,
    /// Print only the names, one a line
    #[arg(long = "names", conflicts_with_all = ["failed", "json"])]
    pub names_only: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `why` explains.
#[derive(Clone, Debug, Args)]
pub struct WhyOptions {
    /// Names or patterns, such as 'file[/etc/*]'; at most 20 resources are shown
    #[arg(value_name = "RESOURCE", required = true)]
    pub names: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `events` prints.
#[derive(Clone, Debug, Args)]
pub struct EventsOptions {
    /// Names or patterns, such as 'file[/etc/*]'; default: all events
    #[arg(value_name = "RESOURCE")]
    pub names: Vec<String>,
    /// Only events of resources of this kind
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// At most this many of the remembered events; default: all of them, or 10 with --follow
    #[arg(long, value_name = "N")]
    pub last: Option<usize>,
    /// Continue with the events that follow
    #[arg(long, short)]
    pub follow: bool,
    /// Print a JSON object a line
    #[arg(long)]
    pub json: bool,
}

impl Asking {
    /// Whether the answer is printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        match self {
            Asking::Status(options) => options.json,
            Asking::Why(options) => options.json,
            Asking::Events(options) => options.json,
            Asking::Pause { json, .. }
            | Asking::Resume { json }
            | Asking::Poke { json, .. }
            | Asking::Reload { json } => *json,
        }
    }
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> CommandError {
        CommandError::Other(error.to_string())
    }
}

/// Executes one of the commands.
pub(crate) async fn execute(session: &Session, asking: Asking) -> Result<ExitCode, CommandError> {
    let prefix = session.prefix(true)?;
    let mut ladder = Ladder::new()?;
    tokio::select! {
        answered = answered(session, prefix.path(), asking) => answered,
        signal = ladder.first() => Err(CommandError::Interrupted(signal)),
    }
}

async fn answered(session: &Session, prefix: &Path, asking: Asking) -> Result<ExitCode, CommandError> {
    let mut client = match Client::connect(prefix).await {
        Err(ClientError::NoEngine { .. }) => {
            let wanted = match &asking {
                Asking::Status(options) => Remains::Of(options.names.clone()),
                Asking::Why(options) => Remains::Of(options.names.clone()),
                _ => Remains::Nothing,
            };
            return absent(prefix, wanted, asking.is_json()).await;
        }
        connected => connected?,
    };
    match asking {
        Asking::Status(options) if options.names_only => names(&mut client, options).await?,
        Asking::Status(options) => status(session, &mut client, options).await?,
        Asking::Why(options) => why(session, &mut client, options).await?,
        Asking::Events(options) => events(session, &mut client, options).await?,
        Asking::Pause { idle, json } => {
            let said = |_, _| "paused: nothing begins until `resume`".to_owned();
            order(session, &mut client, Ask::Pause { idle }, json, said).await?;
        }
        Asking::Resume { json } => order(session, &mut client, Ask::Resume, json, |_, _| "resumed".to_owned()).await?,
        Asking::Poke { names, json } => {
            let said = |count, paused| match (count, paused) {
                (1, false) => "1 resource is checked now".to_owned(),
                (count, false) => format!("{count} resources are checked now"),
                (count, true) => format!("{count} will be checked: the instance is in a pause, until `resume`"),
            };
            order(session, &mut client, Ask::Poke { names }, json, said).await?;
        }
        Asking::Reload { json } => {
            order(session, &mut client, Ask::Reload, json, |_, _| "the graph was made again".to_owned()).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is printed, in pieces.
struct Output {
    text: String,
    palette: Palette,
    /// Whether the reader has closed the pipe.
    is_closed: bool,
}

impl Output {
    fn new(palette: Palette) -> Output {
        Output { text: String::new(), palette, is_closed: false }
    }

    async fn add(&mut self, text: &str) -> Result<(), CommandError> {
        self.text.push_str(text);
        if self.text.len() >= PIECE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), CommandError> {
        let text = std::mem::take(&mut self.text);
        let text = match self.palette {
            Palette::Coloured => harmless_in_colour(&text).into_owned(),
            Palette::Plain => crate::id::harmless(&text).into_owned(),
        };
        self.is_closed = !blocking(move || printed(&text)).await?;
        Ok(())
    }
}

async fn print_json(data: &impl Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(data).map_err(io::Error::from)?;
    let text = format!("{}\n", in_json(&text));
    blocking(move || printed(&text)).await.map(drop)
}

async fn names(client: &mut Client, options: StatusOptions) -> Result<(), CommandError> {
    client.ask(Ask::Names { names: options.names, kind: options.kind }).await?;
    let mut out = Output::new(Palette::Plain);
    while let Some(reply) = client.next().await? {
        if let Reply::Name { id } = reply {
            out.add(&format!("{id}\n")).await?;
        }
    }
    out.flush().await
}

async fn status(session: &Session, client: &mut Client, options: StatusOptions) -> Result<(), CommandError> {
    let StatusOptions { names, kind, failed, json, .. } = options;
    client.ask(Ask::Status { names, kind, failed }).await?;
    let palette = session.palette();
    let (mut engine, mut resources, mut out) = (None, Vec::new(), Output::new(palette));
    while let Some(reply) = client.next().await? {
        match reply {
            Reply::Engine(report) if json => engine = Some(report),
            Reply::Resource(report) if json => resources.push(report),
            Reply::Engine(report) => out.add(&engine_line(&report, palette)).await?,
            Reply::Resource(report) => out.add(&resource_lines(&report, palette)).await?,
            _ => {}
        }
        if out.is_closed {
            return Ok(());
        }
    }
    if json { print_json(&json!({ "engine": engine, "resources": resources })).await } else { out.flush().await }
}

/// The resources that a name selects. One that has left the graph is known to the instance for some time.
async fn selected(client: &mut Client, name: &str) -> Result<Vec<ResourceId>, CommandError> {
    if let (Ok(id), false) = (name.parse::<ResourceId>(), name.contains(['*', '?'])) {
        return Ok(vec![id]);
    }
    client.ask(Ask::Names { names: vec![name.to_owned()], kind: None }).await?;
    let mut all = Vec::new();
    while let Some(reply) = client.next().await? {
        if let Reply::Name { id } = reply {
            all.push(id);
        }
    }
    Ok(all)
}

async fn why(session: &Session, client: &mut Client, options: WhyOptions) -> Result<(), CommandError> {
    let mut ids: Vec<ResourceId> = Vec::new();
    for name in &options.names {
        for id in selected(client, name).await? {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    let more = ids.len().saturating_sub(EXPLAINED_MAX);
    ids.truncate(EXPLAINED_MAX);
    let mut found: Vec<Box<WhyReport>> = Vec::new();
    let mut engine: Option<Box<EngineReport>> = None;
    for id in ids {
        client.ask(Ask::Why { id }).await?;
        while let Some(reply) = client.next().await? {
            match reply {
                Reply::Engine(report) => engine = Some(report),
                Reply::Why(why) => found.push(why),
                _ => {}
            }
        }
    }
    if options.json {
        return print_json(&json!({ "engine": engine, "resources": found, "more": more })).await;
    }
    let palette = session.palette();
    let mut out = Output::new(palette);
    for (n, why) in found.iter().enumerate() {
        let gap = if n > 0 { "\n" } else { "" };
        out.add(&format!("{gap}{}", why_lines(why, palette))).await?;
    }
    if more > 0 {
        out.add(&format!("\n… and {more} more\n")).await?;
    }
    out.flush().await
}

async fn events(session: &Session, client: &mut Client, options: EventsOptions) -> Result<(), CommandError> {
    const LAST: usize = 10;
    let EventsOptions { names, kind, last, follow, json } = options;
    let last = last.or(follow.then_some(LAST));
    client.ask(Ask::Events { names, kind, last, follow }).await?;
    let palette = session.palette();
    let mut out = Output::new(if json { Palette::Plain } else { palette });
    while let Some(reply) = client.next().await? {
        let line = |data: Result<String, serde_json::Error>| data.map(|text| format!("{}\n", in_json(&text)));
        let text = match &reply {
            Reply::Event(event) if json => line(serde_json::to_string(event)).map_err(io::Error::from)?,
            Reply::Event(event) => event_lines(event, palette),
            Reply::Missed { .. } if json => line(serde_json::to_string(&reply)).map_err(io::Error::from)?,
            Reply::Missed { events } => {
                format!("({events} events are missing here: they came faster than they were read)\n")
            }
            _ => continue,
        };
        out.add(&text).await?;
        if follow {
            out.flush().await?;
        }
        if out.is_closed {
            return Ok(());
        }
    }
    out.flush().await
}

async fn order(
    session: &Session,
    client: &mut Client,
    ask: Ask,
    json: bool,
    text: impl Fn(u64, bool) -> String,
) -> Result<(), CommandError> {
    client.ask(ask).await?;
    while let Some(reply) = client.next().await? {
        let Reply::Done { count, paused } = reply else { continue };
        if json {
            let data: Json = json!({ "count": count, "paused": paused });
            print_json(&data).await?;
        } else if !session.options.quiet {
            let text = format!("{}\n", text(count, paused));
            blocking(move || printed(&text)).await?;
        }
    }
    Ok(())
}
