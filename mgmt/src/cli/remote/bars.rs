//! The lines below the output of a run on many hosts: one for each host at work, as many as fit.

use crate::cli::bar::{notes, shortened};
use crate::id::in_one_line;
use crate::runtime::Progress;

/// The most hosts that have a line. The rest is counted.
const LINES_MAX: usize = 10;
/// An operation that takes longer than this is named.
const NAMED_AFTER_SECONDS: u64 = 1;
/// The narrowest and the widest column of names.
const NAME_MAX: usize = 24;

/// What a host at work does.
#[derive(Clone, Debug)]
pub(crate) enum Doing {
    /// A step before its graph runs, such as `connecting`.
    Step(String),
    /// Its graph runs.
    Graph(Progress),
}

/// The lines for a terminal of `width` columns. `done`: how many hosts have nothing more to do. `all`: how many there
/// are.
pub(crate) fn lines(busy: &[(&str, &Doing)], done: usize, all: usize, width: usize) -> String {
    let names: Vec<_> = busy.iter().take(LINES_MAX).map(|(name, _)| in_one_line(name)).collect();
    let column = names.iter().map(|name| name.chars().count()).max().unwrap_or_default().min(NAME_MAX);
    let mut lines = Vec::new();
    for (name, (_, doing)) in names.iter().zip(busy) {
        let name = shortened(name, column);
        // The last column stays empty.
        let room = width.saturating_sub(column + 2);
        lines.push(format!("{name:<column$} {}", shortened(&what(doing, room), room)));
    }
    let more = busy.len().saturating_sub(LINES_MAX);
    let more = if more > 0 { format!("… and {more} more; ") } else { String::new() };
    lines.push(shortened(&format!("{more}{done} of {all} hosts done"), width.saturating_sub(1)));
    lines.join("\n")
}

fn what(doing: &Doing, room: usize) -> String {
    let progress = match doing {
        Doing::Step(step) => return step.clone(),
        Doing::Graph(progress) => progress,
    };
    let Progress { settled, resources, longest, .. } = progress;
    let mut text = format!("{settled}/{resources} settled{}", notes(progress, 0));
    if room >= 60 {
        text = format!("{} {text}", bar(*settled, *resources));
    }
    if let Some(running) = longest.as_ref().filter(|running| running.elapsed.as_secs() >= NAMED_AFTER_SECONDS) {
        let since = format!(" for {} s", running.elapsed.as_secs());
        let left = room.saturating_sub(text.chars().count() + 2 + since.len()).max(8);
        text.push_str(&format!(", {}{since}", shortened(&running.id.to_string(), left)));
    }
    text
}

/// A bar of twelve columns.
fn bar(settled: usize, resources: usize) -> String {
    const WIDTH: usize = 12;
    let full = (settled.min(resources) * WIDTH).checked_div(resources).unwrap_or(WIDTH);
    format!("{}{}", "█".repeat(full), "░".repeat(WIDTH - full))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::ResourceId;
    use crate::runtime::{Causes, RunningStatus};

    fn graph(settled: usize, seconds: u64) -> Doing {
        let longest = RunningStatus {
            id: ResourceId::new("exec", "/usr/local/libexec/deploy-all-of-the-site/now-and-then"),
            operation: "apply".to_owned(),
            elapsed: Duration::from_secs(seconds),
            causes: Causes::default(),
        };
        Doing::Graph(Progress { resources: 12, settled, failed: 0, blocked: 0, running: 1, longest: Some(longest) })
    }

    #[test]
    fn each_host_at_work_has_a_line_that_fits() {
        let (step, early, late) = (Doing::Step("connecting".to_owned()), graph(3, 0), graph(6, 12));
        let busy = [("web1", &step), ("database", &early), ("x", &late)];
        assert_eq!(
            lines(&busy, 1, 4, 100),
            "web1     connecting\n\
             database ███░░░░░░░░░ 3/12 settled\n\
             x        ██████░░░░░░ 6/12 settled, exec[/usr/local/libexec/de…l-of-the-site/now-and-then] for 12 s\n\
             1 of 4 hosts done"
        );
        for width in [20, 40, 60, 80, 100, 200] {
            let text = lines(&busy, 1, 4, width);
            assert!(text.lines().all(|line| line.chars().count() < width.max(32)), "{width}: {text}");
        }
    }

    #[test]
    fn many_hosts_are_counted_and_names_pass_no_line_break() {
        let step = Doing::Step("connecting".to_owned());
        let names: Vec<String> = (0..50).map(|n| format!("h{n}\n")).collect();
        let busy: Vec<_> = names.iter().map(|name| (name.as_str(), &step)).collect();
        let text = lines(&busy, 7, 57, 80);
        assert_eq!(text.lines().count(), LINES_MAX + 1, "{text}");
        assert!(text.ends_with("… and 40 more; 7 of 57 hosts done"), "{text}");
    }
}
