//! What will happen, decided before anything happens.
//!
//! [`make()`] is a pure function: (playbook, inventory, facts) → [`Plan`]. The plan leaves execution no choices but those that depend on
//! what happens meanwhile (a failure, an operator, a balancer that changes), and it explains what it does not do. `plan`,
//! `deploy --dry-run` and `deploy` all show the same value.
//!
//! * [`batch`]: cutting hosts into batches under the bounds.
//! * [`capacity`]: what each pool has left on the way (R1).
//! * [`release`]: which release each host runs, and which number the new one gets (F3, F4).
//! * [`by_hand`]: what `drain` and `enable` do.
//! * [`undo`]: which revision to go back to.
//! * [`standing`]: whether a host is in traffic, sick, or an operator's.
//! * [`unfinished`]: rollouts that were cut off. [`resume`]: what their records tell, and where each host begins.
//! * [`refusal`]: what cannot work, said before anything is touched.
//! * [`check`]: everything that would be in the way.
//! * [`document`]: the plan's document for scripts (F15). [`status`] and [`history`]: those of the commands that only look.

pub mod batch;
pub mod by_hand;
pub mod capacity;
pub mod check;
mod continued;
pub mod diff;
pub mod document;
pub mod history;
pub mod make;
pub mod refusal;
pub mod release;
pub mod resume;
pub mod standing;
mod start;
pub mod status;
pub mod undo;
pub mod unfinished;

use std::collections::BTreeMap;

use crate::model::{
    BalancerName, BalancerSeen, FoundTraffic, HostFacts, HostName, HostSpec, Proof, ReleaseRef,
    Revision, ServiceName, Sha256, Strategy, TrafficSeen, Version,
};

pub use document::PlanDocument;
pub use make::make;
pub use resume::{Course, Goal, HookDoubt, Resumed, Resumes, Start};
pub use standing::Standing;

/// One host of the fleet, as it was seen.
#[derive(Debug, Clone)]
pub struct HostView {
    /// Who it is.
    pub spec: HostSpec,
    /// Whether `--limit` (or its absence) chose it.
    pub selected: bool,
    /// What was seen there, or why nothing was.
    pub facts: Result<HostFacts, String>,
    /// Whether nothing was seen because it does not answer, and for no other reason.
    pub is_away: bool,
    /// What its service showed when asked once.
    pub proof: Proof,
    /// The digest of what would reach the process besides the artifact.
    pub config: Sha256,
}

/// What the command line asks beyond the playbook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one flag of the command line each, independent of one another"
)]
pub struct Wishes {
    /// Also hosts that are there already.
    pub force: bool,
    /// Also a release that was taken back before.
    pub again: bool,
    /// Also when the version is known with another artifact.
    pub replace_artifact: bool,
    /// Take over what an unfinished rollout left.
    pub take_over: bool,
}

/// Everything that the plan is made from.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What is rolled.
    pub service: ServiceName,
    /// To which version.
    pub version: Version,
    /// Digest of the artifact.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
    /// The whole fleet, in the order of the inventory.
    pub hosts: Vec<HostView>,
    /// Every balancer that the playbook names.
    pub balancers: BTreeMap<BalancerName, BalancerSeen>,
    /// `[strategy]`.
    pub strategy: Strategy,
    /// Tools that every host must have.
    pub tools: Vec<&'static str>,
    /// Whether the playbook says how the version is read.
    pub version_checked: bool,
    /// The command line's wishes.
    pub wishes: Wishes,
    /// The rollout that is gone on with; `None`: a new one begins.
    pub resumes: Option<Resumes>,
    /// The revision that the fleet is taken back to; `None`: a release is rolled out.
    pub undo: Option<Revision>,
}

impl Facts {
    /// The server behind one traffic entry, if its balancer has it.
    pub fn server(
        &self,
        target: &crate::model::TrafficTarget,
    ) -> Option<&crate::model::ServerSeen> {
        self.balancers.get(&target.balancer)?.server(target)
    }
}

/// What happens to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostAction {
    /// It is taken through the cycle.
    Update,
    /// It runs the target already.
    Skip,
    /// It is left alone: not chosen, or unreachable.
    Leave,
}

/// One host of a plan.
#[derive(Debug, Clone)]
pub struct PlannedHost {
    /// Which host.
    pub host: HostName,
    /// Whether `--limit` (or its absence) chose it.
    pub chosen: bool,
    /// What happens to it.
    pub action: HostAction,
    /// Where its passage begins.
    pub start: Start,
    /// Why.
    pub reason: String,
    /// What it ran before the rollout: what a revert goes back to.
    pub current: Option<ReleaseRef>,
    /// How it stands in traffic.
    pub standing: Standing,
    /// The state in each balancer.
    pub traffic: Vec<TrafficSeen>,
    /// Each server as it was found, or as an earlier rollout that did not end had found it.
    pub found: Vec<FoundTraffic>,
    /// What its service showed.
    pub proof: Proof,
}

/// The plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is rolled.
    pub service: ServiceName,
    /// To which version.
    pub version: Version,
    /// The number that the fleet gives it.
    pub revision: Revision,
    /// Batches in order, those of sick hosts first.
    pub batches: Vec<Vec<HostName>>,
    /// How many of them are of sick hosts.
    pub sick_batches: usize,
    /// How many hosts may be out of traffic at once.
    pub max_unavailable: usize,
    /// The fewest usable servers that any pool has on the way; `None` where no pool has a usable server to begin with.
    pub least_usable: Option<usize>,
    /// Every host of the fleet.
    pub hosts: Vec<PlannedHost>,
    /// Why it cannot be done; empty: it can.
    pub refused: Vec<String>,
    /// What is worth knowing before it is done.
    pub warnings: Vec<String>,
    /// The rollout that is gone on with; `None`: a new one begins.
    pub resumed: Option<Resumed>,
}

impl Plan {
    /// One host of the plan.
    pub fn host(&self, name: &HostName) -> Option<&PlannedHost> {
        self.hosts.iter().find(|host| host.host == *name)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

impl Plan {
    /// The plan as users and scripts see it.
    pub fn document(&self) -> PlanDocument {
        PlanDocument {
            v: document::FORMAT,
            service: self.service.clone(),
            version: self.version.clone(),
            revision: self.revision,
            batches: self.batches.clone(),
            least_usable: self.least_usable,
            refused: self.refused.clone(),
            warnings: self.warnings.clone(),
            hosts: self.hosts.iter().map(PlannedHost::document).collect(),
        }
    }
}

impl PlannedHost {
    fn document(&self) -> document::PlanHost {
        document::PlanHost {
            host: self.host.clone(),
            action: match self.action {
                HostAction::Update => document::PlanAction::Update,
                HostAction::Skip => document::PlanAction::Skip,
                HostAction::Leave => document::PlanAction::Leave,
            },
            reason: self.reason.clone(),
            current: self.current.as_ref().map(|current| document::PlanCurrent {
                revision: current.revision,
                version: current.version.clone(),
            }),
            files: Vec::new(),
            traffic: self.traffic.clone(),
        }
    }
}
