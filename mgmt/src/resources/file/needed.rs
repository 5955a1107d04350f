//! What a file needs before it can be as declared: its directory, its owner, the originals of its content.

use std::path::PathBuf;

use crate::resource::{Group, Known, Uid, User};
use crate::resources::file::kind::File;
use crate::resources::file::owner::Owner;
use crate::resources::file::path::spelled;
use crate::resources::file::state::FileState;
use crate::resources::file::wanted::PATH_FIELDS;

impl File {
    /// The keys of everything that the file needs, as far as the fields are known. A file that must be absent needs
    /// nothing.
    pub(super) fn needed(&self, known: &Known<'_>) -> Vec<Uid> {
        let mut needed = Vec::new();
        if !known.is_known("state") || self.state == Some(FileState::Absent) {
            return needed;
        }
        if known.are_known(PATH_FIELDS) {
            let dir = self.spelled().ok().and_then(|own| own.path.parent().map(Uid::path));
            needed.extend(dir);
        }
        if let Some(owner) = self.owner.as_ref().filter(|_| known.is_known("owner")) {
            needed.push(Uid::of(User(text(owner))));
        }
        if let Some(group) = self.group.as_ref().filter(|_| known.is_known("group")) {
            needed.push(Uid::of(Group(text(group))));
        }
        needed.extend(self.copied(known).into_iter().map(Uid::Path));
        needed
    }

    /// The paths of the originals of its content, as far as the fields are known.
    pub(super) fn copied(&self, known: &Known<'_>) -> Vec<PathBuf> {
        let source = self.source.iter().filter(|_| known.is_known("source"));
        let fragments = self.fragments.iter().flatten().filter(|_| known.is_known("fragments"));
        source.chain(fragments).filter_map(|from| Some(spelled(from).ok()?.path)).collect()
    }
}

fn text(owner: &Owner) -> String {
    match owner {
        Owner::Id(number) => number.to_string(),
        Owner::Name(name) => name.clone(),
    }
}
