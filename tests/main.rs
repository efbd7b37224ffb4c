//! All integration tests: one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that panics has failed, and may wait on the wall clock"
)]

mod haproxy;
mod haproxy_socket;
mod journal;
mod probe;
mod probe_fallback;

mod support {
    pub(crate) mod app;
    pub(crate) mod haproxy;
    pub(crate) mod shell_host;
}
