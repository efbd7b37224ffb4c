//! Secrets: a text that cannot be printed by mistake, and what keeps it out of everything that is printed on purpose.
//!
//! Whoever makes a [`Secret`] makes it known to this process; [`redact`] then masks it, in every form in which it may turn up, in texts
//! of others: what a command printed, what an error quotes. What is shown to people or written down goes through it.

use std::borrow::Cow;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use zeroize::Zeroizing;

/// What stands for a secret.
pub const MASK: &str = "***";
/// Shorter ones would turn up by chance, and masking them would make texts unreadable.
const SHORTEST: usize = 4;
/// A line of a longer secret that counts as a secret of its own: output comes line by line.
const LINE: usize = 8;

/// Every form of every secret, the longest first.
static KNOWN: RwLock<Vec<Zeroizing<String>>> = RwLock::new(Vec::new());

/// A secret's text, wiped when it is dropped. It has no text form, and no serialised one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Secret {
    /// A secret, known from now on.
    ///
    /// # Errors
    /// What is wrong with it; never with the secret itself.
    pub fn new(text: Zeroizing<String>) -> Result<Self, String> {
        if text.len() < SHORTEST {
            return Err(format!(
                "has {} bytes; a secret of less than {SHORTEST} would turn up by chance, and cannot be masked",
                text.len()
            ));
        }
        if text.contains('\0') {
            return Err("has a zero byte in it, which no text file holds".to_owned());
        }
        learn(&text);
        Ok(Self(text))
    }

    /// A text that is no secret, where one is wanted to be shown.
    pub fn shown(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

fn learn(text: &str) {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| line.len() >= LINE);
    for part in std::iter::once(text).chain(lines) {
        for form in forms(part) {
            if !known.contains(&form) {
                known.push(form);
            }
        }
    }
    known.sort_by_key(|form| std::cmp::Reverse(form.len()));
}

/// The ways in which a text is written elsewhere.
fn forms(text: &str) -> Vec<Zeroizing<String>> {
    let json = serde_json::to_string(text).unwrap_or_default();
    let json = json.trim_matches('"').to_owned();
    let mut forms = vec![
        text.to_owned(),
        json,
        text.replace('\'', "'\\''"),
        percent(text),
        base64(text.as_bytes(), *b"+/"),
        base64(text.as_bytes(), *b"-_"),
    ];
    forms.retain(|form| form.len() >= SHORTEST);
    forms.dedup();
    forms.into_iter().map(Zeroizing::new).collect()
}

/// Source: RFC 3986, section 2.3: unreserved characters stay.
fn percent(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _never = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Without padding, so that it is found with and without. Source: RFC 4648, sections 4 and 5.
fn base64(bytes: &[u8], last: [u8; 2]) -> String {
    let digit = |value: u32| {
        let value = u8::try_from(value & 63).unwrap_or_default();
        char::from(match value {
            0..26 => b'A' + value,
            26..52 => b'a' + value - 26,
            52..62 => b'0' + value - 52,
            62 => last[0],
            _ => last[1],
        })
    };
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..=chunk.len() {
            let shift = 18_u32.saturating_sub(6 * u32::try_from(at).unwrap_or_default());
            out.push(digit(bits >> shift));
        }
    }
    out
}

/// The text with every known secret masked.
pub fn redact(text: &str) -> Cow<'_, str> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let mut out = Cow::Borrowed(text);
    for form in known.iter() {
        if out.contains(form.as_str()) {
            out = Cow::Owned(out.replace(form.as_str(), MASK));
        }
    }
    out
}

/// Whether there is anything to mask.
pub fn any_known() -> bool {
    !KNOWN
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .is_empty()
}

/// The value with every known secret masked in its texts, but for those under `names`: names and words of a format.
pub fn redact_json(value: &mut serde_json::Value, names: &[&str]) {
    match value {
        serde_json::Value::String(text) => {
            if let Cow::Owned(masked) = redact(text) {
                *text = masked;
            }
        }
        serde_json::Value::Array(list) => {
            for item in list {
                redact_json(item, names);
            }
        }
        serde_json::Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if !(is_flat(value) && names.contains(&key.as_str())) {
                    redact_json(value, names);
                }
            }
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

/// A text, or lists of texts.
fn is_flat(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Array(list) => list.iter().all(is_flat),
        serde_json::Value::Object(_) => false,
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(text: &str) -> Secret {
        Secret::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    #[test]
    fn a_secret_has_no_text_form() {
        assert_eq!(format!("{:?}", secret("un-pri-nt")), MASK);
        let short = Secret::new(Zeroizing::new("abc".to_owned())).unwrap_err();
        assert!(!short.contains("abc"), "{short}");
    }

    #[test]
    fn every_form_is_masked() {
        secret("p'w \"d/2?\u{e9}");
        for form in [
            "p'w \"d/2?\u{e9}",
            "p'\\''w \"d/2?\u{e9}",
            "p'w \\\"d/2?\u{e9}",
            "p%27w%20%22d%2F2%3F%C3%A9",
            "cCd3ICJkLzI/w6k=",
            "cCd3ICJkLzI_w6k",
        ] {
            let masked = redact(form);
            assert!(masked.starts_with(MASK), "{form}: {masked}");
        }
        secret("-----BEGIN-----\nMIIBVgIBADANBg\n-----END-----");
        assert_eq!(redact("> MIIBVgIBADANBg <"), "> *** <");
    }

    #[test]
    fn words_of_a_format_stay() {
        secret("started-xyz");
        let mut value =
            serde_json::json!({"event": "started-xyz", "text": ["a started-xyz"], "n": 1});
        redact_json(&mut value, &["event"]);
        assert_eq!(
            value,
            serde_json::json!({"event": "started-xyz", "text": ["a ***"], "n": 1})
        );
    }

    proptest! {
        #[test]
        fn whatever_stands_around_it_the_secret_is_gone(before in ".{0,20}", text in "[a-z]{8}[ -~]{4,20}", after in ".{0,20}") {
            secret(&text);
            let said = format!("{before}{text}{after}");
            prop_assert!(!redact(&said).contains(text.as_str()));
        }
    }
}
