//! Numbers of hosts: `3`, `"25%"`, `[1, "25%"]`.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::field::{Field, HELP_MARK};
use crate::model::{Floor, Size};

/// A number of hosts: `3` or `"25%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WordedSize(pub(crate) Size);

const SIZE: &str = "a number of hosts such as 3, or a share such as \"25%\"";

fn parse_percent(text: &str) -> Result<Size, String> {
    let refuse = |help: &str| format!("`{text}` is not a number of hosts{HELP_MARK}{help}");
    let Some(digits) = text.strip_suffix('%') else {
        return Err(match text.parse::<u32>() {
            Ok(number) => refuse(&format!("write the number without quotes: {number}")),
            Err(_) => refuse(&format!("write {SIZE}")),
        });
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse::<u32>() {
        Ok(0) if plain => Err(refuse(
            "a rollout of 0% would never end: write \"1%\" or more",
        )),
        Ok(percent @ 1..=100) if plain => u8::try_from(percent)
            .map(Size::Percent)
            .map_err(|_reason| refuse("write \"1%\" to \"100%\"")),
        _ => Err(refuse("write \"1%\" to \"100%\"")),
    }
}

fn count(number: i64) -> Result<Size, String> {
    match u32::try_from(number) {
        Ok(0) => Err(format!(
            "a rollout of 0 hosts at a time would never end{HELP_MARK}write 1 or more, or a share such as \"25%\""
        )),
        Ok(count) => Ok(Size::Count(count)),
        Err(_) => Err(format!(
            "`{number}` is not a number of hosts{HELP_MARK}write {SIZE}"
        )),
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = WordedSize;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SIZE)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<WordedSize, E> {
        parse_percent(text).map(WordedSize).map_err(E::custom)
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<WordedSize, E> {
        count(number).map(WordedSize).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for WordedSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

/// A number of servers: `2` or `"50%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WordedFloor(pub(crate) Floor);

const FLOOR: &str = "a number of servers such as 2, or a share of the pool such as \"50%\"";

struct FloorVisitor;

impl Visitor<'_> for FloorVisitor {
    type Value = WordedFloor;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FLOOR)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<WordedFloor, E> {
        match parse_percent(text) {
            Ok(Size::Percent(percent)) => Ok(WordedFloor(Floor::Percent(percent))),
            Ok(Size::Count(_)) | Err(_) => Err(E::custom(format!(
                "`{text}` is not a number of servers{HELP_MARK}write {FLOOR}"
            ))),
        }
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<WordedFloor, E> {
        match u32::try_from(number) {
            Ok(count) if count > 0 => Ok(WordedFloor(Floor::Count(count))),
            Ok(_) | Err(_) => Err(E::custom(format!(
                "`{number}` is not a number of servers{HELP_MARK}write {FLOOR}; to let a pool run empty use `strategy.allow_downtime`"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for WordedFloor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FloorVisitor)
    }
}

/// One size or a list of them.
#[derive(Debug, Clone)]
pub(crate) enum Sizes {
    /// `batch = "25%"`.
    One(Size),
    /// `batch = [1, "25%"]`.
    Many(Vec<Field<WordedSize>>),
}

struct SizesVisitor;

impl<'de> Visitor<'de> for SizesVisitor {
    type Value = Sizes;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SIZE}, or an array of these")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Sizes, E> {
        SizeVisitor.visit_str(text).map(|size| Sizes::One(size.0))
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Sizes, E> {
        SizeVisitor.visit_i64(number).map(|size| Sizes::One(size.0))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Sizes, A::Error> {
        let mut sizes = Vec::new();
        while let Some(size) = seq.next_element()? {
            sizes.push(size);
        }
        if sizes.is_empty() {
            return Err(de::Error::custom(format!(
                "there is no size in this array{HELP_MARK}write {SIZE}"
            )));
        }
        Ok(Sizes::Many(sizes))
    }
}

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_are_one_to_a_hundred_percent() {
        assert_eq!(parse_percent("25%"), Ok(Size::Percent(25)));
        assert_eq!(parse_percent("100%"), Ok(Size::Percent(100)));
        for bad in ["0%", "101%", "-1%", "+5%", "%", "5", "5 %", "2.5%"] {
            assert!(parse_percent(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_size_panic(text in ".*", number in any::<i64>()) {
            let _any = parse_percent(&text);
            let _any = count(number);
        }
    }
}
