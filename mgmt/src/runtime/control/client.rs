//! The client's end of the control socket.

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::line::{In, REPLY_BYTES_MAX, Taken};
use super::protocol::{Ask, Reply, Request, SOCKET, VERSION};
use crate::sys::local::connect;

/// Why a client gets no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No engine listens at this prefix: none runs there, it has just started, or it has no control socket.
    #[error("no engine answers at {}", .prefix.display())]
    NoEngine {
        /// The prefix.
        prefix: PathBuf,
    },
    /// The engine refuses the request.
    #[error("{0}")]
    Refused(String),
    /// The engine's line is not understood, or has another version.
    #[error("the engine's answer is not understood: {0}")]
    Strange(String),
    /// The engine has ended, or has closed the connection.
    #[error("the engine has closed the connection")]
    Closed,
    /// The system refuses the connection, or it broke.
    #[error("{}: {source}", .prefix.join(SOCKET).display())]
    Io {
        /// The prefix.
        prefix: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// A connection to a running engine.
///
/// ```
/// # use mgmt::prelude::*;
/// use mgmt::runtime::control::{Ask, Client, Reply};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let prefix = dir.path().join("prefix");
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let mut g = Graph::new("hello");
/// # g.add(Noop::new("n"));
/// let engine = mgmt::Engine::builder().graph(g.finish()?).prefix(&prefix).control(true).start().await?;
/// # engine.converged().await?;
/// # while !prefix.join("control.sock").exists() { tokio::task::yield_now().await; }
/// // In any other program of the same user:
/// let mut client = Client::connect(&prefix).await?;
/// client.ask(Ask::Status { names: vec!["noop[*]".into()], kind: None, failed: false }).await?;
/// while let Some(reply) = client.next().await? {
///     if let Reply::Resource(resource) = reply {
///         assert_eq!(resource.state, "settled");
///     }
/// }
/// # engine.stop().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Client {
    prefix: PathBuf,
    from: In<OwnedReadHalf>,
    to: OwnedWriteHalf,
    /// Whether the last request is answered.
    is_done: bool,
}

impl Client {
    /// Connects to the engine that runs at this prefix.
    ///
    /// # Errors
    /// [`ClientError::NoEngine`], or the system refuses the connection.
    pub async fn connect(prefix: &Path) -> Result<Client, ClientError> {
        let stream = connect(prefix, SOCKET).await.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
                ClientError::NoEngine { prefix: prefix.to_owned() }
            }
            _ => ClientError::Io { prefix: prefix.to_owned(), source },
        })?;
        let (from, to) = stream.into_split();
        Ok(Client { prefix: prefix.to_owned(), from: In::new(from, REPLY_BYTES_MAX), to, is_done: true })
    }

    /// Sends a request. All replies to the one before must have been read.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn ask(&mut self, ask: Ask) -> Result<(), ClientError> {
        let mut line = serde_json::to_vec(&Request::new(ask)).map_err(|error| self.broken(error.into()))?;
        line.push(b'\n');
        self.is_done = false;
        match self.to.write_all(&line).await {
            // The engine has refused the client before it asked: the reason can be read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|error| self.broken(error)),
        }
    }

    /// The next reply to the request, up to [`Reply::Done`]; after that `None`.
    ///
    /// # Errors
    /// The engine refuses the request, or ends.
    pub async fn next(&mut self) -> Result<Option<Reply>, ClientError> {
        if self.is_done {
            return Ok(None);
        }
        let line = match self.from.line().await.map_err(|error| self.broken(error))? {
            Taken::Line(line) => line,
            Taken::TooLong => return Err(ClientError::Strange(format!("a line of more than {REPLY_BYTES_MAX} bytes"))),
            Taken::NoText => return Err(ClientError::Strange("it is not UTF-8".to_owned())),
            Taken::End => return Err(ClientError::Closed),
        };
        let strange = |error: serde_json::Error| ClientError::Strange(error.to_string());
        let value: serde_json::Value = serde_json::from_str(&line).map_err(strange)?;
        let version = value.get("v").and_then(serde_json::Value::as_u64);
        if version != Some(u64::from(VERSION)) {
            let version = version.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"));
            return Err(ClientError::Strange(format!("it has {version} of the protocol, not {VERSION}")));
        }
        match serde_json::from_value(value).map_err(strange)? {
            Reply::Refused { error } => {
                self.is_done = true;
                Err(ClientError::Refused(error))
            }
            reply => {
                self.is_done = matches!(reply, Reply::Done { .. });
                Ok(Some(reply))
            }
        }
    }

    fn broken(&self, source: io::Error) -> ClientError {
        match source.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => ClientError::Closed,
            _ => ClientError::Io { prefix: self.prefix.clone(), source },
        }
    }
}
