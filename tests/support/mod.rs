//! Real parts for tests.

pub mod sshd;
