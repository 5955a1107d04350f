//! Journals of earlier schemas: what their keys mean by the names of today.

use crate::id::ResourceId;

use super::mirror::{Mirror, Section};

/// A kind as it was under schema 1: its name, its outputs and its fields (without the one that holds the name), in order.
type Kind = (&'static str, &'static [&'static str], &'static [&'static str]);

/// The kinds that came with the version that wrote schema 1. Not to be changed: it describes files that exist.
const KINDS_1: &[Kind] = &[
    (
        "exec",
        &["stdout", "stderr", "output"],
        &[
            "cmd",
            "args",
            "shell",
            "cwd",
            "env",
            "user",
            "group",
            "timeout",
            "sig",
            "watchcmd",
            "watchshell",
            "watchcwd",
            "watchfiles",
            "ifcmd",
            "ifshell",
            "ifcwd",
            "ifequals",
            "nifcmd",
            "nifshell",
            "nifcwd",
            "creates",
            "mtimes",
            "donecmd",
            "doneshell",
            "donecwd",
            "refreshonly",
        ],
    ),
    (
        "file",
        &["full_path"],
        &[
            "path",
            "dirname",
            "basename",
            "state",
            "content",
            "source",
            "fragments",
            "symlink",
            "mode",
            "owner",
            "group",
            "recurse",
            "force",
            "purge",
            "removals_max",
            "follow_symlinks",
        ],
    ),
    ("http:file", &[], &["server", "path", "source", "data"]),
    ("http:server", &["url"], &["address", "root", "timeout", "auth_path", "auth_user", "auth_hash"]),
    ("msg", &[], &["body", "priority", "fields", "journal", "syslog"]),
    ("password", &["password", "hash"], &["length", "charset", "saved"]),
    ("timer", &[], &["interval"]),
    ("value", &["output"], &["value"]),
];

/// Under which key the digest of a received value is kept.
const RECEIVED: &str = "received:";

/// Schema 1 named outputs and fields by their numbers, which are their order in the struct. For kinds that are not of this crate that order is
/// not known here, so their digests are left out. It costs: what they sent counts as new once, so its receivers are checked again; and a receiver
/// that knew a value only by its digest asks for the value itself, which a sender that keeps no values has to generate again.
///
/// How many entries were left out.
pub(super) fn from_1(mirror: &mut Mirror) -> usize {
    mirror.rename(|of, section, key| match section {
        Section::Sent => name(outputs(of)?, key),
        Section::Value => match key.strip_prefix(RECEIVED) {
            Some(field) => Some(format!("{RECEIVED}{}", name(fields(of)?, field)?)),
            None => Some(key.to_owned()),
        },
        Section::Mark | Section::Absent => Some(key.to_owned()),
    })
}

fn kind(of: &ResourceId) -> Option<&'static Kind> {
    KINDS_1.iter().find(|(kind, ..)| *kind == of.kind.as_str())
}

fn outputs(of: &ResourceId) -> Option<&'static [&'static str]> {
    kind(of).map(|(_, outputs, _)| *outputs)
}

fn fields(of: &ResourceId) -> Option<&'static [&'static str]> {
    kind(of).map(|(.., fields)| *fields)
}

fn name(names: &[&str], number: &str) -> Option<String> {
    names.get(number.parse::<usize>().ok()?).map(|name| (*name).to_owned())
}
