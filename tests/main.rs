//! All integration tests: one binary. They run the built `rollgate` against real parts on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it did not expect shall end"
)]

mod lab;
mod rollout;
mod support;
