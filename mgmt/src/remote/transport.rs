//! How the executable is started on another machine, and the streams that lead to it.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use crate::remote::error::RemoteError;
use crate::resource::BoxFuture;
use crate::sys::process::{Status, spawn_piped};

/// A way to start the executable on a machine.
pub trait Transport: Send + Sync + 'static {
    /// Starts the executable.
    fn start(&self, launch: Launch) -> BoxFuture<Result<Channel, RemoteError>>;

    /// The same way by a connection that does not exist yet. `None`: there is no connection, or each start makes a new
    /// one. Default: none.
    fn fresh(&self) -> Option<Arc<dyn Transport>> {
        None
    }

    /// Whether the machine is this one by intention: then it is no ring if a run there leads to this machine. Default:
    /// false.
    fn is_here(&self) -> bool {
        false
    }
}

/// How the executable is started.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Launch {
    /// Its arguments; the program's own name is not one.
    pub arguments: Vec<OsString>,
    /// Variables, in addition to those that it has there.
    pub variables: Vec<(String, OsString)>,
    /// The beginning of its input.
    pub early: Vec<u8>,
    /// Whether the executable must be there also after the connection has ended.
    pub stays: bool,
}

/// The streams of a process on another machine.
pub struct Channel {
    /// Leads to its standard input, which ends when this is dropped.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its standard output.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Its standard error.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// Returns when the process has ended: how, in words, as far as that is known; an error is the reason why the
    /// connection was lost. What it holds lives as long as the channel.
    pub ended: BoxFuture<Result<String, String>>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

/// Starts an executable on this machine, as a child of this process: for tests, and for graphs that run in a process of
/// their own. The process ends by itself when this one does.
#[derive(Clone, Debug, Default)]
pub struct Local {
    program: Option<PathBuf>,
}

impl Local {
    /// The executable of this process.
    pub fn new() -> Local {
        Local::default()
    }

    /// Another executable.
    pub fn program(path: impl Into<PathBuf>) -> Local {
        Local { program: Some(path.into()) }
    }
}

impl Transport for Local {
    fn is_here(&self) -> bool {
        true
    }

    fn start(&self, launch: Launch) -> BoxFuture<Result<Channel, RemoteError>> {
        let program = self.program.clone();
        Box::pin(async move {
            let failed = |what: &str, error| RemoteError::Start(format!("{what} can't be started: {error}"));
            let program = match program {
                Some(program) => program,
                None => std::env::current_exe().map_err(|error| failed("this program", error))?,
            };
            let piped = spawn_piped(&program, &launch.arguments, &launch.variables);
            let mut piped = piped.map_err(|error| failed(&program.display().to_string(), error))?;
            let ended = piped.end;
            // If it has ended already, its output shows why.
            let _ = piped.stdin.write_all(&launch.early).await;
            Ok(Channel {
                stdin: Box::new(piped.stdin),
                stdout: Box::new(piped.stdout),
                stderr: Box::new(piped.stderr),
                ended: Box::pin(async move {
                    Ok(match ended.wait().await {
                        Ok(Status::Exit(code)) => format!("it has ended with exit code {code}"),
                        Ok(status) => format!("it was ended by {status}"),
                        Err(error) => format!("its end is not known: {error}"),
                    })
                }),
            })
        })
    }
}
