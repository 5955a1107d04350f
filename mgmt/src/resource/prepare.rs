//! The context of a kind that examines the system before the passes.

use std::sync::Arc;

use crate::id::ResourceId;
use crate::resource::error::Result;
use crate::resource::known::Known;
use crate::resource::provisions::Provisions;
use crate::resource::spec::KindSpec;
use crate::sys::fs::ReadFs;
use crate::sys::task::blocking;

/// The context of [`Prepare::prepare`](crate::resource::Prepare::prepare). None of its functions writes to the system.
#[derive(Clone, Debug)]
pub struct PrepareCx {
    id: ResourceId,
    spec: &'static KindSpec,
    coming: Vec<u8>,
    fs: ReadFs,
    provisions: Provisions,
}

impl PrepareCx {
    /// For the engine and for tests: the context of this resource; `coming` are the numbers of the fields that will be
    /// received.
    #[doc(hidden)]
    pub fn new(
        id: ResourceId,
        spec: &'static KindSpec,
        coming: Vec<u8>,
        fs: ReadFs,
        provisions: Provisions,
    ) -> PrepareCx {
        PrepareCx { id, spec, coming, fs, provisions }
    }

    /// The identity of the resource.
    pub fn id(&self) -> &ResourceId {
        &self.id
    }

    /// The fields whose values are known. The others hold placeholders.
    pub fn known(&self) -> Known<'_> {
        Known::all_but_numbers(self.spec, &self.coming)
    }

    /// See [`CheckCx::provided`](crate::resource::CheckCx::provided).
    ///
    /// # Errors
    /// The program has provided no value of this type.
    pub fn provided<T: Send + Sync + 'static>(&self) -> Result<Arc<T>> {
        self.provisions.get(self.spec)
    }

    /// Reads the file system on a thread that may block.
    pub async fn look<T: Send + 'static>(&self, look: impl FnOnce(&ReadFs) -> T + Send + 'static) -> T {
        let fs = self.fs.clone();
        blocking(move || look(&fs)).await
    }
}
