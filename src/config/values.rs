//! Small values as they are written in the files: durations, commands, one text or many, variables. Numbers of hosts are in
//! [`super::sizes`], words out of a fixed list in [`super::words`].
//!
//! Their errors are the texts that people see: what is wrong, then [`HELP_MARK`], then what would be right.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::diagnostic::nearest;
use super::field::{Field, HELP_MARK};

/// A duration: `500ms`, `30s`, `5m`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

const DURATION: &str = "a duration such as \"500ms\", \"30s\", \"5m\" or \"1h30m\"";

/// Reads a duration.
///
/// # Errors
/// What is wrong, and what would be right.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let units: Vec<&str> = text
        .split(|c: char| c.is_ascii_digit())
        .filter(|unit| !unit.is_empty())
        .collect();
    let fault = if !text.starts_with(|c: char| c.is_ascii_digit()) {
        Some(format!("write {DURATION}"))
    } else if units.is_empty() {
        Some(format!("say which unit: \"{text}s\" are seconds"))
    } else if units.contains(&"d") || units.contains(&"w") {
        Some("write days and weeks as hours: a day is \"24h\"".to_owned())
    } else if units
        .iter()
        .any(|unit| !["h", "m", "s", "ms"].contains(unit))
    {
        Some(format!("the units are h, m, s and ms: write {DURATION}"))
    } else {
        None
    };
    let refuse = |help: String| format!("`{text}` is not a duration{HELP_MARK}{help}");
    if let Some(help) = fault {
        return Err(refuse(help));
    }
    text.parse::<jiff::SignedDuration>()
        .map_err(|_reason| refuse(format!("write {DURATION}, the largest unit first")))
        .and_then(|span| {
            Duration::try_from(span).map_err(|_reason| refuse(format!("write {DURATION}")))
        })
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DURATION)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        parse_duration(text).map(Span).map_err(E::custom)
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Span, E> {
        Err(E::custom(format!(
            "a duration needs its unit{HELP_MARK}write \"{number}s\" for seconds, or {DURATION}"
        )))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

/// One text or a list of them.
#[derive(Debug, Clone)]
pub(crate) enum OneOrMany {
    /// `hosts = "web-*"`.
    One(String),
    /// `hosts = ["web-*", "db-1"]`.
    Many(Vec<Field<String>>),
}

impl OneOrMany {
    /// Every text with its place; `outer` is the place of the value as a whole.
    pub(crate) fn items(&self, outer: &Range<usize>) -> Vec<(Range<usize>, &str)> {
        match self {
            Self::One(text) => vec![(outer.clone(), text.as_str())],
            Self::Many(list) => list
                .iter()
                .filter_map(Field::spanned)
                .map(|text| (text.span(), text.get_ref().as_str()))
                .collect(),
        }
    }
}

struct TextsVisitor(&'static str);

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = OneOrMany;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
        Ok(OneOrMany::One(text.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany, A::Error> {
        let mut list = Vec::new();
        while let Some(text) = seq.next_element()? {
            list.push(text);
        }
        Ok(OneOrMany::Many(list))
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor("a string, or an array of strings"))
    }
}

/// A command: an array that no shell reads, or a string for `sh -c`.
#[derive(Debug, Clone)]
pub(crate) enum Words {
    /// Program and arguments.
    Argv(Vec<Field<String>>),
    /// For `sh -c`.
    Shell(String),
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const COMMAND: &str =
            "a command: an array such as [\"systemctl\", \"status\"], or a string for the shell";
        let empty =
            || de::Error::custom(format!("this command is empty{HELP_MARK}write {COMMAND}"));
        match deserializer.deserialize_any(TextsVisitor(COMMAND))? {
            OneOrMany::One(text) if text.trim().is_empty() => Err(empty()),
            OneOrMany::One(text) => Ok(Self::Shell(text)),
            OneOrMany::Many(list) if list.first().is_none_or(is_empty_text) => Err(empty()),
            OneOrMany::Many(list) => Ok(Self::Argv(list)),
        }
    }
}

fn is_empty_text(field: &Field<String>) -> bool {
    field.get().is_some_and(String::is_empty)
}

/// `"0s"` or `"manual"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PauseText {
    /// That long.
    For(Duration),
    /// Until a person approves.
    Manual,
}

impl<'de> Deserialize<'de> for PauseText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PauseVisitor;
        impl Visitor<'_> for PauseVisitor {
            type Value = PauseText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{DURATION}, or \"manual\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<PauseText, E> {
                if text == "manual" {
                    return Ok(PauseText::Manual);
                }
                if nearest(text, ["manual"]).is_some() {
                    return Err(E::custom(format!(
                        "`{text}` is not a pause{HELP_MARK}did you mean \"manual\"?"
                    )));
                }
                SpanVisitor
                    .visit_str(text)
                    .map(|span| PauseText::For(span.0))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<PauseText, E> {
                SpanVisitor
                    .visit_i64(number)
                    .map(|span| PauseText::For(span.0))
            }
        }
        deserializer.deserialize_any(PauseVisitor)
    }
}

/// A label's value; numbers and booleans are taken as their text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label(pub(crate) String);

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelVisitor;
        impl Visitor<'_> for LabelVisitor {
            type Value = Label;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Label, E> {
                Ok(Label(text.to_owned()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Label, E> {
                Ok(Label(number.to_string()))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Label, E> {
                Ok(Label(number.to_string()))
            }
            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Label, E> {
                Ok(Label(flag.to_string()))
            }
        }
        deserializer.deserialize_any(LabelVisitor)
    }
}

/// A variable for templates: any value of TOML.
#[derive(Debug, Clone)]
pub(crate) struct Var(pub(crate) minijinja::Value);

impl<'de> Deserialize<'de> for Var {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        toml::Value::deserialize(deserializer).map(|value| Self(to_template_value(value)))
    }
}

/// By hand, because serde would show a date as a map with a private key.
fn to_template_value(value: toml::Value) -> minijinja::Value {
    match value {
        toml::Value::String(text) => minijinja::Value::from(text),
        toml::Value::Integer(number) => minijinja::Value::from(number),
        toml::Value::Float(number) => minijinja::Value::from(number),
        toml::Value::Boolean(flag) => minijinja::Value::from(flag),
        toml::Value::Datetime(date) => minijinja::Value::from(date.to_string()),
        toml::Value::Array(list) => list.into_iter().map(to_template_value).collect(),
        toml::Value::Table(table) => minijinja::Value::from_pairs(
            table
                .into_iter()
                .map(|(key, value)| (key, to_template_value(value))),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_what_people_write() {
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
            ("1m30s", 90_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration_is_answered_with_one() {
        for text in [
            "",
            "90",
            "1d",
            "-5s",
            "PT1M",
            "1.5h",
            "1 h",
            "5min",
            "h",
            "1s1h",
            "99999999999999999999h",
        ] {
            let answer = parse_duration(text).unwrap_err();
            assert!(answer.contains(HELP_MARK), "{text}: {answer}");
        }
        assert!(parse_duration("1d").unwrap_err().contains("24h"));
        assert!(parse_duration("90").unwrap_err().contains("\"90s\""));
    }

    proptest! {
        #[test]
        fn a_written_duration_is_read_back(hours in 0u64..100, minutes in 0u64..60, seconds in 0u64..60, millis in 0u64..1000) {
            let text = format!("{hours}h{minutes}m{seconds}s{millis}ms");
            let want = Duration::from_millis(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis);
            prop_assert_eq!(parse_duration(&text), Ok(want));
        }

        #[test]
        fn no_text_makes_a_value_panic(text in ".*") {
            let _any = parse_duration(&text);
        }
    }
}
