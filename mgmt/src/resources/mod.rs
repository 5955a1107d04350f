//! The built-in kinds. Each is a folder of its name with `kind.rs` as its main file, or one file of its name; a family
//! of kinds (`http`) is a folder with a file for each.

mod account;
#[cfg(feature = "archive")]
mod archive;
mod beside;
mod digests;
mod edits;
mod exec;
mod exit;
mod file;
#[cfg(feature = "dbus")]
mod hostname;
#[cfg(feature = "http")]
mod http;
mod kinds;
mod kv;
mod line;
mod locks;
mod mount;
mod msg;
mod net;
mod noop;
mod password;
mod paths;
mod pkg;
mod print;
mod schedule;
mod sysctl;
mod test;
mod timer;
#[cfg(feature = "dbus")]
mod units;
mod value;
#[cfg(feature = "virt")]
mod virt;

pub use crate::resource::Seconds;
pub use account::{
    AccountState, Expiry, Group, GroupBuilder, GroupHandle, SshAuthorizedKey, SshAuthorizedKeyBuilder,
    SshAuthorizedKeyDrift, SshAuthorizedKeyHandle, User, UserBuilder, UserDrift, UserHandle,
};
#[cfg(feature = "archive")]
pub use archive::{
    Gzip, GzipBuilder, GzipHandle, Tar, TarBuilder, TarCompress, TarFormat, TarHandle, Unpack, UnpackBuilder,
    UnpackDrift, UnpackHandle,
};
pub use exec::{Commands, Env, EnvValue, Exec, ExecBuilder, ExecHandle};
pub use exit::{Exit, ExitBuilder, ExitHandle};
pub use file::{Content, File, FileBuilder, FileDrift, FileHandle, FileState, Mode, Owner, Recurse};
#[cfg(feature = "dbus")]
pub use hostname::{Hostname, HostnameBuilder, HostnameHandle, HostnameRecord};
#[cfg(feature = "http")]
pub use http::{
    Address, HttpFile, HttpFileBuilder, HttpFileHandle, HttpServer, HttpServerBuilder, HttpServerHandle, ServedBy,
    UrlPath,
};
#[cfg(feature = "http-client")]
pub use http::{HttpClient, HttpClientBuilder, HttpClientDrift, HttpClientHandle};
pub use kinds::kinds;
pub use kv::{Kv, KvBuilder, KvHandle, SkipCmpStyle};
pub use line::{Line, LineBuilder, LineDrift, LineHandle, LineState};
pub use mount::{Mount, MountBuilder, MountDrift, MountHandle, MountOptions, MountState};
pub use msg::{Msg, MsgBuilder, MsgHandle, Priority};
pub use net::{Net, NetAddress, NetBuilder, NetDrift, NetGateway, NetHandle, NetState};
pub use noop::{Noop, NoopBuilder, NoopHandle};
pub use password::{Charset, Password, PasswordBuilder, PasswordDrift, PasswordHandle};
pub use pkg::{Pkg, PkgBackend, PkgBuilder, PkgConffiles, PkgDrift, PkgHandle, PkgRecord, PkgState};
pub use print::{Print, PrintBuilder, PrintHandle};
pub use schedule::{PickOrder, Schedule, ScheduleBuilder, ScheduleHandle};
pub use sysctl::{Sysctl, SysctlBuilder, SysctlDrift, SysctlHandle};
pub use test::{Step, Test, TestBuilder, TestHandle};
pub use timer::{Grow, Timer, TimerBuilder, TimerHandle};
#[cfg(feature = "dbus")]
pub use units::{
    Cron, CronBase, CronBuilder, CronHandle, CronState, Nspawn, NspawnBuilder, NspawnDrift, NspawnHandle, Svc,
    SvcBuilder, SvcDrift, SvcHandle, SvcStartup, SvcState,
};
pub use value::{Value, ValueBuilder, ValueHandle};
#[cfg(feature = "virt")]
pub use virt::{
    Virt, VirtAccess, VirtAuth, VirtBoot, VirtBuilder, VirtDisk, VirtDrift, VirtFilesystem, VirtFormat, VirtHandle,
    VirtMemory, VirtNetwork, VirtRestart, VirtState,
};
