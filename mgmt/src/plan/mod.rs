//! The plan: what would be done now, resource by resource, as data and as text.

mod data;
mod text;

pub use data::{After, Outcome, Plan, PlanEntry, PlanUndo, Summary};
