//! The kind `sysctl`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Drift, FieldProblem, Known, Need, OwnedPaths, Recorders, Result, Stopping, Uid,
    Watch, WatchCx, every,
};
use crate::resources::beside;
use crate::resources::edits::{self, FileEdit, text_of, waiting};
use crate::resources::locks::Locks;
use crate::resources::paths::declared;
use crate::resources::sysctl::key::{Key, problem};
use crate::resources::sysctl::live::{self, VALUE_BYTES_MAX};
use crate::resources::sysctl::{boot, reverse, text, value};
use crate::sys::fs::{ReadFs, WriteFs, normal_form};
use mgmt_macros::Resource;

/// A parameter of the kernel: the value that it has now (`runtime`), and the value that it gets at the next boot
/// (`persist`).
///
/// The name is spelled as for `sysctl`: `vm.swappiness`, or as a path, `vm/swappiness`. If the first separator is a
/// dot, all dots separate, and a slash stands for a dot in a part of the name: `net.ipv4.conf.eth0/1.forwarding`
/// belongs to the interface `eth0.1`.
///
/// Values are compared word by word: blanks and tabs are equal, and so are numbers in different bases. A value that the
/// kernel shows in another form than it was declared is an error, which names that form. A parameter that does not
/// exist is waited for: it appears when its module is loaded. Its value for the next boot is kept all the same.
///
/// For the next boot, the line of the parameter in a file of sysctl.d(5) is kept; the other lines stay as they are, and
/// any number of parameters can be in one file. The file is replaced as a whole, as `line` does. If another file there
/// sets the parameter to another value, and is read later, this resource fails and names it.
///
/// Woken by: every write of a program to the parameter, and every change of the files. The kernel reports no event for
/// what it changes itself (as when a network interface appears): so the parameter is also checked every 10 seconds,
/// unless `runtime` is false; with the metaparameter `poll`, more often.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("router");
/// g.add(Sysctl::new("net.ipv4.ip_forward", "1"));
/// g.add(Sysctl::new("net.ipv4.tcp_rmem", "4096 131072 6291456").path("/etc/sysctl.d/60-net.conf"));
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "sysctl", inline = watch)]
pub struct Sysctl {
    /// The name of the parameter, such as `vm.swappiness`.
    #[resource(name)]
    pub(super) name: String,
    /// The value: at most 4095 bytes, on one line.
    pub(super) value: String,
    /// Whether the parameter must have the value now. Default: true.
    #[resource(default = true)]
    runtime: bool,
    /// Whether the parameter gets the value at the next boot: a line in the file `path`. If not, no file is looked at.
    /// Default: true.
    #[resource(default = true)]
    pub(super) persist: bool,
    /// The file for `persist`: absolute, without `..`. It is made if it does not exist, its directory is not. Default:
    /// `/etc/sysctl.d/99-mgmt.conf`.
    path: Option<String>,
}

/// What is not as declared.
#[derive(Clone, Debug)]
pub struct SysctlDrift {
    changes: Vec<Change>,
    /// The value that the parameter has now.
    runtime: bool,
    /// The file.
    persist: bool,
}

impl Drift for SysctlDrift {
    fn changes(&self) -> Vec<Change> {
        self.changes.clone()
    }
}

/// How often the value is looked at: the kernel reports no event for what it changes itself.
const POLL: Duration = Duration::from_secs(10);

impl Converge for Sysctl {
    type Drift = SysctlDrift;

    const WORKS_ON_FILES: bool = true;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let name = problem(&self.name).map(|(problem, remedy)| FieldProblem::new("name", problem, remedy));
        let is_line = !self.value.contains(['\n', '\r', '\0']);
        let line = known.require("value", is_line, "has several lines or a NUL byte", "give one line");
        let bytes = self.value.len();
        let is_short = bytes <= VALUE_BYTES_MAX;
        let size = known.require("value", is_short, format_args!("has {bytes} bytes"), "at most 4095 are allowed");
        let does = known.require(
            ["persist", "runtime"],
            self.runtime || self.persist,
            "is false, as is `runtime`: nothing would be kept",
            "set one of them",
        );
        let path = self.path.as_ref().and_then(|path| FieldProblem::of_path("path", Path::new(path)));
        let file = self.file().filter(|_| path.is_none());
        let is_read =
            file.is_none_or(|file| !boot::is_read(&file) || file.extension().is_some_and(|end| end == "conf"));
        let end = known.require("path", is_read, "is not read at boot", "end its name with `.conf`");
        every([name, line, size, does, path, end])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<SysctlDrift>> {
        let (wanted, owned) = (self.wanted()?, cx.owned_paths());
        cx.look(move |fs, _| wanted.look(fs, &owned)).await
    }

    async fn apply(&self, cx: &ApplyCx, drift: SysctlDrift) -> Result<()> {
        let (wanted, locks, owned) = (self.wanted()?, cx.shared::<Locks>(), cx.owned_paths());
        let (is_announced, recorders) = (cx.owes_refreshes(), cx.recorders::<Sysctl>());
        let work = move |fs: &WriteFs, stop: &Stopping| {
            let batch = fs.batch();
            let repair = Repair { wanted: &wanted, locks: &locks, owned: &owned, stop, is_announced, recorders };
            let outcome = repair.run(batch.fs(), &drift);
            (batch, outcome)
        };
        let (batch, outcome) = cx.change(work).await;
        let durable = cx.commit(batch).await;
        if !outcome.and_then(|changed| durable.map(|_| changed))? {
            cx.unchanged();
        }
        Ok(())
    }

    async fn foresee(&self, cx: &CheckCx, drift: &SysctlDrift) -> Result<()> {
        let (wanted, owned, drift) = (self.wanted()?, cx.owned_paths(), drift.clone());
        let foresee = move |fs: &ReadFs, _: &Stopping| {
            if let Some(file) = wanted.file.as_ref().filter(|_| drift.persist) {
                edits::foresee(fs, &owned, file)?;
            }
            if drift.runtime { live::must_be_writable(fs, &wanted.key) } else { Ok(()) }
        };
        cx.look(foresee).await
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let mut watch = Watch::none();
        if self.runtime {
            watch = watch.and(cx.fs().path(Key::of(&self.name).path())).and(Watch::every(POLL));
        }
        let Some(file) = self.file() else { return watch };
        if boot::is_read(&file) {
            watch = boot::DIRS.iter().fold(watch, |watch, dir| watch.and(cx.fs().levels(dir, 1)));
        }
        watch.and(cx.fs().path(file))
    }

    fn uids(&self, _: &Known<'_>) -> Vec<Uid> {
        vec![Uid::of(Key::of(&self.name))]
    }

    fn parts(&self, known: &Known<'_>) -> Vec<PathBuf> {
        self.file().filter(|_| known.are_known(["path", "persist"])).into_iter().collect()
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        let file = self.file().filter(|_| known.are_known(["path", "persist"]));
        let Some(file) = file else { return Vec::new() };
        let dir = file.parent().map(|dir| Need::after(Uid::path(dir)).because("the directory of its file"));
        dir.into_iter().chain([Need::after(Uid::Path(file)).because("its file")]).collect()
    }
}

impl Sysctl {
    /// The file for the next boot; `None`: there is none, or its path is wrong.
    fn file(&self) -> Option<PathBuf> {
        let path = self.path.as_deref().unwrap_or(boot::FILE);
        normal_form(Path::new(path)).ok().filter(|_| self.persist)
    }

    fn wanted(&self) -> Result<Wanted> {
        let path = || declared("path", self.path.as_deref().unwrap_or(boot::FILE));
        let file = self.persist.then(path).transpose()?;
        Ok(Wanted {
            name: self.name.clone(),
            key: Key::of(&self.name),
            value: self.value.clone(),
            runtime: self.runtime,
            file,
        })
    }
}

/// The value that a parameter must have.
struct Wanted {
    name: String,
    key: Key,
    value: String,
    runtime: bool,
    file: Option<PathBuf>,
}

impl Wanted {
    fn look(&self, fs: &ReadFs, owned: &OwnedPaths) -> Result<Option<SysctlDrift>> {
        let mut changes = match &self.file {
            Some(file) => self.differences(fs, owned, file).map_err(|error| waiting(error, file))?,
            None => Vec::new(),
        };
        let persist = !changes.is_empty();
        let now = self.runtime.then(|| live::read(fs, &self.key)).transpose();
        let runtime = now.as_ref().is_ok_and(|now| now.as_ref().is_some_and(|now| !value::is_same(now, &self.value)));
        match now {
            Ok(Some(now)) if runtime => {
                changes.push(Change::new("runtime", value::shown(&now), value::shown(&self.value)));
            }
            // The file is repaired first, whatever is wrong with the present value.
            Err(error) if !persist => return Err(error),
            _ => {}
        }
        if changes.is_empty() {
            self.must_count(fs)?;
            return Ok(None);
        }
        Ok(Some(SysctlDrift { changes, runtime, persist }))
    }

    fn must_count(&self, fs: &ReadFs) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| boot::must_count(fs, file, &self.key, &self.value))
    }

    /// What must change in the file.
    fn differences(&self, fs: &ReadFs, owned: &OwnedPaths, file: &Path) -> Result<Vec<Change>> {
        let text = text_of(fs, file)?;
        let found = text.as_deref().and_then(|text| text::value(text, &self.key));
        let mut changes = Vec::new();
        if found.as_ref().is_none_or(|found| !value::is_same(found, &self.value)) {
            edits::may_edit(fs, owned, file)?;
            let line = |sign, value: &str| format!("{sign}{} = {}\n", self.key, value::shown(value));
            let diff = found.as_ref().map(|found| line('-', found)).unwrap_or_default() + &line('+', &self.value);
            let from = found.map_or("absent".to_owned(), |found| value::shown(&found));
            changes.push(Change::new("persist", from, value::shown(&self.value)).with_diff(diff));
        }
        changes.extend(beside::leftovers(fs, file));
        if changes.is_empty() {
            changes.extend(beside::unsynced(fs, file));
        }
        Ok(changes)
    }
}

/// A repair, with what the resources of an engine share.
struct Repair<'a> {
    wanted: &'a Wanted,
    locks: &'a Locks,
    owned: &'a OwnedPaths,
    stop: &'a Stopping,
    is_announced: bool,
    recorders: Recorders<Sysctl>,
}

impl Repair<'_> {
    /// Returns whether something was changed. The file is durable when the batch of `fs` is committed.
    fn run(&self, fs: &WriteFs, drift: &SysctlDrift) -> Result<bool> {
        let mut is_changed = false;
        if let Some(file) = self.wanted.file.as_ref().filter(|_| drift.persist) {
            is_changed |= self.edit(fs, file)?;
        }
        if drift.runtime {
            self.stop.check()?;
            is_changed |= self.set(fs)?;
        }
        // What the check has put off, since there was something to repair first.
        if !drift.runtime && self.wanted.runtime {
            live::read(fs, &self.wanted.key)?;
        }
        self.wanted.must_count(fs)?;
        Ok(is_changed)
    }

    fn edit(&self, fs: &WriteFs, path: &Path) -> Result<bool> {
        let Repair { locks, owned, stop, is_announced, .. } = *self;
        let Wanted { name, key, value, .. } = self.wanted;
        let edit = FileEdit { path, locks, owned, stop, is_announced, removes_empty: false };
        edit.run(fs, |text| {
            let found = text.and_then(|text| text::value(text, key));
            if found.is_some_and(|found| value::is_same(&found, value)) {
                return Ok(None);
            }
            for recorder in &self.recorders {
                reverse::record_line(recorder, path, name, text, value)?;
            }
            Ok(Some(text::with(text.unwrap_or_default(), key, name, value)))
        })
    }

    fn set(&self, fs: &WriteFs) -> Result<bool> {
        let Wanted { name, key, value, .. } = self.wanted;
        let was = live::read(fs, key)?;
        if value::is_same(&was, value) {
            return Ok(false);
        }
        live::must_be_writable(fs, key)?;
        for recorder in &self.recorders {
            reverse::record_live(recorder, name, &was, value)?;
        }
        live::set(fs, key, value)?;
        Ok(true)
    }
}
