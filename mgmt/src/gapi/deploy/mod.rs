//! Deploys: publishes a graph to a world, with the files that it reads, and follows what is published there.

mod carry;
mod error;
mod fetch;
mod follow;
mod load;
mod moving;
mod options;
mod pack;
mod publish;
mod shown;
mod source;
mod store;
mod tree;
mod waves;

pub use error::DeployError;
pub use fetch::Deploys;
pub use moving::RolloutView;
pub use options::{Publish, Waves};
#[cfg(feature = "ssh")]
pub(crate) use pack::{Packed, Terms, pack};
pub use publish::Deployed;
pub use shown::{DeployDetails, ListedDeploy};
pub use source::{DeploySource, deployed};
