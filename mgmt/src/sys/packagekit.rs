//! PackageKit: one interface, over D-Bus, to the package managers of many distributions.
//!
//! The numbers are those of its enumerations (`pk-enum.h`), which are part of that interface.

use std::future::poll_fn;
use std::num::NonZero;
use std::pin::Pin;

use futures_core::Stream as _;
use tokio::task::JoinHandle;
use zbus::message::Message;
use zbus::zvariant::DynamicType;
use zbus::{Connection, MessageStream, OwnedObjectPath};

use super::dbus::{CallError, Peer, subscribe};
use super::if_simulated;
use super::obstacle::ObstacleKind;

/// The name of the service on the system bus.
pub const NAME: &str = "org.freedesktop.PackageKit";
/// The object that makes transactions.
pub const PATH: &str = "/org/freedesktop/PackageKit";
const TRANSACTION: &str = "org.freedesktop.PackageKit.Transaction";
/// Nothing is asked, and texts are in English.
const HINTS: [&str; 3] = ["locale=C.UTF-8", "background=false", "interactive=false"];
/// How many signals may wait to be read: one for each package, from some back ends.
const QUEUE: NonZero<usize> = NonZero::new(4096).unwrap();

/// dpkg's file, which every host with dpkg has.
const DPKG: &str = "/var/lib/dpkg/status";

/// Whether this host's packages are those of PackageKit, since it has no dpkg.
pub fn is_default() -> bool {
    if_simulated!(_host => false);
    !std::path::Path::new(DPKG).exists()
}

/// What of a filter can be asked for; several are added with `|`.
pub mod filter {
    /// Of free software.
    pub const FREE: u64 = 1 << 8;
    /// Of what the distribution supports.
    pub const SUPPORTED: u64 = 1 << 12;
    /// The newest version only.
    pub const NEWEST: u64 = 1 << 16;
    /// For the architecture of this host.
    pub const ARCH: u64 = 1 << 18;
    /// Everything.
    pub const NONE: u64 = 1 << 1;
}

/// How a transaction is done; several are added with `|`.
pub mod flag {
    /// Only packages that are signed.
    pub const ONLY_TRUSTED: u64 = 1 << 1;
    /// Nothing is changed.
    pub const SIMULATE: u64 = 1 << 2;
    /// An older version may take the place of a newer one.
    pub const ALLOW_DOWNGRADE: u64 = 1 << 6;
}

/// What a package is, or would become.
pub mod info {
    /// It is installed.
    pub const INSTALLED: u32 = 1;
    /// It can't be installed now: it is held, for example.
    pub const BLOCKED: u32 = 9;
    /// It is, or would be, removed.
    pub const REMOVING: u32 = 13;
    /// It is, or would be, replaced by another package.
    pub const OBSOLETING: u32 = 15;
    /// An older version takes its place, or would.
    pub const DOWNGRADING: u32 = 20;
}

/// A version of a package.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PackageId {
    /// Its name.
    pub name: String,
    /// Its version, in the words of the package manager.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// Where it is from: `installed`, or a repository.
    pub data: String,
}

impl PackageId {
    fn parse(text: &str) -> Option<PackageId> {
        let mut parts = text.splitn(4, ';').map(str::to_owned);
        Some(PackageId {
            name: parts.next()?,
            version: parts.next()?,
            architecture: parts.next()?,
            data: parts.next()?,
        })
    }
}

impl std::fmt::Display for PackageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{};{};{};{}", self.name, self.version, self.architecture, self.data)
    }
}

/// A package, and what it is or would become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// One of [`info`], or another number.
    pub info: u32,
    /// Which it is.
    pub id: PackageId,
}

impl Found {
    fn of((info, id, _): (u32, String, String)) -> Option<Found> {
        Some(Found { info, id: PackageId::parse(&id)? })
    }

    /// Whether it is installed.
    pub fn is_installed(&self) -> bool {
        self.info == info::INSTALLED || self.id.data == "installed" || self.id.data.starts_with("installed:")
    }
}

/// What the failure of a transaction means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It can't be done like this, perhaps because of one of the packages.
    Refused,
    /// Another program is changing packages.
    Locked,
    /// There is not enough space.
    NoSpace,
    /// This user may not do that.
    NotAllowed,
    /// A repository does not answer.
    NoNetwork,
    /// A package to install is not signed.
    Untrusted,
    /// No package has this name.
    NotFound,
    /// Packages have changed meanwhile.
    Changed,
    /// An earlier transaction was interrupted.
    Unfinished,
    /// Something else.
    Other,
}

/// Why a question or a transaction has failed.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// PackageKit does not answer, or refuses.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The transaction has failed.
    #[error("{details}")]
    Failed {
        /// What it means.
        meaning: Meaning,
        /// That in words.
        details: String,
    },
}

impl From<zbus::Error> for KitError {
    fn from(error: zbus::Error) -> KitError {
        KitError::Call(error.into())
    }
}

impl KitError {
    /// What the error waits for, if it can disappear by itself.
    pub fn obstacle(&self) -> Option<ObstacleKind> {
        match self {
            KitError::Call(error) => error.obstacle(),
            KitError::Failed { meaning, .. } => match meaning {
                Meaning::Locked => Some(ObstacleKind::Busy),
                Meaning::NoSpace => Some(ObstacleKind::NoSpace),
                Meaning::NotAllowed => Some(ObstacleKind::NoPermission),
                Meaning::NoNetwork => Some(ObstacleKind::NoComponent),
                Meaning::Changed => Some(ObstacleKind::Changing),
                Meaning::Refused | Meaning::Untrusted | Meaning::NotFound | Meaning::Unfinished | Meaning::Other => {
                    None
                }
            },
        }
    }

    fn failed(exit: u32, error: Option<(u32, String)>) -> KitError {
        let Some((code, details)) = error else {
            let meaning = if exit == exit::NEED_UNTRUSTED { Meaning::Untrusted } else { Meaning::Other };
            return KitError::Failed {
                meaning,
                details: format!("PackageKit has ended the transaction (exit {exit})"),
            };
        };
        let meaning = match code {
            // For apt's back end this is a lock that is taken.
            _ if details.contains("dpkg was interrupted") => Meaning::Unfinished,
            8 | 49 => Meaning::NotFound,
            6 | 7 | 13 | 20 | 32 | 35 | 36 | 38 | 39 | 40 | 45 => Meaning::Refused,
            2 | 10 | 19 | 37 | 43 => Meaning::NoNetwork,
            5 | 30 | 31 | 50 | 51 => Meaning::Untrusted,
            26 | 67 => Meaning::Locked,
            46 => Meaning::NoSpace,
            48 => Meaning::NotAllowed,
            61 => Meaning::Changed,
            66 => Meaning::Unfinished,
            _ => Meaning::Other,
        };
        KitError::Failed { meaning, details: details.trim().replace('\n', "; ") }
    }
}

/// How a transaction ends.
mod exit {
    pub(super) const SUCCESS: u32 = 1;
    pub(super) const NEED_UNTRUSTED: u32 = 8;
}

/// The result of a question or a transaction.
pub type Result<T> = std::result::Result<T, KitError>;

/// The service.
#[derive(Clone, Debug)]
pub struct PackageKit(Connection);

/// What a transaction has reported.
#[derive(Debug, Default)]
struct Told {
    packages: Vec<Found>,
    files: Vec<(String, Vec<String>)>,
    error: Option<(u32, String)>,
}

impl PackageKit {
    /// The one on the system bus, which starts it when it is called.
    pub fn new(system_bus: Connection) -> PackageKit {
        PackageKit(system_bus)
    }

    /// The packages of these names that pass the filter.
    ///
    /// # Errors
    /// PackageKit does not answer, or fails.
    pub async fn resolve(&self, filter: u64, names: &[String]) -> Result<Vec<Found>> {
        Ok(self.run("Resolve", (filter, names.to_vec())).await?.packages)
    }

    /// What can be updated.
    ///
    /// # Errors
    /// As those of [`resolve`](PackageKit::resolve).
    pub async fn updates(&self) -> Result<Vec<Found>> {
        Ok(self.run("GetUpdates", filter::NONE).await?.packages)
    }

    /// The files of packages, by their names; not all back ends have them.
    ///
    /// # Errors
    /// As those of [`resolve`](PackageKit::resolve).
    pub async fn files(&self, ids: &[String]) -> Result<Vec<(String, Vec<String>)>> {
        let told = self.run("GetFiles", ids.to_vec()).await?;
        let name = |id: String| id.split(';').next().unwrap_or_default().to_owned();
        Ok(told.files.into_iter().map(|(id, files)| (name(id), files)).collect())
    }

    /// Installs these, or updates to them. Returns what is changed by that, or would be.
    ///
    /// # Errors
    /// It can't be done, or fails.
    pub async fn install(&self, flags: u64, ids: &[String]) -> Result<Vec<Found>> {
        Ok(self.run("InstallPackages", (flags, ids.to_vec())).await?.packages)
    }

    /// Removes these, and what depends on them. Returns what is changed by that, or would be.
    ///
    /// # Errors
    /// It can't be done, or fails.
    pub async fn remove(&self, flags: u64, ids: &[String]) -> Result<Vec<Found>> {
        Ok(self.run("RemovePackages", (flags, ids.to_vec(), true, false)).await?.packages)
    }

    /// Asks the repositories what they have.
    ///
    /// # Errors
    /// One does not answer.
    pub async fn refresh(&self) -> Result<()> {
        self.run("RefreshCache", true).await.map(drop)
    }

    /// Ends what an interrupted transaction has left.
    ///
    /// # Errors
    /// It can't be done, or fails.
    pub async fn repair(&self) -> Result<()> {
        self.run("RepairSystem", 0_u64).await.map(drop)
    }

    /// A transaction, from its beginning to its end. Where this is dropped before, it continues.
    async fn run<B>(&self, method: &'static str, body: B) -> Result<Told>
    where
        B: serde::Serialize + DynamicType + Send + Sync + 'static,
    {
        let bus = &self.0;
        let manager = Peer { name: NAME, path: PATH, interface: NAME };
        let path: OwnedObjectPath = manager.call(bus, "CreateTransaction", ()).await?.body().deserialize()?;
        let of_it = format!("type='signal',sender='{NAME}',path='{}',interface='{TRANSACTION}'", path.as_str());
        let of_bus = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'";
        let of_bus = format!("{of_bus},arg0='{NAME}'");
        let signals = subscribe(bus, of_it, Some(QUEUE)).await?;
        let owners = subscribe(bus, of_bus, None).await?;
        // The connection stands still as long as a stream is full, so that this is read whatever the caller does.
        let mut reading = Reading(tokio::spawn(read(signals, owners)));
        let transaction = Peer { name: NAME, path: &path, interface: TRANSACTION };
        transaction.call(bus, "SetHints", HINTS.as_slice()).await?;
        transaction.call(bus, method, body).await?;
        (&mut reading.0).await.unwrap_or_else(|_| Err(ended("the transaction is not read any more")))
    }
}

/// The task that reads the signals of a transaction.
struct Reading(JoinHandle<Result<Told>>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn ended(why: &'static str) -> KitError {
    KitError::Call(CallError::ended(NAME, why))
}

/// Reads what a transaction tells until it ends.
async fn read(mut signals: MessageStream, mut owners: MessageStream) -> Result<Told> {
    let mut told = Told::default();
    loop {
        let signal = tokio::select! {
            signal = next(&mut signals) => signal,
            owner = next(&mut owners) => match owner {
                Some(Ok(owner)) if has_owner(&owner) => continue,
                Some(_) => return Err(ended("it has ended in the middle of a transaction")),
                None => return Err(CallError::lost(NAME).into()),
            },
        };
        let Some(Ok(signal)) = signal else { return Err(CallError::lost(NAME).into()) };
        let header = signal.header();
        let Some(member) = header.member() else { continue };
        match member.as_str() {
            "Package" => told.packages.extend(signal.body().deserialize().ok().and_then(Found::of)),
            "Packages" => {
                let all: Vec<(u32, String, String)> = signal.body().deserialize().unwrap_or_default();
                told.packages.extend(all.into_iter().filter_map(Found::of));
            }
            "Files" => told.files.extend(signal.body().deserialize::<(String, Vec<String>)>().ok()),
            "ErrorCode" => told.error = signal.body().deserialize().ok(),
            "Finished" => {
                let (exit, _): (u32, u32) = signal.body().deserialize()?;
                return if exit == exit::SUCCESS { Ok(told) } else { Err(KitError::failed(exit, told.error)) };
            }
            "Destroy" => return Err(ended("it has dropped the transaction")),
            _ => {}
        }
    }
}

async fn next(stream: &mut MessageStream) -> Option<zbus::Result<Message>> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

/// Whether the service has an owner by now.
fn has_owner(signal: &Message) -> bool {
    let owners: zbus::Result<(String, String, String)> = signal.body().deserialize();
    owners.is_ok_and(|(_, _, new)| !new.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_written() {
        let text = "nginx;1.22.1-9+deb12u4;amd64;debian-bookworm-main";
        let id = PackageId::parse(text).unwrap();
        assert_eq!((id.name.as_str(), id.version.as_str(), id.to_string()), ("nginx", "1.22.1-9+deb12u4", text.into()));
        assert!(PackageId::parse("nginx;1").is_none());
        let found = |info, data: &str| Found::of((info, format!("a;1;all;{data}"), String::new())).unwrap();
        assert!(found(info::INSTALLED, "").is_installed() && found(2, "installed:fedora").is_installed());
        assert!(!found(2, "fedora").is_installed());
    }

    #[test]
    fn errors_have_a_meaning() {
        let of = |exit, error: Option<(u32, &str)>| match KitError::failed(
            exit,
            error.map(|(code, text)| (code, text.to_owned())),
        ) {
            KitError::Failed { meaning, .. } => meaning,
            KitError::Call(_) => panic!("no call"),
        };
        assert_eq!(of(2, Some((26, "locked"))), Meaning::Locked);
        let interrupted =
            "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.";
        assert_eq!(of(2, Some((26, interrupted))), Meaning::Unfinished);
        assert_eq!(of(2, Some((13, "depends"))), Meaning::Refused);
        assert_eq!(of(8, None), Meaning::Untrusted);
        assert_eq!(of(3, None), Meaning::Other);
    }
}
