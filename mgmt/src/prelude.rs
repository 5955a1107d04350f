//! The names for a program that declares a graph or a kind of its own: `use mgmt::prelude::*;`.
//!
//! The prelude does not contain everything: builders, and types that only setters take, are in
//! [`resources`](crate::resources); the rest of the contract of a kind is in [`resource`](crate::resource).
//!
//! A program:
//!
//! ```no_run
//! use mgmt::prelude::*;
//! fn main() -> mgmt::ExitCode {
//!     mgmt::main("hello", |g: &mut Graph| {
//!         g.add(File::new("/tmp/hello/motd").content("hello\n").mode(0o644));
//!         Ok(())
//!     })
//! }
//! ```
//!
//! Values that are sent between resources, alone or combined:
//!
//! ```
//! use mgmt::prelude::*;
//! let mut g = Graph::new("values");
//! let pw = g.add(Password::new("admin").length(24));
//! let seed = g.add(Exec::new("seed").cmd("od -An -N8 -tx8 /dev/urandom").shell("/bin/sh"));
//! g.add(File::new("/etc/app/secret").content(pw.password()).mode(0o600));
//! let both = pw.password().zip(seed.stdout()).map(|(p, s)| p.map(|p| format!("{p}:{s}")));
//! g.add(File::new("/etc/app/both").content(both));
//! # assert_eq!(g.len(), 4);
//! ```
//!
//! Order and refreshes:
//!
//! ```
//! use mgmt::prelude::*;
//! let mut g = Graph::new("order");
//! let dir = g.add(File::new("/etc/app/"));
//! let conf = g.add(File::new("/etc/app/app.conf").content("port = 80\n").after(&dir));
//! g.add(Exec::new("reload").cmd("pkill -HUP app").subscribe(&conf).retry(3).delay(Duration::from_secs(1)));
//! # assert_eq!(g.len(), 3);
//! ```
//!
//! A kind of your own:
//!
//! ```
//! use mgmt::prelude::*;
//!
//! #[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
//! #[resource(kind = "sysfs")]
//! pub struct Sysfs {
//!     #[resource(name)]
//!     key: String,
//!     value: String, // required: an argument of `Sysfs::new`
//!     #[resource(default)]
//!     persist: bool, // optional: a setter
//!     #[resource(send)]
//!     previous: String, // an output: `handle.previous()`
//! }
//!
//! impl Converge for Sysfs {
//!     type Drift = Change;
//!     async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
//!         let path = format!("/sys/{}", self.key);
//!         let now = cx.look(move |fs, _| fs.read_file(path, 4096)).await?;
//!         let now = String::from_utf8(now)?.trim().to_owned();
//!         cx.send(Sysfs::PREVIOUS, now.clone());
//!         Ok((now != self.value).then(|| Change::new("value", now, &self.value)))
//!     }
//!     async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
//!         let (path, value) = (format!("/sys/{}", self.key), self.value.clone());
//!         cx.change(move |_, _| std::fs::write(path, value)).await?;
//!         Ok(())
//!     }
//!     fn watch(&self, cx: &WatchCx) -> Watch {
//!         cx.fs().path(format!("/sys/{}", self.key))
//!     }
//! }
//!
//! let mut g = Graph::new("tuned");
//! let pages = g.add(Sysfs::new("kernel/mm/ksm/pages_to_scan", "100").persist(true));
//! g.add(File::new("/tmp/before").content(pages.previous()));
//! ```
//!
//! An engine in a tokio program, with a graph that follows changing values:
//!
//! ```no_run
//! use mgmt::{Engine, prelude::*};
//! # async fn embedded(hosts: Signal<Vec<String>>, dir: &str) -> Result<()> {
//! let engine = Engine::builder()
//!     .gapi(mgmt::native(move |g, cx| {
//!         for host in cx.read(&hosts) {
//!             g.add(File::new(format!("/srv/{host}")).content("here\n"));
//!         }
//!         Ok(())
//!     }))
//!     .prefix(dir)
//!     .start()
//!     .await?;
//! engine.converged().await?;
//! let mut events = engine.events();
//! println!("{} settled; {:?}", engine.status().await?.settled, events.next().await);
//! engine.swap(Graph::new("empty").finish()?).await?;
//! engine.stop().await?;
//! # Ok(())
//! # }
//! ```

/// A graph, and the kinds in it.
pub use crate::graph::{Graph, GraphConfig};
#[cfg(feature = "ssh")]
pub use crate::remote::{Remote, RemoteHandle};
pub use crate::resource::{Any, Declare, Handle, Named, Output, Secret};
pub use crate::resources::{
    AccountState, Charset, Env, Expiry, FileState, Grow, LineState, MountState, NetState, PickOrder, PkgBackend,
    PkgConffiles, PkgState, Priority, SkipCmpStyle, Step,
};
#[cfg(feature = "dbus")]
pub use crate::resources::{
    Cron, CronBase, CronHandle, CronState, Hostname, HostnameHandle, Nspawn, NspawnHandle, Svc, SvcHandle, SvcStartup,
    SvcState,
};
pub use crate::resources::{
    Exec, Exit, File, Group, Kv, Line, Mount, Msg, Net, Noop, Password, Pkg, Print, Schedule, SshAuthorizedKey, Sysctl,
    Test, Timer, User, Value,
};
pub use crate::resources::{
    ExecHandle, ExitHandle, FileHandle, GroupHandle, KvHandle, LineHandle, MountHandle, MsgHandle, NetHandle,
    NoopHandle, PasswordHandle, PkgHandle, PrintHandle, ScheduleHandle, SshAuthorizedKeyHandle, SysctlHandle,
    TestHandle, TimerHandle, UserHandle, ValueHandle,
};
#[cfg(feature = "archive")]
pub use crate::resources::{Gzip, GzipHandle, Tar, TarCompress, TarFormat, TarHandle, Unpack, UnpackHandle};
#[cfg(feature = "http-client")]
pub use crate::resources::{HttpClient, HttpClientHandle};
#[cfg(feature = "http")]
pub use crate::resources::{HttpFile, HttpFileHandle, HttpServer, HttpServerHandle};
#[cfg(feature = "virt")]
pub use crate::resources::{
    Virt, VirtAccess, VirtAuth, VirtBoot, VirtDisk, VirtFilesystem, VirtFormat, VirtHandle, VirtMemory, VirtNetwork,
    VirtRestart, VirtState,
};
pub use std::time::Duration;

/// Values that a graph follows.
pub use crate::gapi::{Facts, Signal};

/// The contract of a kind of your own.
pub use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, FieldProblem, Known, Leave, Refresh, Result, Watch, WatchCx,
};
pub use mgmt_macros::{Deserialize, Resource, Serialize};
// The traits alone: a program that does not depend on serde itself can't use serde's own derives.
pub use serde::{de::Deserialize, ser::Serialize};
