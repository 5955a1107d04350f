//! For the code that the derive makes.

pub use crate::resource::field::{
    Not, Probe, Refuses, Take, Takes, WithDefault, WithoutDefault, default, equal_options, output,
};
