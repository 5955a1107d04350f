//! Deploys: publishes a graph to a world, with the files that it reads, and follows what is published there.

mod carry;
mod error;
mod fetch;
mod follow;
#[cfg(feature = "ssh")]
mod hold;
mod load;
mod moving;
mod options;
mod pack;
mod publish;
mod shown;
mod source;
mod store;
mod temporary;
mod tree;
mod waves;

pub use error::DeployError;
pub use fetch::Deploys;
#[cfg(feature = "ssh")]
pub(crate) use hold::{Hold, Stowed};
pub use moving::RolloutView;
pub use options::{Publish, Waves};
#[cfg(feature = "ssh")]
pub(crate) use pack::{Packed, PrivateTerms, Terms, pack, pack_files, pack_unread};
pub use publish::Deployed;
pub use shown::{DeployDetails, ListedDeploy};
pub use source::{DeploySource, deployed};
