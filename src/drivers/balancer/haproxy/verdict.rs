//! Whether a command that changes something was accepted. Pure.

/// What precedes every command that changes something, on the same line: refusals then carry a number.
pub(super) const NUMBERED: &str = "set severity-output number";

/// What an answer to one numbered command means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was done.
    Done,
    /// It said no, in these words.
    Refused(String),
    /// The process is being replaced: a fresh connection reaches its successor.
    Dying,
    /// The answer ended too early: whether it was done is unknown.
    Cut,
    /// Words that are neither.
    Garbled,
}

/// Reads the answer to `set severity-output number;COMMAND`: one empty line for the first part, then an empty line for success or
/// `[severity]: text`. Severities up to 3 are errors; 4 to 6 are remarks beside a success, except for a command that is not known or
/// not allowed.
///
/// Source: measured on 2.6.12 and 3.2.0.
pub(super) fn read(answer: &str) -> Verdict {
    let said = answer.trim();
    if said.is_empty() {
        return if answer.matches('\n').count() >= 2 {
            Verdict::Done
        } else {
            Verdict::Cut
        };
    }
    if said.contains("Proxy is disabled") {
        return Verdict::Dying;
    }
    let (severity, words) = match said
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "))
    {
        Some((severity, words)) => (severity.parse::<u8>().ok(), words),
        None => (None, said),
    };
    let first = words.lines().next().unwrap_or_default().trim().to_owned();
    if words.starts_with("Unknown command") || words.starts_with("Permission denied") {
        return Verdict::Refused(first);
    }
    match severity {
        Some(0..=3) => Verdict::Refused(first),
        Some(_) => Verdict::Done,
        None => Verdict::Garbled,
    }
}

/// Whether the answer is that of a master, which knows none of the workers' commands.
pub(super) fn is_of_master(answer: &str) -> bool {
    answer.contains("@!<pid>")
}

/// Reads the answer to one command that a master sent to its worker. There is no severity: every such command of ours says nothing when it
/// was done.
///
/// Source: measured on 2.6.12, whose master forgets `set severity-output` from one command to the next.
pub(super) fn read_plain(answer: &str) -> Verdict {
    let said = answer.trim();
    let first = said.lines().next().unwrap_or_default().trim();
    if said.is_empty() {
        if answer.contains('\n') {
            Verdict::Done
        } else {
            Verdict::Cut
        }
    } else if said.contains("Proxy is disabled") || said.contains("Can't find the target") {
        Verdict::Dying
    } else {
        Verdict::Refused(first.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_as_measured() {
        let refused = |text: &str| Verdict::Refused(text.to_owned());
        for (answer, wanted) in [
            ("\n\n", Verdict::Done),
            ("\n[3]: No such server.\n\n", refused("No such server.")),
            ("\n[3]: Permission denied\n\n", refused("Permission denied")),
            ("Permission denied\n\n", refused("Permission denied")),
            ("\n[4]: no need to change the addr\n\n", Verdict::Done),
            (
                "\n[6]: Unknown command, but\n a\n",
                refused("Unknown command, but"),
            ),
            ("\n[3]: Proxy is disabled.\n\n", Verdict::Dying),
            ("\n", Verdict::Cut),
            ("", Verdict::Cut),
            ("<html>", Verdict::Garbled),
        ] {
            assert_eq!(read(answer), wanted, "{answer:?}");
        }
    }

    #[test]
    fn through_a_master_silence_is_consent() {
        let refused = |text: &str| Verdict::Refused(text.to_owned());
        for (answer, wanted) in [
            ("\n", Verdict::Done),
            ("", Verdict::Cut),
            ("No such server.\n\n", refused("No such server.")),
            ("Permission denied\n\n", refused("Permission denied")),
            ("Proxy is disabled.\n\n", Verdict::Dying),
            (
                "Can't find the target PID matching the prefix '@1'\n",
                Verdict::Dying,
            ),
        ] {
            assert_eq!(read_plain(answer), wanted, "{answer:?}");
        }
    }

    proptest! {
        #[test]
        fn only_blank_lines_or_remarks_count_as_done(text in "\\PC{1,60}") {
            prop_assume!(!text.trim().is_empty() && !text.starts_with('['));
            prop_assert_ne!(read(&text), Verdict::Done);
        }
    }
}
