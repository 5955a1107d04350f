//! Histories of a world: what programs asked of it and what they saw, with times; and whether a world that does one
//! thing after the other can have answered so.

mod checker;
mod histories;
mod recorder;
mod registers;
mod servers;
mod views;
