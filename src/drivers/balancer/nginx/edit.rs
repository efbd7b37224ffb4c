//! The word `down`, put in and taken out. No other byte of a file is touched.

use std::collections::{BTreeMap, BTreeSet};

use super::upstream::Entry;

/// What takes a server out.
const OUT: &str = " down";

/// One place of a file that changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edit {
    /// Where.
    pub(super) at: usize,
    /// How many bytes go.
    pub(super) remove: usize,
    /// What comes.
    pub(super) insert: &'static str,
}

/// The edits of several files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Edits(pub(super) BTreeMap<String, BTreeSet<Edit>>);

impl Edits {
    /// Takes a server out, or puts it back; nothing where it is so already.
    pub(super) fn set(&mut self, entry: &Entry, out: bool) {
        if entry.is_out() == out {
            return;
        }
        let edits = self.0.entry(entry.path.clone()).or_default();
        if out {
            edits.extend(entry.words.last().map(|last| Edit {
                at: last.range.end,
                remove: 0,
                insert: OUT,
            }));
            return;
        }
        let words = entry.words.iter().skip(2);
        let words = words.filter(|word| word.value == b"down" || word.value == b"drain");
        edits.extend(words.map(|word| Edit {
            at: word.gap.start,
            remove: word.range.end - word.gap.start,
            insert: "",
        }));
    }

    /// Whether nothing changes.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A piece of a new file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// So many bytes of the old one, from there.
    Keep(usize, usize),
    /// Something new.
    Put(&'static str),
}

/// The new file as parts of the old one, which has `length` bytes.
pub(super) fn parts(edits: &BTreeSet<Edit>, length: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut at = 0;
    for edit in edits {
        if edit.at > at {
            parts.push(Part::Keep(at, edit.at - at));
        }
        if !edit.insert.is_empty() {
            parts.push(Part::Put(edit.insert));
        }
        at = edit.at + edit.remove;
    }
    if length > at {
        parts.push(Part::Keep(at, length - at));
    }
    parts
}

/// The new file.
pub(super) fn built(parts: &[Part], old: &[u8]) -> Vec<u8> {
    let mut new = Vec::with_capacity(old.len() + 16);
    for part in parts {
        match part {
            Part::Keep(from, length) => {
                new.extend_from_slice(old.get(*from..from + length).unwrap_or_default());
            }
            Part::Put(text) => new.extend_from_slice(text.as_bytes()),
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::{File, Snapshot};
    use super::super::upstream;
    use super::*;
    use crate::model::PoolName;
    use proptest::prelude::*;

    fn entries(text: &str) -> Vec<Entry> {
        let mut snapshot = Snapshot::default();
        snapshot.globs.insert("f".to_owned(), vec!["f".to_owned()]);
        snapshot
            .files
            .insert("f".to_owned(), File::of("f", text.as_bytes()));
        let pool = PoolName::new("app").unwrap();
        upstream::find(&snapshot, "f", std::slice::from_ref(&pool))
            .unwrap()
            .pools
            .remove(&pool)
            .unwrap()
    }

    /// The file with the servers that `pick` chooses out, or back in.
    fn set(text: &str, out: bool, pick: impl Fn(usize) -> bool) -> String {
        let mut edits = Edits::default();
        for (number, entry) in entries(text).iter().enumerate() {
            if pick(number) {
                edits.set(entry, out);
            }
        }
        let edits = edits.0.remove("f").unwrap_or_default();
        String::from_utf8(built(&parts(&edits, text.len()), text.as_bytes())).unwrap()
    }

    #[test]
    fn one_word_comes_and_goes_and_nothing_else_does() {
        for (before, after) in [
            (
                "upstream app { server a:1; }",
                "upstream app { server a:1 down; }",
            ),
            (
                "upstream app{server a:1 weight=5 ;}",
                "upstream app{server a:1 weight=5 down ;}",
            ),
            (
                "upstream app {\r\n\tserver \"a:1\"; # down\r\n}",
                "upstream app {\r\n\tserver \"a:1\" down; # down\r\n}",
            ),
            (
                "upstream app { server a # x\n  weight=2 # y\n ; }",
                "upstream app { server a # x\n  weight=2 down # y\n ; }",
            ),
        ] {
            assert_eq!(set(before, true, |_| true), after);
            assert_eq!(set(after, false, |_| true), before);
            assert_eq!(set(after, true, |_| true), after);
            assert_eq!(set(before, false, |_| true), before);
        }
    }

    #[test]
    fn every_way_to_write_down_is_taken_out() {
        for (before, after) in [
            (
                "upstream app { server a down weight=5; }",
                "upstream app { server a weight=5; }",
            ),
            (
                "upstream app { server a down  'down'; }",
                "upstream app { server a; }",
            ),
            (
                "upstream app { server a\n down\n max_fails=2; }",
                "upstream app { server a\n\n max_fails=2; }",
            ),
            (
                "upstream app { server a #x\ndown; }",
                "upstream app { server a #x\n; }",
            ),
            (
                "upstream app { server down down; }",
                "upstream app { server down; }",
            ),
            (
                "upstream app { server a drain; }",
                "upstream app { server a; }",
            ),
        ] {
            assert_eq!(set(before, false, |_| true), after);
        }
    }

    fn file() -> impl Strategy<Value = String> {
        let gap = "( |\t|\r\n|\n| # c;\\}\\{down\n)";
        let server =
            format!("server{gap}[a-c]:[1-3]({gap}(weight=[1-9]|\"max_fails=1\"|backup))?({gap})?;");
        let other = "(keepalive 3;|# server a:1;\n|zone app 64k;)";
        let body = format!("(({server}|{other})[ \r\n]*){{0,5}}");
        proptest::string::string_regex(&format!(
            "(map a \\{{ down 'upstream app \\{{'; \\}}\n)?upstream app \\{{{body}\\}}( # end\n|\r\n)?upstream b \\{{{body}\\}}"
        ))
        .unwrap()
    }

    proptest! {
        #[test]
        fn out_and_back_is_the_same_file(text in file(), picked: [bool; 8]) {
            let pick = |number: usize| picked.get(number).copied().unwrap_or_default();
            let edited = set(&text, true, pick);
            let states: Vec<bool> = entries(&edited).iter().map(Entry::is_out).collect();
            let wanted: Vec<bool> = (0..states.len()).map(pick).collect();
            prop_assert_eq!(states, wanted);
            prop_assert_eq!(edited.replace(" down", ""), text.replace(" down", ""));
            prop_assert_eq!(set(&edited, false, |_| true), text);
        }
    }
}
