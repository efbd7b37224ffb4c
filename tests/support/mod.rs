//! What tests stand on.

pub mod world;
