//! What was stored under a key before a resource changed it, and is put back when that has left the graph.

use serde::{Deserialize, Serialize};

use crate::id::in_one_line;
use crate::resource::{ApplyCx, Recorded, Recorder, Result, Reverse, Uid, Undone, WorldWrite};
use crate::resources::kv::kind::{Kv, KvKey};
use crate::resources::kv::store;
use crate::resources::kv::world::{self, Found};
use crate::sys::fs::ReadFs;

/// What was stored under each key that the resource has had.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct KvRecord {
    keys: Vec<KeyRecord>,
}

/// One key.
#[derive(Debug, Serialize, Deserialize)]
struct KeyRecord {
    key: String,
    /// The name under which a value of this host is stored; `None`: all hosts share one.
    host: Option<String>,
    /// Whether it is in the world, not in the store of this host.
    #[serde(default)]
    is_shared: bool,
    was: Option<String>,
    /// What the last changes stored: another value is one of another program.
    ours: Vec<Option<String>>,
}

/// The changes that `ours` names.
const OURS_MAX: usize = 2;

impl KvRecord {
    /// Adds that `value` takes the place of what is there. `was` returns that; it is asked only for the first change.
    fn add(
        &mut self,
        (key, host, is_shared): (&str, Option<&str>, bool),
        was: impl FnOnce() -> Result<Option<String>>,
        value: Option<&String>,
    ) -> Result<()> {
        let is_this =
            |known: &KeyRecord| known.key == key && known.host.as_deref() == host && known.is_shared == is_shared;
        let at = match self.keys.iter().position(is_this) {
            Some(at) => at,
            None => {
                let (key, host) = (key.to_owned(), host.map(str::to_owned));
                self.keys.push(KeyRecord { key, host, is_shared, was: was()?, ours: Vec::new() });
                self.keys.len() - 1
            }
        };
        let ours = &mut self.keys[at].ours;
        ours.extend((ours.last() != Some(&value.cloned())).then(|| value.cloned()));
        let surplus = ours.len().saturating_sub(OURS_MAX);
        ours.drain(..surplus);
        Ok(())
    }
}

/// Records what is stored under the key on this host, before `value` takes its place.
pub(super) fn record(
    recorder: &Recorder<Kv>,
    fs: &ReadFs,
    file: &std::path::Path,
    (key, host): (&str, Option<&str>),
    value: Option<&String>,
) -> Result<()> {
    let mut record = recorder.read()?.unwrap_or_default();
    record.add((key, host, false), || Ok(store::read(fs, file, key)?.value(host).cloned()), value)?;
    recorder.write(&record)
}

/// The same for what the world has.
pub(super) fn record_shared(
    recorder: &Recorder<Kv>,
    (key, host): (&str, Option<&str>),
    was: Option<&String>,
    value: Option<&String>,
) -> Result<()> {
    let mut record = recorder.read()?.unwrap_or_default();
    record.add((key, host, true), || Ok(was.cloned()), value)?;
    recorder.write(&record)
}

impl Reverse for Kv {
    type Record = KvRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<KvRecord>) -> Result<Undone> {
        let mut undone = Undone::default();
        for known in record.data.keys.into_iter().rev() {
            undone = match (known.is_shared, cx.world_mut()) {
                (false, _) => undo_here(cx, known, undone).await?,
                (true, Some(world)) => undo_shared(&world, &known, undone).await?,
                (true, None) => {
                    let key = in_one_line(&known.key);
                    undone.kept(format!("the value of `{key}` is in a world, and this engine has none"))
                }
            };
        }
        Ok(undone)
    }

    fn describe(record: &KvRecord) -> Vec<String> {
        record.keys.iter().map(|known| describe(&known.key, known.was.as_ref())).collect()
    }

    fn owns(record: &KvRecord) -> Vec<Uid> {
        record.keys.iter().map(|known| Uid::of(KvKey(known.key.clone()))).collect()
    }
}

impl KeyRecord {
    fn kept(&self) -> String {
        format!("the value of `{}` was changed by another program", in_one_line(&self.key))
    }
}

async fn undo_here(cx: &ApplyCx, known: KeyRecord, undone: Undone) -> Result<Undone> {
    let private = cx.var_dir();
    let undone = cx.change(move |fs, stop| {
        stop.check()?;
        let (key, host) = (&known.key, known.host.as_deref());
        let file = store::file(private.parent().unwrap_or(&private), key);
        let now = store::read(fs, &file, key)?.value(host).cloned();
        if now == known.was {
            return Ok(undone);
        }
        if !known.ours.contains(&now) {
            return Ok(undone.kept(known.kept()));
        }
        let done = describe(key, known.was.as_ref());
        store::write(fs, &file, key, host, known.was.clone())?;
        Ok(undone.did(done))
    });
    undone.await
}

async fn undo_shared(world: &WorldWrite, known: &KeyRecord, undone: Undone) -> Result<Undone> {
    let mut is_theirs = false;
    let stays = |found: &Found| {
        let now = found.text().cloned();
        is_theirs = now != known.was && (!known.ours.contains(&now) || now.is_none() && !found.is_nothing());
        Ok(is_theirs || now == known.was)
    };
    let (_, is_written) = world::write(world, (&known.key, known.host.as_deref()), known.was.as_ref(), stays).await?;
    Ok(match is_written {
        true => undone.did(describe(&known.key, known.was.as_ref())),
        false if is_theirs => undone.kept(known.kept()),
        false => undone,
    })
}

fn describe(key: &str, was: Option<&String>) -> String {
    let verb = if was.is_some() { "restore" } else { "remove" };
    format!("{verb} the value of `{}`", in_one_line(key))
}
