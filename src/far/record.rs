//! The texts that a host keeps: made, and read whatever a crash or another version left in them.
//!
//! Every text begins with `{"v":N`, which the scripts rely on: what a newer version wrote is shown where it can be read, named, and
//! never written over.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ScriptError;
use crate::model::record::FORMAT;
use crate::model::{LockOwner, Record, RecordSeen, RevisionLine, RolloutLine};

/// Only the format version of a text.
#[derive(Deserialize)]
struct Format {
    v: u32,
}

/// One line of JSON.
///
/// # Errors
/// [`ScriptError::Text`] when a value has no JSON form, which none of the kept types lacks.
pub fn write<T: Serialize>(what: &'static str, value: &T) -> Result<String, ScriptError> {
    serde_json::to_string(value).map_err(|error| ScriptError::Text {
        what,
        reason: error.to_string(),
    })
}

/// `revisions.jsonl`, whole.
///
/// # Errors
/// As [`write()`].
pub fn write_revisions(lines: &[RevisionLine]) -> Result<String, ScriptError> {
    let lines: Result<Vec<String>, ScriptError> =
        lines.iter().map(|line| write("a revision", line)).collect();
    Ok(lines?.join("\n"))
}

/// Reads the lines of `revisions.jsonl`; what is wrong with a line is added to `damaged`.
pub fn read_revisions<'a>(
    lines: impl Iterator<Item = &'a str>,
    damaged: &mut Vec<String>,
) -> Vec<RevisionLine> {
    read_lines("revisions.jsonl", lines, damaged)
}

/// Reads the lines of `rollouts.jsonl`; what is wrong with a line is added to `damaged`.
pub fn read_rollouts<'a>(
    lines: impl Iterator<Item = &'a str>,
    damaged: &mut Vec<String>,
) -> Vec<RolloutLine> {
    read_lines("rollouts.jsonl", lines, damaged)
}

fn read_lines<'a, T: DeserializeOwned>(
    file: &str,
    lines: impl Iterator<Item = &'a str>,
    damaged: &mut Vec<String>,
) -> Vec<T> {
    let mut whole = Vec::new();
    for (number, line) in lines
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let number = number + 1;
        let newer = newer_format(line);
        if let Some(v) = newer {
            damaged.push(format!(
                "line {number} of {file} was written by a newer rollgate (format {v}; this one knows {FORMAT}): it is not rewritten"
            ));
        }
        match serde_json::from_str(line) {
            Ok(value) => whole.push(value),
            Err(_) if newer.is_some() => {}
            Err(error) => damaged.push(format!("line {number} of {file} cannot be read: {error}")),
        }
    }
    whole
}

/// Reads `rollout.json`.
pub fn read_record(text: &str) -> RecordSeen {
    if let Some(v) = newer_format(text) {
        return RecordSeen::Corrupt(format!(
            "it was written by a newer rollgate (format {v}; this one knows {FORMAT}): use that version"
        ));
    }
    match serde_json::from_str::<Record>(text) {
        Ok(record) => RecordSeen::Read(Box::new(record)),
        Err(error) => RecordSeen::Corrupt(error.to_string()),
    }
}

/// Reads the owner file called `file`; `None` when its text cannot be read, or speaks of somebody else (a takeover that was cut off
/// between its rename and its signature: then the name alone is true).
pub fn read_owner(file: &str, text: &str) -> Option<LockOwner> {
    let owner: LockOwner = serde_json::from_str(text).ok()?;
    (file == format!("owner.{}.{}", owner.rollout, owner.token)).then_some(owner)
}

fn newer_format(text: &str) -> Option<u32> {
    serde_json::from_str::<Format>(text)
        .ok()
        .map(|format| format.v)
        .filter(|v| *v > FORMAT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::ProcessMark;
    use crate::model::{LockToken, Revision, RevisionOutcome, RolloutId};
    use proptest::prelude::*;

    fn line(revision: u64) -> RevisionLine {
        RevisionLine {
            v: FORMAT,
            revision: Revision(revision),
            version: None,
            sha256: None,
            config: None,
            dir: format!("{revision}-a"),
            by: "kim@desk".to_owned(),
            from: "it's \"here\"\n".to_owned(),
            at: "2026-11-23T14:15:02Z".parse().unwrap(),
            outcome: RevisionOutcome::Succeeded,
            good: false,
            rollout: None,
        }
    }

    #[test]
    fn what_is_written_begins_with_its_format_and_is_read_again() {
        let text = write_revisions(&[line(1), line(2)]).unwrap();
        assert!(text.lines().all(|line| line.starts_with(r#"{"v":1,"#)));
        let mut damaged = Vec::new();
        assert_eq!(
            read_revisions(text.split('\n'), &mut damaged),
            [line(1), line(2)]
        );
        assert!(damaged.is_empty());
    }

    #[test]
    fn torn_and_newer_lines_are_kept_apart_and_named() {
        let whole = write("a revision", &line(1)).unwrap();
        let newer = whole.replace(r#"{"v":1,"#, r#"{"v":2,"more":true,"#);
        let mut damaged = Vec::new();
        let lines = [
            whole.as_str(),
            r#"{"v":1,"revi"#,
            newer.as_str(),
            r#"{"v":9}"#,
            "",
        ];
        let read = read_revisions(lines.into_iter(), &mut damaged);
        assert_eq!(read.len(), 2);
        assert_eq!(damaged.len(), 3);
        assert!(damaged[0].starts_with("line 2 of revisions.jsonl cannot be read"));
        assert!(damaged[1].contains("line 3") && damaged[1].contains("format 2"));
        assert!(damaged[2].contains("line 4") && damaged[2].contains("format 9"));
    }

    #[test]
    fn a_newer_record_is_not_ours_to_read() {
        assert!(
            matches!(read_record(r#"{"v":7}"#), RecordSeen::Corrupt(why) if why.contains("newer"))
        );
        assert!(matches!(read_record("{"), RecordSeen::Corrupt(_)));
    }

    #[test]
    fn an_owner_text_that_speaks_of_somebody_else_does_not_count() {
        let owner = LockOwner {
            v: FORMAT,
            rollout: RolloutId::new("r-1").unwrap(),
            token: LockToken::new("ab").unwrap(),
            command: "deploy".to_owned(),
            service: None,
            by: "kim@desk".to_owned(),
            since: "2026-11-23T14:15:02Z".parse().unwrap(),
            process: ProcessMark::default(),
            message: None,
        };
        let text = write("the lock", &owner).unwrap();
        assert_eq!(read_owner("owner.r-1.ab", &text), Some(owner));
        assert_eq!(read_owner("owner.r-2.ab", &text), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let mut damaged = Vec::new();
            let _lines = read_revisions(text.split('\n'), &mut damaged);
            let _lines = read_rollouts(text.split('\n'), &mut damaged);
            let _record = read_record(&text);
            let _owner = read_owner("owner.a.b", &text);
        }
    }
}
