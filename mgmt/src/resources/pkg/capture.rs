//! Declares packages as they are.

use crate::resource::{Capture, Captured, CheckCx, Error, Result};
use crate::resources::pkg::backend::{Backend, with};
use crate::resources::pkg::installer::Installer as _;
use crate::resources::pkg::kind::Pkg;
use crate::resources::pkg::name::PkgName;
use crate::resources::pkg::state::PkgState;

impl Capture for Pkg {
    async fn capture(&self, cx: &CheckCx) -> Result<Vec<Captured<Pkg>>> {
        let name = PkgName::parse(&self.name).map_err(Error::new)?;
        let backend = self.backend.of(cx).await?;
        let installed = with!(backend, installer => installer.installed(cx, vec![name.clone()]).await)?;
        let mut is = self.clone();
        let Some(version) = installed.get(&name) else {
            is.state = PkgState::Uninstalled;
            return Ok(vec![Captured::new(is)]);
        };
        let note = format!("version {version} is installed; any is right, unless `state` is that version");
        Ok(vec![Captured::new(is).note(note)])
    }
}
