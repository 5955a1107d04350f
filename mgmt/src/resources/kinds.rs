//! The list of all built-in kinds: the only place in which a kind is registered.

use crate::resource::Kind;
use crate::resources::*;

/// All built-in kinds, each in one line, by name.
pub fn kinds() -> Vec<Kind> {
    vec![
        #[cfg(feature = "dbus")]
        Kind::of::<Cron>(),
        Kind::of::<Exec>(),
        Kind::of::<Exit>(),
        Kind::of::<File>(),
        Kind::of::<Group>(),
        #[cfg(feature = "archive")]
        Kind::of::<Gzip>(),
        #[cfg(feature = "dbus")]
        Kind::of::<Hostname>(),
        #[cfg(feature = "http-client")]
        Kind::of::<HttpClient>(),
        #[cfg(feature = "http")]
        Kind::of::<HttpFile>(),
        #[cfg(feature = "http")]
        Kind::of::<HttpServer>(),
        Kind::of::<Kv>(),
        Kind::of::<Line>(),
        Kind::of::<Mount>(),
        Kind::of::<Msg>(),
        Kind::of::<Net>(),
        Kind::of::<Noop>(),
        #[cfg(feature = "dbus")]
        Kind::of::<Nspawn>(),
        Kind::of::<Password>(),
        Kind::of::<Pkg>(),
        Kind::of::<Print>(),
        Kind::of::<Schedule>(),
        #[cfg(feature = "dbus")]
        Kind::of::<Svc>(),
        Kind::of::<Sysctl>(),
        Kind::of::<SshAuthorizedKey>(),
        #[cfg(feature = "archive")]
        Kind::of::<Tar>(),
        Kind::of::<Test>(),
        Kind::of::<Timer>(),
        #[cfg(feature = "archive")]
        Kind::of::<Unpack>(),
        Kind::of::<User>(),
        Kind::of::<Value>(),
        #[cfg(feature = "virt")]
        Kind::of::<Virt>(),
    ]
}
