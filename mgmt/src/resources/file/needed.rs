//! What a file needs before it can be as declared: its owner, the originals of its content, the target of a symlink.
//! The directory that holds it follows from its path.

use std::path::{Path, PathBuf};

use crate::resource::{Group, Known, Need, Reach, Reading, Uid, User};
use crate::resources::file::kind::File;
use crate::resources::file::owner::Owner;
use crate::resources::file::path::{Spelled, spelled};
use crate::resources::file::state::FileState;
use crate::resources::file::wanted::PATH_FIELDS;
use crate::sys::fs::without_dots;

impl File {
    /// Whether the path must be absent.
    pub(super) fn must_be_absent(&self, known: &Known<'_>) -> Option<bool> {
        known.is_known("state").then(|| self.state == Some(FileState::Absent))
    }

    /// Everything that the file needs, as far as the fields are known. A file that must be absent needs nothing.
    pub(super) fn needed(&self, known: &Known<'_>) -> Vec<Need> {
        let mut needed = Vec::new();
        if self.must_be_absent(known) != Some(false) {
            return needed;
        }
        if let Some(owner) = self.owner.as_ref().filter(|_| known.is_known("owner")) {
            needed.push(Need::after(Uid::of(User(text(owner)))).because("its owner"));
        }
        if let Some(group) = self.group.as_ref().filter(|_| known.is_known("group")) {
            needed.push(Need::after(Uid::of(Group(text(group)))).because("its group"));
        }
        // A directory is copied with everything in it, so all of that must be there.
        let original = |from: Spelled, why| {
            let reach = if from.dir { Reach::Below } else { Reach::Above };
            Need::after(Uid::Path(from.path)).reach(reach).because(why)
        };
        needed.extend(self.source_spelled(known).map(|from| original(from, "its source")));
        needed.extend(self.fragments_spelled(known).map(|from| original(from, "a fragment of it")));
        needed.extend(
            self.target(known).map(|target| Need::after(Uid::Path(target)).because("the target of the symlink")),
        );
        needed
    }

    /// The paths of the originals of its content, as far as the fields are known.
    pub(super) fn copied(&self, known: &Known<'_>) -> Vec<PathBuf> {
        self.source_spelled(known).into_iter().chain(self.fragments_spelled(known)).map(|from| from.path).collect()
    }

    /// What is copied from, as it is written.
    pub(super) fn read(&self, known: &Known<'_>) -> Vec<Reading> {
        let (is_dir, levels) = (self.spelled().is_ok_and(|own| own.dir), self.recurse.levels());
        // Older files ask for an empty directory this way: there is nothing to copy.
        let source =
            self.source.iter().filter(|source| known.is_known("source") && !(is_dir && *source == "/dev/null"));
        let source = source.map(|path| Reading { field: "source", path: path.clone(), levels });
        let fragments = self.fragments.iter().flatten().filter(|_| known.is_known("fragments"));
        source
            .chain(fragments.map(|path| Reading { field: "fragments", path: path.clone(), levels: Some(1) }))
            .collect()
    }

    fn source_spelled(&self, known: &Known<'_>) -> Option<Spelled> {
        spelled(self.source.as_ref().filter(|_| known.is_known("source"))?).ok()
    }

    fn fragments_spelled(&self, known: &Known<'_>) -> impl Iterator<Item = Spelled> {
        let fragments = self.fragments.iter().flatten().filter(|_| known.is_known("fragments"));
        fragments.filter_map(|from| spelled(from).ok())
    }

    /// The absolute path to which the symlink leads, as its text shows.
    fn target(&self, known: &Known<'_>) -> Option<PathBuf> {
        let target = Path::new(self.symlink.as_ref().filter(|_| known.is_known("symlink"))?);
        if target.is_absolute() {
            return without_dots(target);
        }
        let own = known.are_known(PATH_FIELDS).then(|| self.spelled().ok())??;
        without_dots(&own.path.parent()?.join(target))
    }
}

fn text(owner: &Owner) -> String {
    match owner {
        Owner::Id(number) => number.to_string(),
        Owner::Name(name) => name.clone(),
    }
}
