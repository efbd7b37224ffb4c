//! Whether the application is ready, and what it answers: time in, answer out.

use std::time::Duration;

use crate::trailer::{Behaviour, Trailer};

/// The application's view of itself.
#[derive(Debug)]
pub(crate) struct State {
    trailer: Trailer,
}

impl State {
    /// A release that has just been started.
    pub(crate) fn new(trailer: Trailer) -> Self {
        Self { trailer }
    }

    /// The version that it names.
    pub(crate) fn version(&self) -> &str {
        match self.trailer.behaviour {
            Behaviour::Liar => &self.trailer.claims,
            Behaviour::Good
            | Behaviour::NotReady
            | Behaviour::Crash
            | Behaviour::SlowStart
            | Behaviour::Flap
            | Behaviour::Errors
            | Behaviour::IgnoreTerm => &self.trailer.version,
        }
    }

    /// Whether it has warmed up, so long after its start.
    pub(crate) fn is_warm(&self, up: Duration) -> bool {
        self.trailer.behaviour != Behaviour::NotReady
            && up >= Duration::from_millis(self.trailer.warmup_ms)
    }

    /// Whether `/health/ready` says yes, so long after its start.
    pub(crate) fn is_ready(&self, up: Duration) -> bool {
        if self.trailer.behaviour != Behaviour::Flap {
            return self.is_warm(up);
        }
        let half = u128::from(self.trailer.flap_ms.max(1));
        self.is_warm(up) && (up.as_millis() / half).is_multiple_of(2)
    }

    /// The status of everything but `/health/ready`, so long after its start.
    pub(crate) fn status(&self, up: Duration) -> u16 {
        if !self.is_warm(up) {
            503
        } else if self.trailer.behaviour == Behaviour::Errors {
            500
        } else {
            200
        }
    }
}
