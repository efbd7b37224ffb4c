//! One line of the display: pieces of text, cut to the width of the terminal before they are coloured.

use crate::report::paint::{Meaning, Paint};
use crate::report::text;

/// Pieces that stand beside each other.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<(Option<Meaning>, String)>);

impl Line {
    /// Adds a piece in the usual colour. Foreign characters that would move the cursor are dropped.
    pub(super) fn plain(mut self, content: &str) -> Self {
        self.0.push((None, harmless(content)));
        self
    }

    /// Adds a piece in the colour of its meaning.
    pub(super) fn with(mut self, meaning: Meaning, content: &str) -> Self {
        self.0.push((Some(meaning), harmless(content)));
        self
    }

    /// The line in at most `columns` columns.
    pub(super) fn show(&self, columns: usize, paint: Paint) -> String {
        let mut out = String::new();
        let mut left = columns;
        for (meaning, content) in &self.0 {
            let shown = text::fit(content, left);
            left = left.saturating_sub(text::width(&shown));
            if shown.is_empty() {
                continue;
            }
            match meaning {
                Some(meaning) => out.push_str(&paint.text(*meaning, shown)),
                None => out.push_str(&shown),
            }
        }
        out.truncate(out.trim_end().len());
        out
    }
}

/// As [`text::clean`], with the spaces at the end kept: they hold the columns apart.
fn harmless(content: &str) -> String {
    let kept = content.len() - content.trim_end_matches(' ').len();
    let mut clean = text::clean(content);
    clean.extend(std::iter::repeat_n(' ', kept));
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_never_exceeds_its_columns() {
        let line = Line::default()
            .plain("web-01  ")
            .with(Meaning::Bad, "failed  ")
            .plain("日本語 \u{1b}[2J and more");
        let whole = line.show(80, Paint::PLAIN);
        assert_eq!(whole, "web-01  failed  日本語  and more");
        for columns in 0..40 {
            let shown = line.show(columns, Paint::PLAIN);
            assert!(text::width(&shown) <= columns, "{columns}: {shown}");
            let coloured = line.show(columns, Paint::new(true));
            let bare = anstream::adapter::strip_str(&coloured).to_string();
            assert_eq!(bare.trim_end(), shown);
        }
    }
}
