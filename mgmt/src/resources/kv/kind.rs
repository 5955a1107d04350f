//! The kind `kv`.

use std::cmp::Ordering;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::id::shortened;
use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Error, FieldProblem, Keys, Known, Refresh, Result, Uid, UidKey,
    VALUE_BYTES_MAX, Watch, WatchCx, WorldWrite, every, value_key,
};
use crate::resources::kv::reverse::{record, record_shared};
use crate::resources::kv::skip::{SkipCmpStyle, number};
use crate::resources::kv::store::{self, KEY_BYTES_MAX};
use crate::resources::kv::world::{self, Found};
use mgmt_macros::Resource;

/// A value under a key: set, or removed if no `value` is given. If the engine has a world, the value is there, for all
/// hosts: the closures of [`native`](crate::gapi::native) read it with `cx.world().value("key")`, or with `values` if
/// it is `mapped`. Otherwise it is in the store of this host. Stored values outlive the program, and also the resource:
/// when that leaves the graph, the value stays, unless the resource is declared with `reverse`; then the value is again
/// what it was before. A stored value is never a secret: every host of the world can read it.
///
/// What another program changes is mended at once. So only one host should declare a value that all share, or all hosts
/// the same one, or with `skiplessthan`. While the world can't be reached, the resource waits, and uses up no try.
///
/// The store of this host is in the engine's working directory, in a file for each key that only the engine's user can
/// read.
///
/// With `skiplessthan` the value only grows: a stored value that is equal or greater is kept, whatever is declared,
/// also if several hosts set it at once. So the steps of a procedure can be counted, which never go back. A refresh
/// sets the declared value even then.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "kv", inline = watch)]
pub struct Kv {
    /// The name of the resource.
    #[resource(name)]
    name: String,
    /// The key: 1 to 4096 bytes. Default: the name.
    key: Option<String>,
    /// The value: at most 1 MiB. Default: none, so that nothing is stored under the key.
    value: Option<String>,
    /// Whether each host has its own value under the key, by its host name. Default: false, so there is one.
    #[resource(default)]
    mapped: bool,
    /// Whether a stored value that is not less than `value` is kept. Default: false.
    #[resource(default)]
    skiplessthan: bool,
    /// How values are compared for `skiplessthan`: as whole numbers (`int`) or as texts (`string`). Default: `int`.
    #[resource(default)]
    skipcmpstyle: SkipCmpStyle,

    /// The value that is stored, which with `skiplessthan` can be greater than the declared one.
    #[resource(send)]
    stored: String,
}

/// A key of the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct KvKey(pub(super) String);

impl fmt::Display for KvKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl UidKey for KvKey {
    const WORD: &'static str = "key";
}

impl Converge for Kv {
    type Drift = Change;

    const STANDS_ALONE: bool = true;

    const WORKS_ON_FILES: bool = true;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let bytes = self.key().len();
        let key = match bytes {
            0 => Some(("is empty".to_owned(), "give at least one character")),
            1..=KEY_BYTES_MAX => None,
            _ => Some((format!("has {bytes} bytes"), "at most 4096 are allowed")),
        };
        let key = key.map(|(problem, remedy)| FieldProblem::new("key", problem, remedy));
        let bytes = self.value.as_ref().map_or(0, String::len);
        let size = known.require(
            "value",
            bytes <= VALUE_BYTES_MAX,
            format_args!("has {bytes} bytes"),
            format_args!("at most {VALUE_BYTES_MAX} are allowed"),
        );
        let grows = known.require(
            ["skiplessthan", "value"],
            !self.skiplessthan || self.value.is_some(),
            "is set, and there is no `value` to compare",
            "give one, or leave it out",
        );
        let is_number = self.value.as_ref().is_none_or(|value| number(value).is_some());
        let is_compared = self.skiplessthan && self.skipcmpstyle == SkipCmpStyle::Int;
        let number = known.require(
            ["value", "skiplessthan", "skipcmpstyle"],
            is_number || !is_compared,
            "is no whole number, and is compared as one",
            "give a number, or set `skipcmpstyle` to string",
        );
        every([key, size, grows, number])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let found = self.found(cx).await?;
        let is_kept = match found.text() {
            None if !found.is_nothing() => false,
            // A refresh asks for exactly the declared value.
            text if cx.refresh_owed() => text == self.value.as_ref(),
            text => self.is_kept(text)?,
        };
        if is_kept {
            if let Some(value) = found.text() {
                cx.send(Kv::STORED, value.clone());
            }
            return Ok(None);
        }
        let from = match &found {
            Found::NoText(bytes) => format!("{bytes} bytes that are no text"),
            found => shown(found.text()),
        };
        Ok(Some(Change::new("value", from, shown(self.value.as_ref()))))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        if !self.store(cx, cx.refresh_owed()).await? {
            cx.unchanged();
        }
        Ok(())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        match cx.world() {
            Some(world) => {
                let host = self.mapped.then(|| world.host().to_owned());
                world.watch(vec![Keys::One(value_key(self.key(), host.as_deref()))])
            }
            None => cx.fs().path(self.file(&cx.var_dir())),
        }
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        if known.is_known("key") { vec![Uid::of(KvKey(self.key().to_owned()))] } else { Vec::new() }
    }
}

impl Refresh for Kv {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        if self.is_declared(&self.found(cx).await?) {
            return Ok(false);
        }
        self.store(cx, true).await
    }
}

impl Kv {
    fn key(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.name)
    }

    /// The name under which a value of this host is stored.
    fn host(&self, cx: &CheckCx) -> Option<String> {
        self.mapped.then(|| cx.hostname().to_owned())
    }

    /// The file of the key. The store is where the private directories of this kind are, which are not used.
    fn file(&self, private: &Path) -> PathBuf {
        store::file(private.parent().unwrap_or(private), self.key())
    }

    /// Whether the stored value stays where no refresh asks for the declared one.
    fn is_kept(&self, found: Option<&String>) -> Result<bool> {
        let (Some(found), Some(value), true) = (found, &self.value, self.skiplessthan) else {
            return Ok(found == self.value.as_ref());
        };
        match self.skipcmpstyle.compare(found, value) {
            Some(order) => Ok(order != Ordering::Less),
            None => {
                let shown = shown(Some(found));
                Err(Error::new(format!(
                    "{shown} is stored, which is no whole number to compare with: set `skipcmpstyle` to string, or notify \
                     this resource, which sets its value in any case"
                )))
            }
        }
    }

    /// What is stored.
    async fn found(&self, cx: &CheckCx) -> Result<Found> {
        let host = self.host(cx);
        if let Some(world) = cx.world() {
            return world::read(&world, self.key(), host.as_deref()).await;
        }
        let (file, key) = (self.file(&cx.var_dir()), self.key().to_owned());
        let stored = cx.look(move |fs, _| store::read(fs, &file, &key)).await?;
        Ok(stored.value(host.as_deref()).cloned().map_or(Found::Nothing, Found::Text))
    }

    /// Whether exactly the declared value is stored.
    fn is_declared(&self, found: &Found) -> bool {
        found.text() == self.value.as_ref() && (self.value.is_some() || found.is_nothing())
    }

    /// Stores the declared value; in the world, unless another host has stored one meanwhile that stays. `exactly`: no
    /// other one stays. Returns whether it was stored.
    async fn store(&self, cx: &ApplyCx, exactly: bool) -> Result<bool> {
        if let Some(world) = cx.world_mut() {
            return self.store_shared(cx, &world, exactly).await;
        }
        let (file, key, host) = (self.file(&cx.var_dir()), self.key().to_owned(), self.host(cx));
        let (value, recorders) = (self.value.clone(), cx.recorders::<Kv>());
        let stored = cx.change(move |fs, _| {
            for recorder in &recorders {
                record(recorder, fs, &file, (&key, host.as_deref()), value.as_ref())?;
            }
            store::write(fs, &file, &key, host.as_deref(), value)
        });
        stored.await?;
        if let Some(value) = &self.value {
            cx.send(Kv::STORED, value.clone());
        }
        Ok(true)
    }

    async fn store_shared(&self, cx: &ApplyCx, world: &WorldWrite, exactly: bool) -> Result<bool> {
        let (host, recorders) = (self.host(cx), cx.recorders::<Kv>());
        let stays = |found: &Found| {
            let stays = match found {
                Found::Text(text) if !exactly => self.is_kept(Some(text))?,
                found => self.is_declared(found),
            };
            for recorder in recorders.iter().filter(|_| !stays) {
                record_shared(recorder, (self.key(), host.as_deref()), found.text(), self.value.as_ref())?;
            }
            Ok(stays)
        };
        let (now, is_written) = world::write(world, (self.key(), host.as_deref()), self.value.as_ref(), stays).await?;
        if let Some(value) = now.text() {
            cx.send(Kv::STORED, value.clone());
        }
        Ok(is_written)
    }
}

/// The beginning of a value, on one line.
fn shown(value: Option<&String>) -> String {
    const CHARS_MAX: usize = 100;
    value.map_or("none".to_owned(), |value| format!("`{}`", shortened(value, CHARS_MAX)))
}
