//! `meta:` the metaparameters, in the units that the YAML format has always had.

use std::time::Duration;

use crate::gapi::yaml::document::Document;
use crate::gapi::yaml::draft::Draft;
use crate::gapi::yaml::tree::{Key, Node, Value};
use crate::resource::{Backoff, Meta, Sema, WITH_UNIT, with_units};

const KEYS: [&str; 21] = [
    "export",
    "sealed",
    "ignore",
    "alert",
    "hidden",
    "autoedge",
    "autogroup",
    "noop",
    "retry",
    "delay",
    "backoff",
    "poll",
    "limit",
    "burst",
    "timeout",
    "sema",
    "reverse",
    "rewatch",
    "reset",
    "retryreset",
    "converged_timeout",
];

impl Document<'_> {
    /// The metaparameters of the resource `id`, and the hosts that it is exported to.
    pub(crate) fn meta(&mut self, draft: &mut Draft, id: &str, node: &Node) {
        let mut meta = Meta::default();
        let owner = format!("{id}: `meta`");
        let entries = self.map(node, &owner);
        for (key, node) in &*self.spelt(entries, &owner, &KEYS) {
            if !node.is_null() && key.text == "export" {
                let hosts = self.texts(node, &format!("{id}: `export`"), &format!("{id}: a host"));
                draft.export = Some(hosts);
            } else if !node.is_null() && key.text == "sealed" {
                draft.sealed = self.truth(node, &format!("{id}: `sealed`")).unwrap_or_default();
            } else if !node.is_null() {
                self.meta_entry(&mut meta, id, key, node);
            }
        }
        draft.meta = meta;
    }

    fn meta_entry(&mut self, meta: &mut Meta, id: &str, key: &Key, node: &Node) {
        let (word, what) = (format!("`{}`", key.text), format!("{id}: `{}`", key.text));
        match key.text.as_str() {
            "alert" => set(&mut meta.alert, self.truth(node, &what)),
            "autoedge" => set(&mut meta.autoedge, self.truth(node, &what)),
            "autogroup" => set(&mut meta.autogroup, self.truth(node, &what)),
            "hidden" => set(&mut meta.hidden, self.truth(node, &what)),
            "noop" => set(&mut meta.noop, self.truth(node, &what)),
            "reverse" => set(&mut meta.reverse, self.truth(node, &what)),
            "rewatch" => set(&mut meta.rewatch, self.truth(node, &what)),
            "reset" => set(&mut meta.reset, self.truth(node, &what)),
            "retryreset" if self.truth(node, &what) == Some(false) => {
                let message = format!("{what} is always true here: a success gives a resource its tries back");
                self.complain(node.place, message);
            }
            "retry" => set(&mut meta.retry, self.number(node, &what, "a whole number; -1: for ever")),
            "burst" => set(&mut meta.burst, self.number(node, &what, "a whole number")),
            "limit" => {
                // `.inf` is a number in YAML, and has always been the way to write "no limit".
                let endless = |text: &str| matches!(text.trim_start_matches('+'), ".inf" | ".Inf" | ".INF");
                meta.limit = match &node.value {
                    Value::Scalar { text, plain: true } if endless(text) => None,
                    _ => self.number(node, &what, "a number of checks per second; `.inf`: no limit"),
                };
            }
            "delay" => set(&mut meta.delay, self.time(node, &what, 1e-3, "milliseconds")),
            "timeout" => {
                // 0 has always meant "no timeout".
                meta.timeout = self.time(node, &what, 1e-3, "milliseconds").filter(|timeout| !timeout.is_zero());
            }
            // In files, a poll replaces the watch.
            "poll" => match &node.value {
                Value::Scalar { text, plain: true } if text == "-1" => meta.watch = false,
                _ => {
                    let takes = "seconds, 0: none, -1: check once";
                    meta.poll = self.time(node, &what, 1.0, takes).filter(|poll| !poll.is_zero());
                    meta.watch = meta.poll.is_none();
                }
            },
            "converged_timeout" => meta.converged_timeout = self.time(node, &what, 1.0, "seconds"),
            "backoff" => {
                if let Some(max) = self.time(node, &what, 1e-3, "milliseconds, the longest delay") {
                    meta.backoff = if max.is_zero() { Backoff::Constant } else { Backoff::Exponential { max } };
                }
            }
            "ignore" => meta.ignore = self.texts(node, &format!("{id}: `ignore`"), &format!("{id}: a field to ignore")),
            "sema" => {
                let texts = self.texts(node, &format!("{id}: `sema`"), &format!("{id}: a semaphore"));
                meta.sema.extend(texts.into_iter().map(Sema::from));
            }
            _ => {}
        }
        // Problems of other entries are reported there.
        for problem in meta.problems() {
            let own = problem.contains(&word) || (key.text == "sema" && problem.starts_with("semaphore"));
            if own {
                self.complain(node.place, format!("{id}: {problem}"));
            }
        }
    }

    /// A text, or a list of texts.
    pub(crate) fn texts(&mut self, node: &Node, what: &str, each: &str) -> Vec<String> {
        match &node.value {
            Value::List(nodes) => nodes.iter().filter_map(|node| self.text(node, each)).collect(),
            _ => self.text(node, what).into_iter().collect(),
        }
    }

    fn number<T: std::str::FromStr>(&mut self, node: &Node, what: &str, takes: &str) -> Option<T> {
        let number = match &node.value {
            Value::Scalar { text, plain: true } => text.parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.complain(node.place, format!("{what} takes {takes}"));
        }
        number
    }

    fn time(&mut self, node: &Node, what: &str, unit: f64, units: &str) -> Option<Duration> {
        if let Value::Scalar { text, .. } = &node.value
            && let Some(time) = with_units(text)
        {
            return Some(time);
        }
        let number: f64 = self.number(node, what, &format!("a number of {units}, or {WITH_UNIT}"))?;
        let time = Duration::try_from_secs_f64(number * unit).ok();
        if time.is_none() {
            self.complain(node.place, format!("{what} takes a number of {units}, 0 or more"));
        }
        // A whole number of milliseconds is exact.
        time.map(|time| if unit < 1.0 && number.fract() == 0.0 { Duration::from_millis(number as u64) } else { time })
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
