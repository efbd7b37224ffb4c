//! What tests stand on: real parts, and doubles where the real thing cannot.

pub mod sshd;
pub mod world;
