//! What is known where no instance runs: what the journal remembers.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use crate::cli::exit::ABSENT;
use crate::cli::report::CommandError;
use crate::cli::session::printed;
use crate::id::{ResourceId, harmless, in_json};
use crate::journal::{Journal, Owed};
use crate::sys::task::blocking;

/// At most this many debts are listed.
const LISTED_MAX: usize = 100;

/// What of the journal is shown.
pub(crate) enum Remains {
    /// Nothing: the command was an order.
    Nothing,
    /// What concerns these resources; without names, everything.
    Of(Vec<String>),
}

/// What the journal of a prefix holds.
#[derive(Default)]
struct Remembered {
    owed: Vec<(ResourceId, ResourceId, Owed)>,
    resources: Vec<ResourceId>,
    /// The process that uses the prefix.
    holder: Option<u32>,
    problem: Option<String>,
}

fn look(prefix: PathBuf, names: &[String]) -> Remembered {
    let holder = Journal::holder(&prefix);
    let is_wanted = |id: &ResourceId| names.is_empty() || names.contains(&String::from(id.clone()));
    match Journal::glance(&prefix) {
        Ok(journal) => {
            let mut owed = journal.owed();
            owed.retain(|(from, to, _)| is_wanted(from) || is_wanted(to));
            let mut resources = journal.resources();
            resources.retain(is_wanted);
            Remembered { owed, resources, holder, problem: None }
        }
        Err(error) => Remembered { holder, problem: Some(error.to_string()), ..Remembered::default() },
    }
}

impl Remembered {
    fn text(&self) -> String {
        let mut text = String::new();
        match self.owed.len() {
            0 => {}
            1 => text.push_str("its journal remembers a refresh that is owed:\n"),
            count => text.push_str(&format!("its journal remembers {count} refreshes that are owed:\n")),
        }
        for (from, to, owed) in self.owed.iter().take(LISTED_MAX) {
            let why = match owed {
                Owed::Intent => "was about to change",
                Owed::Debt => "has changed",
            };
            text.push_str(&format!("  {to}, since {from} {why}\n"));
        }
        let more = self.owed.len().saturating_sub(LISTED_MAX);
        if more > 0 {
            text.push_str(&format!("  … and {more} more\n"));
        }
        match self.resources.len() {
            0 if self.owed.is_empty() => text.push_str("its journal remembers nothing\n"),
            0 => {}
            1 => text.push_str(&format!("it knows {}\n", self.resources[0])),
            count => text.push_str(&format!("it knows {count} resources\n")),
        }
        text
    }

    fn json(&self, message: &str) -> Json {
        let owed = self
            .owed
            .iter()
            .map(|(from, to, owed)| json!({ "from": from, "to": to, "certain": matches!(owed, Owed::Debt) }));
        json!({
            "errors": [{ "message": message }],
            "warnings": [],
            "owed": owed.collect::<Vec<_>>(),
            "remembered": self.resources,
        })
    }
}

/// Reports that no instance answers, with what its journal remembers.
pub(crate) async fn absent(prefix: &Path, wanted: Remains, json: bool) -> Result<ExitCode, CommandError> {
    let (path, is_order) = (prefix.to_owned(), matches!(wanted, Remains::Nothing));
    let names = if let Remains::Of(names) = wanted { names } else { Vec::new() };
    let found = blocking(move || look(path, &names)).await;
    let mut message = match found.holder {
        Some(pid) => format!(
            "the process {pid} uses {} and does not answer: it begins or ends just now, or has no control socket",
            prefix.display()
        ),
        None => format!("no instance runs at {}", prefix.display()),
    };
    if let Some(problem) = &found.problem {
        message.push_str(&format!("; its journal can't be read: {problem}"));
    }
    if json {
        let text = in_json(&format!("{:#}\n", found.json(&message))).into_owned();
        blocking(move || printed(&text)).await?;
        return Ok(ExitCode::from(ABSENT));
    }
    if !is_order && found.problem.is_none() {
        let text = harmless(&found.text()).into_owned();
        blocking(move || printed(&text)).await?;
    }
    Err(CommandError::Absent(message))
}
