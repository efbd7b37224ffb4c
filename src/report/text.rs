//! Small pieces of text: foreign words made harmless, widths, durations, counts.

use std::fmt::Write as _;

use jiff::Timestamp;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::model::Revision;

/// Makes text from elsewhere safe to show: escape sequences and control characters are dropped, tabs and line feeds become spaces.
///
/// Logs and answers of services are hostile by default: a line that moves the cursor could hide what went wrong.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\t' | '\n' => out.push(' '),
            '\u{1b}' => skip_escape(&mut chars),
            c if is_hidden(c) => {}
            c => out.push(c),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Control characters, and the marks that turn the direction of writing around.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Skips what follows an escape character. Source: ECMA-48, 5.4 (control sequences) and 8.3.89 (OSC, ended by BEL or ST).
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            while let Some(c) = chars.next_if(|c| !c.is_control()) {
                if matches!(c, '\u{40}'..='\u{7e}') {
                    break;
                }
            }
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next_if(|c| *c != '\n') {
                if c == '\u{7}' {
                    break;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    break;
                }
            }
        }
        Some(c) if !c.is_control() => {
            chars.next();
        }
        _ => {}
    }
}

/// How many columns the text takes on a terminal.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The text in at most `columns` columns; what was cut off shows as `…`.
pub fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let next = c.width().unwrap_or(0);
        if used + next + 1 > columns {
            break;
        }
        used += next;
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// The text followed by as many spaces as it takes to fill `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    let mut out = text.to_owned();
    let missing = columns.saturating_sub(width(text));
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

/// Seconds as people read them: `0.4s`, `12.3s`, `2m05s`, `1h02m`.
pub fn seconds(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "0.0s".to_owned();
    }
    if seconds < 59.95 {
        return format!("{seconds:.1}s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "finite and not negative; a float past the range saturates"
    )]
    whole_seconds(seconds.round() as u64)
}

/// Whole seconds as people read them: `4s`, `2m05s`, `1h02m`.
pub fn whole_seconds(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}

/// Whole seconds from one moment to a later one; 0 where the clock went backward.
pub fn elapsed(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0)
}

/// What is done, to what; `drain` and `enable` concern no version.
pub fn subject(command: &str, service: &str, version: &str) -> String {
    match command {
        "drain" | "enable" => format!("{command} {service}"),
        _ => format!("{command} {service} {version}"),
    }
}

/// A revision's number; `found` for what was there before rollgate came.
pub fn revision(revision: Revision) -> String {
    if revision == Revision::FOUND {
        "found".to_owned()
    } else {
        revision.to_string()
    }
}

/// `1 host`, `3 hosts`.
pub fn count(n: usize, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n if one.ends_with('h') => format!("{n} {one}es"),
        n => format!("{n} {one}s"),
    }
}

/// Bytes as people read them: `0 B`, `20.0 MB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "shown with one digit after the point"
    )]
    let mut value = bytes as f64 / 1000.0;
    let mut unit = "kB";
    for next in UNITS.iter().skip(1) {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// Names with commas between them; a long list ends in `and 12 more`.
pub fn names<T: std::fmt::Display>(items: &[T], most: usize) -> String {
    let mut out = String::new();
    for (i, item) in items.iter().take(most).enumerate() {
        // Writing to a `String` cannot fail.
        write!(out, "{}{item}", if i == 0 { "" } else { ", " }).ok();
    }
    if items.len() > most {
        write!(out, " and {} more", items.len() - most).ok();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_move_the_cursor() {
        assert_eq!(clean("\u{1b}[31mred\u{1b}[0m"), "red");
        assert_eq!(clean("a\u{1b}]0;title\u{7}b\u{1b}]8;;x\u{1b}\\c"), "abc");
        assert_eq!(clean("a\rb\u{8}\tc\nd\u{202e}e\n"), "ab c de");
        assert_eq!(clean("\u{1b}"), "");
        assert_eq!(clean("\u{9b}2Jx"), "2Jx");
    }

    #[test]
    fn wide_characters_count_double() {
        assert_eq!(fit("日本語", 6), "日本語");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("abc", 1), "…");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(pad("日", 4), "日  ");
    }

    #[test]
    fn durations_read_well_at_their_borders() {
        assert_eq!(seconds(0.04), "0.0s");
        assert_eq!(seconds(59.94), "59.9s");
        assert_eq!(seconds(59.96), "1m00s");
        assert_eq!(seconds(3599.6), "1h00m");
        assert_eq!(seconds(f64::NAN), "0.0s");
        assert_eq!(seconds(-1.0), "0.0s");
    }

    #[test]
    fn counts_and_sizes() {
        assert_eq!(count(1, "batch"), "1 batch");
        assert_eq!(count(2, "batch"), "2 batches");
        assert_eq!(count(0, "host"), "0 hosts");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(20_000_000), "20.0 MB");
        assert_eq!(bytes(999_960), "1.0 MB");
        assert_eq!(names(&["a", "b", "c"], 2), "a, b and 1 more");
    }
}
