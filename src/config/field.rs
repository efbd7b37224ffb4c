//! Reading TOML without stopping at the first mistake.
//!
//! Plain serde derive and three generic types: a [`Field`] never fails to deserialize, it notes what is wrong and where; a
//! [`Table`] notes unknown keys and skips them; [`Entries`] is a table whose keys are the user's names. Notes go to a sink of
//! this thread while [`collect`] runs. Shapes must not use serde's `flatten`, `untagged` or `tag`: these buffer, and lose places.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess,
    Visitor,
};
use toml::Spanned;

use super::diagnostic::nearest;
use super::schema::later;

/// A mistake in the file that is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// Bytes of the file.
    pub span: Range<usize>,
    /// What is wrong.
    pub title: String,
    /// What would be right.
    pub help: String,
}

/// The keys of each table of a file, for "belongs to".
pub(crate) type Family = Vec<(&'static str, &'static [&'static str])>;

struct Sink {
    family: Family,
    notes: Vec<Note>,
}

thread_local! {
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
}

/// Runs `read` and returns what it made, with the notes that its fields and tables took.
pub(crate) fn collect<R>(family: Family, read: impl FnOnce() -> R) -> (R, Vec<Note>) {
    SINK.set(Some(Sink {
        family,
        notes: Vec::new(),
    }));
    let made = read();
    let notes = SINK.take().map_or_else(Vec::new, |sink| sink.notes);
    (made, notes)
}

fn note(span: Range<usize>, title: String, help: String) {
    SINK.with_borrow_mut(|sink| {
        if let Some(sink) = sink {
            sink.notes.push(Note { span, title, help });
        }
    });
}

/// A value that may be absent or of the wrong type. What is wrong was noted when it is `Bad`.
#[derive(Debug, Clone, Default)]
pub(crate) enum Field<T> {
    /// The key is not there.
    #[default]
    Missing,
    /// It is there, and its mistake was noted.
    Bad,
    /// It is there, with its place.
    Ok(Spanned<T>),
}

impl<T> Field<T> {
    /// The value, where it is there and of the right type.
    pub(crate) fn get(&self) -> Option<&T> {
        self.spanned().map(Spanned::get_ref)
    }

    /// The value with its place.
    pub(crate) fn spanned(&self) -> Option<&Spanned<T>> {
        match self {
            Self::Ok(value) => Some(value),
            Self::Missing | Self::Bad => None,
        }
    }

    /// Whether the key is absent.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let attempt = Spanned::<Attempt<T>>::deserialize(deserializer)?;
        let span = attempt.span();
        Ok(match attempt.into_inner().0 {
            Ok(value) => Self::Ok(Spanned::new(span, value)),
            Err(text) => {
                let (title, help) = in_plain_words(&text);
                note(span, title, help);
                Self::Bad
            }
        })
    }
}

struct Attempt<T>(Result<T, String>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Attempt<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(
            T::deserialize(deserializer).map_err(|e| e.to_string()),
        ))
    }
}

/// Between what is wrong and what would be right in the text of a value's error.
pub(crate) const HELP_MARK: char = '\u{1f}';

/// serde says "invalid type: integer `8`, expected a string"; people want to know what is expected first.
fn in_plain_words(text: &str) -> (String, String) {
    let text = text.lines().next().unwrap_or_default();
    if let Some((title, help)) = text.split_once(HELP_MARK) {
        return (title.to_owned(), help.to_owned());
    }
    for prefix in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some((found, expected)) = text
            .strip_prefix(prefix)
            .and_then(|rest| rest.split_once(", expected "))
        {
            let found = found
                .replace("map", "a table")
                .replace("sequence", "an array");
            return (
                format!("this is the wrong kind of value: {found}"),
                format!("write {expected}"),
            );
        }
    }
    (text.to_owned(), String::new())
}

/// A table's shape: which table it is to its user.
pub(crate) trait Shape {
    /// Such as `drain`; one of the names of the file's [`Family`].
    const NAME: &'static str;
}

/// A table whose unknown keys are noted, with the nearest known one, and skipped.
#[derive(Debug, Clone)]
pub(crate) struct Table<T>(pub(crate) T);

impl<'de, T: Shape + Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Shape + Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Table<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a table with the keys of [{}]", T::NAME)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Table<T>, A::Error> {
                T::deserialize(Screen {
                    map,
                    name: T::NAME,
                    known: known_keys::<T>(),
                })
                .map(Table)
            }
        }
        deserializer.deserialize_map(Reader(PhantomData))
    }
}

/// Stands between a table and its shape, and lets only known keys through.
struct Screen<A> {
    map: A,
    name: &'static str,
    known: &'static [&'static str],
}

impl<'de, A: MapAccess<'de>> Deserializer<'de> for Screen<A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_map(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Screen<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<Spanned<String>>()? {
            let name = key.get_ref().as_str();
            if self.known.contains(&name) {
                return seed.deserialize(name.into_deserializer()).map(Some);
            }
            if name.starts_with("$__") {
                // How the TOML crate hands on dates: as a map with one key of this kind.
                return Err(de::Error::custom(format!(
                    "this is a date{HELP_MARK}write a table with the keys of [{}]",
                    self.name
                )));
            }
            self.map.next_value::<IgnoredAny>()?;
            let (title, help) = refuse_key(self.name, name, self.known);
            note(key.span(), title, help);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

fn refuse_key(table: &str, key: &str, known: &[&'static str]) -> (String, String) {
    if let Some(later) = later::find(table, key) {
        return (format!("`{key}` is not supported yet"), later.to_owned());
    }
    let place = in_brackets(table);
    let title = format!("unknown key `{key}` in {place}");
    let family = SINK.with_borrow(|sink| {
        sink.as_ref()
            .map_or_else(Vec::new, |sink| sink.family.clone())
    });
    let sisters: Vec<String> = family
        .iter()
        .filter(|(name, keys)| *name != table && keys.contains(&key))
        .map(|(name, _)| in_brackets(name))
        .collect();
    let help = if !sisters.is_empty() {
        format!("`{key}` belongs to {}", sisters.join(" or "))
    } else if let Some(near) = nearest(key, known.iter().copied()) {
        format!("did you mean `{near}`?")
    } else if let Some(later) = later::nearest_key(table, key) {
        format!("did you mean `{later}`? (not supported yet)")
    } else {
        format!("known keys there: {}", known.join(", "))
    };
    (title, help)
}

fn in_brackets(table: &str) -> String {
    if table.is_empty() {
        "the file's top level".to_owned()
    } else if table == "traffic" || table == "hooks" || table == "release.files" {
        format!("[[{table}]]")
    } else {
        format!("[{table}]")
    }
}

/// A table whose keys are names that the user chose, in the order of the file.
#[derive(Debug, Clone)]
pub(crate) struct Entries<T>(pub(crate) Vec<(Spanned<String>, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Entries<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries: Vec<(Spanned<String>, T)> = Vec::new();
                while let Some(name) = map.next_key::<Spanned<String>>()? {
                    if name.get_ref().starts_with("$__") {
                        return Err(de::Error::custom(format!(
                            "this is a date{HELP_MARK}write a table"
                        )));
                    }
                    entries.push((name, map.next_value()?));
                }
                // The TOML crate hands keys over sorted by name.
                entries.sort_by_key(|(name, _)| name.span().start);
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Reader(PhantomData))
    }
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// The keys that a shape knows, as serde's derive made them.
pub(crate) fn known_keys<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    match T::deserialize(Spy) {
        Err(Seen(fields)) => fields,
        Ok(_) => &[],
    }
}

/// Asks a shape for its fields and answers with an error that carries them.
struct Spy;

#[derive(Debug)]
struct Seen(&'static [&'static str]);

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys seen")
    }
}

impl std::error::Error for Seen {}

impl de::Error for Seen {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self(&[])
    }
}

impl<'de> Deserializer<'de> for Spy {
    type Error = Seen;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Seen> {
        Err(Seen(&[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Seen> {
        Err(Seen(fields))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
