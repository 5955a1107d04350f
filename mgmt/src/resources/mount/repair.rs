//! A repair: the file, systemd, and what is mounted.

use std::path::Path;

use crate::resource::{ApplyCx, Result, Stopping};
use crate::resources::edits::FileEdit;
use crate::resources::locks::Locks;
use crate::resources::mount::commands::{self, Reloads};
use crate::resources::mount::fstab::{self, FILE};
use crate::resources::mount::kind::Mount;
use crate::resources::mount::look::{Act, Found, Pending, as_text, must_be_there};
use crate::resources::mount::reverse;
use crate::resources::mount::state::MountState;
use crate::resources::mount::wanted::{Wanted, What};
use crate::sys::fs::WriteFs;

/// Does what the check has found. What an interruption leaves, the next check finds: by the mark, if by nothing else.
pub(super) async fn repair(cx: &ApplyCx, wanted: &Wanted, found: &Found) -> Result<()> {
    let recorders = cx.recorders::<Mount>();
    if !recorders.is_empty() {
        let wanted = wanted.clone();
        let record = move |fs: &WriteFs, _: &Stopping| {
            recorders.iter().try_for_each(|recorder| reverse::record(recorder, fs, &wanted))
        };
        cx.change(record).await?;
    }
    // What is in use stays in the file.
    if found.act == Act::Unmount {
        commands::unmount(cx, wanted).await?;
    }
    let mut pending = found.pending;
    if found.entry {
        let is_remount = found.act == Act::Remount && wanted.state == MountState::Mounted;
        pending = Pending { reload: true, remount: pending.remount || is_remount };
        cx.set_mark(pending.to_mark()).await?;
        edit(cx, wanted).await?;
    }
    if pending.reload {
        commands::reload(cx).await?;
    }
    match found.act {
        Act::Nothing | Act::Unmount => {}
        Act::Mount => mount(cx, wanted).await?,
        Act::Again => {
            commands::unmount(cx, wanted).await?;
            mount(cx, wanted).await?;
        }
        Act::Remount => commands::remount(cx, wanted).await?,
    }
    if pending != Pending::default() {
        cx.set_mark(None).await?;
    }
    Ok(())
}

async fn mount(cx: &ApplyCx, wanted: &Wanted) -> Result<()> {
    if let What::Point(point) = &wanted.what {
        let (point, owned) = (point.clone(), cx.owned_paths());
        cx.look(move |fs, _| must_be_there(fs, &owned, &point)).await?;
    }
    commands::mount(cx, wanted).await
}

/// Changes the file.
async fn edit(cx: &ApplyCx, wanted: &Wanted) -> Result<()> {
    let (wanted, locks, owned) = (wanted.clone(), cx.shared::<Locks>(), cx.owned_paths());
    let (is_announced, reloads) = (cx.owes_refreshes(), cx.shared::<Reloads>());
    let work = move |fs: &WriteFs, stop: &Stopping| {
        let (locks, owned) = (&*locks, &*owned);
        let path = Path::new(FILE);
        let edit = FileEdit { path, locks, owned, stop, is_announced, removes_empty: false };
        let is_changed = edit.run(fs, |text| {
            let text = as_text(text.unwrap_or_default().to_vec())?;
            let new = fstab::with(&text, wanted.which(), wanted.kept_entry());
            Ok((new != text).then(|| new.into_bytes()))
        })?;
        // Here, so that it is noted even if the operation is cancelled meanwhile.
        if is_changed {
            reloads.changed();
        }
        Ok(())
    };
    cx.change(work).await
}
