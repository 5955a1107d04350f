//! Journals of earlier schemas: converts their keys to the names of the current schema.

use crate::id::ResourceId;

use super::mirror::{Mirror, Section};

/// A kind under schema 1: its name, its outputs and its fields (without the name field), in order.
type Kind = (&'static str, &'static [&'static str], &'static [&'static str]);

/// The kinds of the version that wrote schema 1. Must not be changed: the table describes existing files.
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

/// The prefix of the key under which the digest of a received value is kept.
const RECEIVED: &str = "received:";

/// Schema 1 identified outputs and fields by number: their order in the struct. For kinds outside this crate that order
/// is unknown here, so their digests are dropped. The cost: their last values count as new once, so the receivers are
/// checked again; and a receiver that has only the digest of a value requests the value itself, which a sender that
/// keeps no values must generate again.
///
/// Returns the number of entries that were dropped.
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
