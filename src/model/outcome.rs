//! How a host and a rollout ended, and the exit codes that follow.

use serde::{Deserialize, Serialize};

/// What went wrong with one host or one step, in words that can be kept, sent and shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failure {
    /// A sentence fragment, lower case, without a period: "was not ready within 45s after the swap".
    pub what: String,
    /// The chain of causes, outermost first.
    pub causes: Vec<String>,
    /// What a person may do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with nothing behind it.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// A failure with an error's whole chain behind it.
    pub fn caused(what: impl Into<String>, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes = vec![error.to_string()];
        let mut next = error.source();
        while let Some(source) = next {
            causes.push(source.to_string());
            next = source.source();
        }
        Self {
            what: what.into(),
            causes,
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The failure and its causes on one line.
    pub fn line(&self) -> String {
        let mut text = self.what.clone();
        for cause in &self.causes {
            text.push_str(": ");
            text.push_str(cause);
        }
        text
    }
}

/// How one host ended (`result` in `rollout.finished`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostResult {
    /// It runs the target, proven.
    Updated,
    /// It ran the target already, or was left out with a reason.
    Skipped,
    /// Its swap was taken back.
    Reverted,
    /// It needs a person.
    Stranded,
    /// It is as it was found.
    Untouched,
}

impl HostResult {
    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Updated => "updated",
            Self::Skipped => "skipped",
            Self::Reverted => "reverted",
            Self::Stranded => "stranded",
            Self::Untouched => "untouched",
        }
    }
}

/// How a rollout ended (`outcome` in `rollout.finished`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every host runs the target, or there was nothing to do.
    Succeeded,
    /// Some hosts do not run it, and none needs a person.
    Partial,
    /// What failed was taken back.
    Reverted,
    /// Under `on_failure = "halt"`: what failed stays out of traffic.
    Halted,
    /// Some host needs a person.
    Stranded,
    /// A person or the system ended the run; it can be resumed.
    Interrupted,
    /// The deadline passed.
    Deadline,
    /// A lock or an unfinished rollout is in the way.
    Locked,
    /// A look or staging failed; nothing was drained, swapped or restarted.
    Refused,
}

impl Outcome {
    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Reverted => "reverted",
            Self::Halted => "halted",
            Self::Stranded => "stranded",
            Self::Interrupted => "interrupted",
            Self::Deadline => "deadline",
            Self::Locked => "locked",
            Self::Refused => "refused",
        }
    }

    /// The exit code that belongs to it where `command` was asked for: of `abort`, going back is what was wanted.
    pub fn exit_status_of(self, command: &str) -> ExitStatus {
        if command == "abort" && self == Self::Reverted {
            return ExitStatus::Done;
        }
        self.exit_status()
    }

    /// The exit code that belongs to it.
    pub fn exit_status(self) -> ExitStatus {
        match self {
            Self::Succeeded => ExitStatus::Done,
            Self::Partial | Self::Reverted => ExitStatus::NotEverywhere,
            Self::Halted | Self::Stranded => ExitStatus::NeedsPerson,
            Self::Interrupted => ExitStatus::Interrupted,
            Self::Deadline => ExitStatus::Deadline,
            Self::Locked => ExitStatus::InTheWay,
            Self::Refused => ExitStatus::Refused,
        }
    }
}

/// The exit codes: a contract with scripts, cron and CI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// 0: done, or nothing to do.
    Done,
    /// 1: not every host runs the release, and none needs a person.
    NotEverywhere,
    /// 2: usage or configuration, found in the files alone.
    Usage,
    /// 3: some host needs a person.
    NeedsPerson,
    /// 4: a lock, or an unfinished rollout, is in the way.
    InTheWay,
    /// 5: a look, or staging, failed; nothing was drained, swapped or restarted.
    Refused,
    /// 6: the deadline passed.
    Deadline,
    /// 130: interrupted; the state is safe.
    Interrupted,
}

impl ExitStatus {
    /// The one with that number.
    pub fn of(code: u8) -> Option<Self> {
        let all = [
            Self::Done,
            Self::NotEverywhere,
            Self::Usage,
            Self::NeedsPerson,
            Self::InTheWay,
            Self::Refused,
            Self::Deadline,
            Self::Interrupted,
        ];
        all.into_iter().find(|status| status.code() == code)
    }

    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NotEverywhere => 1,
            Self::Usage => 2,
            Self::NeedsPerson => 3,
            Self::InTheWay => 4,
            Self::Refused => 5,
            Self::Deadline => 6,
            Self::Interrupted => 130,
        }
    }
}
