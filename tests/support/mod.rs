//! What tests stand on: real parts, and doubles where the real thing cannot.

pub mod cli;
pub mod lab;
pub mod load;
pub mod local_shell;
pub mod sshd;
pub mod world;
