//! Automatic groups: which there are, what holds for all of them, and what an engine makes of them.

mod kinds;
mod laws;
mod refused;
mod running;
mod shapes;
