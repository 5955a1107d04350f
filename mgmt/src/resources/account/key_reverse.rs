//! How a key was in its file before a resource changed that, and putting it back when the resource has left the graph.

use serde::{Deserialize, Serialize};

use crate::resource::{ApplyCx, Recorded, Recorder, Result, Reverse, Uid, Undone};
use crate::resources::account::files::AccountFiles;
use crate::resources::account::key::{KeyOf, SshAuthorizedKey};
use crate::resources::account::key_edit::{KeyFile, KeyTurn};
use crate::resources::account::key_line::KeyLine;
use crate::resources::account::key_lines::{KeyWanted, restored};
use crate::resources::paths::shown;
use crate::sys::fs::SavedBytes;

/// How a key was in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyRecord {
    user: String,
    /// `None`: the usual file of the user.
    given: Option<SavedBytes>,
    path: SavedBytes,
    algorithm: String,
    body: String,
    /// The lines that held the key.
    was: Vec<KeyLine>,
    /// The file was not there.
    made: bool,
    /// Its directory was not there.
    made_dir: bool,
}

/// Records how the key is in this text of its file; `None`: there is no file.
pub(super) fn record(
    recorder: &Recorder<SshAuthorizedKey>,
    file: &KeyFile,
    wanted: &KeyWanted,
    text: Option<&[u8]>,
    has_dir: bool,
) -> Result<()> {
    let path = SavedBytes::path(&file.path);
    if recorder.read()?.is_some() {
        return Ok(());
    }
    let given = (!file.is_usual).then(|| path.clone());
    recorder.write(&KeyRecord {
        user: file.user.clone(),
        given,
        path,
        algorithm: wanted.algorithm.clone(),
        body: wanted.body.clone(),
        was: wanted.found(text.unwrap_or_default()),
        made: text.is_none(),
        made_dir: !has_dir,
    })
}

impl KeyRecord {
    fn describe(&self) -> String {
        let verb = if self.was.is_empty() { "remove" } else { "put back" };
        format!("{verb} the key of `{}` in {}", self.user, shown(&self.path.to_path()))
    }

    fn wanted(&self) -> KeyWanted {
        let (algorithm, body) = (self.algorithm.clone(), self.body.clone());
        KeyWanted { algorithm, body, options: None, comment: None, is_absent: self.was.is_empty() }
    }
}

impl Reverse for SshAuthorizedKey {
    type Record = KeyRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<KeyRecord>) -> Result<Undone> {
        let (turn, files) = (cx.shared::<KeyTurn>(), cx.shared::<AccountFiles>());
        let undo = cx.change(move |fs, stop| {
            let (record, wanted) = (&record.data, record.data.wanted());
            // The file in which the key was: a home directory that has moved since has taken the file with it.
            let found = KeyFile::find(fs, &files, &record.user, record.given.as_ref().map(SavedBytes::to_path))?;
            let Some(file) = found else { return Ok(Undone::default()) };
            let edited = |text: &[u8]| restored(text, &wanted, &record.was);
            let is_changed = file.edit(fs, &turn, stop, false, edited, |_, _| Ok(()))?;
            if record.made && fs.stat(&file.path)?.is_some_and(|stat| stat.is_file() && stat.size == 0) {
                fs.remove_file(&file.path)?;
            }
            let dir = file.path.parent().filter(|_| record.made_dir);
            if let Some(dir) = dir.filter(|dir| fs.read_dir(dir).is_ok_and(|entries| entries.is_empty())) {
                fs.remove_dir(dir)?;
            }
            Ok(if is_changed { Undone::default().did(record.describe()) } else { Undone::default() })
        });
        undo.await
    }

    fn describe(record: &KeyRecord) -> Vec<String> {
        vec![record.describe()]
    }

    fn owns(record: &KeyRecord) -> Vec<Uid> {
        let place = record.given.as_ref().map_or_else(|| record.user.clone(), |path| shown(&path.to_path()));
        vec![Uid::of(KeyOf { place, algorithm: record.algorithm.clone(), body: record.body.clone() })]
    }
}
