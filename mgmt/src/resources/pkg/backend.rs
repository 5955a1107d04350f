//! Which package manager keeps the packages of a resource.

use crate::resource::{CheckCx, Result};
use crate::resources::pkg::apt_host::{Apt, AptHost};
#[cfg(feature = "dbus")]
use crate::resources::pkg::kit_host::Kit;
use crate::resources::pkg::state::PkgBackend;
#[cfg(feature = "dbus")]
use crate::sys::packagekit;

/// A package manager that this host has.
pub(super) enum Backend {
    Apt(Apt),
    #[cfg(feature = "dbus")]
    Kit(Kit),
}

/// The same for each package manager.
macro_rules! with {
    ($backend:expr, $installer:ident => $does:expr) => {
        match &$backend {
            Backend::Apt($installer) => $does,
            #[cfg(feature = "dbus")]
            Backend::Kit($installer) => $does,
        }
    };
}
pub(super) use with;

impl PkgBackend {
    /// Whether it is PackageKit, on this host.
    pub(super) fn is_packagekit(self) -> bool {
        match self {
            PkgBackend::Auto => {
                #[cfg(feature = "dbus")]
                return packagekit::is_default();
                #[cfg(not(feature = "dbus"))]
                return false;
            }
            PkgBackend::Apt => false,
            PkgBackend::Packagekit => true,
        }
    }

    /// The package manager.
    ///
    /// # Errors
    /// This host has it not.
    pub(super) async fn of(self, cx: &CheckCx) -> Result<Backend> {
        if !self.is_packagekit() {
            return Ok(Backend::Apt(Apt(cx.shared::<AptHost>())));
        }
        #[cfg(feature = "dbus")]
        return Ok(Backend::Kit(Kit::of(cx).await?));
        #[cfg(not(feature = "dbus"))]
        return Err(crate::resource::Error::new(
            "this program was built without the feature `dbus`, which `backend: packagekit` needs",
        ));
    }
}
