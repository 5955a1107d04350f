//! Runs single operations of a file resource, without an engine.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::resource::{AnyDrift, Change, Converge, Declare, Known, Resource, Result, ShowPrivate};
use crate::resources::file::{File, FileBuilder};
use crate::sys::fs::Faults;
use crate::testing::{Fake, Trial};

/// The errno of a file system that cannot do what it is asked for.
pub(super) const EOPNOTSUPP: i32 = 95;

/// A host with a directory to work in.
pub(super) struct Bench {
    pub(super) faults: Arc<Faults>,
    host: Fake,
    /// By name: what the engine would keep of a resource lasts from one operation to the next.
    trials: RefCell<HashMap<String, Trial>>,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench::on(Fake::new().unwrap())
    }

    /// A host that another process has made, whose `root` this is.
    pub(super) fn of_another_process(root: &str) -> Bench {
        Bench::on(Fake::at(root.into()))
    }

    pub(super) fn root(&self) -> &Path {
        self.host.root()
    }

    fn on(host: Fake) -> Bench {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Bench { faults: Arc::clone(host.faults()), host, trials: RefCell::default(), runtime }
    }

    /// The same, where the program asks for what others may not read.
    pub(super) fn showing() -> Bench {
        let bench = Bench::new();
        Bench { host: bench.host.provide(ShowPrivate), ..bench }
    }

    /// The process is another one: only the disk is left.
    pub(super) fn restart(&mut self) {
        self.trials.borrow_mut().clear();
        self.host.restart();
    }

    /// These paths are owned by resources of the graph.
    pub(super) fn own(&self, names: &[&str]) {
        self.host.own(names.iter().map(|name| self.at(name)));
    }

    /// A path in the directory.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.host.path(name)
    }

    /// The same as text; a slash at the end is kept.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.host.dir().display())
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
        let mut path = self.host.dir().to_owned();
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

    /// This resource, as the graph has it now.
    pub(super) fn trial(&self, file: &FileBuilder) -> Trial {
        let name = file.clone().finish().0.name().to_owned();
        let mut trials = self.trials.borrow_mut();
        let trial = trials.entry(name).or_insert_with(|| self.host.put(file.clone()));
        *trial = trial.becomes(file.clone());
        trial.clone()
    }

    pub(super) fn check(&self, file: &FileBuilder) -> Result<Option<AnyDrift>> {
        let trial = self.trial(file);
        if let Some(problem) = trial.validate().into_iter().find(|problem| !problem.advice) {
            return Err(problem.into());
        }
        self.block_on(trial.check()).map(|found| found.drift)
    }

    pub(super) fn apply(&self, file: &FileBuilder, drift: AnyDrift) -> Result<()> {
        self.block_on(self.trial(file).apply(drift)).map(drop)
    }

    /// Checks, and applies what was found; then a further check must find nothing.
    pub(super) fn converge(&self, file: &FileBuilder) -> Result<Vec<Change>> {
        let Some(drift) = self.check(file)? else { return Ok(Vec::new()) };
        let changes = drift.changes.clone();
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

    /// The path that a check sends.
    pub(super) fn sent(&self, file: &FileBuilder) -> Option<String> {
        self.block_on(self.trial(file).check()).unwrap().value(File::FULL_PATH)
    }

    pub(super) fn watched(&self, file: &FileBuilder) -> String {
        format!("{:?}", self.trial(file).watch()).replace(&self.path(""), "")
    }
}

/// What is wrong with the fields.
pub(super) fn problem(file: FileBuilder) -> String {
    let problems = problems(file);
    assert!(!problems.is_empty(), "it is refused");
    problems
}

/// All that is wrong with the fields, one a line.
pub(super) fn problems(file: FileBuilder) -> String {
    let problems = file.finish().0.validate(&Known::all(File::spec()));
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
