//! The directory that the previous check on this thread has opened: the next check in it need not open it again.

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::read::Inner;
use super::walk::{Links, Near};

/// A directory that has been opened, or is about to be.
struct Kept {
    of: Weak<Inner>,
    links: Links,
    /// The number of the last operation that had begun before it was opened.
    since: u64,
    near: Arc<Near>,
}

thread_local! {
    /// `None`: this thread keeps nothing.
    static SHELF: RefCell<Option<Shelf>> = const { RefCell::new(None) };
}

#[derive(Default)]
struct Shelf {
    kept: Option<Kept>,
}

/// Gives the shelf up, also after a panic.
struct Clear;

impl Drop for Clear {
    fn drop(&mut self) {
        SHELF.with_borrow_mut(|shelf| *shelf = None);
    }
}

/// Runs checks one after the other: one that looks at the same directory as the check before uses the same open
/// directory, if that was opened after its own operation had begun. So it sees all that had happened by then. No
/// directory is held open when this returns.
pub fn share_directories<T>(run: impl FnOnce() -> T) -> T {
    SHELF.with_borrow_mut(|shelf| *shelf = Some(Shelf::default()));
    let _clear = Clear;
    run()
}

/// The directory `dir`, for the operation with the number `begun`; `None`: for no operation.
pub(super) fn near(inner: &Arc<Inner>, links: Links, dir: &Path, begun: Option<u64>) -> Arc<Near> {
    let new = || Arc::new(Near::new(dir));
    let Some(begun) = begun else { return new() };
    SHELF.with_borrow_mut(|shelf| {
        let Some(shelf) = shelf else { return new() };
        let fits = |kept: &&Kept| {
            kept.since >= begun
                && kept.links == links
                && kept.near.is_at(dir)
                && std::ptr::eq(kept.of.as_ptr(), Arc::as_ptr(inner))
        };
        if let Some(kept) = shelf.kept.as_ref().filter(fits) {
            return Arc::clone(&kept.near);
        }
        // Read before the directory is opened, at the first look.
        let since = inner.begun.load(Ordering::Acquire);
        let near = new();
        shelf.kept = Some(Kept { of: Arc::downgrade(inner), links, since, near: Arc::clone(&near) });
        near
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sys::fs::WriteFs;

    /// Whether the check with this number finds something at the path.
    fn is_there(door: &WriteFs, begun: u64, path: &Path) -> bool {
        door.of_operation(begun).near(path).stat(path).unwrap().is_some()
    }

    #[test]
    fn checks_that_had_begun_share_a_directory_and_a_later_one_sees_what_has_taken_its_place() {
        let (top, door) = (tempfile::tempdir().unwrap(), WriteFs::new());
        let (dir, path) = (top.path().join("dir"), top.path().join("dir/file"));
        fs::create_dir(&dir).unwrap();
        fs::write(&path, "").unwrap();
        share_directories(|| {
            door.note_begun(2);
            assert!(is_there(&door, 1, &path));
            fs::rename(&dir, top.path().join("moved")).unwrap();
            fs::create_dir(&dir).unwrap();
            assert!(is_there(&door, 2, &path), "it had begun before the directory was replaced");
            door.note_begun(3);
            assert!(!is_there(&door, 3, &path));
            assert!(!is_there(&door, 2, &path), "the newest directory is kept");
            fs::remove_dir(&dir).unwrap();
            fs::rename(top.path().join("moved"), &dir).unwrap();
            assert!(door.near(&path).stat(&path).unwrap().is_some(), "it belongs to no operation");
        });
        assert!(is_there(&door, 3, &path));
    }

    #[test]
    fn a_directory_is_kept_for_its_door_and_its_rule_about_links_and_no_longer_than_the_checks_run() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (WriteFs::new(), WriteFs::new());
        let held = share_directories(|| {
            one.note_begun(2);
            other.note_begun(2);
            let near = near(&one.inner, Links::Guarded, dir.path(), Some(1));
            let again = |door: &WriteFs, links| super::near(&door.inner, links, dir.path(), Some(2));
            assert!(Arc::ptr_eq(&near, &again(&one, Links::Guarded)));
            assert!(!Arc::ptr_eq(&near, &again(&other, Links::Guarded)));
            assert!(!Arc::ptr_eq(&again(&one, Links::Guarded), &again(&one, Links::Follow)));
            Arc::downgrade(&again(&one, Links::Follow))
        });
        assert_eq!(held.strong_count(), 0);
    }
}
