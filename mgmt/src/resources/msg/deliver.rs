//! The destinations of a message: the log of the program, the systemd journal, syslog.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::id::in_one_line;
use crate::resource::{Error, Result};
use crate::resources::msg::kind::Msg;
use crate::resources::msg::priority::Priority;
use crate::sys::task::blocking;

/// The largest datagram for journald, by its own documentation; a longer entry would need a file.
const DATAGRAM_BYTES_MAX: usize = 200 << 10;

/// The sockets of the daemons.
#[derive(Clone, Debug)]
pub(super) struct Sockets {
    pub(super) journal: PathBuf,
    pub(super) syslog: PathBuf,
}

impl Default for Sockets {
    fn default() -> Sockets {
        Sockets { journal: "/run/systemd/journal/socket".into(), syslog: "/dev/log".into() }
    }
}

impl Msg {
    /// Writes the message to the log of the program, which decides where the log goes.
    pub(super) fn print(&self, noop: bool) {
        // A line of another program must not look like a line of this log.
        let (name, body) = (in_one_line(&self.name), in_one_line(self.body()));
        let noop = if noop { " (noop)" } else { "" };
        let fields: String = self.fields.iter().map(|(key, value)| format!(" {key}={value:?}")).collect();
        match self.priority {
            Priority::Emerg | Priority::Alert | Priority::Crit | Priority::Err => {
                tracing::error!(target: "mgmt::msg", "msg[{name}]{noop}: {body}{fields}");
            }
            Priority::Warning => tracing::warn!(target: "mgmt::msg", "msg[{name}]{noop}: {body}{fields}"),
            Priority::Notice | Priority::Info => {
                tracing::info!(target: "mgmt::msg", "msg[{name}]{noop}: {body}{fields}");
            }
            Priority::Debug => tracing::debug!(target: "mgmt::msg", "msg[{name}]{noop}: {body}{fields}"),
        }
    }

    /// Sends the message to the journal, in its native form.
    pub(super) async fn to_journal(&self, sockets: &Sockets) -> Result<()> {
        let mut entry = Vec::new();
        let own = [
            ("MESSAGE", self.body().to_owned()),
            ("PRIORITY", self.priority.number().to_string()),
            ("SYSLOG_IDENTIFIER", "mgmt".to_owned()),
            ("MGMT_RESOURCE", format!("msg[{}]", self.name)),
        ];
        let fields = self.fields.iter().map(|(key, value)| (key.to_ascii_uppercase(), value.clone()));
        for (key, value) in own.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(fields) {
            put(&mut entry, &key, &value);
        }
        send("journal", "systemd-journald", sockets.journal.clone(), entry).await
    }

    /// Sends the message to syslog. Without a time: local syslog daemons add theirs, and need not know the time zone.
    pub(super) async fn to_syslog(&self, sockets: &Sockets) -> Result<()> {
        const FACILITY_DAEMON: u8 = 3;
        let fields: String = self.fields.iter().map(|(key, value)| format!(" {key}={value:?}")).collect();
        let text = format!(
            "<{}>mgmt[{}]: {}{fields}",
            FACILITY_DAEMON * 8 + self.priority.number(),
            std::process::id(),
            self.body()
        );
        send("syslog", "a syslog daemon", sockets.syslog.clone(), text.into_bytes()).await
    }
}

/// One field of a journal entry. The form with a length holds any text, newlines too.
fn put(entry: &mut Vec<u8>, key: &str, value: &str) {
    entry.extend_from_slice(key.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

async fn send(field: &'static str, daemon: &'static str, socket: PathBuf, datagram: Vec<u8>) -> Result<()> {
    if datagram.len() > DATAGRAM_BYTES_MAX {
        let (have, most) = (datagram.len(), DATAGRAM_BYTES_MAX);
        return Err(Error::new(format!("`{field}`: the message has {have} bytes, and at most {most} are allowed")));
    }
    let sent = blocking(move || send_now(&socket, &datagram).map_err(|error| explain(field, daemon, &socket, &error)));
    sent.await
}

fn send_now(socket: &Path, datagram: &[u8]) -> io::Result<()> {
    let own = UnixDatagram::unbound()?;
    // A daemon that reads nothing must not block this thread forever.
    own.set_write_timeout(Some(std::time::Duration::from_secs(10)))?;
    own.send_to(datagram, socket).map(drop)
}

fn explain(field: &str, daemon: &str, socket: &Path, error: &io::Error) -> Error {
    let why = match error.kind() {
        ErrorKind::NotFound => format!("there is no socket {}: is {daemon} running here?", socket.display()),
        ErrorKind::ConnectionRefused => format!("no process listens at {}: is {daemon} running?", socket.display()),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("{daemon} takes nothing at {}", socket.display()),
        _ => format!("{}: {error}", socket.display()),
    };
    Error::new(format!("`{field}`: {why}"))
}
