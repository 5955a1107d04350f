//! Runs single operations of a file resource, without an engine.

use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::id::ResourceId;
use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Declare, Drift, Error, Memory, Operation, Resource, Result, Salt, Sent,
    Services, Slots, WatchCx,
};
use crate::resources::file::{File, FileBuilder, FileDrift};
use crate::sys::fs::{Faults, WriteFs};

/// Remembers nothing: this kind marks nothing.
#[derive(Debug)]
struct NoMemory;

impl Memory for NoMemory {
    fn mark(&self, _: &ResourceId) -> Option<Vec<u8>> {
        None
    }

    fn set_mark(&self, _: &ResourceId, _: Option<Vec<u8>>) -> Result<(), String> {
        Err("this kind marks nothing".to_owned())
    }
}

/// A directory to work in, and what an engine would give.
pub(super) struct Bench {
    pub(super) dir: TempDir,
    pub(super) faults: Arc<Faults>,
    services: Arc<Services>,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    pub(super) fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let faults = Faults::new();
        let services = Arc::new(Services {
            fs: WriteFs::with_faults(Arc::clone(&faults)),
            memory: Arc::new(NoMemory),
            salt: Salt::default(),
            prefix: dir.path().join("prefix"),
            local: Slots::default(),
            shared: Slots::default(),
            owned: Mutex::default(),
            inherit_env: false,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Bench { dir, faults, services, runtime }
    }

    /// These paths are owned by resources of the graph.
    pub(super) fn own(&self, names: &[&str]) {
        *self.services.owned.lock().unwrap() = Arc::new(names.iter().map(|name| self.at(name)).collect());
    }

    /// A path in the directory.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as text; a slash at the end is kept.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir.path().display())
    }

    /// A file resource at a path in the directory.
    pub(super) fn file(&self, name: &str) -> FileBuilder {
        File::new(self.path(name))
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        self.mkdir(Path::new(name).parent().unwrap().to_str().unwrap());
        fs::write(&path, content).unwrap();
        // Whatever the umask is.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    pub(super) fn mkdir(&self, name: &str) -> PathBuf {
        let mut path = self.dir.path().to_owned();
        for part in Path::new(name) {
            path.push(part);
            if !path.is_dir() {
                fs::create_dir(&path).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        path
    }

    pub(super) fn link(&self, name: &str, target: impl AsRef<Path>) -> PathBuf {
        let path = self.at(name);
        std::os::unix::fs::symlink(target, &path).unwrap();
        path
    }

    pub(super) fn read(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.at(name)).unwrap()).unwrap()
    }

    pub(super) fn mode(&self, name: &str) -> u32 {
        use std::os::unix::fs::MetadataExt;
        fs::symlink_metadata(self.at(name)).unwrap().mode() & 0o7777
    }

    /// Whether there is anything, be it a dangling link.
    pub(super) fn is_there(&self, name: &str) -> bool {
        fs::symlink_metadata(self.at(name)).is_ok()
    }

    /// The names below a directory, sorted.
    pub(super) fn names(&self, name: &str) -> Vec<String> {
        let mut names = Vec::new();
        let mut dirs = vec![self.at(name)];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                names.push(entry.path().strip_prefix(self.at(name)).unwrap().to_string_lossy().into_owned());
                if entry.file_type().unwrap().is_dir() {
                    dirs.push(entry.path());
                }
            }
        }
        names.sort();
        names
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// One operation.
    pub(super) fn operation(&self, file: &File) -> Arc<Operation> {
        // The node stands for the resource: its state in the engine is kept under it.
        let node = file.name().bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        Arc::new(Operation::new(Arc::new(file.clone()), node, Arc::clone(&self.services)))
    }

    pub(super) fn check(&self, file: &FileBuilder) -> Result<Option<FileDrift>> {
        let (file, _) = file.clone().finish();
        file.validate().map_err(Error::new)?;
        self.block_on(file.check(&CheckCx::new(self.operation(&file))))
    }

    pub(super) fn apply(&self, file: &FileBuilder, drift: FileDrift) -> Result<()> {
        let (file, _) = file.clone().finish();
        self.block_on(file.apply(&ApplyCx::new(self.operation(&file)), drift))
    }

    /// Checks, and applies what was found; then a further check must find nothing.
    pub(super) fn converge(&self, file: &FileBuilder) -> Result<Vec<Change>> {
        let Some(drift) = self.check(file)? else { return Ok(Vec::new()) };
        let changes = drift.changes();
        assert!(!changes.is_empty(), "drift is shown");
        self.apply(file, drift)?;
        if let Some(drift) = self.check(file)? {
            panic!("still wrong after the apply: {drift:?}");
        }
        Ok(changes)
    }

    /// The changes, one a line.
    pub(super) fn changed(&self, file: &FileBuilder) -> Vec<String> {
        self.converge(file).unwrap().iter().map(ToString::to_string).collect()
    }

    /// The names of the fields that changed.
    pub(super) fn fields(&self, file: &FileBuilder) -> Vec<String> {
        self.converge(file).unwrap().into_iter().map(|change| change.field).collect()
    }

    pub(super) fn refused(&self, file: &FileBuilder) -> String {
        self.converge(file).expect_err("it is refused").to_string()
    }

    pub(super) fn sent(&self, file: &FileBuilder) -> Vec<Sent> {
        let (file, _) = file.clone().finish();
        let operation = self.operation(&file);
        self.block_on(file.check(&CheckCx::new(Arc::clone(&operation)))).unwrap();
        operation.take_sent()
    }

    pub(super) fn watched(&self, file: &FileBuilder) -> String {
        let (file, _) = file.clone().finish();
        let watch = file.watch(&WatchCx::new(self.operation(&file)));
        format!("{watch:?}").replace(&self.path(""), "")
    }
}

/// What is wrong with the fields.
pub(super) fn problem(file: FileBuilder) -> String {
    file.finish().0.validate().expect_err("it is refused")
}
