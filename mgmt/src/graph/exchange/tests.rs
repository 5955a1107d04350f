//! Exports and collects, without a world.
