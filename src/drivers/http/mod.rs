//! One HTTP/1.1 request over a stream of our own: from here, or through a host's `sshd`. No proxy, no redirect, no connection that is
//! kept; limits of time are the caller's.
//!
//! * [`Target`]: where a URL leads, and what TLS needs for it.
//! * [`Client`]: the connection, the request, the answer.

mod client;
mod target;

pub(super) use client::{Answer, Client, Failure, Question};
pub(super) use target::{Target, TargetError};

/// What a balancer's check, an API or an access log sees.
pub(super) const AGENT: &str = concat!("rollgate/", env!("CARGO_PKG_VERSION"));
