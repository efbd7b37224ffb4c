//! What changes in a file, line by line: pure, and without a secret in it.

use std::fmt::Write as _;

use crate::model::MASK;

/// Lines around a change.
const AROUND: usize = 3;
/// Beyond this many pairs of lines two texts are shown as wholly different.
const PAIRS: usize = 4_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// A unified diff of two texts; empty when they are the same.
pub fn unified(old: &str, new: &str, name: &str) -> String {
    let lines = compare(&split(old), &split(new));
    if lines.iter().all(|line| matches!(line, Line::Same(_))) {
        return String::new();
    }
    let mut out = format!("--- {name}\n+++ {name}\n");
    let changed = |line: &Line<'_>| !matches!(line, Line::Same(_));
    let near: Vec<bool> = (0..lines.len())
        .map(|at| {
            let from = at.saturating_sub(AROUND);
            let range = lines.get(from..(at + AROUND + 1).min(lines.len()));
            range.is_some_and(|range| range.iter().any(changed))
        })
        .collect();
    let (mut of_old, mut of_new, mut begun) = (1_usize, 1_usize, false);
    for (line, near) in lines.iter().zip(near) {
        if near && !begun {
            // Writing to a string cannot fail.
            let _never = writeln!(out, "@@ -{of_old} +{of_new} @@");
        }
        begun = near;
        let (sign, text) = match line {
            Line::Same(text) => (' ', text),
            Line::Gone(text) => ('-', text),
            Line::New(text) => ('+', text),
        };
        of_old += usize::from(sign != '+');
        of_new += usize::from(sign != '-');
        if near {
            let end = if text.ends_with('\n') {
                ""
            } else {
                "\n\\ No newline at end of file\n"
            };
            let _never = write!(out, "{sign}{text}{end}");
        }
    }
    out
}

fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// By the longest common subsequence.
fn compare<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    if old.len().saturating_mul(new.len()) > PAIRS {
        let gone = old.iter().map(|line| Line::Gone(line));
        return gone.chain(new.iter().map(|line| Line::New(line))).collect();
    }
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    let at =
        |table: &[u32], one: usize, two: usize| table.get(one * width + two).copied().unwrap_or(0);
    for (one, left) in old.iter().enumerate().rev() {
        for (two, right) in new.iter().enumerate().rev() {
            let best = if left == right {
                at(&longest, one + 1, two + 1) + 1
            } else {
                at(&longest, one + 1, two).max(at(&longest, one, two + 1))
            };
            if let Some(cell) = longest.get_mut(one * width + two) {
                *cell = best;
            }
        }
    }
    let (mut one, mut two) = (0, 0);
    let mut lines = Vec::new();
    loop {
        match (old.get(one), new.get(two)) {
            (Some(left), Some(right)) if left == right => {
                lines.push(Line::Same(left));
                (one, two) = (one + 1, two + 1);
            }
            (Some(left), right)
                if right.is_none() || at(&longest, one + 1, two) >= at(&longest, one, two + 1) =>
            {
                lines.push(Line::Gone(left));
                one += 1;
            }
            (_, Some(right)) => {
                lines.push(Line::New(right));
                two += 1;
            }
            (_, None) => return lines,
        }
    }
}

/// The text that lies on a host, of a file with secrets: they may be older ones than are known here. So lines that the new text has not
/// too are cut behind their name, where that is surely one.
pub fn cautious(old: &str, new: &str) -> String {
    let known = split(new);
    let cut = |line: &str| {
        let end = line.find(['=', ':', ' ', '\t']).map_or(0, |at| at + 1);
        let (name, value) = line.split_at_checked(end).unwrap_or_default();
        let is_name = is_variable(name, value) || known.iter().any(|line| line.starts_with(name));
        format!("{}{MASK}\n", if is_name { name } else { "" })
    };
    let line = |line: &&str| {
        if known.contains(line) {
            (*line).to_owned()
        } else {
            cut(line)
        }
    };
    split(old).iter().map(line).collect()
}

/// Whether it is how variables of an environment are written, and not a secret with `=` at its end.
fn is_variable(name: &str, value: &str) -> bool {
    let letters = name.strip_suffix('=').unwrap_or_default();
    let is_upper = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    letters.starts_with(|c: char| c.is_ascii_uppercase())
        && letters.bytes().all(is_upper)
        && !value.trim().trim_matches('=').is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn changes_are_shown_with_what_is_around_them() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let new = "1\n2\n3\n4\n5\nsix\n7\n8\n9\nten";
        insta::assert_snapshot!(unified(old, new, "a.env"), @r"
        --- a.env
        +++ a.env
        @@ -3 +3 @@
         3
         4
         5
        -6
        +six
         7
         8
         9
        +ten
        \ No newline at end of file
        ");
        assert_eq!(unified(old, old, "a"), "");
    }

    #[test]
    fn an_older_secret_is_cut() {
        let old = "USER=a\nPASS=older\nbare-secret\nURL: x:older@y\n";
        let new = "USER=a\nPASS=***\n";
        assert_eq!(cautious(old, new), "USER=a\nPASS=***\n***\n***\n");
    }

    #[test]
    fn of_an_older_secret_nothing_is_shown() {
        let old = "c2VjcmV0==\nOLDTOKEN admin\nTOKEN=older\nKEEP=1\nGONE: x\n";
        let new = "***\n*** admin\nTOKEN=***\nKEEP=1\n";
        assert_eq!(cautious(old, new), "***\n***\nTOKEN=***\nKEEP=1\n***\n");
    }

    proptest! {
        #[test]
        fn both_texts_can_be_read_out_of_a_comparison(old in "([abc]\n){0,12}", new in "([abc]\n){0,12}") {
            let (left, right) = (split(&old), split(&new));
            let lines = compare(&left, &right);
            let side = |skip: fn(&Line<'_>) -> bool| -> String {
                let kept = lines.iter().filter(|line| !skip(line));
                kept.map(|line| match line { Line::Same(t) | Line::Gone(t) | Line::New(t) => *t }).collect()
            };
            prop_assert_eq!(side(|line| matches!(line, Line::New(_))), old.clone());
            prop_assert_eq!(side(|line| matches!(line, Line::Gone(_))), new.clone());
        }
    }
}
