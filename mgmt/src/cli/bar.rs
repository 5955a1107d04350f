//! The line with the progress bar, laid out for the width of the terminal.

use std::time::Duration;

use crate::runtime::Progress;

/// The bar names an operation that takes longer than this.
const NAMED_AFTER: Duration = Duration::from_secs(1);
/// The bar gives up its place if the name of an operation would otherwise get fewer columns than this.
const NAME_MIN: usize = 24;

/// What the line shows, besides how many resources are settled.
#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    /// The name of the graph.
    pub(crate) name: String,
    /// The width of the bar itself in columns; 0: no bar.
    pub(crate) bar: usize,
    /// The text after the number of settled resources.
    pub(crate) message: String,
}

impl Line {
    /// The line in a terminal of `width` columns. `retrying`: how many resources have failed and will be tried again.
    /// `took`: the time so far, as long as the graph has not converged for the first time.
    pub(crate) fn new(name: &str, progress: &Progress, retrying: usize, took: Option<Duration>, width: usize) -> Line {
        let name = shortened(name, (width / 4).max(8));
        let counts = format!("{}/{} settled", progress.settled, progress.resources);
        let mut notes = notes(progress, retrying);
        // A space before each part, and the last column stays empty.
        let taken = name.chars().count() + 1 + counts.len() + 1;
        let mut bar = match width {
            ..60 => 0,
            60..100 => 12,
            100.. => 30,
        };
        let named = progress.longest.as_ref().filter(|running| running.elapsed >= NAMED_AFTER || took.is_none());
        let message = match (named, took) {
            (Some(running), _) => {
                let (id, since) = (running.id.to_string(), format!(" for {} s", running.elapsed.as_secs()));
                let room = |notes: &str, bar: usize| {
                    let bar = if bar > 0 { bar + 1 } else { 0 };
                    width.saturating_sub(taken + bar + notes.len() + 2 + since.len())
                };
                if room(&notes, bar) < NAME_MIN.min(id.chars().count()) {
                    bar = 0;
                }
                // How many wait can be left out: what failed and what runs matter more.
                if room(&notes, bar) < 8 {
                    notes = self::notes(&Progress { blocked: 0, ..progress.clone() }, retrying);
                }
                let id = shortened(&id, room(&notes, bar).max(8));
                format!("{notes}, {id}{since}")
            }
            (None, Some(took)) => format!("{notes}, {} s", took.as_secs()),
            (None, None) => notes,
        };
        Line { name, bar, message }
    }
}

/// How many resources have failed, and how many wait for them.
pub(crate) fn notes(progress: &Progress, retrying: usize) -> String {
    let Progress { failed, blocked, .. } = progress;
    let mut text = String::new();
    if *failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    if *blocked > 0 {
        let (wait, them) = (if *blocked == 1 { "waits" } else { "wait" }, if *failed == 1 { "it" } else { "them" });
        text.push_str(&format!(", {blocked} {wait} for {them}"));
    }
    if retrying > 0 {
        text.push_str(&format!(", {retrying} {} failing", if retrying == 1 { "keeps" } else { "keep" }));
    }
    text
}

/// A text of at most `max` characters: its beginning and its end, with `…` between them if it is longer.
pub(crate) fn shortened(text: &str, max: usize) -> String {
    let count = text.chars().count();
    if count <= max {
        return text.to_owned();
    }
    let kept = max.saturating_sub(1);
    let (head, tail) = (kept / 2, kept - kept / 2);
    let head: String = text.chars().take(head).collect();
    let tail: String = text.chars().skip(count - tail).collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ResourceId;
    use crate::runtime::{Causes, RunningStatus};

    fn progress(failed: usize, blocked: usize, name: &str, seconds: u64) -> Progress {
        let longest = RunningStatus {
            id: ResourceId::new("exec", name),
            operation: "apply".to_owned(),
            elapsed: Duration::from_secs(seconds),
            causes: Causes::default(),
        };
        Progress { resources: 12, settled: 3, failed, blocked, running: 1, longest: Some(longest) }
    }

    /// The line as it is drawn.
    fn drawn(line: &Line) -> String {
        let bar = "#".repeat(line.bar) + if line.bar > 0 { " " } else { "" };
        format!("{} {bar}3/12 settled{}", line.name, line.message)
    }

    #[test]
    fn the_longest_operation_and_its_time_can_be_read_at_each_width() {
        let long = "/usr/local/libexec/deploy-all-of-the-site/now";
        for (width, name) in
            [(160, long), (100, long), (80, long), (60, long), (40, long), (80, "build"), (60, "build")]
        {
            for (failed, blocked) in [(0, 0), (1, 1), (23, 145)] {
                let line =
                    Line::new("site", &progress(failed, blocked, name, 12), 0, Some(Duration::from_secs(15)), width);
                let text = drawn(&line);
                assert!(text.chars().count() < width || width == 40, "{width}: {text}");
                assert!(text.ends_with("] for 12 s") && text.contains(", exe"), "{width}: {text}");
                assert_eq!(text.contains('…'), name == long && width < 160, "{width}: {text}");
            }
        }
        let line = Line::new("site", &progress(1, 1, "build", 12), 0, None, 80);
        assert_eq!(drawn(&line), "site ############ 3/12 settled, 1 failed, 1 waits for it, exec[build] for 12 s");
    }

    #[test]
    fn the_time_so_far_is_shown_as_long_as_no_operation_is_named() {
        let line = |seconds, took| Line::new("a", &progress(0, 0, "x", seconds), 2, took, 100).message;
        assert_eq!(line(0, Some(Duration::from_secs(7))), ", 2 keep failing, 7 s");
        assert_eq!(line(0, None), ", 2 keep failing, exec[x] for 0 s");
        assert_eq!(line(3, Some(Duration::from_secs(7))), ", 2 keep failing, exec[x] for 3 s");
    }

    #[test]
    fn a_text_is_shortened_in_its_middle() {
        assert_eq!(shortened("exec[abc]", 9), "exec[abc]");
        assert_eq!(shortened("exec[größe]", 8), "exe…öße]");
    }
}
