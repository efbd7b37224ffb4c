//! What an HTTP answer says, whichever way it came. Pure.

use hyper::header::HeaderName;
use serde_json::Value;

use super::ProbeError;
use crate::model::{ProbeAnswer, VersionCheck};

/// Bytes of a body that are looked at.
pub(super) const BODY_LIMIT: usize = 64 << 10;

/// Characters of a note.
const NOTE_LIMIT: usize = 120;

/// An HTTP answer, as far as a probe looks at it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// The value of the header that the version is read from.
    pub(super) header: Option<String>,
    pub(super) body: Vec<u8>,
    /// Whether there was more than [`BODY_LIMIT`].
    pub(super) cut: bool,
}

impl Reply {
    /// What it means to the one who asked.
    pub(super) fn read(&self, check: Option<&VersionCheck>) -> ProbeAnswer {
        let mut note = note(&String::from_utf8_lossy(&self.body));
        let version = match check {
            None => None,
            Some(VersionCheck::Header(_)) => self.header.as_deref().map(|v| v.trim().to_owned()),
            Some(VersionCheck::Json(_)) if self.cut => {
                note = format!(
                    "the body is longer than {} KiB: no version was read",
                    BODY_LIMIT >> 10
                );
                None
            }
            Some(VersionCheck::Json(pointer)) => version_in(&self.body, pointer),
        };
        ProbeAnswer {
            status: Some(self.status),
            version,
            note,
        }
    }
}

/// The header to read, if the version is in one.
pub(super) fn wanted_header(
    check: Option<&VersionCheck>,
) -> Result<Option<HeaderName>, ProbeError> {
    match check {
        Some(VersionCheck::Header(name)) => {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_error| ProbeError::Version {
                    text: name.clone(),
                    reason: "it is not the name of an HTTP header",
                })?;
            Ok(Some(name))
        }
        // `Value::pointer` answers "nothing there" to a pointer that is none.
        Some(VersionCheck::Json(pointer)) if !pointer.starts_with('/') => {
            Err(ProbeError::Version {
                text: pointer.clone(),
                reason: "a JSON pointer begins with `/`, such as `/build/version`",
            })
        }
        Some(VersionCheck::Json(_)) | None => Ok(None),
    }
}

fn version_in(body: &[u8], pointer: &str) -> Option<String> {
    let document: Value = serde_json::from_slice(body).ok()?;
    match document.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// An answer without a status.
pub(super) fn nothing(why: &str) -> ProbeAnswer {
    ProbeAnswer {
        status: None,
        version: None,
        note: note(why),
    }
}

/// The first line with something in it, without control characters, and short.
pub(super) fn note(text: &str) -> String {
    let line = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let visible = line.trim().chars().filter(|c| !c.is_control());
    visible.take(NOTE_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(body: &str, pointer: &str) -> Option<String> {
        let reply = Reply {
            status: 200,
            body: body.as_bytes().to_vec(),
            ..Reply::default()
        };
        reply
            .read(Some(&VersionCheck::Json(pointer.to_owned())))
            .version
    }

    #[test]
    fn numbers_are_compared_as_text() {
        assert_eq!(json(r#"{"a":{"v":1.5}}"#, "/a/v").as_deref(), Some("1.5"));
        assert_eq!(json(r#"{"v":"1.5"}"#, "/v").as_deref(), Some("1.5"));
        for body in [
            "",
            "null",
            r#"{"v":null}"#,
            r#"{"v":true}"#,
            r#"{"v":[]}"#,
            "{",
        ] {
            assert_eq!(json(body, "/v"), None, "{body}");
        }
    }

    #[test]
    fn a_note_is_one_clean_line() {
        assert_eq!(note("\n  warming \x1b[31mup\r\nmore"), "warming [31mup");
        assert_eq!(note(&"ä".repeat(500)).chars().count(), NOTE_LIMIT);
    }

    #[test]
    fn a_version_check_that_can_never_match_is_refused() {
        let refused = |check| wanted_header(Some(&check)).unwrap_err().to_string();
        assert!(refused(VersionCheck::Json("version".to_owned())).contains("begins with `/`"));
        assert!(refused(VersionCheck::Header("x version".to_owned())).contains("HTTP header"));
    }

    #[test]
    fn a_cut_body_yields_no_version_and_says_so() {
        let reply = Reply {
            status: 200,
            body: b"{}".to_vec(),
            cut: true,
            header: None,
        };
        let answer = reply.read(Some(&VersionCheck::Json("/v".to_owned())));
        assert_eq!((answer.status, answer.version), (Some(200), None));
        assert!(answer.note.contains("64 KiB"));
    }
}
