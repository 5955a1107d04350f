//! What was stored under a key before a resource changed it, and is put back when that has left the graph.

use serde::{Deserialize, Serialize};

use crate::id::in_one_line;
use crate::resource::{ApplyCx, Recorded, Recorder, Result, Reverse, Uid, Undone};
use crate::resources::kv::kind::{Kv, KvKey};
use crate::resources::kv::store;
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
    was: Option<String>,
    /// What the last changes stored: another value is one of another program.
    ours: Vec<Option<String>>,
}

/// The changes that `ours` names.
const OURS_MAX: usize = 2;

/// Records what is stored under the key, before `value` takes its place.
pub(super) fn record(
    recorder: &Recorder<Kv>,
    fs: &ReadFs,
    file: &std::path::Path,
    (key, host): (&str, Option<&str>),
    value: Option<&String>,
) -> Result<()> {
    let mut record = recorder.read()?.unwrap_or_default();
    let known = record.keys.iter().position(|known| known.key == key && known.host.as_deref() == host);
    let at = match known {
        Some(at) => at,
        None => {
            let was = store::read(fs, file, key)?.value(host).cloned();
            record.keys.push(KeyRecord { key: key.to_owned(), host: host.map(str::to_owned), was, ours: Vec::new() });
            record.keys.len() - 1
        }
    };
    let ours = &mut record.keys[at].ours;
    ours.extend((ours.last() != Some(&value.cloned())).then(|| value.cloned()));
    let surplus = ours.len().saturating_sub(OURS_MAX);
    ours.drain(..surplus);
    recorder.write(&record)
}

impl Reverse for Kv {
    type Record = KvRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<KvRecord>) -> Result<Undone> {
        let private = cx.var_dir();
        let undone = cx.change(move |fs, stop| {
            let mut undone = Undone::default();
            for KeyRecord { key, host, was, ours } in record.data.keys.into_iter().rev() {
                stop.check()?;
                let file = store::file(private.parent().unwrap_or(&private), &key);
                let now = store::read(fs, &file, &key)?.value(host.as_deref()).cloned();
                if now == was {
                    continue;
                }
                if !ours.contains(&now) {
                    undone =
                        undone.kept(format!("the value of `{}` was changed by another program", in_one_line(&key)));
                    continue;
                }
                let done = describe(&key, was.as_ref());
                store::write(fs, &file, &key, host.as_deref(), was)?;
                undone = undone.did(done);
            }
            Ok(undone)
        });
        undone.await
    }

    fn describe(record: &KvRecord) -> Vec<String> {
        record.keys.iter().map(|known| describe(&known.key, known.was.as_ref())).collect()
    }

    fn owns(record: &KvRecord) -> Vec<Uid> {
        record.keys.iter().map(|known| Uid::of(KvKey(known.key.clone()))).collect()
    }
}

fn describe(key: &str, was: Option<&String>) -> String {
    let verb = if was.is_some() { "restore" } else { "remove" };
    format!("{verb} the value of `{}`", in_one_line(key))
}
