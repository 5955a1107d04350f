//! The help of each command: its own options, the options of a run that it uses, examples, and exit codes.

use clap::{Args as _, Command};

use crate::cli::exit::{self, Meaning};
use crate::cli::options::RunOptions;

/// The options of a run that every command with a graph uses.
const OF_GRAPHS: &[&str] = &[
    "prefix",
    "tmp_prefix",
    "allow_tmp_prefix",
    "hostname",
    "seeds",
    "no_network",
    "tls_ca",
    "tls_cert",
    "tls_key",
    "deploy",
    "noop",
    "alert_only",
    "no_autoedges",
    "no_autogroup",
    "no_raise_limits",
];
/// The heading of the options that select the graph of the program `mgmt`.
pub(crate) const SOURCES: &str = "Where the graph comes from";
/// Those of them that select what a command reads once.
const SOURCE: &[&str] = &["yaml", "program", "puppet", "puppet_conf", "allow_unknown"];
/// The one that selects graphs which name their hosts.
const OF_FILES: &str = "remote";
/// Those of them that select when the graph is made again.
const OF_FOLLOWING: &[&str] = &["every", "watch_file"];
/// The options of a run that every command uses.
const OF_ALL: &[&str] = &["color", "log", "quiet", "verbose"];

pub(crate) fn run(command: Command) -> Command {
    let examples = [
        ("", "run until ^C, and repair whatever drifts"),
        ("--noop", "show each drift, and repair nothing"),
        ("--alert-only -t 0", "exit with 2 if anything has drifted"),
        ("-t 0", "repair what has drifted now, and exit"),
    ];
    extended(command, &examples, exit::OF_RUN)
}

pub(crate) fn plan(command: Command) -> Command {
    let command = only(command, &[OF_GRAPHS, &["show", "sema"]]);
    let examples = [("", "show what would change, with diffs"), ("--json | jq .summary", "count the changes")];
    extended(command, &examples, exit::OF_PLAN)
}

pub(crate) fn check(command: Command) -> Command {
    let command = only(command, &[OF_GRAPHS]);
    let examples = [("", "show every error in the graph"), ("--json", "the same as data")];
    extended(command, &examples, exit::OF_CHECK)
}

pub(crate) fn graph(command: Command) -> Command {
    let command = only(command, &[OF_GRAPHS]);
    let examples =
        [("| dot -Tpng > graph.png", "draw it with Graphviz"), ("--svg graph.svg", "draw it without Graphviz")];
    extended(command, &examples, exit::OF_GRAPH)
}

/// The options of a run that the deploys of a world need.
const OF_WORLD: &[&str] = &["prefix", "hostname", "seeds", "no_network", "tls_ca", "tls_cert", "tls_key"];

pub(crate) fn deploy(command: Command) -> Command {
    let command = only(command, &[OF_WORLD, SOURCE, &["noop"]]);
    let examples = [
        ("-m 'new certificates'", "publish the graph, with the files that it reads"),
        ("--noop", "show what would be published"),
        ("list", "show what was deployed, by which user and when"),
        ("revert", "return to the one before"),
        ("--canary web1 --then 10% --then all --revert", "reach the hosts in waves, and go back if one fails"),
    ];
    extended(command, &examples, exit::OF_DEPLOY)
}

pub(crate) fn deploy_list(command: Command) -> Command {
    extended(only(command, &[OF_WORLD]), &[("--json | jq '.deploys[0]'", "the newest one as data")], exit::OF_DEPLOY)
}

pub(crate) fn deploy_show(command: Command) -> Command {
    extended(
        only(command, &[OF_WORLD]),
        &[("", "show the one in force"), ("3f2a", "show another one")],
        exit::OF_DEPLOY,
    )
}

pub(crate) fn deploy_revert(command: Command) -> Command {
    let examples = [("", "return to the one before"), ("3f2a -m 'the last good one'", "return to this one")];
    extended(only(command, &[OF_WORLD, &["noop"]]), &examples, exit::OF_DEPLOY)
}

pub(crate) fn deploy_resume(command: Command) -> Command {
    let examples = [("", "continue with the wave in which it was stopped"), ("--no-wait", "leave it to the hosts")];
    extended(only(command, &[OF_WORLD, &["noop"]]), &examples, exit::OF_DEPLOY)
}

pub(crate) fn cluster(command: Command) -> Command {
    let examples = [
        ("status", "show which hosts have converged"),
        ("init", "begin a cluster on this host"),
        ("token", "let another host in"),
        ("forget web3", "let a host in no longer"),
    ];
    extended(only(command, &[OF_WORLD]), &examples, exit::OF_CLUSTER)
}

pub(crate) fn cluster_init(command: Command) -> Command {
    let examples = [
        ("", "make the authority of a cluster"),
        ("--certificate-life 24h", "let hosts that are away for half a day need nothing, and no longer"),
    ];
    extended(only(command, &[OF_ASKING]), &examples, exit::OF_MEMBERS)
}

pub(crate) fn cluster_token(command: Command) -> Command {
    let examples = [
        ("", "let one host in that uses the servers"),
        ("--server --ttl 10m", "let one in that may be a server, within ten minutes"),
    ];
    extended(only(command, &[OF_ASKING, &["join_url"]]), &examples, exit::OF_MEMBERS)
}

pub(crate) fn cluster_hosts(command: Command) -> Command {
    extended(only(command, &[OF_ASKING]), &[("", "show which hosts are let in")], exit::OF_MEMBERS)
}

pub(crate) fn cluster_allow(command: Command) -> Command {
    extended(only(command, &[OF_ASKING]), &[("desk deploy", "for the host desk")], exit::OF_MEMBERS)
}

pub(crate) fn cluster_forget(command: Command) -> Command {
    let examples = [("web3", "refuse the host web3, and remove what it has exported")];
    extended(only(command, &[OF_ASKING]), &examples, exit::OF_MEMBERS)
}

pub(crate) fn cluster_status(command: Command) -> Command {
    let examples = [
        ("", "show the living hosts, and how far each of them has got"),
        ("--json | jq -r '.hosts[].name'", "list them"),
        ("-q && echo all", "go on if all have converged"),
    ];
    extended(only(command, &[OF_WORLD]), &examples, exit::OF_CLUSTER)
}

pub(crate) fn cluster_size(command: Command) -> Command {
    let examples = [
        ("", "show which hosts run a server of etcd, and which are ready to"),
        ("3", "let three hosts run one"),
        ("--json | jq -r '.ready[]'", "list those that are ready"),
    ];
    extended(only(command, &[OF_WORLD]), &examples, exit::OF_MEMBERS)
}

#[cfg(feature = "ssh")]
pub(crate) fn remote(command: Command) -> Command {
    let examples = [
        ("plan web1 web2", "show what a run would do there"),
        ("run web1 web2 -t 5", "run until all hosts have been converged for 5 seconds"),
    ];
    extended(only(command, &[]), &examples, exit::OF_REMOTE)
}

#[cfg(feature = "ssh")]
pub(crate) fn remote_plan(command: Command) -> Command {
    let examples = [
        ("web1 root@10.0.0.7", "show what a run would do on these hosts, with diffs"),
        ("--hosts hosts.txt --parallel 20 -q", "count the changes on many hosts"),
    ];
    let command = only(command, &[OF_GRAPHS, &["show", "sema"]]).mut_arg("each", |arg| arg.hide(true));
    extended(command, &examples, exit::OF_REMOTE_PLAN)
}

#[cfg(feature = "ssh")]
pub(crate) fn remote_run(command: Command) -> Command {
    let examples = [
        ("web1 web2", "repair what has drifted there now; each host ends when it has converged"),
        ("web1 web2 -t 5", "all end when all have been converged for 5 seconds"),
        ("root@10.0.0.7 --watch", "stay, and repair whatever drifts there, until ^C"),
        ("web1 --detach", "leave the run there: it repairs without this program"),
    ];
    // `remote` hides all options of a run; a run there takes most of them, so show these again.
    let hidden = ["graphviz", "graphviz_filter", "metrics", "converged_status_file"];
    let run = RunOptions::augment_args(Command::new("run"));
    let shown: Vec<_> = run.get_arguments().filter(|arg| !arg.is_hide_set()).map(|arg| arg.get_id().clone()).collect();
    let command = command.mut_args(|arg| {
        let is_shown = shown.contains(arg.get_id()) && !hidden.contains(&arg.get_id().as_str());
        let is_source = arg.get_help_heading() == Some(SOURCES) && arg.get_id() != OF_FILES;
        if is_shown || is_source { arg.hide(false) } else { arg }
    });
    extended(command, &examples, exit::OF_REMOTE)
}

#[cfg(feature = "ssh")]
pub(crate) fn remote_attach(command: Command) -> Command {
    let examples = [("web1", "print what has happened there, and what happens, until ^C, which leaves it there")];
    left(command, &examples)
}

#[cfg(feature = "ssh")]
pub(crate) fn remote_stop(command: Command) -> Command {
    let examples = [("web1 web2", "end both, and return when they have ended; ^C cancels what still runs there")];
    left(command, &examples)
}

#[cfg(feature = "ssh")]
pub(crate) fn remote_list(command: Command) -> Command {
    left(command, &[("--hosts hosts.txt --json", "print which runs are on many hosts, as data")])
}

/// A command about runs that were left on hosts.
#[cfg(feature = "ssh")]
fn left(command: Command, examples: &[(&str, &str)]) -> Command {
    let command = only(command, &[&["prefix", "hostname"]]).mut_arg("each", |arg| arg.hide(true));
    extended(command.mut_arg("no_caching", |arg| arg.hide(true)), examples, exit::OF_REMOTE)
}

/// The commands that take names of resources.
pub(crate) const ASKING: &[&str] = &["status", "why", "events", "poke"];
/// The options of a run that a command to a running instance uses.
const OF_ASKING: &[&str] = &["prefix"];

pub(crate) fn status(command: Command) -> Command {
    let examples = [
        ("--failed", "show what has failed, why, and when it is tried again"),
        ("'file[/etc/*]' --json", "show some resources, as data"),
    ];
    extended(only(command, &[OF_ASKING]), &examples, exit::OF_ASKING)
}

pub(crate) fn why(command: Command) -> Command {
    let examples = [("'file[/etc/motd]'", "show its last events, and what it waits for")];
    extended(only(command, &[OF_ASKING]), &examples, exit::OF_ASKING)
}

pub(crate) fn events(command: Command) -> Command {
    let examples =
        [("--follow", "print what happens, until ^C"), ("--last 20 --kind exec", "print the last events of commands")];
    extended(only(command, &[OF_ASKING]), &examples, exit::OF_ASKING)
}

pub(crate) fn pause(command: Command) -> Command {
    let examples = [("--idle", "wait until nothing is being changed any more")];
    extended(only(command, &[OF_ASKING]), &examples, exit::OF_ASKING)
}

pub(crate) fn resume(command: Command) -> Command {
    extended(only(command, &[OF_ASKING]), &[("", "end the pause")], exit::OF_ASKING)
}

pub(crate) fn poke(command: Command) -> Command {
    let examples = [("'exec[deploy]'", "check it now, also if it has failed for good"), ("'*'", "check everything")];
    extended(only(command, &[OF_ASKING]), &examples, exit::OF_ASKING)
}

pub(crate) fn reload(command: Command) -> Command {
    extended(only(command, &[OF_ASKING]), &[("", "read the graph again")], exit::OF_ASKING)
}

pub(crate) fn capture(command: Command) -> Command {
    let examples = [
        ("svc:nginx pkg:nginx file:/etc/nginx/ > web.yaml", "start a graph from what is there"),
        ("user:ann --rust", "the same as a Rust program"),
    ];
    extended(only(command, &[&["hostname"]]), &examples, exit::OF_CAPTURE)
}

pub(crate) fn schema(command: Command) -> Command {
    let examples = [("> mgmt.schema.json", "for editors of YAML files")];
    extended(only(command, &[&["hostname"]]), &examples, exit::OF_SCHEMA)
}

pub(crate) fn setup(command: Command) -> Command {
    extended(only(command, &[]), &[("svc --now", "run the graph from now on, and after each boot")], exit::OF_SETUP)
}

pub(crate) fn setup_svc(command: Command) -> Command {
    let examples = [("--now", "run the graph from now on, and after each boot"), ("--print", "show the unit")];
    // `setup` hides all options of a run; the service takes them, so show them again.
    let run = RunOptions::augment_args(Command::new("run"));
    let shown: Vec<_> = run.get_arguments().filter(|arg| !arg.is_hide_set()).map(|arg| arg.get_id().clone()).collect();
    let command = command.mut_args(|arg| {
        let is_shown = shown.contains(arg.get_id()) || arg.get_help_heading() == Some(SOURCES);
        if is_shown { arg.hide(false) } else { arg }
    });
    extended(command, &examples, exit::OF_SETUP)
}

pub(crate) fn completion(command: Command) -> Command {
    let examples = [("bash > completions/NAME", "for bash; NAME is the program")];
    extended(only(command, &[]), &examples, exit::OF_PRINTED)
}

pub(crate) fn man(command: Command) -> Command {
    extended(only(command, &[]), &[("| man -l -", "read it")], exit::OF_PRINTED)
}

#[cfg(feature = "yaml")]
pub(crate) fn convert(command: Command) -> Command {
    let examples = [("graph.yaml > src/main.rs", "start a program from it")];
    extended(only(command, &[&["allow_unknown"]]), &examples, exit::OF_CONVERT)
}

/// Hides the options of a run that the command does not use. They are still accepted, since options may stand before
/// the command.
fn only(command: Command, used: &[&[&str]]) -> Command {
    let run = RunOptions::augment_args(Command::new("run"));
    let ours: Vec<_> = run.get_arguments().map(|arg| arg.get_id().clone()).collect();
    let looks = used.contains(&OF_GRAPHS);
    command.mut_args(|arg| {
        let id = arg.get_id().as_str();
        let is_used = if arg.get_help_heading() == Some(SOURCES) {
            (looks && !OF_FOLLOWING.contains(&id) && id != OF_FILES) || used.iter().any(|ids| ids.contains(&id))
        } else {
            used.iter().any(|ids| ids.contains(&id)) || OF_ALL.contains(&id) || !ours.contains(arg.get_id())
        };
        match is_used {
            // Only a run follows the file.
            true if id == "yaml" => arg.help("A YAML file (`-`: standard input)"),
            true => arg,
            false => arg.hide(true),
        }
    })
}

/// Adds examples and exit codes to the help of a command.
fn extended(command: Command, examples: &[(&str, &str)], meanings: &[Meaning]) -> Command {
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let line = |arguments: &str| format!("{name} {arguments}").trim_end().to_owned();
    let width = examples.iter().map(|(arguments, _)| line(arguments).len()).max().unwrap_or_default();
    let mut text = "Examples:".to_owned();
    for (arguments, what) in examples {
        text.push_str(&format!("\n  {:<width$}  # {what}", line(arguments)));
    }
    text.push_str(&format!("\n\n{}", exit::headed(meanings)));
    command.after_help(text)
}
