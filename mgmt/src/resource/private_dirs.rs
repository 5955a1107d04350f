//! The private directories of resources: `PREFIX/pgraph/<kind>/<name>`, with names encoded as file names.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::id::{ResourceId, percent_decoded, percent_encoded};
use crate::resource::digest::digest_of;
use crate::resource::record::{RECORDS, TRIAL};
use crate::sys::fs::WriteFs;
use crate::sys::if_simulated;
use crate::sys::ours::{NotOurs, Trust, examine_below};

/// The longest encoded name, in bytes; a file system takes 255.
const NAME_BYTES_MAX: usize = 200;
/// In a name that is cut, the digest of the whole name follows these characters. (Elsewhere `%` precedes two
/// hexadecimal digits.)
const CUT: &str = "%~";
/// The prefix of the name to which a directory is moved before it is removed. No encoded name begins with a dot.
const GONE: &str = ".gone-";

/// The directories in which resources keep their own files.
#[derive(Clone, Debug)]
pub struct PrivateDirs {
    root: PathBuf,
    /// Directories named by a digest, as in earlier versions.
    old: Arc<Mutex<HashSet<PathBuf>>>,
    /// Directories named by a digest are renamed when their resource asks for them.
    renames: bool,
}

/// A private directory that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateDir {
    /// The resource. If its name does not follow from the directory's name (which is cut, or a digest), the directory's
    /// name stands for it.
    pub id: ResourceId,
    /// The path of the directory.
    pub path: PathBuf,
}

impl PrivateDir {
    /// Whether the resource's name does not follow from the directory's.
    pub fn is_nameless(&self) -> bool {
        self.id.name.contains(CUT) || is_old(&self.id.name)
    }

    /// Renames the directory to a name that no resource has, under which it can be removed: if the resource comes back
    /// meanwhile, it must not find half of its files. The next [`PrivateDirs::open`] removes what is left of the
    /// directory.
    ///
    /// # Errors
    /// The error of the system.
    pub fn set_aside(&self) -> io::Result<PathBuf> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let gone = self.path.with_file_name(format!("{GONE}{}", hex(&name)));
        match fs::remove_dir_all(&gone) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::rename(&self.path, &gone)?,
        }
        Ok(gone)
    }
}

impl PrivateDirs {
    /// The directories of a prefix that has none yet.
    pub fn new(prefix: &Path) -> PrivateDirs {
        PrivateDirs { root: prefix.join("pgraph"), old: Arc::default(), renames: false }
    }

    /// Directories with names of the same form, for something else: `PREFIX/<what>/<kind>/<name>`.
    pub(crate) fn of_another_sort(prefix: &Path, what: &str) -> PrivateDirs {
        PrivateDirs { root: prefix.join(what), ..PrivateDirs::new(prefix) }
    }

    /// Checks that no other user could have written to the existing directories of a prefix. Blocks.
    ///
    /// # Errors
    /// Another user could have planted the content of one of them.
    pub fn examine(prefix: &Path, trust: Trust) -> std::result::Result<(), NotOurs> {
        examine_below(&prefix.join("pgraph"), 2, trust)?;
        examine_below(&prefix.join(TRIAL), 3, trust)?;
        examine_below(&prefix.join(RECORDS), 2, trust)
    }

    /// The directories of a prefix, and a list of those that exist. Blocks. With `renames`, a directory that an earlier
    /// version named by a digest is renamed when its resource asks for it, and the remains of crashed removals and
    /// killed writes are removed; without `renames`, nothing is changed.
    pub fn open(prefix: &Path, renames: bool) -> (PrivateDirs, Vec<PrivateDir>) {
        let dirs = PrivateDirs { renames, ..PrivateDirs::new(prefix) };
        let all = dirs.list();
        let old = all.iter().filter(|dir| is_old(&dir.id.name)).map(|dir| dir.path.clone()).collect();
        *dirs.old.lock().unwrap_or_else(PoisonError::into_inner) = old;
        if renames {
            let fs = WriteFs::new();
            for dir in &all {
                // The temporary files of killed writes: no later write would remove them. An error is ignored; the next
                // start tries again.
                let _ = fs.clean_temporary_files(&dir.path);
            }
        }
        (dirs, all)
    }

    /// All directories that exist, without those that can't be read. Blocks.
    pub fn list(&self) -> Vec<PrivateDir> {
        let mut all = Vec::new();
        for (kind, path) in below(&self.root) {
            let kind = decode(&kind).unwrap_or(kind);
            for (name, path) in below(&path) {
                if name.starts_with(GONE) {
                    if self.renames {
                        // If this fails, the next start tries again.
                        let _ = fs::remove_dir_all(path);
                    }
                    continue;
                }
                all.push(PrivateDir { id: ResourceId::new(&kind, decode(&name).unwrap_or(name)), path });
            }
        }
        all
    }

    /// Which of these directories, whose names do not contain their resource's name, belongs to this resource.
    pub fn find(&self, id: &ResourceId, nameless: &HashSet<PathBuf>) -> Option<PathBuf> {
        [self.now(id), self.was(id)].into_iter().find(|path| nameless.contains(path))
    }

    fn now(&self, id: &ResourceId) -> PathBuf {
        self.root.join(encode(id.kind.as_str())).join(encode(&id.name))
    }

    /// The path of the directory in earlier versions.
    fn was(&self, id: &ResourceId) -> PathBuf {
        self.root.join(id.kind.as_str().replace(':', "_")).join(hex(&id.name))
    }

    /// The directory of a resource, which may not exist.
    pub fn of(&self, id: &ResourceId) -> PathBuf {
        let path = self.now(id);
        let mut old = self.old.lock().unwrap_or_else(PoisonError::into_inner);
        if old.is_empty() {
            return path;
        }
        let was = self.was(id);
        if !old.contains(&was) || path.exists() {
            return path;
        }
        if !self.renames {
            return was;
        }
        match rename(&was, &path) {
            Ok(()) => {
                old.remove(&was);
                path
            }
            Err(error) => {
                tracing::warn!("cannot rename {} to {}: {error}; it is used as it is", was.display(), path.display());
                was
            }
        }
    }
}

fn rename(was: &Path, path: &Path) -> io::Result<()> {
    let parent = path.parent().unwrap_or(path);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    fs::rename(was, path)
}

/// The directories in a directory, with their names.
fn below(dir: &Path) -> Vec<(String, PathBuf)> {
    if_simulated!(host => {
        let all = host.list(dir).into_iter().map(|name| (name.clone(), dir.join(name)));
        all.filter(|(_, path)| host.is_dir(path)).collect()
    });
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).collect()
}

/// Encodes a name as a file name: letters, digits and harmless characters stay; each byte of any other character
/// becomes `%` and two digits. The result is never empty, `.` or `..`, contains no slash, and has at most
/// `NAME_BYTES_MAX` bytes.
fn encode(name: &str) -> String {
    let text = percent_encoded(name, |at, c| c.is_alphanumeric() || "_-+@,=:~".contains(c) || (c == '.' && at > 0));
    if text.is_empty() {
        return "%".to_owned();
    }
    if text.len() <= NAME_BYTES_MAX {
        return text;
    }
    let digest = hex(name);
    let mut end = NAME_BYTES_MAX - CUT.len() - digest.len();
    // The cut must be neither within a character nor within an encoded byte.
    while !text.is_char_boundary(end) || text[..end].bytes().rev().take(2).any(|byte| byte == b'%') {
        end -= 1;
    }
    format!("{}{CUT}{digest}", &text[..end])
}

/// The name with this encoded form; `None` if there is none, or if the name was cut.
fn decode(text: &str) -> Option<String> {
    let name = if text == "%" { String::new() } else { percent_decoded(text)? };
    (encode(&name) == text).then_some(name)
}

/// Half of a name's digest: the name of the directory in earlier versions.
fn hex(name: &str) -> String {
    digest_of(&name).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn is_old(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(kind: &str, name: &str) -> ResourceId {
        ResourceId::new(kind, name)
    }

    #[test]
    fn a_name_stays_readable_and_is_found_again() {
        let cases = [
            ("admin", "admin"),
            ("restart nginx", "restart%20nginx"),
            ("/etc/motd", "%2Fetc%2Fmotd"),
            ("Zürich_1-2+3@a,b=c:d~e", "Zürich_1-2+3@a,b=c:d~e"),
            ("", "%"),
            ("%", "%25"),
            (".", "%2E"),
            ("..", "%2E."),
            (".hidden.d", "%2Ehidden.d"),
            ("a\n\0b", "a%0A%00b"),
        ];
        for (name, encoded) in cases {
            assert_eq!(encode(name), encoded);
            assert_eq!(decode(encoded).as_deref(), Some(name));
        }
        for text in ["%2", "%zz", "a%2fb", ".x", "a b", "%61"] {
            assert_eq!(decode(text), None, "{text} is no encoded name");
        }
    }

    #[test]
    fn a_long_name_is_cut_and_stays_one_of_its_own() {
        let names = [
            "x".repeat(4097),
            format!("{}y", "x".repeat(4096)),
            "é".repeat(150),
            "/".repeat(90),
            "\u{1F600}".repeat(99),
        ];
        let mut seen = HashSet::new();
        for name in &names {
            let text = encode(name);
            assert!(text.len() <= NAME_BYTES_MAX && text.contains(CUT), "{text}");
            assert!(!text.contains('/') && decode(&text).is_none());
            assert!(seen.insert(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_name_leaves_its_directory_and_no_two_share_one(a in "\\PC{0,40}|[./%~]{0,9}", b in "[./%~a]{0,9}") {
            for name in [&a, &b] {
                let text = encode(name);
                proptest::prop_assert!(!text.is_empty() && text != "." && text != ".." && !text.contains('/') && !text.starts_with('.'));
                if text.len() <= 150 {
                    let decoded = decode(&text);
                    proptest::prop_assert_eq!(decoded.as_ref(), Some(name));
                }
            }
            proptest::prop_assert_eq!(encode(&a) == encode(&b), a == b);
        }
    }

    #[test]
    fn directories_are_listed_with_whose_they_are() {
        let prefix = tempfile::tempdir().unwrap();
        let dirs = PrivateDirs::new(prefix.path());
        let long = "/".repeat(300);
        for id in [id("exec", "restart a/b"), id("my:kind", "x"), id("exec", &long)] {
            fs::create_dir_all(dirs.of(&id)).unwrap();
        }
        fs::write(prefix.path().join("pgraph/exec/a file"), "").unwrap();
        let mut all = PrivateDirs::open(prefix.path(), true).1;
        all.sort_by(|a, b| a.id.cmp(&b.id));
        let ids: Vec<_> = all.iter().map(|dir| (dir.id.kind.as_str(), dir.is_nameless())).collect();
        assert_eq!(ids, [("exec", true), ("exec", false), ("my:kind", false)]);
        assert_eq!((all[1].id.name.as_str(), all[2].id.name.as_str()), ("restart a/b", "x"));
        let nameless = [all[0].path.clone()].into();
        assert_eq!(dirs.find(&id("exec", &long), &nameless), Some(all[0].path.clone()));
        assert_eq!(dirs.find(&id("exec", "restart a/b"), &nameless), None);
    }

    #[test]
    fn a_directory_that_an_earlier_version_named_by_a_digest_gets_its_name_when_it_is_asked_for() {
        let prefix = tempfile::tempdir().unwrap();
        // The earlier version's directory for the name `admin`.
        let was = prefix.path().join("pgraph/my_kind/1df88e084794e530a646af12e0b4688e");
        fs::create_dir_all(&was).unwrap();
        fs::write(was.join("kept"), "text").unwrap();
        let admin = id("my:kind", "admin");
        let (reader, all) = PrivateDirs::open(prefix.path(), false);
        assert_eq!(
            (reader.of(&admin), all[0].is_nameless()),
            (was.clone(), true),
            "whoever only looks renames nothing"
        );
        let (dirs, _) = PrivateDirs::open(prefix.path(), true);
        assert_eq!(dirs.of(&id("my:kind", "other")), prefix.path().join("pgraph/my:kind/other"));
        let now = prefix.path().join("pgraph/my:kind/admin");
        assert_eq!(dirs.of(&admin), now);
        assert_eq!(fs::read_to_string(now.join("kept")).unwrap(), "text");
        assert!(!was.exists());
        assert_eq!(dirs.of(&admin), now);
    }

    #[test]
    fn kinds_that_an_earlier_version_gave_one_directory_have_one_each() {
        let prefix = tempfile::tempdir().unwrap();
        let was = prefix.path().join("pgraph/my_kind/1df88e084794e530a646af12e0b4688e");
        fs::create_dir_all(&was).unwrap();
        fs::write(was.join("kept"), "text").unwrap();
        let (dirs, _) = PrivateDirs::open(prefix.path(), true);
        let (colon, underscore) = (dirs.of(&id("my:kind", "admin")), dirs.of(&id("my_kind", "admin")));
        assert_eq!((colon.exists(), underscore.exists()), (true, false), "what was shared goes to the first that asks");
        assert_ne!(colon, underscore);
        fs::create_dir_all(&underscore).unwrap();
        let mut kinds: Vec<_> = dirs.list().into_iter().map(|dir| dir.id.kind.as_str().to_owned()).collect();
        kinds.sort();
        assert_eq!(kinds, ["my:kind", "my_kind"]);
        assert_eq!(fs::read_to_string(colon.join("kept")).unwrap(), "text");
    }

    #[test]
    fn what_is_set_aside_is_no_private_directory_any_more_and_goes_with_the_next_start() {
        let prefix = tempfile::tempdir().unwrap();
        let path = PrivateDirs::new(prefix.path()).of(&id("exec", "a"));
        for _ in 0..2 {
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("file"), "").unwrap();
            let (_, all) = PrivateDirs::open(prefix.path(), false);
            let aside = all[0].set_aside().unwrap();
            assert!(aside.join("file").exists() && !path.exists());
        }
        assert_eq!(PrivateDirs::open(prefix.path(), false).1, []);
        assert_eq!(PrivateDirs::open(prefix.path(), true).1, []);
        assert_eq!(fs::read_dir(prefix.path().join("pgraph/exec")).unwrap().count(), 0);
    }

    #[test]
    fn what_killed_writes_have_left_goes_with_the_next_start() {
        use crate::sys::fs::{At, Call, Faults, WriteOptions};

        let prefix = tempfile::tempdir().unwrap();
        let dir = PrivateDirs::new(prefix.path()).of(&id("password", "a"));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("kept"), "").unwrap();
        let faults = Faults::new();
        faults.fail(At::Every(Call::Rename), 5);
        faults.fail(At::Every(Call::Unlink), 5);
        WriteFs::with_faults(faults).write_file(dir.join("password"), "half", &WriteOptions::new()).unwrap_err();
        let names = || {
            let names = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names().len(), 2);
        PrivateDirs::open(prefix.path(), false);
        assert_eq!(names().len(), 2, "a plan changes nothing");
        PrivateDirs::open(prefix.path(), true);
        assert_eq!(names(), ["kept"]);
    }
}
