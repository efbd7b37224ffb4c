//! The plan as users and scripts see it: the document of `plan --output json`.
//!
//! A contract: fields are added, never changed or removed. What the document says to people is rendered in `report::plan`.

use serde::{Deserialize, Serialize};

use crate::model::{HostName, Revision, ServiceName, TrafficSeen, Version};

/// The format of the document that this version writes.
pub const FORMAT: u32 = 1;

/// A whole plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanDocument {
    /// Format version: [`FORMAT`].
    pub v: u32,
    /// What is rolled.
    pub service: ServiceName,
    /// To which version.
    pub version: Version,
    /// The number that the release has, or would get.
    pub revision: Revision,
    /// Hosts that would be taken out together, in order.
    pub batches: Vec<Vec<HostName>>,
    /// The fewest servers of a pool that stay usable at any moment; `None` where no pool says.
    pub least_usable: Option<usize>,
    /// Why the plan cannot be carried out; empty when it can.
    pub refused: Vec<String>,
    /// What is worth knowing before it is carried out.
    pub warnings: Vec<String>,
    /// Every host of the playbook.
    pub hosts: Vec<PlanHost>,
}

/// What the plan means for one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanHost {
    /// Which host.
    pub host: HostName,
    /// What would happen to it.
    pub action: PlanAction,
    /// Why; may be empty for a host that is simply updated.
    pub reason: String,
    /// What runs there now; `None` where nothing does.
    pub current: Option<PlanCurrent>,
    /// Its state in each balancer.
    pub traffic: Vec<TrafficSeen>,
    /// What changes in its files, where that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileChange>,
}

/// What changes in a file of the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Where it lies in the release.
    pub path: String,
    /// A unified diff, with a mask in the place of every secret.
    pub diff: String,
}

/// What would happen to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlanAction {
    /// It gets the release.
    Update,
    /// It has the release already, or cannot be reached and is passed over.
    Skip,
    /// It is not part of this run.
    Leave,
}

impl PlanAction {
    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Skip => "skip",
            Self::Leave => "leave",
        }
    }
}

/// What runs on a host now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanCurrent {
    /// Its number; 0 for what rollgate found there.
    pub revision: Revision,
    /// Its version, where known.
    pub version: Option<Version>,
}

impl PlanDocument {
    /// The hosts that would be updated.
    pub fn updated(&self) -> usize {
        self.count(PlanAction::Update)
    }

    /// How many hosts have this action.
    pub fn count(&self, action: PlanAction) -> usize {
        self.hosts
            .iter()
            .filter(|host| host.action == action)
            .count()
    }
}
