//! The readiness question. The answer is a value; whether it counts is decided in [`crate::cycle`].

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::model::ProbeAnswer;

/// Asks one host's readiness URL.
pub trait Probe: Send + Sync + fmt::Debug {
    /// What it asks, for people.
    fn url(&self) -> &str;
    /// Asks once, within `timeout`. A failure to get an answer is an answer without a status.
    fn ask(&self, timeout: Duration) -> BoxFuture<'_, ProbeAnswer>;
}
