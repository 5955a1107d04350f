//! The guide: a chapter for each subject. This module contains no code.

/// The built-in kinds: what each keeps, what wakes it, and what it needs.
///
/// [`resources`]: crate::resources
/// [Cron]: crate::resources::Cron
/// [Exec]: crate::resources::Exec
/// [Exit]: crate::resources::Exit
/// [File]: crate::resources::File
/// [Group]: crate::resources::Group
/// [Gzip]: crate::resources::Gzip
/// [Hostname]: crate::resources::Hostname
/// [HttpFile]: crate::resources::HttpFile
/// [HttpServer]: crate::resources::HttpServer
/// [Kv]: crate::resources::Kv
/// [Line]: crate::resources::Line
/// [Mount]: crate::resources::Mount
/// [Msg]: crate::resources::Msg
/// [Net]: crate::resources::Net
/// [Noop]: crate::resources::Noop
/// [Nspawn]: crate::resources::Nspawn
/// [Password]: crate::resources::Password
/// [Pkg]: crate::resources::Pkg
/// [Print]: crate::resources::Print
/// [SshAuthorizedKey]: crate::resources::SshAuthorizedKey
/// [Svc]: crate::resources::Svc
/// [Sysctl]: crate::resources::Sysctl
/// [Tar]: crate::resources::Tar
/// [Test]: crate::resources::Test
/// [Timer]: crate::resources::Timer
/// [Unpack]: crate::resources::Unpack
/// [User]: crate::resources::User
/// [Value]: crate::resources::Value
/// [Virt]: crate::resources::Virt
/// [guide-embedding]: embedding
#[doc = include_str!("../docs/kinds.md")]
pub mod kinds {}

/// How a graph is declared: order, refreshes, values, time, metaparameters.
///
/// [guide-reversal]: reversal
/// [guide-secrets]: secrets
#[doc = include_str!("../docs/language.md")]
pub mod language {}

/// The edges that follow from what resources are.
#[doc = include_str!("../docs/automatic-edges.md")]
pub mod automatic_edges {}

/// How what a resource changed is undone when it leaves the graph.
#[doc = include_str!("../docs/reversal.md")]
pub mod reversal {}

/// How passwords are sent between resources, and what keeps them from being shown.
#[doc = include_str!("../docs/secrets.md")]
pub mod secrets {}

/// What a program with a graph does on the command line.
#[doc = include_str!("../docs/command-line.md")]
pub mod command_line {}

/// How a program with a graph runs as a systemd service.
#[doc = include_str!("../docs/systemd.md")]
pub mod systemd {}

/// How to write a kind of resource.
#[doc = include_str!("../docs/own-kinds.md")]
pub mod own_kinds {}

/// How a graph is tested without a machine.
///
/// [guide-own-kinds]: own_kinds
#[doc = include_str!("../docs/testing.md")]
pub mod testing {}

/// The engine inside another program.
#[doc = include_str!("../docs/embedding.md")]
pub mod embedding {}

/// What hosts share.
#[doc = include_str!("../docs/world.md")]
pub mod world {}

/// Plans and runs on other hosts over SSH, with nothing installed there.
#[doc = include_str!("../docs/remote.md")]
pub mod remote {}

/// Graphs without Rust.
#[doc = include_str!("../docs/yaml.md")]
pub mod yaml {}

/// What the engine guarantees, and what is missing.
#[doc = include_str!("../docs/promises.md")]
pub mod promises {}

/// Faults and wrong inputs, what happens then, and the tests that show it.
///
/// [guide-cost]: cost
#[doc = include_str!("../docs/faults.md")]
pub mod faults {}

/// Measured time and memory.
#[doc = include_str!("../docs/cost.md")]
pub mod cost {}

/// Other systems, and when to choose them.
#[doc = include_str!("../docs/comparison.md")]
pub mod comparison {}

/// How the code is laid out, and which test belongs to which change.
///
/// [guide-own-kinds]: own_kinds
#[doc = include_str!("../docs/contributing.md")]
pub mod contributing {}
