//! The kind `ssh:authorized_key`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Drift, Error, FieldProblem, Known, Need, Obstacle, ObstacleKind, Result, Uid,
    UidKey, User as UserKey, Watch, WatchCx, WatchEvent, every,
};
use crate::resources::account::files::{AccountFiles, missing};
use crate::resources::account::key_edit::{KeyFile, KeyTurn, usual};
use crate::resources::account::key_line::{KeyLine, wrong_option};
use crate::resources::account::key_lines::KeyWanted;
use crate::resources::account::names::wrong_name;
use crate::resources::account::state::AccountState;
use crate::sys::account_files::PASSWD;
use crate::sys::fs::{ReadFs, normal_form};
use mgmt_macros::Resource;

/// A public key with which a user may log in over SSH, or must not: a line of `~/.ssh/authorized_keys` or of another
/// file. All other lines stay as they are.
///
/// A key is found by its type and its body, whatever its options and its comment are. `sshd` takes the first line with
/// a key: that line gets the declared options and comment, and further lines with the same key are removed. Without
/// `options` and `comment`, those of a line that is there stay.
///
/// The file belongs to the user, with mode 0600, and so does `~/.ssh`, with mode 0700; both are made if they are
/// missing. The home directory must exist. Since the user may change everything there, symlinks are not followed, the
/// file is replaced as a whole, and what belongs to a third user is refused.
///
/// The resource is checked when the file or `/etc/passwd` changes, and needs no `poll`. A key that must be absent, of a
/// user that does not exist, is absent.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("keys");
/// let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ann@laptop";
/// g.add(SshAuthorizedKey::new("ann's laptop", "ann").content(line));
/// let body = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
/// let backup = SshAuthorizedKey::new("backup", "backup").r#type("ssh-ed25519").key(body);
/// g.add(backup.options(["restrict", "command=\"/usr/local/bin/backup\""]));
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "ssh:authorized_key", inline = watch)]
pub struct SshAuthorizedKey {
    /// The name of the resource.
    #[resource(name)]
    name: String,
    /// The user to whom the file belongs, by name. It must be in `/etc/passwd`.
    user: String,
    /// Whether the key is in the file (`exists`) or not (`absent`). Default: `exists`.
    #[resource(default)]
    state: AccountState,
    /// The whole line: options, type, key and comment, as `ssh-keygen` writes it to a file `.pub`. This, or `type` and
    /// `key`, must be given.
    content: Option<String>,
    /// The type of the key, such as `ssh-ed25519`.
    r#type: Option<String>,
    /// The key itself, in base64: what follows the type in a file `.pub`.
    key: Option<String>,
    /// The comment, which ends the line. Default: as it is; for a new line, none.
    comment: Option<String>,
    /// The options of the key, each as `authorized_keys(5)` has it, such as `no-pty` or `from="10.0.0.0/8"`. An empty
    /// list means no options. Default: as they are; for a new line, none.
    options: Option<Vec<String>>,
    /// The file, an absolute path, whose directory must exist. Default: `.ssh/authorized_keys` in the home directory of
    /// the user.
    file: Option<String>,
}

impl SshAuthorizedKeyBuilder {
    /// Declares that the key is in the file. The default.
    pub fn exists(self) -> Self {
        self.state(AccountState::Exists)
    }

    /// Declares that the key is not in the file.
    pub fn absent(self) -> Self {
        self.state(AccountState::Absent)
    }
}

/// What is not as declared of a key.
#[derive(Clone, Debug)]
pub struct SshAuthorizedKeyDrift(Vec<Change>);

impl Drift for SshAuthorizedKeyDrift {
    fn changes(&self) -> Vec<Change> {
        self.0.clone()
    }
}

/// A key of a user, or of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct KeyOf {
    /// The user, or the path of the file.
    pub(super) place: String,
    pub(super) algorithm: String,
    pub(super) body: String,
}

impl fmt::Display for KeyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}` of `{}", self.algorithm, crate::id::shortened(&self.body, 30), self.place)
    }
}

impl UidKey for KeyOf {
    const WORD: &'static str = "key";
}

/// The file that the watch of a resource listens to, and that it must listen to another one.
#[derive(Debug, Default)]
struct Listening {
    path: Mutex<Option<PathBuf>>,
    moved: Notify,
}

/// The fields that make up the key.
const KEY_FIELDS: [&str; 3] = ["content", "type", "key"];

impl Converge for SshAuthorizedKey {
    type Drift = SshAuthorizedKeyDrift;

    const WORKS_ON_FILES: bool = true;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let options = self.options.iter().flatten().find_map(|option| {
            let why = wrong_option(option)?;
            Some(FieldProblem::new("options", format!("`{}` {why}", option.escape_debug()), "see `authorized_keys(5)`"))
        });
        let comment = self.comment.as_deref().unwrap_or_default();
        let is_line = !comment.contains(char::is_control) && comment.trim() == comment;
        let remedy = "give a text without blanks at its ends, or leave it out";
        let comment = known.require("comment", is_line, "does not stay as it is in a line", remedy);
        let file = self.file.as_ref().and_then(|file| FieldProblem::of_path("file", Path::new(file)));
        every([wrong_name("user", &self.user), self.wrong_key(known), options, comment, file])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<SshAuthorizedKeyDrift>> {
        let (me, files, listening) = (self.clone(), cx.shared::<AccountFiles>(), cx.local::<Listening>());
        let look = cx.look(move |fs, _| {
            let wanted = me.wanted()?;
            let Some(file) = me.place(fs, &files)? else {
                // Something that comes before this may make the user.
                let found = (!wanted.is_absent).then(|| Change::new("state", "absent", "exists"));
                return Ok(found.into_iter().collect());
            };
            listening.follow(&file.path);
            file.changes(fs, &wanted)
        });
        let changes: Vec<Change> = look.await?;
        Ok((!changes.is_empty()).then_some(SshAuthorizedKeyDrift(changes)))
    }

    async fn apply(&self, cx: &ApplyCx, _: SshAuthorizedKeyDrift) -> Result<()> {
        let (me, files, turn) = (self.clone(), cx.shared::<AccountFiles>(), cx.shared::<KeyTurn>());
        let (recorders, listening) = (cx.recorders::<SshAuthorizedKey>(), cx.local::<Listening>());
        let change = cx.change(move |fs, stop| {
            let wanted = me.wanted()?;
            let file = me.place(fs, &files)?.ok_or_else(|| me.no_user())?;
            listening.follow(&file.path);
            let record = |text: Option<&[u8]>, has_dir| file.record(&recorders, &wanted, text, has_dir);
            file.edit(fs, &turn, stop, !wanted.is_absent, |text| wanted.edited(text), record)
        });
        if !change.await? {
            cx.unchanged();
        }
        Ok(())
    }

    async fn foresee(&self, cx: &CheckCx, _: &SshAuthorizedKeyDrift) -> Result<()> {
        let (me, files) = (self.clone(), cx.shared::<AccountFiles>());
        cx.look(move |fs, _| me.place(fs, &files)?.map(drop).ok_or_else(|| me.no_user())).await
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let path = self.guess();
        let listening = cx.local::<Listening>();
        let path = listening.begin(path);
        let moved = Watch::unfold(true, move |is_new| {
            let listening = Arc::clone(&listening);
            async move {
                if is_new {
                    return Ok((WatchEvent::Ready, false));
                }
                listening.moved.notified().await;
                let why = "the file of keys is another one now, which is watched in a moment";
                Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Changing)))
            }
        });
        cx.fs().path(PASSWD).and(cx.fs().path(path)).and(moved)
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        let wanted = self.wanted().ok().filter(|_| known.are_known(KEY_FIELDS) && known.are_known(["user", "file"]));
        let place = self.file.clone().unwrap_or_else(|| self.user.clone());
        let key = wanted.map(|wanted| Uid::of(KeyOf { place, algorithm: wanted.algorithm, body: wanted.body }));
        key.into_iter().collect()
    }

    fn parts(&self, known: &Known<'_>) -> Vec<PathBuf> {
        let path = known.are_known(["user", "file"]).then(|| normal_form(&self.guess()).ok()).flatten();
        path.into_iter().collect()
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        let user = known.is_known("user").then(|| Uid::of(UserKey(self.user.clone())));
        let user = user.map(|user| Need::after(user).because("its user"));
        let file = self.parts(known).into_iter().map(|path| Need::after(Uid::Path(path)).because("its file"));
        user.into_iter().chain(file).collect()
    }

    fn is_absent(&self, known: &Known<'_>) -> Option<bool> {
        known.is_known("state").then_some(self.state == AccountState::Absent)
    }
}

impl Listening {
    /// The path to watch: the last one that was found, or else this one.
    fn begin(&self, guess: PathBuf) -> PathBuf {
        let mut path = self.path.lock().unwrap_or_else(PoisonError::into_inner);
        path.get_or_insert(guess).clone()
    }

    /// The file is this one: if another one is watched, the watch begins again.
    fn follow(&self, found: &Path) {
        let mut path = self.path.lock().unwrap_or_else(PoisonError::into_inner);
        if path.as_deref().is_some_and(|path| path != found) {
            *path = Some(found.to_owned());
            self.moved.notify_one();
        }
    }
}

impl SshAuthorizedKey {
    /// The file, as far as the fields tell.
    fn guess(&self) -> PathBuf {
        match &self.file {
            Some(file) => PathBuf::from(file),
            None if self.user == "root" => usual(Path::new("/root")),
            None => usual(&Path::new("/home").join(&self.user)),
        }
    }

    fn place(&self, fs: &ReadFs, files: &AccountFiles) -> Result<Option<KeyFile>> {
        KeyFile::find(fs, files, &self.user, self.file.as_ref().map(PathBuf::from))
    }

    fn no_user(&self) -> Error {
        let user = &self.user;
        let why = format!("the user `{user}` does not exist, or is not in {PASSWD}: declare it too, as user[{user}]");
        Error::new(why).waiting_for(missing(PASSWD))
    }

    fn wrong_key(&self, known: &Known<'_>) -> Option<FieldProblem> {
        let has_parts = self.r#type.is_some() || self.key.is_some() || self.comment.is_some() || self.options.is_some();
        let all = ["content", "type", "key", "comment", "options"];
        if let Some(content) = &self.content {
            let both =
                known.require(all, !has_parts, "with `type`, `key`, `comment` or `options`", "give only one of them");
            return both.or_else(|| {
                let remedy = "give one line of a file `.pub`";
                let wrong = |problem: String| Some(FieldProblem::new("content", problem, remedy));
                match KeyLine::parse(content) {
                    _ if content.trim_end_matches(['\n', '\r']).contains(char::is_control) => {
                        wrong("is not one line".to_owned())
                    }
                    None => wrong("holds no key".to_owned()),
                    Some(line) => KeyLine::problem(&line.algorithm, &line.body).and_then(wrong),
                }
            });
        }
        let (Some(algorithm), Some(body)) = (&self.r#type, &self.key) else {
            return known.require(KEY_FIELDS, false, "are missing", "give `content`, or `type` and `key`");
        };
        let problem = KeyLine::problem(algorithm, body)?;
        Some(FieldProblem::new(["key", "type"], problem, "give what a file `.pub` has"))
    }

    fn wanted(&self) -> Result<KeyWanted> {
        let is_absent = self.state == AccountState::Absent;
        if let Some(content) = &self.content {
            let line = KeyLine::parse(content.trim_end_matches(['\n', '\r']));
            let KeyLine { options, algorithm, body, comment } =
                line.ok_or_else(|| Error::new("`content` holds no key"))?;
            return Ok(KeyWanted { algorithm, body, options: Some(options), comment: Some(comment), is_absent });
        }
        let given = self.r#type.clone().zip(self.key.clone());
        let (algorithm, body) = given.ok_or_else(|| Error::new("`type` or `key` is missing"))?;
        let options = self.options.as_ref().map(|options| options.join(","));
        Ok(KeyWanted { algorithm, body, options, comment: self.comment.clone(), is_absent })
    }
}
