//! From how hosts ended to how the rollout ended (F14). Pure.

use crate::cycle::Ending;
use crate::model::Outcome;

/// Why no further batch was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// All batches were gone through.
    Completed,
    /// A batch failed.
    BatchFailed,
    /// It stopped before its end for a reason that leaves every host well: the bound was used up by others, every sick host failed, the
    /// journal could not be written, a last hook failed.
    Stopped,
    /// A person or the system wanted it.
    Interrupted,
    /// The same, at once: hosts under way are where they are, and their records say where.
    Abandoned,
    /// The deadline passed.
    Deadline,
    /// A person wanted everything taken back (`abort`), and it was gone through.
    TakenBack,
    /// A lock was taken away.
    LostLock,
}

/// Decides the outcome. `failures` counts hosts that failed at any time, mended or not.
pub fn decide(end: RunEnd, endings: &[Ending], failures: usize) -> Outcome {
    let any = |ending: Ending| endings.contains(&ending);
    match end {
        RunEnd::LostLock => Outcome::Locked,
        RunEnd::Abandoned => Outcome::Interrupted,
        _ if any(Ending::Stranded) => Outcome::Stranded,
        _ if any(Ending::HeldOut) => Outcome::Halted,
        RunEnd::Interrupted => Outcome::Interrupted,
        RunEnd::Deadline => Outcome::Deadline,
        RunEnd::BatchFailed | RunEnd::TakenBack => Outcome::Reverted,
        RunEnd::Stopped => Outcome::Partial,
        RunEnd::Completed if failures > 0 || any(Ending::Reverted) || any(Ending::Returned) => {
            Outcome::Partial
        }
        RunEnd::Completed => Outcome::Succeeded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn green_only_when_every_host_passed() {
        use Ending::{HeldOut, Passed, Returned, Reverted, Stranded};
        let cases = [
            (
                RunEnd::Completed,
                vec![Passed, Passed],
                0,
                Outcome::Succeeded,
            ),
            (RunEnd::Completed, vec![], 0, Outcome::Succeeded),
            (
                RunEnd::Completed,
                vec![Passed, Reverted],
                1,
                Outcome::Partial,
            ),
            (
                RunEnd::Completed,
                vec![Passed, Returned],
                0,
                Outcome::Partial,
            ),
            (
                RunEnd::BatchFailed,
                vec![Passed, Reverted],
                1,
                Outcome::Reverted,
            ),
            (
                RunEnd::BatchFailed,
                vec![Reverted, Stranded],
                1,
                Outcome::Stranded,
            ),
            (
                RunEnd::BatchFailed,
                vec![HeldOut, Passed],
                1,
                Outcome::Halted,
            ),
            (RunEnd::Deadline, vec![Reverted], 0, Outcome::Deadline),
            (RunEnd::Deadline, vec![Stranded], 0, Outcome::Stranded),
            (RunEnd::Interrupted, vec![Passed], 0, Outcome::Interrupted),
            (RunEnd::Abandoned, vec![Stranded], 0, Outcome::Interrupted),
            (RunEnd::Stopped, vec![Passed], 0, Outcome::Partial),
            (RunEnd::LostLock, vec![Stranded], 1, Outcome::Locked),
        ];
        for (end, endings, failures, want) in cases {
            assert_eq!(decide(end, &endings, failures), want, "{end:?} {endings:?}");
        }
    }
}
