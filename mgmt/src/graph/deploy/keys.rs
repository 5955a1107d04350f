//! The keys of deploys in a world:
//!
//! - `/mgmt/deploys/head` names the deploy in force.
//! - `/mgmt/deploys/rollout` is a deploy in waves: how far it has got, or how it has ended.
//! - `/mgmt/deploys/list/ID` is the record of a deploy.
//! - `/mgmt/deploys/pending/NAME` is what a deploy that is being published will refer to, under a lease. Each writes
//!   `/mgmt/deploys/turn` too, on which every removal depends.
//! - `/mgmt/blobs/index/SHA256` has the size of a content, and whether it is complete; `/mgmt/blobs/data/SHA256/PART`
//!   has its parts, each of [`PART_BYTES`] but for the last one.

use crate::graph::deploy::content::ContentId;
use crate::graph::deploy::record::DeployId;
use crate::resource::Keys;

/// The bytes of a part. A world must take a transaction with two of them.
pub(crate) const PART_BYTES: usize = 512 << 10;

const HEAD: &str = "/mgmt/deploys/head";
const ROLLOUT: &str = "/mgmt/deploys/rollout";
const TURN: &str = "/mgmt/deploys/turn";
pub(super) const LIST: &str = "/mgmt/deploys/list/";
pub(super) const PENDING: &str = "/mgmt/deploys/pending/";
pub(super) const INDEX: &str = "/mgmt/blobs/index/";
const DATA: &str = "/mgmt/blobs/data/";

/// The key of what names the deploy in force.
pub(crate) fn head_key() -> String {
    HEAD.to_owned()
}

/// The key of a deploy in waves.
pub(crate) fn rollout_key() -> String {
    ROLLOUT.to_owned()
}

/// The key that is written whenever content becomes needed.
pub(crate) fn turn_key() -> String {
    TURN.to_owned()
}

/// The key of the record of a deploy.
pub(crate) fn record_key(id: &DeployId) -> String {
    format!("{LIST}{id}")
}

/// The key of a deploy that is being published.
pub(crate) fn pending_key(name: &str) -> String {
    format!("{PENDING}{name}")
}

/// The key of the size of a content.
pub(crate) fn index_key(content: &ContentId) -> String {
    format!("{INDEX}{content}")
}

/// The keys of the sizes of all contents.
pub(crate) fn index_keys() -> Keys {
    Keys::Below(INDEX.to_owned())
}

/// The key of a part of a content.
pub(crate) fn data_key(content: &ContentId, part: usize) -> String {
    format!("{DATA}{content}/{part:08}")
}
