//! The accounts as the files of this host have them, read once for all resources of an engine.

use std::collections::HashMap;
use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::resource::{Error, Obstacle, ObstacleKind, Result};
use crate::resources::digests::{Version, is_quiet, now_ns};
use crate::sys::account_files::{GROUP, GroupLine, PASSWD, SHADOW, ShadowLine, UserLine};
use crate::sys::fs::ReadFs;

/// The largest file that is read, in bytes.
const BYTES_MAX: u64 = 256 << 20;

/// The lines of a file, found by the name of their account.
pub(super) struct Lines<T> {
    all: Vec<T>,
    by_name: HashMap<String, usize>,
    /// By number: the lines that have it.
    by_id: HashMap<u32, Vec<usize>>,
}

/// A line of one of the files.
pub(super) trait AccountLine: Sized + Send + Sync + 'static {
    const FILE: &'static str;
    fn read(line: &str) -> Option<Self>;
    fn name(&self) -> &str;
    fn id(&self) -> Option<u32>;
}

macro_rules! lines {
    ($($line:ident in $file:ident $(by $id:ident)?;)+) => {$(
        impl AccountLine for $line {
            const FILE: &'static str = $file;
            fn read(line: &str) -> Option<Self> {
                $line::parse(line)
            }
            fn name(&self) -> &str {
                &self.name
            }
            fn id(&self) -> Option<u32> {
                None$(.or(Some(self.$id)))?
            }
        }
    )+};
}
lines! {
    UserLine in PASSWD by uid;
    GroupLine in GROUP by gid;
    ShadowLine in SHADOW;
}

impl<T: AccountLine> Lines<T> {
    pub(super) fn parse(text: &str) -> Lines<T> {
        let all: Vec<T> = text.lines().filter_map(T::read).collect();
        let (mut by_name, mut by_id) = (HashMap::new(), HashMap::<u32, Vec<usize>>::new());
        for (at, line) in all.iter().enumerate() {
            // As for the system, the first line counts.
            by_name.entry(line.name().to_owned()).or_insert(at);
            if let Some(id) = line.id() {
                by_id.entry(id).or_default().push(at);
            }
        }
        Lines { all, by_name, by_id }
    }

    /// The line of an account.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.by_name.get(name).and_then(|at| self.all.get(*at))
    }

    /// The lines with a number.
    pub(super) fn with_id(&self, id: u32) -> impl Iterator<Item = &T> {
        self.by_id.get(&id).into_iter().flatten().filter_map(|at| self.all.get(*at))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.all.iter()
    }
}

/// A file as it was read last.
struct Kept<T>(Mutex<Option<(Version, Arc<Lines<T>>)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept(Mutex::default())
    }
}

impl<T: AccountLine> Kept<T> {
    /// The lines of the file as it is now. It is read only if it has changed, or could have changed since without a
    /// trace in its times.
    fn now(&self, fs: &ReadFs) -> Result<Arc<Lines<T>>> {
        let begun = now_ns();
        let mut file = fs.open(T::FILE)?;
        let version = Version::of(file.stat());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, lines)) = kept.as_ref().filter(|(known, _)| *known == version) {
            return Ok(Arc::clone(lines));
        }
        if file.stat().size > BYTES_MAX {
            let why = format!("{} is larger than {} MiB", T::FILE, BYTES_MAX >> 20);
            return Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(T::FILE)));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let lines = Arc::new(Lines::parse(&String::from_utf8_lossy(&bytes)));
        *kept = is_quiet(file.stat(), begun).then(|| (version, Arc::clone(&lines)));
        Ok(lines)
    }
}

/// The files of accounts, for an engine.
#[derive(Default)]
pub(super) struct AccountFiles {
    users: Kept<UserLine>,
    groups: Kept<GroupLine>,
    shadows: Kept<ShadowLine>,
}

/// The lines may hold hashes of passwords.
impl fmt::Debug for AccountFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountFiles")
    }
}

impl AccountFiles {
    pub(super) fn users(&self, fs: &ReadFs) -> Result<Arc<Lines<UserLine>>> {
        self.users.now(fs)
    }

    pub(super) fn groups(&self, fs: &ReadFs) -> Result<Arc<Lines<GroupLine>>> {
        self.groups.now(fs)
    }

    pub(super) fn shadows(&self, fs: &ReadFs) -> Result<Arc<Lines<ShadowLine>>> {
        self.shadows.now(fs)
    }
}

/// The obstacle that this file of accounts has what must not be there.
pub(super) fn taken(file: &str) -> Obstacle {
    Obstacle::new(ObstacleKind::InTheWay).at(Path::new(file))
}

/// The obstacle that this file of accounts lacks something.
pub(super) fn missing(file: &str) -> Obstacle {
    Obstacle::new(ObstacleKind::Missing).at(Path::new(file))
}
