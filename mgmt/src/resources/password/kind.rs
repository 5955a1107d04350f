//! The kind `password`.

use std::io;
use std::path::PathBuf;

use crate::resource::{
    ApplyCx, Change, CheckCx, Context as _, Converge, Drift, Error, FieldProblem, Known as KnownFields, Refresh,
    Result, Secret, Watch, WatchCx, every,
};
use crate::resources::password::charset::Charset;
use crate::resources::password::mark::{Known, Mark, State};
use crate::sys::fs::{Attributes, FsError, WriteOptions};
use crate::sys::rng;
use crate::sys::task::blocking;
use mgmt_macros::Resource;

/// The work factor of bcrypt: 2 to the power of this.
const COST: u32 = 10;
/// The file that keeps the text of the password, in the private directory of the resource.
const FILE: &str = "password";
/// The longest password, in characters.
const LENGTH_MAX: usize = 65_535;

/// Makes a random password when it first runs, and sends it to other resources.
///
/// The engine remembers that the password was made, and its bcrypt hash. It does not keep the text of the password
/// unless `saved` is set. After a restart the same hash is sent, and receivers that have the password keep it: a file
/// is recognised by its digest. If a receiver needs the text, a new password is made, and all receivers get it. A new
/// password is also made on a refresh, and when `length` or `charset` changes.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "password", inline = watch)]
pub struct Password {
    /// The name of the resource.
    #[resource(name)]
    name: String,
    /// The number of characters, 1 to 65535. Default: 24. (bcrypt, and so `hash`, uses only the first 72 bytes.)
    #[resource(default = 24usize)]
    length: usize,
    /// The characters to choose from. Default: letters.
    #[resource(default)]
    charset: Charset,
    /// Whether to keep the text of the password, in a file below the engine's working directory that only the engine's
    /// user can read. A file that is lost or changed is written again. It survives the loss of the journal, and the
    /// return of an older one: a saved text that can be the password stays the password. Default: false.
    #[resource(default)]
    saved: bool,

    /// The password, without a newline.
    #[resource(send)]
    password: Secret<String>,
    /// The bcrypt hash of the password, as web servers and others take it.
    #[resource(send)]
    hash: Secret<String>,
}

/// What is wrong with a password.
#[derive(Debug)]
pub enum PasswordDrift {
    /// There is no password, or it is not as declared: a new one must be made.
    Generate(Change),
    /// The password is saved, but the journal, which was lost or is an older one, has no mark of it. It stays the
    /// password.
    Adopt(Secret<String>),
    /// The file with the text must be written.
    Save(Secret<String>),
    /// The file with the text must be removed.
    Forget,
}

impl Drift for PasswordDrift {
    fn changes(&self) -> Vec<Change> {
        vec![match self {
            PasswordDrift::Generate(change) => change.clone(),
            PasswordDrift::Adopt(_) => Change::new("password", "saved, but not remembered", "remembered"),
            PasswordDrift::Save(_) => Change::new("saved", "not saved", "saved"),
            PasswordDrift::Forget => Change::new("saved", "saved", "not saved"),
        }]
    }
}

/// The drift of a password that must be made, for this reason.
fn generate(from: impl std::fmt::Display) -> Option<PasswordDrift> {
    Some(PasswordDrift::Generate(Change::new("password", from, "a new one")))
}

impl Converge for Password {
    type Drift = PasswordDrift;

    const STANDS_ALONE: bool = true;
    const LASTS: bool = false;

    fn validate(&self, known: &KnownFields<'_>) -> Vec<FieldProblem> {
        let is_good = (1..=LENGTH_MAX).contains(&self.length);
        let remedy = format_args!("give 1 to {LENGTH_MAX} characters");
        let length = known.require("length", is_good, format_args!("is {}", self.length), remedy);
        let charset = self.charset.problem().map(|(problem, remedy)| FieldProblem::new("charset", problem, remedy));
        every([length, charset])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<PasswordDrift>> {
        let saved = self.read_saved(cx).await?;
        let Some(mark) = Mark::read(cx) else {
            let saved = saved.filter(|text| self.may_be(text.declassify()));
            return Ok(saved.map_or_else(|| generate("none yet"), |text| Some(PasswordDrift::Adopt(text))));
        };
        let state = cx.local::<State>();
        let mut known = state.known(&mark);
        if let (None, Some(text)) = (&known, &saved) {
            let hash = mark.hash.clone();
            let text = text.clone();
            // Slow by design: so done once in the life of a process.
            known = blocking(move || {
                let same = bcrypt::verify(text.declassify(), &hash).unwrap_or(false);
                same.then(|| Known { password: text, hash: Secret::new(hash) })
            })
            .await;
            known.iter().for_each(|known| state.set(known.clone()));
        }
        match &saved {
            // The journal is older than the file: one of a backup, for example.
            Some(text) if self.saved && known.is_none() && self.may_be(text.declassify()) => {
                return Ok(Some(PasswordDrift::Adopt(text.clone())));
            }
            _ => {}
        }
        if mark.length != self.length {
            return Ok(generate(format_args!("one of {} characters", mark.length)));
        }
        if mark.charset != self.charset {
            return Ok(generate("one of other characters"));
        }
        match (&known, saved) {
            (None, None) if self.saved => return Ok(generate("made, but its file is gone")),
            (None, Some(_)) if self.saved => return Ok(generate("made, but its file holds something else")),
            (Some(known), saved) if self.saved && saved.as_ref() != Some(&known.password) => {
                return Ok(Some(PasswordDrift::Save(known.password.clone())));
            }
            (_, Some(_)) if !self.saved => return Ok(Some(PasswordDrift::Forget)),
            _ => {}
        }
        match known {
            Some(known) => send(cx, known),
            None => {
                cx.send_unchanged(Password::PASSWORD);
                cx.send(Password::HASH, Secret::new(mark.hash));
            }
        }
        Ok(None)
    }

    async fn apply(&self, cx: &ApplyCx, drift: PasswordDrift) -> Result<()> {
        match drift {
            PasswordDrift::Generate(_) => return self.generate(cx).await,
            PasswordDrift::Adopt(password) => {
                let hashed = blocking(move || hashed(password));
                self.remember(cx, hashed.await.context("hashing the saved password")?).await?;
            }
            PasswordDrift::Save(password) => self.save(cx, password).await?,
            PasswordDrift::Forget => {
                let file = file(cx);
                cx.change(move |fs, _| fs.remove_file(file)).await.context("the saved password")?;
            }
        }
        // The password is still the same: its receivers have nothing to do.
        cx.unchanged();
        match Mark::read(cx) {
            Some(mark) => match cx.local::<State>().known(&mark) {
                Some(known) => send(cx, known),
                None => cx.send_unchanged(Password::PASSWORD),
            },
            None => return Err(Error::new("its mark has disappeared meanwhile")),
        }
        Ok(())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        if self.saved { cx.fs().path(cx.var_dir().join(FILE)) } else { Watch::none() }
    }
}

impl Refresh for Password {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        self.generate(cx).await?;
        Ok(true)
    }
}

fn send(cx: &CheckCx, known: Known) {
    cx.send(Password::PASSWORD, known.password);
    cx.send(Password::HASH, known.hash);
}

/// A password with its hash. Slow by design.
fn hashed(password: Secret<String>) -> io::Result<Known> {
    let hash = bcrypt::hash(password.declassify(), COST).map_err(io::Error::other)?;
    Ok(Known { password, hash: Secret::new(hash) })
}

fn file(cx: &CheckCx) -> PathBuf {
    cx.var_dir().join(FILE)
}

impl Password {
    /// Makes a new password.
    async fn generate(&self, cx: &ApplyCx) -> Result<()> {
        let (length, charset) = (self.length, self.charset.clone());
        let made = blocking(move || -> io::Result<Known> {
            let mut text = rng::letters(length, charset.chars())?;
            hashed(Secret::new(std::mem::take(&mut *text)))
        });
        let known = made.await.context("making a password")?;
        if self.saved {
            self.save(cx, known.password.clone()).await?;
        }
        self.remember(cx, known.clone()).await?;
        send(cx, known);
        Ok(())
    }

    /// Whether this text can be a password as declared.
    fn may_be(&self, text: &str) -> bool {
        text.chars().count() == self.length && text.chars().all(|c| self.charset.chars().contains(c))
    }

    async fn remember(&self, cx: &ApplyCx, known: Known) -> Result<()> {
        let mark = Mark {
            generated: true,
            length: self.length,
            charset: self.charset.clone(),
            hash: known.hash.declassify().clone(),
        };
        // In memory first: if this is cancelled here, the mark may still be written, and then finds its password.
        cx.local::<State>().set(known);
        cx.set_mark(Some(serde_json::to_vec(&mark)?)).await
    }

    async fn save(&self, cx: &ApplyCx, password: Secret<String>) -> Result<()> {
        let (dir, file) = (cx.var_dir(), file(cx));
        let written = cx.change(move |fs, _| {
            fs.make_dirs(dir, &Attributes::new().mode(0o700))?;
            let line = password.map(|text| format!("{text}\n"));
            fs.write_file(file, line.declassify().as_bytes(), &WriteOptions::new().mode(0o600))
        });
        written.await.map(drop).context("the saved password")
    }

    /// The text that an earlier run saved; `None` also if the text can't be a password.
    async fn read_saved(&self, cx: &CheckCx) -> Result<Option<Secret<String>>> {
        let path = file(cx);
        // A character of UTF-8 has at most four bytes.
        let read = cx.look(move |fs, _| fs.read_file(path, 4 * LENGTH_MAX as u64 + 1)).await;
        match read {
            Ok(bytes) => {
                let text = Secret::new(String::from_utf8(bytes).unwrap_or_default());
                Ok(Some(text.map(|text| text.strip_suffix('\n').unwrap_or(text).to_owned())))
            }
            Err(error) if error.is_missing() => Ok(None),
            Err(FsError::TooLarge { .. }) => Ok(Some(Secret::default())),
            Err(error) => Err(error).context("the saved password"),
        }
    }
}
