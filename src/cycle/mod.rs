//! How one host moves: the steps, what undoes each of them, and when a wait is over. Pure, without a clock.
//!
//! Forward, a host goes through the steps of [`Step`]; the whole list of what rollgate can do to it is [`Action`]:
//!
//! ```text
//!            before-drain        after-drain       after-swap  before-enable      after-enable
//! begin ──▶ hook ──▶ Drain ──▶ hook ──▶ Swap ──▶ hook ──▶ Prove ──▶ hook ──▶ Enable ──▶ hook ──▶ Soak ──▶ gate ──▶ passed
//!                      │                  │                                    │                             │
//!                      ▼                  ▼                                    ▼          (a neighbour failed)
//!  ended ◀── Restore ◀─┴── ProveBefore ◀── SwapBack ◀──────────────────────── DrainAgain ◀─────────────────────┘
//! ```
//!
//! A failure, or a neighbour's, runs the undo of every step that was begun, last first ([`machine`]). An undo that fails leaves the host
//! out of traffic, named ([`Ending::Stranded`]). Readiness and soak are judged answer by answer in [`gate`].

pub mod gate;
pub mod machine;

use crate::model::HookPoint;

pub use gate::{Expectation, Gate, ReadyGate, SoakGate};
pub use machine::{HostCycle, Traits};

/// A step forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The user's commands at a host point. Nothing undoes them.
    Hook(HookPoint),
    /// Out of traffic on every balancer, until nothing is in flight. Undone by [`Undo::Restore`].
    Drain,
    /// The new release is switched in and started. Undone by [`Undo::SwapBack`].
    Swap,
    /// The new release proves itself. Changes nothing.
    Prove,
    /// Back into traffic, as found. Undone by [`Undo::DrainAgain`].
    Enable,
    /// It must stay ready. Changes nothing.
    Soak,
}

impl Step {
    /// The step's name in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hook(point) => point.as_str(),
            Self::Drain => "drain",
            Self::Swap => "swap",
            Self::Prove => "ready",
            Self::Enable => "enable",
            Self::Soak => "soak",
        }
    }
}

/// What undoes a step that was begun. Each tolerates that the step happened, happened in part, or did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// Out of traffic again.
    DrainAgain,
    /// The release before is switched in and started; where there was none, the service is stopped.
    SwapBack,
    /// What runs now must answer as it did when it was found (R2).
    ProveBefore,
    /// Every balancer as found.
    Restore,
}

/// What to do next with a host: all that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A step forward.
    Do(Step),
    /// An undo.
    Undo(Undo),
    /// Nothing, until the batch's gate opens or something else is ordered.
    AwaitGate,
    /// The host's cycle is over.
    End(Ending),
}

/// How a host's cycle ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// On the target, proven, in traffic as found.
    Passed,
    /// Never swapped; in traffic as found.
    Returned,
    /// Its swap was taken back; in traffic as found.
    Reverted,
    /// Under `on_failure = "halt"`: left as it is, out of traffic.
    HeldOut,
    /// Out of traffic or in doubt: a person is needed.
    Stranded,
}

/// What the batch tells its hosts. Later orders stand above earlier ones; `Revert` and `Pass` are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Go on.
    Go,
    /// Hosts that were not swapped yet go back; the others go on to the gate.
    ReturnUnswapped,
    /// Every host of the batch goes back to what it had.
    Revert,
    /// The gate is open.
    Pass,
}
