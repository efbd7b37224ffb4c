//! All integration tests, in one binary.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    reason = "a test that meets something unexpected should end with a panic and say why, and its helpers are nobody's interface"
)]

mod support;

mod architecture;
mod balancer_command;
mod balancer_health;
mod balancer_scripts;
mod balancers;
mod engine;
mod far;
mod haproxy;
mod haproxy_master;
mod haproxy_socket;
mod hosts;
mod journal;
mod lab;
mod nginx;
mod plan;
mod probe;
mod probe_fallback;
mod rollout;
mod transport;
