//! What a program that declares a graph wants in scope: `use mgmt::prelude::*;`.

pub use std::time::Duration;

pub use serde::{Deserialize, Serialize};

pub use crate::gapi::{Facts, Signal};
pub use crate::graph::{Graph, GraphConfig};
pub use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Declare, FieldProblem, Handle, Known, Output, Refresh, Result, Secret, Watch,
    WatchCx,
};
pub use crate::resources::*;
pub use mgmt_macros::Resource;
