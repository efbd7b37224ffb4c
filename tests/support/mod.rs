//! What tests stand on: real parts, and doubles where the real thing cannot.

pub mod api;
pub mod app;
pub mod by_command;
pub mod cli;
pub mod dataplane;
pub mod haproxy;
#[allow(
    dead_code,
    reason = "the `lab` example and the benchmark use the rest of this module"
)]
pub mod lab;
pub mod load;
pub mod local_shell;
pub mod nginx;
pub mod nginx_plus;
pub mod patient;
pub mod shell_host;
pub mod sshd;
pub mod world;
