//! All integration tests, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    clippy::wildcard_enum_match_arm,
    reason = "a test that meets something unexpected should end with a panic, and its helpers are nobody's interface"
)]

mod support;

mod architecture;
mod engine;
mod plan;
