//! The plans of many hosts as one text: what several hosts have in common is shown once, with their names.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::cli::exit::{FAILED, PENDING};
use crate::id::{Palette, ResourceId, Role, harmless, in_one_line};
use crate::plan::{Plan, PlanUndo};

/// The most hosts that a line names. The rest is counted.
const NAMED_MAX: usize = 8;
/// If at most this many of many hosts differ from the others, a line names those.
const EXCEPTED_MAX: usize = 3;

/// What is known of one host: its plan, or why there is none.
#[derive(Debug)]
pub(crate) struct HostPlan {
    pub(crate) host: String,
    pub(crate) plan: Result<Plan, String>,
}

/// The text for people.
pub(crate) fn text(plans: &[HostPlan], quiet: bool, palette: Palette) -> String {
    let mut text = String::new();
    if !quiet {
        let mut last: &[usize] = &[];
        let blocks = blocks(plans, palette);
        for (hosts, lines) in &blocks {
            if hosts != last {
                let _ = writeln!(text, "{}", palette.paint(Role::Place, format!("{}:", named(plans, hosts))));
                last = hosts;
            }
            for line in lines.split('\n') {
                let _ = writeln!(text, "  {line}");
            }
        }
        if !blocks.is_empty() {
            text.push('\n');
        }
    }
    for HostPlan { host, plan } in plans {
        let host = in_one_line(host);
        let _ = match plan {
            Ok(plan) => writeln!(text, "{host}: {}", plan.summary),
            Err(why) => writeln!(text, "{host}: {} {}", palette.paint(Role::Error, "no plan:"), harmless(why)),
        };
    }
    text
}

/// The plans as data: for each host its plan, or its error.
pub(crate) fn data(plans: &[HostPlan], warnings: &Json) -> Result<Json, serde_json::Error> {
    let mut hosts = Vec::new();
    for HostPlan { host, plan } in plans {
        hosts.push(match plan {
            Ok(plan) => {
                let mut data = serde_json::to_value(plan)?;
                data["host"] = json!(host);
                data
            }
            Err(why) => json!({ "host": host, "errors": [{ "message": why }] }),
        });
    }
    Ok(json!({ "hosts": hosts, "warnings": warnings }))
}

/// The exit code: a host without a complete plan outweighs pending changes.
pub(crate) fn code(plans: &[HostPlan]) -> u8 {
    let of_host = |HostPlan { plan, .. }: &HostPlan| match plan {
        Ok(plan) if !plan.has_failed() => {
            if plan.is_empty() {
                0
            } else {
                PENDING
            }
        }
        _ => FAILED,
    };
    let codes: Vec<u8> = plans.iter().map(of_host).collect();
    if codes.contains(&FAILED) { FAILED } else { codes.into_iter().max().unwrap_or_default() }
}

/// What is shown of the resources, in the order of the graph: the hosts for which a text holds, and that text.
fn blocks(plans: &[HostPlan], palette: Palette) -> Vec<(Vec<usize>, String)> {
    let mut order: HashMap<&ResourceId, usize> = HashMap::new();
    // By the order of the resource, and by the first host that has the text.
    let mut texts: BTreeMap<usize, Vec<(String, Vec<usize>)>> = BTreeMap::new();
    let mut add = |at: usize, host: usize, text: String| {
        let of_resource = texts.entry(at).or_default();
        match of_resource.iter_mut().find(|(other, _)| *other == text) {
            Some((_, hosts)) => hosts.push(host),
            None => of_resource.push((text, vec![host])),
        }
    };
    let mut undone: HashMap<&ResourceId, usize> = HashMap::new();
    let known = || plans.iter().enumerate().filter_map(|(n, host)| Some((n, host.plan.as_ref().ok()?)));
    let total: usize = known().map(|(_, plan)| plan.resources.len()).sum();
    for (host, plan) in known() {
        for entry in &plan.resources {
            let next = order.len();
            let at = *order.entry(&entry.id).or_insert(next);
            if entry.is_pending() || !entry.remarks.is_empty() {
                add(at, host, entry.painted(palette).to_string());
            }
        }
        for PlanUndo { id, what } in &plan.undo {
            let next = total + undone.len();
            let what = harmless(&what.join(", ")).into_owned();
            let text = format!("{} {id}: would be undone: {what}", palette.paint(Role::Removed, '-'));
            add(*undone.entry(id).or_insert(next), host, text);
        }
    }
    texts.into_values().flatten().map(|(text, hosts)| (hosts, text)).collect()
}

/// The names of some of the hosts, as short as possible.
fn named(plans: &[HostPlan], hosts: &[usize]) -> String {
    let list = |hosts: &mut dyn Iterator<Item = usize>| {
        let names: Vec<_> = hosts.filter_map(|host| Some(in_one_line(&plans.get(host)?.host))).collect();
        match names.split_at_checked(NAMED_MAX) {
            Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(", "), rest.len()),
            _ => names.join(", "),
        }
    };
    let others = plans.len() - hosts.len();
    if hosts.len() > EXCEPTED_MAX && others <= EXCEPTED_MAX {
        return match others {
            0 => format!("all {} hosts", hosts.len()),
            _ => format!("all but {}", list(&mut (0..plans.len()).filter(|host| !hosts.contains(host)))),
        };
    }
    list(&mut hosts.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Outcome, PlanEntry};
    use crate::resource::Change;

    fn entry(name: &str, outcome: Outcome) -> PlanEntry {
        let data = json!({ "id": ResourceId::new("file", name) });
        let id: ResourceId = serde_json::from_value(data["id"].clone()).unwrap();
        PlanEntry {
            id,
            origin: String::new(),
            exported_by: None,
            after: Vec::new(),
            irreversible: None,
            outcome,
            obstacle: None,
            refreshed_by: Vec::new(),
            refresh_owed_by: Vec::new(),
            asked_by: Vec::new(),
            owed_by: Vec::new(),
            remarks: Vec::new(),
        }
    }

    fn drifted(name: &str, to: &str) -> PlanEntry {
        let changes = vec![Change::new("content", "old", to)];
        entry(name, Outcome::Drifted { changes, noop: false, alert: false })
    }

    fn host(name: &str, entries: Vec<PlanEntry>) -> HostPlan {
        HostPlan { host: name.to_owned(), plan: Ok(Plan::new("site".to_owned(), entries)) }
    }

    fn lost(name: &str) -> HostPlan {
        HostPlan { host: name.to_owned(), plan: Err("it can't be reached".to_owned()) }
    }

    #[test]
    fn what_hosts_have_in_common_is_shown_once_in_the_order_of_the_graph() {
        let plans = [
            host("web1", vec![drifted("/a", "x"), entry("/b", Outcome::InSync), drifted("/c", "x")]),
            host("web2", vec![drifted("/a", "x"), drifted("/b", "x"), drifted("/c", "y")]),
            lost("web3"),
        ];
        let shown = text(&plans, false, Palette::Plain);
        assert_eq!(
            shown,
            "web1, web2:\n  ~ file[/a]\n      content: old → x\n\
             web2:\n  ~ file[/b]\n      content: old → x\n\
             web1:\n  ~ file[/c]\n      content: old → x\n\
             web2:\n  ~ file[/c]\n      content: old → y\n\n\
             web1: 2 to repair, 1 in sync\nweb2: 3 to repair\nweb3: no plan: it can't be reached\n"
        );
        assert_eq!(
            text(&plans, true, Palette::Plain),
            "web1: 2 to repair, 1 in sync\nweb2: 3 to repair\nweb3: no plan: it can't be reached\n"
        );
    }

    #[test]
    fn neighbours_of_the_same_hosts_share_a_heading() {
        let plans: Vec<_> =
            ["a", "b"].iter().map(|name| host(name, vec![drifted("/a", "x"), drifted("/b", "x")])).collect();
        let shown = text(&plans, false, Palette::Plain);
        assert_eq!(shown.matches("a, b:").count(), 1, "{shown}");
    }

    #[test]
    fn many_hosts_are_named_by_their_exceptions_or_counted() {
        let plans: Vec<_> = (0..12).map(|n| host(&format!("h{n}"), Vec::new())).collect();
        let hosts = |range: std::ops::Range<usize>| named(&plans, &range.collect::<Vec<_>>());
        assert_eq!(hosts(0..12), "all 12 hosts");
        assert_eq!(hosts(0..11), "all but h11");
        assert_eq!(hosts(0..2), "h0, h1");
        assert_eq!(hosts(2..12), "all but h0, h1");
        let plans: Vec<_> = (0..40).map(|n| host(&format!("h{n}"), Vec::new())).collect();
        assert_eq!(named(&plans, &(0..20).collect::<Vec<_>>()), "h0, h1, h2, h3, h4, h5, h6, h7 and 12 more");
    }

    #[test]
    fn the_names_of_hosts_and_their_errors_pass_no_control_characters() {
        let plans = [HostPlan { host: "a\u{1b}[31m".to_owned(), plan: Err("\u{1b}]0;x\u{7}".to_owned()) }];
        let shown = text(&plans, false, Palette::Plain);
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}'), "{shown:?}");
    }

    #[test]
    fn the_worst_host_decides_the_exit_code() {
        let failed = entry("/b", Outcome::Failed { error: "no".to_owned(), waits_for: None });
        let (same, differs) = (entry("/a", Outcome::InSync), drifted("/a", "x"));
        assert_eq!(code(&[host("a", vec![same.clone()])]), 0);
        assert_eq!(code(&[host("a", vec![same.clone()]), host("b", vec![differs.clone()])]), PENDING);
        assert_eq!(code(&[host("a", vec![differs.clone()]), lost("b")]), FAILED);
        assert_eq!(code(&[host("a", vec![differs, failed])]), FAILED);
        assert_eq!(code(&[]), 0);
    }

    #[test]
    fn data_names_the_host_of_each_plan_and_of_each_error() {
        let data = data(&[host("a", vec![drifted("/a", "x")]), lost("b")], &json!([])).unwrap();
        assert_eq!(data["hosts"][0]["host"], "a");
        assert_eq!(data["hosts"][0]["summary"]["drifted"], 1);
        assert_eq!(data["hosts"][1], json!({ "host": "b", "errors": [{ "message": "it can't be reached" }] }));
    }
}
