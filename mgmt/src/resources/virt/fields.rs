//! The types of the fields: states, a size of memory, and devices.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::resource::{Accepts, Format, Secret, TypeFacts};

/// What a domain does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VirtState {
    /// It runs.
    #[default]
    Running,
    /// It is there, and its processors stand still.
    Paused,
    /// It does not run. If it is also `transient`, it does not exist.
    Shutoff,
}

/// What is done if a change has an effect only at the next start of a domain that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VirtRestart {
    /// It has its effect at the next start, whenever that is.
    #[default]
    Ignore,
    /// The domain is shut down and started again.
    Ifneeded,
    /// The resource fails, and names the change.
    Error,
}

/// A sort of device from which a domain is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VirtBoot {
    /// The first disk.
    Hd,
    /// The first CD-ROM.
    Cdrom,
    /// The network.
    Network,
    /// The first floppy disk.
    Fd,
}

/// The format of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VirtFormat {
    /// The bytes of the disk.
    #[default]
    Raw,
    /// The format of QEMU.
    Qcow2,
    /// The first format of QEMU.
    Qcow,
    /// Another format of QEMU.
    Qed,
    /// The format of VirtualBox.
    Vdi,
    /// The format of VMware.
    Vmdk,
    /// The format of Virtual PC.
    Vpc,
    /// The format of Hyper-V.
    Vhdx,
}

/// How a domain has access to a directory of the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VirtAccess {
    /// With the rights of the user in the domain.
    #[default]
    Passthrough,
    /// With the rights of the hypervisor; owners and modes are kept in extended attributes.
    Mapped,
    /// As with `passthrough`, but an owner that can't be set is no error.
    Squash,
}

/// The word of a variant, as libvirt has it, too. The facts are about the type of the field: the word, or a list.
macro_rules! words {
    ($($field:ident, $facts:ty { $($variant:ident => $word:literal),+ $(,)? })+) => {$(
        impl $field {
            pub(super) fn word(self) -> &'static str {
                match self {
                    $($field::$variant => $word),+
                }
            }
        }

        impl fmt::Display for $field {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl TypeFacts for $facts {
            const FORMAT: Format = Format::Choice;
        }
    )+};
}

words! {
    VirtState, VirtState { Running => "running", Paused => "paused", Shutoff => "shutoff" }
    VirtRestart, VirtRestart { Ignore => "ignore", Ifneeded => "ifneeded", Error => "error" }
    VirtBoot, Vec<VirtBoot> { Hd => "hd", Cdrom => "cdrom", Network => "network", Fd => "fd" }
    VirtFormat, VirtFormat {
        Raw => "raw", Qcow2 => "qcow2", Qcow => "qcow", Qed => "qed",
        Vdi => "vdi", Vmdk => "vmdk", Vpc => "vpc", Vhdx => "vhdx",
    }
    VirtAccess, VirtAccess { Passthrough => "passthrough", Mapped => "mapped", Squash => "squash" }
}

/// A size of memory. In data: a whole number of KiB (1024 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct VirtMemory(u64);

impl VirtMemory {
    /// This number of KiB.
    pub const fn kib(count: u64) -> VirtMemory {
        VirtMemory(count)
    }

    /// This number of MiB (1024 KiB).
    pub const fn mib(count: u64) -> VirtMemory {
        VirtMemory(count.saturating_mul(1 << 10))
    }

    /// This number of GiB (1024 MiB).
    pub const fn gib(count: u64) -> VirtMemory {
        VirtMemory(count.saturating_mul(1 << 20))
    }

    /// The number of KiB.
    pub const fn as_kib(self) -> u64 {
        self.0
    }
}

/// That number of KiB.
impl From<u64> for VirtMemory {
    fn from(kib: u64) -> VirtMemory {
        VirtMemory(kib)
    }
}

/// In the largest unit without a fraction.
impl fmt::Display for VirtMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            kib if kib != 0 && kib % (1 << 20) == 0 => write!(f, "{} GiB", kib >> 20),
            kib if kib != 0 && kib % (1 << 10) == 0 => write!(f, "{} MiB", kib >> 10),
            kib => write!(f, "{kib} KiB"),
        }
    }
}

/// A disk, or the medium of a CD-ROM: a file, or a block device (below `/dev`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VirtDisk {
    /// The absolute path of the file or block device; `~/` is the home directory of the user of the engine.
    pub source: String,
    /// The format. Default: `raw`.
    #[serde(rename = "type", default)]
    pub format: VirtFormat,
}

impl VirtDisk {
    /// A disk in the format `raw`.
    pub fn new(source: impl Into<String>) -> VirtDisk {
        VirtDisk { source: source.into(), format: VirtFormat::Raw }
    }

    /// The same in another format.
    #[must_use]
    pub fn format(self, format: VirtFormat) -> VirtDisk {
        VirtDisk { format, ..self }
    }
}

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VirtNetwork {
    /// The name of a network of libvirt, such as `default`.
    pub name: String,
    /// The hardware address, such as `52:54:00:12:34:56`. Default: libvirt chooses one, which stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

impl VirtNetwork {
    /// A card in the network of this name.
    pub fn new(name: impl Into<String>) -> VirtNetwork {
        VirtNetwork { name: name.into(), mac: None }
    }

    /// The same with this hardware address.
    #[must_use]
    pub fn mac(self, mac: impl Into<String>) -> VirtNetwork {
        VirtNetwork { mac: Some(mac.into()), ..self }
    }
}

/// A directory of the host that a domain can mount.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VirtFilesystem {
    /// With which rights. Default: `passthrough`.
    #[serde(default)]
    pub access: VirtAccess,
    /// The absolute path of the directory; `~/` is the home directory of the user of the engine.
    pub source: String,
    /// The name by which the domain mounts it; for a container, the directory where it is mounted.
    pub target: String,
    /// Whether the domain can't write. Default: false.
    #[serde(default)]
    pub read_only: bool,
}

impl VirtFilesystem {
    /// A directory that the domain can write, with the access `passthrough`.
    pub fn new(source: impl Into<String>, target: impl Into<String>) -> VirtFilesystem {
        VirtFilesystem {
            access: VirtAccess::Passthrough,
            source: source.into(),
            target: target.into(),
            read_only: false,
        }
    }

    /// The same with another access.
    #[must_use]
    pub fn access(self, access: VirtAccess) -> VirtFilesystem {
        VirtFilesystem { access, ..self }
    }

    /// The same, only to be read.
    #[must_use]
    pub fn read_only(self) -> VirtFilesystem {
        VirtFilesystem { read_only: true, ..self }
    }
}

/// A device with a path of the host.
pub(super) trait HasSource {
    fn source_mut(&mut self) -> &mut String;
}

impl HasSource for VirtDisk {
    fn source_mut(&mut self) -> &mut String {
        &mut self.source
    }
}

impl HasSource for VirtFilesystem {
    fn source_mut(&mut self) -> &mut String {
        &mut self.source
    }
}

/// A login at a hypervisor that asks for one. It is shown nowhere.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VirtAuth {
    /// The name of the user.
    pub username: String,
    /// The password.
    pub password: String,
}

impl Zeroize for VirtAuth {
    fn zeroize(&mut self) {
        self.username.zeroize();
        self.password.zeroize();
    }
}

impl VirtAuth {
    /// A login as this user. The password is in the code then; a received one comes with `map`:
    ///
    /// ```
    /// use mgmt::prelude::*;
    ///
    /// let mut g = Graph::new("login");
    /// let password = g.add(Password::new("libvirt"));
    /// let auth = password.password().map(|password| password.map(|text| VirtAuth::new("admin", text)));
    /// g.add(Virt::new("vm").uri("qemu+tls://host.example/system").memory(VirtMemory::gib(1)).auth(auth));
    /// ```
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> VirtAuth {
        VirtAuth { username: username.into(), password: password.into() }
    }
}

impl Accepts<(&str, Secret<String>)> for Secret<VirtAuth> {
    fn accept((username, password): (&str, Secret<String>)) -> Secret<VirtAuth> {
        password.map(|password| VirtAuth::new(username, password))
    }
}

impl Accepts<&str> for VirtDisk {
    fn accept(source: &str) -> VirtDisk {
        VirtDisk::new(source)
    }
}

impl Accepts<&str> for VirtNetwork {
    fn accept(name: &str) -> VirtNetwork {
        VirtNetwork::new(name)
    }
}
