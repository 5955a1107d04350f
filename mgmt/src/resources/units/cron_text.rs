//! The unit files of a `cron`: the text, what differs from it, and what systemd would not read.

use std::time::Duration;

use crate::resource::Change;
use crate::sys::unit_text::command_word;

/// The text of a unit file, from its sections and settings. `%` begins a specifier in a unit file.
pub(super) fn unit_file(id: &str, sections: &[(&str, Vec<(&str, String)>)]) -> String {
    let mut text = format!("# {} keeps this file: it undoes changes.\n", id.replace('\n', " "));
    for (section, settings) in sections {
        text.push_str(&format!("\n[{section}]\n"));
        settings.iter().for_each(|(key, value)| text.push_str(&format!("{key}={value}\n")));
    }
    text
}

/// A text as the value of a setting in which specifiers are replaced.
pub(super) fn plain(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ").replace('%', "%%")
}

/// A command line that has exactly these words.
pub(super) fn command(words: &[String]) -> String {
    words.iter().map(|word| command_word(word)).collect::<Vec<_>>().join(" ")
}

/// The settings that differ between what is in a file and what must be there.
pub(super) fn changes(is: Option<&str>, wanted: &str) -> Vec<Change> {
    let Some(is) = is else { return vec![Change::new("unit", "absent", "as declared")] };
    if is == wanted {
        return Vec::new();
    }
    let (before, after) = (settings(is), settings(wanted));
    let of = |all: &[(String, String)], key: &str| {
        let values: Vec<_> = all.iter().filter(|(of, _)| of == key).map(|(_, value)| value.as_str()).collect();
        if values.is_empty() { "none".to_owned() } else { values.join(", ") }
    };
    let mut keys: Vec<&str> = after.iter().chain(&before).map(|(key, _)| key.as_str()).collect();
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(*key));
    let differing = keys.into_iter().map(|key| (key, of(&before, key), of(&after, key)));
    let changes: Vec<_> = differing
        .filter(|(_, is, wanted)| is != wanted)
        .map(|(key, is, wanted)| Change::new(key, is, wanted))
        .collect();
    if changes.is_empty() { vec![Change::new("unit", "other text", "as declared")] } else { changes }
}

fn settings(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.starts_with(['#', ';', '[']));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.into(), value.into())).collect()
}

/// A time as systemd reads it.
pub(super) fn span(time: Duration) -> String {
    format!("{}us", time.as_micros())
}

/// What is wrong with a time span.
///
/// Source: systemd.time(7), "Parsing time spans".
pub(super) fn span_problem(text: &str) -> Option<&'static str> {
    const UNITS: [&str; 33] = [
        "", "usec", "us", "µs", "msec", "ms", "seconds", "second", "sec", "s", "minutes", "minute", "min", "m",
        "hours", "hour", "hr", "h", "days", "day", "d", "weeks", "week", "w", "months", "month", "M", "years", "year",
        "y", "nsec", "ns", "μs",
    ];
    let mut rest = text.trim();
    if rest == "infinity" {
        return None;
    }
    if rest.is_empty() {
        return Some("is empty");
    }
    while !rest.is_empty() {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        if digits.len() == rest.len() || rest[..rest.len() - digits.len()].matches('.').count() > 1 {
            return Some("is no time span of systemd");
        }
        let after = digits.trim_start();
        let next = after.trim_start_matches(char::is_alphabetic);
        if !UNITS.contains(&&after[..after.len() - next.len()]) {
            return Some("has a unit of time that systemd does not know");
        }
        rest = next.trim_start();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_are_read_as_systemd_does() {
        for span in ["5", "1h", "1.5h", "2min 3s", "1 h 30 min", "55s500ms", "300ms20s 5day", "1y 12month", "infinity"]
        {
            assert_eq!(span_problem(span), None, "{span}");
        }
        for wrong in ["", " ", "soon", "5 parsecs", "h", "1.2.3s", "-5s", "5s,", "daily"] {
            assert!(span_problem(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn settings_that_differ_are_named() {
        let text = |time: &str| unit_file("cron[a]", &[("Timer", vec![("OnCalendar", time.into())])]);
        let shown = |is: Option<&str>| changes(is, &text("daily")).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(shown(Some(&text("daily"))).is_empty());
        assert_eq!(shown(None), ["unit: absent → as declared"]);
        assert_eq!(shown(Some(&text("weekly"))), ["OnCalendar: weekly → daily"]);
        assert_eq!(shown(Some(&(text("daily") + "Persistent=yes\n"))), ["Persistent: yes → none"]);
        assert_eq!(shown(Some(&(text("daily") + "# by hand\n"))), ["unit: other text → as declared"]);
    }

    #[test]
    fn words_with_percent_signs_and_blanks_need_no_escape() {
        let words = ["/bin/date", "+%F %T", "$HOME"].map(str::to_owned);
        assert_eq!(command(&words), r#"/bin/date "+%%F %%T" "$$HOME""#);
        assert_eq!(plain("100%\nsure"), "100%% sure");
    }
}
