//! What two rows say of one server, taken together. Pure.

use std::net::SocketAddr;

use crate::model::{Admin, Health, ServerSeen};

/// Bits of `srv_admin_state`: forced, inherited and by failed resolution. Bit 4 (`disabled` in the configuration) only remembers how
/// the server began: it stays set after `state ready`, so it says nothing about now.
const MAINT: u64 = 1 | 2 | 32;
/// Bits of `srv_admin_state`: forced and inherited.
const DRAIN: u64 = 8 | 16;
/// Bit of `srv_check_state`: a check is configured.
const CHECKED: u64 = 2;
/// Bits of `srv_agent_state`: an agent check is configured, and runs. Source: measured on 2.6.12: 22, and 18 after `disable agent`.
const AGENT_RUNS: u64 = 2 | 4;
/// `srv_check_result` of a check that failed.
const CHECK_FAILED: u64 = 2;

/// What only `show stat` tells of a server.
pub(super) struct Numbers {
    pub(super) in_flight: u64,
    pub(super) serving: bool,
    pub(super) sticky: bool,
    pub(super) tracks: Option<String>,
    pub(super) address: Option<SocketAddr>,
}

/// One row of `show servers state`.
pub(super) struct State {
    pub(super) mask: u64,
    pub(super) op: u64,
    pub(super) weight: u64,
    pub(super) check: u64,
    pub(super) agent: u64,
    pub(super) result: u64,
}

impl State {
    fn admin(&self) -> Admin {
        if self.mask & MAINT != 0 {
            Admin::Maint
        } else if self.mask & DRAIN != 0 {
            Admin::Drain
        } else {
            Admin::Ready
        }
    }

    /// `status` cannot be asked: it hides the drain of a server that is down, and the health of one that is not ready. In maintenance
    /// checks are paused and the operational state is "stopped", so only the last result is left.
    fn health(&self, tracks: bool) -> Health {
        let failed = match self.admin() {
            Admin::Maint => self.result == CHECK_FAILED,
            Admin::Ready | Admin::Drain => !self.is_running(),
        };
        if self.check & CHECKED == 0 && !tracks && !failed {
            Health::Unchecked
        } else if failed {
            Health::Down
        } else {
            Health::Up
        }
    }

    /// Starting (slowstart) or running.
    fn is_running(&self) -> bool {
        matches!(self.op, 1 | 2)
    }

    /// Both tables' words on one server.
    pub(super) fn seen(&self, known: &Numbers) -> ServerSeen {
        let admin = self.admin();
        ServerSeen {
            admin,
            health: self.health(known.tracks.is_some()),
            usable: admin == Admin::Ready && self.is_running() && self.weight > 0 && known.serving,
            in_flight: known.in_flight,
            weight: u32::try_from(self.weight).ok(),
            sticky: known.sticky,
            settling: false,
            agent: self.agent & AGENT_RUNS == AGENT_RUNS,
            tracks: known.tracks.clone(),
        }
    }
}
