//! The control socket of a running engine: other programs of the same user ask it for its state and its events, and
//! steer it.
//!
//! The socket is the file [`SOCKET`] in the prefix of the engine, with mode 0600, as long as the engine runs. Where the
//! whole path has more than 107 bytes, which the kernel does not accept, the client opens the prefix and connects to
//! `/proc/self/fd/N/control.sock`. The engine serves only clients of its own user and of root.
//!
//! A client sends a [`Request`] as one line of JSON, and gets one or several lines, each with a [`Reply`], of which the
//! last one is [`Reply::Done`] or [`Reply::Refused`]. Then it can send the next one. Every line has the version of the
//! protocol, [`VERSION`]. Fields that a client does not know must be ignored: new ones can be added to a version.
//!
//! ```text
//! → {"v":1,"ask":"status","names":["file[/etc/*]"]}
//! ← {"v":1,"reply":"engine","graph":"site","resources":12,…}
//! ← {"v":1,"reply":"resource","id":"file[/etc/motd]","state":"settled",…}
//! ← {"v":1,"reply":"done","count":1}
//! ```
//!
//! The limits: a request has at most 64 KiB, a line of a reply at most 1 MiB (long texts are shortened), at most 32
//! clients are served at the same time. A client that sends no request for 10 s, or does not read a reply for 10 s, is
//! closed. One that follows events may be slow: it misses the oldest and gets their number ([`Reply::Missed`]). A slow
//! client never delays the engine.

mod answer;
mod client;
mod line;
mod pattern;
mod protocol;
mod recall;
mod serve;

pub use client::{Client, ClientError};
pub use protocol::{
    Ask, EdgeReport, EngineReport, EventReport, Reply, Request, ResourceReport, SOCKET, VERSION, WhyReport,
};
pub(crate) use serve::{Control, Reach};
