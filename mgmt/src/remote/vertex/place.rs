//! Where a resource of the kind `remote` runs: what identifies that place, and how it is reached.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::remote::error::RemoteError;
use crate::remote::host::Host;
use crate::remote::hosts::Address;
use crate::remote::ssh::Ssh;
use crate::remote::transport::Local;
use crate::resource::{CheckCx, UidKey};
use crate::sys::ssh::{Executable, SshOptions};

/// The working directory of an engine on a host, which only one engine can have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct EnginePlace {
    /// The user and the host, or the name of a process on this one.
    pub(super) host: String,
    /// `None`: that of the user.
    pub(super) prefix: Option<PathBuf>,
}

impl fmt::Display for EnginePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.prefix.as_ref().map_or(Ok(()), |prefix| write!(f, ", {}", prefix.display()))
    }
}

impl UidKey for EnginePlace {
    const WORD: &'static str = "engine on the host";
}

/// The executables that are sent, each read and compressed once for all hosts.
#[derive(Default)]
struct Executables(Mutex<HashMap<Option<PathBuf>, Read>>);

/// One that was read: with the time of the file.
type Read = (Option<SystemTime>, Executable);

impl Executables {
    async fn of(&self, path: Option<&Path>) -> Result<Executable, RemoteError> {
        let key = path.map(Path::to_owned);
        // A file that was built again is read again. That of this process stays what it is.
        let time = path.and_then(|path| path.metadata().and_then(|data| data.modified()).ok());
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(&key).filter(|(of, _)| *of == time).map(|(_, executable)| executable.clone());
        if let Some(known) = known {
            return Ok(known);
        }
        let read = match path {
            Some(path) => Executable::at(path).await,
            None => Executable::this().await,
        };
        let shown = path.map_or("the executable of this process".to_owned(), |path| path.display().to_string());
        let executable = read.map_err(|error| RemoteError::Start(format!("{shown} can't be read: {error}")))?;
        lock().insert(key, (time, executable.clone()));
        Ok(executable)
    }
}

/// The host at this address.
pub(super) async fn reached(
    cx: &CheckCx,
    address: Address,
    options: SshOptions,
    program: Option<&Path>,
) -> Result<Host, RemoteError> {
    Ok(match address {
        Address::Local(name) => Host::new(name, program.map_or_else(Local::new, Local::program)),
        Address::Ssh(endpoint) => {
            let executable = cx.shared::<Executables>().of(program).await?;
            let name = endpoint.name().to_owned();
            Host::new(name, Ssh::new(endpoint).options(options).executable(executable))
        }
    })
}
