//! Reads a journal back, whatever a crash left of it.

use std::path::Path;

use super::StoreError;
use crate::event::Event;

/// What a journal holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contents {
    /// Its events, in order.
    pub events: Vec<Event>,
    /// Lines that are no events of a known kind.
    pub damaged: Vec<Damage>,
    /// Whether the file ends inside a line. The event in it was never confirmed to anybody, so it is not missed.
    pub torn: bool,
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Its number, from 1.
    pub line: usize,
    /// In words.
    pub reason: String,
}

/// Reads the journal at `path`.
///
/// # Errors
/// [`StoreError::Io`] when the file cannot be read at all; bad lines are no error.
pub fn read(path: &Path) -> Result<Contents, StoreError> {
    let bytes = std::fs::read(path).map_err(|error| StoreError::Io {
        what: "read",
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(contents(&bytes))
}

fn contents(bytes: &[u8]) -> Contents {
    let mut found = Contents::default();
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let Some(line) = line.strip_suffix(b"\n") else {
            found.torn = true;
            break;
        };
        match serde_json::from_slice(line) {
            Ok(event) => found.events.push(event),
            Err(_) if line.is_empty() => {}
            Err(error) => found.damaged.push(Damage {
                line: index.saturating_add(1),
                reason: error.to_string(),
            }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = r#"{"v":1,"time":"2026-11-23T14:15:02.113Z","rollout":"20261123T141502Z-7f3a","attempt":1,"seq":1,"event":"rollout.halted","reason":"x"}"#;

    #[test]
    fn a_torn_end_is_borne_and_a_bad_line_is_numbered() {
        let text = format!("{LINE}\nrubbish\n{LINE}\n{}", &LINE[..40]);
        let found = contents(text.as_bytes());
        assert_eq!(found.events.len(), 2);
        assert!(found.torn);
        assert_eq!(found.damaged.len(), 1);
        assert_eq!(found.damaged[0].line, 2);
    }

    #[test]
    fn a_whole_file_is_not_torn() {
        let found = contents(format!("{LINE}\n").as_bytes());
        assert!(!found.torn && found.damaged.is_empty());
        assert_eq!(found.events[0].seq, 1);
    }

    proptest! {
        #[test]
        fn cut_anywhere_all_whole_lines_before_the_cut_are_read(cut in 0..=LINE.len() * 3 + 3) {
            let text = format!("{LINE}\n{LINE}\n{LINE}\n");
            let found = contents(&text.as_bytes()[..cut]);
            prop_assert_eq!(found.events.len(), cut / (LINE.len() + 1));
            prop_assert!(found.damaged.is_empty());
            prop_assert_eq!(found.torn, cut % (LINE.len() + 1) != 0);
        }
    }
}
