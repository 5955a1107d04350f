//! How a file is written: its attributes, what it may replace, and when it is durable.

use super::attributes::Attributes;

/// What a write may replace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replace {
    /// Nothing: the path must be free.
    Nothing,
    /// The default. An object of the same type: a file by a file, a symlink by a symlink.
    #[default]
    SameKind,
    /// Everything except a directory. A symlink itself is replaced, not its target.
    NotDirectory,
    /// Even a directory with everything in it, if these are not more entries than the cap. The new object is complete
    /// before the first entry is removed; in between there is a moment with nothing at the path.
    Tree {
        /// The most entries that may be removed.
        cap: usize,
    },
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// The desired attributes. Attributes that are not given are kept from the regular file that is replaced, if any;
    /// otherwise the mode is `0644`, and owner and group are those of this process. If owner or group differ from those
    /// of the file that is replaced, its set-user-id and set-group-id are not kept; if that file belonged to a user
    /// other than root and the user of this process, permissions by which others could write are not kept either. A
    /// given mode is final: what the directory would add for others (a default access list) is removed.
    pub attributes: Attributes,
    /// Whether attributes that are not given are kept from the file that is replaced, extended attributes and access
    /// lists included; not those of a file that another user made and that changes its owner. A given mode limits what
    /// an access list allows, as with chmod. Default: yes.
    pub keep: bool,
    /// What may be replaced. Default: a regular file.
    pub replace: Replace,
    /// Whether the file survives a power cut once it is written. Default: yes.
    pub durable: bool,
    /// Whether a complete new file, where nothing was before, gets its name first and is made durable then, so that it
    /// is there sooner. After a power cut in between there may be nothing, or a file with wrong content. Default: no.
    pub named_first: bool,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions {
            attributes: Attributes::default(),
            keep: true,
            replace: Replace::default(),
            durable: true,
            named_first: false,
        }
    }
}

impl WriteOptions {
    /// The defaults.
    pub fn new() -> WriteOptions {
        WriteOptions::default()
    }

    /// Sets the desired attributes.
    #[must_use]
    pub fn attributes(mut self, attributes: Attributes) -> WriteOptions {
        self.attributes = attributes;
        self
    }

    /// Sets the desired mode (0 to 0o7777).
    #[must_use]
    pub fn mode(mut self, mode: u32) -> WriteOptions {
        self.attributes.mode = Some(mode);
        self
    }

    /// Sets the desired owner.
    #[must_use]
    pub fn uid(mut self, uid: u32) -> WriteOptions {
        self.attributes.uid = Some(uid);
        self
    }

    /// Sets the desired group.
    #[must_use]
    pub fn gid(mut self, gid: u32) -> WriteOptions {
        self.attributes.gid = Some(gid);
        self
    }

    /// Sets whether attributes that are not given are kept from the file that is replaced.
    #[must_use]
    pub fn keep(mut self, keep: bool) -> WriteOptions {
        self.keep = keep;
        self
    }

    /// Sets what may be replaced.
    #[must_use]
    pub fn replace(mut self, replace: Replace) -> WriteOptions {
        self.replace = replace;
        self
    }

    /// Sets whether the file must survive a power cut.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> WriteOptions {
        self.durable = durable;
        self
    }

    /// Sets whether a file where nothing was before gets its name before it is made durable.
    #[must_use]
    pub fn named_first(mut self, named_first: bool) -> WriteOptions {
        self.named_first = named_first;
        self
    }
}
