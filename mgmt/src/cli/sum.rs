//! Shows the state in which a run ends: what has failed, what waits for that, and what had no turn.

use std::collections::HashSet;

use crate::cli::logs::Screen;
use crate::id::ResourceId;
use crate::runtime::{ResourceStatus, Standing, Status};

/// Shows the state of a run, unless it has converged. `how`: how it ends, with the time. `also`: more to say in the
/// first line.
pub(crate) fn tell_end(status: &Status, how: &str, also: &str, screen: &Screen) {
    let Status { resources, settled, .. } = status;
    if status.failed > 0 || status.cluster.is_some() || status.notable.iter().any(is_in_trouble) {
        screen.complain(&format!("{how}, {settled} of {resources} settled{also}:"));
        tell_failed(status, screen);
    } else {
        screen.tell(&format!("{how}: {settled} of {resources} settled{also}"));
    }
}

/// Shows the resources that have failed or wait, and why.
pub(crate) fn tell_failed(status: &Status, screen: &Screen) {
    for line in lines(&status.notable) {
        screen.complain(&format!("  {line}"));
    }
    if let Some(why) = &status.cluster {
        screen.complain(&format!("  other hosts: {why}"));
    }
    // The status lists a bounded number of resources.
    let listed = status.notable.iter().filter(|resource| !is_left_alone(&resource.standing)).count();
    let left_out = status.resources.saturating_sub(status.settled).saturating_sub(listed);
    if left_out > 0 {
        screen.complain(&format!("  {left_out} more are not settled"));
    }
}

/// Whether the resource is settled, although it has drifted.
fn is_left_alone(standing: &Standing) -> bool {
    matches!(standing, Standing::Noop | Standing::Alert)
}

/// Whether the resource has failed, even if it is being tried again, or waits for a cause outside of the graph.
fn is_in_trouble(resource: &ResourceStatus) -> bool {
    match resource.standing {
        Standing::Failed | Standing::Retrying | Standing::Waiting => true,
        // It has failed before, and this is another try.
        Standing::Running | Standing::Ready | Standing::Spaced => resource.error.is_some(),
        _ => false,
    }
}

fn lines(notable: &[ResourceStatus]) -> Vec<String> {
    let named = |ids: &[ResourceId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (mut failures, mut waits) = (Vec::new(), Vec::new());
    // The resources that wait for those that are named.
    let mut behind: HashSet<&ResourceId> = HashSet::new();
    for resource in notable {
        let (id, why) = (&resource.id, resource.error.as_deref().unwrap_or("no reason given"));
        match &resource.standing {
            Standing::Failed => failures.push(format!("{id} failed: {why}")),
            Standing::Waiting => waits.push(format!("{id} waits: {why}")),
            Standing::WaitingForValue(senders) => waits.push(format!(
                "{id} waits for a value of {}, which has nothing to do and did not send it",
                named(senders)
            )),
            Standing::WaitingForPredecessor(others) => {
                waits.push(format!("{id} waits for the end of {}, whose place it takes", named(others)));
            }
            _ if is_in_trouble(resource) => failures.push(format!("{id} keeps failing: {why}")),
            _ => continue,
        }
        behind.insert(id);
    }
    let count = behind.len();
    loop {
        let before = behind.len();
        for resource in notable {
            let waits = match &resource.standing {
                Standing::Blocked(_) => true,
                Standing::WaitingForParents(others) | Standing::WaitingForGroup(others) => {
                    others.iter().any(|other| behind.contains(other))
                }
                _ => false,
            };
            if waits {
                behind.insert(&resource.id);
            }
        }
        if behind.len() == before {
            break;
        }
    }
    let is_idle = |resource: &&ResourceStatus| {
        !behind.contains(&resource.id) && !is_left_alone(&resource.standing) && resource.standing != Standing::Running
    };
    let others = notable.iter().filter(is_idle).count();
    failures.append(&mut waits);
    let wait = |count: usize| if count == 1 { "waits" } else { "wait" };
    match (behind.len() - count, if count == 1 { "it" } else { "them" }) {
        (0, _) => {}
        (more, them) => failures.push(format!("{more} more {} for {them}", wait(more))),
    }
    if others > 0 {
        let turn = if others == 1 { "its turn" } else { "their turn" };
        failures.push(format!("{others} more {} for {turn}", wait(others)));
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, standing: Standing, error: Option<&str>) -> ResourceStatus {
        let (id, error) = (ResourceId::new("exec", name), error.map(str::to_owned));
        ResourceStatus { id, standing, changes: Vec::new(), error, waits_for: None }
    }

    fn on(names: &[&str]) -> Vec<ResourceId> {
        names.iter().map(|name| ResourceId::new("exec", *name)).collect()
    }

    #[test]
    fn what_waits_for_a_failure_is_told_from_what_waits_for_its_turn() {
        let parents = |names: &[&str]| Standing::WaitingForParents(on(names));
        let mut all = vec![
            status("after", parents(&["next"]), None),
            status("next", Standing::Blocked(on(&["bad"])), None),
            status("bad", Standing::Failed, Some("exit code 3")),
            status("slow", Standing::Running, None),
            status("later", parents(&["slow"]), None),
        ];
        assert_eq!(lines(&all), ["exec[bad] failed: exit code 3", "2 more wait for it", "1 more waits for its turn"]);
        all.push(status("tries", Standing::Retrying, Some("exit code 4")));
        all.push(status("behind", parents(&["tries"]), None));
        all.push(status("tries too", Standing::Running, Some("exit code 5")));
        all.push(status("free", Standing::Ready, None));
        assert_eq!(
            lines(&all),
            [
                "exec[bad] failed: exit code 3",
                "exec[tries] keeps failing: exit code 4",
                "exec[tries too] keeps failing: exit code 5",
                "3 more wait for them",
                "2 more wait for their turn"
            ]
        );
        assert!(lines(&[status("slow", Standing::Running, None)]).is_empty());
    }
}
